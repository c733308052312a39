"""The calendar of `open_time` in UTC as points on a circle, and what accumulates: on-balance volume, fractional differences.

Costs integer arithmetic and a table look-up a bar; the sines come ready-made, so that batch and stream cannot differ by a rounding.
Days turn into dates by Hinnant's algorithm (https://howardhinnant.github.io/date_algorithms.html). Fails on nothing but markets that
do not care for the clock.
"""

from __future__ import annotations

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array
from tradewind.features.kernels.rows import CLOSE, SECOND, VOLUME

__all__ = ["circle", "fractional", "on_balance_volume"]


@inline_kernel
def _row(bars: Array, row: int, n: int, earlier: int = 0) -> Array:
    """A row of the bars from `earlier` bars before the n newest on. Kernels index such views from 0, which compiles to vector code."""
    return bars[row, bars.shape[1] - n - earlier :]


@inline_kernel
def _phase(unit: int, second: int) -> int:
    """Hour (0), weekday from Monday (1), day of month from 0 (2) or month from 0 (3) of a UTC second."""
    if unit == 0:
        return (second // 3600) % 24
    day = second // 86400
    if unit == 1:
        return (day + 3) % 7
    # Years are counted from 1 March, so that the leap day comes last.
    of_era = (day + 719468) % 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    if unit == 2:
        return of_year - (153 * month + 2) // 5
    return (month + 2) % 12


@kernel
def circle(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Sine and cosine of a calendar phase. parameters: unit, number of phases, then their sines and their cosines."""
    n = out.shape[1]
    second = _row(bars, SECOND, n)
    unit, phases = int(parameters[0]), int(parameters[1])
    for t in range(n):
        phase = _phase(unit, int(second[t]))
        out[0, t] = parameters[2 + phase]
        out[1, t] = parameters[2 + phases + phase]


@kernel
def on_balance_volume(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """OBV (Granville 1963): volume added on a rising close and taken on a falling one, from the first bar's volume on.

    A bar without volume adds nothing and answers NaN. state: bars seen, sum.
    """
    n = out.shape[1]
    close, volume = _row(bars, CLOSE, n, 1), _row(bars, VOLUME, n)
    seen, total = state[0], state[1]
    for t in range(n):
        sign = 1.0 * (close[t + 1] > close[t]) - 1.0 * (close[t + 1] < close[t]) if seen > 0.0 else 1.0
        seen += 1.0
        total += sign * volume[t] if volume[t] >= 0.0 else 0.0
        out[0, t] = total if volume[t] >= 0.0 else volume[t]
    state[0], state[1] = seen, total


@kernel
def fractional(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Fixed-width fractional difference of the close. parameters: the weights, newest first."""
    n = out.shape[1]
    for t in range(n):
        out[0, t] = 0.0
    for lag in range(len(parameters)):
        close = _row(bars, CLOSE, n, lag)
        for t in range(n):
            out[0, t] += parameters[lag] * close[t]
