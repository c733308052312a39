"""Online Newton step over experts: follows the curvature of the logarithm of the mixture's growth, and forgets nothing.

Paper: Agarwal, Hazan, Kale & Schapire (2006) https://doi.org/10.1145/1143844.1143846. A loss is a return with its sign turned, below 1.
With h = g / w'g, g the growth 1 - loss of each expert, A = I + sum(h h') and b = (1 + 1 / beta) sum(h), the next weights are those of the
simplex nearest to delta A^-1 b in the norm of A. It competes with the best mix of experts, restored in every round: the logarithm of
wealth is behind that mix's by O(K / r ln T) for growths within a factor r of each other. `tradewind.portfolio.online` has the same over
assets.

Cost: O(experts^3) a round, some tens of microseconds and more. Fails where what did well does badly next: it leans on the whole past alike.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from tradewind.core.errors import DataError
from tradewind.core.limits import number
from tradewind.core.types import Array
from tradewind.ensemble.experts import Awake, ExpertWeights
from tradewind.portfolio.simplex import minimise_quadratic

__all__ = ["ExpertNewton"]


@final
class ExpertNewton(ExpertWeights):
    """Online Newton step over `experts`; `delta`, `beta`: positive, how strongly gradients are followed.

    Raises DataError for a loss of 1 or more.
    """

    name: ClassVar[str] = "ons"

    def __init__(self, experts: int, delta: float = 0.125, beta: float = 1.0) -> None:
        number(delta=delta, beta=beta)
        # One row a row of A, and one for b.
        super().__init__(experts, memory=experts + 1, tally=0)
        self.delta, self.beta = float(delta), float(beta)
        self._memory[:experts] = np.eye(experts)

    def _learn(self, losses: Array, awake: Awake) -> None:
        if losses.max() >= 1.0:
            raise DataError(
                f"expert {int(losses.argmax())} lost {losses.max():g}; ons needs losses below 1: returns with their sign turned"
            )
        growth = 1.0 - losses
        gradient = growth / float(self._weights @ growth)
        self._memory[:-1] += np.outer(gradient, gradient)
        self._memory[-1] += (1.0 + 1.0 / self.beta) * gradient
        self._weights[:] = minimise_quadratic(self._memory[:-1], self.delta * self._memory[-1], self._weights)
