"""Passive aggressive mean reversion: sells what rose until the last row would have grown the portfolio by no more than epsilon.

Paper: Li, Zhao, Hoi & Gopalkrishnan (2012) https://doi.org/10.1007/s10994-012-5281-z.
Cost: a sort of the assets a row. Fails where prices trend, and under costs: it turns over most of the portfolio every row, and the
published wealth is before them.
"""

from __future__ import annotations

import numpy as np

from tradewind.core.limits import number
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.portfolio.simplex import nearest

__all__ = ["passive_aggressive_reversion"]


def passive_aggressive_reversion(relatives: Array, epsilon: float = 0.5, aggressiveness: float = 500.0, variant: int = 0) -> Array:
    """(time, asset) weights from `relatives` (time, asset).

    `epsilon`: growth from which on it acts, at least 0. `variant` 0 acts fully, 1 by at most `aggressiveness` (positive), 2 softened by it.
    """
    number(positive=False, epsilon=epsilon)
    number(aggressiveness=aggressiveness)
    require(variant in (0, 1, 2), f"variant is {variant!r}; it is 0, 1 or 2")
    n, assets = relatives.shape
    weights = np.full((n, assets), 1.0 / assets)
    for t in range(n - 1):
        beyond = relatives[t] - relatives[t].mean()
        loss = max(0.0, float(weights[t] @ relatives[t]) - epsilon)
        spread = float(beyond @ beyond) + (0.5 / aggressiveness if variant == 2 else 0.0)
        step = loss / spread if spread > 0.0 else 0.0
        weights[t + 1] = nearest(weights[t] - (min(step, aggressiveness) if variant == 1 else step) * beyond)
    return weights
