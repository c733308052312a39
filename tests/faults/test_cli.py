"""Whatever is wrong with files, settings or the disk ends in one clear line, exit code 2, no traceback, and nothing half-written."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from evaluate.small import csv
from tradewind.cli import main

from .broken import BROKEN, good

RUN = ("run", "--strategies", "momentum", "--out", "out")
COMMAND = (sys.executable, "-c", "from tradewind.cli import main; main()")


@pytest.fixture(autouse=True)
def _own_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRADEWIND_LEDGER", str(tmp_path / "ledger" / "ledger.sqlite"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a command line ends with, having left no file behind."""
    before = sorted(Path.cwd().rglob("*"))
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    assert left.value.code == 2, told
    assert told.err.startswith("error: ") and told.err.count("\n") == 1 and len(told.err) < 800, told.err
    assert "Traceback" not in told.err and told.out == ""
    assert sorted(Path.cwd().rglob("*")) == before
    return told.err


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = BROKEN[name](tmp_path)
    assert str(path) in refused(capsys, *RUN, "--data", path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--stratgies", "momentum"), "--strategies"),
        (("run", "--seed", "one"), "--seed"),
        (("runn",), "runn"),
        (("run", "--market", "btc-15"), "did you mean 'btc-15m'"),
        (("run", "--strategies", "momentun"), "did you mean 'momentum'"),
        (("run", "--strategies", "mix"), "name at least one"),
        (("run", "--symbols", "DOGE"), "DOGE"),
        (("run", "--fee-bps", "-1"), "fee_bps"),
        (("run", "--fee-bps", "nan"), "fee_bps"),
        (("run", "--slippage-bps", "20000"), "slippage_bps"),
        (("run", "--latency", "0"), "latency"),
        (("run", "--jobs", "0"), "jobs"),
        (("run", "--train", "3000d"), "8684 bars"),
        (("run", "--train", "0"), "train is 0"),
        (("run", "--test", "a week"), "duration"),
        (("run", "--embargo", "9000"), "embargo"),
        (("run", "--start", "yesterday"), "ISO 8601"),
        (("run", "--start", "2031-01-01"), "no bars"),
        (("run", "--end", "2021-09-27T14:15:00"), "2 bars of 15m"),
        (("run", "--repair", "everything", "--data", "x.csv"), "everything"),
        (("run", "--from", "nowhere.json"), "nowhere.json"),
        (("report", "nowhere"), "nowhere"),
        (("backtest", "nowhere.parquet"), "nowhere.parquet"),
        (("backtest",), "TARGETS"),
        (("train", "--model", "logistik"), "did you mean 'logistic'"),
        (("train", "--model", "logistic", "--set", "penalty=-1", "--set", "colour=red"), "colour"),
        (("check", "nowhere"), "my_module:MyStrategy"),
        (("check", "nowhere:Mine"), "nowhere"),
        (("data", "quality", "nowhere.csv"), "nowhere.csv"),
        (("data", "query", "nowhere", "select 1"), "nowhere"),
        (("data", "sample", "btc"), "btc-1"),
        (("data", "fetch", "--exchange", "binanc", "--symbols", "BTC/USDT", "--timeframe", "1h", "--since", "2021-01-01"), "binanc"),
        (("data", "fetch", "--exchange", "binance", "--symbols", "BTC/USDT", "--timeframe", "1h", "--since", "May"), "ISO 8601"),
        (("features", "standart"), "did you mean"),
    ],
)
def test_impossible_settings(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(words, refused(capsys, *arguments))


def test_a_ledger_that_is_none_or_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database " * 400)
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "ledger.sqlite", tmp_path / "file" / "ledger.sqlite"):
        monkeypatch.setenv("TRADEWIND_LEDGER", str(place))
        assert "TRADEWIND_LEDGER" in refused(capsys, *RUN, "--data", csv(tmp_path))


def test_no_place_for_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Root may write everywhere, but nobody can make a folder inside of a file.
    (tmp_path / "file").write_text("in the way")
    assert "cannot be made" in refused(capsys, *RUN[:-1], tmp_path / "file" / "runs", "--data", csv(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "Permission denied" in refused(capsys, *RUN[:-1], tmp_path / "closed" / "runs", "--data", csv(tmp_path))


def test_targets_of_other_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import polars as pl

    frame = pl.DataFrame({"open_time": [0], "symbol": ["x"], "w": [1.0]}).with_columns(pl.col("open_time").cast(pl.Datetime("ns", "UTC")))
    frame.write_parquet(tmp_path / "targets.parquet")
    assert "no bar at" in refused(capsys, "backtest", tmp_path / "targets.parquet", "--data", good(tmp_path))


def _small_files_only() -> None:
    # What a full disk looks like to a process; Python itself ignores SIGXFSZ, so writes fail with an error.
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))


def test_a_full_disk(tmp_path: Path) -> None:
    environment = {**os.environ, "TRADEWIND_LEDGER": ":memory:"}
    arguments = [*COMMAND, "run", "--strategies", "hold", "--out", str(tmp_path / "out"), "--data", str(csv(tmp_path))]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, preexec_fn=_small_files_only)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert "File too large" in done.stderr and done.stdout == ""
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_no_traceback_from_the_installed_command(tmp_path: Path) -> None:
    arguments = [*COMMAND, "run", "--data", str(BROKEN["NaN price"](tmp_path))]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == ""
