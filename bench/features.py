"""What features cost: the 27 columns of `s0` on a million bars beside TA-Lib's time in the same run, and one bar of a stream.

`python bench/features.py [bars]` prints one JSON line a measurement: the least and the median of the repetitions, as CPU time, which
another process on the machine disturbs less than the clock on the wall. One thread.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import talib

import tradewind as tw
from tradewind.core.clock import MINUTE
from tradewind.core.seeds import generator
from tradewind.features.catalog import Indicated, resolve
from tradewind.features.program import Program

REPETITIONS = 9


def walk(bars: int) -> tw.Market:
    """A random walk of one symbol, with volume."""
    random = generator(0, "bench", "features")
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.001, (bars, 1)), axis=0))
    start = close * np.exp(random.normal(0.0, 0.0003, (bars, 1)))
    high = np.maximum(start, close) * (1.0 + np.abs(random.normal(0.0, 0.0003, (bars, 1))))
    low = np.minimum(start, close) * (1.0 - np.abs(random.normal(0.0, 0.0003, (bars, 1))))
    volume = random.gamma(2.0, 500.0, (bars, 1))
    times = np.arange(bars, dtype=np.int64) * MINUTE
    return tw.Market(("WALK",), "1m", times, times + MINUTE, start, high, low, close, volume)


def reference(market: tw.Market) -> Callable[[], dict[str, np.ndarray]]:
    """The same columns from TA-Lib, and numpy for what it lacks."""
    high, low, close, volume = (np.ascontiguousarray(getattr(market, name)[:, 0]) for name in ("high", "low", "close", "volume"))

    def compute() -> dict[str, np.ndarray]:
        out = {f"rsi_{n}": talib.RSI(close, n) for n in (7, 14, 21)}
        out["macd"], out["macd_signal"], out["macd_hist"] = talib.MACD(close, 12, 26, 9)
        for n in (20, 50):
            upper, middle, lower = talib.BBANDS(close, n, 2.0, 2.0)
            out |= {f"bb_upper_{n}": upper, f"bb_lower_{n}": lower, f"bb_width_{n}": (upper - lower) / middle}
        out["stoch_k"], out["stoch_d"] = talib.STOCHF(high, low, close, 14, 3)
        out |= {"atr_14": talib.ATR(high, low, close, 14), "obv": talib.OBV(close, volume), "cci_20": talib.CCI(high, low, close, 20)}
        out |= {"adx_14": talib.ADX(high, low, close, 14), "williams_r_14": talib.WILLR(high, low, close, 14)}
        out |= {"volume_ratio_20": volume / talib.SMA(volume, 20), "volume_std_20": talib.STDDEV(volume, 20)}
        out |= {f"return_{n}": talib.ROCP(close, n) for n in (5, 10, 20, 50)}
        change = talib.ROCP(close, 1)
        # TA-Lib's running sums never recover from the NaN of the first return.
        for n in (20, 50):
            out[f"volatility_{n}"] = np.concatenate([[np.nan], talib.STDDEV(change[1:], n)])
        return out

    return compute


def measure(action: Callable[[], object]) -> list[float]:
    """CPU seconds of each repetition, after one that does not count."""
    action()
    seconds = []
    for _ in range(REPETITIONS):
        begin = time.process_time()
        action()
        seconds.append(time.process_time() - begin)
    return seconds


def report(name: str, seconds: list[float], scale: float, unit: str, **more: object) -> None:
    """One JSON line: `seconds` times `scale`, in `unit`."""
    low, middle = (round(scale * value, 4) for value in (min(seconds), statistics.median(seconds)))
    print(json.dumps({"bench": name, "min": low, "median": middle, "unit": unit, "repetitions": len(seconds), **more}), flush=True)


def batch(market: tw.Market) -> None:
    """All bars at once, beside TA-Lib; and the largest relative difference, so that the same work is compared."""
    theirs = reference(market)
    columns = theirs()
    X = tw.features.compute(market, "s0")
    worst = 0.0
    for i, name in enumerate(X.names):
        ours, other = X.values[:, 0, i], columns[name]
        scale = np.nanstd(other) + np.abs(other)
        worst = max(worst, float(np.nanmax(np.abs(ours - other) / scale)))
    del X, columns, ours, other, scale
    talib_seconds = measure(theirs)
    seconds = measure(lambda: tw.features.compute(market, "s0"))
    report("talib, columns of s0", talib_seconds, 1e3, "ms", bars=len(market))
    ratio = {name: round(f(seconds) / f(talib_seconds), 3) for name, f in (("ratio_of_min", min), ("ratio_of_median", statistics.median))}
    report("features.compute, s0", seconds, 1e3, "ms", bars=len(market), wanted_ratio=0.6, worst_difference=worst, **ratio)


def stream(market: tw.Market) -> None:
    """One bar at a time: within compiled code, and through Python."""
    bars = market[:100_000]
    chosen = [item for item in resolve("s0") if isinstance(item, Indicated)]
    out = np.empty((len(bars), 1, len(chosen)))
    panels = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    linked = Program(chosen, 1).link(bars.open_time, panels, out, block=1)
    report("stream update in the kernel, s0", measure(linked.step), 1e6 / len(bars), "us", updates=len(bars), wanted=3.0)
    rows = [(int(bars.open_time[t]), *(float(panel[t, 0]) for panel in panels)) for t in range(10_000)]

    def feed() -> None:
        live = tw.features.Stream("s0")
        for row in rows:
            live.update(*row)

    report("Stream.update through Python, s0", measure(feed), 1e6 / len(rows), "us", updates=len(rows))


if __name__ == "__main__":
    market = walk(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    batch(market)
    stream(market)
