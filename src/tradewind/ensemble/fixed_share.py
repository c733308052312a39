"""Fixed-Share: Hedge in which every expert hands a share of its weight to the others each round, so that a new best one is found soon.

Paper: Herbster & Warmuth (1998) https://doi.org/10.1023/A:1007424614876. It is Bayes' rule over all sequences of experts, where in each
round the expert changes with probability alpha.

For losses whose spread in round t is s_t, K experts and any sequence of them that changes m times, the loss of the mixture less that of the
sequence is after T rounds at most (ln K + m ln((K - 1) / alpha) + (T - 1 - m) ln(1 / (1 - alpha))) / eta + eta sum(s_t^2) / 8.

Without an eta the rate is set by that bound itself, for the changes that alpha expects and the mean of s_t^2 up to now: it needs no scale.
With losses -ln(growth) and eta = 1 the middle term falls away, and the bound is on the logarithm of wealth.

Cost: O(experts) a round. Fails where changes are much rarer or more frequent than alpha says, and where no expert is better than the others
for longer than some 1 / alpha rounds: it then pays for looking.
"""

from __future__ import annotations

import math
from typing import ClassVar, final

from tradewind.core.compiled import kernel
from tradewind.core.limits import fraction, number
from tradewind.core.types import Array
from tradewind.ensemble.experts import Awake, ExpertWeights

__all__ = ["FixedShare"]


@kernel
def _learn(losses: Array, eta: float, alpha: float, tally: Array, weights: Array) -> None:
    """One round; `tally`: rounds, and the sum of squared spreads. `eta` 0: the rate that minimises the bound."""
    experts, least, most = len(losses), math.inf, -math.inf
    for i in range(experts):
        least, most = min(least, losses[i]), max(most, losses[i])
    tally[0] += 1.0
    tally[1] += (most - least) ** 2
    if experts == 1 or most == least:
        rate = 0.0
    elif eta > 0.0:
        rate = eta
    else:
        # What a round costs in the bound: alpha changes, and staying put.
        price = alpha * math.log((experts - 1) / alpha) - (1.0 - alpha) * math.log(1.0 - alpha)
        rate = math.sqrt(8.0 * price * tally[0] / tally[1])
    total = 0.0
    for i in range(experts):
        weights[i] *= math.exp(-rate * (losses[i] - least))
        total += weights[i]
    for i in range(experts):
        kept = weights[i] / total
        weights[i] = kept if experts == 1 else (1.0 - alpha) * kept + alpha * (1.0 - kept) / (experts - 1)


@final
class FixedShare(ExpertWeights):
    """Fixed-Share over `experts`: `alpha`, the share handed on in a round, between 0 and 1; `eta`, positive, or None to have it set."""

    name: ClassVar[str] = "fixed-share"

    def __init__(self, experts: int, eta: float | None = None, alpha: float = 0.01) -> None:
        if eta is not None:
            number(eta=eta)
        fraction(alpha=alpha)
        super().__init__(experts, memory=0, tally=2)
        self.eta, self.alpha = 0.0 if eta is None else float(eta), float(alpha)

    def _learn(self, losses: Array, awake: Awake) -> None:
        _learn(losses, self.eta, self.alpha, self._tally, self._weights)
