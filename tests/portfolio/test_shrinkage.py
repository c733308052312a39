"""Shrinkage: scikit-learn's Ledoit-Wolf, what it keeps of each asset, that it errs less than the sample, gaps and faults."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf as theirs

from tradewind.core.errors import DataError
from tradewind.portfolio import ledoit_wolf, shrunk_correlation, shrunk_covariance


@given(st.integers(2, 80), st.integers(1, 12), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_it_is_scikit_learns(rows: int, assets: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    returns = 0.01 * random.standard_normal((rows, assets)) @ random.standard_normal((assets, assets))
    matrix, shrinkage = theirs(returns)
    ours = ledoit_wolf(returns)
    np.testing.assert_allclose(ours.matrix, matrix, rtol=1e-9, atol=1e-15)
    assert ours.shrinkage == pytest.approx(shrinkage, abs=1e-9)


def test_each_asset_keeps_its_variance() -> None:
    random = np.random.default_rng(0)
    returns = random.standard_normal((40, 5)) * [1e-4, 0.01, 0.1, 1.0, 30.0]
    found = shrunk_covariance(returns)
    np.testing.assert_allclose(np.diag(found.matrix), returns.var(axis=0, ddof=1))
    correlation = shrunk_correlation(returns)
    assert correlation.shrinkage == found.shrinkage > 0.0
    sample = np.corrcoef(returns.T)
    apart = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(correlation.matrix[apart], (1.0 - found.shrinkage) * sample[apart], rtol=1e-9)
    np.testing.assert_array_equal(np.diag(correlation.matrix), np.ones(5))


def test_it_errs_less_than_the_sample() -> None:
    random = np.random.default_rng(1)
    mixing = random.standard_normal((10, 10)) / 4.0 + np.eye(10)
    truth = mixing.T @ mixing
    deviation = np.sqrt(np.diag(truth))
    truth = truth / deviation / deviation[:, None]
    errors = np.zeros(2)
    for _ in range(100):
        returns = random.standard_normal((25, 10)) @ mixing
        errors += [((found - truth) ** 2).sum() for found in (shrunk_correlation(returns).matrix, np.corrcoef(returns.T))]
    assert errors[0] < 0.7 * errors[1]


def test_fewer_rows_than_assets_are_positive_definite() -> None:
    returns = np.random.default_rng(2).standard_normal((6, 20))
    assert np.linalg.eigvalsh(shrunk_covariance(returns).matrix)[0] > 0.0


def test_rows_with_gaps_are_left_out_and_flat_assets_correlate_with_nothing() -> None:
    returns = np.random.default_rng(3).standard_normal((50, 3))
    returns[:, 2] = 0.7
    gapped = np.vstack([returns, [[math.nan, 1.0, 1.0]]])
    found = shrunk_correlation(gapped)
    np.testing.assert_array_equal(found.matrix, shrunk_correlation(returns).matrix)
    np.testing.assert_array_equal(found.matrix[2], [0.0, 0.0, 1.0])
    np.testing.assert_allclose(shrunk_covariance(returns).matrix[2], 0.0, atol=1e-30)


def test_faults() -> None:
    with pytest.raises(DataError, match="1 of 2 rows"):
        ledoit_wolf([[1.0, 2.0], [math.nan, 1.0]])
    with pytest.raises(DataError, match="infinite"):
        shrunk_covariance([[1.0, math.inf], [1.0, 1.0]])
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        shrunk_correlation(np.ones(3))
