"""Integrated gradients: what each input of a net added to its answer, counted along the straight line from a baseline to the input.

Paper: Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017, https://arxiv.org/abs/1703.01365. The attributions
sum to the answer less that at the baseline, up to the error of the integral, so the number of midpoints doubles until that is small.
Costs one forward and backward pass for each midpoint: 16 to 1,024 of them a row. Fails to tell inputs apart that always move together, and
says what the net leant on, not what moves the market; where the answer jumps along the line, the gap stays and is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
import torch
from torch import Tensor

from tradewind.core.limits import number, whole
from tradewind.core.settings import require
from tradewind.core.types import Array

__all__ = ["Attribution", "Scalar", "integrated_gradients"]

Scalar: TypeAlias = Callable[..., Tensor]
"""A net's answer as one number a row: takes the input tensors (batch, ...) and gives (batch,)."""

FEWEST: Final = 16
ATOM: Final = 1e-3
"""Answers closer together than this are not told apart: the gap is measured against at least this much."""


@final
@dataclass(frozen=True, eq=False)
class Attribution:
    """What each number of the inputs added: `values`, a float64 array in the shape of each input tensor, (n, ...).

    `base` (n,) the answer at the baseline, `total` (n,) at the input, `steps` (n,) the midpoints that were taken, and `gap` (n,) by how
    much base + the sum of all values falls short of the total.
    """

    values: tuple[Array, ...]
    base: Array
    total: Array
    gap: Array
    steps: tuple[int, ...]


def integrated_gradients(
    answer: Scalar,
    inputs: Sequence[Tensor],
    baselines: Sequence[Tensor] | None = None,
    *,
    tolerance: float = 1e-3,
    most: int = 1024,
    batch: int = 128,
) -> Attribution:
    """Attribute `answer(*inputs)` (n,) to the numbers in `inputs`, tensors (n, ...) of floats.

    `baselines`: tensors that broadcast to the inputs; by default zeros, which is the training mean where inputs are standard scores. The
    gap is at most `tolerance` of the distance between the answers, unless `most` midpoints do not reach that. `batch`: midpoints at a time.
    Each row is integrated alone, so what company it is asked in changes nothing. Raises SettingsError for what cannot be.
    """
    whole(most=most, batch=batch)
    number(tolerance=tolerance)
    starts = [torch.zeros_like(each) for each in inputs] if baselines is None else list(baselines)
    require(len(inputs) > 0 and len(starts) == len(inputs), f"{len(inputs)} inputs and {len(starts)} baselines do not pair up")
    starts = [start.expand_as(each) for start, each in zip(starts, inputs, strict=True)]
    rows = [_row(answer, [x[i] for x in inputs], [x[i] for x in starts], tolerance, most, batch) for i in range(len(inputs[0]))]
    values = tuple(np.stack([row[0][k] for row in rows]) if rows else np.zeros(tuple(each.shape)) for k, each in enumerate(inputs))
    base, total, gap = (np.array([row[k] for row in rows], dtype=np.float64) for k in (1, 2, 3))
    return Attribution(values, base, total, gap, tuple(row[4] for row in rows))


def _row(
    answer: Scalar, ends: list[Tensor], starts: list[Tensor], tolerance: float, most: int, batch: int
) -> tuple[list[Array], float, float, float, int]:
    """One row: values of each input, base, total, gap and midpoints."""
    with torch.no_grad():
        base, total = (float(answer(*[each[None] for each in point])[0].double()) for point in (starts, ends))
    steps = min(FEWEST, most)
    while True:
        slopes = _mean_slopes(answer, ends, starts, steps, batch)
        moved = [(end - start).double().cpu().numpy() for start, end in zip(starts, ends, strict=True)]
        values = [np.asarray(slope * step) for slope, step in zip(slopes, moved, strict=True)]
        gap = total - base - float(sum(each.sum() for each in values))
        if abs(gap) <= tolerance * max(abs(total - base), ATOM) or steps >= most:
            return values, base, total, gap, steps
        steps = min(2 * steps, most)


def _mean_slopes(answer: Scalar, ends: list[Tensor], starts: list[Tensor], steps: int, batch: int) -> list[Array]:
    """The gradients of the answer with respect to each input, averaged over `steps` midpoints of the line."""
    sums = [np.zeros(tuple(each.shape)) for each in ends]
    middles = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    for first in range(0, steps, batch):
        part, points = middles[first : first + batch], []
        for start, end in zip(starts, ends, strict=True):
            along = part.to(end.device, end.dtype).reshape(-1, *[1] * end.ndim)
            points.append((start + along * (end - start)).detach().requires_grad_())
        # The fast kernels of recurrent nets on GPUs have no backward pass outside of training; the plain ones have.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            slopes = torch.autograd.grad(answer(*points).sum(), points, allow_unused=True)
        for total, slope in zip(sums, slopes, strict=True):
            if slope is not None:
                total += slope.double().sum(dim=0).cpu().numpy()
    return [total / steps for total in sums]
