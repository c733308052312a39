"""Small markets for the tests of labels."""

from collections.abc import Sequence

import numpy as np

from tradewind.core.clock import HOUR
from tradewind.core.market import Market


def candles(rows: Sequence[Sequence[float] | None], symbol: str = "A") -> Market:
    """One symbol of (open, high, low, close); None is a missing bar, held in place by a second symbol that never lacks one."""
    n = len(rows)
    panel = np.full((4, n, 2), 1.0)
    for t, row in enumerate(rows):
        panel[:, t, 0] = np.nan if row is None else row
    times = HOUR * np.arange(n)
    volume = np.where(np.isnan(panel[3]), np.nan, 1.0)
    return Market((symbol, "steady"), "1h", times, times + HOUR, *panel, volume)


def walk(n: int, seed: int, symbols: int = 2, missing: float = 0.1) -> Market:
    """Random walks with holes."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.standard_normal((n, symbols)) * 0.01, axis=0))
    open_ = close * np.exp(random.standard_normal((n, symbols)) * 0.003)
    high, low = np.maximum(open_, close) * 1.004, np.minimum(open_, close) * 0.996
    absent = random.random((n, symbols)) < missing
    panel = [np.where(absent, np.nan, a) for a in (open_, high, low, close, np.ones_like(close))]
    times = HOUR * np.arange(n)
    return Market(tuple(f"S{i}" for i in range(symbols)), "1h", times, times + HOUR, *panel)
