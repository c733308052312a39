"""The two problems over the simplex, against their conditions of optimality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError
from tradewind.portfolio.simplex import minimise_quadratic, nearest

QUICK = settings(max_examples=100, deadline=None)


@QUICK
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12))
def test_the_nearest_point_meets_its_conditions(point: list[float]) -> None:
    there = np.array(point)
    weights = nearest(there)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1.0, abs=1e-9)
    # w = max(point - level, 0) for one level: what is held lies at it, what is not lies below it.
    level = (there - weights)[weights > 0]
    assert np.ptp(level) < 1e-9
    assert (there[weights == 0] <= level.mean() + 1e-9).all()


def test_points_of_the_simplex_stay_where_they_are() -> None:
    assert nearest(np.array([0.2, 0.3, 0.5])).tolist() == pytest.approx([0.2, 0.3, 0.5])
    assert nearest(np.array([3.0, 0.0])).tolist() == [1.0, 0.0]


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(0.01, 100.0))
def test_the_least_of_a_quadratic_meets_its_conditions(seed: int, assets: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    root = random.normal(size=(assets + 3, assets))
    matrix, slope = scale * root.T @ root + 1e-3 * np.eye(assets), scale * random.normal(size=assets)
    start = random.dirichlet(np.ones(assets)) if seed % 2 else np.eye(assets)[seed % assets]
    weights = minimise_quadratic(matrix, slope, start)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    gradient = matrix @ weights - slope
    size = 1e-8 * (1.0 + np.abs(slope).max() + np.abs(matrix).max())
    held = weights > 0
    assert np.ptp(gradient[held]) < size
    assert (gradient[~held] >= gradient[held].mean() - size).all()
    again = minimise_quadratic(matrix, slope, np.full(assets, 1.0 / assets))
    np.testing.assert_allclose(again, weights, atol=1e-6)


def test_a_matrix_without_a_least_value_is_an_error() -> None:
    with pytest.raises((DataError, np.linalg.LinAlgError)):
        minimise_quadratic(np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([0.0, 0.0]), np.array([0.5, 0.5]))
