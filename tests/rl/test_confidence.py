"""Platt's curve: what it learns is the logistic regression that others fit, and where there is nothing to learn it says the base rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from tradewind.rl.confidence import Calibrated


def drawn(n: int, slope: float, seed: int = 0, level: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Convictions, and outcomes that are right with a probability which rises with them."""
    random = np.random.default_rng(seed)
    convictions = random.gamma(2.0, 1.0, n)
    return convictions, random.random(n) < 1.0 / (1.0 + np.exp(-(level + slope * (convictions - 2.0))))


def test_the_curve_is_the_logistic_regression_of_others_on_platts_targets() -> None:
    x, right = drawn(400, 0.6)
    hits = int(right.sum())
    wanted = np.where(right, (hits + 1) / (hits + 2), 1 / (len(x) - hits + 2))
    # A soft target is both classes with weights.
    told = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    told.fit(np.tile(x, 2)[:, None], np.repeat([1, 0], len(x)), sample_weight=np.concatenate([wanted, 1 - wanted]))
    asked = np.linspace(0, 8, 9)
    np.testing.assert_allclose(Calibrated.of(x, right).probability(asked), told.predict_proba(asked[:, None])[:, 1], atol=1e-5)


def test_out_of_sample_it_is_near_the_diagonal() -> None:
    told = Calibrated.of(*drawn(2_000, 0.6, seed=1))
    x, right = drawn(20_000, 0.6, seed=2)
    said = told.probability(x)
    for low, high in ((0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0)):
        inside = (said >= low) & (said < high)
        assert abs(right[inside].mean() - said[inside].mean()) < 0.04


def test_without_a_relation_every_decision_has_the_base_rate() -> None:
    flat = sum(Calibrated.of(*drawn(300, 0.0, seed=seed)).slope == 0.0 for seed in range(200))
    # By chance alone one in twenty is taken for a relation.
    assert 180 <= flat <= 199
    told = Calibrated.of(*drawn(300, 0.0, seed=3))
    assert told.slope == 0.0
    right = drawn(300, 0.0, seed=3)[1]
    np.testing.assert_allclose(told.probability(np.array([0.0, 9.0])), (right.sum() + 1) / 302)


def test_convictions_that_mislead_are_not_believed() -> None:
    assert Calibrated.of(*drawn(2_000, -0.6)).slope == 0.0


@pytest.mark.parametrize("right", [[], [True], [True] * 30, [False] * 30, [True, False] * 15])
def test_few_or_equal_decisions_have_the_base_rate(right: list[bool]) -> None:
    told = Calibrated.of(np.full(len(right), 0.7), np.array(right, dtype=bool))
    assert told.probability(np.array(3.0)) == pytest.approx((sum(right) + 1) / (len(right) + 2))
    assert told.count == len(right)


def test_nothing_asked_is_nothing_said() -> None:
    assert np.isnan(Calibrated.of(*drawn(300, 0.9)).probability(np.array([np.nan]))).all()


@given(st.integers(0, 1_000), st.floats(1e-3, 1e3), st.floats(-50, 50))
def test_the_unit_of_convictions_does_not_matter(seed: int, unit: float, shift: float) -> None:
    x, right = drawn(120, 0.8, seed)
    np.testing.assert_allclose(
        Calibrated.of(x, right).probability(x), Calibrated.of(x * unit + shift, right).probability(x * unit + shift), rtol=1e-5
    )


def test_a_perfect_split_is_finite() -> None:
    x = np.arange(40.0)
    said = Calibrated.of(x, x >= 20).probability(x)
    assert np.isfinite(said).all() and said[0] < 0.1 < 0.9 < said[-1] and (np.diff(said) >= 0).all()


def test_it_is_data() -> None:
    told = Calibrated.of(*drawn(400, 0.9))
    assert Calibrated(**told.values()) == told
