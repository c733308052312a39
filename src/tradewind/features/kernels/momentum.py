"""Oscillators: RSI (Wilder 1978, https://en.wikipedia.org/wiki/Relative_strength_index), stochastic and Williams %R, CCI, and rules on RSI.

Costs a few operations a bar for RSI and O(window) vectorised ones for the windowed oscillators. Fails in strong trends, where
an oscillator stays at its end for long.
"""

from __future__ import annotations

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array
from tradewind.features.kernels.rows import CLOSE, HIGH, LOW, TYPICAL

__all__ = ["commodity_channel", "rsi", "rsi_divergence", "rsi_reversal", "stochastic"]


@inline_kernel
def _row(bars: Array, row: int, n: int, earlier: int = 0) -> Array:
    """A row of the bars from `earlier` bars before the n newest on. Kernels index such views from 0, which compiles to vector code."""
    return bars[row, bars.shape[1] - n - earlier :]


@inline_kernel
def _smoothed(seen: float, value: float, x: float, period: float) -> float:
    """Wilder's average: the mean of the first `period` values, then an exponential average of rate 1 / period. `seen` counts from 1."""
    rate = 1.0 / period
    return value + (x - value) / seen if seen < period else value * (1.0 - rate) + x * rate


@inline_kernel
def _strength(gain: float, loss: float) -> float:
    """100 gain / (gain + loss); 0 for a price that has not moved, TA-Lib's value."""
    both = gain + loss
    return 100.0 * gain / both if both > 0.0 else 0.0


