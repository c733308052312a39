"""Every detector by name: stream is batch, state goes on to the bit, gaps are passed over, and faults; and what alarms are worth."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tradewind as tw
from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.types import State
from tradewind.stats import drift

NAMES = ("adwin", "kswin", "page-hinkley", "windows", "always", "never")
QUICK = {"adwin": {"clock": 4}, "page-hinkley": {"threshold": 8.0}, "windows": {"reference": 60, "recent": 40}, "always": {"every": 7}}


def stream(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = np.concatenate([random.standard_normal(250), 2.0 + random.standard_normal(250)])
    values[random.random(500) < 0.05] = math.nan
    return values


def test_names() -> None:
    assert tuple(tw.stats.drift.detectors()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_stream_is_batch_and_state_goes_on_to_the_bit(name: str) -> None:
    values = stream()
    batch = drift.detector(name, **QUICK.get(name, {})).signals(values)
    watch = drift.detector(name, **QUICK.get(name, {}))
    for t, x in enumerate(values):
        if t == 260:
            state = watch.state()
            # As it comes back from a file.
            state = State(json.loads(json.dumps(dict(state.values))), {key: array.copy() for key, array in state.arrays.items()})
            watch = drift.detector(name, **QUICK.get(name, {})).restore(state)
            assert watch.state() == state
        watch.update(float(x))
        assert (watch.drift, watch.warning) == (batch[t] == 2, batch[t] >= 1)


@pytest.mark.parametrize("name", NAMES)
def test_no_signal_looks_ahead(name: str) -> None:
    made, values = drift.detector(name, **QUICK.get(name, {})), stream(1)
    np.testing.assert_array_equal(made.signals(values)[:330], made.signals(values[:330]))


@pytest.mark.parametrize("name", NAMES)
def test_gaps_are_passed_over(name: str) -> None:
    made, values = drift.detector(name, **QUICK.get(name, {})), stream(2)
    there = ~np.isnan(values)
    signals = made.signals(values)
    np.testing.assert_array_equal(signals[there], made.signals(values[there]))
    assert not signals[~there].any()


@pytest.mark.parametrize("name", ["adwin", "kswin", "page-hinkley", "windows"])
def test_a_large_change_is_found(name: str) -> None:
    found = drift.detect(stream(3), name, **QUICK.get(name, {}))
    assert ((found >= 250) & (found < 330)).any()


def test_those_that_never_look() -> None:
    assert drift.detect([5.0, math.nan, 1.0, 1.0, 1.0], "always", every=2).tolist() == [2, 4]
    assert drift.detect(stream(), "never").tolist() == []


def test_batch_changes_nothing() -> None:
    made = drift.detector("adwin")
    before = made.state()
    made.detect(stream())
    assert made.state() == before


def test_faults() -> None:
    with pytest.raises(SettingsError, match="did you mean 'adwin'"):
        drift.detector("adwim")
    with pytest.raises(SettingsError, match="did you mean 'delta'"):
        drift.detector("adwin", dleta=0.1)
    with pytest.raises(DataError, match="infinite value in row 2"):
        drift.detect([1.0, 2.0, math.inf])
    with pytest.raises(DataError, match=r"shape \(2, 2\)"):
        drift.detect(np.ones((2, 2)))
    with pytest.raises(StateError, match="make it alike first"):
        drift.detector("adwin", delta=0.01).restore(drift.detector("adwin").state())
    with pytest.raises(StateError, match="make it alike first"):
        drift.detector("never").restore(drift.detector("kswin").state())


def test_score_by_hand() -> None:
    # Changes at 100, 200 and 300; the second has rows 200 to 299, the others 50.
    score = drift.score_alarms([10, 104, 120, 290, 400], [300, 100, 200], rows=500, horizon=100)
    assert (score.found, score.missed, score.delay, score.repeats, score.false_alarms) == (2, 1, 47.0, 1, 2)
    assert score.per_1000 == pytest.approx(1000 * 2 / 200)
    assert score.f1 == pytest.approx(2 * 2 / (5 + 3))


def test_score_of_those_that_never_look() -> None:
    always = drift.score_alarms(np.arange(1000), [500], rows=1000, horizon=100)
    assert (always.found, always.delay, always.per_1000) == (1, 0.0, 1000.0)
    assert always.f1 < 0.002
    never = drift.score_alarms([], [500], rows=1000, horizon=100)
    assert (never.missed, never.f1, never.per_1000) == (1, 0.0, 0.0) and math.isnan(never.delay)
    assert math.isnan(drift.score_alarms([], [], rows=10, horizon=5).f1)
    assert drift.score_alarms([3], [], rows=10, horizon=5).f1 == 0.0


@given(st.lists(st.integers(0, 299), unique=True), st.lists(st.integers(0, 299), unique=True), st.integers(1, 400))
def test_every_alarm_and_change_is_counted_once(alarms: list[int], changes: list[int], horizon: int) -> None:
    score = drift.score_alarms(alarms, changes, rows=300, horizon=horizon)
    assert score.found + score.missed == len(changes)
    assert score.found + score.repeats + score.false_alarms == len(alarms)
    assert math.isnan(score.f1) or 0.0 <= score.f1 <= 1.0
    assert math.isnan(score.delay) or 0.0 <= score.delay < horizon


def test_faults_of_a_score() -> None:
    with pytest.raises(DataError, match="the stream has 10"):
        drift.score_alarms([10], [], rows=10, horizon=5)
    with pytest.raises(DataError, match="join them"):
        drift.score_alarms([], [5, 5], rows=10, horizon=5)
