"""Asking a trained net, so that a sample's answer is the same bits in whatever company it is asked.

Matrix products round differently in batches of different sizes, and may at different places of a batch. So every batch has the same
number of slots, a sample's slot follows from its own absolute number, and slots without a sample hold zeros: what is computed for a
sample depends on nothing but the sample. In float32, on one CPU thread. Costs a whole batch even for one sample, which is why a batch is
small: fails to be fast where samples are asked one by one and a batch is large.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tradewind.core.types import Array
from tradewind.nets.device import reproducible
from tradewind.nets.training import Inputs

__all__ = ["answer"]


def answer(net: nn.Module, inputs: Inputs, numbers: NDArray[np.int64], slots: int) -> Array:
    """(sample, ...) float64: what `net`, in eval mode on the CPU, makes of each of the `inputs`.

    `numbers` (sample,) place the samples by what they are, whoever asks, such as their bar's number since 1970; consecutive ones share
    batches of `slots`. A sample keeps its bits as long as it keeps its number modulo `slots`. Without a sample the answer is (0, 1).
    """
    if not len(numbers):
        return np.zeros((0, 1))
    net.eval()
    answers: Array | None = None
    with reproducible(None), torch.inference_mode():
        for which, places in _batches(numbers % slots):
            found = net(_placed(inputs.gather(torch.from_numpy(which)), torch.from_numpy(places), slots))
            if answers is None:
                answers = np.empty((len(numbers), *found.shape[1:]))
            answers[which] = found.numpy()[places]
    assert answers is not None, "there is at least one sample"
    return answers


def _batches(slot: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Samples and their slots, batch by batch: the first of every slot together, then the second of every slot, and so on."""
    by_slot = np.argsort(slot, kind="stable")
    ascending = slot[by_slot]
    turn = np.empty_like(slot)
    turn[by_slot] = np.arange(len(slot)) - np.searchsorted(ascending, ascending)
    order = np.lexsort((slot, turn))
    borders = np.flatnonzero(np.diff(turn[order])) + 1
    return list(zip(np.split(order, borders), np.split(slot[order], borders), strict=True))


def _placed(found: Any, places: Tensor, slots: int) -> Any:
    """Each tensor of `found` (sample, ...) as (slot, ...), zero where no sample is."""
    if isinstance(found, Tensor):
        if len(places) == slots:
            return found.contiguous()
        empty = found.new_zeros((slots, *found.shape[1:]))
        empty[places] = found
        return empty
    parts = [_placed(part, places, slots) for part in found]
    return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)
