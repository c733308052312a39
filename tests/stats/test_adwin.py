"""ADWIN: River's drifts on many streams, the window's own sums, the paper's way after a drift, and how rarely it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import SettingsError
from tradewind.stats.adwin import Adwin

THEIR_NAMES = {"min_window": "min_window_length", "grace": "grace_period"}
SETTINGS = ({}, {"delta": 0.05, "clock": 1}, {"delta": 0.01, "clock": 8, "max_buckets": 3, "min_window": 10, "grace": 50})


def stream(seed: int) -> np.ndarray:
    """Six stretches of normal values, each with its own mean and deviation; zeros and ones of them where the seed is odd."""
    random = np.random.default_rng(seed)
    stretches = [random.normal(random.normal(), abs(random.normal()) + 0.1, random.integers(50, 800)) for _ in range(6)]
    values = np.concatenate(stretches)
    return (values > 0).astype(np.float64) if seed % 2 else values


@pytest.mark.parametrize("settings_", SETTINGS)
def test_drifts_are_rivers(settings_: dict[str, float]) -> None:
    theirs = pytest.importorskip("river.drift", reason="River is the reference; pip install river")
    found = 0
    for seed in range(16):
        watch = theirs.ADWIN(**{THEIR_NAMES.get(name, name): value for name, value in settings_.items()})
        told = []
        for t, x in enumerate(stream(seed)):
            watch.update(x)
            if watch.drift_detected:
                told.append(t)
        assert Adwin(**settings_, warning_delta=0.05).detect(stream(seed)).tolist() == told
        found += len(told)
    assert found > 50


def test_without_restart_drifts_and_window_are_those_of_rivers_inner_window() -> None:
    rust = pytest.importorskip("river._river_rust", reason="River is the reference; pip install river")
    for seed in range(8):
        watch = rust.drift.AdaptiveWindowing(delta=0.002, clock=32, max_buckets=5, min_window_length=5, grace_period=10)
        ours = Adwin(restart=False)
        for x in stream(seed)[:2000]:
            assert watch.update(x) == (ours.update(x), ours.drift)[1]
            assert ours.width == watch.get_width()
            np.testing.assert_allclose(ours.mean * ours.width, watch.get_total(), atol=1e-9)


def test_golden() -> None:
    values = np.concatenate([np.arange(1000) % 2, 4.0 + np.arange(1000) % 4])
    assert Adwin().detect(values).tolist() == [1023]
    assert Adwin(clock=1).detect(values).tolist() == [1003]


@given(st.integers(0, 10_000), st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_a_quiet_window_holds_all_of_the_stream(seed: int, rows: int) -> None:
    values = np.random.default_rng(seed).standard_normal(rows)
    watch = Adwin(delta=1e-12)
    for x in values:
        watch.update(x)
    assert watch.width == rows
    np.testing.assert_allclose(watch.mean, values.mean(), atol=1e-12)
    np.testing.assert_allclose(watch._memory["sums"][1], ((values - values.mean()) ** 2).sum(), rtol=1e-9, atol=1e-12)


def test_after_a_drift_the_paper_keeps_the_newer_part() -> None:
    random = np.random.default_rng(0)
    watch = Adwin(restart=False)
    for x in np.concatenate([random.standard_normal(2000), 3.0 + random.standard_normal(500)]):
        watch.update(x)
    assert 300 <= watch.width <= 640
    assert watch.mean > 2.5


def test_false_alarms_are_rare() -> None:
    """20 streams of 10,000 values that do not change: 6,240 looks, each with a bound of .002."""
    false = sum(len(Adwin().detect(np.random.default_rng(seed).standard_normal(10_000))) for seed in range(20))
    assert false <= 12


def test_a_warning_comes_no_later_than_its_drift() -> None:
    random = np.random.default_rng(3)
    values = np.concatenate([random.standard_normal(500), 0.5 + random.standard_normal(500)])
    signals = Adwin(clock=1).signals(values)
    assert np.flatnonzero(signals)[0] < np.flatnonzero(signals == 2)[0]


def test_faults() -> None:
    with pytest.raises(SettingsError, match="delta is 0"):
        Adwin(delta=0)
    with pytest.raises(SettingsError, match="a warning comes before"):
        Adwin(delta=0.1)
    with pytest.raises(SettingsError, match="clock"):
        Adwin(clock=0)
    with pytest.raises(SettingsError, match="max_buckets"):
        Adwin(max_buckets=1)
