"""The loops of the Gaussian hidden Markov model: inputs, forward filter, and one sweep of expectation and maximisation.

Filtered and smoothed probabilities are scaled at every bar (Rabiner 1989, https://doi.org/10.1109/5.18626), densities stay in logs until
the largest of a bar is taken off, so nothing under- or overflows. Costs O(states^2) a bar. Fails to learn anything from a bar that no
state can explain: the probabilities then stay as they were predicted.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array

__all__ = ["RANGE", "RETURN", "densities", "filter_bars", "forward", "inputs", "sweep", "wildness"]

Kinds: TypeAlias = NDArray[np.int64]
RETURN, RANGE = 0, 1
"""Kinds of input: the simple return from close to close; the log of the bar's log range, ln(ln(high / low))."""

_NARROWEST = 1e-6
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


@inline_kernel
def _input(kind, close, high, low, last):  # type: ignore[no-untyped-def]
    # A bar that never moved has no log range; a hundredth of a basis point stands for it.
    return close / last - 1.0 if kind == 0 else math.log(max(math.log(high / low), _NARROWEST))


@inline_kernel
def _log_density(x, mean, deviation):  # type: ignore[no-untyped-def]
    score = (x - mean) / deviation
    return -0.5 * score * score - math.log(deviation) - _HALF_LOG_TWO_PI


@inline_kernel
def _condition(predicted, logs, filtered):  # type: ignore[no-untyped-def]
    """Bayes: `filtered` from `predicted` and the log densities of a bar; returns the log of the bar's evidence."""
    states = len(predicted)
    largest = -np.inf
    for i in range(states):
        if predicted[i] > 0.0 and logs[i] > largest:
            largest = logs[i]
    evidence = 0.0
    if largest > -np.inf:
        for i in range(states):
            filtered[i] = predicted[i] * math.exp(logs[i] - largest) if predicted[i] > 0.0 else 0.0
            evidence += filtered[i]
        for i in range(states):
            filtered[i] /= evidence
    else:
        for i in range(states):
            filtered[i] = predicted[i]
    return largest + math.log(evidence) if evidence > 0.0 else -np.inf


@inline_kernel
def _predict(filtered, transition, predicted):  # type: ignore[no-untyped-def]
    states = len(filtered)
    for j in range(states):
        total = 0.0
        for i in range(states):
            total += filtered[i] * transition[i, j]
        predicted[j] = total


@kernel
def inputs(close: Array, high: Array, low: Array, kinds: Kinds) -> Array:
    """(time - 1, input): what the bars (time,) of one symbol after the first are told by."""
    x = np.empty((max(len(close) - 1, 0), len(kinds)))
    for t in range(1, len(close)):
        for d in range(len(kinds)):
            x[t - 1, d] = _input(kinds[d], close[t], high[t], low[t], close[t - 1])
    return x


@kernel
def wildness(x: Array, decay: float) -> Array:
    """(time,): the exponentially weighted mean of the squares of x (time,), from 1 on."""
    out = np.empty(len(x))
    level = 1.0
    for t in range(len(x)):
        level = decay * level + (1.0 - decay) * x[t] * x[t]
        out[t] = level
    return out


@kernel
def densities(x: Array, means: Array, deviations: Array) -> Array:
    """(time, state): log densities of the inputs (time, input), independent normals with `means` and `deviations` (state, input)."""
    out = np.zeros((len(x), len(means)))
    for t in range(len(x)):
        for i in range(len(means)):
            for d in range(x.shape[1]):
                out[t, i] += _log_density(x[t, d], means[i, d], deviations[i, d])
    return out


@kernel
def forward(logs: Array, transition: Array, start: Array) -> tuple[Array, Array, float]:
    """Filtered and one-step predicted probabilities (time, state), and the log likelihood, from log densities (time, state)."""
    n, states = logs.shape
    filtered, predicted = np.empty((n, states)), np.empty((n, states))
    likelihood = 0.0
    for t in range(n):
        if t == 0:
            predicted[0] = start
        else:
            _predict(filtered[t - 1], transition, predicted[t])
        likelihood += _condition(predicted[t], logs[t], filtered[t])
    return filtered, predicted, likelihood


@kernel
def sweep(
    x: Array, means: Array, deviations: Array, transition: Array, start: Array, least: float
) -> tuple[Array, Array, Array, Array, float]:
    """One sweep of Baum and Welch over x (time, input): new means, deviations (none under `least`), transition and start, and the log
    likelihood of the old ones."""
    filtered, predicted, likelihood = forward(densities(x, means, deviations), transition, start)
    n, states = filtered.shape
    moves, smoothed = np.zeros((states, states)), filtered[n - 1].copy()
    weight, total, squares = np.zeros(states), np.zeros((states, x.shape[1])), np.zeros((states, x.shape[1]))
    ahead = np.empty(states)
    for t in range(n - 1, -1, -1):
        if t < n - 1:
            for j in range(states):
                ahead[j] = smoothed[j] / predicted[t + 1, j] if predicted[t + 1, j] > 0.0 else 0.0
            for i in range(states):
                smoothed[i] = 0.0
                for j in range(states):
                    move = filtered[t, i] * transition[i, j] * ahead[j]
                    moves[i, j] += move
                    smoothed[i] += move
        for i in range(states):
            weight[i] += smoothed[i]
            for d in range(x.shape[1]):
                # Squares are taken around the old mean, so that a large common level costs no digits.
                distance = x[t, d] - means[i, d]
                total[i, d] += smoothed[i] * distance
                squares[i, d] += smoothed[i] * distance * distance
    new_means, new_deviations, new_transition = means.copy(), deviations.copy(), transition.copy()
    for i in range(states):
        leaving = moves[i].sum()
        if leaving > 0.0:
            new_transition[i] = moves[i] / leaving
        if weight[i] > 0.0:
            for d in range(x.shape[1]):
                shift = total[i, d] / weight[i]
                new_means[i, d] = means[i, d] + shift
                new_deviations[i, d] = max(math.sqrt(max(squares[i, d] / weight[i] - shift * shift, 0.0)), least)
    return new_means, new_deviations, new_transition, smoothed, likelihood


@kernel
def filter_bars(
    close: Array, high: Array, low: Array, kinds: Kinds, means: Array, deviations: Array, transition: Array, memory: Array
) -> Array:
    """(time, symbol, state) filtered probabilities of bars (time, symbol). `memory` (symbol, 1 + state), moved in place: the last close,
    NaN before the first, and what is predicted of the next bar. `means`, `deviations`, `transition` (symbol, state, ...)."""
    n, symbols = close.shape
    states = means.shape[1]
    out = np.full((n, symbols, states), np.nan)
    logs = np.empty(states)
    for t in range(n):
        for s in range(symbols):
            now, last = close[t, s], memory[s, 0]
            if math.isnan(now):
                continue
            memory[s, 0] = now
            if math.isnan(last) or math.isnan(means[s, 0, 0]):
                continue
            for i in range(states):
                logs[i] = 0.0
                for d in range(len(kinds)):
                    x = _input(kinds[d], now, high[t, s], low[t, s], last)
                    logs[i] += _log_density(x, means[s, i, d], deviations[s, i, d])
            _condition(memory[s, 1:], logs, out[t, s])
            _predict(out[t, s], transition[s], memory[s, 1:])
    return out
