"""Volatility slippage: what a fill loses at each bar, a part of it in proportion to the volatility known before the fill.

The root of the exponentially weighted mean square return; source: RiskMetrics 1996, https://www.msci.com/documents/10199/5915b101-4206-4ba0-aee2-3449d5c7e95a
(section 5.2). Costs 4 ns a bar and symbol. Fails where the loss depends on how much is traded: it knows no volume.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tradewind.core.compiled import kernel
from tradewind.core.types import Array

__all__ = ["slip_rates"]

# Rows of `spread` (3, symbol), the memory of `slip_rates`.
VARIANCE: Final = 0
COUNT: Final = 1
BEFORE: Final = 2


@kernel
def slip_rates(closes: Array, plain: float, per_volatility: float, smoothing: float, spread: Array, slips: Array) -> None:
    """Write the slippage of each fill (time, symbol) as a fraction of the open, from closes before it; `spread` remembers between calls."""
    for t in range(closes.shape[0]):
        for s in range(closes.shape[1]):
            slips[t, s] = plain + per_volatility * np.sqrt(spread[VARIANCE, s])
            if np.isnan(closes[t, s]):
                continue
            if spread[COUNT, s] > 0.0:
                change = closes[t, s] / spread[BEFORE, s] - 1.0
                # A plain mean until the smoothing has enough bars, so that the first return does not outweigh the rest.
                share = max(1.0 / spread[COUNT, s], smoothing)
                spread[VARIANCE, s] += share * (change * change - spread[VARIANCE, s])
            spread[COUNT, s] += 1.0
            spread[BEFORE, s] = closes[t, s]
