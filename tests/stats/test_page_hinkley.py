"""Page-Hinkley: River's drifts, the sums written out, directions, and faults."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import SettingsError
from tradewind.stats.page_hinkley import PageHinkley

from .test_adwin import stream

SETTINGS = ({}, {"threshold": 10.0, "grace": 5, "mode": "up"}, {"threshold": 5.0, "delta": 0.1, "forgetting": 0.99, "mode": "down"})


@pytest.mark.parametrize("settings_", SETTINGS)
def test_drifts_are_rivers(settings_: dict[str, float]) -> None:
    theirs = pytest.importorskip("river.drift", reason="River is the reference; pip install river")
    names = {"grace": "min_instances", "forgetting": "alpha"}
    found = 0
    for seed in range(16):
        watch = theirs.PageHinkley(**{names.get(name, name): value for name, value in settings_.items()})
        told = []
        for t, x in enumerate(stream(seed)):
            watch.update(x)
            if watch.drift_detected:
                told.append(t)
        assert PageHinkley(**settings_).detect(stream(seed)).tolist() == told
        found += len(told)
    assert found > 10


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_sum_is_that_of_the_paper(seed: int) -> None:
    """Without forgetting: m_t = sum of (x_i - mean_i - delta), and the alarm is where m_t - min m first passes the threshold."""
    values = np.random.default_rng(seed).standard_normal(400)
    values[200:] += 1.0
    means = np.cumsum(values) / np.arange(1, 401)
    moved = np.cumsum(values - means - 0.05)
    passed = np.flatnonzero((moved - np.minimum.accumulate(moved) > 15.0) & (np.arange(400) >= 29))
    found = PageHinkley(threshold=15.0, delta=0.05, forgetting=1.0, mode="up").detect(values)
    assert found[:1].tolist() == passed[:1].tolist()


def test_direction() -> None:
    random = np.random.default_rng(1)
    values = np.concatenate([random.standard_normal(300), 2.0 + random.standard_normal(100)])
    for sign, mode, other in ((1.0, "up", "down"), (-1.0, "down", "up")):
        here = {"threshold": 20.0, "delta": 0.1}
        assert 300 <= PageHinkley(mode=mode, **here).detect(sign * values)[0] < 330
        assert PageHinkley(mode="both", **here).detect(sign * values)[0] == PageHinkley(mode=mode, **here).detect(sign * values)[0]
        assert not len(PageHinkley(mode=other, **here).detect(sign * values))


def test_a_warning_comes_before() -> None:
    values = np.concatenate([np.zeros(50), np.ones(100)])
    signals = PageHinkley(threshold=10.0, warning=0.5).signals(values)
    assert 50 <= np.flatnonzero(signals == 1)[0] < np.flatnonzero(signals == 2)[0]


def test_faults() -> None:
    with pytest.raises(SettingsError, match="'up', 'down' or 'both'"):
        PageHinkley(mode="sideways")
    with pytest.raises(SettingsError, match="threshold"):
        PageHinkley(threshold=0)
    with pytest.raises(SettingsError, match="forgetting"):
        PageHinkley(forgetting=1.1)
