"""Rules of technical analysis as they are taught: a signal, followed.

Source: Brock, Lakonishok, LeBaron, "Simple technical trading rules and the stochastic properties of stock returns", Journal of Finance 47
(1992), https://doi.org/10.1111/j.1540-6261.1992.tb04681.x; the signals stand in `features/`. Costs: one update of the signal a bar.
Fails: crossings in sideways markets, reversals in trends; after costs most of them most of the time, which is what they are here to show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from tradewind.core.clock import format_time
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.spaces import Choice, Space, Whole
from tradewind.core.types import Target, Targets, View
from tradewind.features import Live, compute
from tradewind.features.catalog import describe
from tradewind.strategies.base import Strategy
from tradewind.strategies.reason import Reason, side

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["SPACES", "Rule", "bollinger_reversal", "ema_cross", "rsi_divergence", "rsi_reversal"]

_LONG_ONLY: Final = Choice((False, True))
SPACES: Final[dict[str, Space]] = {
    "ema-cross": {"fast": Whole(3, 60, log=True), "slow": Whole(80, 400, log=True), "long_only": _LONG_ONLY},
    "rsi-reversal": {"period": Whole(4, 60, log=True), "long_only": _LONG_ONLY},
    "bollinger-reversal": {"period": Whole(5, 120, log=True), "long_only": _LONG_ONLY},
    "rsi-divergence": {"period": Whole(4, 60, log=True), "long_only": _LONG_ONLY},
}


@final
class Rule(Strategy):
    """Follow a signal: an equal share of equity a symbol, times a feature with values in {-1, 0, 1}.

    `signal`: the feature's name, such as `signal_ema_cross_50_200`. `long_only`: flat instead of short.
    """

    def __init__(self, signal: str, long_only: bool = False) -> None:
        self.signal, self.long_only = signal, bool(long_only)
        self._live = Live([signal])
        self.warmup = self._live.warmup + 1

    def decide(self, view: View) -> Target:
        return Target(self._weights(self._live.rows(view.market).values[-1:])[0])

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        targets = self._weights(compute(market, [self.signal]).values)
        targets[:start] = np.nan
        return targets

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`: the signal, since when, and what it compares."""
        compared = _compared(self.signal)
        X = compute(view.market, [self.signal, "close", *compared])
        rows = np.flatnonzero(np.isfinite(X.values[:, symbol, 0]))
        if not len(rows) or rows[-1] != len(X) - 1:
            return Reason(("The signal has no value at this bar: what is held is kept.",))
        signal = X.values[rows, symbol, 0]
        turned = rows[np.flatnonzero(np.diff(signal, prepend=np.nan) != 0.0)[-1]]
        values = dict(zip(X.names, X.values[-1, symbol].tolist(), strict=True))
        told = ", ".join(f"{name} {value:,.6g}" for name, value in list(values.items())[1:])
        since = format_time(int(X.open_time[turned]))
        asked = "flat, since it may not go short" if self.long_only and signal[-1] < 0 else side(signal[-1])
        meaning = describe(self.signal).partition(": ")[2].partition("; of ")[0]
        return Reason((f"{self.signal} says {signal[-1]:+g}, {asked}, as it has since {since}.", f"Its {meaning}; now {told}."), values)

    def _weights(self, values: Targets) -> Targets:
        signal = values[:, :, 0]
        return np.asarray((np.maximum(signal, 0.0) if self.long_only else signal) / signal.shape[1])


def ema_cross(fast: int = 50, slow: int = 200, long_only: bool = False) -> Rule:
    """Long while the exponential average over `fast` bars is above the one over `slow`, short while it is below."""
    return Rule(_named("signal_ema_cross", fast=fast, slow=slow), long_only)


def rsi_reversal(period: int = 14, long_only: bool = False) -> Rule:
    """Long from RSI under 30, short from over 70, flat again at 50."""
    return Rule(_named("signal_rsi_reversal", period=period), long_only)


def bollinger_reversal(period: int = 20, long_only: bool = False) -> Rule:
    """Against a close beyond the Bollinger band over `period` bars, until the middle is reached."""
    return Rule(_named("signal_bollinger_reversal", period=period), long_only)


def rsi_divergence(period: int = 14, long_only: bool = False) -> Rule:
    """Against a new price extreme that RSI over `period` bars does not confirm."""
    return Rule(_named("signal_rsi_divergence", period=period), long_only)


def _compared(signal: str) -> list[str]:
    """The features that a signal compares, with the numbers of its name."""
    stem = signal.rstrip("_0123456789")
    numbers = signal[len(stem) :]
    if stem == "signal_ema_cross":
        return [f"ema_{number}" for number in numbers.split("_")[1:]]
    if stem == "signal_bollinger_reversal":
        return [f"bb_{part}{numbers}" for part in ("lower", "middle", "upper")]
    return [f"rsi{numbers[: numbers.find('_', 1)] if numbers.count('_') > 1 else numbers}"] if stem.startswith("signal_rsi") else []


def _named(stem: str, **periods: int) -> str:
    """The feature's name; the catalogue itself refuses numbers that do not go together."""
    whole(**periods)
    return "_".join([stem, *map(str, periods.values())])
