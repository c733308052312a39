"""The command line: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from evaluate.small import csv, market
from faults.broken import good
from tradewind.cli import main
from tradewind.core.files import load_state, read_json
from tradewind.rl.curve import read_curve
from tradewind.serve import tracking

COMMANDS = (
    "run", "report", "explain", "compare", "backtest", "train", "tune", "check", "strategies", "forecasters", "agents", "features",
    "runs", "data", "regimes",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRADEWIND_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.chdir(tmp_path)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a command line."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    return int(left.value.code or 0), told.out, told.err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--help")
    assert code == 0 and all(f"\n  {command} " in out for command in COMMANDS)
    assert call(capsys, "--version")[1].startswith("tradewind ")
    for command in COMMANDS:
        assert call(capsys, command, "--help")[0] == 0


def test_help_is_quick() -> None:
    code = "import time, sys; t = time.perf_counter(); from tradewind.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "import json; sys.stderr.write(json.dumps([time.perf_counter() - t, sorted({m.split('.')[0] for m in sys.modules})]))"
    best = 9.0
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds, modules = json.loads(done.stderr)
        best = min(best, seconds)
        assert not {"polars", "numba", "torch", "scipy", "lightgbm", "sklearn", "duckdb"} & set(modules)
    assert best < 0.4


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert "momentum-mix" in call(capsys, "strategies")[1]
    assert "lightgbm" in call(capsys, "forecasters")[1]
    assert "rsi_14" in call(capsys, "features", "standard")[1]


def test_run_prints_the_table_and_report_and_backtest_agree_with_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flags = ("--data", csv(tmp_path), "--strategies", "momentum,ema-cross,mix", "--train", "300", "--test", "5d", "--out", "runs")
    code, out, err = call(capsys, "run", *flags)
    assert code == 0, err
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["hold", "momentum", "ema-cross", "mix"] and "deflated" in lines[0]
    (folder,) = Path("runs").iterdir()
    assert f"report: {folder}/report.html" in out and (folder / "report.html").exists()
    before = {path.name: path.read_bytes() for path in folder.glob("*.*") if path.name != "manifest.json"}
    code, again, err = call(capsys, "report", folder)
    assert code == 0 and again.splitlines()[:5] == lines[:5] and err.count("equal to the byte") == 3 and "NOT" not in err
    assert {name: (folder / name).read_bytes() for name in before} == before
    code, out, _ = call(capsys, "run", "--from", folder / "manifest.json", "--out", "again", "--jobs", 1)
    assert code == 0 and (Path("again") / folder.name / "result.json").read_bytes() == before["result.json"]


def test_run_with_a_preset_tells_the_best_member_as_hindsight(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = "momentum,ema-cross,rsi-reversal"
    flags = ("--data", csv(tmp_path, bars=500), "--strategies", rows, "--train", 300, "--test", 100, "--out", "runs", "--jobs", 1)
    code, out, err = call(capsys, "run", *flags, "--preset", "agressive")
    assert code == 2 and "did you mean 'aggressive'" in err
    code, out, err = call(capsys, "run", *flags, "--preset", "aggressive")
    assert code == 0, err
    assert "\nensemble " in out and "Best member in hindsight: " in out and "nobody could have chosen it beforehand" in out
    (folder,) = (path for path in Path("runs").iterdir() if path.is_dir() and (path / "manifest.json").exists())
    assert read_json(folder / "manifest.json")["settings"]["preset"] == "aggressive" and (folder / "ensemble.parquet").exists()


def test_regimes_are_told_and_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bars = csv(tmp_path)
    code, out, err = call(capsys, "regimes", "--data", bars, "--timeframes", "4h", "--set", "slow=40", "--out", "told")
    assert code == 0 and err == "page: told/regimes.html\n"
    lines = out.splitlines()
    assert lines[0] == "900 bars of 1h by rules" and "stability" in lines[2] and "agreement of 1h, 4h" in lines[2]
    assert lines[4].split()[0] == "trending_bull" and len(lines) == 11
    assert "<svg" in Path("told/regimes.html").read_text()
    code, out, _ = call(
        capsys, "regimes", "--data", bars, "--detector", "jump", "--train", 0.4, "--last", "10d", "--timeframe", "2h", "--json"
    )
    told = json.loads(out)
    assert code == 0 and told["fitted_on"] == 180 and told["bars"] == 120 and told["timeframe"] == "2h"
    assert Path("regimes/regimes.html").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--detector", "rulse"), "unknown detector of regimes 'rulse'; did you mean 'rules'?"),
        (("--set", "slo=40"), "did you mean 'slow'?"),
        (("--set", "slow"), "--set 'slow': write KEY=VALUE"),
        (("--timeframes", "4h,2h"), "have to ascend"),
        (("--timeframes", "20m"), "no slower multiple of the market's '15m'"),
        (("--train", "1.5"), "train is 1.5; it is a fraction"),
        (("--market", "btc-15"), "did you mean 'btc-15m'?"),
        (("--symbols", "BTC"), "unknown symbol 'BTC'"),
        (("file.csv",), "'file.csv' stands alone"),
        (("--detectr", "hmm"), "No such option: --detectr"),
    ],
)
def test_wrong_flags_of_regimes(capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str) -> None:
    code, out, err = call(capsys, "regimes", *flags)
    assert code == 2 and not out and err.startswith("error: ") and message in err
    assert not Path("regimes").exists()


def test_backtest_of_recorded_targets(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bars = market(300)
    bars.to_frame().write_parquet("bars.parquet")
    frame = bars.to_frame().select("open_time", "symbol", pl.lit(1.0).alias("target"))
    frame.write_parquet("targets.parquet")
    code, out, _ = call(capsys, "backtest", "targets.parquet", "--data", "bars.parquet", "--fee-bps", 0, "--report", "page.html")
    assert code == 0 and Path("page.html").exists()
    gained = [line.split()[1] for line in out.splitlines()[1:3]]
    assert gained[0].replace("−", "-") == f"{100 * (bars.close[-1, 0] / bars.open[1, 0] / 1.0002 - 1):.1f}"


def test_train_saves_a_model_and_takes_settings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(capsys, "train", "--model", "logistic", "--data", csv(tmp_path), "--out", "model")
    assert code == 0, err
    assert "accuracy" in out and load_state("model").values["model"] == "logistic"
    code, _, err = call(capsys, "train", "--model", "lightgbm", "--data", csv(tmp_path), "--set", "tres=3")
    assert code == 2 and "did you mean 'trees'" in err
    assert call(capsys, "train", "--data", csv(tmp_path), "--set", "epochs")[2].startswith("error: --set 'epochs': write KEY=VALUE")


AGENT = (
    "train", "--agent", "ppo", "--set", "hidden=[8]", "--set", "rollout=256", "--set", "batch=64", "--lanes", 8, "--set", "length=16",
    "--set", "evaluate_every=500", "--features", "return_1,ema_distance_10",
)  # fmt: skip


def test_an_agent_is_trained_tracked_and_taken_up_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flags = (*AGENT, "--data", csv(tmp_path), "--out", "agent", "--steps", 1000, "--actions", "3", "--reward", "drawdown", "--track")
    code, out, err = call(capsys, *flags)
    assert code == 0, err
    assert "test: net Sharpe" in out and "tracked: " in out
    run = read_json("agent/run.json")
    assert run["course"]["reward"] == "drawdown" and run["course"]["lanes"] == 8 and run["sight"]["actions"] == 3
    assert load_state("agent").values["agent"] == "ppo" and len(read_curve("agent/curve.jsonl")) > 2
    assert "<svg" in Path("agent/learning.html").read_text()
    code, again, err = call(capsys, *flags)
    assert code == 0 and "taken up at 1," in again, err
    (entry,) = tracking.entries(tracking.Store("sqlite:///mlruns.db"))
    assert entry["kind"] == "train" and entry["parameters"]["agent"] == "ppo" and "test.sharpe" in entry["metrics"]
    code, _, err = call(capsys, *flags, "--set", "window=2")
    assert (
        code == 2 and err == "error: agent holds a run with another sight, parts; choose another folder, or delete this one to begin anew\n"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--model", "lstm", "--agent", "ppo"), "--model goes with a forecaster, not with --agent ppo"),
        (("--agent", "ppo", "--label", "next-bar"), "--label goes with a forecaster"),
        (("--agent", "ppo", "--tune"), "--tune goes with a forecaster"),
        (("--steps", "1000"), "--steps goes with --agent; say which, such as --agent ppo"),
        (("--reward", "drawdown"), "--reward goes with --agent"),
        (("--agent", "pp0"), "unknown agent 'pp0'; did you mean 'ppo'?"),
        (("--agent", "ppo", "--steps", "0"), "steps is 0"),
        (("--agent", "ppo", "--set", "hiden=[8]"), "did you mean 'hidden'?"),
        (("--agent", "ppo", "--set", "steps=5", "--steps", "5"), "--set steps: --steps says it too; say it once"),
        (("--agent", "ppo", "--set", "out=x"), "--set out: is no setting of the agent"),
        (("--agent", "ppo", "--actions", "buy"), "unknown actions 'buy'"),
        (("--agent", "ppo", "--reward", "nowhere:reward"), "nowhere cannot be imported"),
    ],
)
def test_wrong_flags_of_train_are_one_line(capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str) -> None:
    code, _, err = call(capsys, "train", "--market", "btc-1d", *flags)
    assert code == 2 and err.startswith("error: ") and message in err and err.count("\n") == 1


OWN = """
import numpy as np
import tradewind as tw


