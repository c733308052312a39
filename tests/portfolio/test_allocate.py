"""Allocation through time: each allocation is its method on the window, from rows up to it; gaps, state, and faults."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.portfolio import Allocator, allocation, mean_variance, risk_parity, shrunk_covariance

METHODS = ("equal", "inverse-volatility", "risk-parity", "minimum-variance", "mean-variance")


def panel(rows: int = 120, assets: int = 4, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, assets)) * 0.01 * np.arange(1, assets + 1)


def test_an_allocation_is_its_method_on_the_window() -> None:
    returns = panel()
    parity = allocation(returns, window=40, every=10)
    assert np.isnan(parity[:39]).all()
    for t in (39, 49, 119):
        np.testing.assert_array_equal(parity[t], risk_parity(shrunk_covariance(returns[t - 39 : t + 1]).matrix))
    np.testing.assert_array_equal(parity[48], parity[39])
    best = allocation(returns, "mean-variance", window=40, every=10, aversion=3.0, high=0.5)
    window = returns[80:120]
    expected = mean_variance(window.mean(axis=0), shrunk_covariance(window).matrix, aversion=3.0, high=0.5)
    np.testing.assert_array_equal(best[119], expected)
    np.testing.assert_array_equal(allocation(returns, "equal", window=40)[119], 0.25)


@pytest.mark.parametrize("name", METHODS)
def test_stream_is_batch_and_no_row_looks_ahead(name: str) -> None:
    returns = panel()
    returns[50:60, 1] = math.nan
    batch = allocation(returns, name, window=30, every=7)
    allocator = Allocator(4, name, window=30, every=7)
    for t, row in enumerate(returns):
        if t == 64:
            allocator = Allocator(4, name, window=30, every=7).restore(allocator.state())
        np.testing.assert_array_equal(allocator.update(row), batch[t])
    np.testing.assert_array_equal(allocation(returns[:70], name, window=30, every=7), batch[:70])
    np.testing.assert_allclose(np.nansum(batch[29:], axis=1), 1.0)


def test_assets_without_returns_are_not_held() -> None:
    returns = panel()
    returns[:, 2] = math.nan
    returns[:, 3] = 0.0
    for name in METHODS:
        weights = allocation(returns, name, window=50)[-1]
        np.testing.assert_array_equal(weights[2:], 0.0)
        assert weights[:2].sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(allocation(np.full((60, 2), math.nan), window=50)[-1], 0.0)


def test_risk_parity_holds_more_of_what_moves_less() -> None:
    weights = allocation(panel(400), window=300)[-1]
    assert (np.diff(weights) < 0.0).all()


def test_faults() -> None:
    with pytest.raises(SettingsError, match="did you mean 'risk-parity'"):
        Allocator(3, "risk-prity")
    with pytest.raises(SettingsError, match="did you mean 'high'"):
        Allocator(3, "mean-variance", hihg=0.5)
    with pytest.raises(SettingsError, match="cannot be met"):
        Allocator(3, "minimum-variance", high=0.2)
    with pytest.raises(DataError, match="row 0 of returns"):
        Allocator(3).update([0.1, 0.2])
    with pytest.raises(DataError, match="expected"):
        allocation(np.ones(5))
    with pytest.raises(StateError, match="not of"):
        Allocator(3, window=30).restore(Allocator(3, window=31).state())
