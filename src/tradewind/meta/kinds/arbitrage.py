"""Arbitrage: the spread between two related markets has left its band; will the trade on its return earn more than its costs?

The spread is the difference of log prices; its band is `band` deviations around the mean of its last `band_window` common bars (Gatev,
Goetzmann and Rouwenhorst 2006, https://doi.org/10.1093/rfs/hhj020). Every close outside is an opportunity: sell the dear one and buy the
cheap one, a unit each; leave at the first close at which the spread is back at the mean as it was on entry, at the latest after `horizon`
common bars. The class is 1 where that earned more than four fills cost. By default no trade is entered while another may be open. Two
markets are related where their returns correlated by at least `min_correlation` in the training part. Costs one pass for each pair and bar
of the horizon. Fails where the relation itself ends: the spread then has a new mean, and what looked like an opportunity was the news.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.arrays import Array
from tradewind.core.errors import DataError
from tradewind.meta.kinds.ground import Ground
from tradewind.meta.kinds.series import Inputs, Rows, Series

__all__ = ["ARBITRAGE_CLASSES", "SPREAD_INPUTS", "arbitrage", "related", "spread_band"]

ARBITRAGE_CLASSES: Final = ("does not pay", "pays")
SPREAD_INPUTS: Final = ("spread", "spread_size", "spread_distance", "spread_change")
"""What a sample shows of the spread before the features of the two markets: its distance from the mean in deviations, the size of that, the
logarithm of one plus the distance in basis points, and how far it has moved in deviations over as many bars as the horizon has."""

_BASIS_POINT: Final = 1e-4


def spread_band(spread: Array, window: int) -> tuple[Array, Array]:
    """(bar,) mean and deviation (population) of the last `window` values of each, itself included; NaN before there are as many."""
    mean, deviation = np.full((2, len(spread)), np.nan)
    if len(spread) >= window:
        # Sums of distances from the first value lose fewer digits than sums of the values.
        distance = spread - spread[0]
        first, second = (np.concatenate([[0.0], np.cumsum(part)]) for part in (distance, distance * distance))
        center = (first[window:] - first[:-window]) / window
        variance = np.maximum((second[window:] - second[:-window]) / window - center * center, 0.0)
        mean[window - 1 :] = center + spread[0]
        # Below this a variance is the rounding of the sums.
        deviation[window - 1 :] = np.where(variance > 1e-14, np.sqrt(variance), 0.0)
    return mean, deviation


def related(ground: Ground, min_correlation: float) -> list[tuple[int, int]]:
    """The pairs of the part's symbols whose log returns over common bars of the training part correlate by `min_correlation` or more."""
    closes = np.log(ground.market.close[ground.division.train.first : ground.division.train.stop])
    found = []
    for pair in combinations(ground.part.columns, 2):
        common = closes[:, pair][np.isfinite(closes[:, pair]).all(axis=1)]
        moves = np.diff(common, axis=0)
        if len(moves) > 2 and (moves.std(axis=0) > 0).all() and np.corrcoef(moves.T)[0, 1] >= min_correlation:
            found.append(pair)
    return found


def arbitrage(
    ground: Ground, horizon: int, band: float, band_window: int, cost_bps: float, min_correlation: float, spacing: int
) -> list[Series]:
    """A series for each related pair, in which an opportunity is taken `spacing` common bars after the one before or later.

    `cost_bps`: of one fill, in basis points of the unit. Raises DataError where no two markets of the part are related.
    """
    pairs = related(ground, min_correlation)
    if not pairs:
        names = [ground.market.symbols[column] for column in ground.part.columns]
        raise DataError(
            f"no two of {names} correlate by {min_correlation} in the training part; lower min_correlation or give other markets"
        )
    return [_pair(ground, pair, horizon, (band, band_window), 4.0 * cost_bps * _BASIS_POINT, spacing) for pair in pairs]


def _pair(ground: Ground, pair: tuple[int, int], horizon: int, band: tuple[float, int], cost: float, spacing: int) -> Series:
    bars = np.flatnonzero(np.isfinite(ground.market.close[:, pair]).all(axis=1))
    closes = ground.market.close[bars[:, None], pair]
    spread = np.log(closes[:, 0] / closes[:, 1])
    mean, deviation = spread_band(spread, band[1])
    told = np.isfinite(deviation) & (deviation > 0)
    score = np.where(told, (spread - mean) / np.where(told, deviation, 1.0), np.nan)
    shown = np.full((len(ground.market), 1, len(SPREAD_INPUTS)), np.nan, dtype=np.float32)
    shown[bars, 0] = _shown(score, spread - mean, horizon)
    opportunity = np.abs(score) > band[0]
    opportunity[max(0, len(bars) - horizon) :] = False
    # Where the inputs are not whole nobody can be asked, so nothing is entered either.
    opportunity &= _whole(shown, bars, ground.window) & ground.there[bars[:, None], pair].all(axis=1)
    opportunity &= bars >= ground.part.first
    earned = _earned(closes, spread, mean, np.sign(score), horizon) - cost
    entered = _apart(np.flatnonzero(opportunity), spacing)
    net = earned[entered]
    samples = (bars[entered], bars[entered + horizon], (net > 0).astype(np.float64), net)
    panels = ((shown, (0,)), (ground.inputs, pair))
    return ground.series(pair, panels, samples, stride=1, classes=True)


def _shown(score: Array, distance: Array, horizon: int) -> Inputs:
    """(bar, SPREAD_INPUTS)"""
    change = np.full(len(score), np.nan)
    change[horizon:] = score[horizon:] - score[:-horizon]
    return np.stack([score, np.abs(score), np.log1p(np.abs(distance) / _BASIS_POINT), change], axis=1).astype(np.float32)


def _whole(shown: Inputs, bars: Rows, window: int) -> NDArray[np.bool_]:
    """(bar,) whether the spread is known in all of the `window` rows that end there."""
    known = np.isfinite(shown[:, 0]).all(axis=1).astype(np.int64)
    counts = np.concatenate([[0], np.cumsum(known)])
    return np.asarray(counts[bars + 1] - counts[np.maximum(bars + 1 - window, 0)] == window)


def _earned(closes: Array, spread: Array, mean: Array, side: Array, horizon: int) -> Array:
    """(bar,) simple return of selling the first and buying the second where `side` is 1, the reverse where -1, before costs.

    Left at the first of the next `horizon` closes at which the spread is back at the mean of the entry, else at the last of them.
    """
    count = max(0, len(closes) - horizon)
    earned, closed = np.full(len(closes), np.nan), np.zeros(count, dtype=bool)
    entry = closes[:count]
    for ahead in range(1, horizon + 1):
        moved = closes[ahead : ahead + count] / entry
        gain = side[:count] * (moved[:, 1] - moved[:, 0])
        back = side[:count] * (spread[ahead : ahead + count] - mean[:count]) <= 0.0
        leaves = ~closed & (back | (ahead == horizon))
        earned[:count][leaves] = gain[leaves]
        closed |= back
    return earned


def _apart(opportunities: Rows, spacing: int) -> Rows:
    """Going forward, every opportunity that is `spacing` bars or more after the one taken before it."""
    kept, free = [], 0
    for bar in opportunities.tolist():
        if bar >= free:
            kept.append(bar)
            free = bar + spacing
    return np.asarray(kept, dtype=np.int64)
