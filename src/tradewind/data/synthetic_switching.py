"""Markets that switch between regimes: the two states of Hardy, filtered by who knows the parameters, and three told apart by volatility.

Two states: simple returns are normal, calm and rising or turbulent and falling.

Three regimes, normal bar volatility s; f is the sign of the return over the last 2 bars, g that over the last 24. The next log return is

- calm:  s / 3 (k g + e), a slow trend,
- plain: s (-k f + e), a reversion,
- wild:  3 s (k (f - g / 2) + e), a fast trend that turns the slow one around,

with k = .15 and e standard normal. Who follows g earns in the first, who trades against f in the second, who follows f in the third; with
costs of 12 basis points a unit of turnover and s near 1 %, each loses in the other two. A regime ends in each bar with probability 1 / 500,
and either of the others follows. Where it is not `observable`, volatility is s in all three, and nothing but what the rules earn tells them
apart.

Source: Hamilton (1989), https://doi.org/10.2307/1912559; the two states of Hardy (2001), https://doi.org/10.1080/10920277.2001.10595984.
Costs about 50 ns a bar. Fails to be like real markets in everything else: their regimes have no sharp edges and no names.
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
from tradewind.data.synthetic_paths import hold, markov, regime_direction

__all__ = ["FAST", "MEAN", "SLOW", "STAY", "STAYS", "VOLATILITY", "Paths", "three_regimes", "three_sharpe", "two_sharpe", "two_states"]

MEAN: Final = (0.000615, -0.000785)
VOLATILITY: Final = (0.007759, 0.017396)
STAY: Final = (0.997884, 0.988018)
"""The two-state model of monthly S&P 500 returns of Hardy (2001), at 20 days a month."""

FAST, SLOW, STAYS = 2, 24, 500
"""Bars of the fast and of the slow return of the three regimes, and the mean stay in one."""
_STRENGTH: Final = 0.15
_FOLLOWS_FAST: Final = (0.0, -1.0, 1.0)
_FOLLOWS_SLOW: Final = (1.0, 0.0, -0.5)
_SCALES: Final = (1.0 / 3.0, 1.0, 3.0)
_CALIBRATION_BARS: Final = 1 << 18


@final
@dataclass(frozen=True, eq=False)
class Paths:
    """Log closes (time + 1, symbol) from 0, `volatility` and `mean` of the next bar's log return (time, symbol), the `states` (time,) and
    the
    `targets` (time, symbol) of who knows what an oracle knows."""

    logs: Array
    volatility: Array
    mean: Array
    states: NDArray[np.int64]
    targets: Targets


def two_states(bars: int, symbols: int, seed: int) -> Paths:
    """The market of Hardy's two states; symbols share the state. The oracle filters it from the returns and holds the expected side."""
    random = generator(seed, "switching", "shocks")
    mean, deviation, stay = (np.asarray(values) for values in (MEAN, VOLATILITY, STAY))
    states = markov(random.random(bars), stay)
    returns = mean[states][:, None] + deviation[states][:, None] * random.standard_normal((bars, symbols))
    direction = regime_direction(returns, mean, deviation, stay)
    logs = np.concatenate([np.zeros((1, symbols)), np.cumsum(np.log1p(returns), axis=0)])
    wide = np.ones(symbols)
    return Paths(logs, np.outer(deviation[states], wide), np.outer(mean[states], wide), states, np.outer(direction, wide / symbols))


@lru_cache(maxsize=16)
def two_sharpe(symbols: int, cost: float) -> float:
    """Per bar, net: what the filter earns over a quarter of a million bars, counted by the mean of the regime that really ruled."""
    path = two_states(_CALIBRATION_BARS, symbols, 0)
    net, foreseen = hold(np.expm1(np.diff(path.logs, axis=0)), path.mean, path.targets, cost)
    return float(foreseen.mean() / net.std(ddof=1))


def three_regimes(bars: int, symbols: int, unit: float, seed: int, observable: bool) -> Paths:
    """The three regimes with normal bar volatility `unit`; symbols share the regime and have shocks of their own.

    The oracle knows the regime of the bar just closed and holds, in equal shares, what that regime's own rule does.
    """
    states = _switches(generator(seed, "three regimes", "switches").random((bars, 2)), 1.0 / STAYS)
    scales = unit * np.asarray(_SCALES if observable else (1.0, 1.0, 1.0))
    shocks = generator(seed, "three regimes", "shocks").standard_normal((symbols, bars))
    logs, mean, held = np.empty((bars + 1, symbols)), np.empty((bars, symbols)), np.empty((bars, symbols))
    weights = _STRENGTH * np.array([_FOLLOWS_FAST, _FOLLOWS_SLOW])
    for column in range(symbols):
        logs[:, column], mean[:, column], held[:, column] = _three(states, shocks[column], scales, weights)
    return Paths(logs, np.repeat(scales[states][:, None], symbols, axis=1), mean, states, held / symbols)


@lru_cache(maxsize=16)
def three_sharpe(symbols: int, unit: float, observable: bool, cost: float) -> float:
    """Per bar, net of `cost` a unit of turnover: what knowing the regime earns over a quarter of a million bars."""
    path = three_regimes(_CALIBRATION_BARS, symbols, unit, 0, observable)
    returns = np.expm1(np.diff(path.logs, axis=0))
    net, _ = hold(returns, returns, path.targets, cost)
    return float(net.mean() / net.std(ddof=1))


@kernel
def _switches(draws: Array, leave: float) -> NDArray[np.int64]:
    """The regime (time,), 0 to 2, of `draws` (time, 2); each is left with probability `leave`, for either of the others."""
    states = np.empty(len(draws), dtype=np.int64)
    state = min(int(3.0 * draws[0, 0]), 2)
    for t in range(len(draws)):
        if t > 0 and draws[t, 0] < leave:
            state = (state + (1 if draws[t, 1] < 0.5 else 2)) % 3
        states[t] = state
    return states


@kernel
def _side(logs: Array, t: int, span: int) -> float:
    """The sign of the return over the `span` bars to close `t`; 0 where there are too few."""
    if t < span or logs[t] == logs[t - span]:
        return 0.0
    return 1.0 if logs[t] > logs[t - span] else -1.0


@kernel
def _three(states: NDArray[np.int64], shocks: Array, scales: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Log closes (time + 1,), the mean of the next bar's log return and the position of the regime's own rule (time,)."""
    n = len(states)
    logs, mean, held = np.zeros(n + 1), np.zeros(n), np.zeros(n)
    for t in range(n):
        scale = scales[states[t]]
        # The drift is that of the signals at the close before, under the regime that this bar has.
        fast, slow = _side(logs, t, FAST), _side(logs, t, SLOW)
        drift = scale * (weights[0, states[t]] * fast + weights[1, states[t]] * slow)
        logs[t + 1] = logs[t] + drift - 0.5 * scale * scale + scale * shocks[t]
        fast, slow = _side(logs, t + 1, FAST), _side(logs, t + 1, SLOW)
        mean[t] = scale * (weights[0, states[t]] * fast + weights[1, states[t]] * slow)
        held[t] = slow if states[t] == 0 else -fast if states[t] == 1 else fast
    return logs, mean, held
