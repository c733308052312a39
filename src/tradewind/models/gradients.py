"""Contributions of nets on windows: integrated gradients of the one number that the answer comes down to, in the terms of the answer.

Method and paper: see nets/attribution. Costs some 16 to 1,024 forward and backward passes a row: 25 ms on one core for the `quick` LSTM.
Fails as the method does; and inputs beyond 20 deviations count as 20, as the net itself takes them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tradewind.core.errors import DataError
from tradewind.core.types import Features
from tradewind.models.contributions import Contributions
from tradewind.models.quantiles import level_shares
from tradewind.models.rows import Task
from tradewind.models.windowed import WindowedRows
from tradewind.nets.attribution import integrated_gradients
from tradewind.nets.device import reproducible
from tradewind.nets.windows import Windows

__all__ = ["as_one_number", "ending_in", "window_contributions"]


def window_contributions(
    net: nn.Module,
    windowed: WindowedRows,
    task: Task,
    X: Features,
    rows: NDArray[np.int64],
    unit: float,
    levels: tuple[float, ...],
) -> Contributions:
    """What each number of the windows that end in `rows` (n, 2) of (time, symbol) added to the answers of `net`.

    The baseline is a window of training means. `unit` is that of the net's returns, `levels` of its quantiles, if it gives any. Raises
    DataError for a row in which no window ends.
    """
    task.check(X)
    found = ending_in(windowed.find(X), rows, X)
    scores = found.gather(torch.arange(len(found)))
    net.eval()
    with reproducible(None):
        parts = integrated_gradients(lambda window: as_one_number(net(window), task, levels), [scores])
    scale = 1.0 if task.classes else unit
    inputs = scores.double().numpy() * windowed.scaler.deviation + windowed.scaler.mean
    label = "log-odds" if task.classes else "return"
    return Contributions(
        parts.values[0] * scale, parts.base * scale, parts.total * scale, inputs, task.names, label, "integrated gradients"
    )


def ending_in(found: Windows, rows: NDArray[np.int64], X: Features) -> Windows:
    """The windows that end in `rows` (n, 2) of (time, symbol), in that order. Raises DataError for a row in which none does."""
    number = np.full(X.values.shape[:2], -1, dtype=np.int64)
    number[found.time, found.symbol] = np.arange(len(found))
    asked = np.asarray(rows, dtype=np.int64).reshape(-1, 2)
    which = number[asked[:, 0], asked[:, 1]]
    for time, symbol in asked[which < 0][:1]:
        raise DataError(f"row {time} of {X.symbols[symbol]} has no whole window of {found.size} rows up to it; ask for a later one")
    return found.take(which)


def as_one_number(outputs: Tensor, task: Task, levels: tuple[float, ...] = ()) -> Tensor:
    """(batch,): what the outputs (batch, output) of a net come down to: the log-odds of the highest class seen against the lowest, or the
    expected return, in the unit of the net.
    """
    if task.classes:
        return outputs[:, 0] if task.outputs == 2 else outputs[:, -1] - outputs[:, 0]
    if not levels:
        return outputs[:, 0]
    return torch.sort(outputs, dim=1).values @ torch.from_numpy(level_shares(levels)).to(outputs)
