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
# Bars that kernels are given at once: their answers stay in the second cache. Not a power of two, or all rows would share cache sets.
BLOCK: Final = 1400
_NANOSECONDS: Final = 1e9


@kernel
def idle(state: Array, bars: Array, parameters: Array, out: Array) -> None:
    """Does nothing: fills the tuple of kernels up to a length for which `sweep` is already compiled."""


@kernel
def _run(close: Array, s: int, t: int, block: int) -> int:
    """Where the run of bars ends that symbol `s` has from row t on, at most `block` of them."""
    part = close[t : min(t + block, len(close))]
    lacking = 0
    for i in range(len(part)):
        lacking += np.isnan(part[i, s])
    if lacking == 0:
        return t + len(part)
    n = 0
    while not np.isnan(part[n, s]):
        n += 1
    return t + n


@kernel
def _load(panels: tuple[Array, Array, Array, Array, Array], open_time: Times, t: int, n: int, s: int, bars: Array) -> None:
    """Copy n bars from row t on behind the lookback and derive the rows that kernels share."""
    back = bars.shape[1] - n
    for row in range(5):
        source, target = panels[row][t : t + n], bars[row, back:]
        for i in range(n):
            target[i] = source[i, s]
    times, second = open_time[t : t + n], bars[SECOND, back:]
    high, low, close, before = bars[HIGH, back:], bars[LOW, back:], bars[CLOSE, back:], bars[CLOSE, back - 1 :]
    change, typical, true_range = bars[CHANGE, back:], bars[TYPICAL, back:], bars[TRUE_RANGE, back:]
    for i in range(n):
        # A whole second in nanoseconds is a multiple of 512 and so exact in float64.
        second[i] = times[i] / _NANOSECONDS
        change[i] = (close[i] - before[i]) / before[i]
        typical[i] = (high[i] + low[i] + close[i]) / 3.0
        true_range[i] = max(high[i] - low[i], max(abs(high[i] - before[i]), abs(low[i] - before[i])))


@kernel
def _store(answers: Array, row: Times, t: int, n: int, s: int, out: Array) -> None:
    """Turn answers (feature, bar) into rows t to t + n of out (time, symbol, feature)."""
    part = out[t : t + n]
    for i in range(n):
        target, here = part[i, s], answers[i:]
        for column in range(len(row)):
            # Unsigned, so that no check for an index from the end stands in the way.
            target[column] = here[np.uint64(row[column] * n)]


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
    block: int,
    running: Times,
) -> Iterator[int]:
    """Answer all bars of the panels each time it is asked, going on from `memory`, which it keeps up to date.

    places (kernel, 6): where the kernel's state, parameters and answers begin and end. row, warmup (feature,): which answer a feature
    is, and how many bars it needs first. memory: state (symbol, slot), lookback (symbol, row, bar), seen (symbol,).
    panels: open, high, low, close, volume, each (time, symbol). out (time, symbol, feature). block: bars that kernels are given at once.
    running (1,): set it to 0 and ask once more, and the generator ends. numba lets go of what a generator holds only then.
    """
    state, lookback, seen = memory
    back = lookback.shape[2]
    block = min(block, len(open_time))
    answers = np.empty(places[-1, 5] * block if len(places) else 0)
    taken = np.empty(ROWS * (back + block))
    while running[0]:
        for s in range(out.shape[1]):
            end = 0
            while end < len(open_time):
                t = end
                end = _run(panels[CLOSE], s, t, block)
                if end == t:
                    out[t, s, :] = np.nan
                    end += 1
                    continue
                n = end - t
                bars = taken[: ROWS * (back + n)].reshape((ROWS, back + n))
                bars[:, :back] = lookback[s]
                _load(panels, open_time, t, n, s, bars)
                for k in range(len(places)):
                    a = places[k]
                    reply = answers[a[4] * n : a[5] * n].reshape((a[5] - a[4], n))
                    kernels[k](state[s, a[0] : a[1]], bars, parameters[a[2] : a[3]], reply)
                for column in range(len(row)):
                    first = row[column] * n
                    answers[first : first + max(0, min(n, warmup[column] - seen[s]))] = np.nan
                _store(answers, row, t, n, s, out)
                lookback[s] = bars[:, n:]
                seen[s] += n
        yield len(open_time)
