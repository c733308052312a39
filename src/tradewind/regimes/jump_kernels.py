"""The loops of the statistical jump model: features of returns, the exact dynamic program over states, and its forward half online.

Values are costs: lower is better. Costs O(features + states) a bar, in the dynamic program as well, since all jumps cost the same. Fails
to tell states apart that lie at the same costs: the first of them is taken.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array

__all__ = [
    "CHANGE",
    "CLIP",
    "DEVIATION",
    "DOWNSIDE",
    "MEAN",
    "RETURN",
    "SORTINO",
    "dynamic_program",
    "feature_rows",
    "filter_bars",
    "losses",
]

RETURN, CHANGE, MEAN, DEVIATION, DOWNSIDE, SORTINO = range(6)
"""Kinds of feature: the return; how far it is from the one before; and exponentially weighted, the mean, the standard deviation, the
downside deviation (the root of the mean squared fall), and the Sortino ratio, which is the mean over the downside deviation."""

CLIP = 3.0
"""Standard scores of features are cut off here, so that a single crash does not become a state of its own."""


@kernel
def _feature(kind: int, decay: float, change: float, last: float, sums: Array) -> float:
    """Moves `sums`, which are those of weights, of returns, of their squares and of squared falls, by one return, the one after `last`, and
    answers the feature."""
    fall = min(change, 0.0)
    sums[0] = decay * sums[0] + 1.0
    sums[1] = decay * sums[1] + change
    sums[2] = decay * sums[2] + change * change
    sums[3] = decay * sums[3] + fall * fall
    mean = float(sums[1] / sums[0])
    downside = math.sqrt(sums[3] / sums[0])
    if kind == 0:
        return change
    if kind == 1:
        return math.fabs(change - last)
    if kind == 2:
        return mean
    if kind == 3:
        return math.sqrt(max(sums[2] / sums[0] - mean * mean, 0.0))
    if kind == 4:
        return downside
    # Without a single fall there is nothing to divide by: the ratio counts as 0.
    return mean / downside if downside > 0.0 else 0.0


@inline_kernel
def _carry(values, penalty):  # type: ignore[no-untyped-def]
    """`values` (state,), the least cost of a path that ends in each, become those of being in each one bar later, less the least."""
    least = values[0]
    for i in range(1, len(values)):
        least = min(least, values[i])
    for i in range(len(values)):
        values[i] = min(values[i] - least, penalty)
    return least


@kernel
def feature_rows(close: Array, kinds: NDArray[np.int64], decays: Array) -> Array:
    """(time - 1, feature) of the closes (time,) of one symbol, from its first return on."""
    out = np.empty((max(len(close) - 1, 0), len(kinds)))
    sums = np.zeros((len(kinds), 4))
    last = 0.0
    for t in range(1, len(close)):
        change = close[t] / close[t - 1] - 1.0
        for f in range(len(kinds)):
            out[t - 1, f] = _feature(kinds[f], decays[f], change, last, sums[f])
        last = change
    return out


@kernel
def losses(scores: Array, centroids: Array) -> Array:
    """(time, state): half the squared distance of `scores` (time, feature) from `centroids` (state, feature)."""
    out = np.zeros((len(scores), len(centroids)))
    for t in range(len(scores)):
        for f in range(scores.shape[1]):
            for i in range(len(centroids)):
                distance = scores[t, f] - centroids[i, f]
                out[t, i] += 0.5 * distance * distance
    return out


@kernel
def dynamic_program(loss: Array, penalty: float) -> tuple[NDArray[np.int64], float]:
    """The path of states (time,) with the least sum of `loss` (time, state) and `penalty` a jump, and that sum."""
    n, states = loss.shape
    path, jumped, best = np.zeros(n, dtype=np.int64), np.zeros((n, states), dtype=np.bool_), np.zeros(n, dtype=np.int64)
    values = np.zeros(states)
    total = 0.0
    for t in range(n):
        if t > 0:
            for i in range(states):
                if values[i] < values[best[t]]:
                    best[t] = i
            for i in range(states):
                jumped[t, i] = values[i] - values[best[t]] > penalty
            total += _carry(values, penalty)
        for i in range(states):
            values[i] += loss[t, i]
    for i in range(states):
        if values[i] < values[path[n - 1]]:
            path[n - 1] = i
    for t in range(n - 1, 0, -1):
        path[t - 1] = best[t] if jumped[t, path[t]] else path[t]
    return path, total + values[path[n - 1]]


@kernel
def filter_bars(
    close: Array,
    kinds: NDArray[np.int64],
    decays: Array,
    centre: Array,
    scale: Array,
    centroids: Array,
    penalty: float,
    warmup: int,
    memory: Array,
) -> Array:
    """(time, symbol, state) probabilities of bars (time, symbol): the softmin of the least cost of a path that ends in each state.

    `memory` (symbol, 3 + state + 4 * feature), moved in place: the last close and return, how many returns were seen, the values, the sums
    of each feature. `centre`, `scale` (symbol, feature) and `centroids` (symbol, state, feature); NaN before `warmup` returns were seen.
    """
    n, symbols = close.shape
    states, features = centroids.shape[1], len(kinds)
    out = np.full((n, symbols, states), np.nan)
    for t in range(n):
        for s in range(symbols):
            now, last = close[t, s], memory[s, 0]
            if math.isnan(now):
                continue
            memory[s, 0] = now
            if math.isnan(last) or math.isnan(centre[s, 0]):
                continue
            change, before = now / last - 1.0, memory[s, 1]
            memory[s, 1] = change
            memory[s, 2] += 1.0
            values, sums = memory[s, 3 : 3 + states], memory[s, 3 + states :]
            warm = memory[s, 2] >= warmup
            if warm:
                _carry(values, penalty)
            for f in range(features):
                x = _feature(kinds[f], decays[f], change, before, sums[4 * f : 4 * f + 4])
                score = min(max((x - centre[s, f]) / scale[s, f], -CLIP), CLIP)
                for i in range(states):
                    distance = score - centroids[s, i, f]
                    values[i] += 0.5 * distance * distance if warm else 0.0
            if warm:
                least, total = values.min(), 0.0
                for i in range(states):
                    out[t, s, i] = math.exp(least - values[i])
                    total += out[t, s, i]
                for i in range(states):
                    out[t, s, i] /= total
    return out
