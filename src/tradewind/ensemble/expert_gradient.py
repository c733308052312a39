"""Exponentiated gradient over experts: each weight is multiplied by exp(eta g_i / w'g), g the growth 1 - loss of each expert in the round.

Paper: Helmbold, Schapire, Singer & Warmuth (1998) https://doi.org/10.1111/1467-9965.00058. A loss is a return with its sign turned, below
1. It competes with the best mix of experts, restored in every round, which may earn what no single expert does: where every growth of a
round is at least r times the highest, the logarithm of the mixture's wealth is behind that mix's by at most ln K / eta + eta T / (8 r^2).
`tradewind.portfolio.online` has the same over assets.

Cost: O(experts) a round. Fails where returns are small, at the rates that its bound asks for: it then hardly leaves equal weights.
"""

from __future__ import annotations

import math
from typing import ClassVar, final

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError
from tradewind.core.limits import number
from tradewind.core.types import Array
from tradewind.ensemble.experts import Awake, ExpertWeights

__all__ = ["ExpertGradient"]


@kernel
def _learn(losses: Array, eta: float, weights: Array) -> None:
    """One round of losses below 1."""
    growth, least = 0.0, math.inf
    for i in range(len(losses)):
        growth += weights[i] * (1.0 - losses[i])
        least = min(least, losses[i])
    total = 0.0
    for i in range(len(losses)):
        weights[i] *= math.exp(eta * (least - losses[i]) / growth)
        total += weights[i]
    for i in range(len(losses)):
        weights[i] /= total


@final
class ExpertGradient(ExpertWeights):
    """Exponentiated gradient over `experts` at the learning rate `eta`, positive. Raises DataError for a loss of 1 or more."""

    name: ClassVar[str] = "eg"

    def __init__(self, experts: int, eta: float = 0.05) -> None:
        number(eta=eta)
        super().__init__(experts, memory=0, tally=0)
        self.eta = float(eta)

    def _learn(self, losses: Array, awake: Awake) -> None:
        if losses.max() >= 1.0:
            raise DataError(f"expert {int(losses.argmax())} lost {losses.max():g}; eg needs losses below 1: returns with their sign turned")
        _learn(losses, self.eta, self._weights)
