from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import tradewind as tw
from tradewind.core.errors import Corrupt, DataError, SettingsError, TradewindError
from tradewind.core.files import read_json, write_json
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.manifest import differences, read_manifest, versions
from tradewind.evaluate.parallel import run_all
from tradewind.evaluate.plan import ROWS, RunSettings, load_market
from tradewind.evaluate.run import RunResult, rerun, run
from tradewind.strategies.mix import mix_targets

from .small import csv

RULES = ("hold", "momentum", "ema-cross", "logistic", "mix")
FILES = ("report.html", "result.json", "targets.parquet")
COMMAND = (sys.executable, "-c", "from tradewind.cli import main; main()")


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return csv(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def settings(bars: Path) -> RunSettings:
    return RunSettings(data=(str(bars),), strategies=RULES, train=300, test=100)


@pytest.fixture(scope="module")
def finished(settings: RunSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunResult]:
    yield run(settings, tmp_path_factory.mktemp("runs"), jobs=2, ledger=Ledger(":memory:"))


def _bytes(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_run_writes_its_four_files_and_nothing_else(finished: RunResult) -> None:
    assert sorted(path.name for path in finished.folder.iterdir()) == sorted([*FILES, "manifest.json", "folds"])
    assert not list(finished.folder.rglob("*.tmp"))
    result = read_json(finished.folder / "result.json")
    assert list(result["rows"]) == sorted(RULES) and result["trials"]["count"] == 5
    for row in result["rows"].values():
        assert {"net_return", "sharpe", "sharpe_low", "max_drawdown", "turnover", "cost_share"} <= set(row["metrics"])
        assert row["verdict"]["label"] in ("edge", "no edge", "cannot tell")


def test_a_row_is_what_walk_forward_gives(finished: RunResult, settings: RunSettings) -> None:
    alone = tw.walk_forward(tw.strategy("logistic"), load_market(settings), train=300, test=100, costs=settings.costs, ledger=":memory:")
    row = next(row for row in finished.rows if row.name == "logistic")
    assert row.equity.tobytes() == alone.equity.tobytes() and row.to_dict()["metrics"] == alone.to_dict()["metrics"]


def test_the_mix_is_the_mean_of_the_others_and_its_targets_are_on_disk(finished: RunResult) -> None:
    rows = {row.name: row for row in finished.rows}
    members = [rows[name] for name in ("momentum", "ema-cross", "logistic")]
    wanted = mix_targets([row.targets for row in members], [row.weights for row in members])
    written = pl.read_parquet(finished.folder / "targets.parquet")
    assert written.columns == ["open_time", "symbol", *RULES] and len(written) == 600
    assert written["mix"].to_numpy().tobytes() == wanted.ravel().tobytes()
    assert rows["mix"].refits == "never"


def test_every_row_is_judged_beside_all_the_others(finished: RunResult) -> None:
    for row in finished.rows[1:]:
        assert row.alternatives is not None and row.alternatives.shape == (600, 3) and row.trials.count == 5


def test_one_process_or_three_give_the_same_bytes(finished: RunResult, settings: RunSettings, tmp_path: Path) -> None:
    alone = run(settings, tmp_path, jobs=1, ledger=Ledger(":memory:"))
    assert _bytes(alone.folder) == _bytes(finished.folder) and alone.id == finished.id


def test_from_the_manifest_the_bytes_are_equal(finished: RunResult, tmp_path: Path) -> None:
    crowded = Ledger(":memory:")
    for number in range(20):
        crowded.note(str(number), "x", finished.market, finished.rows[1].returns)
    again = rerun(finished.folder / "manifest.json", tmp_path, ledger=crowded)
    assert again.identical == dict.fromkeys(FILES, True) and again.notes == ()
    assert _bytes(again.folder) == _bytes(finished.folder)
    one, two = (read_json(folder / "manifest.json") for folder in (again.folder, finished.folder))
    # A checkout may be edited while the tests run, so its diff may differ.
    assert {**one, "git": None} == {**two, "git": None} and set(one["outputs"]) == set(FILES)


def test_other_data_are_refused(finished: RunResult, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="other data"):
        rerun(finished.folder / "manifest.json", tmp_path / "out", data=[str(csv(tmp_path, seed=8))])
    assert not (tmp_path / "out").exists()


def test_moved_data_are_found_again(finished: RunResult, bars: Path, tmp_path: Path) -> None:
    moved = tmp_path / bars.name
    moved.write_bytes(bars.read_bytes())
    assert all(rerun(finished.folder / "manifest.json", tmp_path, data=[str(moved)], fresh=False).identical.values())


def test_the_same_command_reads_finished_folds(finished: RunResult, settings: RunSettings) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in (finished.folder / "folds").rglob("manifest.json")}
    again = run(settings, finished.folder.parent, ledger=Ledger(":memory:"))
    assert len(stamps) == 48 and again.folder == finished.folder
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    run(settings, finished.folder.parent, ledger=Ledger(":memory:"), fresh=True)
    assert all(path.stat().st_mtime_ns > stamp for path, stamp in stamps.items())


def test_other_settings_or_data_are_another_run(finished: RunResult, settings: RunSettings, bars: Path, tmp_path: Path) -> None:
    market = load_market(settings)
    others = [RunSettings(**{**settings.to_dict(), **change}) for change in ({"seed": 1}, {"fee_bps": 9.0}, {"quick": True}, {"test": 90})]
    assert len({settings.identity(market), *(other.identity(market) for other in others)}) == 5
    assert settings.identity(market[:-1]) != finished.id == settings.identity(market)


def test_progress_ends_with_every_fold(settings: RunSettings, tmp_path: Path) -> None:
    told: dict[str, tuple[int, int]] = {}
    few = RunSettings(**{**settings.to_dict(), "strategies": ("momentum",)})
    run(few, tmp_path, ledger=":memory:", progress=lambda row, done, total: told.update({row: (done, total)}))
    assert told == {"hold": (6, 6), "momentum": (6, 6)}


# -- kill -9 ---------------------------------------------------------------------------------------------------------


def _running(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children(process: int) -> list[int]:
    return [int(word) for word in (Path("/proc") / str(process) / "task" / str(process) / "children").read_text().split()]


def _until(ready: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_after_kill_9_the_same_command_ends_as_if_nothing_had_happened(bars: Path, tmp_path: Path) -> None:
    flags = ["--data", str(bars), "--strategies", "momentum,logistic,mix", "--train", "300", "--test", "20", "--jobs", "1"]

    def command(name: str) -> tuple[list[str], dict[str, str]]:
        return [*COMMAND, "run", *flags, "--out", str(tmp_path / name)], {
            **os.environ,
            "TRADEWIND_LEDGER": str(tmp_path / f"{name}.sqlite"),
        }

    arguments, environment = command("killed")
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until(lambda: len(list((tmp_path / "killed").glob("*/folds/logistic/*/manifest.json"))) >= 5)
    workers = _children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _until(lambda: not any(_running(worker) for worker in workers), 20.0)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("*/folds/*/*/manifest.json")}
    assert 5 <= len(done) < 90 and not list((tmp_path / "killed").glob("*/result.json"))

    subprocess.run(arguments, env=environment, check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for path in done} == done, "finished folds were fitted again"
    arguments, environment = command("whole")
    subprocess.run(arguments, env=environment, check=True, capture_output=True)
    (killed,), (whole,) = (list((tmp_path / name).iterdir()) for name in ("killed", "whole"))
    assert _bytes(killed) == _bytes(whole) and killed.name == whole.name
    assert sorted(path.name for path in killed.iterdir()) == sorted(path.name for path in whole.iterdir())


def test_one_process_does_a_run_at_a_time(finished: RunResult, settings: RunSettings) -> None:
    import fcntl

    descriptor = os.open(finished.folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(DataError, match="another process"):
            run(settings, finished.folder.parent, ledger=":memory:")
    finally:
        os.close(descriptor)


# -- settings, manifest, processes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"strategies": ("momentun",)}, "did you mean 'momentum'"),
        ({"strategies": ("mix",)}, "mean of other rows"),
        ({"strategies": ("momentum", "momentum")}, "twice"),
        ({"fee_bps": -1}, "fee_bps"),
        ({"latency": 0}, "latency"),
        ({"seed": "one"}, "seed"),
    ],
)
def test_impossible_settings_are_refused_at_once(bad: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        RunSettings(**bad)  # type: ignore[arg-type]


def test_hold_is_always_the_first_row() -> None:
    assert RunSettings(strategies=("momentum",)).strategies == ("hold", "momentum")
    assert RunSettings(strategies=("momentum", "hold")).strategies == ("hold", "momentum")
    assert RunSettings().strategies == ROWS and RunSettings.from_dict(RunSettings(quick=True).to_dict()) == RunSettings(quick=True)


def test_every_quick_row_can_be_built() -> None:
    for row in RunSettings(quick=True).walked:
        assert RunSettings(quick=True).strategy(row).warmup >= 1


def test_no_bars_in_the_span_asked_for(settings: RunSettings) -> None:
    with pytest.raises(SettingsError, match="no bars from 2030"):
        load_market(RunSettings(**{**settings.to_dict(), "start": "2030-01-01"}))


def test_a_slower_timeframe_is_made_of_the_bars_that_are_read(settings: RunSettings) -> None:
    slower = RunSettings(**{**settings.to_dict(), "timeframe": "1d"})
    market, made = load_market(settings), load_market(slower)
    assert made.timeframe == "1d" and made.digest == tw.data.resample(market, "1d").digest
    assert slower.identity(made) != settings.identity(market)


def test_a_manifest_is_checked_and_changed_versions_are_told(finished: RunResult, tmp_path: Path) -> None:
    manifest = read_manifest(finished.folder / "manifest.json")
    assert differences(manifest) == [] and manifest["versions"] == versions()
    older = {**manifest, "versions": {**manifest["versions"], "numpy": "1.0"}, "source": "other"}
    told = differences(older)
    assert len(told) == 2 and "numpy" in told[0] and "source" in told[1]
    write_json(tmp_path / "manifest.json", {"format": 1})
    with pytest.raises(Corrupt, match="not the manifest"):
        read_manifest(tmp_path / "manifest.json")
    (tmp_path / "manifest.json").write_text(json.dumps(manifest)[:-40])
    with pytest.raises(Corrupt, match="JSON"):
        read_manifest(tmp_path / "manifest.json")


def _refuse(number: int) -> str | None:
    return f"number {number} is odd" if number % 2 else None


def _die(number: int) -> str | None:
    os._exit(3)


def test_a_task_that_fails_is_told_and_a_process_that_dies_too() -> None:
    with pytest.raises(TradewindError, match="number 3 is odd"):
        run_all(_refuse, [2, 4, 3], 1, lambda: None)
    with pytest.raises(TradewindError, match="worker process died"):
        run_all(_die, [1], 1, lambda: None)
    run_all(_refuse, [], 1, lambda: None)
