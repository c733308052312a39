"""What a series of returns earned and risked: Sharpe, Sortino, drawdown, hit rate, months, and the `summary` that reports print.

Returns are simple per bar, net of costs, (time,). Not a number means no bar: such rows are left out everywhere in this file.
Sources: Sharpe (1994) https://web.stanford.edu/~wfsharpe/art/sr/sr.htm; Sortino & Price (1994) https://doi.org/10.3905/joi.3.3.59.
Cost: one pass. Fails quietly nowhere: what is not defined is NaN, and each docstring says when.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.errors import DataError
from tradewind.core.types import Array, Times

__all__ = [
    "annual_return",
    "drawdown",
    "drawdown_bars",
    "finite_returns",
    "hit_rate",
    "kurtosis",
    "monthly_returns",
    "profit_factor",
    "rolling_sharpe",
    "sharpe",
    "skewness",
    "sortino",
    "summary",
    "volatility",
]

_NO_SPREAD = 1e-12
"""A standard deviation under this share of the largest absolute return is rounding, not risk."""


def finite_returns(returns: ArrayLike) -> Array:
    """`returns` as a float64 vector (time,) without its NaN. Raises DataError for another shape or an infinite return."""
    series = np.asarray(returns, dtype=np.float64)
    if series.ndim != 1:
        raise DataError(f"returns have shape {series.shape}, expected (time,): pass one series, such as returns[:, 0]")
    if np.isinf(series).any():
        raise DataError(f"bar {int(np.flatnonzero(np.isinf(series))[0])}: the return is infinite; equity fell to zero before it")
    return series[~np.isnan(series)]


def _spread(series: Array) -> float:
    """Standard deviation with n - 1; exactly 0 when the series is constant up to rounding; NaN below two rows."""
    if len(series) < 2:
        return math.nan
    deviation = float(np.std(series, ddof=1))
    return deviation if deviation > _NO_SPREAD * float(np.abs(series).max()) else 0.0


def sharpe(returns: ArrayLike, periods_per_year: float = 1.0) -> float:
    """Mean over standard deviation (n - 1) of `returns` (time,), times the root of `periods_per_year`; per period by default.

    Returns that are all zero (nothing was held) have 0.0; any other constant, and fewer than two returns, NaN. No risk-free rate is
    taken off: subtract it first where it matters. Sharpe (1994).
    """
    series = finite_returns(returns)
    deviation = _spread(series)
    if deviation == 0.0:
        return 0.0 if not series.any() else math.nan
    return float(series.mean() / deviation * math.sqrt(periods_per_year)) if len(series) > 1 else math.nan


def sortino(returns: ArrayLike, periods_per_year: float = 1.0) -> float:
    """Mean over downside deviation (root mean square of the returns below zero, over all n), annualised like `sharpe`.

    All-zero returns have 0.0; returns that never fall below zero, and fewer than two, NaN. Sortino & Price (1994).
    """
    series = finite_returns(returns)
    if len(series) < 2:
        return math.nan
    if not series.any():
        return 0.0
    downside = math.sqrt(float(np.mean(np.minimum(series, 0.0) ** 2)))
    return float(series.mean() / downside * math.sqrt(periods_per_year)) if downside > 0 else math.nan


def volatility(returns: ArrayLike, periods_per_year: float = 1.0) -> float:
    """Standard deviation (n - 1) of `returns` (time,) times the root of `periods_per_year`; NaN below two returns."""
    return _spread(finite_returns(returns)) * math.sqrt(periods_per_year)


def annual_return(returns: ArrayLike, periods_per_year: float) -> float:
    """The constant yearly growth rate that gives the same final equity; -1 once equity is gone, NaN without returns."""
    series = finite_returns(returns)
    if len(series) == 0:
        return math.nan
    if series.min() <= -1.0:
        return -1.0
    years = len(series) / periods_per_year
    exponent = float(np.log1p(series).sum()) / years
    return math.expm1(exponent) if exponent < 700.0 else math.inf


def _moment_ratio(returns: ArrayLike, order: int) -> float:
    series = finite_returns(returns)
    if len(series) < 2 or _spread(series) == 0.0:
        return math.nan
    centred = series - series.mean()
    return float(np.mean(centred**order) / np.mean(centred**2) ** (order / 2))


def skewness(returns: ArrayLike) -> float:
    """Third standardised moment (divisor n) of `returns` (time,): 0 for a symmetric law; NaN without variance."""
    return _moment_ratio(returns, 3)


def kurtosis(returns: ArrayLike) -> float:
    """Fourth standardised moment (divisor n) of `returns` (time,), raw: 3 for a normal law; NaN without variance."""
    return _moment_ratio(returns, 4)


def hit_rate(returns: ArrayLike) -> float:
    """Share of the non-zero returns that are positive; NaN when all are zero."""
    series = finite_returns(returns)
    moved = series[series != 0.0]
    return float(np.mean(moved > 0)) if len(moved) else math.nan


def profit_factor(returns: ArrayLike) -> float:
    """Sum of the gains over the sum of the losses; infinite without a loss, NaN when all returns are zero."""
    series = finite_returns(returns)
    gains, losses = float(series[series > 0].sum()), float(-series[series < 0].sum())
    if losses > 0:
        return gains / losses
    return math.inf if gains > 0 else math.nan


def drawdown(equity: ArrayLike) -> Array:
    """(time,) how far `equity` (time,) stands below its highest value so far: 0 at a peak, -.2 when a fifth is lost.

    The peak starts at the first value, so put the starting capital first where a loss on the first bar counts.
    """
    curve = np.asarray(equity, dtype=np.float64)
    if len(curve) == 0:
        return curve
    return np.asarray(curve / np.maximum.accumulate(curve) - 1.0)


def drawdown_bars(equity: ArrayLike) -> int:
    """The longest run of bars that `equity` (time,) spent below an earlier peak; a run that has not ended counts as it stands."""
    under = drawdown(equity) < 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], under, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def rolling_sharpe(returns: ArrayLike, window: int, periods_per_year: float = 1.0) -> Array:
    """(time,) the Sharpe ratio of the last `window` returns, annualised; NaN in the first window - 1 rows and without variance.

    NaN returns count as zero here, so that rows keep their place in time. Cost: O(time).
    """
    series = np.nan_to_num(np.asarray(returns, dtype=np.float64))
    rolled = np.full(len(series), np.nan)
    if 2 <= window <= len(series):
        # Centred first: running sums of raw squares would lose the small variance of returns to rounding.
        centre = float(series.mean())
        sums = np.concatenate([[0.0], np.cumsum(series - centre)])
        squares = np.concatenate([[0.0], np.cumsum((series - centre) ** 2)])
        mean = (sums[window:] - sums[:-window]) / window
        variance = ((squares[window:] - squares[:-window]) / window - mean**2) * window / (window - 1)
        tiny = 1e-12 * float(np.max((series - centre) ** 2, initial=0.0))
        defined = variance > tiny
        ratio = (mean + centre)[defined] / np.sqrt(variance[defined]) * math.sqrt(periods_per_year)
        rolled[window - 1 :][defined] = ratio
    return rolled


def monthly_returns(returns: ArrayLike, open_time: Times) -> dict[int, dict[int, float]]:
    """{year: {month: compounded return}} of `returns` (time,) by the UTC month of `open_time` (time,) in int64 ns.

    Months without a bar are absent; NaN counts as zero.
    """
    series = np.nan_to_num(np.asarray(returns, dtype=np.float64))
    if series.shape != np.shape(open_time):
        raise DataError(f"returns have shape {series.shape}, open_time {np.shape(open_time)}; they must be alike")
    months: NDArray[np.int64] = np.asarray(open_time, dtype="datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    table: dict[int, dict[int, float]] = {}
    for month in np.unique(months):
        year, index = divmod(int(month), 12)
        table.setdefault(1970 + year, {})[index + 1] = float(np.prod(1.0 + series[months == month]) - 1.0)
    return table


def summary(
    returns: ArrayLike,
    periods_per_year: float,
    *,
    weights: ArrayLike | None = None,
    turnover: ArrayLike | None = None,
    costs: ArrayLike | None = None,
) -> dict[str, float]:
    """The numbers of a report, by name; those that are not defined are NaN.

    `returns` (time,) simple, net. Optional, from the account's record: `weights` (time, symbol) held as fractions of equity,
    `turnover` (time,) traded value and `costs` (time,) fees, slippage and funding paid, both as fractions of equity.
    Given: `exposure` the mean gross weight, `turnover` a year, `annual_cost` the share of equity paid away a year, and `cost_share`
    the costs over what was earned before them (NaN when nothing was). `max_drawdown` is zero or negative, starting capital included;
    `drawdown_bars` its longest duration in bars.
    """
    series = finite_returns(returns)
    curve = np.concatenate([[1.0], np.cumprod(1.0 + series)])
    grown, worst = annual_return(series, periods_per_year), float(drawdown(curve).min())
    numbers = {
        "net_return": float(curve[-1] - 1.0),
        "annual_return": grown,
        "volatility": volatility(series, periods_per_year),
        "sharpe": sharpe(series, periods_per_year),
        "sortino": sortino(series, periods_per_year),
        "calmar": grown / -worst if worst < 0 else math.nan,
        "max_drawdown": worst,
        "drawdown_bars": float(drawdown_bars(curve)),
        "hit_rate": hit_rate(series),
        "profit_factor": profit_factor(series),
        "skew": skewness(series),
        "kurtosis": kurtosis(series),
        "bars": float(len(series)),
        "years": len(series) / periods_per_year,
    }
    if weights is not None:
        held = np.abs(np.nan_to_num(np.asarray(weights, dtype=np.float64)))
        numbers["exposure"] = float(held.reshape(len(held), -1).sum(axis=1).mean()) if len(held) else math.nan
    if turnover is not None:
        numbers["turnover"] = float(np.nanmean(np.asarray(turnover, dtype=np.float64)) * periods_per_year) if len(series) else math.nan
    if costs is not None:
        paid = float(np.nansum(np.asarray(costs, dtype=np.float64)))
        earned = float(series.sum()) + paid
        numbers["annual_cost"] = paid / numbers["years"] if len(series) else math.nan
        numbers["cost_share"] = paid / earned if earned > 0 else math.nan
    return numbers
