"""Fractional differences: the weights' closed form, whole orders as plain differences, and the feature beside the function."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tradewind as tw
from tradewind.core.errors import DataError, SettingsError
from tradewind.features import fractional_difference, fractional_weights

from .conftest import build_market


def test_half_an_order() -> None:
    np.testing.assert_array_equal(fractional_weights(0.5, 4), [1.0, -0.5, -0.125, -0.0625])


@given(order=st.floats(0.01, 0.99), width=st.integers(2, 200))
def test_weights_are_the_binomial_series(order: float, width: int) -> None:
    from scipy.special import binom

    lags = np.arange(width)
    np.testing.assert_allclose(fractional_weights(order, width), (-1.0) ** lags * binom(order, lags), rtol=1e-9)


def test_whole_orders() -> None:
    series = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_allclose(fractional_difference(series, 1.0, 5)[4:], np.diff(series, axis=0)[3:])
    np.testing.assert_allclose(fractional_difference(series, 2.0, 5)[4:], np.diff(series, n=2, axis=0)[2:])
    np.testing.assert_array_equal(fractional_difference(series, 0.0, 1), series)


def test_first_rows_and_short_series() -> None:
    assert np.isnan(fractional_difference(np.ones(10), 0.4, 4)).tolist() == [True] * 3 + [False] * 7
    assert np.isnan(fractional_difference(np.ones(3), 0.4, 4)).all()
    with pytest.raises(SettingsError, match="width"):
        fractional_weights(0.5, 0)
    with pytest.raises(SettingsError, match="order"):
        fractional_weights(float("nan"), 3)
    with pytest.raises(DataError, match="not \\(2, 2, 2\\)"):
        fractional_difference(np.ones((2, 2, 2)), 0.5, 2)


def test_the_feature_is_the_function() -> None:
    market = build_market(150, symbols=2)
    X = tw.features.compute(market, "fractional_35_40")
    np.testing.assert_array_equal(X.values[:, :, 0], fractional_difference(market.close, 0.35, 40))
