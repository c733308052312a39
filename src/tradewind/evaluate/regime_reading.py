"""What a detector says about a market: the regime now, how long regimes last, what came after them, and whether timeframes agree.

A detector that learns is fitted on a first part of the bars, and only what comes after that part is read. Costs one fit and one pass of the
detector, and as many again for each timeframe. Fails as a forecast: what came after a regime in these bars is description, without a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

import numpy as np

from tradewind.core.errors import DataError, NotFitted
from tradewind.core.limits import fraction
from tradewind.core.market import Market
from tradewind.core.types import Array
from tradewind.regimes.base import RegimeFilter, Regimes
from tradewind.regimes.registry import detector as make
from tradewind.regimes.stability import RegimeInfo, regime_info, stabilities
from tradewind.regimes.timeframes import CrossRegimes, Timeframes

__all__ = ["RegimeReading", "Stay", "read", "stays"]


@final
@dataclass(frozen=True)
class Stay:
    """How a regime was there: `share` of the bars that have a regime, `spells` unbroken runs of `mean_spell` and at most `longest` bars.

    Of the bar after each of its bars, `mean` and `error` are the mean simple return and its standard error, `volatility` its deviation;
    NaN where there is no such bar, or only one.
    """

    regime: str
    share: float
    spells: int
    mean_spell: float
    longest: int
    mean: float
    error: float
    volatility: float


@final
@dataclass(frozen=True, eq=False)
class RegimeReading:
    """A detector's regimes over `market`, the bars that are shown. `stability` (time, symbol). `now`: of each symbol that
    has a regime; `stays`: of each symbol, by regime.

    `detector` and `settings` say who tells, `fitted_on` how many bars before those shown it has learned from, the share `trained` of all: 0
    where there is nothing to learn. `cross`: the regimes of several timeframes at the same bars, None where none were asked for.
    """

    market: Market
    regimes: Regimes
    stability: Array
    now: Mapping[str, RegimeInfo]
    stays: Mapping[str, tuple[Stay, ...]]
    detector: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    fitted_on: int = 0
    trained: float = 0.0
    cross: CrossRegimes | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able data; no number is None."""
        agreement = {} if self.cross is None else dict(zip(self.market.symbols, _last(self.cross.agreement), strict=True))
        symbols = {
            symbol: {
                **asdict(info),
                "probabilities": dict(info.probabilities),
                "agreement": agreement.get(symbol),
                "stays": [_plain(asdict(stay)) for stay in self.stays[symbol]],
            }
            for symbol, info in self.now.items()
        }
        timeframes = [] if self.cross is None else list(self.cross.timeframes)
        told = {"detector": self.detector, "settings": dict(self.settings), "timeframes": timeframes, "timeframe": self.market.timeframe}
        return {**told, "bars": len(self.market), "fitted_on": self.fitted_on, "symbols": symbols}


def read(
    market: Market,
    detector: str = "rules",
    settings: Mapping[str, Any] | None = None,
    timeframes: Sequence[str] = (),
    train: float = 0.5,
    last: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> RegimeReading:
    """Let `detector` with its `settings` tell the regimes of `market`, and those of its slower `timeframes`.

    One that has to be fitted is fitted on the first `train` of the bars, and the rest is shown; of rules everything is. `last`: only so
    many of the bars at the end are shown. `progress` is told (what, done, of how many). Raises SettingsError for settings that cannot be
    and DataError where a part is too short.
    """
    fraction(train=train)
    told = progress or (lambda what, done, total: None)
    found = make(detector, **dict(settings or {}))
    split = int(len(market) * train) if _learns(found, market) else 0
    steps, done = 1 + bool(split) + bool(timeframes) * (1 + bool(split)), 0
    several = Timeframes(timeframes, detector, settings) if timeframes else None
    for each in (found, several) if split else ():
        if each is not None:
            told(f"fitting {detector}", done, steps)
            each.fit(market[:split])
            done += 1
    told("telling the regimes", done, steps)
    whole = found.filter(market)
    cross = None if several is None else several.read(market)
    told("telling the regimes", steps, steps)
    first = max(split, 0 if last is None else len(market) - last)
    if first >= len(market):
        raise DataError(f"none of the {len(market)} bars is left to show; give more bars or a smaller part to learn from")
    there = [symbol for symbol, rows in zip(market.symbols, whole.current.T, strict=True) if (rows >= 0).any()]
    if not there:
        raise DataError(f"{detector} tells no regime in {len(market)} bars: it is warm after {found.warmup}; give more of them")
    shown, regimes = market[first:], whole[first:]
    return RegimeReading(
        shown, regimes, stabilities(whole)[first:], {symbol: regime_info(whole, symbol) for symbol in there},
        {symbol: stays(regimes, shown, column) for column, symbol in enumerate(market.symbols)},
        detector, dict(settings or {}), split, split / len(market), None if cross is None else _cut(cross, first),
    )  # fmt: skip


def stays(regimes: Regimes, market: Market, column: int) -> tuple[Stay, ...]:
    """How each regime was there in the bars of the symbol in `column`; bars without a regime are left out."""
    current = regimes.current[:, column]
    rows = np.flatnonzero(current >= 0)
    told, close = current[rows], market.close[rows, column]
    after = np.append(close[1:] / close[:-1] - 1.0, np.nan)
    starts = np.flatnonzero(np.append(True, told[1:] != told[:-1])) if len(told) else np.zeros(0, dtype=np.int64)
    lengths = np.diff(np.append(starts, len(told)))
    found = []
    for regime, name in enumerate(regimes.names):
        own = lengths[told[starts] == regime]
        next_bar = after[(told == regime) & ~np.isnan(after)]
        n = len(next_bar)
        deviation = float(next_bar.std(ddof=1)) if n > 1 else math.nan
        mean = float(next_bar.mean()) if n else math.nan
        share, spell = float(own.sum() / max(len(told), 1)), float(own.mean()) if len(own) else 0.0
        error = deviation / math.sqrt(n) if n > 1 else math.nan
        found.append(Stay(name, share, len(own), spell, int(own.max(initial=0)), mean, error, deviation))
    return tuple(found)


def _learns(found: RegimeFilter, market: Market) -> bool:
    try:
        found.filter(market[:1])
    except NotFitted:
        return True
    return False


def _cut(cross: CrossRegimes, first: int) -> CrossRegimes:
    return replace(cross, probabilities=cross.probabilities[first:], consensus=cross.consensus[first:], agreement=cross.agreement[first:])


def _last(values: Array) -> list[float | None]:
    """The last number of each column; None where there is none."""
    columns = (column[~np.isnan(column)] for column in values.T)
    return [float(column[-1]) if len(column) else None for column in columns]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
