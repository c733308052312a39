"""`ChangeDetector`: one that watches a single stream of numbers and says, value by value, whether its distribution has changed.

Every detector here has a kernel that lives n values from a memory of arrays; the stream calls it with one value and the batch with all, so
that they agree to the bit. Cost: O(1) or O(window) a value, never the whole past. Fails by both errors at once, whatever the detector: one
that misses less cries wolf more, so that a number of found drifts says nothing without the false alarms beside it (`bench/drift.py`), nor
without the same numbers of a detector that always fires and of one that never does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.types import Array, State

__all__ = ["DRIFT", "WARNING", "ChangeDetector", "Memory"]

WARNING: Final = 1
DRIFT: Final = 2
"""What a signal says: 0 nothing, 1 a warning, 2 a drift."""

Memory = dict[str, NDArray[Any]]
"""All that a detector remembers of its stream, arrays by name, changed in place by its kernel."""


class ChangeDetector(ABC):
    """Tells drift in one stream. After `update`, `drift` says that this value raised the alarm, `warning` that it or a warning came.

    `name` is the word that makes one, `settings` what it was made with. NaN values are passed over and raise nothing.
    """

    name: ClassVar[str]

    def __init__(self, **settings: Any) -> None:
        self.settings: Final = settings
        self.drift = False
        self.warning = False
        self._memory = self._fresh()

    def update(self, x: float) -> None:
        """Take in one more value. Raises DataError for an infinite one."""
        signal = self._live(_series([x]), self._memory)[0]
        self.drift, self.warning = bool(signal == DRIFT), bool(signal >= WARNING)

    def signals(self, series: ArrayLike) -> NDArray[np.int8]:
        """(time,) what each value of `series` (time,) raises, from a fresh memory on: 2 drift, 1 warning, 0 nothing.

        Nothing of this detector changes. Raises DataError for infinite values or another shape.
        """
        return self._live(_series(series), self._fresh())

    def detect(self, series: ArrayLike) -> NDArray[np.int64]:
        """(alarm,) the rows of `series` (time,) at which a drift is told, as `signals`."""
        return np.flatnonzero(self.signals(series) == DRIFT)

    def state(self) -> State:
        """Name, settings and memory, with the last signal."""
        values = {"name": self.name, "settings": dict(self.settings), "drift": self.drift, "warning": self.warning}
        return State(values, {name: array.copy() for name, array in self._memory.items()})

    def restore(self, state: State) -> Self:
        """Go on from `state` as the one that it was taken of would. Raises StateError for another detector or other settings."""
        if state.values.get("name") != self.name or dict(state.values.get("settings", {})) != self.settings:
            told = f"{state.values.get('name')!r} with {dict(state.values.get('settings', {}))}"
            raise StateError(f"this state is of the detector {told}, not of {self.name!r} with {self.settings}; make it alike first")
        if state.arrays.keys() != self._memory.keys():
            raise StateError(f"a state of {self.name!r} holds {sorted(self._memory)}, this one {sorted(state.arrays)}")
        self._memory = {name: np.array(array) for name, array in state.arrays.items()}
        self.drift, self.warning = bool(state.values["drift"]), bool(state.values["warning"])
        return self

    @abstractmethod
    def _fresh(self) -> Memory:
        """The memory before the first value."""

    @abstractmethod
    def _live(self, series: Array, memory: Memory) -> NDArray[np.int8]:
        """(time,) signals of `series`, which follows what `memory` has seen; `memory` is brought up to date in place."""


def _series(series: ArrayLike) -> Array:
    """(time,) float64. Raises DataError for another rank and for infinite values, naming the row."""
    values = np.ascontiguousarray(series, dtype=np.float64)
    if values.ndim != 1:
        raise DataError(f"a detector watches one stream (time,); this has shape {values.shape}")
    if np.isinf(values).any():
        raise DataError(f"the stream has an infinite value in row {int(np.flatnonzero(np.isinf(values))[0])}")
    return values
