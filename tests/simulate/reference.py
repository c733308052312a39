"""The accounting once more, slowly, in plain Python from its description, and markets to try it on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.clock import HOUR
from tradewind.core.market import Market
from tradewind.core.types import Array
from tradewind.simulate.costs import Costs

NO = float("nan")
Row = Sequence[float]


def table(opens: Sequence[Row], closes: Sequence[Row], funding: Sequence[Row] | None = None, marks: Sequence[Row] | None = None) -> Market:
    """A market of candles as they stand in a test: one row a bar, one column a symbol, NaN for a missing bar."""
    return market(np.array(opens, float), np.array(closes, float), funding, marks)


def market(opened: Array, closed: Array, funding: ArrayLike | None = None, marks: ArrayLike | None = None) -> Market:
    """A market of opens and closes (time, symbol); high and low are no wider than they must be."""
    times = np.arange(len(opened)) * HOUR
    symbols = tuple("ABCDEFGH"[: opened.shape[1]])
    high, low = np.maximum(opened, closed), np.minimum(opened, closed)
    rates, prices = (None if panel is None else np.array(panel, float) for panel in (funding, marks))
    return Market(symbols, "1h", times, times + HOUR, opened, high, low, closed, np.ones_like(closed), rates, prices)


def random_market(seed: int, bars: int, symbols: int, missing: float = 0.1, funding: bool = False, volatility: float = 0.02) -> Market:
    """Random walks with jumps between close and open, and bars missing here and there."""
    random = np.random.default_rng(seed)
    closed = 100 * np.exp(np.cumsum(random.normal(0, volatility, (bars, symbols)), axis=0))
    opened = closed * np.exp(random.normal(0, volatility, (bars, symbols)))
    gone = random.random((bars, symbols)) < missing
    opened[gone], closed[gone] = NO, NO
    if not funding:
        return market(opened, closed)
    rates = np.where(random.random((bars, symbols)) < 0.3, random.normal(0, 1e-3, (bars, symbols)), NO)
    marks = np.where(random.random((bars, symbols)) < 0.2, NO, closed * np.exp(random.normal(0, 1e-3, (bars, symbols))))
    return market(opened, closed, rates, marks)


def random_targets(seed: int, bars: int, symbols: int, size: float = 1.0) -> Array:
    """Weights that jump about, keep now and then, and go flat now and then."""
    random = np.random.default_rng(seed)
    weights = random.uniform(-size, size, (bars, symbols))
    weights[random.random((bars, symbols)) < 0.3] = NO
    weights[random.random((bars, symbols)) < 0.1] = 0.0
    return weights


class Reference:
    """One account, bar by bar, symbol by symbol. Nothing here is taken from the package but the settings."""

    def __init__(self, symbols: int, costs: Costs, capital: float = 1.0) -> None:
        self.costs, self.cash = costs, capital
        self.held = [0.0] * symbols
        self.close = [NO] * symbols
        self.mark = [NO] * symbols
        self.squares: list[list[float]] = [[] for _ in range(symbols)]
        self.ruined = False

    def live(self, bars: Market, targets: Array) -> dict[str, Array]:
        told: dict[str, list[object]] = {name: [] for name in ("equity", "cash", "quantities", "fees", "slippage", "funding", "traded")}
        for t in range(len(bars)):
            decided = targets[t - self.costs.latency] if t >= self.costs.latency else [NO] * len(self.held)
            for name, value in self.bar(bars, t, list(decided)).items():
                told[name].append(value)
        return {name: np.array(values) for name, values in told.items()}

    def bar(self, bars: Market, t: int, target: list[float]) -> dict[str, object]:
        opens, closes = bars.open[t], bars.close[t]
        count = range(len(self.held))
        funding = fees = slippage = traded = 0.0
        if bars.funding_rate is not None:
            for s in count:
                rate = bars.funding_rate[t, s]
                if self.held[s] and not math.isnan(rate):
                    funding += self.held[s] * self.mark[s] * rate
        self.cash -= funding
        equity = self.worth(opens)
        if equity <= 0:
            self.end(equity)
        else:
            gross = sum(abs(w) for w in target if not math.isnan(w))
            for s in count:
                if math.isnan(target[s]) or math.isnan(opens[s]):
                    continue
                weight = target[s] if gross <= self.costs.max_leverage else target[s] * self.costs.max_leverage / gross
                bought = weight * equity / opens[s] - self.held[s]
                if abs(bought) * opens[s] < max(self.costs.min_trade, 1e-12) * equity:
                    continue
                sign = 1 if bought > 0 else -1
                worse = self.slip(s)
                fee = abs(bought) * opens[s] * self.costs.fee_bps / 1e4
                self.cash -= bought * opens[s] * (1 + sign * worse) + fee
                self.held[s] += bought
                fees, slippage, traded = fees + fee, slippage + abs(bought) * opens[s] * worse, traded + abs(bought) * opens[s] / equity
        for s in count:
            if not math.isnan(closes[s]):
                if not math.isnan(self.close[s]):
                    self.squares[s].append((closes[s] / self.close[s] - 1) ** 2)
                self.close[s] = closes[s]
                marked = bars.mark_close is not None and not math.isnan(bars.mark_close[t, s])
                self.mark[s] = bars.mark_close[t, s] if marked and bars.mark_close is not None else closes[s]
        equity, quantities, cash = self.worth(closes), list(self.held), self.cash
        if equity <= 0:
            self.end(equity)
        told = {"equity": equity, "cash": cash, "quantities": quantities}
        return told | {"fees": fees, "slippage": slippage, "funding": funding, "traded": traded}

    def worth(self, prices: Array) -> float:
        return self.cash + sum(q * (self.close[s] if math.isnan(prices[s]) else prices[s]) for s, q in enumerate(self.held) if q)

    def end(self, equity: float) -> None:
        self.cash, self.held, self.ruined = equity, [0.0] * len(self.held), True

    def slip(self, s: int) -> float:
        mean = 0.0
        for n, square in enumerate(self.squares[s], start=1):
            share = max(1 / n, 2 / (self.costs.volatility_bars + 1))
            mean = (1 - share) * mean + share * square
        return self.costs.slippage_bps / 1e4 + self.costs.slippage_volatility * math.sqrt(mean)
