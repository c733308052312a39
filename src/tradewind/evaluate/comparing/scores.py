"""How good forecasts were, each number with a bootstrap interval: what is measured of classes, of returns, of several horizons.

Source: the scores of `stats/scores`, written as functions of means, so that one stationary bootstrap of row sums (Politis & Romano 1994,
https://doi.org/10.1080/01621459.1994.10476870) serves them all; whole bars are drawn, in blocks, the symbols of a bar together.
Costs a thousand draws of a few running sums, O(draws * rows / block). Fails on breaks, and under some fifty rows. Ranks are those of
the whole sample in every draw, which makes the interval of the information coefficient a little too narrow in very short records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tradewind.core.types import Array, Forecast, Labels
from tradewind.stats.bootstrap import block_length, bootstrap_means

__all__ = ["HIGHER_IS_BETTER", "Score", "Truth", "losses", "scores"]

HIGHER_IS_BETTER: Final = frozenset({"accuracy", "precision", "recall", "F1", "IC", "R2", "net Sharpe"})
"""Scores of which more is better; `coverage` should be near what was promised, of every other less is better."""

DRAWS: Final = 1000
CONFIDENCE: Final = 0.9
BINS: Final = 10
LEAST: Final = 8
_TINY: Final = 1e-15


@final
@dataclass(frozen=True)
class Score:
    """A number with the ends of its 90 % interval, its least and greatest over the seeds, and how many seeds there were."""

    value: float
    low: float
    high: float
    least: float
    greatest: float
    seeds: int = 1


@final
@dataclass(frozen=True, eq=False)
class Truth:
    """What came: `labels`, `realised` (time, symbol) the return up to the label's end; and `judged`: where forecasts are judged by it."""

    labels: Labels
    realised: Array
    judged: NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class _Measure:
    """A score as a function of the means of some columns: `columns` (cell, k) and `of` (draw, k) -> (draw,)."""

    columns: Array
    of: Callable[[Array], Array]


def losses(forecast: Forecast, truth: Truth) -> Array:
    """(time, symbol) the loss by which forecasters are tested against each other: Brier for classes, squared error for returns."""
    cells = np.full(truth.judged.shape, np.nan)
    if truth.labels.classes:
        cells[truth.judged] = _brier(*_outcomes(forecast, truth))
    else:
        cells[truth.judged] = (_mean(forecast, truth) - truth.labels.values[truth.judged]) ** 2
    return cells


def scores(forecasts: Sequence[Forecast], truth: Truth, seed: int = 0) -> dict[str, Score]:
    """Every score that can be asked of `forecasts`, which are those of one forecaster under several seeds, in the order of a table.

    The value is the mean over the seeds, and the interval that of this mean: every seed is judged on the same resampled bars.
    """
    measured = [_classes(each, truth) if truth.labels.classes else _returns(each, truth) for each in forecasts]
    block = _block(forecasts[0], truth)
    found = {}
    for name in measured[0]:
        values, drawn = zip(*(_draw(each[name], truth.judged, block, seed) for each in measured), strict=True)
        middle = np.mean(drawn, axis=0)
        tail = (1.0 - CONFIDENCE) / 2.0
        low, high = np.quantile(middle, [tail, 1.0 - tail]) if np.isfinite(middle).all() else (math.nan, math.nan)
        found[name] = Score(float(np.mean(values)), float(low), float(high), min(values), max(values), len(values))
    return found


def _block(forecast: Forecast, truth: Truth) -> float:
    """Rows of a block: as the loss of this forecaster asks for, and no shorter than the label, whose answers overlap."""
    cells = losses(forecast, truth)
    rows = np.where(truth.judged, cells, 0.0).sum(axis=1)[truth.judged.any(axis=1)]
    longest = max(1.0, min(3.0 * math.sqrt(len(rows)), len(rows) / 3.0))
    return min(max(block_length(rows), float(truth.labels.horizon)), longest)


def _draw(measure: _Measure, judged: NDArray[np.bool_], block: float, seed: int) -> tuple[float, Array]:
    """The score, and (draw,) what it is on resampled bars."""
    value = float(measure.of(measure.columns.mean(axis=0)[None])[0])
    time = np.nonzero(judged)[0]
    rows, place = np.unique(time, return_inverse=True)
    # An interval without end costs without end: such a loss has no interval, and is told as it is.
    if len(rows) < LEAST or not np.isfinite(measure.columns).all():
        return value, np.full(DRAWS, np.nan)
    cells = np.column_stack([measure.columns, np.ones(len(time))])
    sums = np.column_stack([np.bincount(place, weights=column) for column in cells.T]).astype(np.float64)
    means = bootstrap_means(sums, DRAWS, block, seed)
    return value, np.asarray(measure.of(means[:, :-1] / means[:, -1:]))


def _first(means: Array) -> Array:
    return means[:, 0]


def _root(means: Array) -> Array:
    return np.asarray(np.sqrt(np.maximum(means[:, 0], 0.0)))


def _explained(means: Array) -> Array:
    return np.asarray(1.0 - means[:, 0] / np.where(means[:, 1] > 0, means[:, 1], np.nan))


def _correlation(means: Array) -> Array:
    x, y, xx, yy, xy = means.T
    spread = np.sqrt(np.maximum(xx - x * x, 0.0) * np.maximum(yy - y * y, 0.0))
    # One who says the same of every row ranks nothing, which is no skill and no error.
    return np.where(spread > 1e-9, (xy - x * y) / np.where(spread > 1e-9, spread, 1.0), 0.0)


