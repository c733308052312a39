"""Tuning a strategy: nothing of the hold-out is seen, every trial is counted, and a killed study goes on as if it had not been."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import tradewind as tw
from evaluate.small import csv, market
from tradewind.core.errors import DataError, SettingsError, TradewindError
from tradewind.core.files import read_json
from tradewind.core.market import Market
from tradewind.core.spaces import Space, Whole
from tradewind.core.types import Target, View
from tradewind.data import read
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.plan import RunSettings
from tradewind.evaluate.tuning.tune import tune
from tradewind.evaluate.tuning.tuned import Tuned
from tradewind.evaluate.workplace import claimed
from tradewind.strategies import registry

pytest.importorskip("optuna", reason="the extra `tune` is not installed")


@pytest.fixture(scope="module")
def bars() -> Market:
    return market(600, seed=5)


@pytest.fixture(scope="module")
def tuned(bars: Market, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuned")
    return tune("momentum", bars, trials=14, timeout=0, train=100, out=folder, ledger=folder / "ledger.sqlite", seed=1)


def test_what_is_found_is_what_a_walk_forward_of_it_gives(tuned: Tuned, bars: Market, tmp_path: Path) -> None:
    assert len(tuned.table) == 14 == sum(tuned.counts.values()) and tuned.counts["pruned"] > 0 and tuned.table[0].settings == {}
    assert tuned.best.number > 0, "on this walk the default lookback is not the best"
    again = tw.walk_forward(tw.strategy("momentum", **tuned.settings), bars[:450], train=100, seed=1, ledger=tmp_path / "l.sqlite")
    np.testing.assert_array_equal(again.returns, tuned.tuning["tuned"].returns)
    assert again.metrics["sharpe"] == pytest.approx(tuned.best.score, rel=1e-12)
    assert tuned.best.score == max(r.score for r in tuned.table if r.outcome == "finished")
    later = tuned.holdout["tuned"]
    assert len(later.market) == 150 and later.market.open_time[0] == bars.open_time[450]
    fair = tw.walk_forward(
        tw.strategy("momentum", **tuned.settings), bars[350:], train=100, test=tuned.tuning["tuned"].folds[0].test[1] - 100, seed=1,
        ledger=tmp_path / "l.sqlite",
    )  # fmt: skip
    np.testing.assert_array_equal(fair.targets, later.targets)


def test_every_trial_is_in_the_ledger_and_deflates_both_verdicts(tuned: Tuned, bars: Market) -> None:
    with Ledger(tuned.folder.parent / "ledger.sqlite") as ledger:
        rows = ledger.rows()
    configurations = {str(sorted(record.settings.items())) for record in tuned.table}
    lookbacks = {row["configuration"] for row in rows if row["n"] != 150}
    assert len(lookbacks) == len(configurations), "one a configuration, the pruned among them"
    assert sum(row["n"] < 350 for row in rows if row["n"] != 150) == len({str(r.settings) for r in tuned.table if r.outcome == "pruned"})
    assert tuned.trials.count == len(rows) == len(configurations) + 2
    for part in (tuned.tuning, tuned.holdout):
        assert part["tuned"].verdict.numbers["trials"] == tuned.trials.count


def test_the_hold_out_is_not_seen(tuned: Tuned, bars: Market, tmp_path: Path) -> None:
    later = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    for prices in later.values():
        prices[450:] *= np.exp(0.05 * np.sin(np.arange(150)))[:, None]
    other = tune("momentum", replace(bars, **later), trials=14, timeout=0, train=100, out=tmp_path, ledger=tmp_path / "l.sqlite", seed=1)
    assert other.table == tuned.table and other.settings == tuned.settings
    assert other.holdout["tuned"].metrics["sharpe"] != tuned.holdout["tuned"].metrics["sharpe"]


def test_what_is_written_can_be_used(tuned: Tuned, bars: Market) -> None:
    best = read_json(tuned.folder / "best.json")
    registry.strategy(best["strategy"], **best["settings"])
    asked = RunSettings(strategies=("momentum",), tuned={best["strategy"]: best["settings"]})
    assert RunSettings.from_dict(asked.to_dict()).to_dict() == asked.to_dict()
    assert asked.strategy("momentum").lookback == best["settings"]["lookback"]  # type: ignore[attr-defined]
    assert asked.identity(bars) != RunSettings(strategies=("momentum",)).identity(bars)
    assert "tuned" not in RunSettings().to_dict()
    with pytest.raises(SettingsError, match="no row of the run"):
        RunSettings(strategies=("ema-cross",), tuned={"momentum": {}})
    result = read_json(tuned.folder / "result.json")
    assert [line["trial"] for line in result["table"]] == list(range(14)) and result["best"] == tuned.best.number
    page = (tuned.folder / "report.html").read_text()
    assert "no trial saw" in page and "untuned" in page and f"lookback={tuned.best.settings['lookback']}" in page
    assert f"best: trial {tuned.best.number}, net Sharpe" in tuned.to_text() and "14 trials" in tuned.to_text()
    kept = sorted(path.name for path in (tuned.folder / "trials").iterdir())
    assert len(kept) == 2, "folds of the untuned and of the best alone"


def test_the_same_call_reads_what_is_there(tuned: Tuned, bars: Market) -> None:
    folder = tuned.folder.parent
    before = (tuned.folder / "result.json").read_bytes()
    again = tune("momentum", bars, trials=14, timeout=0, train=100, out=folder, ledger=folder / "ledger.sqlite", seed=1)
    assert again.table == tuned.table and (tuned.folder / "result.json").read_bytes() == before


class Fragile(tw.Strategy):
    """Fails for every lookback above ten, and says so."""

    space: ClassVar[Space] = {"lookback": Whole(5, 40)}

    def __init__(self, lookback: int = 8) -> None:
        self.lookback, self.warmup = lookback, lookback + 1

    def decide(self, view: View) -> Target:
        close = view.market.close
        if self.lookback > 10:
            raise FloatingPointError(f"lookback {self.lookback} broke")
        return Target(np.sign(close[-1] - close[-1 - self.lookback]) / close.shape[1])


def test_a_class_of_ones_own_and_trials_that_fail(tmp_path: Path) -> None:
    found = tune("evaluate.tuning.test_tune:Fragile", market(200), trials=5, timeout=0, out=tmp_path, ledger=tmp_path / "l.sqlite")
    failed = [record for record in found.table if record.outcome == "failed"]
    assert failed and all(record.reason == f"FloatingPointError: lookback {record.settings['lookback']} broke" for record in failed)
    assert found.best.outcome == "finished" and "failed: 1 × FloatingPointError" in found.to_text()
    broken = market(200)
    with pytest.raises(TradewindError, match="no trial finished: 1 × DataError: the market has no volume"):
        tune("logistic", replace(broken, volume=np.full_like(broken.volume, np.nan)), trials=1, out=tmp_path, ledger=tmp_path / "l.sqlite")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strategy": "momentm"}, "did you mean 'momentum'"),
        ({"strategy": "hold"}, "'hold' has no setting to search; those that have: momentum, "),
        ({"strategy": "mix"}, "no setting to search"),
        ({"search": {"lookbak": Whole(2, 3)}}, "did you mean 'lookback'"),
        ({"search": {"lookbak": 3}}, "did you mean 'lookback'"),
        ({"search": {"lookback": 3, "long_only": True}}, "no setting to search"),
        ({"holdout": 0}, "holdout is 0"),
        ({"holdout": 0.001}, "leaves nothing"),
        ({"train": 500}, "choose shorter windows"),
        ({"trials": 0}, "trials is 0"),
        ({"jobs": 0}, "jobs is 0"),
        ({"seed": 0.5}, "whole number"),
    ],
)
def test_what_cannot_be(bars: Market, tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    given = {"strategy": "momentum", "out": tmp_path, "ledger": tmp_path / "l.sqlite", **arguments}
    with pytest.raises(SettingsError, match=said):
        tune(given.pop("strategy"), bars, **given)


def test_no_time_a_folder_in_use_and_a_ledger_that_workers_cannot_share(bars: Market, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"out": tmp_path, "study": "mine", "ledger": ":memory:"}
    with pytest.raises(TradewindError, match=r"no trial finished: none finished within 1e-09 s; the same command goes on"):
        tune("momentum", bars, timeout=1e-9, **asked)
    with claimed(tmp_path / "mine"), pytest.raises(DataError, match="another process is at work here"):
        tune("momentum", bars, **asked)
    with pytest.raises(SettingsError, match="a study of other holdout, windows; choose another --study"):
        tune("momentum", bars, holdout=0.5, **asked)
    with pytest.raises(SettingsError, match="ledger in a file"):
        tune("momentum", bars, jobs=2, **asked)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made"):
        tune("momentum", bars, **{**asked, "out": tmp_path / "file"})


@pytest.mark.slow
def test_two_workers_do_what_is_asked_once(bars: Market, tmp_path: Path) -> None:
    found = tune("momentum", bars, trials=9, timeout=0, train=100, out=tmp_path, ledger=tmp_path / "l.sqlite", jobs=2)
    assert len(found.table) == 9 and found.table[0].settings == {} and all(record.settings for record in found.table[1:])
    assert not (found.folder / "market").exists()


def _finished(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path)) as connection:
            return int(connection.execute("SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
def test_kill_9_and_the_same_command(tmp_path: Path) -> None:
    bars = read(csv(tmp_path, 600))
    environment = {**os.environ, "TRADEWIND_LEDGER": str(tmp_path / "killed.sqlite")}
    flags = ["tune", "momentum", "--data", str(tmp_path / "walk.csv"), "--trials", "10", "--timeout", "0", "--train", "100"]
    command = [sys.executable, "-m", "tradewind", *flags, "--out", str(tmp_path / "killed"), "--study", "s"]
    for enough in (2, 6):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while _finished(tmp_path / "killed" / "s" / "study.db") < enough:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    killed = tune("momentum", bars, trials=10, timeout=0, train=100, out=tmp_path / "killed", study="s", ledger=tmp_path / "killed.sqlite")
    whole = tune("momentum", bars, trials=10, timeout=0, train=100, out=tmp_path / "whole", study="s", ledger=tmp_path / "whole.sqlite")
    assert killed.table == whole.table
    assert (killed.folder / "result.json").read_bytes() == (whole.folder / "result.json").read_bytes()
