"""The recursion of the seven regimes by rules, one bar of one symbol at a time; `rules.py` says what it computes.

A symbol's memory is one row: how many bars it has seen, the last close, the exponential means, what is left of the last breakout and
reversal, the probabilities, and rings of the last closes, highs and lows. Costs O(slow) a bar. Fails never: a price that stands still has
the least variance, `_CALMEST`.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array

__all__ = ["blank", "columns", "slots", "sweep"]

_SEEN, _LAST, _QUICK, _STEADY, _NORMAL, _BREAKOUT, _EDGE, _REVERSAL, _BELIEF = range(9)
_RINGS: Final = _BELIEF + 7
_CALMEST: Final = 1e-24
"""The least variance of a bar: a price that stands still has a volatility too, or nothing could be measured in units of it."""
_FLOOR: Final = 0.01
"""The likelihood of a regime that the rules rule out: no bar alone makes anything impossible."""
_WALK: Final = math.sqrt(8.0 / math.pi)


def slots(fast: int, slow: int) -> int:
    """How many numbers the memory of a symbol has under these windows."""
    return _RINGS + 3 * (fast + slow + 1)


def blank(symbols: int, settings: Array) -> Array:
    """(symbol, slot) the memory before the first bar; `settings` as `rules.packed` gives them."""
    return np.zeros((symbols, slots(int(settings[0]), int(settings[1]))))


@kernel
def sweep(memory: Array, opens: Array, highs: Array, lows: Array, closes: Array, settings: Array, out: Array, read: Array) -> None:
    """Live the bars (time, symbol), one symbol after the other: `out` (time, symbol, 7) and `read` (time, symbol, measure)."""
    for s in range(closes.shape[1]):
        past = memory[s]
        for t in range(closes.shape[0]):
            if not math.isnan(closes[t, s]) and _live(past, opens[t, s], highs[t, s], lows[t, s], closes[t, s], settings, read[t, s]):
                out[t, s] = past[_BELIEF:_RINGS]
            else:
                out[t, s], read[t, s] = np.nan, np.nan


@kernel
def columns(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """The same as a kernel of `tradewind.features`: `out` (7, n) for the last n of one symbol's `bars` (field, bar), whose first fields are
    open, high, low and close. `state` (`slots`,) is the memory, zeros before the first bar; `parameters` as `rules.packed` gives them. What
    comes out before the memory is warm means nothing.
    """
    n, read = out.shape[1], np.empty(7)
    first = bars.shape[1] - n
    for t in range(n):
        _live(state, bars[0, first + t], bars[1, first + t], bars[2, first + t], bars[3, first + t], parameters, read)
        out[:, t] = state[_BELIEF:_RINGS]


@kernel
def _live(past: Array, start: float, high: float, low: float, close: float, settings: Array, read: Array) -> bool:
    """One bar of one symbol: whether it is warm, and then what it reads."""
    x, top, bottom = math.log(close), math.log(high), math.log(low)
    warm = bool(past[_SEEN] >= settings[0] + settings[1])
    if past[_SEEN] == 0.0:
        past[_BELIEF:_RINGS] = 1.0 / 7.0
    _volatility(past, math.log(start), top, bottom, x, settings)
    if warm:
        _measure(past, x, top, settings, read)
        _believe(past, read, settings)
    _remember(past, x, top, bottom, settings)
    return warm


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
    _turn(past, read[1], read[2], settings)
    read[5], read[6] = past[_BREAKOUT], past[_REVERSAL]


@inline_kernel
def _renewed(old: float, new: float, over: bool, hold: float) -> float:
    """What has not faded of a signed strength, unless it is over; or the new one where that is stronger."""
    faded = 0.0 if over else old * (1.0 - 1.0 / hold)
    return new if abs(new) > abs(faded) else faded


@kernel
def _break_out(past: Array, x: float, ceiling: float, bottom: float, settings: Array) -> None:
    """The breakout from the channel between `bottom` and `ceiling`, or what is left of the last one."""
    softness, quick, steady = settings[10], math.sqrt(past[_QUICK]), math.sqrt(past[_STEADY])
    side = 1.0 if x > ceiling else -1.0 if x < bottom else 0.0
    edge = ceiling if side > 0.0 else bottom
    beyond, width = side * (x - edge) / quick, (ceiling - bottom) / (steady * math.sqrt(settings[1]))
    new = side * _soft(beyond - settings[6], softness) * _soft(_WALK - width, softness)
    strength = _renewed(past[_BREAKOUT], new, past[_BREAKOUT] * (x - past[_EDGE]) < 0.0, settings[3])
    if strength == new:
        past[_EDGE] = edge
    past[_BREAKOUT] = strength


@kernel
def _turn(past: Array, turn: float, before: float, settings: Array) -> None:
    """The reversal of the trend before, or what is left of the last one."""
    side = 1.0 if turn > 0.0 else -1.0
    new = side * _soft(-side * before - settings[4], settings[10]) * _soft(abs(turn) - settings[5], settings[10])
    past[_REVERSAL] = _renewed(past[_REVERSAL], new, past[_REVERSAL] * turn < 0.0, settings[3])


@kernel
def _believe(past: Array, read: Array, settings: Array) -> None:
    """One step of the chain, then the soft decision list weighs what it gave."""
    trend, volatility, softness, stay = read[0], read[3], settings[10], settings[11]
    share = np.empty(7)
    share[6] = _soft(volatility - settings[8], softness) * _soft(read[4] - settings[9], softness) * _soft(-read[1], softness)
    left = 1.0 - share[6]
    share[4] = left * abs(read[5])
    left -= share[4]
    share[5] = left * abs(read[6])
    left -= share[5]
    share[0] = left * _soft(trend - settings[4], softness)
    share[1] = left * _soft(-trend - settings[4], softness)
    left -= share[0] + share[1]
    share[2] = left * _soft(volatility - settings[7], softness)
    share[3] = left - share[2]
    total = 0.0
    for k in range(7):
        moved = stay * past[_BELIEF + k] + (1.0 - stay) / 6.0 * (1.0 - past[_BELIEF + k])
        past[_BELIEF + k] = moved * (max(share[k], 0.0) + _FLOOR) ** settings[12]
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
