"""The performance predictor learns what there is, only from what is known, and goes on to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.errors import StateError
from tradewind.core.types import Array
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.predictor import Predictor, _forward, _slope

CONFIG = EnsembleConfig(performance_prediction_window=10, meta_lookback=400, meta_training_frequency=20)
NOBODY = np.zeros(2)
EVERYBODY = np.ones(2, dtype=bool)


def live(predictor: Predictor, returns: Array) -> Array:
    """The predictions (time, member) of a predictor that lives through `returns` (time, member)."""
    said = []
    for row in returns:
        predictor.live(row, np.ones(len(row), dtype=bool), np.ones((len(row), 1)), 0.0)
        said.append(predictor.predict(np.empty(0), np.zeros(len(row)), np.ones(len(row), dtype=bool)))
    return np.array(said)


def turns(bars: int, half: int = 20, seed: int = 0) -> Array:
    """Two members of which one earns and the other loses, for `half` bars in turn."""
    side = np.where(np.arange(bars) // half % 2 == 0, 1.0, -1.0)
    noise = np.random.default_rng(seed).normal(0.0, 0.002, (bars, 2))
    return np.asarray(np.stack([side, -side], axis=1) * 0.003 + noise)


def test_the_gradient_is_that_of_the_loss() -> None:
    random = np.random.default_rng(0)
    seen, answers, net = random.normal(size=(30, 5)), random.normal(size=30), random.normal(size=5 * 16 + 33) * 0.3

    def loss(at: Array) -> float:
        said, _ = _forward(at, seen)
        return float(0.5 * ((said - answers) ** 2).mean() + 0.5e-3 * (at * at).sum())

    slope, step = _slope(net, seen, answers), 1e-6
    for entry in random.integers(0, len(net), 25):
        nudge = np.zeros_like(net)
        nudge[entry] = step
        assert slope[entry] == pytest.approx((loss(net + nudge) - loss(net - nudge)) / (2 * step), abs=1e-7)


def test_it_learns_a_rhythm_and_nothing_from_noise() -> None:
    returns = turns(3000)
    said = live(Predictor(2, 1, 0, CONFIG), returns)
    ahead = np.array([returns[t + 1 : t + 11, 0].sum() - returns[t + 1 : t + 11, 1].sum() for t in range(2000, 2980)])
    assert np.corrcoef(said[2000:2980, 0], ahead)[0, 1] > 0.5
    noise = np.random.default_rng(1).normal(0.0, 0.003, (3000, 2))
    blind = live(Predictor(2, 1, 0, CONFIG), noise)
    ahead = np.array([noise[t + 1 : t + 11, 0].sum() - noise[t + 1 : t + 11, 1].sum() for t in range(2000, 2980)])
    assert abs(np.corrcoef(blind[2000:2980, 0], ahead)[0, 1]) < 0.25


def test_the_future_changes_no_answer() -> None:
    returns = turns(400)
    other = returns.copy()
    other[300:] *= -5.0
    np.testing.assert_array_equal(live(Predictor(2, 1, 0, CONFIG), returns)[:300], live(Predictor(2, 1, 0, CONFIG), other)[:300])


def test_nothing_is_learned_before_its_window_is_over() -> None:
    predictor = Predictor(2, 1, 0, CONFIG)
    live(predictor, turns(137))
    known = int(np.isfinite(predictor._answers).all(axis=1).sum())
    # Questions are asked every 2 bars; those of the last 10 bars are still open.
    assert known == (137 - 10) // 2


def test_an_answer_is_the_lead_over_the_others_in_their_usual_distance() -> None:
    predictor, returns = Predictor(2, 1, 0, CONFIG), turns(30)
    live(predictor, returns)
    slot = 10 // predictor.stride
    gained = returns[10:20].sum(axis=0)
    apart = (returns - returns.mean(axis=1, keepdims=True))[:20, 0] ** 2
    discount = (1 - 1 / 10) ** np.arange(19, -1, -1)
    usual = np.sqrt((apart * discount).sum() / discount.sum() * 10)
    np.testing.assert_allclose(predictor._answers[slot], np.clip((gained - gained.mean()) / usual, -4, 4))


def test_who_slept_through_part_of_a_window_is_no_answer() -> None:
    predictor, returns = Predictor(3, 1, 0, CONFIG), np.random.default_rng(2).normal(0.0, 0.01, (60, 3))
    for t, row in enumerate(returns):
        lived = np.array([True, True, t != 31])
        predictor.live(np.where(lived, row, 0.0), lived, np.ones((3, 1)), 0.0)
        predictor.predict(np.empty(0), np.zeros(3), np.ones(3, dtype=bool))
    missing = np.flatnonzero(np.isnan(predictor._answers[1:26, 2])) + 1
    # Asked at bars 22 to 30 (counted from one, bar 32 being the one slept through).
    assert missing.tolist() == [11, 12, 13, 14, 15]
    assert np.isfinite(predictor._answers[1:26, :2]).all()


def test_an_interruption_leaves_open_questions_without_an_answer() -> None:
    predictor, returns = Predictor(2, 1, 0, CONFIG), turns(60)
    live(predictor, returns[:30])
    predictor.interrupt()
    live(predictor, returns[30:])
    # Asked at bars 22 to 30, whose windows end after it; those before and after have theirs.
    assert np.flatnonzero(np.isnan(predictor._answers[1:26, 0])).tolist() == [10, 11, 12, 13, 14]


def test_same_seed_same_net_and_another_seed_another() -> None:
    returns = turns(300)
    first, again = live(Predictor(2, 1, 0, CONFIG), returns), live(Predictor(2, 1, 0, CONFIG), returns)
    other = live(Predictor(2, 1, 0, CONFIG.changed({"seed": 1})), returns)
    np.testing.assert_array_equal(first, again)
    assert (first[-1] != other[-1]).any()


def test_state_goes_on_to_the_bit() -> None:
    returns = turns(400)
    one = Predictor(2, 1, 0, CONFIG)
    live(one, returns[:211])
    other = Predictor(2, 1, 0, CONFIG).restore(one.state())
    np.testing.assert_array_equal(live(one, returns[211:]), live(other, returns[211:]))
    assert one.state() == other.state()
    with pytest.raises(StateError, match=r"predictor: window is float64 \(10, 2, 4\), expected float64 \(10, 3, 4\)"):
        Predictor(3, 1, 0, CONFIG).restore(one.state())
