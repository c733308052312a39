"""Studies: what is proposed, pruned, failed and counted, and that a kill changes nothing."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tradewind.core.errors import Corrupt, DataError, MissingExtra, SettingsError, TradewindError
from tradewind.core.spaces import Choice, Real, Whole
from tradewind.evaluate.tuning.study import Budget, Pruned, Study, Trial, TrialRecord, begin

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

SPACE = {"x": Real(-2.0, 2.0), "n": Whole(1, 64, log=True), "c.d": Choice((("a", "b"), ("c",))), "b": Choice((False, True))}


def hill(trial: Trial) -> float:
    """Highest at x = 1, n = 8, d = (a, b); the untuned settings are worst."""
    if trial.number == 0:
        return -50.0
    x, n, d = trial.settings["x"], trial.settings["n"], trial.settings["c"]["d"]
    score = -((x - 1.0) ** 2) - ((n - 8) / 8) ** 2 - (d == ("c",))
    for step in range(3):
        trial.report(step, score)
    return float(score)


def told(study: Study) -> list[tuple[Any, ...]]:
    return [(r.number, r.outcome, r.score if r.outcome == "finished" else None, dict(r.settings), r.steps) for r in study.records()]


def test_a_study_that_was_killed_gives_the_trials_of_one_that_was_not(tmp_path: Path) -> None:
    whole = Study(_made(tmp_path / "whole"), SPACE, seed=3)
    whole.search(hill, Budget(16, 0))

    class Killed(BaseException):
        pass

    def killed_at(number: int) -> Callable[[Trial], float]:
        def objective(trial: Trial) -> float:
            if trial.number == number:
                raise Killed
            return hill(trial)

        return objective

    for number in (0, 5, 12):
        with pytest.raises(Killed):
            Study(_made(tmp_path / "cut"), SPACE, seed=3).search(killed_at(number), Budget(16, 0))
        assert Study(tmp_path / "cut", SPACE, seed=3).recover() == 1
    cut = Study(tmp_path / "cut", SPACE, seed=3)
    cut.search(hill, Budget(16, 0))
    assert told(cut) == told(whole) and len(told(cut)) == 16
    assert told(whole)[0] == (0, "finished", -50.0, {}, 1)
    assert {line[1] for line in told(whole)} == {"finished", "pruned"}, "this hill prunes"
    best = whole.best()
    assert best is not None and best.score == max(r.score for r in whole.records() if r.outcome == "finished") > -2.0
    other = Study(_made(tmp_path / "other"), SPACE, seed=4)
    other.search(hill, Budget(3, 0))
    assert told(other)[1] != told(whole)[1], "another seed, other trials"


def test_minimize_turns_it_round_and_equals_go_to_the_earlier(tmp_path: Path) -> None:
    study = Study(_made(tmp_path / "s"), SPACE, maximize=False)
    study.search(lambda trial: float(trial.number in (0, 1)), Budget(4, 0))
    best = study.best()
    assert best is not None and best.number == 2
    assert study.importance() == {}, "too few trials"


def test_importance_finds_what_matters(tmp_path: Path) -> None:
    study = Study(_made(tmp_path / "s"), {"x": Real(0.0, 1.0), "y": Real(0.0, 1.0)}, seed=1)
    study.search(lambda trial: float(trial.settings.get("x", 0.5)), Budget(16, 0))
    shares = study.importance()
    assert list(shares) == ["x", "y"] and shares["x"] > 0.6 and sum(shares.values()) == pytest.approx(1.0)


def test_failures_are_told_and_counted_and_end_what_is_hopeless(tmp_path: Path) -> None:
    def fails(trial: Trial) -> float:
        raise SettingsError("fast is not below slow") if trial.number % 2 else ValueError("bad\nnumber")

    study = Study(_made(tmp_path / "s"), SPACE)
    with pytest.raises(
        TradewindError, match=r"all of the first 10 trials failed: 5 × ValueError: bad number; 5 × SettingsError: fast is not"
    ):
        study.search(fails, Budget(50, 0))
    assert len(study.records()) == 10 and study.best() is None
    nothing = Study(_made(tmp_path / "n"), SPACE)
    nothing.search(lambda trial: float("nan") if trial.number else 1.0, Budget(3, 0))
    assert [(r.outcome, r.reason) for r in nothing.records()] == [("finished", ""), *[("failed", "the score is nan")] * 2]


def test_the_timeout_puts_the_running_trial_back(tmp_path: Path) -> None:
    study = Study(_made(tmp_path / "s"), SPACE)
    begun: list[int] = []

    def slow(trial: Trial) -> float:
        begun.append(trial.number)
        while True:
            trial.report(len(begun), 0.0)

    study.search(slow, Budget(5, 0.05))
    assert begun == [0] and study.records() == []
    study.search(lambda trial: 1.0, Budget(2, 0))
    assert [r.number for r in study.records()] == [0, 1]


def test_a_missing_package_of_the_strategy_ends_the_search(tmp_path: Path) -> None:
    def lacks(trial: Trial) -> float:
        raise MissingExtra("catboost", "catboost")

    with pytest.raises(MissingExtra):
        Study(_made(tmp_path / "s"), SPACE).search(lacks, Budget(5, 0))


def test_pruned_is_the_objectives_to_hear(tmp_path: Path) -> None:
    heard: list[int] = []

    def objective(trial: Trial) -> float:
        try:
            for step in range(3):
                trial.report(step, -float(trial.number))
        except Pruned:
            heard.append(trial.number)
            raise
        return -float(trial.number)

    study = Study(_made(tmp_path / "s"), SPACE)
    study.search(objective, Budget(12, 0))
    assert heard == [r.number for r in study.records() if r.outcome == "pruned"] and heard and min(heard) >= 5


@pytest.mark.parametrize("damage", [b"nothing of a database", None])
def test_a_damaged_study_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    study = Study(_made(tmp_path / "s"), SPACE)
    study.search(lambda trial: 1.0, Budget(2, 0))
    path = tmp_path / "s" / "study.db"
    with sqlite3.connect(path) as connection:
        # What lies in the write-ahead log would mend the damage.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    if damage is None:
        data[4096:40960] = b"\xff" * (40960 - 4096)
    path.write_bytes(damage or bytes(data))
    with pytest.raises(Corrupt, match=r"study\.db: is no study"):
        Study(tmp_path / "s", SPACE)


def test_a_folder_that_is_not_there_and_a_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read or written"):
        Study(tmp_path / "nowhere", SPACE)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"tradewind\[tune\]"):
        Study(tmp_path, SPACE)


def test_a_study_of_something_else_is_refused(tmp_path: Path) -> None:
    about = {"strategy": "momentum", "space": {"a": [1, 2]}, "seed": 0}
    assert begin(tmp_path, about) == () == begin(tmp_path, {**about, "space": {"a": [1, 2]}})
    with pytest.raises(SettingsError, match="of other seed, space; choose another --study"):
        begin(tmp_path, {**about, "seed": 1, "space": {}})
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(Corrupt):
        begin(tmp_path, about)


@pytest.mark.parametrize(("trials", "seconds"), [(0, 1.0), (2.5, 1.0), (3, -1.0)])
def test_budgets_that_cannot_be(trials: Any, seconds: float) -> None:
    with pytest.raises(SettingsError):
        Budget(trials, seconds)


def test_progress_hears_of_every_trial(tmp_path: Path) -> None:
    seen: list[int] = []

    def progress(records: list[TrialRecord]) -> None:
        seen.append(len(records))

    Study(_made(tmp_path / "s"), SPACE).search(lambda trial: 1.0, Budget(3, 0), progress)
    assert seen == [0, 1, 2, 3]


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
