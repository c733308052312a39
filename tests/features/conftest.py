"""Markets for the tests of features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tradewind.core.clock import MINUTE
from tradewind.core.market import Market

FIELDS = ("open", "high", "low", "close", "volume")


def build_market(bars: int, symbols: int = 1, seed: int = 0, gaps: float = 0.0, level: float = 100.0) -> Market:
    """Random walks on 15-minute bars; of the bars of each symbol, the part `gaps` is missing."""
    random = np.random.default_rng(seed)
    shape = (bars, symbols)
    close = level * np.exp(np.cumsum(random.normal(0.0, 0.01, shape), axis=0))
    start = close * np.exp(random.normal(0.0, 0.003, shape))
    high = np.maximum(start, close) * (1.0 + np.abs(random.normal(0.0, 0.003, shape)))
    low = np.minimum(start, close) * (1.0 - np.abs(random.normal(0.0, 0.003, shape)))
    volume = random.gamma(2.0, 500.0, shape)
    lacking = random.random(shape) < gaps
    lacking[lacking.all(axis=1), 0] = False
    times = 1_632_700_800_000_000_000 + np.arange(bars, dtype=np.int64) * 15 * MINUTE
    panels = (np.where(lacking, np.nan, panel) for panel in (start, high, low, close, volume))
    return Market(tuple(f"S{i}" for i in range(symbols)), "15m", times, times + 15 * MINUTE, *panels)


def build_flat(bars: int, price: float = 50.0, volume: float = 7.0) -> Market:
    """A market that does not move."""
    times = np.arange(bars, dtype=np.int64) * 15 * MINUTE
    price_panel = np.full((bars, 1), price)
    panels = (price_panel, price_panel, price_panel, price_panel, np.full((bars, 1), volume))
    return Market(("FLAT",), "15m", times, times + 15 * MINUTE, *panels)


@pytest.fixture(scope="session")
def walk() -> Callable[..., Market]:
    """`walk(bars, symbols=1, seed=0, gaps=0.0, level=100.0)` gives a market of random walks."""
    return build_market


@pytest.fixture(scope="session")
def flat() -> Callable[..., Market]:
    """`flat(bars)` gives a market that does not move."""
    return build_flat
