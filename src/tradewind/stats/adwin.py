"""ADWIN: a window that grows while its mean holds, and drops its older part as soon as two parts of it disagree.

Paper: Bifet & Gavalda (2007), Learning from Time-Changing Data with Adaptive Windowing, https://doi.org/10.1137/1.9781611972771.42 (ADWIN2:
buckets of doubling length, the normal bound of section 3.1.2); variances of buckets by Babcock, Datar, Motwani & O'Callaghan (2003),
https://doi.org/10.1145/773153.773176. With the same settings it tells the same drifts as River's.
Cost: O(log window) memory; a value costs O(1), and O(log window) at every `clock`-th, when cuts are looked at. Fails where the mean stays
and something else changes (a variance: feed it squares), where values trend or are strongly autocorrelated, which it takes for drift, and
is late by up to `clock` values; the bound of false alarms holds for independent values and each look, not for the whole stream.
"""

from __future__ import annotations

from typing import ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.stats.detector import ChangeDetector, Memory

__all__ = ["Adwin"]

LEVELS: Final = 48
"""Lengths of buckets, 1 to 2^47 values: more than any stream holds."""
TOTAL, SPREAD, WIDTH, TICK, ENDED = 0, 1, 2, 3, 4
"""Places in `sums`: of the values, their squared distance from the mean, their number, values so far, and whether the last was a drift."""


@final
class Adwin(ChangeDetector):
    """Tells a changed mean. `delta`: how readily (about the chance of a false alarm at a look); `warning_delta`: the same for warnings.

    `clock`: values between looks. `max_buckets`: buckets of one length before the two oldest are joined. `min_window`: the shortest part
    that is compared. `grace`: values before the first look. `restart`: forget the whole window after a drift, as River does; false keeps
    its newer part, as the paper does, and what is left there of the older part may raise the alarm again at the next looks.
    """

    name: ClassVar[str] = "adwin"

    def __init__(
        self,
        delta: float = 0.002,
        warning_delta: float = 0.01,
        clock: int = 32,
        max_buckets: int = 5,
        min_window: int = 5,
        grace: int = 10,
        restart: bool = True,
    ) -> None:
        fraction(delta=delta, warning_delta=warning_delta)
        whole(clock=clock, min_window=min_window, grace=grace)
        whole(2, max_buckets=max_buckets)
        require(warning_delta >= delta, f"warning_delta {warning_delta:g} is under delta {delta:g}; a warning comes before the drift")
        super().__init__(
            delta=delta,
            warning_delta=warning_delta,
            clock=clock,
            max_buckets=max_buckets,
            min_window=min_window,
            grace=grace,
            restart=restart,
        )

    @property
    def width(self) -> int:
        """Number of values in the window."""
        return int(self._memory["sums"][WIDTH])

    @property
    def mean(self) -> float:
        """Mean of the window; NaN while it is empty."""
        return float(self._memory["sums"][TOTAL] / self.width) if self.width else float("nan")

    def _fresh(self) -> Memory:
        shape = (LEVELS, self.settings["max_buckets"] + 1)
        return {"totals": np.zeros(shape), "spreads": np.zeros(shape), "counts": np.zeros(LEVELS, dtype=np.int64), "sums": np.zeros(5)}

    def _live(self, series: Array, memory: Memory) -> NDArray[np.int8]:
        known = self.settings
        levels = np.array([known["delta"], known["warning_delta"]])
        limits = np.array([known["clock"], known["grace"], known["min_window"]], dtype=np.int64)
        return _walk(series, levels, limits, known["restart"], memory["totals"], memory["spreads"], memory["counts"], memory["sums"])


