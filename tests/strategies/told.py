"""A filter that is told the regimes: the volume of a bar is the probability of `bull`, the rest is that of `bear`."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np

from tradewind.core.errors import NotFitted
from tradewind.core.market import Market
from tradewind.core.types import Array, State
from tradewind.regimes.base import RegimeFilter, Regimes


class ToldWatch:
    """Bar by bar: the mean of the last two volumes that a symbol had, NaN at its first bar."""

    def __init__(self, symbols: int) -> None:
        self.before = np.full(symbols, np.nan)

    def update(self, market: Market) -> Array:
        bull = (self.before + market.volume[0]) / 2
        self.before = np.where(np.isnan(market.volume[0]), self.before, market.volume[0])
        return np.stack([bull, 1.0 - bull], axis=1)

    def state(self) -> State:
        return State({}, {"before": self.before.copy()})

    def restore(self, state: State) -> Self:
        self.before = state.arrays["before"].copy()
        return self


class Told(RegimeFilter):
    name = "told"
    names = ("bull", "bear")
    warmup = 2

    def __init__(self) -> None:
        self.bars = 0

    def fit(self, market: Market) -> Self:
        self.bars = len(market)
        return self

    def watch(self, symbols: tuple[str, ...]) -> ToldWatch:
        if not self.bars:
            raise NotFitted("told has learned nothing; call fit first")
        return ToldWatch(len(symbols))

    def filter(self, market: Market) -> Regimes:
        watch = self.watch(market.symbols)
        rows = [watch.update(market[t : t + 1]) for t in range(len(market))]
        shape = (len(market), len(market.symbols), 2)
        return Regimes(self.names, np.array(rows).reshape(shape), market.open_time, market.known, market.symbols)

    def state(self) -> State:
        return State({"bars": self.bars})

    def restore(self, state: State) -> Self:
        self.bars = int(state.values["bars"])
        return self


def telling(market: Market, bull: np.ndarray | float | None = None, seed: int = 0) -> Market:
    """The market with volumes that tell `bull` (time, symbol), the same in every bar, or a slow wandering between 0 and 1."""
    if bull is None:
        steps = np.random.default_rng(seed).standard_normal(market.close.shape)
        bull = 0.5 + 0.5 * np.sin(np.cumsum(0.3 * steps, axis=0))
    return replace(market, volume=np.where(np.isnan(market.close), np.nan, bull))
