"""What an agent may do in the trading environment: a position of its own choosing, or one of a few levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np
from gymnasium import spaces as gym
from numpy.typing import NDArray

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.limits import whole
from tradewind.core.settings import choose, require
from tradewind.core.types import Array

__all__ = ["ACTIONS", "SLACK", "Actions"]

ACTIONS: Final = ("continuous", "discrete")
SLACK: Final = 1e-6
"""How far rounding may carry a continuous action beyond its bounds; it is cut to them there, and an error farther out."""


@final
@dataclass(frozen=True, eq=False)
class Actions:
    """Positions, as signed fractions of equity: any between `low` and `high`, or one of `levels`.

    `levels` (action,): what each discrete action asks for, NaN to keep what is held; empty where actions are continuous.
    """

    low: float
    high: float
    levels: Array

    @classmethod
    def of(cls, actions: str | int, positions: tuple[float, float], most: float) -> Self:
        """`continuous`, `discrete` (SELL, HOLD, BUY) or so many levels. Raises SettingsError for others, or positions beyond `most`."""
        try:
            low, high = (float(position) for position in positions)
        except (TypeError, ValueError):
            raise SettingsError(f"positions is {positions!r}; give the lowest and the highest, such as (-1.0, 1.0)") from None
        require(bool(np.isfinite([low, high]).all()) and low < high, f"positions is {positions!r}; the lowest stands before the highest")
        largest = max(abs(low), abs(high))
        require(largest <= most, f"positions reach {largest:g}, and the costs allow a leverage of {most:g}: raise their max_leverage")
        if isinstance(actions, str):
            choose(actions, dict.fromkeys(ACTIONS), "actions")
            return cls(low, high, np.array([low, np.nan, high] if actions == "discrete" else []))
        whole(least=2, actions=actions)
        return cls(low, high, np.linspace(low, high, actions))

    @property
    def discrete(self) -> bool:
        """Whether there are levels to choose from."""
        return len(self.levels) > 0

    def space(self) -> gym.Space[Any]:
        """The action space of one environment."""
        if self.discrete:
            return gym.Discrete(len(self.levels))
        return gym.Box(self.low, self.high, (1,), np.float32)

    def read(self, actions: Any, lanes: int) -> NDArray[Any]:
        """(lane,) contiguous int64 or float64, not yet looked at one by one. Raises DataError for another shape or kind."""
        given = np.asarray(actions)
        self.expect(given.shape, given.dtype.kind, str(given.dtype), lanes)
        return np.ascontiguousarray(given.reshape(lanes), dtype=np.int64 if self.discrete else np.float64)

    def _shape(self, lanes: int) -> tuple[int, ...]:
        return (lanes,) if self.discrete else (lanes, 1)

    def expect(self, shape: tuple[int, ...], kind: str, dtype: str, lanes: int) -> None:
        """Raise DataError unless actions of `shape` and `kind` (`f`, `i`, `u`; called `dtype`) may be told to so many `lanes`."""
        if shape not in ((lanes,), (lanes, 1)) or (self.discrete and len(shape) == 2):
            raise DataError(f"actions have shape {shape}, expected {self._shape(lanes)}: one for each environment")
        if kind not in ("iu" if self.discrete else "iuf"):
            expected = f"whole numbers from 0 to {len(self.levels) - 1}" if self.discrete else "numbers"
            raise DataError(f"actions are {dtype}, expected {expected}")

    def refuse(self, actions: NDArray[Any], lane: int) -> DataError:
        """What is wrong with the action of `lane`."""
        if self.discrete:
            return DataError(f"environment {lane}: action {actions[lane]} is out of range; it is one of 0 to {len(self.levels) - 1}")
        return DataError(
            f"environment {lane}: action {actions[lane]:g} is out of range; it is a position from {self.low:g} to {self.high:g}"
        )

    def positions(self, actions: NDArray[Any]) -> Array:
        """(lane,) the targets that valid `actions`, as `read` gives them, ask for; NaN keeps. Raises DataError for one out of range."""
        if self.discrete:
            fine = (actions >= 0) & (actions < len(self.levels))
        else:
            fine = (actions >= self.low - SLACK) & (actions <= self.high + SLACK)
        if not fine.all():
            raise self.refuse(actions, int(np.argmin(fine)))
        return np.asarray(self.levels[actions] if self.discrete else np.clip(actions, self.low, self.high))
