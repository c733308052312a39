"""Time-series momentum: hold what has risen, leave or sell what has fallen.

Source: Moskowitz, Ooi, Pedersen, "Time series momentum", Journal of Financial Economics 104 (2012),
https://doi.org/10.1016/j.jfineco.2011.11.003, whose 40 % volatility target is the default here.
Costs: a decision reads at most the longest lookback. Fails: in markets that swing sideways, where it buys tops and sells bottoms, and
after sharp turns, which it sees late.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import parse_duration
from tradewind.core.compiled import kernel
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.spaces import Choice, Real, Space, Whole
from tradewind.core.types import Array, Target, Targets, Times, View
from tradewind.strategies.base import Strategy
from tradewind.strategies.reason import Reason, side

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["SPACES", "Momentum", "MomentumMix"]

SPACES: Final[dict[str, Space]] = {
    "momentum": {"lookback": Whole(2, 500, log=True), "long_only": Choice((False, True))},
    "momentum-mix": {
        "lookbacks": Choice(
            (("5d", "10d", "20d", "30d", "60d", "90d"), ("5d", "10d", "20d"), ("20d", "30d", "60d", "90d"), ("30d", "60d", "90d"))
        ),
        "volatility_target": Real(0.1, 0.8, log=True),
        "volatility_window": Choice(("10d", "20d", "30d", "60d")),
        "long_only": Choice((True, False)),
    },
}


@final
class Momentum(Strategy):
    """The sign of close[t] / close[t - lookback] - 1 over each symbol's own bars, as an equal share of equity.

    `lookback`: bars, at least 1; bars that a symbol lacks do not count. `long_only`: flat instead of short.
    """

    def __init__(self, lookback: int = 20, long_only: bool = False) -> None:
        whole(lookback=lookback)
        self.lookback, self.long_only = lookback, long_only
        self.warmup = lookback + 1

    def decide(self, view: View) -> Target:
        close = view.market.close
        weights = np.full(close.shape[1], np.nan)
        for s in range(close.shape[1]):
            if not np.isnan(close[-1, s]):
                bars = _last_existing(close[:, s], self.lookback + 1)
                if len(bars) > self.lookback:
                    weights[s] = self._weight(bars[-1:], bars[:1], close.shape[1])[0]
        return Target(weights)

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        targets = np.full(market.close.shape, np.nan)
        for s, close in enumerate(market.close.T):
            rows = np.flatnonzero(~np.isnan(close))
            bars = close[rows]
            targets[rows[self.lookback :], s] = self._weight(bars[self.lookback :], bars[: -self.lookback], len(market.symbols))
        targets[: max(start, self.warmup - 1)] = np.nan
        return targets

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`: the two closes that it compares."""
        close = view.market.close[:, symbol]
        bars = _last_existing(close, self.lookback + 1)
        if np.isnan(close[-1]) or len(bars) <= self.lookback:
            return Reason(("The symbol has no bar here, or too few before it: what is held is kept.",))
        change = float(bars[-1] / bars[0] - 1.0)
        asked = "flat, since it may not go short" if self.long_only and change < 0 else side(change)
        words = f"The close {bars[-1]:,.6g} is {change:+.3%} away from the close {self.lookback} bars before, {bars[0]:,.6g}: {asked}."
        return Reason((words,), {"close": float(bars[-1]), "before": float(bars[0]), "change": change})

    def _weight(self, now: Array, before: Array, symbols: int) -> Array:
        sign = np.sign(now / before - 1.0)
        return np.asarray((np.maximum(sign, 0.0) if self.long_only else sign) / symbols)


