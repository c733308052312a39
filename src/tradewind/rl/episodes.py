"""Where episodes begin and end: unbroken stretches of a market, and the starts in them by symbol and regime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.market import Market
from tradewind.core.settings import choose, require

__all__ = ["BEGIN", "END", "OF", "Episodes"]

Whole = NDArray[np.int64]

# Columns of `stretches` (stretch, 3).
OF: Final = 0
BEGIN: Final = 1
END: Final = 2


@final
@dataclass(frozen=True, eq=False)
class Episodes:
    """Episodes of `length` steps from random starts, or with `length` 0 whole stretches one after the other.

    `stretches` (stretch, 3) in the order of symbols and time: the symbol's column, the first bar an episode may start at and the last bar
    it may see. A start is drawn in three steps: one of `drawn` (symbols that have starts), one of its cells (regimes) by `groups`
    (len(drawn) + 1), one of the cell's starts by `cells`, which cuts `starts`.
    """

    length: int
    stretches: Whole
    drawn: Whole
    groups: Whole
    cells: Whole
    starts: Whole

    @classmethod
    def of(cls, market: Market, usable: NDArray[np.bool_], window: int, length: int | None, regimes: ArrayLike | None) -> Self:
        """Those in the bars that are `usable` (time, symbol), with `window` rows up to the first.

        Raises DataError when there are none, and for regimes that do not fit.
        """
        stretches = _stretches(usable, window)
        if length is None:
            if regimes is not None:
                raise SettingsError("regimes choose random starts, and length=None takes whole stretches: leave one of them out")
            _require_room(market, stretches, window, 1)
            nothing = np.empty(0, np.int64)
            return cls(0, stretches, nothing, nothing, nothing, nothing)
        _require_room(market, stretches, window, length)
        kinds = None if regimes is None else _regimes(regimes, market)
        drawn, groups, cells, starts = [], [0], [0], []
        for symbol in range(len(market.symbols)):
            own = stretches[stretches[:, OF] == symbol]
            bars = np.concatenate([np.arange(begin, end - length + 1) for _, begin, end in own] or [np.empty(0, np.int64)])
            for regime in (None,) if kinds is None else np.unique(kinds[:, symbol][kinds[:, symbol] >= 0]):
                some = bars if kinds is None else bars[kinds[bars, symbol] == regime]
                if len(some):
                    starts.append(some)
                    cells.append(cells[-1] + len(some))
            if len(cells) - 1 > groups[-1]:
                drawn.append(symbol)
                groups.append(len(cells) - 1)
        if not starts:
            raise DataError("no start lies in any regime; regimes are whole numbers from 0 up, negative ones mean none")
        return cls(length, stretches, *(np.asarray(a, np.int64) for a in (drawn, groups, cells, np.concatenate(starts))))

    def last(self, symbol: int, start: int) -> int:
        """The last bar of an episode from `start`, or -1 where none can start."""
        own = (
            (self.stretches[:, OF] == symbol)
            & (self.stretches[:, BEGIN] <= start)
            & (self.stretches[:, END] >= start + max(1, self.length))
        )
        if not own.any():
            return -1
        return start + self.length if self.length else int(self.stretches[np.argmax(own), END])

    def place(self, market: Market, symbol: str | int, start: int) -> tuple[int, int, int]:
        """The symbol's column, the start and the last bar of an episode that is asked for. Raises SettingsError or DataError for none."""
        if isinstance(symbol, str):
            choose(symbol, dict.fromkeys(market.symbols), "symbol")
        column = market.symbols.index(symbol) if isinstance(symbol, str) else int(symbol)
        require(0 <= column < len(market.symbols), f"symbol {symbol} is out of range; the market has {len(market.symbols)}")
        last = self.last(column, int(start))
        if last < 0:
            own = self.stretches[self.stretches[:, OF] == column]
            room = ", ".join(f"{begin} to {end - max(1, self.length)}" for _, begin, end in own if end - begin >= max(1, self.length))
            raise DataError(f"no episode of {market.symbols[column]} can start at bar {start}; it can at {room or 'none'}")
        return column, int(start), last


def _stretches(usable: NDArray[np.bool_], window: int) -> Whole:
    found = []
    for symbol in range(usable.shape[1]):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], usable[:, symbol], [False]]).astype(np.int8)))
        begin, end = edges[::2] + (window - 1), edges[1::2] - 1
        fine = begin < end
        found.append(np.stack([np.full(fine.sum(), symbol), begin[fine], end[fine]], axis=1))
    return np.ascontiguousarray(np.concatenate(found), dtype=np.int64)


def _require_room(market: Market, stretches: Whole, window: int, length: int) -> None:
    steps = stretches[:, END] - stretches[:, BEGIN]
    longest = int(steps.max(initial=0))
    if longest < length:
        bars = longest + window if longest else 0
        raise DataError(
            f"an episode of {length} steps needs {length + window} unbroken bars with all features, and the longest stretch of this market "
            f"({len(market)} bars) has {bars}; shorten length or window, choose features with a shorter warm-up, or give more bars"
        )


def _regimes(regimes: ArrayLike, market: Market) -> Whole:
    given = np.asarray(regimes)
    if given.ndim == 1 and len(market.symbols) == 1:
        given = given[:, None]
    if given.shape != market.close.shape or given.dtype.kind not in "iu":
        raise DataError(
            f"regimes are {given.dtype} {given.shape}, expected whole numbers (time, symbol) = {market.close.shape}; negative for none"
        )
    return given.astype(np.int64)