def _calibration(means: Array) -> Array:
    forecast, observed = means[:, :BINS], means[:, BINS:]
    return np.asarray(np.abs(observed - forecast).sum(axis=1))


def _ranked(forecast: Array, came: Array) -> _Measure:
    # Ranks between -1 and 1, so that sums of squares lose nothing.
    x, y = (2.0 * rankdata(values) / max(len(values), 1) - 1.0 for values in (forecast, came))
    return _Measure(np.column_stack([x, y, x * x, y * y, x * y]), _correlation)


# -- classes ------------------------------------------------------------------------------------------------------------
def _outcomes(forecast: Forecast, truth: Truth) -> tuple[Array, Array]:
    """(cell, class) probabilities of the judged cells, and 1 where the class came. A mean speaks for the class nearest to it."""
    codes = np.asarray(truth.labels.classes)
    came = (truth.labels.values[truth.judged][:, None] == codes).astype(np.float64)
    if forecast.probabilities is not None:
        return forecast.probabilities[truth.judged], came
    distance = np.abs(forecast.score()[truth.judged][:, None] - codes)
    return (distance == distance.min(axis=1, keepdims=True)).astype(np.float64), came


def _brier(probabilities: Array, came: Array) -> Array:
    return np.asarray(((probabilities - came) ** 2).sum(axis=1))


def _classes(forecast: Forecast, truth: Truth) -> dict[str, _Measure]:
    p, came = _outcomes(forecast, truth)
    said = np.zeros_like(p)
    said[np.arange(len(p)), p.argmax(axis=1)] = 1.0
    # With two classes it is the upper one that is found or missed; with more all count alike.
    judged = np.arange(p.shape[1])[-1:] if p.shape[1] <= 2 else np.arange(p.shape[1])
    found = np.hstack([(said * came)[:, judged], said[:, judged], came[:, judged]])
    k = len(judged)
    likelihood = np.clip((p * came).sum(axis=1), _TINY, 1.0)
    up = np.clip(p[:, -1], 0.0, 1.0)
    bins = (np.minimum((up * BINS).astype(np.int64), BINS - 1)[:, None] == np.arange(BINS)).astype(np.float64)
    score = forecast.score()[truth.judged]
    return {
        "accuracy": _Measure((said * came).sum(axis=1)[:, None], _first),
        "precision": _Measure(found, lambda m: _share(m[:, :k], m[:, k : 2 * k])),
        "recall": _Measure(found, lambda m: _share(m[:, :k], m[:, 2 * k :])),
        "F1": _Measure(found, lambda m: _share(2.0 * m[:, :k], m[:, k : 2 * k] + m[:, 2 * k :])),
        "log loss": _Measure(-np.log(likelihood)[:, None], _first),
        "Brier": _Measure(_brier(p, came)[:, None], _first),
        "calibration error": _Measure(np.hstack([bins * up[:, None], bins * came[:, -1:]]), _calibration),
        "IC": _ranked(score, truth.realised[truth.judged]),
    }


def _share(part: Array, whole: Array) -> Array:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0).mean(axis=1))


# -- returns ------------------------------------------------------------------------------------------------------------
def _mean(forecast: Forecast, truth: Truth) -> Array:
    return np.asarray(forecast.score()[truth.judged])


def _returns(forecast: Forecast, truth: Truth) -> dict[str, _Measure]:
    y, mean = truth.labels.values[truth.judged], _mean(forecast, truth)
    error = y - mean
    found = {
        "MAE": _Measure(np.abs(error)[:, None], _first),
        "RMSE": _Measure(error[:, None] ** 2, _root),
        "R2": _Measure(np.column_stack([error**2, y**2]), _explained),
        "IC": _ranked(mean, truth.realised[truth.judged]),
        # The score of a law that is one point is the distance to it.
        "CRPS": _Measure(np.abs(error)[:, None], _first),
    }
    if forecast.quantiles is not None:
        quantiles = forecast.quantiles[truth.judged]
        loss = _pinball(y, quantiles, forecast.levels)
        inside = (y >= quantiles[:, 0]) & (y <= quantiles[:, -1])
        found["CRPS"] = _Measure(2.0 * loss[:, None], _first)
        found["quantile loss"] = _Measure(loss[:, None], _first)
        found[f"coverage of {100 * (forecast.levels[-1] - forecast.levels[0]):.0f} %"] = _Measure(
            inside[:, None].astype(np.float64), _first
        )
    return found | _by_horizon(forecast, truth)


def _by_horizon(forecast: Forecast, truth: Truth) -> dict[str, _Measure]:
    """The absolute error of the median, and the quantile loss, over each horizon that both know."""
    came = truth.labels.ahead
    if forecast.ahead is None or came is None or forecast.horizons != truth.labels.horizons:
        return {}
    middle = int(np.argmin(np.abs(np.asarray(forecast.levels) - 0.5)))
    found = {}
    for step, horizon in enumerate(forecast.horizons):
        y, quantiles = came[truth.judged][:, step], forecast.ahead[truth.judged][:, step]
        found[f"MAE of {horizon}"] = _Measure(np.abs(y - quantiles[:, middle])[:, None], _first)
        found[f"quantile loss of {horizon}"] = _Measure(_pinball(y, quantiles, forecast.levels)[:, None], _first)
    return found


def _pinball(y: Array, quantiles: Array, levels: Sequence[float]) -> Array:
    """(cell,) the mean over the levels."""
    gap, level = y[:, None] - quantiles, np.asarray(levels)
    return np.asarray(np.maximum(level * gap, (level - 1.0) * gap).mean(axis=1))
