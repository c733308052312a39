"""Portfolio optimisation: what will each asset of a basket return over the next period, and what is to be held for it?

A sample shows the features of all assets of the basket one after the other; its label is the vector of their returns over the next period,
each in deviations to expect over it, so that a restless asset does not rule the loss. `long_only_weights` turns a prediction into a
portfolio. That is the plug-in rule: it forecasts, then allocates (Markowitz 1952, https://doi.org/10.2307/2975974, with the covariance left
diagonal: a mean in deviations over a deviation is the weight of a mean-variance investor). The best weights in hindsight are no label here,
since they are all of the one asset that did best. Costs one pass for each frequency. Fails where assets move as one: the diagonal then sees
eight bets in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import Final

import numpy as np
from torch import Tensor

from tradewind.core.seeds import generator
from tradewind.labels import horizon_return
from tradewind.meta.kinds.ground import Ground
from tradewind.meta.kinds.series import Series

__all__ = ["FREQUENCIES", "baskets", "long_only_weights", "portfolio"]

FREQUENCIES: Final = {"daily": "1d", "weekly": "7d"}
MOST_BASKETS: Final = 64


def long_only_weights(predictions: Tensor, volatility: Tensor | None = None) -> Tensor:
    """(..., asset) shares from 0 up that sum to 1: the assets predicted to gain, by their prediction, over `volatility` where it is given.

    Where none is predicted to gain everything stays in cash and all shares are 0.
    """
    wanted = predictions.clamp(min=0) if volatility is None else predictions.clamp(min=0) / volatility
    total = wanted.sum(dim=-1, keepdim=True)
    return wanted / total.where(total > 0, 1.0)


def baskets(columns: Sequence[int], assets: int) -> list[tuple[int, ...]]:
    """Which assets are shown together: every choice of `assets` out of the columns, or 64 of them where there are more."""
    if comb(len(columns), assets) <= MOST_BASKETS:
        return list(combinations(columns, assets))
    random, found = generator(0, "baskets", assets, *columns), dict[tuple[int, ...], None]()
    while len(found) < MOST_BASKETS:
        found[tuple(sorted(int(column) for column in random.choice(columns, assets, replace=False)))] = None
    return list(found)


def portfolio(ground: Ground, periods: Sequence[int], spacing: int | None, assets: int) -> list[Series]:
    """A series for each basket of `assets` symbols and each of the `periods` (bars); `spacing` None takes the period itself."""
    found = []
    for period in periods:
        ahead = horizon_return(ground.market, period)
        expected = ground.volatility * period**0.5
        told = np.isfinite(expected) & (expected > 0)
        scores = np.where(told, ahead.values / np.where(told, expected, 1.0), np.nan)
        for basket in baskets(ground.part.columns, assets):
            rows = np.flatnonzero(np.isfinite(scores[:, basket]).all(axis=1))
            cells = (rows[:, None], basket)
            samples = (rows, ahead.end[cells].max(axis=1), scores[cells], ahead.values[cells])
            found.append(ground.series(basket, ((ground.inputs, basket),), samples, spacing or period, classes=False))
    return found
