"""Speed of the accounting: one backtest of a million bars, and a sweep of a thousand series; one JSON line a measurement.

    python bench/backtest.py [--bars 1000000] [--series 1000] [--sweep-bars 100000]

`bare floor` is the simplest loop that can be called a backtest: no NaN, no limits, one cost, nothing but the equity kept.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from tradewind.core.clock import MINUTE, SystemClock
from tradewind.core.compiled import kernel
from tradewind.core.market import Market
from tradewind.core.types import Array
from tradewind.engine import backtest
from tradewind.simulate.costs import Costs
from tradewind.simulate.sweep import sweep

CLOCK = SystemClock()
COSTS = Costs(fee_bps=10, slippage_bps=2)


def walk_market(bars: int, seed: int = 0) -> Market:
    """One symbol on a random walk of .1 % a bar."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 1e-3, (bars, 1)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    time = np.arange(bars) * MINUTE
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return Market(("A",), "1m", time, time + MINUTE, opened, high, low, close, np.ones_like(close))


@kernel
def bare(opens: Array, closes: Array, targets: Array, cost: float, equity: Array) -> None:
    """The floor: mark, trade, pay, mark."""
    cash, held, wanted = 1.0, 0.0, 0.0
    for t in range(len(opens)):
        before = cash + held * opens[t]
        bought = wanted * before / opens[t] - held
        cash -= bought * opens[t] + abs(bought) * opens[t] * cost
        held += bought
        equity[t] = cash + held * closes[t]
        wanted = targets[t]


def best(work: Callable[[], object], times: int = 15) -> float:
    """Milliseconds of the fastest of several calls, the first not counted: it compiles."""
    work()
    seconds = []
    for _ in range(times):
        start = CLOCK.monotonic()
        work()
        seconds.append(CLOCK.monotonic() - start)
    return 1e3 * min(seconds)


def report(name: str, **figures: float | int | str) -> None:
    """One JSON line."""
    print(json.dumps({"bench": name, **{k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}}), flush=True)


def one_backtest(bars: int) -> None:
    """Three ways of wanting: rebalanced at every bar, another position at every bar, a position now and then."""
    market, random = walk_market(bars), np.random.default_rng(1)
    sides = np.sign(random.normal(size=bars))
    wanted = {
        "rebalanced every bar": 0.5 * np.sign(np.cumsum(random.normal(size=bars))),
        "turned every bar": 0.5 * sides,
        "turned every hundred bars": np.where(random.random(bars) < 0.01, sides, np.nan),
    }
    opens, closes, equity = market.open[:, 0].copy(), market.close[:, 0].copy(), np.empty(bars)
    for name, targets in wanted.items():
        floor = best(partial(bare, opens, closes, targets, 0.0012, equity))
        taken = best(partial(backtest, targets, market, COSTS))
        told = best(partial(with_flows, targets, market))
        report("backtest", targets=name, bars=bars, ms=taken, ms_with_fees_per_bar=told, bare_floor_ms=floor, wanted_ms=6)


def with_flows(targets: Array, market: Market) -> Array:
    """A backtest that is asked for its fees bar by bar, which are told on demand."""
    return backtest(targets, market, COSTS).fees


def one_sweep(series: int, bars: int, kind: str, threads: int) -> None:
    """Run in its own process, so that the peak memory is this sweep's alone."""
    market, random = walk_market(bars), np.random.default_rng(1)
    targets = np.empty((series, bars), dtype=kind)
    for row in targets:
        row[:] = 0.5 * np.sign(np.cumsum(random.normal(size=bars)))
    sweep(targets[:2], market, COSTS, threads)
    seconds = []
    for _ in range(3):
        start = CLOCK.monotonic()
        sweep(targets, market, COSTS, threads)
        seconds.append(CLOCK.monotonic() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - targets.nbytes
    report("sweep", series=series, bars=bars, targets=kind, threads=threads, s=min(seconds), mb_beside_targets=peak / 1e6, wanted_s=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--sweep-bars", type=int, default=100_000)
    parser.add_argument("--sweep-alone", metavar="KIND,THREADS", help="run nothing but the sweep of this kind, in this process")
    asked = parser.parse_args()
    if asked.sweep_alone:
        kind, threads = asked.sweep_alone.split(",")
        one_sweep(asked.series, asked.sweep_bars, kind, int(threads))
        return
    one_backtest(asked.bars)
    size = [f"--series={asked.series}", f"--sweep-bars={asked.sweep_bars}"]
    for alone in ("float64,2", "float32,2", "float64,1"):
        subprocess.run([sys.executable, __file__, *size, f"--sweep-alone={alone}"], check=True)


if __name__ == "__main__":
    main()
