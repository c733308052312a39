"""Slower bars from faster ones, and the join of both on `known`: a slow bar may be acted on only once it has closed.

Joining a slow bar on its open time instead would show its close up to a whole slow bar too early, the usual look-ahead of
multi-timeframe studies. Both are a few passes over the bars.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import DAY, parse_duration, timeframe_name
from tradewind.core.errors import DataError
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array

__all__ = ["join_asof", "resample"]

_MONDAY: Final = 4 * DAY
"""1970-01-01 was a Thursday; weeks begin on the Monday after."""


def resample(market: Market, timeframe: str) -> Market:
    """Bars of a slower `timeframe`, whose boundaries are whole multiples of it in UTC (weeks begin on Monday).

    A slow bar is made of the bars that exist in it: first open, highest high, lowest low, last close, summed volume and funding rate,
    last mark. Its `known` is its own close. Part bars are left out: the first, when the market begins within it, and the last, when the
    market ends before it closes. Raises SettingsError unless the timeframe is a multiple of the market's, DataError when no slow bar is
    complete.
    """
    step = parse_duration(timeframe)
    require(step % market.step == 0 and step > market.step, f"timeframe {timeframe!r} is no multiple of the market's {market.timeframe!r}")
    anchor = _MONDAY if step % (7 * DAY) == 0 else 0
    opened = (market.open_time - anchor) // step * step + anchor
    complete = opened + step <= market.known[-1] if len(market) else np.zeros(0, dtype=bool)
    complete &= (opened > opened[:1]) | (market.open_time[:1] == opened[:1])
    if not complete.any():
        raise DataError(
            f"these {len(market)} bars of {market.timeframe} complete no bar of {timeframe}; take more bars or a faster timeframe"
        )
    rows = np.flatnonzero(complete)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(opened[rows]) > 0]))
    slow = opened[rows][starts]
    return Market(
        market.symbols,
        timeframe_name(step),
        slow,
        slow + step,
        _edge(market.open[rows], starts, last=False),
        np.fmax.reduceat(market.high[rows], starts),
        np.fmin.reduceat(market.low[rows], starts),
        _edge(market.close[rows], starts, last=True),
        _total(market.volume[rows], starts),
        None if market.funding_rate is None else _total(market.funding_rate[rows], starts),
        None if market.mark_close is None else _edge(market.mark_close[rows], starts, last=True),
        market.calendar,
    )


def join_asof(market: Market, slow: Market) -> NDArray[np.int64]:
    """(time,): for each bar of `market` the row of the last bar of `slow` with known <= its own known, -1 where there is none yet.

    `slow.close[join_asof(market, slow)]` is what somebody deciding at each close of `market` knows of the slow bars; mind the -1.
    """
    return np.searchsorted(slow.known, market.known, side="right").astype(np.int64) - 1


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
