"""The seven regimes by published rules: one soft decision list over trend, volatility, breakout, turn and stress, and a sticky filter.

Everything is measured in units of volatility, so that nothing depends on the price or the timeframe. s(n) is the volatility of a bar over n
bars: the root of an exponential mean of the range estimator of Garman & Klass (1980, https://doi.org/10.1086/296072), the gap from the
last close added. With x the log close, F = `fast`, S = `slow`, and soft(a) = 1 / (1 + exp(-a / `softness`)), seven numbers are read off a bar:

- trend = (x(t) - x(t-S)) / (s(S) sqrt S), and turn the same over F: time-series momentum in standard errors (Moskowitz, Ooi & Pedersen 2012,
  https://doi.org/10.1016/j.jfineco.2011.11.003). before = the trend as it stood F bars ago.
- volatility = log of s(F) over its own long past, the exponential mean of log s(F) over `memory` bars.
- depth = (highest price of the last S + F bars - x) / (long-past volatility sqrt S): the CMAX of Patel & Sarkar (1998,
  https://doi.org/10.2469/faj.v54.n6.2231) in units of volatility.
- breakout: the close leaves the channel of the S bars before it (Donchian's rule; Brock, Lakonishok & LeBaron 1992,
  https://doi.org/10.1111/j.1540-6261.1992.tb04681.x) by more than `thrust` s(F), out of a channel no wider than a random walk's, s sqrt(8 S / pi)
  (Feller 1951, https://doi.org/10.1214/aoms/1177729589). Its strength fades over `hold` bars, and is gone when the close comes back inside.
- direction: that of the breakout.

The list, each line taking its share of what the lines above left: crisis = volatility above `crisis_volatility`, depth above
`crisis_depth`, and falling. Breakout = its strength. Reversal = a trend before, turned: the corrections and rebounds of Goulding, Harvey &
Mazzoleni (2023, https://doi.org/10.1016/j.jfineco.2023.05.007), their signs taken at `trend` and `turn` standard errors. Bull and bear = the
trend beyond `trend`. What is left is a range, of high volatility above `high_volatility`. Shares sum to one.

Shares of neighbouring bars look at the same past, so each counts as `evidence` of an observation: p(t) is proportional to
(share + .01)^evidence times the probabilities of t-1 after a step of a chain that stays with probability `stay` (Hamilton 1989,
https://doi.org/10.2307/1912559, forward only).

Costs O(slow) a bar, well under a microsecond. Fails by being late, a third of `slow` bars at the start of a trend, and by calling a quiet trend a range.
"""  # noqa: E501

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import ClassVar, Final, Self, final

import numpy as np

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.errors import StateError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.market import Market
from tradewind.core.settings import build, require
from tradewind.core.types import Array, State
from tradewind.regimes.base import RegimeFilter, Regimes, require_one_bar
from tradewind.regimes.mapping import SEVEN

__all__ = ["MEASURES", "RegimeRules", "RulesWatch", "sweep"]

MEASURES: Final = ("trend", "turn", "before", "volatility", "depth", "breakout", "direction")
"""What the rules read off each bar, in this order."""

_KIND: Final = "tradewind.regimes.rules"


@final
@dataclass(frozen=True)
class _Settings:
    fast: int = 20
    slow: int = 60
    memory: int = 500
    hold: int = 20
    trend: float = 1.0
    turn: float = 1.0
    thrust: float = 1.0
    high_volatility: float = 1.4
    crisis_volatility: float = 1.5
    crisis_depth: float = 1.5
    softness: float = 0.25
    stay: float = 0.95
    evidence: float = 0.5

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
        """(13,) as the kernel takes them."""
        values = asdict(self)
        logs = {name: math.log(values[name]) for name in ("high_volatility", "crisis_volatility")}
        return np.array([float(value) for value in (values | logs).values()])


