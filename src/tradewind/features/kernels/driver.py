"""The one compiled loop: takes bars from a panel in blocks, lets every kernel answer, and writes rows of (time, symbol, feature).

`sweep` is a generator, because kernels of other files reach it as function pointers, which cost 40 microseconds each to unwrap: a batch
asks it once, a stream keeps it and asks it bar after bar for .4 microseconds a call. All that it carries lies in arrays of the caller.
Costs, beside the kernels, one copy of the bars in and one of the answers out, both within the cache. Skips bars with NaN close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.types import Array, Times
from tradewind.features.kernels.rows import CHANGE, CLOSE, HIGH, LOW, ROWS, SECOND, TRUE_RANGE, TYPICAL

__all__ = ["BLOCK", "SIGNATURE", "idle", "sweep"]

SIGNATURE: Final = "void(f8[::1], f8[:, ::1], f8[::1], f8[:, ::1])"
# Bars of a block: their answers stay in the second cache. Not a power of two, or all rows would fall into the same cache sets.
BLOCK: Final = 248
_NANOSECONDS: Final = 1_000_000_000


@kernel
def idle(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Does nothing: fills the tuple of kernels up to a length for which `sweep` is already compiled."""


@kernel
def _present(close: Array, s: int, t: int, index: Times, block: int, out: Array) -> tuple[int, int]:
    """Put the rows of the next bars that symbol `s` has into `index`, blank the rows that it lacks; how many, and where to go on."""
    n = 0
    while t < len(close) and n < block:
        if np.isnan(close[t, s]):
            out[t, s, :] = np.nan
        else:
            index[n] = t
            n += 1
        t += 1
    return n, t


@kernel
def _load(panels: tuple[Array, Array, Array, Array, Array], open_time: Times, index: Times, n: int, s: int, bars: Array) -> None:
    """Copy the bars at `index` behind the lookback and derive the rows that kernels share."""
    start = bars.shape[1] - n
    for row in range(5):
        panel = panels[row]
        for i in range(n):
            bars[row, start + i] = panel[index[i], s]
    for i in range(n):
        bars[SECOND, start + i] = open_time[index[i]] // _NANOSECONDS
    for t in range(start, start + n):
        high, low, close, before = bars[HIGH, t], bars[LOW, t], bars[CLOSE, t], bars[CLOSE, t - 1]
        bars[CHANGE, t] = (close - before) / before
        bars[TYPICAL, t] = (high + low + close) / 3.0
        bars[TRUE_RANGE, t] = max(high - low, max(abs(high - before), abs(low - before)))


@kernel
def _store(answers: Array, row: Times, index: Times, n: int, s: int, out: Array) -> None:
    """Turn answers (feature, bar) into rows of out (time, symbol, feature)."""
    for i in range(n):
        t = index[i]
        for column in range(len(row)):
            out[t, s, column] = answers[row[column] * n + i]


@kernel
def sweep(
    kernels: tuple[Callable[[Array, Array, Array, Array], None], ...],
    places: NDArray[np.int64],
    row: Times,
    warmup: Times,
    parameters: Array,
    memory: tuple[Array, Array, Times],
    panels: tuple[Array, Array, Array, Array, Array],
    open_time: Times,
    out: Array,
) -> Iterator[int]:
    """Answer all bars of the panels each time it is asked, going on from `memory`, which it keeps up to date.

    places (kernel, 6): where the kernel's state, parameters and answers begin and end. row, warmup (feature,): which answer a feature
    is, and how many bars it needs first. memory: state (symbol, slot), lookback (symbol, row, bar), seen (symbol,).
    panels: open, high, low, close, volume, each (time, symbol). out (time, symbol, feature).
    """
    state, lookback, seen = memory
    back = lookback.shape[2]
    block = min(BLOCK, len(open_time))
    answers = np.empty(max(1, places[:, 5].max()) * block)
    taken = np.empty(ROWS * (back + block))
    index = np.empty(block, np.int64)
    while True:
        for s in range(out.shape[1]):
            t = 0
            while t < len(open_time):
                n, t = _present(panels[CLOSE], s, t, index, block, out)
                if n == 0:
                    continue
                bars = taken[: ROWS * (back + n)].reshape((ROWS, back + n))
                bars[:, :back] = lookback[s]
                _load(panels, open_time, index, n, s, bars)
                for k in range(len(kernels)):
                    a = places[k]
                    reply = answers[a[4] * n : a[5] * n].reshape((a[5] - a[4], n))
                    kernels[k](state[s, a[0] : a[1]], bars, parameters[a[2] : a[3]], reply)
                for column in range(len(row)):
                    first = row[column] * n
                    answers[first : first + max(0, min(n, warmup[column] - seen[s]))] = np.nan
                _store(answers, row, index, n, s, out)
                lookback[s] = bars[:, n:]
                seen[s] += n
        yield len(open_time)
