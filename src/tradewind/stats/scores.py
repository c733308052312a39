"""How good is a forecast, beside the base rate: classes, probabilities, quantiles, whole distributions, and rank correlation with returns.

Sources: Gneiting & Raftery (2007), proper scores, https://doi.org/10.1198/016214506000001437; Brier (1950)
https://doi.org/10.1175/1520-0493(1950)078%3C0001:VOFEIT%3E2.0.CO;2; Guo et al. (2017), calibration, https://arxiv.org/abs/1706.04599.
Cost: one pass; `crps_ensemble` and `information_coefficient` sort. Rows with NaN are left out; without rows the answer is NaN.
Accuracy fails as a guide when classes are unbalanced: read it beside `base_rate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from tradewind.core.errors import DataError
from tradewind.core.settings import require
from tradewind.core.types import Array

__all__ = [
    "Calibration",
    "bias_variance",
    "brier",
    "calibration",
    "classification",
    "crps_ensemble",
    "crps_gaussian",
    "crps_quantiles",
    "information_coefficient",
    "log_loss",
    "mae",
    "mae_by_horizon",
    "quantile_calibration",
    "quantile_loss",
]


def _pair(truth: ArrayLike, forecast: ArrayLike) -> tuple[Array, Array]:
    """Both as flat float64 vectors, rows with NaN in either left out. Raises DataError when their shapes differ."""
    y, f = np.asarray(truth, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if y.shape != f.shape:
        raise DataError(f"truth has shape {y.shape}, forecast {f.shape}; they must be alike")
    kept = ~(np.isnan(y) | np.isnan(f))
    return y[kept], f[kept]


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values)) if values.size else math.nan


def classification(truth: ArrayLike, forecast: ArrayLike, classes: Sequence[float] | None = None) -> dict[str, float]:
    """`accuracy`, `precision`, `recall`, `f1`, `base_rate`, `rows` of class codes `forecast` against `truth`, both of one shape.

    `base_rate`: the accuracy of always naming the most frequent true class. Precision, recall and F1 are those of the highest class
    when there are two classes (that is "up"), else their plain means over `classes` (default: all that occur); a class never
    forecast has precision 0, one that never occurs recall 0.
    """
    y, f = _pair(truth, forecast)
    codes = np.unique(np.concatenate([y, f])) if classes is None else np.sort(np.asarray(classes, dtype=np.float64))
    judged = codes[-1:] if len(codes) <= 2 else codes
    hits = np.array([np.count_nonzero((y == c) & (f == c)) for c in judged], dtype=np.float64)
    said = np.array([np.count_nonzero(f == c) for c in judged], dtype=np.float64)
    true = np.array([np.count_nonzero(y == c) for c in judged], dtype=np.float64)
    precision, recall = hits / np.maximum(said, 1.0), hits / np.maximum(true, 1.0)
    f1 = 2.0 * hits / np.maximum(said + true, 1.0)
    numbers = {"accuracy": _mean(y == f)}
    for name, value in (("precision", precision), ("recall", recall), ("f1", f1)):
        numbers[name] = _mean(value) if len(y) else math.nan
    base = max((_mean(y == c) for c in np.unique(y)), default=math.nan)
    return {**numbers, "base_rate": base, "rows": float(len(y))}


def mae(truth: ArrayLike, forecast: ArrayLike) -> float:
    """Mean absolute error, in the unit of `truth`; both of one shape."""
    y, f = _pair(truth, forecast)
    return _mean(np.abs(y - f))


def mae_by_horizon(truth: ArrayLike, forecast: ArrayLike) -> Array:
    """(horizon,) mean absolute error of each column of `truth` and `forecast` (time, horizon)."""
    y, f = np.asarray(truth, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if y.ndim != 2 or y.shape != f.shape:
        raise DataError(f"truth has shape {y.shape}, forecast {f.shape}; expected (time, horizon) twice")
    return np.array([mae(y[:, column], f[:, column]) for column in range(y.shape[1])])


def bias_variance(truth: ArrayLike, forecasts: ArrayLike) -> dict[str, float]:
    """`squared_bias`, `variance` and `error` of an ensemble `forecasts` (member, time) against `truth` (time,).

    `error` is the mean squared error of a single member: exactly squared_bias (of the members' mean, noise of the truth included)
    plus variance (of the members around their mean, divisor member).
    """
    y, members = np.asarray(truth, dtype=np.float64), np.asarray(forecasts, dtype=np.float64)
    if members.ndim != 2 or y.shape != members.shape[1:]:
        raise DataError(f"truth has shape {y.shape}, forecasts {members.shape}; expected (time,) and (member, time)")
    kept = ~(np.isnan(y) | np.isnan(members).any(axis=0))
    y, members = y[kept], members[:, kept]
    centre = members.mean(axis=0)
    return {
        "squared_bias": _mean((centre - y) ** 2),
        "variance": _mean((members - centre) ** 2),
        "error": _mean((members - y) ** 2),
    }


def quantile_loss(truth: ArrayLike, forecast: ArrayLike, level: float) -> float:
    """Mean pinball loss of `forecast`, the `level` quantile (0 to 1), against `truth`, of one shape; half the MAE at level .5."""
    require(0.0 < level < 1.0, f"the quantile level is {level:g}; it lies between 0 and 1")
    y, f = _pair(truth, forecast)
    return _mean(np.maximum(level * (y - f), (level - 1.0) * (y - f)))


def crps_gaussian(truth: ArrayLike, mean: ArrayLike, deviation: ArrayLike) -> Array:
    """Continuous ranked probability score of N(mean, deviation) at `truth`, elementwise; the unit of `truth`, lower is better.

    Closed form of Gneiting & Raftery (2007), equation 21; a deviation of 0 gives the absolute error.
    """
    y, m, s = (np.asarray(a, dtype=np.float64) for a in (truth, mean, deviation))
    safe = np.where(s > 0, s, 1.0)
    z = (y - m) / safe
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    score = safe * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi))
    return np.asarray(np.where(s > 0, score, np.abs(y - m)))


def crps_ensemble(truth: ArrayLike, ensemble: ArrayLike) -> Array:
    """(time,) continuous ranked probability score of the empirical law of `ensemble` (time, member) at `truth` (time,).

    Mean |member - truth| less half the mean |member - member|. Gneiting & Raftery (2007), equation 20.
    """
    y, members = np.asarray(truth, dtype=np.float64), np.sort(np.asarray(ensemble, dtype=np.float64), axis=-1)
    if members.shape[:-1] != y.shape:
        raise DataError(f"truth has shape {y.shape}, ensemble {members.shape}; expected (time,) and (time, member)")
    count = members.shape[-1]
    # The sum of all pairwise distances of sorted numbers, each weighted by how many stand on either side.
    spread = members @ (2.0 * np.arange(1, count + 1) - count - 1.0) / count**2
    return np.asarray(np.mean(np.abs(members - y[..., None]), axis=-1) - spread)


def crps_quantiles(truth: ArrayLike, quantiles: ArrayLike, levels: Sequence[float]) -> float:
    """Twice the mean pinball loss of `quantiles` (time, level) at `levels`: the CRPS as closely as the levels describe the law."""
    panel = np.asarray(quantiles, dtype=np.float64)
    return 2.0 * float(np.mean([quantile_loss(truth, panel[..., i], level) for i, level in enumerate(levels)]))


def _ranks(values: Array) -> Array:
    """Ranks from 1, ties sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[inverse])


