"""`ExpertWeights`: trust spread over experts and moved by their losses, one round at a time. What each rule of moving shares stands here.

Experts may sleep. A sleeper is given the loss of the mixture of those awake, which moves its weight as little as it moves theirs, and the
mixture of those awake then keeps the rule's bound against every expert over the rounds in which that expert was awake: Freund, Schapire,
Singer & Warmuth (1997) https://doi.org/10.1145/258533.258616, as a reduction by Chernov & Vovk (2009) https://arxiv.org/abs/1006.0475.
Cost: O(experts) a round, two compiled calls. Fails where losses are known later than the next round: give them when they are known, and the
weights lag by as much.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import whole
from tradewind.core.types import Array, State

__all__ = ["Awake", "ExpertWeights", "among"]

Awake = NDArray[np.bool_]
"""(expert,) or (time, expert): who takes part."""

_ARRAYS: Final = ("weights", "memory", "tally")


@kernel
def _among(weights: Array, awake: Awake, shares: Array) -> None:
    """`shares`: `weights` of those awake, scaled to sum to one; equal ones where theirs are all zero, zeros where nobody is awake."""
    total, count = 0.0, 0
    for i in range(len(weights)):
        if awake[i]:
            total += weights[i]
            count += 1
    for i in range(len(weights)):
        if not awake[i]:
            shares[i] = 0.0
        elif total > 0.0:
            shares[i] = weights[i] / total
        else:
            shares[i] = 1.0 / count


@kernel
def _fill(losses: Array, awake: Awake, weights: Array) -> int:
    """Give sleepers the loss of the mixture of those awake and return how many are awake; -1 - i where the loss of i is infinite."""
    total, mixture, plain, count = 0.0, 0.0, 0.0, 0
    for i in range(len(losses)):
        awake[i] = awake[i] and not np.isnan(losses[i])
        if awake[i]:
            if np.isinf(losses[i]):
                return -1 - i
            total += weights[i]
            mixture += weights[i] * losses[i]
            plain += losses[i]
            count += 1
    for i in range(len(losses)):
        if not awake[i] and count > 0:
            losses[i] = mixture / total if total > 0.0 else plain / count
    return count


class ExpertWeights(ABC):
    """Weights over `experts` (a number of them), uniform at first. `weights` (expert,) are those to hold in the round to come.

    A rule keeps what it knows in `memory` (quantity, expert) and `tally` (quantity,), which are all of its state.
    """

    name: ClassVar[str]

    def __init__(self, experts: int, memory: int, tally: int) -> None:
        whole(experts=experts)
        self.experts = experts
        self._weights = np.full(experts, 1.0 / experts)
        self._memory = np.zeros((memory, experts))
        self._tally = np.zeros(tally)
        self._losses, self._awake = np.empty(experts), np.empty(experts, dtype=np.bool_)

    @property
    def weights(self) -> Array:
        """(expert,) what each is trusted with in the round to come, a copy; they sum to one. `among` leaves the sleepers out."""
        return self._weights.copy()

    def update(self, losses: ArrayLike, awake: ArrayLike | None = None) -> None:
        """Learn from one round: `losses` (expert,), the lower the better, on any scale unless the rule says otherwise.

        `awake` (expert,) bool: who took part in it; all where None, but for those whose loss is NaN. A round that everyone slept through
        changes nothing. Raises DataError for another shape or an infinite loss of one who is awake.
        """
        if np.shape(losses) != (self.experts,) or (awake is not None and np.shape(awake) != (self.experts,)):
            found = f"losses {np.shape(losses)}" + ("" if awake is None else f", awake {np.shape(awake)}")
            raise DataError(f"a round of {self.experts} experts has one loss of each: expected ({self.experts},), got {found}")
        self._losses[:] = losses
        self._awake[:] = True if awake is None else awake
        count = _fill(self._losses, self._awake, self._weights)
        if count < 0:
            raise DataError(f"the loss of expert {-1 - count} is infinite; leave it out as asleep, or bound it")
        if count > 0:
            self._learn(self._losses, self._awake)

    @abstractmethod
    def _learn(self, losses: Array, awake: Awake) -> None:
        """Move `_weights` by a round of finite `losses` (expert,), in which sleepers have that of the mixture."""

    def state(self) -> State:
        """What was learned, as data; the settings are not in it."""
        return State({"name": self.name}, {name: getattr(self, f"_{name}").copy() for name in _ARRAYS})

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError where it is of another rule or of another number of experts."""
        if state.values.get("name") != self.name:
            raise StateError(f"this is no state of {self.name}: {dict(state.values)}")
        for name in _ARRAYS:
            mine, saved = getattr(self, f"_{name}"), state.arrays.get(name)
            if saved is None or saved.shape != mine.shape or saved.dtype != mine.dtype:
                found = "nothing" if saved is None else f"{saved.dtype} {saved.shape}"
                raise StateError(f"{self.name}: {name} is {found}, expected {mine.dtype} {mine.shape}; restore it with as many experts")
        for name in _ARRAYS:
            getattr(self, f"_{name}")[...] = state.arrays[name]
        return self


def among(weights: ArrayLike, awake: ArrayLike) -> Array:
    """`weights` (expert,) of those `awake` (expert,) bool, scaled to sum to one; zeros where nobody is awake."""
    trusted, taking_part = np.array(weights, dtype=np.float64), np.array(awake, dtype=np.bool_)
    if trusted.shape != taking_part.shape or trusted.ndim != 1:
        raise DataError(f"weights have shape {trusted.shape}, awake {taking_part.shape}; both are (expert,)")
    shares = np.empty(len(trusted))
    _among(trusted, taking_part, shares)
    return shares
