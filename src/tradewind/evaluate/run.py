"""The main job: walk every strategy forward over one market, judge each beside buy-and-hold, and write what it takes to do it again.

A run lives in `runs/<id>`, where the id is the hash of its settings and data: the same command takes up the same run, and folds that are
finished are read, not fitted again. Costs what the fits cost; fails to say anything about data that the strategies were chosen on.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, final

import numpy as np

from tradewind.core.errors import DataError, TradewindError
from tradewind.core.files import load_state, read_bytes, save_state, sha256, write_json
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Targets, long_frame
from tradewind.engine import backtest
from tradewind.evaluate.ensemble_row import EnsembleRow, ensemble_row
from tradewind.evaluate.identity import digest, package_digest
from tradewind.evaluate.ledger import Ledger, Trials
from tradewind.evaluate.manifest import FORMAT, differences, git_state, read_manifest, versions
from tradewind.evaluate.pages.ensemble_charts import ensemble_figures
from tradewind.evaluate.pages.report import Page, Row, write
from tradewind.evaluate.parallel import run_all
from tradewind.evaluate.plan import RunSettings, load_market
from tradewind.evaluate.result import Result
from tradewind.evaluate.walk_forward import walk_forward, windows
from tradewind.evaluate.workplace import claimed, packed, unpacked
from tradewind.strategies.mix import mix_targets

__all__ = ["RunResult", "rerun", "run"]

Progress = Callable[[str, int, int], None]


@final
@dataclass(frozen=True, eq=False)
class RunResult:
    """A finished run: its `folder`, and `rows`, a Result each, hold first. `ensemble`: how that row came about, None where there is none.
    `notes`: what a reader should know, such as changed versions."""

    id: str
    folder: Path
    settings: RunSettings
    rows: tuple[Result, ...]
    ensemble: EnsembleRow | None = None
    notes: tuple[str, ...] = ()
    identical: Mapping[str, bool] = field(default_factory=dict)

    @property
    def market(self) -> Market:
        """The bars of the test parts."""
        return self.rows[0].market

    def report_rows(self) -> list[Row]:
        """The rows as a report or a table shows them; hold, which the others are read beside, has no verdict."""
        return [Row(row.name, row.account, row.metrics, row.verdict if row.name != "hold" else None, row.refits) for row in self.rows]


def run(
    settings: RunSettings,
    out: str | Path = "runs",
    *,
    jobs: int = 2,
    fresh: bool = False,
    ledger: Ledger | str | Path | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Do the main job and write `report.html`, `result.json`, `targets.parquet` and `manifest.json` into `out`/<id>.

    `jobs`: processes, which change the time alone. `fresh`: fit again what is already there. `progress(row, done, folds)` is called as
    folds finish. Raises SettingsError, DataError and the other errors of tradewind; a run that stops is taken up by the same call.
    """
    return _run(settings, load_market(settings), Path(out), jobs, fresh, ledger, progress, None)


