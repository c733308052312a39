"""Is one forecaster's loss lower than another's by more than chance: the Diebold-Mariano test, and bootstrap intervals of mean losses.

Papers: Diebold & Mariano (1995) https://doi.org/10.1080/07350015.1995.10524599; its small-sample correction, Harvey, Leybourne & Newbold
(1997) https://doi.org/10.1016/S0169-2070(96)00719-4; the bandwidth where autocorrelation is unknown, Newey & West (1994)
https://doi.org/10.2307/2297912; intervals by the stationary bootstrap of `stats/bootstrap`.
Cost: O(time * lags), and O(draws * time / block) for an interval. Fails where one model nests the other (Clark & West's case: the test is
too shy), where losses trend or break, where the better of many was picked before it was compared, and with fewer than some 50 rows a
horizon: then it calls a difference more often than it says (measured in the tests).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from tradewind.core.errors import DataError
from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.stats.bootstrap import block_length, bootstrap_means

__all__ = ["DieboldMariano", "diebold_mariano", "loss_interval"]

LEAST: Final = 8
"""Rows under which an interval is not asked of a bootstrap."""


@final
@dataclass(frozen=True)
class DieboldMariano:
    """What the test found. `difference`: mean loss of the first less that of the second, below zero where the first is better.

    `statistic`: Student's t with `rows` - 1 degrees of freedom where both are equally good. `p_value`: two-sided. `p_better`: one-sided,
    small where the first is better; 1 - p_better speaks for the second. `lags`: autocovariances that the variance counts.
    All but `rows` and `lags` are NaN where there are too few rows for the horizon.
    """

    difference: float
    statistic: float
    p_value: float
    p_better: float
    rows: int
    lags: int


def diebold_mariano(
    first: ArrayLike, second: ArrayLike, horizon: int = 1, bandwidth: Literal["horizon", "automatic"] = "horizon"
) -> DieboldMariano:
    """Test whether two forecasters are equally good, given the loss of each in every row: (time,), or (time, symbol) of one panel.

    Any loss will do (squared error, pinball, log loss). Cells with NaN in either are left out of both, and rows without a cell from the
    series, whose neighbours then count as neighbours. Symbols of a row are added up, since they share their bar: `difference` is the mean
    over all cells. `horizon`: bars that a forecast looks ahead, whose overlap makes the difference an MA(horizon - 1). `bandwidth`:
    `horizon` counts that many autocovariances in full, as the papers do (tapered where their sum is not positive); `automatic` tapers
    (Bartlett) over at least as many and at least 4 (n / 100)^(2/9). Raises DataError for shapes that differ.
    """
    whole(horizon=horizon)
    require(bandwidth in ("horizon", "automatic"), f"bandwidth is {bandwidth!r}; it is 'horizon' or 'automatic'")
    sums, counts = _sums(_losses(first, "first") - _losses(second, "second", first))
    n = len(sums)
    lags = horizon - 1 if bandwidth == "horizon" else max(horizon - 1, int(4.0 * (n / 100.0) ** (2.0 / 9.0)))
    correction = n + 1 - 2 * horizon + horizon * (horizon - 1) / n if n else 0.0
    if n < 2 or lags >= n or correction <= 0:
        return DieboldMariano(math.nan, math.nan, math.nan, math.nan, n, lags)
    # So scaled, the mean of the rows is the mean of the cells.
    rows = sums / counts.mean()
    difference = float(rows.mean())
    variance = _long_run_variance(rows, lags, taper=bandwidth == "automatic")
    statistic = _ratio(difference * math.sqrt(correction), math.sqrt(variance))
    below = float(stdtr(n - 1, statistic))
    return DieboldMariano(difference, statistic, 2.0 * float(stdtr(n - 1, -abs(statistic))), below, n, lags)


def loss_interval(
    losses: ArrayLike,
    less: ArrayLike | None = None,
    *,
    confidence: float = 0.9,
    draws: int = 1000,
    block: float | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """(low, high): the percentile interval of the mean of `losses` (time,) or (time, symbol), or of `losses` less those in `less`.

    Whole rows are drawn, in blocks of mean length `block` (rows; chosen from the data where None): cells of one bar stay together, and
    neighbours too. NaN cells are left out; with two arrays those that are NaN in either, so that both are judged on the same cells.
    (nan, nan) under eight rows. Raises DataError for shapes that differ. Politis & Romano (1994).
    """
    fraction(confidence=confidence)
    cells = _losses(losses, "losses")
    sums, counts = _sums(cells if less is None else cells - _losses(less, "less", losses))
    if len(sums) < LEAST:
        return math.nan, math.nan
    rows = sums / counts.mean()
    length = block_length(rows) if block is None else float(block)
    means = bootstrap_means(np.column_stack([rows, counts / counts.mean()]), draws, length, seed)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means[:, 0] / means[:, 1], [tail, 1.0 - tail])
    return float(low), float(high)


def _losses(losses: ArrayLike, what: str, other: ArrayLike | None = None) -> Array:
    """(time, symbol) as float64. Raises DataError for other ranks, infinite values, and a shape that is not that of `other`."""
    panel = np.asarray(losses, dtype=np.float64)
    if panel.ndim not in (1, 2) or (other is not None and panel.shape != np.shape(other)):
        beside = "" if other is None else f", the others {np.shape(other)}"
        raise DataError(f"{what} has shape {panel.shape}{beside}; expected losses (time,) or (time, symbol), all alike")
    if np.isinf(panel).any():
        raise DataError(f"{what} holds infinite losses; a mean of them says nothing")
    return panel[:, None] if panel.ndim == 1 else panel


def _sums(cells: Array) -> tuple[Array, Array]:
    """(row,) sums and numbers of the cells that are there, rows without any left out."""
    there = ~np.isnan(cells)
    counts = there.sum(axis=1)
    kept = counts > 0
    return np.where(there, cells, 0.0).sum(axis=1)[kept], counts[kept].astype(np.float64)


def _long_run_variance(series: Array, lags: int, taper: bool) -> float:
    """Of sqrt(n) times the mean: autocovariances up to `lags` in full, or weighted by Bartlett's triangle, which keeps it positive."""
    n = len(series)
    centred = series - series.mean()
    covariance = np.array([centred[: n - lag] @ centred[lag:] for lag in range(lags + 1)]) / n
    weights = 1.0 - np.arange(1, lags + 1) / (lags + 1.0) if taper else np.ones(lags)
    variance = float(covariance[0] + 2.0 * weights @ covariance[1:])
    return variance if variance > 0 or taper else _long_run_variance(series, lags, taper=True)


def _ratio(difference: float, deviation: float) -> float:
    """Infinite where every row says the same, 0 where there is no difference at all."""
    if deviation > 1e-14 * abs(difference):
        return difference / deviation
    return math.copysign(math.inf, difference) if difference else 0.0
