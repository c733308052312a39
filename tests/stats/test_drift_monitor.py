"""The monitor of a deployed model: what it finds and since when, how rarely it errs, late answers, state, and faults."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.types import Array, State
from tradewind.stats.distances import kolmogorov_smirnov, psi
from tradewind.stats.drift import DriftMonitor, PageHinkley

NAMES = ("calm", "moved", "wider", "lost")


def panel(rows: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((rows, len(NAMES)))


def watched(rows: int, change: int, seed: int = 0) -> tuple[DriftMonitor, Array]:
    """A monitor that lived `rows` rows of which, from `change` on, three columns are not what they were."""
    monitor = DriftMonitor(NAMES, window=200, bins=5).fit(panel(2000, seed))
    later = panel(rows, seed + 1)
    later[change:, 1] += 1.0
    later[change:, 2] *= 2.0
    later[change:, 3][::3] = math.nan
    for row in later:
        monitor.update(row)
    return monitor, later


def test_it_says_which_columns_and_since_when() -> None:
    monitor, _ = watched(1000, change=430)
    report = monitor.report()
    assert report.rows == 1000 and report.target is None and report.loss is None
    found = {column.name: column for column in report.columns}
    assert [name for name in NAMES if found[name].drift] == ["moved", "wider", "lost"]
    # The look after row 599 was the first to see the change, in most of its window: rows 400 to 599.
    assert [found[name].since for name in ("calm", "moved", "wider", "lost")] == [None, 400, 400, 400]
    assert report.drifted[0] == "moved" and set(report.drifted) == {"moved", "wider", "lost"}
    assert found["lost"].missing == pytest.approx(1 / 3, abs=0.01) and found["lost"].missing_before == 0.0
    assert found["moved"].psi > found["moved"].psi_limit and found["calm"].psi < found["calm"].psi_limit


def test_distances_are_those_of_the_newest_window() -> None:
    monitor, later = watched(800, change=500)
    reference = panel(2000)
    for k, column in enumerate(monitor.report().columns):
        newest = later[600:, k][~np.isnan(later[600:, k])]
        assert column.distance == kolmogorov_smirnov(reference[:, k], newest).distance
        assert column.psi == psi(reference[:, k], newest, 5)


def test_it_forgets_a_drift_that_went_away() -> None:
    monitor, _ = watched(600, change=400)
    assert monitor.report().drifted
    for row in panel(200, seed=9):
        monitor.update(row)
    assert monitor.report().drifted == ()


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_quiet_looks_seldom_err(memory: float) -> None:
    """Five columns that remember `memory` of themselves, 90 looks of which one in twenty may err."""
    fired = 0
    for seed in range(15):
        shocks = np.random.default_rng(seed).standard_normal((3000, 5))
        for t in range(1, len(shocks)):
            shocks[t] += memory * shocks[t - 1]
        monitor = DriftMonitor("abcde", alpha=0.05).fit(shocks[:1500])
        for t, row in enumerate(shocks[1500:], start=1):
            monitor.update(row)
            fired += t % 250 == 0 and bool(monitor.report().drifted)
    assert fired <= 11


def test_answers_come_when_they_come() -> None:
    random = np.random.default_rng(1)
    monitor = DriftMonitor(["x"], window=100)
    monitor.fit(random.standard_normal((500, 1)), random.standard_normal(500), 2.0 + random.random(500))
    for t in range(600):
        worse = t >= 300
        monitor.learn(target=random.standard_normal() + 2.0 * worse, loss=2.0 + random.random() + worse)
    report = monitor.report()
    assert report.rows == 0 and report.columns == () and report.answers == 600
    assert report.target is not None and report.target.drift and report.target.since == 300
    assert report.loss is not None and len(report.loss.alarms) == 1 and 300 <= report.loss.alarms[0] < 340
    assert report.loss.before == pytest.approx(2.5, abs=0.05) and report.loss.now == pytest.approx(3.5, abs=0.1)
    # The alarm is older than the newest window, and its stream is quiet again.
    assert not report.loss.drift and report.drifted == ("target",)


def test_losses_are_watched_in_their_own_scale() -> None:
    random = np.random.default_rng(2)
    quiet, later = random.standard_normal(400), np.concatenate([random.standard_normal(200), 2.0 + random.standard_normal(100)])
    alarms = []
    for scale in (1.0, 1e-4):
        monitor = DriftMonitor(["x"], window=100, loss_detector=PageHinkley(threshold=15.0, delta=0.1))
        monitor.fit(np.zeros((400, 1)), losses=scale * quiet)
        for loss in later:
            monitor.learn(loss=scale * loss)
        loss_report = monitor.report().loss
        assert loss_report is not None and loss_report.drift and monitor.report().drifted == ("loss",)
        alarms.append(loss_report.alarms)
    assert alarms[0] == alarms[1] and 200 <= alarms[0][0] < 220


def test_a_column_that_dries_up_is_found() -> None:
    monitor = DriftMonitor(["x", "y"], window=50).fit(panel(300)[:, :2])
    for row in panel(50, seed=3)[:, :2]:
        monitor.update([math.nan, row[1]])
    report = monitor.report()
    assert report.drifted == ("x",) and math.isnan(report.columns[0].distance) and report.columns[0].missing == 1.0


def test_columns_of_few_values() -> None:
    """A yes or no that becomes more often yes, and a constant that becomes another one."""
    random = np.random.default_rng(8)
    reference = np.column_stack([random.random(1000) < 0.5, np.ones(1000), random.random(1000) < 0.5]).astype(float)
    monitor = DriftMonitor(["often", "constant", "calm"], window=200).fit(reference)
    for _ in range(200):
        monitor.update([float(random.random() < 0.75), 2.0, float(random.random() < 0.5)])
    often, constant, calm = monitor.report().columns
    assert often.drift and often.psi > often.psi_limit > 0.0 and often.psi_limit < 0.05
    assert constant.drift and constant.distance == 1.0 and constant.psi == 0.0 and math.isnan(constant.psi_limit)
    assert not calm.drift


def test_state_goes_on_to_the_bit() -> None:
    random = np.random.default_rng(5)
    reference = random.standard_normal((3000, 2))

    def fresh() -> DriftMonitor:
        return DriftMonitor(["x", "y"], window=60, every=7, loss_detector=PageHinkley(threshold=5.0))

    def live(monitor: DriftMonitor, rows: Array) -> None:
        for row in rows:
            monitor.update(row[:2])
            monitor.learn(row[2], row[3])

    monitor = fresh().fit(reference, reference[:, 0], reference[:, 1] ** 2)
    rows = random.standard_normal((300, 4))
    rows[150:] += 0.8
    live(monitor, rows[:170])
    state = monitor.state()
    state = State(json.loads(json.dumps(dict(state.values))), {key: array.copy() for key, array in state.arrays.items()})
    again = fresh().restore(state)
    live(monitor, rows[170:])
    live(again, rows[170:])
    assert again.state() == monitor.state() and again.report() == monitor.report()
    assert monitor.report().drifted


def test_fit_begins_anew() -> None:
    monitor, _ = watched(400, change=100)
    reference = panel(1000, seed=7)
    assert monitor.fit(reference).state() == DriftMonitor(NAMES, window=200, bins=5).fit(reference).state()


def test_faults() -> None:
    monitor = DriftMonitor(["x", "y"], window=20)
    with pytest.raises(NotFitted, match="call fit"):
        monitor.update([1.0, 2.0])
    with pytest.raises(NotFitted):
        monitor.report()
    with pytest.raises(DataError, match=r"\(20 or more rows, 2 columns\)"):
        monitor.fit(np.ones((19, 2)))
    with pytest.raises(DataError, match="the reference of y has fewer than two values"):
        monitor.fit(np.column_stack([np.ones(30), np.full(30, math.nan)]))
    with pytest.raises(DataError, match="the reference of target"):
        monitor.fit(np.ones((30, 2)), targets=np.ones(29))
    with pytest.raises(DataError, match="losses"):
        monitor.fit(np.ones((30, 2)), losses=[1.0])
    monitor.fit(np.random.default_rng(0).standard_normal((30, 2)))
    with pytest.raises(DataError, match="row 0 has shape"):
        monitor.update([1.0])
    with pytest.raises(DataError, match="answer 0 has an infinite"):
        monitor.learn(loss=math.inf)
    with pytest.raises(SettingsError, match="each once"):
        DriftMonitor(["x", "x"])
    with pytest.raises(StateError, match="not of"):
        DriftMonitor(["x", "z"], window=20).restore(monitor.state())
    state = monitor.state()
    with pytest.raises(StateError, match="lacks rows, counts"):
        kept = {name: array for name, array in state.arrays.items() if name not in ("rows", "counts")}
        DriftMonitor(["x", "y"], window=20).restore(State(state.values, kept))
    with pytest.raises(StateError, match="make it alike"):
        DriftMonitor(["x", "y"], window=20, loss_detector=PageHinkley()).restore(monitor.state())
