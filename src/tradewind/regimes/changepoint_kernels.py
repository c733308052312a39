"""The loop of Bayesian online change-point detection: a bounded set of hypotheses about how long the present run has lasted.

Every hypothesis holds its probability, its run length, and the sums of its normal-inverse-gamma posterior. Costs O(runs) a value. Fails
to recover a hypothesis once dropped: where `runs` are few, long runs are remembered by their likeliest beginnings alone.
"""

from __future__ import annotations

import math

import numpy as np

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array

__all__ = ["BLOCKS", "OUTPUTS", "detect", "filter_bars"]

BLOCKS = 5
"""Numbers that a hypothesis holds: probability, run length, mean, scale, and ln(gamma(shape + 1/2) / gamma(shape)) of its posterior."""

OUTPUTS = 5
"""What `_absorb` answers: that the run is recent, that its variance is above the long-run one, mean run length, likeliest run length, log
evidence of the value."""

_NOTHING = 1e-12
"""Hypotheses less probable than this are dropped."""

_NEGLIGIBLE = 1e-8
"""Hypotheses less probable than this are not asked about their variance."""


@inline_kernel
def _log_predictive(x, mean, scale, strength, shape, ratio):  # type: ignore[no-untyped-def]
    """Student's t: `ratio` is ln(gamma(shape + 1/2) / gamma(shape))."""
    width = 2.0 * scale * (strength + 1.0) / strength
    distance = x - mean
    return ratio - 0.5 * math.log(math.pi * width) - (shape + 0.5) * math.log1p(distance * distance / width)


@inline_kernel
def _chance_above(level, shape, scale):  # type: ignore[no-untyped-def]
    """The probability that an inverse-gamma variance is above `level`: the cube root of a gamma variable is nearly normal (Wilson and
    Hilferty 1931), which is right to .005 for shapes of 1 and more."""
    spread = 1.0 / (9.0 * shape)
    score = ((scale / (level * shape)) ** (1.0 / 3.0) - 1.0 + spread) / math.sqrt(spread)
    return 0.5 * math.erfc(-score / math.sqrt(2.0))


@inline_kernel
def _posterior(x, place, strength, shape, scale, mean, ratio, held):  # type: ignore[no-untyped-def]
    """Let the hypothesis at `place` have seen x, where `strength`, `shape`, `scale`, `mean` and `ratio` are those before."""
    distance = x - mean
    held[2, place] = mean + distance / (strength + 1.0)
    held[3, place] = scale + 0.5 * strength / (strength + 1.0) * distance * distance
    # gamma(a + 1) = a gamma(a), with a the shape before: the next ratio needs no gamma function.
    held[4, place] = math.log(shape) - ratio


@kernel
def _weigh(x: float, hazard: float, prior: tuple[float, float, float, float], held: Array) -> float:
    """Multiply the probabilities in `held` by what each hypothesis makes of x, add the one that a run begins with x, let all of them see x,
    and make the sum one again. The log evidence of x."""
    mean, strength, shape, scale = prior
    ratio = math.lgamma(shape + 0.5) - math.lgamma(shape)
    density = np.empty(held.shape[1])
    largest, free, begun = -np.inf, -1, False
    for i in range(held.shape[1]):
        length = held[1, i]
        if length == 0.0:
            free = i
            continue
        begun = True
        density[i] = _log_predictive(x, held[2, i], held[3, i], strength + length, shape + 0.5 * length, held[4, i])
        largest = max(largest, density[i])
    # The first value always begins a run.
    chance = hazard if begun else 1.0
    birth = _log_predictive(x, mean, scale, strength, shape, ratio)
    if chance > 0.0:
        largest = max(largest, birth)
    born = chance * math.exp(birth - largest) if chance > 0.0 else 0.0
    total, weakest = born, -1
    for i in range(held.shape[1]):
        length = held[1, i]
        if length > 0.0:
            held[0, i] *= (1.0 - hazard) * math.exp(density[i] - largest)
            total += held[0, i]
            if weakest < 0 or held[0, i] < held[0, weakest]:
                weakest = i
            _posterior(x, i, strength + length, shape + 0.5 * length, held[3, i], held[2, i], held[4, i], held)
            held[1, i] = length + 1.0
    place = free if free >= 0 else weakest
    # Where there is no room, the least probable hypothesis goes, be it an old one or the new one.
    kept = born > 0.0 and (free >= 0 or held[0, place] < born)
    lost = 0.0 if free >= 0 else (held[0, place] if kept else born)
    if kept:
        held[0, place], held[1, place] = born, 1.0
        _posterior(x, place, strength, shape, scale, mean, ratio, held)
    for i in range(held.shape[1]):
        held[0, i] /= total - lost
        if held[0, i] < _NOTHING:
            held[0, i] = held[1, i] = 0.0
    return math.log(total) + largest


@kernel
def _absorb(
    x: float, hazard: float, prior: tuple[float, float, float, float], level: float, recent: float, held: Array, out: Array
) -> None:
    """Move the hypotheses `held` (block, run), unused ones with run length 0, by one value, and fill `out` (output,). `prior`: the mean of
    a run, how many values that is worth, and shape and scale of the run's inverse-gamma variance."""
    shape = prior[2]
    out[4] = _weigh(x, hazard, prior, held)
    out[0] = out[1] = out[2] = out[3] = 0.0
    likeliest = 0.0
    for i in range(held.shape[1]):
        length = held[1, i]
        if length > 0.0:
            out[2] += held[0, i] * length
            if held[0, i] > likeliest:
                likeliest, out[3] = held[0, i], length
            if length <= recent:
                out[0] += held[0, i]
            elif held[0, i] > _NEGLIGIBLE:
                out[1] += held[0, i] * _chance_above(level, shape + 0.5 * length, held[3, i])


@kernel
def detect(x: Array, hazard: float, prior: tuple[float, float, float, float], level: float, recent: float, runs: int) -> Array:
    """(time, output) for the values x (time,), from no hypothesis at all."""
    out = np.empty((len(x), OUTPUTS))
    held = np.zeros((BLOCKS, runs))
    for t in range(len(x)):
        _absorb(x[t], hazard, prior, level, recent, held, out[t])
    return out


@kernel
def filter_bars(close: Array, hazard: float, strength: float, shape: float, recent: float, learned: Array, memory: Array) -> Array:
    """(time, symbol, output) of bars (time, symbol); NaN before a symbol has had more than `recent` returns.

    `learned` (symbol, 2): mean and deviation of its returns. `memory` (symbol, 2 + BLOCKS * runs), moved in place: the last close, NaN
    before the first, how many returns were seen, and the hypotheses.
    """
    n, symbols = close.shape
    out = np.full((n, symbols, OUTPUTS), np.nan)
    runs = (memory.shape[1] - 2) // BLOCKS
    # In units of the long-run deviation one prior fits all symbols: a run has that variance in expectation.
    prior = (0.0, strength, shape, shape - 1.0)
    for t in range(n):
        for s in range(symbols):
            now, last = close[t, s], memory[s, 0]
            if math.isnan(now):
                continue
            memory[s, 0] = now
            if math.isnan(last) or math.isnan(learned[s, 0]):
                continue
            memory[s, 1] += 1.0
            x = (now / last - 1.0 - learned[s, 0]) / learned[s, 1]
            _absorb(x, hazard, prior, 1.0, recent, memory[s, 2:].reshape((BLOCKS, runs)), out[t, s])
            if memory[s, 1] <= recent:
                out[t, s] = np.nan
    return out
