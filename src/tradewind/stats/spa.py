"""Superior predictive ability: is the best of several models better than a benchmark once the search for it is paid for?

Paper: Hansen (2005), https://doi.org/10.1198/073500105000000063; the consistent p-value, studentised, by stationary bootstrap.
Cost: O(draws * models * time / block). Fails when returns trend or break, and when the models tried are not all listed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError
from tradewind.core.types import Array
from tradewind.stats.bootstrap import block_length, bootstrap_means

__all__ = ["spa"]


def _long_run_error(excess: Array, block: float) -> Array:
    """(model,) standard deviation of sqrt(n) times the mean under the stationary bootstrap, in closed form (Politis & Romano, lemma 1)."""
    n = len(excess)
    centred = excess - excess.mean(axis=0)
    stay = 1.0 - 1.0 / block
    # Weights beyond the lag at which they fall under 1e-6 add nothing to the sum.
    reach = min(n - 1, math.ceil(math.log(1e-6) / math.log(stay)) if stay > 0 else 0)
    variance = np.mean(centred**2, axis=0)
    for lag in range(1, reach + 1):
        weight = (n - lag) / n * stay**lag + lag / n * stay ** (n - lag)
        variance = variance + 2.0 * weight * np.sum(centred[lag:] * centred[:-lag], axis=0) / n
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def spa(returns: ArrayLike, benchmark: ArrayLike, *, draws: int = 1000, block: float | None = None, seed: int = 0) -> float:
    """Consistent p-value of "no model is better than the benchmark on average": small when the best of them truly is.

    `returns` (time, model) and `benchmark` (time,), simple per bar, without NaN. `block`: mean block length in rows, chosen from the
    excess returns when not given. Models that never differ from the benchmark are left out; 1.0 when all are. Hansen (2005).
    Raises DataError for other shapes or missing values.
    """
    panel, base = np.asarray(returns, dtype=np.float64), np.asarray(benchmark, dtype=np.float64)
    panel = panel[:, None] if panel.ndim == 1 else panel
    if panel.ndim != 2 or base.shape != panel.shape[:1]:
        raise DataError(f"returns have shape {panel.shape}, benchmark {base.shape}; expected (time, model) and (time,)")
    if not (np.isfinite(panel).all() and np.isfinite(base).all()):
        raise DataError("returns and benchmark hold NaN or infinite values; drop those bars from both")
    excess = panel - base[:, None]
    excess = excess[:, np.ptp(excess, axis=0) > 1e-15] if len(excess) else excess[:, :0]
    n = len(excess)
    if n < 8 or excess.shape[1] == 0:
        return 1.0
    length = block_length(excess) if block is None else float(block)
    mean, error = excess.mean(axis=0), _long_run_error(excess, length)
    usable = error > 0
    excess, mean, error = excess[:, usable], mean[usable], error[usable]
    if len(mean) == 0:
        return 1.0
    statistic = max(0.0, float(np.max(math.sqrt(n) * mean / error)))
    # Clearly bad models are recentred at their own mean, so that adding hopeless ones does not hide a good one.
    kept = mean >= -error / math.sqrt(n) * math.sqrt(2.0 * math.log(math.log(n)))
    resampled = bootstrap_means(excess, draws, length, seed) - np.where(kept, mean, 0.0)
    null = np.maximum(0.0, (math.sqrt(n) * resampled / error).max(axis=1))
    return float((1 + np.count_nonzero(null >= statistic)) / (draws + 1))
