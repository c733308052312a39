"""Risk parity: equal and budgeted shares of risk, its closed forms, scale, and faults."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError
from tradewind.portfolio import inverse_volatility, risk_parity, risk_shares


def covariance(seed: int, assets: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((assets, assets))
    scale = np.exp(random.normal(0.0, 2.0, assets))
    return (mixing @ mixing.T / assets + 0.02 * np.eye(assets)) * scale * scale[:, None]


@given(st.integers(0, 10_000), st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_every_asset_adds_the_same_risk(seed: int, assets: int) -> None:
    matrix = covariance(seed, assets)
    weights = risk_parity(matrix)
    assert (weights > 0.0).all() and weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(risk_shares(weights, matrix), 1.0 / assets, rtol=1e-8)


@given(st.integers(0, 10_000), st.integers(2, 10))
@settings(max_examples=30, deadline=None)
def test_budgets_are_kept(seed: int, assets: int) -> None:
    matrix = covariance(seed, assets)
    budgets = 0.05 + np.random.default_rng(seed).random(assets)
    np.testing.assert_allclose(risk_shares(risk_parity(matrix, budgets), matrix), budgets / budgets.sum(), rtol=1e-8)


def test_closed_forms() -> None:
    # Two assets, whatever their correlation: inverse volatility. So too many of one correlation.
    np.testing.assert_allclose(risk_parity([[0.04, -0.015], [-0.015, 0.01]]), [1 / 3, 2 / 3])
    deviation = np.array([0.1, 0.2, 0.4])
    alike = (np.full((3, 3), 0.3) + 0.7 * np.eye(3)) * deviation * deviation[:, None]
    np.testing.assert_allclose(risk_parity(alike), inverse_volatility(alike))
    np.testing.assert_allclose(inverse_volatility(alike), [4 / 7, 2 / 7, 1 / 7])


def test_units_do_not_matter() -> None:
    matrix = covariance(1, 6)
    np.testing.assert_allclose(risk_parity(matrix), risk_parity(1e-10 * matrix), rtol=1e-9)


def test_faults() -> None:
    with pytest.raises(DataError, match="asset 1 does not vary"):
        risk_parity([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(DataError, match="not positive definite"):
        risk_parity([[1.0, 1.0], [1.0, 1.0]])
    with pytest.raises(DataError, match="not symmetric"):
        risk_parity([[1.0, 0.1], [0.2, 1.0]])
    with pytest.raises(DataError, match="shape"):
        inverse_volatility([[1.0, 0.1]])
    with pytest.raises(DataError, match="2 positive numbers"):
        risk_parity(np.eye(2), [1.0, 0.0])
