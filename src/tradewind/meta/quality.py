"""The quality of a task, from 0 to 1: whether its inputs and its support can be learned from. The query's labels are never looked at.

A product of three shares: of the input values, support and query, that are there; of the input columns that vary over the support; and how
evenly the support holds the classes, the entropy of their shares over the logarithm of the number of ways (Shannon 1948,
https://doi.org/10.1002/j.1538-7305.1948.tb01338.x). Costs one pass over the task. Fails to notice inputs that vary and tell nothing: that
is difficulty, not quality.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tradewind.meta.tasks import Task

__all__ = ["quality"]


def quality(task: Task, ways: int) -> float:
    """From 0, nothing can be learned, to 1; `ways` is the number of classes, 0 where labels are numbers, which are to vary."""
    support, query = task["support_data"].flatten(1).numpy(), task["query_data"].flatten(1).numpy()
    finite = np.isfinite(support)
    there = float(finite.sum() + np.isfinite(query).sum()) / (support.size + query.size)
    if len(support) == 1:
        return there if ways < 2 else 0.0
    high, low = np.where(finite, support, -np.inf).max(axis=0), np.where(finite, support, np.inf).min(axis=0)
    return there * float((high > low).mean()) * _evenness(task["support_labels"].numpy(), ways)


def _evenness(labels: NDArray[np.int64] | NDArray[np.float32], ways: int) -> float:
    if ways < 2:
        return float((labels != labels[0]).any())
    shares = np.bincount(labels.astype(np.int64), minlength=ways) / len(labels)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum()) / math.log(ways)