@kernel
def _insert(x: float, totals: Array, spreads: Array, counts: NDArray[np.int64], sums: Array) -> None:
    """A bucket of one value; where a length has one bucket too many, its two oldest become one of twice the length."""
    width = sums[WIDTH]
    if width > 0.0:
        apart = x - sums[TOTAL] / width
        sums[SPREAD] += width * apart * apart / (width + 1.0)
    sums[TOTAL] += x
    sums[WIDTH] = width + 1.0
    totals[0, counts[0]], spreads[0, counts[0]] = x, 0.0
    counts[0] += 1
    level, size = 0, 1.0
    while counts[level] == totals.shape[1]:
        apart = totals[level, 0] / size - totals[level, 1] / size
        k = counts[level + 1]
        totals[level + 1, k] = totals[level, 0] + totals[level, 1]
        spreads[level + 1, k] = spreads[level, 0] + spreads[level, 1] + size * 0.5 * apart * apart
        counts[level + 1] += 1
        _forget_oldest(level, 2, totals, spreads, counts)
        level, size = level + 1, size * 2.0


@kernel
def _forget_oldest(level: int, number: int, totals: Array, spreads: Array, counts: NDArray[np.int64]) -> None:
    for k in range(counts[level] - number):
        totals[level, k], spreads[level, k] = totals[level, k + number], spreads[level, k + number]
    counts[level] -= number


@kernel
def _drop(totals: Array, spreads: Array, counts: NDArray[np.int64], sums: Array) -> None:
    """Take the oldest bucket out of the window."""
    level = len(counts) - 1
    while counts[level] == 0:
        level -= 1
    size = 2.0**level
    sums[WIDTH] -= size
    sums[TOTAL] -= totals[level, 0]
    apart = totals[level, 0] / size - sums[TOTAL] / sums[WIDTH]
    lost = spreads[level, 0] + size * sums[WIDTH] * apart * apart / (size + sums[WIDTH])
    # Rounding may leave a little less than nothing.
    sums[SPREAD] = max(0.0, sums[SPREAD] - lost)
    _forget_oldest(level, 1, totals, spreads, counts)


@kernel
def _cut(levels: Array, least: int, totals: Array, counts: NDArray[np.int64], sums: Array) -> int:
    """The strongest signal of the cuts between buckets, oldest first: 2 as soon as one passes at `levels[0]`, 1 where one does at [1]."""
    older, newer, old_total, new_total = 0.0, sums[WIDTH], 0.0, sums[TOTAL]
    variance = sums[SPREAD] / sums[WIDTH]
    doubt = np.log(2.0 * np.log(sums[WIDTH]) / levels)
    signal = 0
    for level in range(len(counts) - 1, -1, -1):
        size = 2.0**level
        for k in range(counts[level]):
            older, newer = older + size, newer - size
            old_total, new_total = old_total + totals[level, k], new_total - totals[level, k]
            if newer < least or older < least:
                continue
            apart = abs(old_total / older - new_total / newer)
            share = 1.0 / (older - least + 1.0) + 1.0 / (newer - least + 1.0)
            bound = np.sqrt(2.0 * share * variance * doubt) + 2.0 / 3.0 * doubt * share
            if apart > bound[0]:
                return 2
            if apart > bound[1]:
                signal = 1
    return signal


@kernel
def _walk(
    series: Array,
    levels: Array,
    limits: NDArray[np.int64],
    restart: bool,
    totals: Array,
    spreads: Array,
    counts: NDArray[np.int64],
    sums: Array,
) -> NDArray[np.int8]:
    """Signals of `series`; `limits` are clock, grace and the shortest part."""
    signals = np.zeros(len(series), dtype=np.int8)
    for t in range(len(series)):
        if np.isnan(series[t]):
            continue
        if restart and sums[ENDED] == 1.0:
            counts[:], sums[:] = 0, 0.0
        _insert(series[t], totals, spreads, counts, sums)
        sums[TICK] += 1.0
        sums[ENDED] = 0.0
        if sums[TICK] % limits[0] == 0 and sums[WIDTH] > limits[1]:
            signal = _cut(levels, limits[2], totals, counts, sums)
            signals[t] = signal
            while signal == 2:
                sums[ENDED] = 1.0
                _drop(totals, spreads, counts, sums)
                signal = _cut(levels, limits[2], totals, counts, sums)
    return signals
