"""`RegimeFilter`: what tells the regime of a market from bars up to now. A detector of your own subclasses it, or has its methods.

Every filter is causal and never smoothed: the probabilities of bar t come from bars up to t alone, and no later bar changes them. `filter`
and `Watch` give the same numbers to the bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError
from tradewind.core.market import Market
from tradewind.core.types import Array, State, Times

__all__ = ["RegimeFilter", "Regimes", "Watch"]


@final
@dataclass(frozen=True, eq=False)
class Regimes:
    """The regime of each bar: `probabilities` (time, symbol, regime) over `names`, which sum to one.

    NaN before the filter is warm and where a symbol has no bar. `open_time` and `known` (time,) are those of the bars.
    """

    names: tuple[str, ...]
    probabilities: Array
    open_time: Times
    known: Times
    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        expected = (len(self.open_time), len(self.symbols), len(self.names))
        if self.probabilities.shape != expected:
            raise DataError(f"regimes have shape {self.probabilities.shape}, expected (time, symbol, regime) = {expected}")

    def __len__(self) -> int:
        return len(self.open_time)

    def __getitem__(self, rows: slice) -> Regimes:
        """The same regimes at some of the bars (views)."""
        return Regimes(self.names, self.probabilities[rows], self.open_time[rows], self.known[rows], self.symbols)

    @property
    def current(self) -> NDArray[np.int64]:
        """(time, symbol) the most probable regime of each bar by its number in `names`, the first of equals; -1 where there is none."""
        missing: NDArray[np.bool_] = np.asarray(np.isnan(self.probabilities).any(axis=2))
        return np.where(missing, -1, np.where(missing[:, :, None], 0.0, self.probabilities).argmax(axis=2)).astype(np.int64)


class Watch(Protocol):
    """A filter at work, bar by bar; made by `RegimeFilter.watch`."""

    def update(self, market: Market) -> Array:
        """(symbol, regime) probabilities after the one bar of `market`, which follows those seen before; NaN as in `Regimes`."""
        ...

    def state(self) -> State: ...

    def restore(self, state: State) -> Self: ...


class RegimeFilter(ABC):
    """Tells the regime of each symbol by itself. `names`: what the regimes are called; `warmup`: bars before the first answer."""

    name: ClassVar[str]
    names: tuple[str, ...]
    warmup: int = 1

    @abstractmethod
    def filter(self, market: Market) -> Regimes:
        """The regimes of every bar, from bars up to it. Raises NotFitted where it has to be fitted first."""

    @abstractmethod
    def watch(self, symbols: tuple[str, ...]) -> Watch:
        """A watch over `symbols`, before its first bar. Raises NotFitted where it has to be fitted first."""

    @abstractmethod
    def fit(self, market: Market) -> Self:
        """Learn from the bars of a training part. Rules learn nothing. Raises DataError where there is too little to learn from."""

    @abstractmethod
    def state(self) -> State:
        """All that was set or learned, as data."""

    @abstractmethod
    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError for a state of another kind."""
