"""The gate opens for a lead that is proven against both rivals, and closes when either is lost."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.errors import StateError
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.gate import Gate

CONFIG = EnsembleConfig(performance_prediction_window=10, meta_lookback=200, gate_threshold=1.0)


def trained() -> Gate:
    """A gate whose predictor counts as trained."""
    gate = Gate(2, 1, 0, CONFIG)
    gate.predictor._counts[1] = 1
    return gate


def test_nothing_is_judged_before_there_is_a_trained_net() -> None:
    gate = Gate(2, 1, 0, CONFIG)
    for _ in range(100):
        gate.judge(0.01, np.zeros(2))
    assert not gate.proven and set(gate.records.values()) == {0.0}


def test_it_opens_when_both_leads_are_proven_and_closes_when_one_is_lost() -> None:
    random, gate = np.random.default_rng(0), trained()
    for bar in range(100):
        gate.judge(float(random.normal(0.004, 0.004)), np.array([0.0, 0.0]))
        assert gate.proven == (bar >= 10), "a window has to pass, then the lead of a deviation a bar is proven"
    assert gate.records["ahead of experts"] > 5 and gate.records["ahead of regimes"] > 5
    for _ in range(200):
        gate.judge(0.0, np.array([0.0, 0.01]))
    assert gate.records["ahead of experts"] > 0 > gate.records["ahead of regimes"]
    assert not gate.proven


def test_being_ahead_of_the_experts_alone_is_not_enough() -> None:
    random, gate = np.random.default_rng(1), trained()
    for _ in range(150):
        earned = float(random.normal(0.004, 0.004))
        gate.judge(earned, np.array([0.0, earned + 0.0001]))
        assert not gate.proven


def test_records_are_the_discounted_means() -> None:
    random, gate = np.random.default_rng(2), trained()
    earned = random.normal(0.0, 0.01, (60, 3))
    for candidate, *rivals in earned.tolist():
        gate.judge(candidate, np.array(rivals))
    weights = (1 - 1 / 200) ** np.arange(59, -1, -1)
    means = np.average(earned, axis=0, weights=weights)
    assert [gate.records[name] for name in ("candidate", "experts", "regimes")] == pytest.approx(means.tolist())
    ahead = earned[:, 0] - earned[:, 1]
    mean = np.average(ahead, weights=weights)
    deviation = np.sqrt(np.average((ahead - mean) ** 2, weights=weights))
    number = weights.sum() ** 2 / (weights @ weights)
    assert gate.records["ahead of experts"] == pytest.approx(mean * np.sqrt(number) / deviation)


def test_weights_without_a_net_are_the_base_and_sleepers_have_none() -> None:
    gate, base = Gate(3, 1, 0, CONFIG), np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(gate.weights(base, np.empty(0), np.zeros(3), np.ones(3, dtype=bool)), base)
    asleep = gate.weights(base, np.empty(0), np.zeros(3), np.array([True, True, False]))
    np.testing.assert_allclose(asleep, [0.4, 0.6, 0.0])


def test_state_goes_on_to_the_bit() -> None:
    random, one = np.random.default_rng(3), trained()
    for _ in range(50):
        one.judge(float(random.normal(0.002, 0.004)), random.normal(0.0, 0.004, 2))
    other = Gate(2, 1, 0, CONFIG).restore(one.state())
    for each in (one, other):
        each.judge(0.001, np.array([0.002, -0.003]))
    assert one.state() == other.state() and one.proven == other.proven
    with pytest.raises(StateError, match="gate"):
        Gate(2, 1, 0, CONFIG).restore(one.predictor.state())
