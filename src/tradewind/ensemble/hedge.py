"""Hedge: each expert is trusted in proportion to exp(-eta times the sum of its losses).

Papers: Littlestone & Warmuth (1994) https://doi.org/10.1006/inco.1994.1009; Freund & Schapire (1997) https://doi.org/10.1006/jcss.1997.1504;
the bounds are theorems 2.2 and 2.3 of Cesa-Bianchi & Lugosi (2006) https://doi.org/10.1017/CBO9780511546921.

For any losses in [0, 1] and K experts, the loss of the mixture less that of the best expert is after T rounds at most
ln K / eta + eta T / 8, which is sqrt(T ln K / 2) at eta = sqrt(8 ln K / T). With no eta given it is sqrt(8 ln K / t) in round t, which
needs no T and keeps sqrt(2 T ln K) + sqrt(ln K / 8). With losses -ln(growth) and eta = 1 it is Bayes' rule: the wealth of the mixture is
exactly the mean of the experts' wealth, so it stays within ln K of the best one's logarithm.

Cost: O(experts) a round. Fails where losses are on another scale than [0, 1] (give an eta to match, or use AdaHedge), and where the best
expert changes: by then the others' weights are gone (use Fixed-Share).
"""

from __future__ import annotations

import math
from typing import ClassVar, final

from tradewind.core.compiled import kernel
from tradewind.core.limits import number
from tradewind.core.types import Array
from tradewind.ensemble.experts import Awake, ExpertWeights

__all__ = ["Hedge"]


@kernel
def _learn(losses: Array, eta: float, behind: Array, tally: Array, weights: Array) -> None:
    """One round; `behind` (expert,): sums of losses less the least, `tally[0]`: rounds, `eta` 0: the rate that falls."""
    tally[0] += 1.0
    rate = eta if eta > 0.0 else math.sqrt(8.0 * math.log(len(losses)) / (tally[0] + 1.0))
    least = math.inf
    for i in range(len(losses)):
        behind[i] += losses[i]
        least = min(least, behind[i])
    total = 0.0
    for i in range(len(losses)):
        behind[i] -= least
        weights[i] = math.exp(-rate * behind[i])
        total += weights[i]
    for i in range(len(losses)):
        weights[i] /= total


@final
class Hedge(ExpertWeights):
    """Hedge over `experts` at the learning rate `eta`, positive; the falling rate for losses in [0, 1] where None."""

    name: ClassVar[str] = "hedge"

    def __init__(self, experts: int, eta: float | None = None) -> None:
        if eta is not None:
            number(eta=eta)
        super().__init__(experts, memory=1, tally=1)
        self.eta = 0.0 if eta is None else float(eta)

    def _learn(self, losses: Array, awake: Awake) -> None:
        _learn(losses, self.eta, self._memory[0], self._tally, self._weights)
