"""Quantiles that a model gives: put in order, and the mean of the distribution that they describe.

Paper: Chernozhukov, Fernandez-Val and Galichon 2010, https://doi.org/10.3982/ECTA7880: sorting quantile curves that cross brings them
closer to the true ones, never farther. Costs one sort a row. The mean fails for heavy tails: the distribution is taken to end at the
outermost levels, so what lies outside counts as the outermost quantile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradewind.core.types import Array, Forecast

__all__ = ["level_shares", "mean_of_quantiles", "quantile_forecast", "rearranged"]


def quantile_forecast(usable: NDArray[np.bool_], answers: Array, levels: tuple[float, ...]) -> Forecast:
    """Quantiles (n, level) of the `usable` rows (time, symbol) at ascending `levels` as a forecast of all rows, NaN elsewhere.

    They are put in order first; `mean` is that of the distribution they describe.
    """
    quantiles = np.full((*usable.shape, len(levels)), np.nan)
    quantiles[usable] = rearranged(answers)
    return Forecast(mean=mean_of_quantiles(quantiles, levels), quantiles=quantiles, levels=levels)


def rearranged(quantiles: Array) -> Array:
    """(..., level): the quantiles in ascending order along the last axis; NaN stays at the end."""
    return np.sort(quantiles, axis=-1)


def mean_of_quantiles(quantiles: Array, levels: tuple[float, ...]) -> Array:
    """(...): the mean of the piecewise linear quantile function through `quantiles` (..., level) at ascending `levels`, flat outside."""
    # Added level by level: a matrix product would round a row differently in a history of another length.
    total: Array = np.zeros(quantiles.shape[:-1])
    for position, share in enumerate(level_shares(levels)):
        total = total + share * quantiles[..., position]
    return total


def level_shares(levels: tuple[float, ...]) -> Array:
    """(level,): what each quantile at ascending `levels` counts for in that mean; they sum to one."""
    level = np.asarray(levels, dtype=np.float64)
    # The integral over [0, 1] by trapezoids gives each level half the way to either neighbour, and the outermost all that lies outside.
    return np.diff(np.concatenate([[0.0], (level[1:] + level[:-1]) / 2.0, [1.0]]))
