"""A comparison of forecasters: the same bars for all, written so that it can be read and done again."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import tradewind as tw
from tradewind.cli import main
from tradewind.core.errors import SettingsError
from tradewind.core.files import read_json
from tradewind.core.types import Features, Forecast, Labels
from tradewind.evaluate.comparing.compare import compare
from tradewind.evaluate.comparing.comparison import Comparison
from tradewind.evaluate.comparing.plan import CompareSettings
from tradewind.evaluate.comparing.report import columns, headline, markdown, show
from tradewind.evaluate.ledger import Ledger
from tradewind.models import registry
from tradewind.models.base import Forecaster

FEATURES = "relative-price"


class Refuses(Forecaster):
    """Refuses every label."""

    def fit(self, X: Features, y: Labels) -> Refuses:
        raise SettingsError("this one learns nothing of that kind")

    def predict(self, X: Features) -> Forecast:
        raise AssertionError("never fitted")


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a year of hours in which the next bar's mean is 5 % of its variance."""
    path = tmp_path_factory.mktemp("data") / "planted.csv"
    tw.synthetic.planted(r2=0.05, bars=4_200, seed=3).market.to_frame().drop("symbol").write_csv(path)
    return path


def settings_of(bars: Path, **more: object) -> CompareSettings:
    given: dict[str, object] = {
        "data": (str(bars),),
        "forecasters": ("ridge", "lightgbm"), "label": "horizon-return", "features": FEATURES, "train": 3_200, "test": 500,
        "seeds": 2, "quick": True, **more,
    }  # fmt: skip
    return CompareSettings(**given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger(":memory:")


@pytest.fixture(scope="module")
def finished(bars: Path, ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compare(settings_of(bars), tmp_path_factory.mktemp("runs"), jobs=2, ledger=ledger)


def test_rows_seeds_and_trials(finished: Comparison, ledger: Ledger) -> None:
    assert [row.name for row in finished.rows] == ["no-change", "base-rate", "ridge", "lightgbm"]
    assert [len(row.results) for row in finished.rows] == [1, 1, 1, 2]
    assert finished.trials.count == len(ledger.rows()) == 5
    assert all(result.trials == finished.trials for row in finished.rows for result in row.results)
    lightgbm = finished.rows[3]
    assert lightgbm.scores["MAE"].seeds == 2 and lightgbm.scores["MAE"].least < lightgbm.scores["MAE"].greatest
    assert len(finished.market) == 1_000 and finished.cells == 999, "the last bar has no next one"


def test_what_is_planted_is_found_and_paid_for(finished: Comparison) -> None:
    rows = {row.name: row for row in finished.rows}
    assert rows["ridge"].p_reference < 0.05 and finished.reference == "no-change"
    assert 0.02 < rows["ridge"].scores["R2"].value < 0.09
    assert rows["ridge"].scores["R2"].low > 0
    assert rows["no-change"].scores["R2"].value == 0 and rows["no-change"].scores["net Sharpe"].value == 0
    assert rows["ridge"].scores["net Sharpe"].value == pytest.approx(rows["ridge"].results[0].metrics["sharpe"])
    assert "ridge" in headline(finished)


def test_the_policy_knows_the_costs_and_trades_all_rows_alike(finished: Comparison, bars: Path) -> None:
    policies = [row.results[0].settings["policy"] for row in finished.rows]
    assert all(policy == policies[0] for policy in policies) and policies[0]["cost"] == pytest.approx(0.0024)
    assert settings_of(bars, fee_bps=20.0).policy(False).cost == pytest.approx(0.0044)
    assert settings_of(bars, fee_bps=0.0, slippage_bps=0.0).policy(True).cost == pytest.approx(1e-4)


def test_pairs_are_two_sides_of_one_test(finished: Comparison) -> None:
    pairs = finished.pairs
    assert np.isnan(np.diag(pairs)).all()
    off = ~np.eye(len(pairs), dtype=bool)
    np.testing.assert_allclose((pairs + pairs.T)[off], 1.0)
    assert [row.p_reference for row in finished.rows[1:]] == pairs[1:, 0].tolist()


def test_the_same_command_reads_what_is_finished_and_writes_the_same_bytes(finished: Comparison) -> None:
    before = {name: (finished.folder / name).read_bytes() for name in ("compare.html", "compare.json")}
    stamps = {path: path.stat().st_mtime_ns for path in (finished.folder / "folds").rglob("manifest.json")}
    counted = Ledger(":memory:")
    again = compare(finished.settings, finished.folder.parent, jobs=1, ledger=counted)
    assert {name: (again.folder / name).read_bytes() for name in before} == before
    assert {path: path.stat().st_mtime_ns for path in (again.folder / "folds").rglob("manifest.json")} == stamps


def test_the_json_says_how_to_do_it_again(finished: Comparison) -> None:
    told = read_json(finished.folder / "compare.json")
    assert CompareSettings.from_dict(told["settings"]) == finished.settings
    assert set(told["rows"]) == {row.name for row in finished.rows} and told["reference"] == "no-change"
    assert told["rows"]["ridge"]["scores"]["MAE"].keys() == {"value", "low", "high", "least", "greatest", "seeds"}
    assert told["rows"]["lightgbm"]["question"]["settings"]["trees"] == 200
    assert {"versions", "source", "data", "trials", "hold", "pairs"} <= told.keys()


def test_the_page_stands_alone_and_names_every_row(finished: Comparison) -> None:
    page = (finished.folder / "compare.html").read_text()
    assert not re.search(r"<script|src=|href=|@import|url\(", page)
    for name in ("hold", *(row.name for row in finished.rows)):
        assert f'<th scope="row">{name}</th>' in page
    assert all(word in page for word in ("Pair by pair", "Deflated Sharpe", "seeds ", "Provenance"))


def test_the_tables(finished: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
    assert columns(finished) == ["MAE", "RMSE", "R2", "IC", "CRPS", "net Sharpe"]
    text = markdown(finished)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 4 + 1 and len({line.count("|") for line in table}) == 1
    assert "MAE, bps ↓" in table[0] and "R2, % ↑" in table[0] and "p against no-change" in table[0]
    show(finished)
    told = capsys.readouterr().out
    assert "hold" in told and headline(finished)[:30] in told


def test_classes_are_tested_against_the_base_rate_and_a_refusal_is_told(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_REGISTERED", {"refuses": Refuses})
    monkeypatch.setattr("tradewind.evaluate.comparing.compare.run_all", lambda task, all_, jobs, watch: [task(each) for each in all_])
    result = compare(settings_of(bars, label="next-bar", forecasters=("refuses", "logistic")), tmp_path, ledger=Ledger(":memory:"))
    assert result.reference == "base-rate" and [row.name for row in result.rows] == ["no-change", "base-rate", "logistic"]
    assert result.refused == {"refuses": "this one learns nothing of that kind"}
    assert 0.5 <= result.frequent < 0.6
    rows = {row.name: row for row in result.rows}
    assert rows["logistic"].scores["accuracy"].value > result.frequent and rows["logistic"].p_reference < 0.05
    page = (result.folder / "compare.html").read_text()
    assert "Did not answer" in page and "Calibration" in page
    assert "refuses did not answer" in markdown(result)
    with pytest.raises(SettingsError, match="learns nothing of that kind"):
        compare(settings_of(bars, label="next-bar", forecasters=("refuses",)), tmp_path, ledger=Ledger(":memory:"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"forecasters": ("rige",)},
        {"forecasters": ("ridge", "ridge")},
        {"seeds": 0},
        {"seed": "one"},
        {"label": "tomorrow"},
        {"fee_bps": -1.0},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, object], bars: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        compare(settings_of(bars, **wrong), tmp_path, ledger=Ledger(":memory:"))
    assert not list(tmp_path.iterdir())


def test_all_forecasters_are_rows_by_default_and_each_can_be_made() -> None:
    for quick in (False, True):
        settings = CompareSettings(quick=quick)
        assert settings.forecasters[:2] == ("no-change", "base-rate") and set(settings.forecasters) == set(tw.forecasters())
        for row in (
            "ridge",
            "lightgbm",
            "xgboost",
            "random-forest",
            "mlp",
            "lstm",
            "transformer",
            "tft",
            "stacking",
            "voting",
            "conformal",
        ):
            settings.question(row).new(0)
    other = dataclasses.replace(settings, seeds=4)
    assert other.seeds_of("ridge") == (0,) and other.seeds_of("lstm") == (0, 1, 2, 3)


def test_the_command(bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_LEDGER", str(tmp_path / "ledger.sqlite"))
    words = f"compare --data {bars} --forecasters ridge --label horizon-return --set horizon=2 --features {FEATURES} --markdown"
    with pytest.raises(SystemExit) as left:
        main([*words.split(), "--train", "3200", "--test", "500", "--jobs", "1", "--out", str(tmp_path / "runs")])
    out = capsys.readouterr().out
    assert left.value.code == 0 and "| ridge |" in out and 'horizon-return {"horizon": 2}' in out
    assert Path(out.rsplit("page: ", 1)[1].strip()).exists()
