"""What deep momentum reads: returns over several horizons and differences of averages, each in units of its own volatility.

Paper: Lim, Zohren, Roberts 2019, https://arxiv.org/abs/1904.04912, section 4.2, after Baz et al. 2015,
https://doi.org/10.2139/ssrn.2695101. Durations become bars by the market's calendar, so that the same settings serve bars of any length.
Two things differ from the paper: the averages have its time scales as spans, as TA-Lib counts, and their difference is divided once, by
the price's deviation over a quarter. What the paper takes a second year of history for, its size, is learned from the training part.
Costs three microseconds a bar, as all features do. Fails where the longest horizon is most of the history: little is left to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np

from tradewind.core.clock import parse_duration
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, Features

__all__ = ["TrendInputs", "TrendSettings"]

LONGEST: Final = 99_999
"""Bars: the largest number that the name of a feature can hold."""
DEVIATIONS: Final = 2.0
"""How far a Bollinger band is from its middle: that distance is where the deviation of the price is read."""


@final
@dataclass(frozen=True)
class TrendSettings:
    """Durations, or whole bars: the returns' `horizons`, the (short, long) spans of the averages in `scales`, and the windows of the
    volatility of returns and of the deviation of prices.

    The horizons are one day and those of `momentum-mix`; the scales and the price's window are the paper's. Its horizons are
    1d, 30d, 91d, 182d and 365d, which take a year of history before the first answer. Raises SettingsError for what cannot be.
    """

    horizons: tuple[str | int, ...] = ("1d", "5d", "10d", "20d", "30d", "60d", "90d")
    scales: tuple[tuple[str | int, str | int], ...] = (("8d", "24d"), ("16d", "48d"), ("32d", "96d"))
    volatility_window: str | int = "30d"
    price_window: str | int = "91d"

    def __post_init__(self) -> None:
        object.__setattr__(self, "horizons", _listed("horizons", self.horizons))
        require(len(self.horizons) > 0, "horizons is empty; give at least one")
        object.__setattr__(self, "scales", tuple(_listed("scales", pair) for pair in _listed("scales", self.scales)))
        pairs_of_two = all(len(pair) == 2 for pair in self.scales)
        require(pairs_of_two, f"scales is {self.scales!r}; give pairs of a short and a long one, such as ('8d', '24d')")
        for duration in (*self.horizons, *(each for pair in self.scales for each in pair), self.volatility_window, self.price_window):
            if isinstance(duration, str):
                parse_duration(duration)
            else:
                whole(duration=duration)


@final
@dataclass(frozen=True)
class TrendInputs:
    """The inputs on bars of one length: how many bars each duration is, each once however coarse the bars are.

    `returns` (horizon,), `averages` (pair,) of a short and a long span, the windows `volatility` and `price`; all in bars.
    """

    returns: tuple[int, ...]
    averages: tuple[tuple[int, int], ...]
    volatility: int
    price: int

    @classmethod
    def on(cls, settings: TrendSettings, market: Market) -> Self:
        """The inputs for bars like those of `market`. Raises SettingsError when a duration takes more bars than a feature can look back."""
        pairs = {(market.bars(short), market.bars(long)) for short, long in settings.scales}
        made = cls(
            tuple(sorted({market.bars(horizon) for horizon in settings.horizons})),
            tuple(sorted(pair for pair in pairs if pair[0] < pair[1])),
            max(2, market.bars(settings.volatility_window)),
            max(2, market.bars(settings.price_window)),
        )
        longest = max(*made.returns, *(long for _, long in made.averages), made.volatility, made.price)
        require(
            longest <= LONGEST,
            f"a duration spans {longest} bars of {market.timeframe}, at most {LONGEST} are possible; resample to slower bars or shorten it",
        )
        return made

    @property
    def asked(self) -> tuple[str, ...]:
        """The features that the columns are made of."""
        spans = sorted({span for pair in self.averages for span in pair})
        band = (f"bb_upper_{self.price}", f"bb_middle_{self.price}") if spans else ()
        return (*(f"return_{k}" for k in self.returns), *(f"ema_{span}" for span in spans), f"volatility_{self.volatility}", *band)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return (*(f"return_{k}" for k in self.returns), *(f"average_{short}_{long}" for short, long in self.averages))

    def columns(self, X: Features) -> tuple[Array, Array]:
        """(time, symbol, column) inputs of the features `asked`, and the volatility (time, symbol) of one bar's return.

        What cannot be said, as where the price does not move, is not finite.
        """
        of = {name: X.values[:, :, i] for i, name in enumerate(X.names)}
        volatility = of[f"volatility_{self.volatility}"]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            made = [of[f"return_{k}"] / (volatility * np.sqrt(k)) for k in self.returns]
            if self.averages:
                deviation = (of[f"bb_upper_{self.price}"] - of[f"bb_middle_{self.price}"]) / DEVIATIONS
                made += [(of[f"ema_{short}"] - of[f"ema_{long}"]) / deviation for short, long in self.averages]
        return np.stack(made, axis=2), volatility


def _listed(name: str, given: Any) -> tuple[Any, ...]:
    require(isinstance(given, Sequence) and not isinstance(given, str), f"{name} has {given!r}; give a list, such as ('5d', '30d')")
    return tuple(given)
