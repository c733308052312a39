"""Windows of consecutive rows, gathered on the device by index from one (row, feature) tensor: no copy of a row per window.

A window lies inside one symbol and holds bars that exist. Costs O(rows) memory and O(batch * size * features) a gather; an index of
windows over a million rows takes half a second. Fails to tell a missing bar from a missing input: both are rows left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tradewind.core.limits import whole
from tradewind.core.types import Array, Times

__all__ = ["Windows", "windows"]


@final
@dataclass(frozen=True, eq=False)
class Windows:
    """Every window of `size` rows, in order of the time and symbol of its last row.

    `rows` (row, feature) float32 on some device: the usable rows of one symbol after the other; `ends` (window,) the position in it of
    a window's last row; `time` and `symbol` (window,) where that row stands in the panel.
    """

    rows: Tensor
    ends: Tensor
    time: NDArray[np.int64]
    symbol: NDArray[np.int64]
    size: int

    def __len__(self) -> int:
        return len(self.time)

    def gather(self, which: Tensor) -> Tensor:
        """(batch, size, feature): the windows numbered `which` (batch,)."""
        offsets = torch.arange(1 - self.size, 1, device=self.ends.device)
        return self.rows[self.ends[which][:, None] + offsets]

    def take(self, which: NDArray[Any]) -> Windows:
        """Some of the windows, by mask or by number; the rows are shared."""
        chosen = np.arange(len(self))[which]
        ends = self.ends[torch.from_numpy(chosen).to(self.ends.device)]
        return replace(self, ends=ends, time=self.time[chosen], symbol=self.symbol[chosen])

    def to(self, device: torch.device) -> Windows:
        """The same windows with their rows on another device."""
        return replace(self, rows=self.rows.to(device), ends=self.ends.to(device))


def windows(
    values: Array, usable: NDArray[np.bool_], size: int, reach: int | None = None, open_time: Times | None = None, step: int | None = None
) -> Windows:
    """All windows of `size` usable rows of `values` (time, symbol, feature); `usable` (time, symbol) says which rows count.

    `reach`: leave out windows that span more than so many times of the panel (rows that a symbol lacks lie between). `open_time` (time,)
    with `step`, the bar length in ns: leave out windows in which two neighbours are farther apart than one bar, so that no window
    crosses a gap. Raises SettingsError for a size below 1.
    """
    whole(window=size)
    symbol, time = np.nonzero(usable.T)
    first = np.searchsorted(symbol, np.arange(usable.shape[1]))
    end = np.flatnonzero(np.arange(len(time)) - first[symbol] >= size - 1)
    start = end - (size - 1)
    if reach is not None:
        kept = time[end] - time[start] < reach
        end, start = end[kept], start[kept]
    if open_time is not None and step is not None:
        # Jumps are counted along all rows; one from a symbol to the next cannot fall between the ends of a window.
        jumps = np.cumsum(np.diff(open_time[time], prepend=open_time[time[:1]]) > step)
        kept = jumps[end] == jumps[start]
        end = end[kept]
    order = np.lexsort((symbol[end], time[end]))
    end = end[order]
    rows = np.ascontiguousarray(values[time, symbol]).astype(np.float32)
    return Windows(torch.from_numpy(rows), torch.from_numpy(end.astype(np.int64)), time[end], symbol[end], size)
