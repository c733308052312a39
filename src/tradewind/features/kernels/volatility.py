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
from tradewind.features.kernels.rows import CLOSE, TRUE_RANGE

__all__ = ["average_true_range", "bollinger", "bollinger_reversal", "deviation", "volume_average"]


@inline_kernel
def _moments(series: Array, start: int, n: int, window: int, mean: Array, spread: Array) -> None:
    """Mean and population standard deviation of the last `window` values, for each of the n newest of `series`."""
    for t in range(n):
        mean[t], spread[t] = 0.0, 0.0
    for lag in range(1, window):
        for t in range(n):
            distance = series[start + t - lag] - series[start + t]
            mean[t] += distance
            spread[t] += distance * distance
    for t in range(n):
        offset = mean[t] / window
        variance = spread[t] / window - offset * offset
        mean[t] = series[start + t] + offset
        # Written so that a NaN stays one.
        spread[t] = 0.0 if variance <= 0.0 else math.sqrt(variance)


@kernel
def bollinger(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Upper, middle and lower band at two population deviations, width / middle, and the close's place (0 lower, 1 upper).

    A band without width has its close at .5. parameters: window, number of deviations.
    """
    n = out.shape[1]
    start = bars.shape[1] - n
    upper, middle, lower, width, percent = out[0], out[1], out[2], out[3], out[4]
    close = bars[CLOSE]
    _moments(close, start, n, int(parameters[0]), middle, width)
    for t in range(n):
        reach = parameters[1] * width[t]
        upper[t], lower[t] = middle[t] + reach, middle[t] - reach
        width[t] = 2.0 * reach / middle[t]
        percent[t] = 0.5 + (close[start + t] - middle[t]) / (2.0 * reach) if reach > 0.0 else 0.5


@kernel
def bollinger_reversal(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Long from a close under the lower band, short from one over the upper, flat again at the middle.

    parameters: window, number of deviations. state: bars seen, position. The second row of `out` is scratch.
    """
    n = out.shape[1]
    start = bars.shape[1] - n
    middle, spread = out[0], out[1]
    close = bars[CLOSE]
    _moments(close, start, n, int(parameters[0]), middle, spread)
    seen, position = state[0], state[1]
    for t in range(n):
        seen += 1.0
        distance, reach = close[start + t] - middle[t], parameters[1] * spread[t]
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
    _moments(bars[int(parameters[1])], bars.shape[1] - n, n, int(parameters[0]), out[1], out[0])
    for t in range(n):
        out[0, t] *= parameters[2]


@kernel
def volume_average(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """A row's value over its mean, 1 where both are nothing; its mean; its population deviation. parameters: window, row."""
    n = out.shape[1]
    start = bars.shape[1] - n
    series = bars[int(parameters[1])]
    _moments(series, start, n, int(parameters[0]), out[1], out[2])
    for t in range(n):
        mean = out[1, t]
        out[0, t] = 1.0 if mean == 0.0 else series[start + t] / mean


@kernel
def average_true_range(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """ATR in price, and in percent of the close (TA-Lib's NATR). parameters: period. state: bars seen, average."""
    n = out.shape[1]
    start = bars.shape[1] - n
    period, seen, value = parameters[0], state[0], state[1]
    rate = 1.0 / period
    for t in range(n):
        if seen > 0.0:
            weight = rate if seen >= period else 1.0 / seen
            value = value * (1.0 - weight) + bars[TRUE_RANGE, start + t] * weight
        seen += 1.0
        out[0, t] = value
        out[1, t] = 100.0 * value / bars[CLOSE, start + t]
    state[0], state[1] = seen, value
