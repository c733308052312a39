"""The loops behind the synthetic markets: paths that depend on their own past, and what holding targets along them earns."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.types import Array

__all__ = ["autoregression", "average_drift", "band", "carried", "garch", "hold", "markov", "momentum", "regime_direction"]


@kernel
def momentum(shocks: Array, drift: float, volatility: float, lookback: int) -> tuple[Array, Array]:
    """Log closes (time + 1,), the first being 0, and targets (time,): a sign where it turned, NaN where it is kept.

    Bar t's simple return has mean drift * volatility * sign(close[t-1] / close[t-1-lookback] - 1); 0 during the first bars.
    """
    n = len(shocks)
    logs, targets = np.zeros(n + 1), np.full(n, np.nan)
    sign = 0.0
    for t in range(n):
        step = math.log1p(drift * volatility * sign) - 0.5 * volatility * volatility
        logs[t + 1] = logs[t] + step + volatility * shocks[t]
        if t >= lookback:
            now = 1.0 if logs[t + 1] > logs[t + 1 - lookback] else -1.0
            if now != sign:
                targets[t] = now
            sign = now
    return logs, targets


@kernel
def average_drift(shocks: Array, waves: Array, strength: float, volatility: float, span: int) -> tuple[Array, Array]:
    """Log closes (time + 1,), the first being 0, and the expected simple return of the bar after each (time,), as known at its close.

    d(t) is the close over its exponential average of `span` bars, less 1: the column ema_distance, of which the first `span` - 1 bars have
    none. The mean is strength * d(t), or where there are `waves` (time,) strength * waves(t) * sign(d(t)); 0 while there is no d.
    """
    n = len(shocks)
    logs, mean = np.zeros(n + 1), np.zeros(n)
    rate, average = 2.0 / (span + 1.0), 0.0
    for t in range(n):
        drift = math.log1p(mean[t - 1]) if t > 0 else 0.0
        logs[t + 1] = logs[t] + drift - 0.5 * volatility * volatility + volatility * shocks[t]
        close = math.exp(logs[t + 1])
        # The average is seeded with the plain mean of its first closes, as the column is.
        average += close / span if t < span else rate * (close - average)
        if t >= span - 1:
            distance = close / average - 1.0
            if len(waves) == 0:
                mean[t] = min(max(strength * distance, -0.5), 0.5)
            else:
                mean[t] = strength * waves[t] * (1.0 if distance > 0.0 else -1.0)
    return logs, mean


@kernel
def autoregression(shocks: Array, decay: float) -> Array:
    """x(t) = decay * (x(t - 1) + shocks(t)), from 0."""
    out = np.empty(len(shocks))
    last = 0.0
    for t in range(len(shocks)):
        last = decay * (last + shocks[t])
        out[t] = last
    return out


@kernel
def band(mean: Array, gain: float, width: float) -> Array:
    """Targets (time,): the position is moved to the nearer edge of `gain` * mean, at most 1 in size, plus or minus `width`; NaN inside."""
    out = np.full(len(mean), np.nan)
    held = 0.0
    for t in range(len(mean)):
        wanted = min(max(gain * mean[t], -1.0), 1.0)
        moved = min(max(held, wanted - width), wanted + width)
        if moved != held:
            out[t] = moved
            held = moved
    return out


@kernel
def carried(targets: Array) -> Array:
    """The last finite value at or before each row, 0 before the first."""
    out = np.empty(len(targets))
    last = 0.0
    for t in range(len(targets)):
        if not math.isnan(targets[t]):
            last = targets[t]
        out[t] = last
    return out


@kernel
def garch(shocks: Array, volatility: float) -> tuple[Array, Array]:
    """Log closes (time + 1,) and the conditional volatility of each bar (time,), both of simple returns symmetric around 0.

    Half-life of volatility 34 bars; bounded so that no bar loses more than 90 %.
    """
    n = len(shocks)
    logs, deviation = np.zeros(n + 1), np.empty(n)
    level = volatility * volatility
    variance = level
    for t in range(n):
        deviation[t] = min(math.sqrt(variance), 8.0 * volatility)
        change = min(max(deviation[t] * shocks[t], -0.9), 0.9)
        logs[t + 1] = logs[t] + math.log1p(change)
        variance = 0.02 * level + 0.08 * change * change + 0.90 * variance
    return logs, deviation


@kernel
def markov(draws: Array, stay: Array) -> NDArray[np.int64]:
    """States 0 or 1 (time,) of a two-state chain with probabilities `stay` of keeping each; starts from its stationary law."""
    states = np.empty(len(draws), dtype=np.int64)
    state = 0 if draws[0] * (2.0 - stay[0] - stay[1]) < 1.0 - stay[1] else 1
    for t in range(len(draws)):
        if t > 0 and draws[t] >= stay[state]:
            state = 1 - state
        states[t] = state
    return states


@kernel
def regime_direction(returns: Array, mean: Array, deviation: Array, stay: Array) -> Array:
    """The sign of the expected next return given all returns (time, symbol) so far: +1 or -1 where it turned, NaN where it is kept."""
    out = np.full(len(returns), np.nan)
    calm = (1.0 - stay[1]) / (2.0 - stay[0] - stay[1])
    held = 0.0
    for t in range(len(returns)):
        # In logs, because the product over many symbols would underflow.
        evidence = math.log(calm) - math.log(1.0 - calm)
        for s in range(returns.shape[1]):
            a, b = (returns[t, s] - mean[0]) / deviation[0], (returns[t, s] - mean[1]) / deviation[1]
            evidence += 0.5 * (b * b - a * a) + math.log(deviation[1] / deviation[0])
        posterior = 1.0 / (1.0 + math.exp(-min(max(evidence, -700.0), 700.0)))
        calm = posterior * stay[0] + (1.0 - posterior) * (1.0 - stay[1])
        direction = 1.0 if calm * mean[0] + (1.0 - calm) * mean[1] > 0 else -1.0
        if direction != held:
            out[t] = direction
            held = direction
    return out


@kernel
def hold(returns: Array, expected: Array, targets: Array, cost: float) -> tuple[Array, Array]:
    """Net simple returns of the account (time,), and the same with `expected` (time, symbol) in the place of what happened.

    The contract's accounting for markets that open at the previous close: the target of bar t is traded at its close for `cost` a unit
    of turnover, NaN lets the position drift with the price.
    """
    n, m = returns.shape
    net, foreseen = np.empty(n), np.empty(n)
    value = np.zeros(m)  # of each position, as a fraction of equity
    for t in range(n):
        paid, gained, hoped = 0.0, 0.0, 0.0
        for s in range(m):
            if t > 0 and not math.isnan(targets[t - 1, s]):
                paid += cost * abs(targets[t - 1, s] - value[s])
                value[s] = targets[t - 1, s]
            gained += value[s] * returns[t, s]
            hoped += value[s] * expected[t, s]
        net[t], foreseen[t] = gained - paid, hoped - paid
        for s in range(m):
            value[s] *= (1.0 + returns[t, s]) / (1.0 + net[t])
    return net, foreseen
