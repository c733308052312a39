"""Spread: Bollinger bands (https://en.wikipedia.org/wiki/Bollinger_Bands), ATR (Wilder 1978), rolling deviations, and a band rule.

A window's variance is summed afresh from differences to its newest value, s2/n - (s1/n)^2. By Samuelson's inequality
(1968, https://doi.org/10.1080/01621459.1968.10480944) the newest value lies within sqrt(n - 1) deviations of the mean, so the
subtraction loses at most a factor n of precision, whatever the price level. A flat window has a variance of exactly 0.
Costs O(window) vectorised operations a bar. Fails where returns have fat tails: a deviation is then ruled by its largest bar.
"""

from __future__ import annotations

import math

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array
from tradewind.features.kernels.rows import CLOSE, TRUE_RANGE, VOLUME

__all__ = ["average_true_range", "bollinger", "bollinger_reversal", "deviation", "volume_average"]


@inline_kernel
def _row(bars: Array, row: int, n: int, earlier: int = 0) -> Array:
    """A row of the bars from `earlier` bars before the n newest on. Kernels index such views from 0, which compiles to vector code."""
    return bars[row, bars.shape[1] - n - earlier :]


@inline_kernel
def _moments(bars: Array, row: int, n: int, window: int, mean: Array, spread: Array) -> None:
    """Mean and population standard deviation of the last `window` values of a row, for each of the n newest."""
    newest = _row(bars, row, n)
    for t in range(n):
        mean[t] = spread[t] = 0.0
    lag = window
    # Four lags a pass quarter the traffic of the sums. Lag 0 has no distance and adds nothing.
    while lag >= 4:
        a, b, c, d = _row(bars, row, n, lag - 1), _row(bars, row, n, lag - 2), _row(bars, row, n, lag - 3), _row(bars, row, n, lag - 4)
        lag -= 4
        for t in range(n):
            x = newest[t]
            p, q, r, s = a[t] - x, b[t] - x, c[t] - x, d[t] - x
            mean[t] += (p + q) + (r + s)
            spread[t] += (p * p + q * q) + (r * r + s * s)
    while lag >= 2:
        lag -= 1
        a = _row(bars, row, n, lag)
        for t in range(n):
            p = a[t] - newest[t]
            mean[t] += p
            spread[t] += p * p
    for t in range(n):
        offset = mean[t] / window
        variance = spread[t] / window - offset * offset
        mean[t] = newest[t] + offset
        # Written so that a NaN stays one.
        spread[t] = 0.0 if variance <= 0.0 else math.sqrt(variance)


@kernel
def bollinger(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Upper, middle and lower band at two population deviations, width / middle, and the close's place (0 lower, 1 upper).

    A band without width has its close at .5. parameters: window, number of deviations.
    """
    n = out.shape[1]
    upper, middle, lower, width, percent = out[0], out[1], out[2], out[3], out[4]
    close = _row(bars, CLOSE, n)
    _moments(bars, CLOSE, n, int(parameters[0]), middle, width)
    for t in range(n):
        reach = parameters[1] * width[t]
        upper[t], lower[t] = middle[t] + reach, middle[t] - reach
        width[t] = 2.0 * reach / middle[t]
        percent[t] = 0.5 + (close[t] - middle[t]) / (2.0 * reach) if reach > 0.0 else 0.5


@kernel
def bollinger_reversal(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Long from a close under the lower band, short from one over the upper, flat again at the middle.

    parameters: window, number of deviations. state: bars seen, position. The second row of `out` is scratch.
    """
    n = out.shape[1]
    close, middle, spread = _row(bars, CLOSE, n), out[0], out[1]
    _moments(bars, CLOSE, n, int(parameters[0]), middle, spread)
    seen, position = state[0], state[1]
    for t in range(n):
        seen += 1.0
        distance, reach = close[t] - middle[t], parameters[1] * spread[t]
        if seen < parameters[0]:
            distance = 0.0
        elif distance < -reach:
            position = 1.0
        elif distance > reach:
            position = -1.0
        elif position * distance >= 0.0:
            position = 0.0
        middle[t] = position
    state[0], state[1] = seen, position


@kernel
def deviation(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Standard deviation of a row of the bars. parameters: window, row, what to scale it by. The second row of `out` is scratch."""
    n = out.shape[1]
    _moments(bars, int(parameters[1]), n, int(parameters[0]), out[1], out[0])
    for t in range(n):
        out[0, t] *= parameters[2]


@kernel
def volume_average(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Volume over its mean, 1 where both are nothing; the mean; the population deviation. parameters: window."""
    n = out.shape[1]
    volume = _row(bars, VOLUME, n)
    _moments(bars, VOLUME, n, int(parameters[0]), out[1], out[2])
    for t in range(n):
        mean = out[1, t]
        out[0, t] = 1.0 if mean == 0.0 else volume[t] / mean


@kernel
def average_true_range(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """ATR in price, and in percent of the close (TA-Lib's NATR). parameters: period. state: bars seen, average."""
    n = out.shape[1]
    close, true_range = _row(bars, CLOSE, n), _row(bars, TRUE_RANGE, n)
    period, seen, value = parameters[0], state[0], state[1]
    rate = 1.0 / period
    for t in range(n):
        if seen > 0.0:
            weight = rate if seen >= period else 1.0 / seen
            value = value * (1.0 - weight) + true_range[t] * weight
        seen += 1.0
        out[0, t] = value
        out[1, t] = 100.0 * value / close[t]
    state[0], state[1] = seen, value
