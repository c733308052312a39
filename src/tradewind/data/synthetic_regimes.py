"""Labelled paths of the seven regimes: a market that is told, bar by bar, which regime made it.

Log price x, normal bar volatility s; e is standard normal. Written down before any detector was judged on it:

- trending bull, trending bear: a bar's log return is .25 s + s e, or -.25 s + s e.
- high- and low-volatility range: -.15 (x - m) + u e with u = 2 s or .5 s, where m is the price at which the range began.
- breakout: only out of a range, up or down by chance (d = 1 or -1). Its first bar goes from wherever x is to 3 v beyond the range's
  highest or lowest close so far, v being the range's volatility; then d (.4 u + u e), u = 1.5 s.
- reversal: only out of a trend and against it: d (.4 u + u e), u = 1.25 s.
- crisis: -.4 u + u e, where u is 1.5 s in its first bar and 4 % more in each, up to 3.5 s.

A regime lasts `LEAST` bars and then ends in each bar with the probability that makes its mean stay `MEAN`; the next one is drawn by `NEXT`.
A trend that follows a breakout or a reversal goes on in its direction. `NEXT` leans towards bulls about as far as crises fall. Costs about
50 ns a bar. Fails to be like real markets in everything else: their regimes have no sharp edges, which flatters every detector.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.seeds import generator
from tradewind.core.types import Array, Targets
from tradewind.data.synthetic_paths import hold

__all__ = ["Paths", "labelled", "sharpe", "sides"]

LEAST: Final = (50, 50, 50, 50, 10, 15, 20)
MEAN: Final = (150, 150, 150, 150, 30, 40, 60)
NEXT: Final = (
    (0.00, 0.05, 0.20, 0.30, 0.00, 0.35, 0.10),
    (0.15, 0.00, 0.18, 0.07, 0.00, 0.50, 0.10),
    (0.27, 0.08, 0.00, 0.25, 0.35, 0.00, 0.05),
    (0.27, 0.08, 0.20, 0.00, 0.40, 0.00, 0.05),
    (0.70, 0.00, 0.15, 0.15, 0.00, 0.00, 0.00),
    (0.60, 0.00, 0.20, 0.20, 0.00, 0.00, 0.00),
    (0.60, 0.00, 0.30, 0.10, 0.00, 0.00, 0.00),
)
"""From (row) to (column), in the order of `tradewind.regimes.SEVEN`. After a breakout or a reversal, bull means in its direction."""

_BULL, _BEAR, _WILD, _CALM, _BREAKOUT, _REVERSAL, _CRISIS = range(7)


@final
@dataclass(frozen=True, eq=False)
class Paths:
    """Log closes (time + 1, symbol) from 0, `volatility` and `mean` of each bar's log return (time, symbol), `mean` of the bar after each
    if the regime goes on, and `states` (time,): the regime of each bar."""

    logs: Array
    volatility: Array
    mean: Array
    states: NDArray[np.int64]


def labelled(bars: int, symbols: int, unit: float, seed: int) -> Paths:
    """Paths whose normal bar volatility is `unit`; symbols share the regimes and their directions and have shocks of their own."""
    random = generator(seed, "regimes", "switches")
    states, directions = _switches(random.random((bars, 3)), np.array(LEAST), np.array(MEAN), np.cumsum(np.array(NEXT), axis=1))
    shocks = generator(seed, "regimes", "shocks").standard_normal((symbols, bars))
    logs, volatility, mean = np.empty((bars + 1, symbols)), np.empty((bars, symbols)), np.empty((bars, symbols))
    for column in range(symbols):
        logs[:, column], volatility[:, column], mean[:, column] = _path(states, directions, shocks[column], unit)
    return Paths(logs, volatility, mean, states)


def sides(mean: Array) -> Targets:
    """What holds the side of each symbol's `mean` (time, symbol), in equal shares."""
    return np.asarray(np.sign(mean) / mean.shape[1])


@lru_cache(maxsize=16)
def sharpe(symbols: int, unit: float, cost: float) -> float:
    """Per bar, net of `cost` a unit of turnover: what the sides of the mean earn over a quarter of a million bars."""
    path = labelled(1 << 18, symbols, unit, 0)
    returns = np.expm1(np.diff(path.logs, axis=0))
    net, _ = hold(returns, returns, sides(path.mean), cost)
    return float(net.mean() / net.std(ddof=1))


@kernel
def _switches(draws: Array, least: NDArray[np.int64], mean: NDArray[np.int64], onward: Array) -> tuple[NDArray[np.int64], Array]:
    """The regime (time,) and its direction (time,), +1, -1 or 0, of `draws` (time, 3); starts in a trend or a range, each as likely."""
    n = len(draws)
    states, directions = np.empty(n, dtype=np.int64), np.zeros(n)
    state, direction, lived = int(4.0 * draws[0, 0]), 0.0, 0
    for t in range(n):
        if t > 0 and lived >= least[state] and draws[t, 0] * (mean[state] - least[state]) < 1.0:
            old = state
            state = np.searchsorted(onward[old], draws[t, 1] * onward[old, 6], side="right")
            if old in (_BREAKOUT, _REVERSAL) and state == _BULL and direction < 0.0:
                state = _BEAR
            if state == _REVERSAL:
                direction = -1.0 if old == _BULL else 1.0
            elif state == _BREAKOUT:
                direction = 1.0 if draws[t, 2] < 0.5 else -1.0
            lived = 0
        if state not in (_BREAKOUT, _REVERSAL):
            direction = 1.0 if state == _BULL else -1.0 if state in (_BEAR, _CRISIS) else 0.0
        states[t], directions[t] = state, direction
        lived += 1
    return states, directions


@kernel
def _path(states: NDArray[np.int64], directions: Array, shocks: Array, unit: float) -> tuple[Array, Array, Array]:
    """Log closes (time + 1,), volatility and the mean of the next bar (time,)."""
    scale = np.array([1.0, 1.0, 2.0, 0.5, 1.5, 1.25, 1.5]) * unit
    drift = np.array([0.25, 0.25, 0.0, 0.0, 0.4, 0.4, 0.4])
    n = len(states)
    logs, volatility, mean = np.zeros(n + 1), np.empty(n), np.empty(n)
    centre, top, bottom, deviation, edge = 0.0, 0.0, 0.0, unit, 0.0
    for t in range(n):
        state, d, x = states[t], directions[t], logs[t]
        begins = t == 0 or states[t - 1] != state
        ranging = state in (_WILD, _CALM)
        if begins:
            edge = 3.0 * deviation
            deviation = scale[state]
            if ranging:
                centre, top, bottom = x, x, x
        elif state == _CRISIS:
            deviation = min(1.04 * deviation, 3.5 * unit)
        expected = -0.15 * (x - centre) if ranging else d * drift[state] * deviation
        if begins and state == _BREAKOUT and t > 0:
            logs[t + 1] = top + edge if d > 0.0 else bottom - edge
        else:
            logs[t + 1] = x + expected + deviation * shocks[t]
        top, bottom = max(top, logs[t + 1]), min(bottom, logs[t + 1])
        volatility[t] = deviation
        mean[t] = -0.15 * (logs[t + 1] - centre) if ranging else d * drift[state] * deviation
    return logs, volatility, mean
