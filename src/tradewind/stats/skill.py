"""Is the Sharpe ratio skill? Probabilistic and deflated Sharpe, how long a record must be, and haircuts for many trials.

Papers: Bailey & Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, https://doi.org/10.21314/JOR.2012.255;
(2014), The Deflated Sharpe Ratio, https://doi.org/10.3905/jpm.2014.40.5.094; Bailey, Borwein, Lopez de Prado & Zhu (2014),
Pseudo-Mathematics and Financial Charlatanism, https://doi.org/10.1090/noti1105; Lo (2002), The Statistics of Sharpe Ratios,
https://doi.org/10.2469/faj.v58.n4.2453; Harvey & Liu (2015), Backtesting, https://doi.org/10.3905/jpm.2015.42.1.013.
Every Sharpe ratio here is per period, kurtosis is raw (3 = normal). Cost: closed forms; `robust_sharpe_error` one pass a lag.
Fails when returns are too few for the normal limit (some dozens), or when trials were not counted.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from tradewind.core.settings import choose, require
from tradewind.core.types import Array
from tradewind.stats.metrics import finite_returns, sharpe

__all__ = [
    "deflated_sharpe",
    "expected_max_sharpe",
    "haircut_sharpe",
    "holm",
    "lo_sharpe_error",
    "min_backtest_length",
    "min_track_record",
    "probabilistic_sharpe",
    "robust_sharpe_error",
    "sharpe_error",
]

_EULER: Final = 0.5772156649015329


def _variance_factor(sharpe: float, skew: float, kurtosis: float) -> float:
    """n times the variance of an estimated Sharpe ratio under independent returns (Mertens 2002)."""
    factor = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    require(
        factor > 0.0,
        f"no law has skew {skew:g} and raw kurtosis {kurtosis:g}: kurtosis is at least 1 + skew squared (3 = normal; add 3 to excess)",
    )
    return factor


def sharpe_error(sharpe: float, n: float, skew: float = 0.0, kurtosis: float = 3.0) -> float:
    """Standard error of a Sharpe ratio (per period) estimated from `n` independent returns; NaN for n < 2. Mertens (2002)."""
    return math.sqrt(_variance_factor(sharpe, skew, kurtosis) / (n - 1)) if n > 1 else math.nan


def probabilistic_sharpe(sharpe: float, n: float, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio is above `benchmark`, given the estimate `sharpe` of `n` returns; all per period.

    NaN for n < 2. Raises SettingsError for a skew and kurtosis that no distribution has. Bailey & Lopez de Prado (2012).
    """
    return float(ndtr((sharpe - benchmark) / sharpe_error(sharpe, n, skew, kurtosis)))


