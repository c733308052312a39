"""Regime records: the sums as they are written down, their Bayesian meaning, and how steady a regime is."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.errors import StateError
from tradewind.core.types import Array
from tradewind.ensemble.regime_weights import PRIOR_BARS, RegimeWeights

EVERYBODY = np.ones(3, dtype=bool)


def taught(returns: Array, regime: Array, lookback: int = 10**15, temperature: float = 0.5) -> RegimeWeights:
    records = RegimeWeights(returns.shape[1], regime.shape[1], lookback, temperature)
    for row, told in zip(returns, regime, strict=True):
        records.learn(row, np.ones(returns.shape[1], dtype=bool), told)
    return records


def test_scores_are_the_formula() -> None:
    random = np.random.default_rng(0)
    returns, regime = random.normal(0.0, 0.01, (200, 3)), random.dirichlet([1.0, 1.0], 200)
    ahead = returns - returns.mean(axis=1, keepdims=True)
    pairs = np.mean([(returns[:, i] - returns[:, j]) ** 2 for i, j in ((0, 1), (0, 2), (1, 2))], axis=0)
    for k in range(2):
        p = regime[:, k]
        mean, number = p @ ahead / p.sum(), p.sum() ** 2 / (p @ p)
        wanted = mean * number / (np.sqrt(p @ pairs / p.sum()) * np.sqrt(number + PRIOR_BARS))
        np.testing.assert_allclose(taught(returns, regime).scores[k], wanted, rtol=1e-9)


def test_weights_of_two_are_the_probability_of_being_better() -> None:
    # A member that is ahead by a tenth of a deviation a bar: the posterior by simulation against the softmax at .588.
    random = np.random.default_rng(1)
    returns = random.normal([0.0007, -0.0007], 0.01, (400, 2))
    weights = taught(returns, np.ones((400, 1)), temperature=0.588).weights(np.ones(1), np.ones(2, dtype=bool))
    difference = returns[:, 0] - returns[:, 1]
    spread = np.sqrt((difference**2).mean())
    drawn = random.normal(difference.sum() / (400 + PRIOR_BARS), spread / np.sqrt(400 + PRIOR_BARS), 200_000)
    assert weights is not None
    assert weights[0] == pytest.approx((drawn > 0).mean(), abs=0.015)


def test_each_regime_remembers_its_own_best() -> None:
    random = np.random.default_rng(2)
    states = np.repeat([0, 1, 0, 1], 100)
    returns = random.normal(0.0, 0.01, (400, 3))
    returns[np.arange(400), states] += 0.005
    records = taught(returns, np.eye(2)[states])
    for state in (0, 1):
        weights = records.weights(np.eye(2)[state], EVERYBODY)
        assert weights is not None and weights.argmax() == state and weights[state] > 0.9
    half = records.weights(np.full(2, 0.5), EVERYBODY)
    assert half is not None
    np.testing.assert_allclose(half, (records.weights(np.eye(2)[0], EVERYBODY) + records.weights(np.eye(2)[1], EVERYBODY)) / 2)


def test_a_regime_forgets_in_its_own_time() -> None:
    returns = np.tile([0.01, 0.0, -0.01], (50, 1))
    records = taught(returns, np.tile([1.0, 0.0], (50, 1)), lookback=20)
    before = records.scores[0].copy()
    for _ in range(500):
        records.learn(np.array([-0.01, 0.0, 0.01]), EVERYBODY, np.array([0.0, 1.0]))
    np.testing.assert_array_equal(records.scores[0], before)
    for _ in range(200):
        records.learn(np.array([-0.01, 0.0, 0.01]), EVERYBODY, np.array([1.0, 0.0]))
    assert records.scores[0, 2] > 0 > records.scores[0, 0]


def test_sleepers_neither_gain_nor_lose() -> None:
    records, sleeping = RegimeWeights(3, 1, 1000, 0.5), np.array([True, True, False])
    for _ in range(30):
        records.learn(np.array([0.01, -0.01, 0.5]), sleeping, np.ones(1))
    assert records.scores[0, 2] == 0.0 and records.scores[0, 0] > 0 > records.scores[0, 1]
    weights = records.weights(np.ones(1), sleeping)
    assert weights is not None and weights[2] == 0.0 and weights.sum() == pytest.approx(1.0)
    # One alone has nobody to be better than.
    before = records.state()
    records.learn(np.array([0.01, 0.0, 0.0]), np.array([True, False, False]), np.ones(1))
    assert records.state() == before


def test_scaling_all_returns_changes_no_weight() -> None:
    random = np.random.default_rng(3)
    returns, regime = random.normal(0.001, 0.01, (100, 3)), random.dirichlet([1.0, 1.0], 100)
    one, other = taught(returns, regime), taught(1000.0 * returns + 5.0, regime)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-8, atol=1e-10)


def test_without_a_regime_there_are_no_weights_and_nothing_is_learned() -> None:
    records = RegimeWeights(3, 2, 1000, 0.5)
    records.learn(np.array([0.1, 0.0, 0.0]), EVERYBODY, np.full(2, np.nan))
    assert records.weights(np.full(2, np.nan), EVERYBODY) is None
    assert RegimeWeights(3, 0, 1000, 0.5).weights(np.empty(0), EVERYBODY) is None
    assert (records.scores == 0).all() and (records.standing(np.full(2, np.nan)) == 0).all()


def test_state_goes_on_to_the_bit() -> None:
    random = np.random.default_rng(4)
    one = taught(random.normal(0.0, 0.01, (50, 3)), random.dirichlet([1.0, 1.0], 50), lookback=30)
    other = RegimeWeights(3, 2, 30, 0.5).restore(one.state())
    row, told = random.normal(0.0, 0.01, 3), np.array([0.3, 0.7])
    for each in (one, other):
        each.learn(row, EVERYBODY, told)
    assert one.state() == other.state()
    with pytest.raises(StateError, match="regime records: count"):
        RegimeWeights(4, 2, 30, 0.5).restore(one.state())