def rerun(
    manifest_path: str | Path,
    out: str | Path = "runs",
    *,
    data: Sequence[str] = (),
    jobs: int = 2,
    fresh: bool = True,
    ledger: Ledger | str | Path | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Do a run again from its manifest; `identical` of the answer says which files came out equal to the byte.

    Everything is fitted anew unless `fresh` is false. `data`: where the files are now, when they have moved. The trials are those that the
    manifest counted. Raises DataError when the data are not those of the manifest.
    """
    manifest = read_manifest(manifest_path)
    settings = RunSettings.from_dict(manifest["settings"])
    settings = dataclasses.replace(settings, data=tuple(data)) if data else settings
    market = load_market(settings)
    if market.digest != manifest["data"]["digest"]:
        raise DataError(
            f"{manifest_path}: was made from other data: its sha256 is {manifest['data']['digest'][:12]}…, that of "
            f"{', '.join(settings.data) or settings.market} is {market.digest[:12]}…; bring back the data of the run"
        )
    notes = differences(manifest)
    result = _run(settings, market, Path(out), jobs, fresh, ledger, progress, Trials(**manifest["trials"]))
    identical = {name: sha256(read_bytes(result.folder / name)) == expected for name, expected in manifest["outputs"].items()}
    return dataclasses.replace(result, notes=tuple(notes), identical=identical)


def _run(
    settings: RunSettings,
    market: Market,
    out: Path,
    jobs: int,
    fresh: bool,
    ledger: Ledger | str | Path | None,
    progress: Progress | None,
    trials: Trials | None,
) -> RunResult:
    require(isinstance(jobs, int) and jobs >= 1, f"jobs is {jobs!r}; it is a number of processes, at least 1")
    folds = windows(market, settings.train, settings.test, None, settings.anchored, settings.embargo).count(len(market))
    counted = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    identity = settings.identity(market)
    folder = out / identity
    with claimed(folder):
        if fresh:
            shutil.rmtree(folder / "folds", ignore_errors=True)
        try:
            save_state(folder / "market", packed(market))
            _fit_all(settings, folder, jobs, folds, progress)
        finally:
            shutil.rmtree(folder / "market", ignore_errors=True)
        rows, ensemble = _judged(settings, market, folder, counted, trials)
        result = RunResult(identity, folder, settings, rows, ensemble)
        _write_all(result, market)
    return result


def _fit_all(settings: RunSettings, folder: Path, jobs: int, folds: int, progress: Progress | None) -> None:
    def watch() -> None:
        if progress is not None:
            for row in settings.walked:
                progress(row, len(list((folder / "folds" / row).glob("*/manifest.json"))), folds)

    # The slowest rows stand last in the table; begun first, they leave no process alone at the end.
    run_all(_walk_task, [_Task(str(folder), row, settings) for row in reversed(settings.walked)], jobs, watch)
    watch()


@final
@dataclass(frozen=True)
class _Task:
    """One row for a worker process: the folder with the market, and where its folds go."""

    folder: str
    row: str
    settings: RunSettings


def _walk_task(task: _Task) -> str | None:
    """In a worker: walk one row forward, leaving its folds on disk. Returns the message of an error that has one."""
    try:
        folder = Path(task.folder)
        _walk(task.settings, task.row, unpacked(load_state(folder / "market")), folder, Ledger(":memory:"))
    except TradewindError as error:
        return f"{task.row}: {error}"
    return None


def _walk(settings: RunSettings, row: str, market: Market, folder: Path, ledger: Ledger) -> Result:
    return walk_forward(
        settings.strategy(row), market, train=settings.train, test=settings.test, anchored=settings.anchored, embargo=settings.embargo,
        costs=settings.costs, seed=settings.seed, ledger=ledger, resume=folder / "folds" / row,
    )  # fmt: skip


def _judged(
    settings: RunSettings, market: Market, folder: Path, ledger: Ledger, trials: Trials | None
) -> tuple[tuple[Result, ...], EnsembleRow | None]:
    """Every row from its folds on disk, counted in the ledger, and judged beside all the others; and how the ensemble came about."""
    rows = {row: _walk(settings, row, market, folder, ledger) for row in settings.walked}
    members = {row: rows[row] for row in settings.mixed}
    made: dict[str, tuple[Targets, dict[str, Any]]] = {}
    if "mix" in settings.strategies:
        made["mix"] = mix_targets([each.targets for each in members.values()], [each.weights for each in members.values()]), {}
    ensemble = None
    if "ensemble" in settings.strategies:
        ensemble = ensemble_row(settings.ensemble, market, {row: each.account for row, each in members.items()})
        made["ensemble"] = ensemble.found.targets, {"preset": settings.preset, "config": settings.ensemble.to_dict()}
    for row, (wanted, chosen) in made.items():
        account = backtest(wanted, rows["hold"].market, settings.costs)
        ledger.note(digest({row: settings.identity(market)}), row, account.market, account.returns)
        own = {"members": list(members), **chosen}
        rows[row] = dataclasses.replace(next(iter(members.values())), name=row, settings=own, account=account, folds=())
    counted = trials if trials is not None else ledger.trials(rows["hold"].market)
    returns = {row: result.returns for row, result in rows.items() if row != "hold"}
    judged = []
    for row in settings.strategies:
        others = [series for name, series in returns.items() if name != row]
        alternatives = np.column_stack(others) if others and row != "hold" else None
        judged.append(dataclasses.replace(rows[row], trials=counted, alternatives=alternatives))
    return tuple(judged), ensemble


def _write_all(result: RunResult, market: Market) -> None:
    from tradewind.data.inspection import quality
    from tradewind.data.parquet import write_parquet

    tested, folder, settings, made = result.market, result.folder, result.settings, result.ensemble
    trials = result.rows[0].trials
    data = {
        "source": list(settings.data) or settings.market, "symbols": list(market.symbols), "timeframe": market.timeframe,
        "calendar": market.calendar, "bars": len(market), "digest": market.digest,
    }  # fmt: skip
    notes = quality(market).to_text()
    shared = {"id": result.id, "data": {**data, "source": None}, "trials": trials.to_dict(), "quality": notes.splitlines()}
    rows = {row.name: {key: value for key, value in row.to_dict().items() if key != "hold"} for row in result.rows}
    write_json(folder / "result.json", {**shared, "rows": rows, **({} if made is None else {"ensemble": made.to_dict()})})
    write_parquet(folder / "targets.parquet", long_frame(tested.open_time, tested.symbols, {row.name: row.targets for row in result.rows}))
    write(_page(result, {**data, "source": None}, notes), folder / "report.html")
    if made is not None:
        write_parquet(folder / "ensemble.parquet", made.to_frame())
    names = ("report.html", "result.json", "targets.parquet", *(() if made is None else ("ensemble.parquet",)))
    outputs = {name: sha256(read_bytes(folder / name)) for name in names}
    manifest = {
        "format": FORMAT, "id": result.id, "settings": settings.to_dict(), "data": data, "trials": trials.to_dict(),
        "versions": versions(), "source": package_digest(), "git": git_state(), "outputs": outputs,
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)


def _page(result: RunResult, data: Mapping[str, Any], notes: str) -> Page:
    tested, settings = result.market, result.settings
    trials = result.rows[0].trials.to_dict()
    provenance = {"run": result.id, "data": data, "trials": trials, "versions": versions(), "source": package_digest()}
    sections = {} if result.ensemble is None else {"Ensemble": _ensemble_section(result.ensemble, result)}
    return Page(
        f"{len(result.rows) - 1} strategies on {', '.join(tested.symbols)}",
        result.report_rows(),
        result.rows[0].windows, {**settings.to_dict(), "data": [Path(name).name for name in settings.data]}, provenance, notes, sections,
    )  # fmt: skip


def _ensemble_section(made: EnsembleRow, result: RunResult) -> str:
    rows = {row.name: row.account for row in result.rows}
    price, exposure = rows["hold"].equity / rows["hold"].capital, rows["ensemble"].weights.sum(axis=1)
    figures = ensemble_figures(made.found, result.market.open_time, price, exposure)
    return f"<p>{escape(made.hindsight())}</p>{figures}"
