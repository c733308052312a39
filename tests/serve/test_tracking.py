"""Records in MLflow and in folders: what goes in comes out, once, and models stay data."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from evaluate.small import market
from test_cli import call
from tradewind.core.errors import Corrupt, DataError, MissingExtra, SettingsError, TradewindError
from tradewind.core.files import write_json
from tradewind.models.pipeline import load, train
from tradewind.serve import runs, tracking
from tradewind.serve.runs import Record
from tradewind.serve.tracking import Entry

pytest.importorskip("mlflow", reason="the extra `tracking` is not installed")


@pytest.fixture(autouse=True)
def _own_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRADEWIND_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.chdir(tmp_path)


def test_a_record_goes_in_once_and_a_model_comes_back_as_data(tmp_path: Path) -> None:
    report = train(market(400), "logistic", tmp_path / "models" / "mine")
    where = tracking.store(True, None, tmp_path / "models")
    assert where is not None and os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    first = tracking.log(tracking.of_training(report), where)
    assert tracking.log(tracking.of_training(report), where) == first, "the same model is the same record"
    (entry,) = tracking.entries(where)
    assert entry["id"] == first and entry["kind"] == "train" and entry["parameters"]["model"] == "logistic"
    assert entry["metrics"]["test.accuracy"] == report.metrics["test"]["accuracy"]
    kept = list((tmp_path / "models" / "mlartifacts").rglob("mine"))
    assert len(kept) == 1 and {path.suffix for path in kept[0].iterdir()} == {".json", ".npz"}
    assert load(kept[0]).state() == load(tmp_path / "models" / "mine").state()
    with pytest.raises(DataError, match="not saved"):
        tracking.of_training(train(market(400), "logistic"))


def test_nested_settings_missing_numbers_and_a_writer_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tracking.Store(f"sqlite:///{tmp_path / 'own.db'}", tmp_path / "artefacts")
    settings = {"policy": {"gain": 2.0, "none": None}, "long": "x" * 9000, **{f"p{k}": k for k in range(150)}, "rows": ("a", "b")}
    entry = Entry("run", "name", "key", settings, {"sharpe": 1.5, "nothing": float("nan"), "none": None})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mlflow.MlflowClient.set_terminated", killed)
        with pytest.raises(KeyboardInterrupt):
            tracking.log(entry, where)
    assert tracking.entries(where) == []
    tracking.log(entry, where)
    (found,) = tracking.entries(where)
    assert found["metrics"] == {"sharpe": 1.5} and len(found["parameters"]) == 153 and found["parameters"]["policy.gain"] == "2.0"
    assert len(found["parameters"]["long"]) == 6000


def test_no_store_unless_asked_and_clear_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking.store(False, None, tmp_path) is None
    web = tracking.store(False, "http://127.0.0.1:1", tmp_path)
    assert web == tracking.Store("http://127.0.0.1:1")
    (tmp_path / "broken.db").write_text("no database at all, " * 100)
    with pytest.raises(DataError, match=r"broken\.db: MLflow's store cannot be used"):
        tracking.entries(tracking.Store(f"sqlite:///{tmp_path / 'broken.db'}", tmp_path / "a"))
    for package, name in (("mlflow", "mlflow-skinny"), ("alembic", "alembic")):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, package, None)
            with pytest.raises(MissingExtra, match=rf"{name} is not installed; run: pip install 'tradewind\[tracking\]'"):
                tracking.store(True, None, tmp_path)


def _record(name: str, **settings: object) -> Record:
    return Record(name, "run", 0, "", "momentum", float("nan"), "", settings, {"momentum.sharpe": 1.23456})


def test_comparing_shows_what_differs() -> None:
    one, other = _record("abc1", fee=1.0, seed=0), _record("abd2", fee=2.0, seed=0, extra="x")
    assert runs.compare(one, other) == [("fee", "1", "2"), ("extra", "", "x"), ("momentum.sharpe", "1.235", "1.235")]
    assert runs.chosen([one, other], "abd") is other
    with pytest.raises(SettingsError, match="beginning of several"):
        runs.chosen([one, other], "ab")
    with pytest.raises(SettingsError, match="is no run here"):
        runs.chosen([one, other], "zz")
    assert runs.listing([one])[0] == ("abc1", "run", "1970-01-01 00:00", "", "momentum", "", "")


def test_folders_that_are_not_runs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        runs.found(tmp_path / "nowhere")
    assert runs.found(tmp_path) == []
    write_json(tmp_path / "x" / "result.json", {"rows": {}})
    with pytest.raises(TradewindError, match=r"manifest\.json"):
        runs.found(tmp_path)
    (tmp_path / "x" / "result.json").write_text("{")
    with pytest.raises(Corrupt):
        runs.found(tmp_path)


def test_run_tune_list_and_compare_from_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra `tune` is not installed")
    market(300).to_frame().write_parquet("bars.parquet")
    data = ("--data", "bars.parquet", "--train", "60")
    code, out, err = call(capsys, "tune", "momentum", *data, "--trials", 4, "--set", "lookback=3..30", "--study", "mine")
    assert code == 0 and "the bars that no trial saw:" in out and Path("tuning/mine/best.json").exists(), err
    for extra in ((), ("--tuned", "tuning/mine/best.json")):
        code, out, err = call(capsys, "run", *data, "--strategies", "momentum", "--jobs", 1, "--track", *extra)
        assert code == 0 and "tracked: " in out, err
    code, out, _ = call(capsys, "runs")
    lines = [line.split() for line in out.splitlines()[1:]]
    assert code == 0 and len(lines) == 2 and all(line[1] == "run" and "momentum" in line for line in lines)
    code, listed, _ = call(capsys, "runs", "list", "--track")
    assert code == 0 and [line.split()[-1] for line in listed.splitlines()[1:]] == [line[-1] for line in lines]
    code, out, _ = call(capsys, "runs", "compare", lines[0][0], lines[1][0])
    assert code == 0 and "momentum.sharpe" in out and "seed" not in out
    code, out, _ = call(capsys, "runs", "--out", "tuning")
    assert code == 0 and "4 trials, on the hold-out" in out
    code, _, err = call(capsys, "run", "--tuned", "bars.parquet")
    assert code == 2 and err.startswith("error: bars.parquet: ")
    code, _, err = call(capsys, "runs", "compare", "zz", "yy")
    assert code == 2 and "is no run here" in err


def test_train_tunes_on_request(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra `tune` is not installed")
    flags = ("--model", "lightgbm", "--market", "btc-1d", "--symbol", "BTC/USD", "--label", "next-bar", "--out", "m/x")
    quick = ("--set", "trees=5", "--set", "leaves=4..9")
    code, out, err = call(capsys, "train", *flags, *quick, "--tune", "--trials", 3)
    assert code == 0 and "3 trials" in out and "test: accuracy" in out and Path("m/x-tuning/best.json").exists(), err
    code, _, err = call(capsys, "train", *flags, "--set", "label=next-bar")
    assert code == 2 and "--label says it too" in err
    code, _, err = call(capsys, "train", *flags, "--set", "out=there")
    assert code == 2 and "is no setting of the model" in err
    code, _, err = call(capsys, "train", "--market", "btc-1d", "--symbol", "ETH/USD")
    assert code == 2 and "ETH/USD" in err


def test_a_comparison_is_tracked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    market(700).to_frame().write_parquet(tmp_path / "bars.parquet")
    flags = ("--data", "bars.parquet", "--forecasters", "ridge", "--label", "horizon-return", "--features", "relative-price", "--jobs", "1")
    code, out, err = call(capsys, "compare", *flags, "--train", "400", "--test", "100", "--track")
    assert code == 0, err
    (entry,) = tracking.entries(tracking.Store(f"sqlite:///{tmp_path / 'runs' / 'mlruns.db'}"))
    assert entry["kind"] == "compare" and entry["id"] in out and entry["parameters"]["label"] == "horizon-return"
    assert {"ridge.net Sharpe", "no-change.net Sharpe"} <= entry["metrics"].keys()
    (found,) = runs.found(tmp_path / "runs")
    assert found.kind == "compare" and found.best in ("no-change", "base-rate", "ridge") and found.verdict
    assert found.metrics["ridge.net Sharpe"] == entry["metrics"]["ridge.net Sharpe"] and found.settings["label"] == "horizon-return"
