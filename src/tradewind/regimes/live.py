"""A filter beside a market that grows: what a strategy asks at each bar.

Costs one update a bar, and every bar of the market once where it does not go on from what was seen (another past, other symbols, a new
process); the numbers are those of `filter` to the bit. Fails, slowly, with one who shows it another market at every call.
"""

from __future__ import annotations

from typing import final

import numpy as np

from tradewind.core.market import Market
from tradewind.core.types import Array
from tradewind.regimes.base import RegimeFilter, Watch

__all__ = ["Live"]


@final
class Live:
    """`filter` at work over the bars that are new since it was last asked. `row` (symbol, regime): the newest probabilities.

    All of it is a cache: a new one gives the same numbers for the same market.
    """

    def __init__(self, filter: RegimeFilter) -> None:  # noqa: A002 - what it is
        self._filter = filter
        self._watch: Watch | None = None
        self._count, self._first, self._last = 0, -1, -1
        self._symbols: tuple[str, ...] = ()
        self._close: Array = np.empty(0)
        self.row: Array = np.empty((0, 0))

    def follow(self, market: Market) -> tuple[Array, bool]:
        """(time, symbol, regime) of the bars of `market` that were not seen yet, and whether those are all of them, since it is a new one.

        `market` holds every bar up to now, at least one. Raises NotFitted where the filter has to be fitted first.
        """
        anew = self._watch is None or not self._continues(market)
        if anew:
            self._count, self._symbols = 0, market.symbols
            self._watch = self._filter.watch(market.symbols)
        assert self._watch is not None, "made above where there was none"
        rows = np.empty((len(market) - self._count, len(market.symbols), len(self._filter.names)))
        for t in range(len(rows)):
            rows[t] = self._watch.update(market[self._count + t : self._count + t + 1])
        if len(rows):
            self.row = rows[-1]
        self._count, self._first, self._last = len(market), int(market.open_time[0]), int(market.open_time[-1])
        self._close = market.close[-1]
        return rows, anew

    def _continues(self, market: Market) -> bool:
        n = self._count
        if len(market) < n or market.symbols != self._symbols:
            return False
        same = int(market.open_time[0]) == self._first and int(market.open_time[n - 1]) == self._last
        return same and market.close[n - 1].tobytes() == self._close.tobytes()
