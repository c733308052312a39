"""Small markets with everything that makes batch and stream disagree: missing bars, outages, late listings, flat prices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tradewind.core.clock import HOUR, parse_duration
from tradewind.core.files import load_state, save_state
from tradewind.core.market import Market
from tradewind.core.types import Targets
from tradewind.engine import walk
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs


def panel(close: np.ndarray, timeframe: str = "1h", first: int = 450_000 * HOUR, rows: np.ndarray | None = None) -> Market:
    """A market with these closes (time, symbol), NaN for a missing bar; `rows` are the grid positions of the bars."""
    close = np.asarray(close, dtype=float)
    close = close.reshape(len(close), -1)
    step = parse_duration(timeframe)
    before = np.vstack([close[:1], close[:-1]])
    opened = np.where(np.isnan(before), close, before * 1.0005)
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) / 1.002
    open_time = first + step * (np.arange(len(close)) if rows is None else rows)
    volume = np.where(np.isnan(close), np.nan, 10.0 + np.arange(close.size).reshape(close.shape) % 7)
    symbols = tuple(f"S{i}" for i in range(close.shape[1]))
    opened = np.where(np.isnan(close), np.nan, opened)
    return Market(symbols, timeframe, open_time, open_time + step, opened, high, low, close, volume)


def gappy(bars: int = 400, symbols: int = 3, seed: int = 0, timeframe: str = "1h", missing: float = 0.05) -> Market:
    """Random walks; some bars of single symbols missing, two outages of all, the last symbol listed after a quarter."""
    draw = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.01 * draw.standard_normal((bars, symbols)), axis=0))
    close[draw.random(close.shape) < missing] = np.nan
    close[: bars // 4, symbols - 1] = np.nan
    outage = np.zeros(bars, dtype=bool)
    outage[bars // 3 : bars // 3 + 5] = outage[bars // 2 : bars // 2 + 30] = True
    rows = np.flatnonzero(~outage & ~np.isnan(close).all(axis=1))
    return panel(close[rows], timeframe, rows=rows)


def flat(bars: int = 300, symbols: int = 2) -> Market:
    return panel(np.full((bars, symbols), 50.0))


def same(a: Targets, b: Targets) -> None:
    """Equal to the bit, or a message naming the first bar that is not."""
    assert a.shape == b.shape
    differs = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if differs.any():
        t, s = np.argwhere(differs)[0]
        raise AssertionError(f"{differs.sum()} cells differ, first bar {t} symbol {s}: {a[t, s]!r} and {b[t, s]!r}")


def behaves(make: Callable[[], object], market: Market, folder: object, costs: Costs | None = None) -> Targets:
    """Every promise of a strategy on one market: batch equals loop, prefixes agree, `start` and saved states change nothing."""
    costs = costs or Costs(fee_bps=10, slippage_bps=2)
    n, book = len(market), Book(market.symbols, costs)
    fitted = make().fit(market[: n // 2])
    whole = fitted.decide_all(market, book, 0)
    assert whole.shape == market.close.shape
    assert np.isnan(whole[: fitted.warmup - 1]).all()
    assert not np.isinf(whole).any()
    same(whole, walk(make().fit(market[: n // 2]), market, book, 0))
    for cut in (1, 2, n // 3 + 1, n // 2 + 1, n - 1, n):
        same(fitted.decide_all(market[:cut], book, 0), whole[:cut])
    for start in (n // 3, n // 2):
        same(fitted.decide_all(market, book, start), walk(make().fit(market[: n // 2]), market, book, start))
    # Save in the middle of a life, continue in a new object.
    middle = 2 * n // 3
    one = make().fit(market[: n // 2])
    first = walk(one, market[:middle], book, 0)
    save_state(folder, one.state())
    two = make().restore(load_state(folder))
    lived = book.copy()
    lived.advance(market[:middle], first)
    rest = walk(two, market, lived, middle)
    same(rest[middle:], whole[middle:])
    assert load_state(folder) == one.state()
    return whole