@kernel
def rsi(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Relative strength index of the close for three periods at once. parameters: periods. state: bars seen, average gains and losses.

    One average alone leaves the processor waiting for its last value; six keep it busy. The rows of `out` after the third are scratch.
    """
    n = out.shape[1]
    close, first, second, third = _row(bars, CLOSE, n, 1), parameters[0], parameters[1], parameters[2]
    seen, gain, loss, gain_2, loss_2, gain_3, loss_3 = state[0], state[1], state[2], state[3], state[4], state[5], state[6]
    for t in range(n):
        if seen > 0.0:
            change = close[t + 1] - close[t]
            up, down = max(change, 0.0), max(-change, 0.0)
            gain, loss = _smoothed(seen, gain, up, first), _smoothed(seen, loss, down, first)
            gain_2, loss_2 = _smoothed(seen, gain_2, up, second), _smoothed(seen, loss_2, down, second)
            gain_3, loss_3 = _smoothed(seen, gain_3, up, third), _smoothed(seen, loss_3, down, third)
        seen += 1.0
        out[0, t], out[1, t], out[2, t] = gain, gain_2, gain_3
        out[3, t], out[4, t], out[5, t] = loss, loss_2, loss_3
    for lane in range(3):
        answer, against = out[lane], out[3 + lane]
        for t in range(n):
            answer[t] = _strength(answer[t], against[t])
    state[0], state[1], state[2], state[3], state[4], state[5], state[6] = seen, gain, loss, gain_2, loss_2, gain_3, loss_3


@kernel
def rsi_reversal(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Long from RSI under `low`, short from over `high`, flat again at 50. parameters: period, low, high. state: as `rsi`, position."""
    n = out.shape[1]
    close = _row(bars, CLOSE, n, 1)
    period, low, high = parameters[0], parameters[1], parameters[2]
    seen, gain, loss, position = state[0], state[1], state[2], state[3]
    for t in range(n):
        if seen > 0.0:
            change = close[t + 1] - close[t]
            gain = _smoothed(seen, gain, max(change, 0.0), period)
            loss = _smoothed(seen, loss, max(-change, 0.0), period)
        if seen >= period and gain + loss > 0.0:
            strength = _strength(gain, loss)
            if strength < low:
                position = 1.0
            elif strength > high:
                position = -1.0
            elif (position > 0.0 and strength >= 50.0) or (position < 0.0 and strength <= 50.0):
                position = 0.0
        elif seen >= period:
            position = 0.0
        seen += 1.0
        out[0, t] = position
    state[0], state[1], state[2], state[3] = seen, gain, loss, position


@kernel
def rsi_divergence(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Long when the close falls under its last `period` closes while RSI, under 50, stays over the least of its own; short mirrored.

    The position ends when RSI reaches 50. parameters: period. state: seen, gain, loss, position, then a ring of the last `period` RSI.
    """
    n = out.shape[1]
    period = parameters[0]
    window = int(period)
    close = _row(bars, CLOSE, n, window)
    seen, gain, loss, position = state[0], state[1], state[2], state[3]
    for t in range(n):
        now = t + window
        if seen > 0.0:
            change = close[now] - close[now - 1]
            gain = _smoothed(seen, gain, max(change, 0.0), period)
            loss = _smoothed(seen, loss, max(-change, 0.0), period)
        strength = _strength(gain, loss) if gain + loss > 0.0 else 50.0
        if (position > 0.0 and strength >= 50.0) or (position < 0.0 and strength <= 50.0):
            position = 0.0
        if seen >= 2.0 * period:
            low = high = close[t]
            weak = strong = state[4]
            for j in range(window):
                low, high = min(low, close[t + j]), max(high, close[t + j])
                weak, strong = min(weak, state[4 + j]), max(strong, state[4 + j])
            if close[now] < low and strength > weak and strength < 50.0:
                position = 1.0
            elif close[now] > high and strength < strong and strength > 50.0:
                position = -1.0
        state[4 + int(seen) % window] = strength
        seen += 1.0
        out[0, t] = position
    state[0], state[1], state[2], state[3] = seen, gain, loss, position


@inline_kernel
def _extremes(bars: Array, n: int, window: int, top: Array, bottom: Array) -> None:
    """The highest high and the lowest low of the last `window` bars, for each of the n newest."""
    high, low = _row(bars, HIGH, n), _row(bars, LOW, n)
    for t in range(n):
        top[t], bottom[t] = high[t], low[t]
    # Four lags a pass quarter the traffic; where fewer are left, the last is looked at again, which changes no extreme.
    oldest = window - 1
    for lag in range(1, window, 4):
        b, c, d = min(lag + 1, oldest), min(lag + 2, oldest), min(lag + 3, oldest)
        high_a, high_b, high_c, high_d = _row(bars, HIGH, n, lag), _row(bars, HIGH, n, b), _row(bars, HIGH, n, c), _row(bars, HIGH, n, d)
        low_a, low_b, low_c, low_d = _row(bars, LOW, n, lag), _row(bars, LOW, n, b), _row(bars, LOW, n, c), _row(bars, LOW, n, d)
        for t in range(n):
            top[t] = max(top[t], max(max(high_a[t], high_b[t]), max(high_c[t], high_d[t])))
        for t in range(n):
            bottom[t] = min(bottom[t], min(min(low_a[t], low_b[t]), min(low_c[t], low_d[t])))


@kernel
def stochastic(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Fast stochastic %K, its mean %D (TA-Lib's STOCHF) and Williams %R; 0 where the window has no range, as in TA-Lib.

    parameters: window, bars of %D. state: the earlier %K that %D still needs, oldest first.
    """
    n = out.shape[1]
    days = int(parameters[1])
    close, k, d, williams = _row(bars, CLOSE, n), out[0], out[1], out[2]
    _extremes(bars, n, int(parameters[0]), d, williams)
    for t in range(n):
        top, bottom = d[t], williams[t]
        spread = top - bottom
        scale = 100.0 / spread if spread > 0.0 else 0.0
        k[t] = (close[t] - bottom) * scale
        williams[t] = (close[t] - top) * scale
        d[t] = k[t]
    past = days - 1
    for lag in range(1, days):
        for t in range(min(lag, n)):
            d[t] += state[past + t - lag]
        for t in range(n - lag):
            d[t + lag] += k[t]
    for t in range(n):
        d[t] /= days
    for i in range(past):
        state[i] = k[n - past + i] if n - past + i >= 0 else state[i + n]


@kernel
def commodity_channel(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """CCI (Lambert 1980): the typical price's distance from its mean in .015 mean absolute deviations; 0 without any deviation.

    parameters: window. The second row of `out` is scratch.
    """
    n = out.shape[1]
    window = int(parameters[0])
    price, deviation, mean = _row(bars, TYPICAL, n), out[0], out[1]
    # Distances from the newest price, so that a flat window is exactly its own mean.
    for t in range(n):
        mean[t] = deviation[t] = 0.0
    lag = window
    while lag >= 4:
        lag -= 4
        a, b, c, d = (
            _row(bars, TYPICAL, n, lag + 3),
            _row(bars, TYPICAL, n, lag + 2),
            _row(bars, TYPICAL, n, lag + 1),
            _row(bars, TYPICAL, n, lag),
        )
        for t in range(n):
            mean[t] += ((a[t] - price[t]) + (b[t] - price[t])) + ((c[t] - price[t]) + (d[t] - price[t]))
    for left in range(1, lag):
        a = _row(bars, TYPICAL, n, left)
        for t in range(n):
            mean[t] += a[t] - price[t]
    for t in range(n):
        mean[t] = price[t] + mean[t] / window
    lag = window
    while lag >= 4:
        lag -= 4
        a, b, c, d = (
            _row(bars, TYPICAL, n, lag + 3),
            _row(bars, TYPICAL, n, lag + 2),
            _row(bars, TYPICAL, n, lag + 1),
            _row(bars, TYPICAL, n, lag),
        )
        for t in range(n):
            deviation[t] += (abs(a[t] - mean[t]) + abs(b[t] - mean[t])) + (abs(c[t] - mean[t]) + abs(d[t] - mean[t]))
    for left in range(lag):
        a = _row(bars, TYPICAL, n, left)
        for t in range(n):
            deviation[t] += abs(a[t] - mean[t])
    for t in range(n):
        spread = 0.015 * deviation[t] / window
        deviation[t] = (price[t] - mean[t]) / spread if spread > 0.0 else 0.0