def expected_max_sharpe(trials: float, variance: float) -> float:
    """The best Sharpe ratio to expect of `trials` independent strategies without skill whose estimates have `variance`.

    0 for one trial or none. Bailey & Lopez de Prado (2014), equation 1.
    """
    require(variance >= 0.0, f"the variance of the trials' Sharpe ratios is {variance:g}; it cannot be negative")
    if trials <= 1:
        return 0.0
    quantiles = (1.0 - _EULER) * ndtri(1.0 - 1.0 / trials) + _EULER * ndtri(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * float(quantiles)


def deflated_sharpe(sharpe: float, n: float, trials: float, variance: float, skew: float = 0.0, kurtosis: float = 3.0) -> float:
    """Probability that the true Sharpe ratio is above what the best of `trials` lucky ones would show; all per period.

    `variance`: of the Sharpe ratios of the trials. Bailey & Lopez de Prado (2014), equation 2.
    """
    return probabilistic_sharpe(sharpe, n, skew, kurtosis, expected_max_sharpe(trials, variance))


def min_track_record(sharpe: float, benchmark: float = 0.0, skew: float = 0.0, kurtosis: float = 3.0, confidence: float = 0.95) -> float:
    """The number of returns after which `sharpe` would be above `benchmark` with `confidence`; all per period.

    Infinite when `sharpe` is not above `benchmark`. Bailey & Lopez de Prado (2012), equation 11.
    """
    require(0.0 < confidence < 1.0, f"confidence is {confidence:g}; it lies between 0 and 1, such as 0.95")
    if not sharpe > benchmark:
        return math.inf
    return 1.0 + _variance_factor(sharpe, skew, kurtosis) * (float(ndtri(confidence)) / (sharpe - benchmark)) ** 2


def min_backtest_length(trials: float, sharpe: float) -> float:
    """Years below which the best of `trials` strategies without skill is expected to show the annual `sharpe`.

    Infinite when `sharpe` is not positive. Bailey, Borwein, Lopez de Prado & Zhu (2014), theorem 1.
    """
    return (expected_max_sharpe(trials, 1.0) / sharpe) ** 2 if sharpe > 0 else math.inf


def lo_sharpe_error(sharpe: float, n: float) -> float:
    """Standard error of a Sharpe ratio per period under independent normal returns: sqrt((1 + sharpe**2 / 2) / n). Lo (2002)."""
    return math.sqrt((1.0 + 0.5 * sharpe**2) / n) if n > 0 else math.nan


def robust_sharpe_error(returns: ArrayLike, lags: int | None = None) -> float:
    """Standard error of the per-period Sharpe ratio of `returns` (time,) under fat tails, autocorrelation and changing volatility.

    The delta method on the influence of each return, with Newey-West weights up to `lags` (default 4 (n/100)^(2/9), at least 1). Lo (2002),
    section on non-iid returns. NaN for fewer than two returns or without variance.
    """
    series = finite_returns(returns)
    ratio = sharpe(series)
    if len(series) < 2 or math.isnan(ratio) or not series.any():
        return math.nan
    n = len(series)
    z = (series - series.mean()) / series.std()
    influence = z - ratio / 2.0 * (z**2 - 1.0)
    reach = min(max(1, int(4 * (n / 100) ** (2 / 9))) if lags is None else lags, n - 1)
    variance = float(influence @ influence) / n
    for lag in range(1, reach + 1):
        variance += 2.0 * (1.0 - lag / (reach + 1)) * float(influence[lag:] @ influence[:-lag]) / n
    return math.sqrt(variance / n) if variance > 0 else math.nan


def _bonferroni(p: Array, trials: float) -> Array:
    return np.asarray(np.minimum(1.0, trials * p))


def holm(p: ArrayLike, trials: float | None = None) -> Array:
    """(test,) p-values adjusted so that they hold for all of `trials` tests together (None: as many as are told), however they depend.

    The k-th smallest times trials - k + 1, no less than those before it, at most 1; NaN stays and counts not. Source: Holm 1979,
    https://www.jstor.org/stable/4615733.
    """
    given = np.asarray(p, dtype=np.float64)
    told = np.flatnonzero(~np.isnan(given))
    order = told[np.argsort(given[told], kind="stable")]
    count = len(order) if trials is None else trials
    adjusted = np.full(len(given), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate((count - np.arange(len(order))) * given[order]))
    return adjusted


def _bhy(p: Array, trials: float) -> Array:
    # Benjamini & Yekutieli's constant makes the false discovery rate hold under any dependence between the trials.
    constant = float(np.sum(1.0 / np.arange(1, int(trials) + 1)))
    order = np.argsort(p, kind="stable")
    stepped = trials * constant / np.arange(1, len(p) + 1) * p[order]
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(stepped[::-1])[::-1])
    return adjusted


_ADJUSTMENTS: Final = {"bonferroni": _bonferroni, "holm": holm, "bhy": _bhy}


def haircut_sharpe(sharpes: ArrayLike, n: float, method: Literal["bonferroni", "holm", "bhy"] = "bhy", trials: int | None = None) -> Array:
    """The Sharpe ratios that leave the same p-value once the number of trials is paid for; 0 where nothing is left.

    `sharpes` (trial,) per period (a single number will do), each estimated from `n` returns; `trials` when more were tried than are
    listed. Two-sided normal p-values; negative ratios become 0. Returns (trial,) in the same order. Harvey & Liu (2015).
    """
    ratios = np.atleast_1d(np.asarray(sharpes, dtype=np.float64))
    count = len(ratios) if trials is None else trials
    require(count >= len(ratios), f"trials is {count}, fewer than the {len(ratios)} Sharpe ratios given")
    p = 2.0 * ndtr(-np.abs(ratios) * math.sqrt(n))
    adjusted = choose(method, _ADJUSTMENTS, "haircut method")(p, float(count))
    left = -ndtri(np.maximum(adjusted, 1e-300) / 2.0) / math.sqrt(n)
    return np.asarray(np.where(ratios > 0, np.minimum(np.maximum(left, 0.0), ratios), 0.0))
