"""From bars to a saved agent: honest parts, one judgement, and a run that goes on after it was killed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradewind import engine
from tradewind.core.errors import Corrupt, DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State
from tradewind.data import synthetic
from tradewind.rl import pipeline
from tradewind.rl.curve import Progress
from tradewind.rl.pipeline import load, train
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.stats import sharpe

TINY: dict[str, Any] = {
    "features": ("return_1", "ema_distance_10"), "lanes": 8, "length": 16, "hidden": (8,), "rollout": 256, "batch": 64, "epochs": 2,
    "evaluate_every": 500, "checkpoint_every": 500,
}  # fmt: skip
BARS = synthetic.noise(bars=300, symbols=2, seed=3).market
FREE = Costs.zero()


def test_parts_follow_one_another_and_only_the_first_is_learned_from() -> None:
    report = train(BARS, "ppo", 1_000, **TINY)
    # Nine bars warm up; .7 of the other 291 are practised on, and the rest is halved.
    assert report.rows == {"training": 203, "evaluation": 44, "test": 44}
    assert set(report.metrics) == {"evaluation", "test"} and report.path == "" and report.symbols == ["NOISE-1", "NOISE-2"]
    assert report.learning.steps >= 1_000 and report.learning.best_step > 0 and report.agent == "ppo"
    assert "test: net Sharpe" in report.to_text() and "44 bars" in report.to_text()
    json.dumps(report.values(), allow_nan=False)
    whole = train(BARS, "ppo", 500, test=0, **TINY)
    assert whole.rows == {"training": 203, "evaluation": 88} and set(whole.metrics) == {"evaluation"}


def test_the_test_part_teaches_nothing(tmp_path: Path) -> None:
    cut = len(BARS) - 44
    train(BARS, "ppo", 600, tmp_path / "one", **TINY)
    ruined = synthetic.noise(bars=300, symbols=2, seed=4).market
    panels = {
        name: np.vstack([getattr(BARS, name)[:cut], getattr(ruined, name)[cut:]]) for name in ("open", "high", "low", "close", "volume")
    }
    train(replace(BARS, **panels), "ppo", 600, tmp_path / "two", **TINY)
    assert load_state(tmp_path / "one") == load_state(tmp_path / "two")
    metrics = [json.loads((tmp_path / name / "report.json").read_text())["metrics"] for name in ("one", "two")]
    assert metrics[0]["evaluation"] == metrics[1]["evaluation"] and metrics[0]["test"] != metrics[1]["test"]


def test_the_judgement_is_that_of_a_backtest(tmp_path: Path) -> None:
    report = train(BARS, "ppo", 600, tmp_path / "out", costs=Costs(fee_bps=5, slippage_bps=1), **TINY)
    trader, start = load(tmp_path / "out"), len(BARS) - 44
    costs = Costs(fee_bps=5, slippage_bps=1)
    targets = trader.decide_all(BARS, Book(BARS.symbols, costs), start)
    account = engine.backtest(targets[start:], BARS[start:], costs)
    assert report.metrics["test"]["sharpe"] == pytest.approx(sharpe(account.returns, BARS.periods_per_year))
    assert report.metrics["test"]["net_return"] == pytest.approx(account.equity[-1] - 1.0)
    hold = np.full(targets[start:].shape, np.nan)
    hold[0] = 0.5
    held = engine.backtest(hold, BARS[start:], costs)
    assert report.metrics["test"]["hold_sharpe"] == pytest.approx(sharpe(held.returns, BARS.periods_per_year))
    assert report.metrics["test"]["turnover"] == pytest.approx(account.turnover.mean() * BARS.periods_per_year)


def test_what_was_saved_loads_and_decides_the_same(tmp_path: Path) -> None:
    train(BARS, "rainbow", 600, tmp_path / "out", actions="discrete", features="relative-price", lanes=8, length=8, hidden=(8,), batch=16)
    one, two = load(tmp_path / "out"), load(tmp_path / "out")
    assert one.sight.actions == "discrete" and one.state() == two.state()
    whole = one.decide_all(BARS, Book(BARS.symbols, FREE))
    np.testing.assert_array_equal(two.decide_all(BARS, Book(BARS.symbols, FREE)), whole)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"report.json", "curve.jsonl", "state.json", "best", "checkpoints"}


class Killed(BaseException):
    """What ends a run from outside."""


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    train(BARS, "d3qn", 2_000, tmp_path / "whole", **VALUED)
    lines: list[Progress] = []

    def kill(line: Progress) -> None:
        lines.append(line)
        if line.step > 1_200:
            raise Killed

    with pytest.raises(Killed):
        train(BARS, "d3qn", 2_000, tmp_path / "killed", progress=kill, **VALUED)
    report = train(BARS, "d3qn", 2_000, tmp_path / "killed", **VALUED)
    assert 0 < report.learning.resumed < 2_000
    assert load_state(tmp_path / "killed") == load_state(tmp_path / "whole")
    again = train(BARS, "d3qn", 2_000, tmp_path / "killed", **VALUED)
    assert again.learning.resumed >= 2_000 and again.metrics == report.metrics


VALUED: dict[str, Any] = {
    "features": ("return_1",), "lanes": 8, "length": 16, "hidden": (8,), "batch": 32, "train_every": 16, "learning_starts": 200,
    "evaluate_every": 400, "checkpoint_every": 400,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"reward": "drawdown"}, "course"),
        ({"window": 2}, "sight, parts"),
        ({"epochs": 3}, "config"),
        ({"seed": 1}, "seed"),
        ({"test": 0.4}, "parts"),
    ],
)
def test_a_folder_of_another_run_is_refused(change: dict[str, Any], named: str, folder: Path) -> None:
    with pytest.raises(StateError, match=f"another {named}; choose another folder"):
        train(BARS, "ppo", 300, folder, **{**TINY, **change})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("run") / "out"
    train(BARS, "ppo", 300, place, **TINY)
    return place


def test_damaged_and_foreign_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copied / "arrays.npz").write_bytes((copied / "arrays.npz").read_bytes()[:-1])
    with pytest.raises(Corrupt, match=r"arrays\.npz"):
        load(copied)
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "nothing")
    save_state(tmp_path / "other", State({"model": "logistic"}))
    with pytest.raises(StateError, match="holds no trained agent"):
        load(tmp_path / "other")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"training": 1.0}, SettingsError, "training is 1"),
        ({"test": 1.0}, SettingsError, "test is 1"),
        ({"epoch": 3}, SettingsError, "did you mean 'epochs'"),
        ({"reward": "sharp"}, SettingsError, "reward"),
        ({"actions": 1}, SettingsError, "actions is 1"),
        ({"symbol": "NOISE-3"}, SettingsError, "NOISE-3"),
        ({"features": "relative"}, DataError, "evaluation part"),
        ({"features": ("ema_distance_290",)}, DataError, "too few"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        train(BARS[:205] if settings.get("features") == "relative" else BARS, "ppo", 300, **{**TINY, **settings})


def test_intervals_are_around_the_number() -> None:
    metrics = train(BARS, "ppo", 300, **TINY).metrics["evaluation"]
    assert metrics["sharpe_low"] < metrics["sharpe"] < metrics["sharpe_high"]
    assert pipeline.DRAWS >= 1_000
