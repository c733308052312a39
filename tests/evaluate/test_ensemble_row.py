from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.core.files import read_json
from tradewind.engine import backtest
from tradewind.ensemble.combine import combined
from tradewind.evaluate.ensemble_row import EnsembleRow, ensemble_row
from tradewind.evaluate.explaining.explain import explain
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.plan import ROWS, RunSettings, load_market, rows_of
from tradewind.evaluate.run import RunResult, rerun, run
from tradewind.stats.metrics import sharpe

from .small import csv, market

MEMBERS = ("momentum", "ema-cross", "rsi-reversal", "logistic")
FILES = ("report.html", "result.json", "targets.parquet", "ensemble.parquet")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    data = csv(tmp_path_factory.mktemp("data"), bars=700)
    return RunSettings(data=(str(data),), strategies=(*MEMBERS, "mix", "ensemble"), train=300, test=100, slippage_bps=0, fee_bps=1)


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger(":memory:")


@pytest.fixture(scope="module")
def finished(settings: RunSettings, ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunResult]:
    yield run(settings, tmp_path_factory.mktemp("runs"), jobs=2, ledger=ledger)


def test_the_row_is_the_combiners_on_the_others_targets(finished: RunResult, settings: RunSettings) -> None:
    rows = {row.name: row for row in finished.rows}
    members = [rows[name] for name in MEMBERS]
    found = combined(
        load_market(settings), [m.targets for m in members], [m.weights for m in members], [m.returns for m in members],
        tw.ensemble.preset("balanced"), MEMBERS, start=300, costs=settings.costs,
    )  # fmt: skip
    np.testing.assert_array_equal(rows["ensemble"].targets, found.targets)
    assert rows["ensemble"].verdict.label in ("edge", "no edge", "cannot tell") and rows["ensemble"].refits == "never"
    assert rows["ensemble"].settings["members"] == list(MEMBERS) == rows["mix"].settings["members"]
    written = pl.read_parquet(finished.folder / "targets.parquet")
    assert written["ensemble"].to_numpy().tobytes() == found.targets.ravel().tobytes()


def test_it_counts_as_one_trial(ledger: Ledger, finished: RunResult) -> None:
    assert [row["name"] for row in ledger.rows()].count("ensemble") == 1
    assert finished.rows[0].trials.count == 7


def test_every_decision_is_on_disk(finished: RunResult) -> None:
    frame = pl.read_parquet(finished.folder / "ensemble.parquet")
    made = finished.ensemble
    assert made is not None and len(frame) == 400
    weights = frame.select([f"weight {name}" for name in MEMBERS]).to_numpy()
    np.testing.assert_array_equal(weights, made.found.weights)
    working = frame["flat"].to_numpy() == 0
    np.testing.assert_allclose(weights[working].sum(axis=1), 1.0)
    assert weights.max() <= 0.6 + 1e-12 and frame.select([c for c in frame.columns if c.startswith("regime ")]).width == 7


def test_the_best_in_hindsight_is_labelled_and_has_no_verdict(finished: RunResult) -> None:
    told = read_json(finished.folder / "result.json")
    best = told["ensemble"]["best_member_in_hindsight"]
    ratios = {row.name: row.metrics["sharpe"] for row in finished.rows if row.name in MEMBERS}
    assert best["name"] == max(ratios, key=lambda name: ratios[name]) and best["sharpe"] == pytest.approx(max(ratios.values()))
    assert "in hindsight" not in told["rows"]
    page = (finished.folder / "report.html").read_text()
    assert f"Best member in hindsight: {best['name']}" in page and "nobody could have chosen it beforehand" in page
    assert "Trust in each member" in page and "trending bull" in page


def test_from_the_manifest_the_bytes_are_equal(finished: RunResult, tmp_path: Path) -> None:
    again = rerun(finished.folder / "manifest.json", tmp_path, ledger=Ledger(":memory:"))
    assert again.identical == dict.fromkeys(FILES, True)


def test_a_decision_is_explained(finished: RunResult) -> None:
    made = finished.ensemble
    assert made is not None
    t = int(np.flatnonzero(~np.isnan(made.found.targets[:, 0]))[5])
    told = explain(finished.folder, int(finished.market.open_time[t]), "ensemble")
    assert told.same and told.recorded == made.found.targets[t, 0] and told.reason is not None
    assert sum(value for name, value in told.reason.values.items() if name.startswith("weight")) == pytest.approx(1)
    assert "It trusts" in told.reason.words[0]


def test_the_preset_is_in_the_identity_of_runs_with_the_row_alone(settings: RunSettings) -> None:
    bars = load_market(settings)
    plain = RunSettings(**{**settings.to_dict(), "strategies": MEMBERS, "preset": None})
    assert "preset" not in plain.to_dict() and settings.to_dict()["preset"] == "balanced"
    bolder = RunSettings(**{**settings.to_dict(), "preset": "aggressive"})
    assert len({each.identity(bars) for each in (plain, settings, bolder)}) == 3
    assert RunSettings.from_dict(bolder.to_dict()) == bolder and RunSettings.from_dict(plain.to_dict()) == plain


def test_naming_a_preset_asks_for_the_row() -> None:
    assert RunSettings(strategies=MEMBERS, preset="aggressive").strategies == ("hold", *MEMBERS, "ensemble")
    assert RunSettings(strategies=MEMBERS).strategies == ("hold", *MEMBERS) and RunSettings().preset == "balanced"
    assert rows_of(None) == ROWS == rows_of("balanced")
    assert {"ppo", "few-shot"} == set(rows_of("research")) - set(ROWS)


def test_tuned_settings_reach_it() -> None:
    tuned = RunSettings(strategies=MEMBERS, preset="balanced", tuned={"ensemble": {"band": 0.1}}, seed=3)
    assert tuned.ensemble == tw.ensemble.preset("balanced", band=0.1, seed=3)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"strategies": ("momentum", "ensemble")}, "asks for 3 rows or more beside hold, and 1 are given"),
        ({"strategies": MEMBERS[:3], "preset": "conservative"}, "asks for 4 rows"),
        ({"strategies": MEMBERS, "preset": "agressive"}, "did you mean 'aggressive'"),
        ({"strategies": MEMBERS, "preset": "balanced", "tuned": {"ensemble": {"bands": 1}}}, "did you mean 'band'"),
    ],
)
def test_impossible_settings(bad: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        RunSettings(**bad)  # type: ignore[arg-type]


def _row(**changes: object) -> EnsembleRow:
    bars = market(400, symbols=2, gaps=True)
    tested = bars[200:]
    accounts = {name: backtest(tw.strategy(name).decide_all(tested), tested) for name in ("momentum", "rsi-reversal", "bollinger-reversal")}
    return ensemble_row(tw.ensemble.preset("balanced", **changes), bars, accounts)


def test_means_of_the_record_are_plain_numbers() -> None:
    made = _row(regime=None)
    told = made.to_dict()
    assert told["regimes"] == {} and set(told["weights"]) == set(made.members)
    assert 0 <= told["confidence"] <= 1 and math.isfinite(told["size"])
    best = max(made.members, key=lambda name: float(sharpe(made.members[name].returns)))
    assert told["best_member_in_hindsight"]["name"] == best == made.best and best in made.hindsight()


def test_what_it_says_when_nobody_is_at_work() -> None:
    made = _row()
    reason = made.explain(0, 0)
    assert "flat" in reason.words[0] and made.found.flat[0] == 1
    assert "regime" in made.explain(150, 1).words[1]