@final
class RegimeRules(RegimeFilter):
    """The seven regimes by rules; nothing is fitted. Windows count the bars that a symbol has.

    `fast`, `slow`, `memory`, `hold`: bars; `trend`, `turn`: standard errors of a return; `thrust`: volatilities of a bar;
    `high_volatility`, `crisis_volatility`: multiples of the long past's; `crisis_depth`: volatilities of `slow` bars; `softness`: how wide
    the passage of a threshold is; `stay`: probability of staying in a regime for one more bar; `evidence`: how much of an observation one
    bar counts.
    Raises SettingsError for an unknown setting and for values that cannot be. Source and formulas: the head of this file.
    """

    name: ClassVar[str] = "rules"

    def __init__(self, **settings: object) -> None:
        self.names = SEVEN
        self._become(build(_Settings, settings, "detector 'rules'"))

    def fit(self, market: Market) -> Self:
        """Nothing: rules know what they know."""
        return self

    def filter(self, market: Market) -> Regimes:
        """The seven of every bar; NaN in a symbol's first `warmup` bars and where it has no bar."""
        probabilities, _ = self._swept(market)
        return Regimes(SEVEN, probabilities, market.open_time, market.known, market.symbols)

    def measures(self, market: Market) -> Array:
        """(time, symbol, measure) what the rules read off each bar, by `MEASURES`; NaN as in `filter`."""
        return self._swept(market)[1]

    def watch(self, symbols: tuple[str, ...]) -> RulesWatch:
        """A watch over `symbols`, before its first bar."""
        return RulesWatch(symbols, self._parameters)

    def state(self) -> State:
        """The settings."""
        return State({"kind": _KIND, "settings": asdict(self._settings)})

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError for a state of another kind."""
        _require_kind(state)
        self._become(build(_Settings, state.values["settings"], "detector 'rules'"))
        return self

    def _become(self, settings: _Settings) -> None:
        self._settings, self._parameters = settings, settings.packed()
        self.warmup = settings.fast + settings.slow

    def _swept(self, market: Market) -> tuple[Array, Array]:
        shape = (len(market), len(market.symbols))
        probabilities, measures = np.empty((*shape, len(SEVEN))), np.empty((*shape, len(MEASURES)))
        memory = _blank(len(market.symbols), self._parameters)
        sweep(memory, market.open, market.high, market.low, market.close, self._parameters, probabilities, measures)
        return probabilities, measures


@final
class RulesWatch:
    """The rules at work on some symbols; `measures` (symbol, measure) is what they read off the last bar."""

    def __init__(self, symbols: tuple[str, ...], parameters: Array) -> None:
        self.symbols, self._parameters = symbols, parameters
        self._memory = _blank(len(symbols), parameters)
        self._answer, self._read = np.empty((1, len(symbols), len(SEVEN))), np.full((1, len(symbols), len(MEASURES)), np.nan)

    @property
    def measures(self) -> Array:
        """(symbol, measure) by `MEASURES`; NaN before the first bar and as in `RegimeRules.filter`."""
        read: Array = self._read[0]
        return read.copy()

    def update(self, market: Market) -> Array:
        """(symbol, regime) after the one bar of `market`. Raises DataError for another number of bars and for other symbols."""
        require_one_bar(market, self.symbols)
        sweep(self._memory, market.open, market.high, market.low, market.close, self._parameters, self._answer, self._read)
        answer: Array = self._answer[0]
        return answer.copy()

    def state(self) -> State:
        """All that the bars so far have left."""
        return State({"kind": _KIND, "symbols": list(self.symbols)}, {"memory": self._memory.copy(), "measures": self._read.copy()})

    def restore(self, state: State) -> Self:
        """Go on from where `state` was taken. Raises StateError for a state of other symbols or settings."""
        _require_kind(state)
        memory, read = state.arrays.get("memory"), state.arrays.get("measures")
        if state.values.get("symbols") != list(self.symbols):
            raise StateError(f"the state is that of {state.values.get('symbols')}, this watch is over {list(self.symbols)}")
        if memory is None or read is None or memory.shape != self._memory.shape or read.shape != self._read.shape:
            raise StateError("the state is that of a watch with other windows; make one with the same settings")
        self._memory, self._read = memory.copy(), read.copy()
        return self


def _require_kind(state: State) -> None:
    if state.values.get("kind") != _KIND:
        raise StateError(f"the state is of kind {state.values.get('kind')!r}, not of {_KIND!r}")


def _blank(symbols: int, parameters: Array) -> Array:
    """(symbol, slot) the memory before the first bar: counters and means, the probabilities, then three rings."""
    ring = int(parameters[0] + parameters[1]) + 1
    memory = np.zeros((symbols, _RINGS + 3 * ring))
    memory[:, _BELIEF:_RINGS] = 1.0 / len(SEVEN)
    return memory


_SEEN, _LAST, _QUICK, _STEADY, _NORMAL, _STRENGTH, _SIDE, _EDGE, _BELIEF = range(9)
_RINGS: Final = _BELIEF + len(SEVEN)
_CALMEST: Final = 1e-24
"""The least variance of a bar: a price that stands still has a volatility too, or nothing could be measured in units of it."""
_FLOOR: Final = 0.01
"""The likelihood of a regime that the rules rule out: no bar alone makes anything impossible."""
_WALK: Final = math.sqrt(8.0 / math.pi)


@kernel
def sweep(memory: Array, opens: Array, highs: Array, lows: Array, closes: Array, settings: Array, out: Array, read: Array) -> None:
    """Live the bars (time, symbol), one symbol after the other: `out` (time, symbol, 7) and `read` (time, symbol, measure)."""
    warmup = settings[0] + settings[1]
    for s in range(closes.shape[1]):
        past = memory[s]
        for t in range(closes.shape[0]):
            if math.isnan(closes[t, s]):
                out[t, s], read[t, s] = np.nan, np.nan
                continue
            x, high, low = math.log(closes[t, s]), math.log(highs[t, s]), math.log(lows[t, s])
            _volatility(past, math.log(opens[t, s]), high, low, x, settings)
            if past[_SEEN] >= warmup:
                _measure(past, x, high, settings, read[t, s])
                _believe(past, read[t, s], settings)
                out[t, s] = past[_BELIEF:_RINGS]
            else:
                out[t, s], read[t, s] = np.nan, np.nan
            _remember(past, x, high, low, settings)


@inline_kernel
def _mean(old: float, new: float, seen: float, span: float) -> float:
    """An exponential mean that begins as a plain one."""
    return old + max(1.0 / (seen + 1.0), 2.0 / (span + 1.0)) * (new - old)


@kernel
def _volatility(past: Array, start: float, high: float, low: float, x: float, settings: Array) -> None:
    seen = past[_SEEN]
    gap = start - past[_LAST] if seen > 0.0 else 0.0
    spread, body = high - low, x - start
    variance = max(gap * gap + 0.5 * spread * spread - (2.0 * math.log(2.0) - 1.0) * body * body, _CALMEST)
    past[_QUICK] = _mean(past[_QUICK], variance, seen, settings[0])
    past[_STEADY] = _mean(past[_STEADY], variance, seen, settings[1])
    past[_NORMAL] = _mean(past[_NORMAL], 0.5 * math.log(past[_QUICK]), seen, settings[2])


@inline_kernel
def _soft(distance: float, softness: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(distance / softness, -40.0), 40.0)))


@kernel
def _measure(past: Array, x: float, high: float, settings: Array, read: Array) -> None:
    """The measures of the bar that closes at `x`; the rings hold the bars before it."""
    fast, slow, seen = int(settings[0]), int(settings[1]), int(past[_SEEN])
    ring = fast + slow + 1
    closes, highs, lows = past[_RINGS : _RINGS + ring], past[_RINGS + ring : _RINGS + 2 * ring], past[_RINGS + 2 * ring :]
    top, ceiling, bottom = high, -np.inf, np.inf
    for back in range(1, fast + slow):
        slot = (seen - back) % ring
        top = max(top, highs[slot])
        if back <= slow:
            ceiling, bottom = max(ceiling, highs[slot]), min(bottom, lows[slot])
    quick, steady, normal = math.sqrt(past[_QUICK]), math.sqrt(past[_STEADY]), math.exp(past[_NORMAL])
    turned = closes[(seen - fast) % ring]
    read[0] = (x - closes[(seen - slow) % ring]) / (steady * math.sqrt(slow))
    read[1] = (x - turned) / (quick * math.sqrt(fast))
    read[2] = (turned - closes[(seen - fast - slow) % ring]) / (steady * math.sqrt(slow))
    read[3] = math.log(quick) - past[_NORMAL]
    read[4] = (top - x) / (normal * math.sqrt(slow))
    _break_out(past, x, ceiling, bottom, settings)
    read[5], read[6] = past[_STRENGTH], past[_SIDE]


@kernel
def _break_out(past: Array, x: float, ceiling: float, bottom: float, settings: Array) -> None:
    """The strength of a breakout now: a new one, or what has not faded of the last one while the close is outside the channel it left."""
    softness, quick, steady = settings[10], math.sqrt(past[_QUICK]), math.sqrt(past[_STEADY])
    past[_STRENGTH] *= 1.0 - 1.0 / settings[3]
    if past[_SIDE] * (x - past[_EDGE]) < 0.0:
        past[_STRENGTH] = 0.0
    side = 1.0 if x > ceiling else -1.0 if x < bottom else 0.0
    edge = ceiling if side > 0.0 else bottom
    if side != 0.0:
        narrow = _WALK - (ceiling - bottom) / (steady * math.sqrt(settings[1]))
        strength = _soft(side * (x - edge) / quick - settings[6], softness) * _soft(narrow, softness)
        if strength > past[_STRENGTH]:
            past[_STRENGTH], past[_SIDE], past[_EDGE] = strength, side, edge
    if past[_STRENGTH] == 0.0:
        past[_SIDE] = 0.0


@kernel
def _believe(past: Array, read: Array, settings: Array) -> None:
    """One step of the chain, then the soft decision list weighs what it gave."""
    trend, turn, before, volatility, depth, breakout = read[0], read[1], read[2], read[3], read[4], read[5]
    softness, stay, evidence = settings[10], settings[11], settings[12]
    share = np.empty(7)
    share[6] = _soft(volatility - settings[8], softness) * _soft(depth - settings[9], softness) * _soft(-turn, softness)
    left = 1.0 - share[6]
    share[4] = left * breakout
    left -= share[4]
    fallen = _soft(before - settings[4], softness) * _soft(-turn - settings[5], softness)
    risen = _soft(-before - settings[4], softness) * _soft(turn - settings[5], softness)
    share[5] = left * max(fallen, risen)
    left -= share[5]
    share[0] = left * _soft(trend - settings[4], softness)
    share[1] = left * _soft(-trend - settings[4], softness)
    left -= share[0] + share[1]
    share[2] = left * _soft(volatility - settings[7], softness)
    share[3] = left - share[2]
    total = 0.0
    for k in range(7):
        moved = stay * past[_BELIEF + k] + (1.0 - stay) / 6.0 * (1.0 - past[_BELIEF + k])
        past[_BELIEF + k] = moved * (max(share[k], 0.0) + _FLOOR) ** evidence
        total += past[_BELIEF + k]
    for k in range(7):
        past[_BELIEF + k] /= total


@kernel
def _remember(past: Array, x: float, high: float, low: float, settings: Array) -> None:
    ring = int(settings[0] + settings[1]) + 1
    slot = _RINGS + int(past[_SEEN]) % ring
    past[slot], past[slot + ring], past[slot + 2 * ring] = x, high, low
    past[_LAST] = x
    past[_SEEN] += 1.0
