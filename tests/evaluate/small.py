"""Small markets and strategies for the tests of walk-forward, ledger, run and report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import tradewind as tw
from tradewind.core.clock import HOUR
from tradewind.core.market import Market
from tradewind.core.types import State, Target, View

FIRST = 450_000 * HOUR


def market(bars: int = 240, symbols: int = 1, seed: int = 0, first: int = FIRST, gaps: bool = False) -> Market:
    """A random walk of hourly bars; with `gaps` some bars of single symbols are missing."""
    draw = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.01 * draw.standard_normal((bars, symbols)), axis=0))
    opened = np.vstack([np.full((1, symbols), 100.0), close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) / 1.001
    volume = 1.0 + draw.random((bars, symbols))
    if gaps:
        lost = draw.random((bars, symbols)) < 0.1
        lost[lost.all(axis=1)] = False
        for array in (opened, high, low, close, volume):
            array[lost] = np.nan
    times = first + HOUR * np.arange(bars)
    return Market(tuple(f"S{i}" for i in range(symbols)), "1h", times, times + HOUR, opened, high, low, close, volume)


def csv(folder: Path, bars: int = 900, seed: int = 3) -> Path:
    """The same kind of market as a CSV file."""
    path = folder / "walk.csv"
    market(bars, seed=seed).to_frame().drop("symbol").write_csv(path)
    return path


class Mine(tw.Strategy):
    """The strategy of the README: long after a rise, short after a fall."""

    warmup = 21

    def decide(self, view: View) -> Target:
        close = view.market.close
        return Target(np.sign(close[-1] / close[-21] - 1.0) / close.shape[1])


class Learner(tw.Strategy):
    """Counts its fits on the class, remembers the mean return it was shown, and draws from its seed."""

    fits = 0
    seen: tuple[tuple[int, int], ...] = ()

    def __init__(self, refit_every: int = 1, lookback: int = 3) -> None:
        self.refit_every, self.lookback, self.warmup = refit_every, lookback, lookback + 1
        self.level, self.noise, self.seed = 0.0, 0.0, 0

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, shown: Market) -> Learner:
        type(self).fits += 1
        type(self).seen += ((int(shown.open_time[0]), int(shown.open_time[-1])),)
        self.level = float(np.nanmean(np.diff(np.log(shown.close), axis=0)))
        self.noise = float(np.random.default_rng(self.seed).normal())
        return self

    def decide(self, view: View) -> Target:
        close = view.market.close
        moved = close[-1] / close[-1 - self.lookback] - 1.0
        return Target(np.clip(50 * (moved - self.level) + 0.1 * self.noise, -1, 1))


class Bare:
    """No base class, no fit, no decide_all: only what a strategy must have."""

    warmup = 2

    def decide(self, view: Any) -> Target:
        return Target(np.where(view.market.close[-1] > view.market.close[-2], 1.0, 0.0))

    def state(self) -> State:
        return State()
