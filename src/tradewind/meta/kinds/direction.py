"""Price direction: does the close `horizon` bars later stand above, near or below this one, measured by the volatility known now?

The threshold is `flat_band` times the deviation to expect over the horizon, trailing volatility times the root of it, as for a triple
barrier (Lopez de Prado 2018, Advances in Financial Machine Learning, section 3.3); .43 deviations part a normal variable in thirds. Costs
one pass. Fails where volatility jumps: the threshold then follows late, and flat bars are rare for a while.
"""

from __future__ import annotations

import numpy as np

from tradewind.core.arrays import Array
from tradewind.meta.kinds.ground import Ground, each_symbol
from tradewind.meta.kinds.series import Series

__all__ = ["direction", "direction_classes"]


def direction_classes(ways: int) -> tuple[str, ...]:
    """What the classes 0, 1 (and 2) mean."""
    return ("down", "up") if ways == 2 else ("down", "flat", "up")


def direction(ground: Ground, horizon: int, stride: int, ways: int, flat_band: float) -> list[Series]:
    """A series for each symbol: down, flat or up, or with two `ways` down or up, where an unchanged close counts as down."""

    def classify(closes: Array, volatility: Array) -> Array:
        expected = volatility[:-horizon] * horizon**0.5
        moves = closes[horizon:] / closes[:-horizon] - 1.0
        told = np.isfinite(expected) & (expected > 0)
        score = np.full(len(moves), np.nan)
        score[told] = moves[told] / expected[told]
        if ways == 2:
            return np.where(told, (score > 0).astype(np.float64), np.nan)
        return np.where(told, 1.0 + (score > flat_band) - (score < -flat_band), np.nan)

    return each_symbol(ground, horizon, stride, classify)
