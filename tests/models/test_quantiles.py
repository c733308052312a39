"""Quantiles in order, and the mean of what they describe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.models.quantiles import mean_of_quantiles, quantile_forecast, rearranged

LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def test_the_mean_by_hand() -> None:
    # Flat at 0 up to .25, a line to 4 at .75, flat at 4 after it.
    assert mean_of_quantiles(np.array([0.0, 4.0]), (0.25, 0.75)) == pytest.approx(0.25 * 0 + 0.5 * 2 + 0.25 * 4)
    assert mean_of_quantiles(np.array([[3.0], [5.0]]), (0.5,)).tolist() == [3.0, 5.0]


@given(values=st.lists(st.floats(-1e3, 1e3), min_size=7, max_size=7), shift=st.floats(-10, 10))
@settings(deadline=None)
def test_the_mean_is_the_integral_of_the_quantile_function(values: list[float], shift: float) -> None:
    quantiles = np.sort(np.array(values))
    grid = (np.arange(200_000) + 0.5) / 200_000
    expected = np.interp(grid, LEVELS, quantiles).mean()
    found = mean_of_quantiles(quantiles, LEVELS)
    assert found == pytest.approx(expected, abs=1e-2, rel=1e-5)
    assert mean_of_quantiles(quantiles + shift, LEVELS) == pytest.approx(float(found) + shift, abs=1e-9)
    assert quantiles[0] - 1e-9 <= found <= quantiles[-1] + 1e-9


def test_a_row_has_the_same_bits_in_any_history() -> None:
    quantiles = np.random.default_rng(0).standard_normal((101, 3, 7))
    whole = mean_of_quantiles(quantiles, LEVELS)
    for rows in (slice(50, 51), slice(3, 90), slice(100, 101)):
        assert mean_of_quantiles(quantiles[rows], LEVELS).tobytes() == whole[rows].tobytes()


def test_rearranging_is_never_farther_from_the_truth() -> None:
    truth = np.sort(np.random.default_rng(1).standard_normal((300, 7)), axis=1)
    crossing = truth + np.random.default_rng(2).standard_normal((300, 7))
    ordered = rearranged(crossing)
    assert (np.diff(ordered, axis=1) >= 0).all() and (np.diff(crossing, axis=1) < 0).any()
    assert (np.abs(ordered - truth).sum(1) <= np.abs(crossing - truth).sum(1) + 1e-12).all()


def test_a_forecast_of_quantiles() -> None:
    usable = np.array([[True, False], [False, True]])
    forecast = quantile_forecast(usable, np.array([[2.0, 1.0], [3.0, 5.0]]), (0.25, 0.75))
    assert forecast.quantiles is not None and forecast.mean is not None and forecast.levels == (0.25, 0.75)
    assert forecast.quantiles[usable].tolist() == [[1.0, 2.0], [3.0, 5.0]] and np.isnan(forecast.quantiles[~usable]).all()
    assert forecast.mean[usable].tolist() == [1.5, 4.0] and np.isnan(forecast.mean[~usable]).all()
