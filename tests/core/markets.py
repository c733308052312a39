"""A small market for the tests of core."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.clock import HOUR
from tradewind.core.market import Market


def small(bars: int = 6, symbols: tuple[str, ...] = ("A", "B"), **changed: Any) -> Market:
    """Rising closes, ranges of one, hourly from the epoch's 100,000th hour on."""
    close = 100.0 + np.arange(bars)[:, None] + 10.0 * np.arange(len(symbols))
    open_time = HOUR * (100_000 + np.arange(bars, dtype=np.int64))
    fields: dict[str, Any] = {
        "symbols": symbols,
        "timeframe": "1h",
        "open_time": open_time,
        "known": open_time + HOUR,
        "open": close - 0.5,
        "high": close + 1.0,
        "low": close - 1.0,
        "close": close,
        "volume": np.ones_like(close),
    }
    return Market(**(fields | changed))
