"""Difficulty by the support alone."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestCentroid

from tradewind.meta.difficulty import difficulty


def task(data: list[list[float]], labels: list[float], kind: torch.dtype = torch.int64) -> dict[str, torch.Tensor]:
    nowhere = torch.full((2, len(data[0])), torch.nan)
    support = {"support_data": torch.tensor(data, dtype=torch.float32), "support_labels": torch.tensor(labels, dtype=kind)}
    return support | {"query_data": nowhere, "query_labels": torch.full((2,), -7)}


def test_of_classes_by_hand() -> None:
    apart = [[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]]
    assert difficulty(task(apart, [0, 0, 1, 1]), "cross_entropy") == 0.0
    assert difficulty(task(apart, [0, 1, 0, 1]), "cross_entropy") == 1.0
    # With itself left out, 4 lies nearer to the other class's centroid 5 than to its own class's 1.
    assert difficulty(task([[0.0], [2.0], [4.0], [5.0], [5.0]], [0, 0, 0, 1, 1]), "cross_entropy") == 0.2
    # One shot: nobody else is of its class.
    assert difficulty(task([[0.0], [9.0]], [0, 1]), "cross_entropy") == 1.0
    # A class that has no sample is never the nearest.
    assert difficulty(task(apart, [0, 0, 2, 2]), "cross_entropy") == 0.0


@given(seed=st.integers(0, 10_000), count=st.integers(6, 20))
@settings(max_examples=25, deadline=None)
def test_of_classes_is_what_scikit_learn_gets_wrong(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    X, y = random.standard_normal((count, 3)).astype(np.float32), np.arange(count) % 2
    wrong = 0
    for i in range(count):
        rest = np.arange(count) != i
        wrong += NearestCentroid().fit(X[rest].astype(float), y[rest]).predict(X[i : i + 1].astype(float))[0] != y[i]
    assert np.isclose(difficulty(task(X.tolist(), y.tolist()), "cross_entropy"), wrong / count)


def test_of_numbers() -> None:
    x = np.linspace(-2, 2, 21)
    smooth = difficulty(task(x[:, None].tolist(), np.sin(x).tolist(), torch.float32), "mse")
    noise = np.random.default_rng(0).standard_normal(21)
    unrelated = difficulty(task(x[:, None].tolist(), noise.tolist(), torch.float32), "mse")
    assert 0.0 <= smooth < 0.5 < unrelated <= 1.0
    assert difficulty(task([[0.0], [1.0], [2.0]], [3.0, 3.0, 3.0], torch.float32), "mse") == 0.0
    assert difficulty(task([[0.0], [1.0]], [3.0, 4.0], torch.float32), "mse") == 1.0
    # All samples are the same: their plain mean is all there is.
    assert difficulty(task([[1.0]] * 4, [0.0, 1.0, 2.0, 3.0], torch.float32), "mse") == 1.0
