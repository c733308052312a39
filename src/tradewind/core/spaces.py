"""Search spaces: which settings of a model may be tuned, and over what. They stand beside the model, as `SPACES` of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from tradewind.core.settings import require

__all__ = ["Choice", "Real", "Space", "Whole"]


@final
@dataclass(frozen=True)
class Choice:
    """One of `values`: numbers, strings or true and false."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        require(len(self.values) > 0, "a choice needs at least one value")


@final
@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, both included; `log`: small ones as finely as large ones."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        require(self.low <= self.high and (self.low > 0 or not self.log), f"a range from {self.low} to {self.high} cannot be searched")


@final
@dataclass(frozen=True)
class Real:
    """A number from `low` to `high`; `log`: equal factors are equally likely."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        require(self.low <= self.high and (self.low > 0 or not self.log), f"a range from {self.low} to {self.high} cannot be searched")


Space: TypeAlias = Mapping[str, "Choice | Whole | Real | Space"]
"""Settings by name; a nested space is that of a setting which is itself a dict, such as `forecaster_settings`."""
