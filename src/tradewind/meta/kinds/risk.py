"""Risk assessment: in which quantile of what was usual will the risk of the next `horizon` bars lie?

Risk is the deepest drawdown of closes, from the close at hand on, or the realised volatility; the classes are parted at equal quantiles of
the training part, its rows and symbols alone, so that class 0 is the calmest. Costs one pass a bar of the window. Fails to be balanced
later on: a market calmer than the training part has hardly a window of the highest class, and then no task with enough shots of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tradewind.core.arrays import Array
from tradewind.core.errors import DataError
from tradewind.meta.kinds.ground import Ground, each_symbol, window_volatility
from tradewind.meta.kinds.series import Series

__all__ = ["MEASURES", "risk", "risk_classes", "risk_thresholds", "window_drawdown"]

MEASURES: Final = ("drawdown", "volatility")


def risk_classes(ways: int) -> tuple[str, ...]:
    """What the classes mean, from the calmest on."""
    return tuple(f"quantile {way + 1} of {ways}" for way in range(ways))


def window_drawdown(closes: Array, horizon: int) -> Array:
    """(bar - horizon,) the deepest fall from a peak among the closes of a bar and its next `horizon`, a share of the peak from 0 to 1."""
    count = len(closes) - horizon
    peak, deepest = closes[:count].copy(), np.zeros(count)
    for ahead in range(1, horizon + 1):
        close = closes[ahead : ahead + count]
        np.maximum(peak, close, out=peak)
        np.maximum(deepest, 1.0 - close / peak, out=deepest)
    return deepest


def risk_thresholds(ground: Ground, horizon: int, ways: int, measure: str) -> Array:
    """(way - 1,) what parts the classes: the quantiles of the risk over all windows that lie in the training part.

    Raises DataError where the training part's risk does not vary enough to part it.
    """
    train, seen = ground.division.train, []
    for column in train.columns:
        closes = ground.market.close[train.first : train.stop, column]
        closes = closes[~np.isnan(closes)]
        if len(closes) > horizon:
            seen.append(_measured(closes, horizon, measure))
    pooled = np.concatenate(seen) if seen else np.empty(0)
    thresholds = np.quantile(pooled, np.arange(1, ways) / ways) if len(pooled) else np.empty(0)
    if len(thresholds) < ways - 1 or (np.diff(thresholds, prepend=pooled.min()) <= 0).any():
        raise DataError(
            f"the {measure} over {horizon} bars cannot be parted in {ways} classes: too many windows of the training part have the same; "
            "give a longer horizon, fewer classes or another risk_measure"
        )
    return thresholds


def risk(ground: Ground, horizon: int, stride: int, ways: int, measure: str) -> list[Series]:
    """A series for each symbol: the class of the risk of its next window."""
    thresholds = risk_thresholds(ground, horizon, ways, measure)

    def classify(closes: Array, volatility: Array) -> Array:
        return np.searchsorted(thresholds, _measured(closes, horizon, measure), side="right").astype(np.float64)

    return each_symbol(ground, horizon, stride, classify)


def _measured(closes: Array, horizon: int, measure: str) -> Array:
    return window_drawdown(closes, horizon) if measure == "drawdown" else window_volatility(closes, horizon)
