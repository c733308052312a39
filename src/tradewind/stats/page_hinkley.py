"""Page-Hinkley: adds up how far values lie from their mean so far, and tells a drift when the sum has moved too far from its best.

Papers: Page (1954), Continuous Inspection Schemes, https://doi.org/10.1093/biomet/41.1-2.100; Hinkley (1971), Inference about the
Change-Point from Cumulative Sum Tests, https://doi.org/10.1093/biomet/58.3.509. With the same settings it tells the same drifts as River's.
Cost: O(1) a value, seven numbers. Fails where its two levels do not suit the scale of the stream (`delta` and `threshold` are in the units
of the values: standardise them first), where only the variance changes, and where a change comes as slowly as the mean that it is measured
from; the sums find a small lasting shift late and a short large one not at all.
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.stats.detector import ChangeDetector, Memory

__all__ = ["PageHinkley"]

COUNT, MEAN, RISE, FALL, LEAST, MOST, ENDED = 0, 1, 2, 3, 4, 5, 6
"""Places in the memory: number and mean of the values, the two sums, the least of the first, the most of the second, whether it is over."""


@final
class PageHinkley(ChangeDetector):
    """Tells a mean that went `up`, `down` or either way (`both`), then starts again.

    `threshold`: how far a sum may move, in units of the values. `delta`: the shift per value that is let pass. `forgetting`: what a sum
    keeps of itself at each value. `grace`: values before the first alarm. `warning`: the share of `threshold` at which a warning is told.
    """

    name: ClassVar[str] = "page-hinkley"

    def __init__(
        self,
        threshold: float = 50.0,
        delta: float = 0.005,
        forgetting: float = 0.9999,
        grace: int = 30,
        mode: Literal["up", "down", "both"] = "both",
        warning: float = 0.5,
    ) -> None:
        number(threshold=threshold)
        number(positive=False, delta=delta)
        fraction(one=True, forgetting=forgetting, warning=warning)
        whole(grace=grace)
        require(mode in ("up", "down", "both"), f"mode is {mode!r}; it is 'up', 'down' or 'both'")
        super().__init__(threshold=threshold, delta=delta, forgetting=forgetting, grace=grace, mode=mode, warning=warning)

    def _fresh(self) -> Memory:
        sums = np.zeros(7)
        sums[LEAST], sums[MOST] = np.inf, -np.inf
        return {"sums": sums}

    def _live(self, series: Array, memory: Memory) -> NDArray[np.int8]:
        known = self.settings
        up, down = known["mode"] != "down", known["mode"] != "up"
        levels = np.array([known["threshold"], known["warning"] * known["threshold"], known["delta"], known["forgetting"]])
        return _walk(series, levels, known["grace"], up, down, memory["sums"])


@kernel
def _walk(series: Array, levels: Array, grace: int, up: bool, down: bool, sums: Array) -> NDArray[np.int8]:
    """Signals of `series`; `levels` are threshold, level of a warning, delta and forgetting."""
    threshold, warned, delta, forgetting = levels[0], levels[1], levels[2], levels[3]
    signals = np.zeros(len(series), dtype=np.int8)
    for t in range(len(series)):
        if np.isnan(series[t]):
            continue
        if sums[ENDED] == 1.0:
            sums[:] = 0.0
            sums[LEAST], sums[MOST] = np.inf, -np.inf
        sums[COUNT] += 1.0
        sums[MEAN] += (series[t] - sums[MEAN]) / sums[COUNT]
        apart = series[t] - sums[MEAN]
        sums[RISE] = forgetting * sums[RISE] + apart - delta
        sums[FALL] = forgetting * sums[FALL] + apart + delta
        sums[LEAST] = min(sums[LEAST], sums[RISE])
        sums[MOST] = max(sums[MOST], sums[FALL])
        if sums[COUNT] >= grace:
            moved = max(sums[RISE] - sums[LEAST] if up else 0.0, sums[MOST] - sums[FALL] if down else 0.0)
            if moved > threshold:
                signals[t] = 2
                sums[ENDED] = 1.0
            elif moved > warned:
                signals[t] = 1
    return signals
