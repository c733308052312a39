"""Markets for tests of tasks: several symbols that move together, whose spreads come back, with holes."""

from __future__ import annotations

import numpy as np

from tradewind.core.clock import HOUR
from tradewind.core.market import Market

CHANGING = ("open", "high", "low", "close", "volume")


def related(bars: int = 1500, symbols: int = 6, seed: int = 1, missing: float = 0.02) -> Market:
    """Symbols that share a random walk and differ by spreads that decay by a tenth a bar; `missing` of the bars are not there."""
    random = np.random.default_rng(seed)
    common = np.cumsum(0.01 * random.standard_normal((bars, 1)), axis=0)
    own = np.zeros((bars, symbols))
    shocks = 0.004 * random.standard_normal((bars, symbols))
    for bar in range(1, bars):
        own[bar] = 0.9 * own[bar - 1] + shocks[bar]
    close = 100.0 * np.exp(common + own)
    opened = np.vstack([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    volume = random.uniform(1.0, 2.0, close.shape)
    gone = random.random(close.shape) < missing
    gone[0] = gone[-1] = False
    panels = [np.where(gone, np.nan, panel) for panel in (opened, high, low, close, volume)]
    kept = ~gone.all(axis=1)
    times = np.arange(bars, dtype=np.int64)[kept] * HOUR
    return Market(tuple(f"COIN-{i + 1}" for i in range(symbols)), "1h", times, times + HOUR, *(panel[kept] for panel in panels))


def disturbed(market: Market, first: int, seed: int = 5) -> Market:
    """The same market with other prices and volumes from row `first` on, and the same holes."""
    random = np.random.default_rng(seed)
    factor = np.ones(market.close.shape)
    factor[first:] = np.exp(np.cumsum(0.05 * random.standard_normal(factor[first:].shape), axis=0))
    panels = {name: getattr(market, name) * factor for name in CHANGING}
    return Market(market.symbols, market.timeframe, market.open_time, market.known, **panels)
