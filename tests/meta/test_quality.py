"""Quality by inputs and the support's labels alone."""

from __future__ import annotations

import math

import pytest
import torch

from tradewind.meta.quality import quality

NAN = math.nan


def task(
    support: list[list[float]], labels: list[float], query: list[list[float]], kind: torch.dtype = torch.int64
) -> dict[str, torch.Tensor]:
    unread = torch.full((len(query),), -1)
    return {
        "support_data": torch.tensor(support),
        "support_labels": torch.tensor(labels, dtype=kind),
        "query_data": torch.tensor(query),
        "query_labels": unread,
    }


@pytest.mark.parametrize(
    ("support", "labels", "query", "ways", "expected"),
    [
        ([[0.0, 1.0], [1.0, 0.0]], [0, 1], [[0.0, 0.0]], 2, 1.0),
        ([[0.0, 1.0], [1.0, 1.0]], [0, 1], [[0.0, 0.0]], 2, 0.5),  # a column without change
        ([[0.0, 1.0], [1.0, 0.0]], [0, 1], [[NAN, 0.0], [0.0, 0.0]], 2, 7 / 8),  # one of eight values is missing
        ([[NAN, 1.0], [1.0, 0.0]], [0, 1], [[0.0, 0.0], [0.0, 0.0]], 2, 7 / 8 * 0.5),  # and its column has one value left
        ([[0.0], [1.0]], [0, 0], [[0.0]], 2, 0.0),
        ([[0.0], [1.0]], [0, 1], [[0.0]], 4, 0.5),  # one bit of two
        ([[0.0], [1.0], [2.0], [3.0]], [0, 0, 0, 1], [[0.0]], 2, 0.8112781244591328),
        ([[0.0]], [0], [[0.0]], 2, 0.0),
    ],
)
def test_of_classes(support: list[list[float]], labels: list[float], query: list[list[float]], ways: int, expected: float) -> None:
    assert quality(task(support, labels, query), ways) == pytest.approx(expected, abs=1e-15)


def test_of_numbers() -> None:
    assert quality(task([[0.0], [1.0]], [0.5, 0.7], [[0.0]], torch.float32), 0) == 1.0
    assert quality(task([[0.0], [1.0]], [0.5, 0.5], [[0.0]], torch.float32), 0) == 0.0
    assert quality(task([[0.0]], [0.5], [[NAN]], torch.float32), 0) == 0.5
