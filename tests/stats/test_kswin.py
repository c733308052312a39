"""KSWIN: River's drifts with the same draws, the exact law of its test, what it finds that means do not show, and faults."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from scipy.stats import ks_2samp

from tradewind.core.errors import SettingsError
from tradewind.core.seeds import derive
from tradewind.stats.kswin import Kswin, _draw, critical_steps

from .test_adwin import stream


class Draws:
    """Our draws, handed to River."""

    def __init__(self, seed: int) -> None:
        self.state = np.array([derive(seed, "kswin")], dtype=np.uint64)

    def sample(self, places: range, number: int) -> list[int]:
        drawn = np.arange(len(places))
        _draw(number, drawn, self.state)
        return drawn[:number].tolist()


@pytest.mark.parametrize(("alpha", "window", "recent"), [(0.005, 100, 30), (0.02, 60, 20)])
def test_drifts_are_rivers(alpha: float, window: int, recent: int) -> None:
    theirs = pytest.importorskip("river.drift", reason="River is the reference; pip install river")
    found = 0
    for seed in (0, 1, 2):
        values = stream(seed)[:900]
        draws, told = Draws(seed), []
        watch = theirs.KSWIN(alpha=alpha, window_size=window, stat_size=recent)
        watch._rng = draws
        for t, x in enumerate(values):
            watch.update(x)
            if watch.drift_detected:
                told.append(t)
                # River forgets its newest values here, against the paper.
                watch = theirs.KSWIN(alpha=alpha, window_size=window, stat_size=recent, window=collections.deque(watch.window))
                watch._rng = draws
        assert Kswin(alpha, warning_alpha=0.05, window=window, recent=recent, seed=seed).detect(values).tolist() == told
        found += len(told)
    assert found > 3


@pytest.mark.parametrize("size", [5, 12, 30, 75])
@pytest.mark.parametrize("alpha", [0.3, 0.05, 0.005])
def test_critical_steps_are_those_of_the_exact_test(size: int, alpha: float) -> None:
    def chance(steps: int) -> float:
        # Two samples without ties of which the second begins `steps` places later.
        return float(ks_2samp(np.arange(size), np.arange(size) + steps - 0.5, method="exact").pvalue)

    steps = critical_steps(size, alpha)
    assert steps > size or chance(steps) <= alpha
    assert chance(steps - 1) > alpha


def test_it_finds_a_changed_variance_that_leaves_the_mean() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([random.standard_normal(500), 4.0 * random.standard_normal(300)])
    found = Kswin(alpha=0.0005, window=200, recent=60).detect(values)
    assert 500 <= found[found >= 500][0] < 600


def test_draws_are_places_without_repetition_each_as_often() -> None:
    state, counts = np.array([7], dtype=np.uint64), np.zeros(20)
    for _ in range(4000):
        places = np.arange(20)
        _draw(5, places, state)
        assert sorted(places.tolist()) == list(range(20))
        counts[places[:5]] += 1
    # 1,000 expected of each, with a deviation of 27.
    assert np.abs(counts - 1000).max() < 120


def test_another_seed_draws_otherwise() -> None:
    values = np.random.default_rng(5).standard_normal(4000)
    assert Kswin(seed=0).signals(values).tolist() == Kswin(seed=0).signals(values).tolist()
    assert Kswin(seed=0).signals(values).tolist() != Kswin(seed=1).signals(values).tolist()


def test_faults() -> None:
    with pytest.raises(SettingsError, match="make it longer"):
        Kswin(window=50, recent=30)
    with pytest.raises(SettingsError, match="make recent larger"):
        Kswin(alpha=0.001, recent=4)
    with pytest.raises(SettingsError, match="a warning comes before"):
        Kswin(alpha=0.1)
