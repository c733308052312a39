"""Moving averages and what is read off them: EMA, MACD (Appel 1979, https://en.wikipedia.org/wiki/MACD), crosses, ADX, returns.

Costs one multiply-add a bar and average. Fails in sideways markets, where averages cross on noise.
Directional movement is Wilder's (New Concepts in Technical Trading Systems, 1978, https://en.wikipedia.org/wiki/Average_directional_movement_index).
"""

from __future__ import annotations

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array
from tradewind.features.kernels.rows import CLOSE, HIGH, LOW, TRUE_RANGE

__all__ = ["cross", "directional", "ema", "ema_distance", "field", "macd", "simple_return"]


@inline_kernel
def _row(bars: Array, row: int, n: int, earlier: int = 0) -> Array:
    """A row of the bars from `earlier` bars before the n newest on. Kernels index such views from 0, which compiles to vector code."""
    return bars[row, bars.shape[1] - n - earlier :]


@kernel
def field(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """A row of the bars as it is. parameters: row."""
    n = out.shape[1]
    series = _row(bars, int(parameters[0]), n)
    for t in range(n):
        out[0, t] = series[t]


@kernel
def simple_return(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """(close - earlier) / earlier over a window, as TA-Lib's ROCP. parameters: window."""
    n = out.shape[1]
    close, earlier = _row(bars, CLOSE, n), _row(bars, CLOSE, n, int(parameters[0]))
    for t in range(n):
        out[0, t] = (close[t] - earlier[t]) / earlier[t]


@inline_kernel
def _average(seen: float, value: float, x: float, period: float, rate: float) -> float:
    """The next exponential average: the plain mean of the first `period` values, TA-Lib's seed, and smoothing from there."""
    if seen < period:
        return value + (x - value) / (seen + 1.0)
    # As a step towards x, a flat price is exactly its own average and never crosses another one.
    return value + rate * (x - value)


@kernel
def ema(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Exponential moving average of the close. parameters: period. state: bars seen, average."""
    n = out.shape[1]
    close = _row(bars, CLOSE, n)
    period, seen, value = parameters[0], state[0], state[1]
    rate = 2.0 / (period + 1.0)
    for t in range(n):
        value = _average(seen, value, close[t], period, rate)
        seen += 1.0
        out[0, t] = value
    state[0], state[1] = seen, value


@kernel
def ema_distance(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """How far the close stands from its average, as a part of it: (close - ema) / ema. parameters and state as `ema`."""
    n = out.shape[1]
    close = _row(bars, CLOSE, n)
    period, seen, value = parameters[0], state[0], state[1]
    rate = 2.0 / (period + 1.0)
    for t in range(n):
        value = _average(seen, value, close[t], period, rate)
        seen += 1.0
        out[0, t] = (close[t] - value) / value
    state[0], state[1] = seen, value


@kernel
def cross(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """1 while the fast average is over the slow one, -1 while under, 0 on it. parameters: fast, slow. state: seen, fast, slow."""
    n = out.shape[1]
    close = _row(bars, CLOSE, n)
    fast_period, slow_period = parameters[0], parameters[1]
    fast_rate, slow_rate = 2.0 / (fast_period + 1.0), 2.0 / (slow_period + 1.0)
    seen, fast, slow = state[0], state[1], state[2]
    for t in range(n):
        fast = _average(seen, fast, close[t], fast_period, fast_rate)
        slow = _average(seen, slow, close[t], slow_period, slow_rate)
        seen += 1.0
        out[0, t] = 1.0 * (fast > slow) - 1.0 * (fast < slow)
    state[0], state[1], state[2] = seen, fast, slow


@kernel
def macd(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """MACD line, signal and histogram. parameters: fast, slow, signal. state: seen, fast, slow, signal.

    TA-Lib starts the fast average where the slow one starts, so the fast seed is the mean of the last `fast` of the first `slow` closes.
    """
    n = out.shape[1]
    close = _row(bars, CLOSE, n)
    fast_period, slow_period, signal_period = parameters[0], parameters[1], parameters[2]
    fast_rate, slow_rate, signal_rate = 2.0 / (fast_period + 1.0), 2.0 / (slow_period + 1.0), 2.0 / (signal_period + 1.0)
    seen, fast, slow, signal = state[0], state[1], state[2], state[3]
    for t in range(n):
        slow = _average(seen, slow, close[t], slow_period, slow_rate)
        if seen >= slow_period - fast_period:
            fast = _average(seen - (slow_period - fast_period), fast, close[t], fast_period, fast_rate)
        line = fast - slow
        if seen >= slow_period - 1.0:
            signal = _average(seen - (slow_period - 1.0), signal, line, signal_period, signal_rate)
        seen += 1.0
        out[0, t], out[1, t], out[2, t] = line, signal, line - signal
    state[0], state[1], state[2], state[3] = seen, fast, slow, signal


@kernel
def directional(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """ADX, +DI and -DI. parameters: period. state: seen, sums of plus and minus movement and of true range, ADX.

    Wilder's sums begin with period - 1 bars and ADX with the mean of the first `period` values of DX, as in TA-Lib. Without
    any range both DI are 0; a bar without direction leaves ADX as it is.
    """
    n = out.shape[1]
    high, low, true_range = _row(bars, HIGH, n, 1), _row(bars, LOW, n, 1), _row(bars, TRUE_RANGE, n)
    period = parameters[0]
    rate = 1.0 / period
    kept = 1.0 - rate
    seen, plus, minus, total, adx = state[0], state[1], state[2], state[3], state[4]
    for t in range(n):
        # Chosen without branches, which random prices would make the processor guess wrong.
        rise, fall = high[t + 1] - high[t], low[t] - low[t + 1]
        up = max(rise, 0.0) if rise > fall else 0.0
        down = max(fall, 0.0) if fall > rise else 0.0
        if seen > 0.0:
            decay = kept if seen >= period else 1.0
            plus = plus * decay + up
            minus = minus * decay + down
            total = total * decay + true_range[t]
        both, scale = plus + minus, 100.0 / total if total > 0.0 else 0.0
        if seen >= period and both > 0.0:
            adx = adx * (kept if seen >= 2.0 * period else 1.0) + rate * (abs(plus - minus) / both)
        seen += 1.0
        out[0, t], out[1, t], out[2, t] = 100.0 * adx, plus * scale, minus * scale
    state[0], state[1], state[2], state[3], state[4] = seen, plus, minus, total, adx
