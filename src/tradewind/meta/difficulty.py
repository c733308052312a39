"""The difficulty of a task, from 0 to 1: how little one sample of its support tells of another. The query is never looked at.

Classes: 1 less the share of the support that the nearest class centroid gets right when the sample itself is left out (nearest shrunken
centroid without the shrinking: Tibshirani et al. 2002, https://doi.org/10.1073/pnas.082099299; distances Euclidean over flattened inputs).
A class with a single sample cannot be got right, so with one shot the difficulty is 1. Numbers: the squared error of a mean of the other
samples weighted by nearness (Nadaraya 1964, https://doi.org/10.1137/1109020; Gaussian, its width the median distance) over that of their
plain mean, at most 1. Costs samples^2 x inputs multiplications. Fails to see what needs more than distance: a task whose rule is an
interaction of two inputs looks hard.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradewind.core.arrays import Array
from tradewind.meta.tasks import LossName, Task

__all__ = ["difficulty"]


def difficulty(task: Task, loss: LossName) -> float:
    """From 0, every sample is told by the others, to 1, none is."""
    data = task["support_data"].flatten(1).numpy().astype(np.float64)
    labels = task["support_labels"].numpy()
    if loss == "cross_entropy":
        return float((_nearest_centroid(data, labels) != labels).mean())
    return _kernel_error(data, labels.reshape(len(labels), -1).astype(np.float64))


def _nearest_centroid(data: Array, labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """(sample,) the class whose centroid, made of the other samples, is nearest."""
    member = np.eye(int(labels.max()) + 1)[labels]
    counts, sums = member.sum(axis=0), member.T @ data
    distances = _squares(data, sums / np.maximum(counts, 1.0)[:, None])
    distances[:, counts == 0] = np.inf
    # A sample's own class has its centroid without it.
    left = counts[labels] - 1.0
    own = np.square(data - (sums[labels] - data) / np.maximum(left, 1.0)[:, None]).sum(axis=1)
    distances[np.arange(len(labels)), labels] = np.where(left > 0, own, np.inf)
    return np.asarray(distances.argmin(axis=1))


def _kernel_error(data: Array, labels: Array) -> float:
    count = len(labels)
    if count < 3:
        return 1.0
    squares, others = _squares(data, data), ~np.eye(count, dtype=bool)
    width = max(float(np.median(squares[others])), 1e-12)
    weights = np.where(others, np.exp(-0.5 * squares / width), 0.0)
    # Where all others are too far for a weight they count alike.
    weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, others)
    near = np.square(labels - weights @ labels / weights.sum(axis=1, keepdims=True)).mean()
    plain = np.square(labels - (labels.sum(axis=0) - labels) / (count - 1)).mean()
    return min(1.0, float(near / plain)) if plain > 0 else 0.0


def _squares(a: Array, b: Array) -> Array:
    """(row of a, row of b) squared Euclidean distances."""
    return np.asarray(np.square(a[:, None] - b).sum(axis=2))
