"""Blocks of time: how sure a mean over episodes is, and whether a learner beats another, where episodes share bars.

Tests: Diebold & Mariano 1995, https://doi.org/10.1080/07350015.1995.10524599, over blocks of time with autocovariances tapered;
intervals: the stationary bootstrap of Politis & Romano 1994, https://doi.org/10.1080/01621459.1994.10476870, over the same blocks; many
comparisons: Holm 1979, https://www.jstor.org/stable/4615733. The cost is that of a bootstrap of means. Fails, quietly, with few blocks:
below some fifty of them the test finds more differences than it says (see `tradewind.stats.comparison`), and below eight there is no
interval at all.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, final

import numpy as np

from tradewind.core.errors import DataError
from tradewind.core.types import Array, Times
from tradewind.stats.bootstrap import block_length, bootstrap_means
from tradewind.stats.comparison import DieboldMariano, diebold_mariano, loss_interval

__all__ = ["TimeBlocks"]

LEAST: Final = 8
"""Blocks under which nothing is said of chance."""


@final
class TimeBlocks:
    """Episodes laid on a grid of time whose cells are as long as the longest episode: an episode reaches into the next block at most.

    `starts` and `ends` (episode,) int64 UTC ns: when the first query was asked and when the last answer was known. Episodes that begin in
    one block stay together whatever their symbol, and neighbouring blocks count as correlated. Without times each episode is a block of its
    own, independent of the others: right for synthetic tasks, and for nothing that overlaps.
    """

    def __init__(self, starts: Times | None, ends: Times | None, episodes: int) -> None:
        self.timed = starts is not None and ends is not None
        number = np.arange(episodes, dtype=np.int64)
        if starts is not None and ends is not None:
            if len(starts) != episodes or len(ends) != episodes or (ends < starts).any():
                raise DataError("an episode ends before it starts, or has no times; give query_times and query_known with every task")
            number = (starts - starts.min()) // max(1, int((ends - starts).max()))
        found, row, counts = np.unique(number, return_inverse=True, return_counts=True)
        order = np.argsort(row, kind="stable")
        column = np.empty(episodes, dtype=np.int64)
        column[order] = np.arange(episodes) - np.repeat(np.cumsum(counts) - counts, counts)
        self._place = (row, column)
        self._shape = (len(found), int(counts.max(initial=0)))

    def __len__(self) -> int:
        return self._shape[0]

    def panel(self, values: Array) -> Array:
        """(block, cell): `values` (episode,) where they belong, NaN in cells without an episode."""
        laid = np.full(self._shape, np.nan)
        laid[self._place] = values
        return laid

    def interval(self, values: Array, confidence: float, draws: int, seed: int) -> tuple[float, float]:
        """(low, high) of the mean of `values` (episode,), NaN left out; (nan, nan) below eight blocks."""
        panel = self.panel(values)
        told = panel[~np.isnan(panel).all(axis=1)]
        if len(told) < LEAST:
            return math.nan, math.nan
        return loss_interval(told, confidence=confidence, draws=draws, block=self._block(np.nansum(told, axis=1)), seed=seed)

    def sharpe_interval(self, returns: Array, confidence: float, draws: int, seed: int) -> tuple[float, float]:
        """(low, high) of the Sharpe ratio a decision of `returns` (episode, decision); (nan, nan) below eight blocks."""
        if len(self) < LEAST:
            return math.nan, math.nan
        sums = [np.nansum(self.panel(part), axis=1) for part in (returns.sum(axis=1), np.square(returns).sum(axis=1))]
        counts = (~np.isnan(self.panel(returns[:, 0]))).sum(axis=1) * returns.shape[1]
        means = bootstrap_means(np.column_stack([*sums, counts]), draws, self._block(sums[0]), seed)
        mean, square = means[:, 0] / means[:, 2], means[:, 1] / means[:, 2]
        variance = square - mean**2
        sharpes = np.where(variance > 1e-18, mean / np.sqrt(np.maximum(variance, 1e-18)), 0.0)
        tail = (1.0 - confidence) / 2.0
        low, high = np.quantile(sharpes, [tail, 1.0 - tail])
        return float(low), float(high)

    def compare(self, first: Array, second: Array) -> DieboldMariano:
        """Diebold-Mariano of the losses `first` and `second` (episode,), paired by episode, blocked by time; NaN below eight blocks."""
        found = diebold_mariano(self.panel(first), self.panel(second), 2 if self.timed else 1, "automatic")
        return found if found.rows >= LEAST else replace(found, statistic=math.nan, p_value=math.nan, p_better=math.nan)

    def _block(self, rows: Array) -> float:
        """Mean length of a bootstrap's blocks, in rows; two or more where neighbours overlap."""
        return max(2.0 if self.timed else 1.0, block_length(rows))
