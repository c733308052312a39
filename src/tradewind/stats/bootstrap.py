"""Stationary bootstrap: resamples blocks of random length, so that intervals survive autocorrelation and changing volatility.

Papers: Politis & Romano (1994) https://doi.org/10.1080/01621459.1994.10476870; the block length of Politis & White (2004)
https://doi.org/10.1081/ETC-120028836 as corrected by Patton, Politis & White (2009) https://doi.org/10.1080/07474930802459016; the
difference of Sharpe ratios after Ledoit & Wolf (2008) https://doi.org/10.1016/j.jempfin.2008.03.002.
Cost: means of any column of a resample are differences of running sums, O(time / block) a draw; other statistics O(time) and a call.
Fails on trends and structural breaks (the series must be stationary) and below some fifty rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError
from tradewind.core.seeds import generator
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.stats.metrics import finite_returns, sharpe

__all__ = ["block_length", "bootstrap_interval", "bootstrap_means", "bootstrap_sharpes", "resample"]


@kernel
def _draw_block(n: int, left: int, probability: float, random: np.random.Generator) -> tuple[int, int]:
    """(start, length) of the next block: uniform start, geometric length of mean 1 / probability, at most `left` rows."""
    start = min(int(random.random() * n), n - 1)
    if probability >= 1.0:
        return start, 1
    # Inversion of the geometric law; 1 - u is never 0.
    length = 1.0 + math.floor(math.log(1.0 - random.random()) / math.log(1.0 - probability))
    return start, left if length >= left else int(length)


@kernel
def _bootstrap_means(running: Array, draws: int, block: float, random: np.random.Generator) -> Array:
    """(draw, column) means of stationary resamples of the columns whose running sums, from 0, are `running` (time + 1, column)."""
    n, columns = running.shape[0] - 1, running.shape[1]
    means = np.zeros((draws, columns))
    probability = 1.0 / block
    for draw in range(draws):
        left = n
        while left > 0:
            start, length = _draw_block(n, left, probability, random)
            stop = start + length
            for column in range(columns):
                if stop <= n:
                    means[draw, column] += running[stop, column] - running[start, column]
                else:
                    means[draw, column] += running[n, column] - running[start, column] + running[stop - n, column]
            left -= length
        for column in range(columns):
            means[draw, column] /= n
    return means


@kernel
def _resample(n: int, block: float, random: np.random.Generator) -> NDArray[np.int64]:
    """(time,) row numbers of one stationary resample of n rows, wrapping around the end."""
    rows = np.empty(n, dtype=np.int64)
    filled = 0
    while filled < n:
        start, length = _draw_block(n, n - filled, 1.0 / block, random)
        for step in range(length):
            rows[filled + step] = (start + step) % n
        filled += length
    return rows


def resample(n: int, block: float, seed: int = 0, draws: int = 1) -> NDArray[np.int64]:
    """(draw, time) row numbers of stationary resamples of `n` rows with mean block length `block` (rows, at least 1)."""
    _require(block, draws)
    random = generator(seed, "bootstrap")
    return np.stack([_resample(n, float(block), random) for _ in range(draws)])


def _require(block: float, draws: int) -> None:
    require(block >= 1.0, f"the mean block length is {block:g}; it is at least 1 row")
    require(draws >= 1, f"draws is {draws}; at least 1 is needed")


def block_length(returns: ArrayLike) -> float:
    """The mean block length, in rows, that suits the mean of `returns` (time,) or, the longest, of each column of (time, series).

    1 for independent rows, never more than min(3 sqrt(n), n / 3). Politis & White (2004) with the correction of 2009.
    """
    panel = np.asarray(returns, dtype=np.float64)
    panel = panel.reshape(len(panel), -1)
    return max((_column_block(column) for column in panel.T), default=1.0)


def _column_block(series: Array) -> float:
    n = len(series)
    centred = series - series.mean() if n else series
    if n < 8 or not np.ptp(series) > 0:
        return 1.0
    quiet = max(5, int(math.sqrt(math.log10(n))))
    reach = min(math.ceil(math.sqrt(n)) + quiet, n - 1)
    covariance = np.array([centred[: n - lag] @ centred[lag:] for lag in range(reach + 1)]) / n
    # The smallest lag after which `quiet` autocorrelations in a row are insignificant; the longest significant one if there is none.
    loud = np.abs(covariance[1:]) >= 2.0 * math.sqrt(math.log10(n) / n) * covariance[0]
    runs = np.convolve(~loud, np.ones(quiet), mode="valid") == quiet if len(loud) >= quiet else np.zeros(1, dtype=bool)
    last = int(np.argmax(runs)) if runs.any() else int(np.flatnonzero(loud)[-1]) + 1 if loud.any() else 0
    bandwidth = min(2 * max(last, 1), reach)
    lags = np.arange(-bandwidth, bandwidth + 1)
    window = np.minimum(1.0, 2.0 * (1.0 - np.abs(lags) / bandwidth))
    weighted = window * covariance[np.abs(lags)]
    slope, level = float(np.abs(lags) @ weighted), float(weighted.sum())
    if level <= 0.0:
        return 1.0
    ideal = float((slope**2 / level**2 * n) ** (1.0 / 3.0))
    return max(1.0, min(ideal, math.ceil(min(3.0 * math.sqrt(n), n / 3.0))))


def bootstrap_means(values: Array, draws: int = 1000, block: float | None = None, seed: int = 0) -> Array:
    """(draw, column) means of stationary resamples of `values` (time, column); all columns of a draw share their rows.

    `block`: mean block length in rows; chosen by `block_length` when not given.
    """
    panel = np.asarray(values, dtype=np.float64)
    length = block_length(panel) if block is None else float(block)
    _require(length, draws)
    # Running sums of centred columns stay small, which keeps the differences exact to rounding.
    centre = panel.mean(axis=0)
    running = np.vstack([np.zeros(panel.shape[1]), np.cumsum(panel - centre, axis=0)])
    return np.asarray(_bootstrap_means(running, draws, length, generator(seed, "bootstrap")) + centre)


def bootstrap_sharpes(returns: ArrayLike, draws: int = 1000, block: float | None = None, seed: int = 0) -> Array:
    """(draw, series) Sharpe ratios per period of stationary resamples of `returns` (time, series), rows drawn together.

    Series without variance have 0 throughout; so does a resample that happens to have none. A difference of two columns is the paired
    bootstrap of Ledoit & Wolf (2008).
    """
    panel = np.asarray(returns, dtype=np.float64)
    scale = panel.std(axis=0)
    flat = ~(scale > 1e-12 * np.abs(panel).max(axis=0, initial=0.0))
    scaled = panel / np.where(flat, 1.0, scale)
    length = block_length(panel) if block is None else float(block)
    means = bootstrap_means(np.hstack([scaled, scaled**2]), draws, length, seed)
    series, n = panel.shape[1], len(panel)
    first, second = means[:, :series], means[:, series:]
    variance = (second - first**2) * n / max(n - 1, 1)
    defined = (variance > 1e-12) & ~flat
    return np.asarray(np.where(defined, first / np.sqrt(np.where(defined, variance, 1.0)), 0.0))


def bootstrap_interval(
    returns: ArrayLike,
    statistic: Callable[[Array], float] = sharpe,
    *,
    confidence: float = 0.9,
    draws: int = 1000,
    block: float | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """(low, high): the percentile interval of `statistic` over stationary resamples of `returns` (time,), NaN left out.

    `statistic` maps (time,) to a number; `tradewind.stats.sharpe` (per period) takes a fast path. The percentile interval asks for no
    standard error, so it serves every statistic, and is right for any monotone transformation of it; measured coverage stands in the
    tests. (nan, nan) with fewer than two returns. Politis & Romano (1994).
    """
    require(0.0 < confidence < 1.0, f"confidence is {confidence:g}; it lies between 0 and 1, such as 0.9")
    series = finite_returns(returns)
    if len(series) < 2:
        return math.nan, math.nan
    length = block_length(series) if block is None else float(block)
    _require(length, draws)
    if statistic is sharpe:
        values = bootstrap_sharpes(series[:, None], draws, length, seed)[:, 0]
    else:
        random = generator(seed, "bootstrap")
        values = np.array([statistic(series[_resample(len(series), length, random)]) for _ in range(draws)], dtype=np.float64)
    if np.isnan(values).all():
        raise DataError("the statistic is NaN on every resample; it must map returns (time,) to a number")
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(values, [tail, 1.0 - tail])
    return float(low), float(high)