def information_coefficient(truth: ArrayLike, forecast: ArrayLike) -> float:
    """Spearman rank correlation of `forecast` with what came, of one shape; NaN below three rows or when either is constant."""
    y, f = _pair(truth, forecast)
    if len(y) < 3 or np.ptp(y) == 0 or np.ptp(f) == 0:
        return math.nan
    return float(np.corrcoef(_ranks(y), _ranks(f))[0, 1])


def brier(truth: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared distance of `probability` (0 to 1) from `truth` (0 or 1), of one shape; .25 for always saying one half."""
    y, p = _pair(truth, probability)
    return _mean((p - y) ** 2)


def log_loss(truth: ArrayLike, probability: ArrayLike) -> float:
    """Mean negative log-likelihood, in nats, of `truth` (0 or 1) under `probability`; probabilities are kept 1e-15 away from 0 and 1."""
    y, p = _pair(truth, probability)
    p = np.clip(p, 1e-15, 1.0 - 1e-15)
    return -_mean(y * np.log(p) + (1.0 - y) * np.log1p(-p))


@final
@dataclass(frozen=True, eq=False)
class Calibration:
    """The reliability diagram: of the `rows` (bin,) forecasts near `forecast` (bin,), the share `observed` (bin,) came true.

    For quantiles a bin is a level: of the `rows` truths the share `observed` lay at or below the quantile of level `forecast`.
    `error`: expected calibration error, the mean |observed - forecast| weighted by rows. Empty bins are left out.
    """

    forecast: Array
    observed: Array
    rows: NDArray[np.int64]
    error: float


def calibration(truth: ArrayLike, probability: ArrayLike, bins: int = 10) -> Calibration:
    """Reliability of `probability` (0 to 1) for `truth` (0 or 1), of one shape, in `bins` of equal width. Guo et al. (2017)."""
    require(bins >= 1, f"bins is {bins}; at least 1 is needed")
    y, p = _pair(truth, probability)
    place = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    used = rows > 0
    forecast = np.bincount(place, weights=p, minlength=bins)[used] / rows[used]
    observed = np.bincount(place, weights=y, minlength=bins)[used] / rows[used]
    error = float(np.abs(observed - forecast) @ rows[used] / rows.sum()) if rows.sum() else math.nan
    return Calibration(forecast, observed, rows[used], error)


def quantile_calibration(truth: ArrayLike, quantiles: ArrayLike, levels: Sequence[float]) -> Calibration:
    """Coverage of each level: the share of `truth` at or below its quantile, which is the law of the probability integral transform there.

    `quantiles` has the shape of `truth` with one axis more, for `levels` (0 to 1, ascending); infinite ones are fine. Raises DataError
    for other shapes, SettingsError for levels that cannot be. Gneiting, Balabdaoui & Raftery (2007),
    https://doi.org/10.1111/j.1467-9868.2007.00587.x.
    """
    panel, asked = np.asarray(quantiles, dtype=np.float64), np.asarray(levels, dtype=np.float64)
    require(
        bool((asked > 0).all() and (asked < 1).all() and (np.diff(asked) > 0).all()), f"levels are {levels}; they ascend within 0 and 1"
    )
    if panel.shape[-1:] != asked.shape:
        raise DataError(f"quantiles have shape {panel.shape}; the last axis is that of the {len(asked)} levels")
    pairs = [_pair(truth, panel[..., i]) for i in range(len(asked))]
    rows = np.array([len(y) for y, _ in pairs], dtype=np.int64)
    used = rows > 0
    observed = np.array([_mean(y <= q) for y, q in pairs])[used]
    error = float(np.abs(observed - asked[used]) @ rows[used] / rows.sum()) if used.any() else math.nan
    return Calibration(asked[used], observed, rows[used], error)
