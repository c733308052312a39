"""The seven regimes by published rules: a soft decision list over trend, volatility, breakout, turn and stress, and a sticky filter.

Everything is in units of volatility, so that neither price nor timeframe matters. s(n), the volatility of a bar, is the root of an
exponential mean over n bars of the range estimator of Garman & Klass (1980, https://doi.org/10.1086/296072) and the squared gap. With x
the log close, F = `fast`, S = `slow` and soft(a) = 1 / (1 + exp(-a / `softness`)), these are read off a bar:

- trend = (x(t) - x(t-S)) / (s(S) sqrt S), turn = the same over F, before = the trend of F bars ago: time-series momentum in standard errors
  (Moskowitz, Ooi & Pedersen 2012, https://doi.org/10.1016/j.jfineco.2011.11.003).
- volatility = log of s(F), less its own long past: an exponential mean of log s(F) over `memory` bars.
- depth = (highest price of the last S + F bars - x) / (long-past volatility sqrt S): the CMAX of Patel & Sarkar (1998,
  https://papers.ssrn.com/sol3/papers.cfm?abstract_id=104848) in units of volatility.
- breakout = soft(distance beyond the channel / s(F) - `thrust`) when the close leaves the channel of the S bars before it (Donchian's rule;
  Brock, Lakonishok & LeBaron 1992, https://doi.org/10.1111/j.1540-6261.1992.tb04681.x), times soft of how much narrower, in s(S) sqrt S,
  that channel is than the sqrt(8 / pi) of a random walk (Feller 1951, https://doi.org/10.1214/aoms/1177729589). It fades over `hold` bars
  and ends when the close comes back inside.
- reversal = soft(|before| - `trend`) soft(|turn| - `turn`) where the two have opposite signs: the corrections and rebounds of Goulding,
  Harvey & Mazzoleni (2023, https://doi.org/10.1016/j.jfineco.2023.05.007). It fades over `hold` bars and ends when the turn is taken back.

The list, each line taking its share of what those above left: crisis = soft(volatility - log `crisis_volatility`) soft(depth -
`crisis_depth`) soft(-turn); breakout; reversal; bull and bear = soft(trend - `trend`) and soft(-trend - `trend`); what is left is a range,
soft(volatility - log `high_volatility`) of it a wild one. The shares sum to one.

Shares of neighbouring bars look at the same past, so a bar counts as `evidence` of an observation: p(t) is proportional to
(share + .01)^evidence times p(t-1) after one step of a chain that stays with probability `stay` (the forward filter of Hamilton 1989,
https://doi.org/10.2307/1912559).

Costs O(slow) a bar, half a microsecond. Fails by being late: a trend is seen when `trend` standard errors of it have passed, and a breakout
that begins inside its channel is not seen at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Final, Self, final

import numpy as np

from tradewind.core.errors import StateError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.market import Market
from tradewind.core.settings import build, require
from tradewind.core.types import Array, State
from tradewind.regimes.base import RegimeFilter, Regimes
from tradewind.regimes.mapping import SEVEN
from tradewind.regimes.recursive import MemoryWatch
from tradewind.regimes.rules_kernels import blank, columns, slots, sweep

__all__ = ["MEASURES", "WINDOWS", "RegimeRules", "columns", "packed", "slots"]

MEASURES: Final = ("trend", "turn", "before", "volatility", "depth", "breakout", "reversal")
"""What the rules read off each bar, in this order; breakouts and reversals are negative where they go down."""


@final
@dataclass(frozen=True)
class _Settings:
    fast: int = 20
    slow: int = 60
    memory: int = 500
    hold: int = 20
    trend: float = 1.0
    turn: float = 0.7
    thrust: float = 1.0
    high_volatility: float = 1.25
    crisis_volatility: float = 1.5
    crisis_depth: float = 1.5
    softness: float = 0.25
    stay: float = 0.85
    evidence: float = 0.3

    def __post_init__(self) -> None:
        whole(2, fast=self.fast, slow=self.slow, memory=self.memory, hold=self.hold)
        require(self.fast < self.slow < self.memory, f"rules: fast {self.fast}, slow {self.slow} and memory {self.memory} have to ascend")
        number(trend=self.trend, turn=self.turn, crisis_depth=self.crisis_depth, softness=self.softness)
        number(False, thrust=self.thrust)
        for name in ("high_volatility", "crisis_volatility"):
            value = getattr(self, name)
            number(**{name: value})
            require(value > 1, f"{name} is {value}; it is a multiple of the long-past volatility, above 1")
        fraction(stay=self.stay)
        fraction(one=True, evidence=self.evidence)

    def packed(self) -> Array:
        values = asdict(self)
        logs = {name: math.log(values[name]) for name in ("high_volatility", "crisis_volatility")}
        return np.array([float(value) for value in (values | logs).values()])


WINDOWS: Final = (_Settings.fast, _Settings.slow, _Settings.memory, _Settings.hold)
"""The customary windows in bars: fast, slow, memory, hold."""


@final
class RegimeRules(RegimeFilter):
    """The seven regimes by rules; nothing is fitted. Windows count the bars that a symbol has.

    `fast`, `slow`, `memory`, `hold`: bars; `trend`, `turn`: standard errors of a return; `thrust`: volatilities of a bar;
    `high_volatility`, `crisis_volatility`: multiples of the long past's; `crisis_depth`: volatilities of `slow` bars; `softness`: how wide
    the passage of a threshold is; `stay`: probability of staying in a regime for one more bar; `evidence`: how much of an observation one
    bar counts. The defaults are customary from bars of 15 minutes to bars of a day. Raises SettingsError for an unknown setting and for
    values that cannot be. Formulas and sources: the head of this file.
    """

    name: ClassVar[str] = "rules"

    def __init__(self, **settings: object) -> None:
        self.names = SEVEN
        self._become(settings)

    def fit(self, market: Market) -> Self:
        """Nothing: rules know what they know."""
        return self

    def filter(self, market: Market) -> Regimes:
        """The seven of every bar; NaN in a symbol's first `warmup` bars and where it has no bar."""
        probabilities, _ = self._advanced(market, blank(len(market.symbols), self._packed))
        return Regimes(SEVEN, probabilities, market.open_time, market.known, market.symbols)

    def measures(self, market: Market) -> Array:
        """(time, symbol, measure) what the rules read off each bar, by `MEASURES`; NaN as in `filter`."""
        return self._advanced(market, blank(len(market.symbols), self._packed))[1]

    def watch(self, symbols: tuple[str, ...]) -> MemoryWatch:
        """A watch over `symbols`, before its first bar."""
        memory = blank(len(symbols), self._packed)
        return MemoryWatch(self.name, tuple(symbols), memory, lambda market, memory: self._advanced(market, memory)[0])

    def state(self) -> State:
        """The settings."""
        return State({"filter": self.name, "settings": asdict(self._settings)})

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError for a state of another kind."""
        if state.values.get("filter") != self.name:
            raise StateError(f"this state is of {state.values.get('filter')!r}, not of the regime filter {self.name!r}")
        self._become(state.values["settings"])
        return self

    def _become(self, settings: Mapping[str, object]) -> None:
        self._settings = build(_Settings, settings, "detector 'rules'")
        self._packed = self._settings.packed()
        self.warmup = self._settings.fast + self._settings.slow

    def _advanced(self, market: Market, memory: Array) -> tuple[Array, Array]:
        shape = (len(market), len(market.symbols))
        probabilities, measures = np.empty((*shape, len(SEVEN))), np.empty((*shape, len(MEASURES)))
        sweep(memory, market.open, market.high, market.low, market.close, self._packed, probabilities, measures)
        return probabilities, measures


def packed(fast: int, slow: int, memory: int, hold: int) -> Array:
    """The parameters of `columns` for these windows in bars, all else as customary. Raises SettingsError for windows that cannot be."""
    return _Settings(fast, slow, memory, hold).packed()
