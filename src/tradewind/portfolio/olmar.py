"""Moving average reversion: expects each price back at its moving average, and moves until that would grow the portfolio by epsilon.

Paper: Li & Hoi (2012) https://arxiv.org/abs/1206.4626, OLMAR-1. Before `window` prices are there, the average is over those that are.
Cost: a sort of the assets a row. Fails where prices trend, and under costs: it turns over most of the portfolio every row, and the
published wealth is before them.
"""

from __future__ import annotations

import numpy as np

from tradewind.core.limits import number, whole
from tradewind.core.types import Array
from tradewind.portfolio.simplex import nearest

__all__ = ["moving_average_reversion"]


def moving_average_reversion(relatives: Array, window: int = 5, epsilon: float = 10.0) -> Array:
    """(time, asset) weights from `relatives` (time, asset): `window` prices an average, `epsilon` the growth that is wanted, positive."""
    whole(least=2, window=window)
    number(epsilon=epsilon)
    n, assets = relatives.shape
    weights = np.full((n, assets), 1.0 / assets)
    for t in range(n - 1):
        # Prices in units of the newest, oldest last: 1, 1 / x(t), 1 / (x(t) x(t-1)), ...
        backwards = relatives[max(0, t - window + 2) : t + 1][::-1]
        expected = (1.0 + (1.0 / np.cumprod(backwards, axis=0)).sum(axis=0)) / (len(backwards) + 1)
        beyond = expected - expected.mean()
        spread = float(beyond @ beyond)
        step = max(0.0, epsilon - float(weights[t] @ expected)) / spread if spread > 0.0 else 0.0
        weights[t + 1] = nearest(weights[t] + step * beyond)
    return weights
