"""Mean-variance: closed forms, the conditions of an optimum (Karush-Kuhn-Tucker), scipy on small problems, and quarrelling limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from tradewind.core.errors import DataError, SettingsError
from tradewind.portfolio import kelly_fraction, mean_variance


def problem(seed: int, assets: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((assets, assets))
    return random.standard_normal(assets), mixing @ mixing.T / assets + 0.05 * np.eye(assets)


def test_without_limits_it_is_kelly_of_many_assets() -> None:
    mean, matrix = problem(0, 5)
    free = {"low": -math.inf, "high": math.inf, "budget": None}
    np.testing.assert_allclose(mean_variance(mean, matrix, **free), np.linalg.solve(matrix, mean))
    np.testing.assert_allclose(mean_variance(mean, matrix, aversion=4.0, **free), np.linalg.solve(matrix, mean) / 4.0)
    np.testing.assert_allclose(mean_variance([0.01], [[0.04]], **free), [kelly_fraction(0.01, 0.04)])


def test_least_variance_has_its_closed_form() -> None:
    _, matrix = problem(1, 6)
    solved = np.linalg.solve(matrix, np.ones(6))
    found = mean_variance(np.zeros(6), matrix, low=-math.inf, high=math.inf)
    np.testing.assert_allclose(found, solved / solved.sum(), rtol=1e-9)


def test_by_hand() -> None:
    # Uncorrelated, variance 1: w = mean + price until the sum is one; the third asset would be short and is held at 0.
    np.testing.assert_allclose(mean_variance([0.5, 0.3, -0.5], np.eye(3)), [0.6, 0.4, 0.0], atol=1e-15)
    np.testing.assert_allclose(mean_variance([0.5, 0.3, -0.5], np.eye(3), high=0.5), [0.5, 0.5, 0.0], atol=1e-15)
    # A leverage of .7 takes .2 from each: soft thresholds.
    np.testing.assert_allclose(
        mean_variance([0.5, 0.3, -0.5], np.eye(3), low=-1.0, budget=None, leverage=0.7), [0.3, 0.1, -0.3], atol=1e-12
    )


@given(
    st.integers(0, 10_000),
    st.sampled_from([2, 3, 8, 20]),
    st.sampled_from([0.0, -0.3, -1.0]),
    st.sampled_from([0.6, 1.0]),
    st.sampled_from([None, 1.0, 0.3]),
    st.sampled_from([None, 1.0, 1.5]),
    st.sampled_from([1e-3, 0.5, 1.0, 10.0, 1e3]),
)
@settings(max_examples=150, deadline=None)
def test_nothing_allowed_is_better(
    seed: int, assets: int, low: float, high: float, budget: float | None, leverage: float | None, aversion: float
) -> None:
    """The weights keep every limit, and no allowed weights lie uphill of them: for a concave goal that is the optimum."""
    mean, matrix = problem(seed, assets)
    if seed % 3 == 0:
        # Ties: many weights that are exactly as good.
        mean, matrix = mean.round(), np.eye(assets)
    weights = mean_variance(mean, matrix, aversion=aversion, low=low, high=high, budget=budget, leverage=leverage)
    assert weights.min() >= low and weights.max() <= high
    assert budget is None or weights.sum() == pytest.approx(budget, abs=1e-9)
    assert leverage is None or np.abs(weights).sum() <= leverage + 1e-9
    uphill = mean - aversion * matrix @ weights
    # The furthest that any allowed v lies uphill, v = long - short: a linear programme.
    total = None if leverage is None else np.ones((1, 2 * assets))
    bounds = [(0.0, max(0.0, high))] * assets + [(0.0, max(0.0, -low))] * assets
    even = None if budget is None else np.concatenate([np.ones(assets), -np.ones(assets)])[None, :]
    best = linprog(
        -np.concatenate([uphill, -uphill]),
        A_ub=total,
        b_ub=None if total is None else [leverage],
        A_eq=even,
        b_eq=None if even is None else [budget],
        bounds=bounds,
    )
    assert best.success
    assert -best.fun - uphill @ weights <= 1e-9 * max(1.0, np.abs(uphill).max())


@pytest.mark.parametrize("seed", range(6))
def test_it_is_scipys_optimum(seed: int) -> None:
    mean, matrix = problem(seed, 5)
    found = mean_variance(mean, matrix, aversion=2.0, low=-0.5, high=0.8)
    best = minimize(
        lambda w: w @ matrix @ w - mean @ w,
        np.full(5, 0.2),
        jac=lambda w: 2.0 * matrix @ w - mean,
        bounds=[(-0.5, 0.8)] * 5,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(found, best.x, atol=2e-6)


@given(st.integers(0, 10_000), st.integers(2, 8))
@settings(max_examples=30, deadline=None)
def test_bounds_of_each_asset(seed: int, assets: int) -> None:
    random = np.random.default_rng(seed)
    mean, matrix = problem(seed, assets)
    low = -random.random(assets)
    high = low + random.random(assets) + 0.1
    assume(low.sum() < 0.0 < high.sum())
    weights = mean_variance(mean, matrix, low=low, high=high, budget=0.0)
    assert (weights >= low).all() and (weights <= high).all() and abs(weights.sum()) < 1e-9


def test_bounds_that_leave_one_answer() -> None:
    mean, matrix = problem(3, 4)
    np.testing.assert_allclose(mean_variance(mean, matrix, high=0.25), 0.25)
    np.testing.assert_allclose(mean_variance(mean, matrix, low=0.1, high=0.1, budget=None), 0.1)
    # A leverage that the budget takes up leaves nothing to be short with, not even to a gambler.
    alike = {"aversion": 1e-3, "low": -0.05, "high": 0.3}
    np.testing.assert_allclose(
        mean_variance(mean, matrix, leverage=1.0, **alike), mean_variance(mean, matrix, **{**alike, "low": 0.0}), atol=1e-12
    )
    short = mean_variance(mean, matrix, low=-0.3, high=0.3, budget=-1.0, leverage=1.0)
    assert short.max() <= 0.0 and short.sum() == pytest.approx(-1.0)


def test_faults() -> None:
    mean, matrix = problem(4, 4)
    with pytest.raises(SettingsError, match=r"0\.8 at most; the budget of 1 cannot be met"):
        mean_variance(mean, matrix, high=0.2)
    with pytest.raises(SettingsError, match=r"low .* is above high"):
        mean_variance(mean, matrix, low=0.5, high=0.2)
    with pytest.raises(SettingsError, match="ask for a leverage of 2 at least"):
        mean_variance(mean, matrix, low=0.5, high=1.0, budget=None, leverage=1.0)
    with pytest.raises(SettingsError, match="takes a leverage of as much"):
        mean_variance(mean, matrix, leverage=0.5)
    with pytest.raises(SettingsError, match="widen one of them"):
        # The first pair is half short, so that the rest has to reach 1.5 long: more leverage than is allowed.
        mean_variance(mean, matrix, low=[-0.5, -0.5, 0.0, 0.0], high=[-0.25, -0.25, 1.0, 1.0], leverage=1.2)
    with pytest.raises(SettingsError, match="aversion"):
        mean_variance(mean, matrix, aversion=0.0)
    with pytest.raises(DataError, match="not positive definite"):
        mean_variance([0.1, 0.1], np.ones((2, 2)))
    with pytest.raises(DataError, match="expected 4 of them"):
        mean_variance(mean[:3], matrix)
