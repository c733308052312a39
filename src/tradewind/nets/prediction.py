"""Asking a trained net, so that a window's answer is the same bits in whatever company it is asked.

Matrix products round differently in batches of different sizes, so each window is asked alone, in float32, on one CPU thread: a fifth
slower than in batches, and a live bar costs no more than one window. Fails to be fast over very long histories: a million windows take
a quarter of an hour at the default size.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from tradewind.core.types import Array
from tradewind.nets.device import reproducible
from tradewind.nets.windows import Windows

__all__ = ["answer"]


def answer(net: nn.Module, windows: Windows) -> Array:
    """(window, output) float64: what `net`, in eval mode on the CPU, makes of each window."""
    net.eval()
    with reproducible(None), torch.inference_mode():
        rows = [net(windows.rows[end - windows.size + 1 : end + 1][None])[0] for end in windows.ends.tolist()]
        return np.asarray(torch.stack(rows).double().numpy()) if rows else np.zeros((0, 1))
