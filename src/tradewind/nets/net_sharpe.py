"""The net Sharpe ratio of a portfolio as a loss, and the blocks of consecutive bars of all symbols that it is taken over.

Papers: Lim, Zohren, Roberts 2019, https://arxiv.org/abs/1904.04912, section 3.3 (the Sharpe ratio as the loss, turnover costs inside);
Moody and Saffell 2001, https://doi.org/10.1109/72.935097 (both, before). There every symbol and time is a return of its own; here the
symbols of a time are summed first, as an account sums them, so that what falls together counts as one risk. Costs a few passes over
the positions of a batch. The ratio of a batch is a biased estimate of that of all bars: it fails with batches of a few dozen bars.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tradewind.core.types import Array
from tradewind.nets.training import Examples
from tradewind.nets.windows import Windows

__all__ = ["Blocks", "NetSharpe", "blocks"]

STEADY: Final = 1e-6
"""Added to the variance, in squares of the unit of the gains: what never moves has a ratio of 0, not of infinity."""


@final
@dataclass(frozen=True)
class NetSharpe:
    """Minus the Sharpe ratio per bar of the portfolio's returns after costs.

    `outputs` (block, symbol, step) are positions. `targets` (block, symbol, step, 3) hold what a position of 1 gains over the step, what it
    costs to move a position by 1 there, and 1 where the step counts or else 0. Moving from step to step costs the distance
    between the products of position and cost, so that a change of a symbol's volatility is a trade as well; the first step is free.
    """

    def terms(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """(3,): the weighted sums of returns, of their squares, and of the bars."""
        gain, cost, counts = targets.unbind(dim=-1)
        held = outputs * cost
        turnover = torch.nn.functional.pad((held[..., 1:] - held[..., :-1]).abs(), (1, 0))
        returns = (counts * (outputs * gain - turnover)).mean(dim=1)
        bars = weights[:, None] * counts.amax(dim=1)
        return torch.stack([(bars * returns).sum(), (bars * returns**2).sum(), bars.sum()])

    def value(self, sums: Tensor) -> Tensor:
        """(): minus mean over standard deviation."""
        mean = sums[0] / sums[2]
        variance = (sums[1] / sums[2] - mean**2).clamp_min(0.0)
        return -mean / torch.sqrt(variance + STEADY)


@final
@dataclass(frozen=True, eq=False)
class Blocks:
    """Sequences of consecutive rows that end at one time, for all symbols together.

    `rows` (row, column) as in Windows; `ends` (block, symbol) the place in it of a sequence's last row, -1 where a symbol has no whole one.
    """

    rows: Tensor
    ends: Tensor
    size: int

    def gather(self, which: Tensor) -> Tensor:
        """(batch, symbol, size, column); a symbol without a sequence has that of another, whose steps do not count."""
        return self.rows[_places(self.ends[which], self.size)]

    def to(self, device: torch.device) -> Blocks:
        """The same blocks on another device."""
        return replace(self, rows=self.rows.to(device), ends=self.ends.to(device))


def blocks(found: Windows, gain: Array, cost: Array, counts: NDArray[np.bool_], usable: NDArray[np.bool_]) -> Examples | None:
    """Examples for NetSharpe from the windows of a panel, laid out so that each counted row counts in exactly one block.

    `gain`, `cost` and `counts` (time, symbol) as in NetSharpe's targets, `usable` (time, symbol) that of the windows. Blocks end half a
    window apart, back from the last row that counts, and only their newer half counts: every step that is learned from has at least half
    a window before it. None when no row counts.
    """
    times = np.flatnonzero(counts.any(axis=1))
    if len(times) == 0 or len(found) == 0:
        return None
    half = max(1, found.size // 2)
    ends = np.arange(times[-1], times[0] - 1, -half)[::-1]
    table = np.full(gain.shape, -1, dtype=np.int64)
    table[found.time, found.symbol] = found.ends.numpy()
    chosen = torch.from_numpy(table[ends])
    symbol, time = np.nonzero(usable.T)
    steps = np.stack([np.nan_to_num(gain), np.nan_to_num(cost), counts.astype(np.float64)], axis=2)[time, symbol]
    targets = torch.from_numpy(steps.astype(np.float32))[_places(chosen, found.size)]
    targets[chosen < 0] = 0.0
    targets[:, :, : found.size - half, 2] = 0.0
    kept = targets[..., 2].flatten(1).any(dim=1)
    if not bool(kept.any()):
        return None
    return Examples(Blocks(found.rows, chosen[kept], found.size), targets[kept], torch.ones(int(kept.sum())))


def _places(ends: Tensor, size: int) -> Tensor:
    """(..., size) places of the rows of sequences that end at `ends` (...)."""
    return ends.clamp_min(size - 1)[..., None] + torch.arange(1 - size, 1, device=ends.device)
