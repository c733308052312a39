"""Two detectors that never look: one fires by the calendar, one never, so that a score shows what looking is worth.

Source: Bifet (2017), Classifier Concept Drift Detection and the Illusion of Progress, https://doi.org/10.1007/978-3-319-59060-8_64: an
alarm every so often passed for a good detector where only accuracy was counted.
Cost: nothing. Fails always, by design: the one finds every drift and is wrong nearly every time, the other is never wrong and finds none. A
detector that does not beat both under one scoring has shown nothing.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.limits import whole
from tradewind.core.types import Array
from tradewind.stats.detector import DRIFT, ChangeDetector, Memory

__all__ = ["AlwaysFires", "NeverFires"]


@final
class AlwaysFires(ChangeDetector):
    """Tells a drift at every `every`-th value, whatever it is."""

    name: ClassVar[str] = "always"

    def __init__(self, every: int = 1) -> None:
        whole(every=every)
        super().__init__(every=every)

    def _fresh(self) -> Memory:
        return {"seen": np.zeros(1, dtype=np.int64)}

    def _live(self, series: Array, memory: Memory) -> NDArray[np.int8]:
        there = ~np.isnan(series)
        seen = memory["seen"][0] + np.cumsum(there)
        memory["seen"][0] += there.sum()
        return np.where(there & (seen % self.settings["every"] == 0), DRIFT, 0).astype(np.int8)


@final
class NeverFires(ChangeDetector):
    """Tells no drift, whatever comes."""

    name: ClassVar[str] = "never"

    def __init__(self) -> None:
        super().__init__()

    def _fresh(self) -> Memory:
        return {}

    def _live(self, series: Array, memory: Memory) -> NDArray[np.int8]:
        return np.zeros(len(series), dtype=np.int8)