@final
class MomentumMix(Strategy):
    """The mean vote of several lookbacks, scaled to a volatility, rebalanced once a day: the bar to clear.

    `lookbacks`: durations or whole bars; each votes 1 when the close is above the one that long ago, else 0 (-1 when not `long_only`),
    and those that a symbol's history does not reach yet have no vote. `volatility_target`: annual, as a fraction, for each position;
    the realised volatility is that of the bars in `volatility_window` or as many of them as there are. `max_weight` caps the scaling.
    `rebalance`: a symbol is decided on at its first bar known in a new UTC period of this length, and kept in between.

    Weights are shares of equity / number of symbols. `warmup` is the shortest lookback in bars, known once `fit` has seen the timeframe;
    without `fit` the rows that cannot be decided are NaN all the same.
    """

    def __init__(
        self,
        lookbacks: Sequence[str | int] = ("5d", "10d", "20d", "30d", "60d", "90d"),
        volatility_target: float = 0.4,
        volatility_window: str | int = "30d",
        rebalance: str = "1d",
        max_weight: float = 1.0,
        long_only: bool = True,
    ) -> None:
        require(
            not isinstance(lookbacks, str) and len(lookbacks) > 0, f"lookbacks is {lookbacks!r}; give at least one, such as ('5d', '30d')"
        )
        for name, duration in (*(("lookbacks", each) for each in lookbacks), ("volatility_window", volatility_window)):
            _check_duration(name, duration)
        for name, value in (("volatility_target", volatility_target), ("max_weight", max_weight)):
            require(isfinite(value) and value > 0, f"{name} is {value!r}; it is positive, such as {0.4 if 'target' in name else 1.0}")
        parse_duration(rebalance)
        self.lookbacks, self.volatility_target, self.volatility_window = tuple(lookbacks), float(volatility_target), volatility_window
        self.rebalance, self.max_weight, self.long_only = rebalance, float(max_weight), bool(long_only)

    def fit(self, market: Market) -> Self:
        self.warmup = min(market.bars(lookback) for lookback in self.lookbacks) + 1
        return self

    def decide(self, view: View) -> Target:
        return Target(self._weights(view.market, len(view.market) - 1)[0])

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        first = min(len(market), max(start, self.warmup - 1))
        history = np.full((first, len(market.symbols)), np.nan)
        return np.concatenate([history, self._weights(market, first)])

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`: the vote of each lookback, and the volatility."""
        weight = float(self.decide(view).weights[symbol])
        if np.isnan(weight):
            return Reason((f"It decides at a symbol's first bar in each {self.rebalance}; at this one it keeps what is held.",))
        market, close = view.market, view.market.close[:, symbol]
        bars = close[~np.isnan(close)]
        spans = {name: bars[-1] / bars[-1 - market.bars(name)] - 1.0 for name in self.lookbacks if market.bars(name) < len(bars)}
        recent = np.diff(bars[-1 - market.bars(self.volatility_window) :]) / bars[-1 - market.bars(self.volatility_window) : -1]
        yearly = float(recent.std(ddof=1) * np.sqrt(market.periods_per_year)) if len(recent) > 1 else 0.0
        votes = f"{sum(change > 0 for change in spans.values())} of {len(spans)} lookbacks have risen: "
        votes += ", ".join(f"{name} {change:+.2%}" for name, change in spans.items())
        scaled = (
            f"The volatility of {yearly:.1%} a year beside a target of {self.volatility_target:.0%} makes {weight:+.4f} of equity of that."
        )
        values = {f"return_{name}": float(change) for name, change in spans.items()}
        return Reason((f"{votes}.", scaled), {**values, "volatility": yearly, "target": weight})

    def _weights(self, market: Market, first: int) -> Array:
        lookbacks = np.array(sorted(market.bars(lookback) for lookback in self.lookbacks), dtype=np.int64)
        out = np.full((len(market) - first, len(market.symbols)), np.nan)
        target = self.volatility_target / np.sqrt(market.periods_per_year)
        flat = 0.0 if self.long_only else -1.0
        _mix(
            market.close, market.known, first, lookbacks, market.bars(self.volatility_window),
            parse_duration(self.rebalance), target, self.max_weight, flat, out,
        )  # fmt: skip
        return out / len(market.symbols)


@kernel
def _mix(
    close: Array,
    known: Times,
    first: int,
    lookbacks: NDArray[np.int64],
    window: int,
    period: int,
    target: float,
    cap: float,
    flat: float,
    out: Array,
) -> None:
    """Write the share of each (row, symbol) from `first` on into `out`; cells without a decision stay as they are."""
    reach = max(lookbacks[-1], window)
    for row in range(first, len(close)):
        for s in range(close.shape[1]):
            now = close[row, s]
            if np.isnan(now):
                continue
            # Backward over the bars that exist: the answer depends on the window alone, not on where the history begins.
            later, count, reached, votes, mean, squares = now, 0, 0, 0.0, 0.0, 0.0
            for t in range(row - 1, -1, -1):
                bar = close[t, s]
                if np.isnan(bar):
                    continue
                if count == 0 and known[t] // period == known[row] // period:
                    break
                count += 1
                if count <= window:
                    change = later / bar - 1.0
                    shift = change - mean
                    mean += shift / count
                    squares += shift * (change - mean)
                later = bar
                while reached < len(lookbacks) and lookbacks[reached] == count:
                    if now != bar:
                        votes += 1.0 if now > bar else flat
                    reached += 1
                if count == reach:
                    break
            if reached > 0:
                volatility = np.sqrt(squares / max(1, min(count, window) - 1))
                scale = cap if volatility * cap <= target else target / volatility
                out[row - first, s] = scale * votes / reached


def _last_existing(column: Array, count: int) -> Array:
    """The last `count` values of `column` that are not NaN, or all of them where there are fewer; reads no more than it must."""
    width = count
    while True:
        tail = column[-width:]
        bars = tail[~np.isnan(tail)]
        if len(bars) >= count or width >= len(column):
            return np.asarray(bars[-count:])
        width *= 2


def _check_duration(name: str, duration: str | int) -> None:
    if isinstance(duration, int) and not isinstance(duration, bool):
        require(duration >= 1, f"{name} has {duration!r}; a number of bars is at least 1")
    else:
        parse_duration(duration)  # type: ignore[arg-type]  # a float or a bool ends in its message
