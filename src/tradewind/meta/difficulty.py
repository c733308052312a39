"""The difficulty of a task, from 0 to 1: how little one sample of its support tells of another. The query is never looked at.

Classes: 1 less the share of the support that the nearest class centroid gets right when the sample itself is left out (nearest shrunken
centroid without the shrinking: Tibshirani et al. 2002, https://doi.org/10.1073/pnas.082099299; distances Euclidean over flattened inputs).
A class with a single sample cannot be got right, so with one shot the difficulty is 1. Numbers: the squared error of a mean of the other
samples weighted by nearness (Nadaraya 1964, https://doi.org/10.1137/1109020; Gaussian, its width the median distance) over that of their
plain mean, at most 1. Costs samples^2 x inputs multiplications. Fails to see what needs more than distance: a task whose rule is an
interaction of two inputs looks hard.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tradewind.meta.tasks import LossName, Task

__all__ = ["difficulty"]


def difficulty(task: Task, loss: LossName) -> float:
    """From 0, every sample is told by the others, to 1, none is."""
    data, labels = task["support_data"].flatten(1).double(), task["support_labels"]
    if loss == "cross_entropy":
        return 1.0 - float((_nearest_centroid(data, labels) == labels).double().mean())
    return _kernel_error(data, labels.double().reshape(len(labels), -1))


def _nearest_centroid(data: Tensor, labels: Tensor) -> Tensor:
    """(sample,) the class whose centroid, made of the other samples, is nearest."""
    member = torch.nn.functional.one_hot(labels).double()
    counts, sums = member.sum(dim=0), member.T @ data
    distances = (data[:, None] - sums / counts.clamp(min=1)[:, None]).square().sum(dim=2)
    distances = distances.masked_fill(counts == 0, torch.inf)
    rows, left = torch.arange(len(labels)), counts[labels] - 1
    # Its own class's centroid without the sample itself.
    own = (sums[labels] - data) / left.clamp(min=1)[:, None]
    distances[rows, labels] = torch.where(left > 0, (data - own).square().sum(dim=1), torch.inf)
    return distances.argmin(dim=1)


def _kernel_error(data: Tensor, labels: Tensor) -> float:
    count = len(labels)
    if count < 3:
        return 1.0
    squares = torch.cdist(data, data).square()
    others = ~torch.eye(count, dtype=torch.bool)
    width = squares[others].median()
    weights = torch.exp(-0.5 * squares / width.clamp(min=1e-12)).masked_fill(~others, 0.0)
    # Where all others are too far for a weight they count alike.
    weights = torch.where(weights.sum(dim=1, keepdim=True) > 0, weights, others.double())
    near = (labels - weights @ labels / weights.sum(dim=1, keepdim=True)).square().mean()
    plain = (labels - (labels.sum(dim=0) - labels) / (count - 1)).square().mean()
    return min(1.0, float(near / plain)) if float(plain) > 0 else 0.0
