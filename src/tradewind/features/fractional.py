"""Fractional differencing: a price made stationary while it keeps its memory (Hosking 1981, https://doi.org/10.1093/biomet/68.1.165;
fixed width as in Lopez de Prado 2018, Advances in Financial Machine Learning, chapter 5).

Costs O(width) a bar. Fails when the width cuts off weights that still matter: their sum shows how much of the level is left in.
"""

from __future__ import annotations

import numpy as np

from tradewind.core.errors import DataError
from tradewind.core.settings import require
from tradewind.core.types import Array

__all__ = ["fractional_difference", "fractional_weights"]


def fractional_weights(order: float, width: int) -> Array:
    """The first `width` weights (width,) of the difference of `order`, newest first: 1, -.5, -.125, -.0625 for order .5.

    Raises SettingsError for a width under 1 or an order that is negative or not finite.
    """
    require(width >= 1, f"width must be at least 1, not {width}")
    require(0.0 <= order < float("inf"), f"the order of a difference must be a finite number of at least 0, not {order}")
    lags = np.arange(1, width)
    return np.concatenate([[1.0], np.cumprod((lags - 1 - order) / lags)])


def fractional_difference(series: Array, order: float, width: int) -> Array:
    """The fractional difference of a series (time,) or (time, symbol) in its own unit; the first `width` - 1 rows are NaN.

    Row t uses the `width` values up to t. Raises DataError for more than two dimensions, and SettingsError as `fractional_weights`.
    """
    weights = fractional_weights(order, width)
    series = np.asarray(series, dtype=np.float64)
    if series.ndim not in (1, 2):
        raise DataError(f"a series to difference is (time,) or (time, symbol), not {series.shape}")
    out = np.full(series.shape, np.nan)
    if len(series) >= width:
        # Summed lag by lag, which is the order in which the feature's kernel adds.
        total = np.zeros_like(series[width - 1 :])
        for lag in range(width):
            total += weights[lag] * series[width - 1 - lag : len(series) - lag]
        out[width - 1 :] = total
    return out
