"""Market regime: will the next `horizon` bars be a bull, a bear, a sideways or a highly volatile market?

The rule looks at the next window alone, so that the answer cannot be read off the past. Highly volatile: its realised volatility, the root
mean square return (Andersen, Bollerslev, Diebold and Labys 2003, https://doi.org/10.1111/1468-0262.00418), exceeds `high_volatility` times
the trailing volatility known now. Else bull or bear: its return exceeds `trend_band` deviations to expect over the window, up or down. Else
sideways. Costs one pass a bar of the window. Fails as a name for what people call a bull market, which lasts for months: this is one
window.
"""

from __future__ import annotations

import numpy as np

from tradewind.core.arrays import Array
from tradewind.meta.kinds.ground import Ground, each_symbol, window_volatility
from tradewind.meta.kinds.series import Series

__all__ = ["regime", "regime_classes"]


def regime_classes(ways: int) -> tuple[str, ...]:
    """What the classes 0, 1, 2 (and 3) mean."""
    return ("bull", "bear", "sideways", "high volatility")[:ways]


def regime(ground: Ground, horizon: int, stride: int, ways: int, trend_band: float, high_volatility: float) -> list[Series]:
    """A series for each symbol; with three `ways` no window is called highly volatile."""

    def classify(closes: Array, volatility: Array) -> Array:
        trailing = volatility[:-horizon]
        moves = closes[horizon:] / closes[:-horizon] - 1.0
        edge = trend_band * trailing * horizon**0.5
        labels = np.where(moves > edge, 0.0, np.where(moves < -edge, 1.0, 2.0))
        if ways == 4:
            labels[window_volatility(closes, horizon) > high_volatility * trailing] = 3.0
        return np.where(np.isfinite(trailing) & (trailing > 0), labels, np.nan)

    return each_symbol(ground, horizon, stride, classify)
