"""`Series`: the samples of one symbol, pair or basket in order of time, and how a task is cut out of them.

A task stands at one sample, its first query. The query is that sample and the next ones, `stride` samples apart. The support is what could
be learned by then: going back from the newest sample whose label was known strictly before the first query is asked, in steps of `stride`,
the latest `shots` samples of each class. So nothing of a label of the support is seen by a query, no class is missing, and samples whose
labels overlap are not counted twice. Costs one pass over the samples for each number of shots, and then some dozen microseconds a task.
Fails to draw tasks where a class is rarer than the look-back is long: such places are left out, and what is said of tasks is said of the
others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.arrays import Times

__all__ = ["Demand", "Inputs", "Rows", "Series"]

Inputs: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64]


@final
@dataclass(frozen=True)
class Demand:
    """What a task is to hold: `shots` samples of each of `ways` classes that are at most `lookback` steps back, and `queries` samples.

    Without `balanced`, and with `ways` 0 (numbers in place of classes), the latest `shots` samples as they come.
    """

    shots: int
    queries: int
    ways: int
    lookback: int
    balanced: bool


@final
@dataclass(frozen=True, eq=False)
class Series:
    """Samples in order of time.

    `panels`: what the inputs of a sample are read from, each (time, column, input) and the columns of it that are read. `rows` and `ends`
    (sample,): the row of the market at whose close the sample is asked, and the last one its label looks at; `times` and `known` (sample,)
    UTC ns those of the question and of the answer. `labels` (sample,) int64, or (sample, output) float32. `returns` (sample,) or (sample,
    asset): what a unit held over the label's bars earns, simple. `symbols`: of which markets. `stride`: samples from one to the next whose
    label does not overlap its own. `window`: rows an input is made of.
    """

    symbols: tuple[str, ...]
    panels: tuple[tuple[Inputs, tuple[int, ...]], ...]
    rows: Rows
    ends: Rows
    times: Times
    known: Times
    labels: NDArray[Any]
    returns: Inputs
    stride: int
    window: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample's inputs: (input,), or (window, input)."""
        width = sum(panel.shape[2] * len(columns) for panel, columns in self.panels)
        return (width,) if self.window == 1 else (self.window, width)

    def inputs(self, samples: Rows) -> Inputs:
        """(sample, input) of some samples, or (sample, window, input) where a window is longer than one row; columns one after the
        other."""
        reach = self.rows[samples][:, None, None] + np.arange(1 - self.window, 1)[None, :, None]
        parts = [panel[reach, columns].reshape(len(samples), self.window, -1) for panel, columns in self.panels]
        shown: Inputs = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return shown[:, 0] if self.window == 1 else shown

    def latest(self) -> Rows:
        """(sample,) the newest sample whose label was known strictly before each one was asked; -1 where there is none."""
        return np.searchsorted(self.known, self.times, side="left") - 1

    def anchors(self, demand: Demand) -> Rows:
        """The samples at which a task that meets `demand` can stand, ascending."""
        newest = self.latest()
        enough = (newest >= 0) & (np.arange(len(self.rows)) + self.stride * (demand.queries - 1) < len(self.rows))
        return np.flatnonzero(enough & self._learnable(demand)[newest]) if len(newest) else newest

    def _learnable(self, demand: Demand) -> NDArray[np.bool_]:
        """(sample,) whether the support that begins there, going back, holds what is asked for."""
        length = demand.lookback if demand.balanced and demand.ways else demand.shots
        reached = np.arange(len(self.rows)) >= self.stride * (demand.shots - 1)
        if not demand.ways:
            return reached
        counts = _trailing_counts(self.labels, demand.ways, self.stride, length)
        if demand.balanced:
            return np.asarray((counts >= demand.shots).all(axis=1))
        # One class alone teaches nothing.
        return np.asarray(reached & (counts < demand.shots).all(axis=1))

    def cut(self, anchor: int, demand: Demand) -> tuple[Rows, Rows]:
        """The samples of support and query, each ascending, of the task at `anchor`, which is one of `anchors(demand)`."""
        query = anchor + self.stride * np.arange(demand.queries)
        newest = int(np.searchsorted(self.known, self.times[anchor], side="left")) - 1
        if not (demand.ways and demand.balanced):
            return newest - self.stride * np.arange(demand.shots)[::-1], query
        back = newest - self.stride * np.arange(min(demand.lookback, newest // self.stride + 1))
        found = self.labels[back]
        chosen = np.concatenate([back[np.flatnonzero(found == way)[: demand.shots]] for way in range(demand.ways)])
        chosen.sort()
        return chosen, query


def _trailing_counts(labels: NDArray[Any], ways: int, stride: int, length: int) -> Rows:
    """(sample, way) how often each class stands among the `length` samples i, i - stride, i - 2 stride, ..."""
    groups = -(-len(labels) // stride)
    marks = np.zeros((groups * stride, ways), dtype=np.int64)
    marks[np.arange(len(labels)), labels] = 1
    counts = np.cumsum(marks.reshape(groups, stride, ways), axis=0)
    counts[length:] = counts[length:] - counts[:-length]
    return counts.reshape(groups * stride, ways)[: len(labels)]
