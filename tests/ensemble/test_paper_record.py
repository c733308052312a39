"""The paper record: its moments, its confidence, which is a frequency, and what it lets the whole stake."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.errors import StateError
from tradewind.ensemble.paper_record import PaperRecord

SURE = np.ones(1)


def test_moments_are_weighted_means() -> None:
    random = np.random.default_rng(0)
    earned, regime = random.normal(0.001, 0.01, 300), random.dirichlet([1.0, 2.0], 300)
    record = PaperRecord(2, 10**15, 50)
    for r, told in zip(earned, regime, strict=True):
        record.learn(r, told)
    mean, variance, number = record.moments()
    for k, p in enumerate((np.ones(300), regime[:, 0], regime[:, 1])):
        assert mean[k] == pytest.approx(np.average(earned, weights=p))
        assert variance[k] == pytest.approx(np.average((earned - mean[k]) ** 2, weights=p))
        assert number[k] == pytest.approx(p.sum() ** 2 / (p @ p))


def test_confidence_is_how_often_the_next_window_gains() -> None:
    # Many worlds whose mean is drawn from the prior that the confidence is made of: of the windows at a confidence, that share gains.
    random = np.random.default_rng(1)
    said, gained = [], []
    for _ in range(3000):
        mean = random.normal(0.0, 0.01 / np.sqrt(50))
        record = PaperRecord(1, 10**9, 20)
        for r in random.normal(mean, 0.01, 60):
            record.learn(r, SURE)
        said.append(record.confidence(SURE))
        gained.append(random.normal(mean, 0.01, 20).sum() > 0)
    said_, gained_ = np.array(said), np.array(gained)
    for low, high in ((0.0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1.0)):
        inside = (said_ >= low) & (said_ < high)
        assert inside.sum() > 300
        error = 3.0 * 0.5 / np.sqrt(inside.sum())
        assert gained_[inside].mean() == pytest.approx(said_[inside].mean(), abs=error)


def test_confidence_is_that_of_the_regime_of_now() -> None:
    record = PaperRecord(2, 1000, 50)
    assert record.confidence(np.array([1.0, 0.0])) == 0.5
    random = np.random.default_rng(2)
    for t in range(600):
        state = t // 100 % 2
        record.learn(float(random.normal(0.004 if state == 0 else -0.004, 0.01)), np.eye(2)[state])
    good, bad = record.confidence(np.array([1.0, 0.0])), record.confidence(np.array([0.0, 1.0]))
    assert good > 0.9 and bad < 0.1
    assert record.confidence(np.array([0.5, 0.5])) == pytest.approx((good + bad) / 2)
    # Where the regime is not known, all bars count.
    assert 0.3 < record.confidence(np.full(2, np.nan)) < 0.7


def test_kelly_gives_way_to_losses_and_not_to_luck() -> None:
    random = np.random.default_rng(3)
    assert PaperRecord(0, 1000, 50).kelly(8760.0) == 1.0
    losing, winning, short = PaperRecord(0, 1000, 50), PaperRecord(0, 1000, 50), PaperRecord(0, 1000, 50)
    for r in random.normal(0.0, 0.005, 1500):
        losing.learn(float(r) - 0.002, np.empty(0))
        winning.learn(float(r) + 0.002, np.empty(0))
    for r in random.normal(0.0, 0.005, 10):
        short.learn(float(r), np.empty(0))
    assert losing.kelly(8760.0) == 0.0
    assert winning.kelly(8760.0) == 1.0
    assert short.kelly(8760.0) > 0.8


def test_kelly_is_the_posterior_mean_over_the_variance() -> None:
    record = PaperRecord(0, 10**15, 50)
    for r in (0.1, -0.1, 0.1, -0.2):
        record.learn(r, np.empty(0))
    earned = np.array([0.1, -0.1, 0.1, -0.2])
    posterior = (4 * earned.mean() + 20.0 * earned.var()) / 24.0
    assert record.kelly(20.0) == pytest.approx(posterior / earned.var())


def test_volatility_is_brought_to_its_target() -> None:
    record = PaperRecord(0, 1000, 50)
    assert record.scale_to(0.2, 252.0, 3.0) == 3.0
    for t in range(2000):
        record.learn(0.01 if t % 2 else -0.01, np.empty(0))
    assert record.scale_to(0.2, 252.0, 10.0) == pytest.approx(0.2 / (0.01 * np.sqrt(252.0)))
    assert record.scale_to(0.2, 252.0, 0.5) == 0.5


def test_state_goes_on_to_the_bit() -> None:
    one = PaperRecord(1, 100, 10)
    for r in np.random.default_rng(4).normal(0.0, 0.01, 30):
        one.learn(float(r), SURE)
    other = PaperRecord(1, 100, 10).restore(one.state())
    for each in (one, other):
        each.learn(0.003, SURE)
    assert one.state() == other.state() and one.confidence(SURE) == other.confidence(SURE)
    with pytest.raises(StateError, match="sums"):
        PaperRecord(2, 100, 10).restore(one.state())
