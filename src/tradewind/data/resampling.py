"""Slower bars from faster ones, all at once or bar by bar, and the join of both on `known`: a slow bar may be acted on once it has closed.

Joining a slow bar on its open time instead would show its close up to a whole slow bar too early, the usual look-ahead of
multi-timeframe studies. Both are a few passes over the bars.
"""

from __future__ import annotations

from typing import Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import DAY, parse_duration, timeframe_name
from tradewind.core.errors import DataError, StateError
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, State, Times

__all__ = ["Gathering", "join_asof", "resample"]

_NEVER: Final = -1
_ARRAYS: Final = ("open_time", "known", "open", "high", "low", "close", "volume", "funding_rate", "mark_close")
_MONDAY: Final = 4 * DAY
"""1970-01-01 was a Thursday; weeks begin on the Monday after."""


def resample(market: Market, timeframe: str) -> Market:
    """Bars of a slower `timeframe`, whose boundaries are whole multiples of it in UTC (weeks begin on Monday).

    A slow bar is made of the bars that exist in it: first open, highest high, lowest low, last close, summed volume and funding rate,
    last mark. Its `known` is its own close. Part bars are left out: the first, when the market begins within it, and the last, when the
    market ends before it closes. Raises SettingsError unless the timeframe is a multiple of the market's, DataError when no slow bar is
    complete.
    """
    step = _require_multiple(market, timeframe)
    opened = _opened(market.open_time, step)
    complete = opened + step <= market.known[-1] if len(market) else np.zeros(0, dtype=bool)
    complete &= (opened > opened[:1]) | (market.open_time[:1] == opened[:1])
    if not complete.any():
        raise DataError(
            f"these {len(market)} bars of {market.timeframe} complete no bar of {timeframe}; take more bars or a faster timeframe"
        )
    # They are one stretch: only the first and the last slow bar can be in parts.
    rows = np.flatnonzero(complete)
    whole = market[int(rows[0]) : int(rows[-1]) + 1]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(opened[rows]) > 0]))
    return _gathered(whole, starts, opened[rows][starts], step)


@final
class Gathering:
    """`resample` bar by bar: gathers the bars of `symbols` into slow ones of `timeframe` and hands out those that have closed, to the bit.

    It needs bars that are known within a bar's length of their close; those of one that began within a slow bar are left out of it.
    """

    def __init__(self, symbols: tuple[str, ...], timeframe: str) -> None:
        self.symbols, self.timeframe, self.step = symbols, timeframe, parse_duration(timeframe)
        self._opened = _NEVER
        self._held: list[Market] = []

    def update(self, market: Market) -> list[Market]:
        """The slow bars, one each, that are known once the one bar of `market` is: mostly none, two after a hole.

        Raises SettingsError unless the timeframe is a multiple of the market's, DataError for other symbols or another number of bars.
        """
        _require_multiple(market, self.timeframe)
        if len(market) != 1 or market.symbols != self.symbols:
            raise DataError(f"give one bar of {list(self.symbols)} at a time, not {len(market)} of {list(market.symbols)}")
        opened, closed = int(_opened(market.open_time, self.step)[0]), []
        if opened != self._opened:
            closed = self._closed()
            # The very first slow bar may have begun before anybody looked.
            whole = self._opened != _NEVER or market.open_time[0] == opened
            self._opened, self._held = opened, [market] if whole else []
        elif self._held:
            self._held.append(market)
        return closed + (self._closed() if opened + self.step <= market.known[0] else [])

    def state(self) -> State:
        """The bars of the slow bar that is not closed yet, as data."""
        values = {"timeframe": self.timeframe, "symbols": list(self.symbols), "opened": self._opened}
        if not self._held:
            return State(values)
        held = _joined(self._held)
        arrays = {name: array.copy() for name in _ARRAYS if (array := getattr(held, name)) is not None}
        return State({**values, "bars": held.timeframe, "calendar": held.calendar}, arrays)

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError for that of another timeframe or other symbols."""
        values = state.values
        if values.get("timeframe") != self.timeframe or values.get("symbols") != list(self.symbols):
            raise StateError(f"this state does not gather {list(self.symbols)} into bars of {self.timeframe}; restore it where it was made")
        self._opened = int(values["opened"])
        self._held = [Market(self.symbols, values["bars"], calendar=values["calendar"], **state.arrays)] if "bars" in values else []
        return self

    def _closed(self) -> list[Market]:
        held, self._held = self._held, []
        return [_gathered(_joined(held), np.zeros(1, dtype=np.int64), np.array([self._opened]), self.step)] if held else []


def join_asof(market: Market, slow: Market) -> NDArray[np.int64]:
    """(time,): for each bar of `market` the row of the last bar of `slow` with known <= its own known, -1 where there is none yet.

    `slow.close[join_asof(market, slow)]` is what somebody deciding at each close of `market` knows of the slow bars; mind the -1.
    """
    return np.searchsorted(slow.known, market.known, side="right").astype(np.int64) - 1


def _require_multiple(market: Market, timeframe: str) -> int:
    step = parse_duration(timeframe)
    require(step % market.step == 0 and step > market.step, f"timeframe {timeframe!r} is no multiple of the market's {market.timeframe!r}")
    return step


def _opened(open_time: Times, step: int) -> Times:
    """When the slow bar opened in which each time lies."""
    anchor = _MONDAY if step % (7 * DAY) == 0 else 0
    return (open_time - anchor) // step * step + anchor


def _gathered(market: Market, starts: NDArray[np.int64], slow: Times, step: int) -> Market:
    """The slow bars that open at `slow` and whose bars begin at the rows `starts`."""
    return Market(
        market.symbols,
        timeframe_name(step),
        slow,
        slow + step,
        _edge(market.open, starts, last=False),
        np.fmax.reduceat(market.high, starts),
        np.fmin.reduceat(market.low, starts),
        _edge(market.close, starts, last=True),
        _total(market.volume, starts),
        None if market.funding_rate is None else _total(market.funding_rate, starts),
        None if market.mark_close is None else _edge(market.mark_close, starts, last=True),
        market.calendar,
    )


def _joined(parts: list[Market]) -> Market:
    """One market of bars that follow one another."""
    first = parts[0]
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS if getattr(first, name) is not None}
    return Market(first.symbols, first.timeframe, calendar=first.calendar, **arrays)


def _edge(values: Array, starts: NDArray[np.int64], *, last: bool) -> Array:
    """The first or last value of each group that is there, NaN where none is."""
    rows = np.arange(len(values))[:, None]
    absent = np.isnan(values)
    if last:
        index = np.maximum.reduceat(np.where(absent, -1, rows), starts)
    else:
        index = np.minimum.reduceat(np.where(absent, len(values), rows), starts)
    # Groups without any value point outside; row 0 stands in and is blanked.
    there = (index >= 0) & (index < len(values))
    picked = np.take_along_axis(values, np.where(there, index, 0), axis=0)
    return np.where(there, picked, np.nan)


def _total(values: Array, starts: NDArray[np.int64]) -> Array:
    """The sum of each group over the values that are there, NaN where none is."""
    absent = np.isnan(values)
    sums = np.add.reduceat(np.where(absent, 0.0, values), starts)
    return np.where(np.logical_and.reduceat(absent, starts), np.nan, sums)
