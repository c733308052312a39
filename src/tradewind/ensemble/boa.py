"""Bernstein online aggregation: every expert has a learning rate of its own, set by how far its losses lie from the mixture's.

Paper: Wintenberger (2017) https://doi.org/10.1007/s10994-016-5592-6, figure 2 with theorem 3.3. With l the loss of an expert less the
mixture's, an expert's weight is proportional to eta exp(-eta L), L the sum of (l (1 + eta l) + E [eta l > 1/2]) / 2, and
eta = min(1 / E, sqrt(ln K / sum l^2)).

For any losses the loss of the mixture less that of expert k is of order sqrt(V_k ln K) + E ln K, up to ln ln T, where V_k sums the squares
of k's own l and E is twice the widest l: no more than a constant where the losses are independent in time and one expert is better on
average. Adding a number to the losses of a round changes no weight, nor does multiplying all losses by one.

Two departures: E is twice the widest l so far, not the power of two above it, which keeps the scale out of it; and an expert that sleeps
has the mean l^2 of those awake added to its sum, or its rate, and by it its weight, would be too high when it wakes. The rates still only
fall, which is all that the proof asks of them.

Cost: O(experts) a round. Fails where the best expert changes: it competes with the best single one (use Fixed-Share).
"""

from __future__ import annotations

import math
from typing import ClassVar, Final, final

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array
from tradewind.ensemble.experts import Awake, ExpertWeights

__all__ = ["BOA"]

_HALF: Final = 0.5 + 1e-9
"""Where an expert is as far off as the widest ever was, eta l is a half to rounding, which must not decide what it is charged."""


@inline_kernel
def _rate(experts: int, squares: float, widest: float) -> float:
    """The learning rate of an expert: 0 before anything differed."""
    if widest == 0.0:
        return 0.0
    bound = 0.5 / widest
    return bound if squares == 0.0 else min(bound, math.sqrt(math.log(experts) / squares))


@kernel
def _learn(losses: Array, awake: Awake, memory: Array, tally: Array, weights: Array) -> None:
    """One round; `memory`: L and the sum of l^2 of each expert, `tally[0]`: the widest l."""
    experts, mixture, mean_square, count, before = len(losses), 0.0, 0.0, 0, tally[0]
    for i in range(experts):
        mixture += weights[i] * (losses[i] - losses[0])
    for i in range(experts):
        beyond = (losses[i] - losses[0]) - mixture
        tally[0] = max(tally[0], abs(beyond))
        if awake[i]:
            mean_square += beyond**2
            count += 1
    best = -math.inf
    for i in range(experts):
        beyond = (losses[i] - losses[0]) - mixture
        rate = _rate(experts, memory[1, i], before)
        memory[0, i] += 0.5 * beyond * (1.0 + rate * beyond) + (tally[0] if rate * beyond > _HALF else 0.0)
        memory[1, i] += beyond**2 if awake[i] else mean_square / count
        rate = _rate(experts, memory[1, i], tally[0])
        # Logarithms of the weights, until the greatest is known; the rate in units of the widest l, which all share.
        weights[i] = (math.log(rate * tally[0]) if rate > 0.0 else 0.0) - rate * memory[0, i]
        best = max(best, weights[i])
    total = 0.0
    for i in range(experts):
        weights[i] = math.exp(weights[i] - best)
        total += weights[i]
    for i in range(experts):
        weights[i] /= total


@final
class BOA(ExpertWeights):
    """Bernstein online aggregation over `experts`; there is nothing to set."""

    name: ClassVar[str] = "boa"

    def __init__(self, experts: int) -> None:
        super().__init__(experts, memory=2, tally=1)

    def _learn(self, losses: Array, awake: Awake) -> None:
        _learn(losses, awake, self._memory, self._tally, self._weights)
