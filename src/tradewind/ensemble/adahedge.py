"""AdaHedge: Hedge that sets its learning rate by what its own weights have cost so far, and so needs neither a scale nor a horizon.

Paper: de Rooij, van Erven, Grünwald & Koolen (2014) https://jmlr.org/papers/v15/rooij14a.html. The mixability gap of a round is the loss of
the mixture less the loss -ln(sum w exp(-eta loss)) / eta, and eta is ln K over the sum of the gaps.

For any losses, K experts and S the widest spread of losses in a round, the loss of the mixture less that of the best expert is after T
rounds at most 2 sqrt(V ln K) + S (4/3 ln K + 2), V the summed variance of the losses under the weights (theorem 6), thus at most
S sqrt(T ln K) + S (4/3 ln K + 2). Adding a number to the losses of a round changes no weight, nor does multiplying all losses by one.

Cost: O(experts) a round. Fails where the best expert changes: it competes with the best single one (use Fixed-Share).
"""

from __future__ import annotations

import math
from typing import ClassVar, final

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array
from tradewind.ensemble.experts import Awake, ExpertWeights

__all__ = ["AdaHedge"]


@inline_kernel
def _mix(eta: float, behind: Array, weights: Array) -> float:
    """Fill the weights at `eta` and return -ln(mean exp(-eta behind)) / eta; at an infinite eta all is with the leaders."""
    least = math.inf
    for i in range(len(behind)):
        least = min(least, behind[i])
    total = 0.0
    for i in range(len(behind)):
        if eta == math.inf:
            weights[i] = 1.0 if behind[i] == least else 0.0
        else:
            weights[i] = math.exp(-eta * (behind[i] - least))
        total += weights[i]
    for i in range(len(behind)):
        weights[i] /= total
    return least if eta == math.inf else least - math.log(total / len(behind)) / eta


@kernel
def _learn(losses: Array, behind: Array, gaps: Array, weights: Array) -> None:
    """One round; `behind` (expert,): sums of losses less the least, `gaps[0]`: the sum of the mixability gaps."""
    experts, least, most = len(losses), math.inf, -math.inf
    for i in range(experts):
        least, most = min(least, losses[i]), max(most, losses[i])
    # Losses counted from the least of their round: a shift of all of them is gone before it can be rounded.
    mixture = 0.0
    for i in range(experts):
        mixture += weights[i] * (losses[i] - least)
    eta = math.log(experts) / gaps[0] if gaps[0] > 0.0 else math.inf
    before = _mix(eta, behind, weights)
    for i in range(experts):
        behind[i] += losses[i] - least
    after = _mix(eta, behind, weights)
    gaps[0] += max(0.0, mixture - (after - before))
    _mix(math.log(experts) / gaps[0] if gaps[0] > 0.0 else math.inf, behind, weights)
    ahead = math.inf
    for i in range(experts):
        ahead = min(ahead, behind[i])
    for i in range(experts):
        behind[i] -= ahead


@final
class AdaHedge(ExpertWeights):
    """AdaHedge over `experts`; there is nothing to set."""

    name: ClassVar[str] = "adahedge"

    def __init__(self, experts: int) -> None:
        super().__init__(experts, memory=1, tally=1)

    def _learn(self, losses: Array, awake: Awake) -> None:
        _learn(losses, self._memory[0], self._tally, self._weights)