class Honest(tw.Strategy):
    warmup = 5

    def decide(self, view):
        close = view.market.close
        return tw.Target(np.nan_to_num(np.sign(close[-1] - close[-5])) / close.shape[1])


class Cheat(Honest):
    def decide_all(self, market):
        later = np.vstack([market.close[1:], market.close[-1:]])
        return np.nan_to_num(np.sign(later - market.close)) / later.shape[1]
"""


@pytest.mark.slow
def test_check_tells_the_honest_from_the_cheat(tmp_path: Path) -> None:
    (tmp_path / "own_strategies.py").write_text(OWN)
    command = [sys.executable, "-c", "from tradewind.cli import main; main()", "check"]
    good_, bad = (subprocess.run([*command, f"own_strategies:{name}"], capture_output=True, text=True) for name in ("Honest", "Cheat"))
    assert good_.returncode == 0 and "FAILED" not in good_.stdout and good_.stdout.count("passed") > 8
    assert bad.returncode == 1 and "FAILED" in bad.stdout and "bar" in bad.stdout


def test_check_of_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("nowhere", "nowhere:Mine", "json:Mine", "json:dumps"):
        code, _, err = call(capsys, "check", place)
        assert code == 2 and err.startswith("error: ") and err.count("\n") == 1


def test_quality_and_samples(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = call(capsys, "data", "quality", good(tmp_path))
    assert code == 0 and "usable" in out
    rows = good(tmp_path).read_text().splitlines()
    (tmp_path / "twice.csv").write_text("\n".join([*rows, rows[-1]]))
    code, out, _ = call(capsys, "data", "quality", good(tmp_path), "twice.csv")
    assert code == 1 and "duplicate" in out
    code, out, _ = call(capsys, "data", "sample", "us-daily", "--out", "us.parquet")
    assert code == 0 and "SP500" in out and len(pl.read_parquet("us.parquet")) == 10_062


def test_query_of_a_store(capsys: pytest.CaptureFixture[str]) -> None:
    from tradewind.data import Store

    Store("store").write(market(50))
    code, out, _ = call(capsys, "data", "query", "store", "select count(*) as bars from bars")
    assert code == 0 and "50" in out
    code, _, err = call(capsys, "data", "query", "store", "select nothing")
    assert code == 2 and err.count("\n") == 1


def test_an_interrupt_ends_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("tradewind.strategies.registry.descriptions", interrupt)
    code, _, err = call(capsys, "strategies")
    assert code == 130 and err.count("\n") == 1


@pytest.mark.slow
def test_control_c_in_the_middle_of_a_run_leaves_folds_that_are_taken_up(tmp_path: Path) -> None:
    import signal

    arguments = [sys.executable, "-c", "from tradewind.cli import main; main()", "run", "--data", str(csv(tmp_path))]
    arguments += ["--strategies", "logistic", "--train", "300", "--test", "10", "--out", str(tmp_path / "runs")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(tmp_path.glob("runs/*/folds/logistic/*/manifest.json")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    (folder,) = tmp_path.glob("runs/*")
    assert sorted(path.name for path in folder.iterdir()) == ["folds"]
    assert subprocess.run(arguments, capture_output=True).returncode == 0
    assert json.loads((folder / "result.json").read_text()) == read_json(folder / "result.json")
