"""Follow the leader: all trust to the expert with the least loss so far, shared evenly between equals.

Source: Cesa-Bianchi & Lugosi (2006), section 3.2, https://doi.org/10.1017/CBO9780511546921. It is Hedge at an infinite learning rate, and
the baseline that the other rules are read beside.

Its regret is bounded by the number of times the lead changes times the widest spread of a round, and by nothing better: two experts whose
losses alternate make it lose in every round.

Cost: O(experts) a round. Fails where the lead changes often, which an adversary, or noise between equals, sees to.
"""

from __future__ import annotations

import math
from typing import ClassVar, final

from tradewind.core.compiled import kernel
from tradewind.core.types import Array
from tradewind.ensemble.experts import Awake, ExpertWeights

__all__ = ["FollowTheLeader"]


@kernel
def _learn(losses: Array, behind: Array, weights: Array) -> None:
    """One round; `behind` (expert,): sums of losses less the least."""
    least, leaders = math.inf, 0
    for i in range(len(losses)):
        behind[i] += losses[i]
        least = min(least, behind[i])
    for i in range(len(losses)):
        behind[i] -= least
        leaders += behind[i] == 0.0
    for i in range(len(losses)):
        weights[i] = 1.0 / leaders if behind[i] == 0.0 else 0.0


@final
class FollowTheLeader(ExpertWeights):
    """The leader among `experts`; there is nothing to set."""

    name: ClassVar[str] = "follow-the-leader"

    def __init__(self, experts: int) -> None:
        super().__init__(experts, memory=1, tally=0)

    def _learn(self, losses: Array, awake: Awake) -> None:
        _learn(losses, self._memory[0], self._weights)
