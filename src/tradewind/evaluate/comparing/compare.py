"""Forecasters side by side: every one walked forward over the same bars, scored, tested against the naive, and traded alike.

Papers: Diebold & Mariano (1995) https://doi.org/10.1080/07350015.1995.10524599 for the tests; `evaluate/forecast_scores` has those of the
scores. A comparison lives in `runs/compare-<id>`, where the id is the hash of its settings and data: the same command takes it up again.
Costs what the fits cost, times the seeds. Fails to say which forecaster will be best: the best of many on one record is partly lucky,
which the deflated Sharpe ratio counts and the plain scores do not.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np

from tradewind.core.errors import DataError, MissingExtra, SettingsError, TradewindError
from tradewind.core.files import load_state, read_json, save_state, write_json
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, Labels
from tradewind.engine import backtest
from tradewind.evaluate.comparing.comparison import Comparison, Entry
from tradewind.evaluate.comparing.forecasts import Forecasts, forecast_forward
from tradewind.evaluate.comparing.plan import REFERENCES, CompareSettings
from tradewind.evaluate.comparing.report import write_all
from tradewind.evaluate.comparing.scores import Score, Truth, losses, scores
from tradewind.evaluate.identity import digest
from tradewind.evaluate.ledger import Ledger, Trials
from tradewind.evaluate.parallel import run_all
from tradewind.evaluate.plan import load_market
from tradewind.evaluate.result import Result
from tradewind.evaluate.splits import WalkForward
from tradewind.evaluate.walk_forward import windows
from tradewind.evaluate.workplace import claimed, packed, unpacked
from tradewind.simulate.account import Book
from tradewind.stats.bootstrap import bootstrap_sharpes
from tradewind.stats.comparison import diebold_mariano
from tradewind.strategies.registry import strategy

__all__ = ["compare"]

Progress = Callable[[str, int, int], None]
_REFUSED: Final = "refused.json"
_DRAWS: Final = 2000


def compare(
    settings: CompareSettings,
    out: str | Path = "runs",
    *,
    jobs: int = 2,
    fresh: bool = False,
    ledger: Ledger | str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare forecasters and write `compare.html` and `compare.json` into `out`/compare-<id>.

    `jobs`: processes, which change the time alone. `fresh`: fit again what is already there. `ledger`: where every account is counted as a
    trial, by default the user's. `progress(row, done, folds)` is called as folds finish. A forecaster that refuses the label, or whose
    package is not installed, is listed with its reason; the others go on. Raises SettingsError, DataError and the other errors of
    tradewind, DataError too when nobody but the references answered; what is finished is taken up by the same call.
    """
    require(isinstance(jobs, int) and jobs >= 1, f"jobs is {jobs!r}; it is a number of processes, at least 1")
    market = load_market(settings.bars)
    plan = windows(market, settings.train, settings.test, None, settings.anchored, settings.embargo)
    counted = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    identity = settings.identity(market)
    folder = Path(out) / f"compare-{identity}"
    with claimed(folder):
        if fresh:
            shutil.rmtree(folder / "folds", ignore_errors=True)
        refused = _walk_all(settings, market, plan, folder, jobs, progress)
        result = _judged(identity, settings, market, plan, folder, counted, refused)
        write_all(result, market)
    return result


# -- walking ------------------------------------------------------------------------------------------------------------
@final
@dataclass(frozen=True)
class _Task:
    """One row under one seed for a worker process: the folder with the market, and where its folds go."""

    folder: str
    row: str
    seed: int
    settings: CompareSettings
    plan: WalkForward

    @property
    def place(self) -> Path:
        return Path(self.folder) / "folds" / self.row / str(self.seed)


def _walk_all(
    settings: CompareSettings, market: Market, plan: WalkForward, folder: Path, jobs: int, progress: Progress | None
) -> dict[str, str]:
    """Every row under every seed, leaving folds on disk. Returns the rows that refused, with their reasons."""
    refused, tasks = {}, []
    for row in settings.forecasters:
        try:
            seeds = settings.seeds_of(row)
        except MissingExtra as error:
            refused[row] = str(error)
            continue
        tasks += [_Task(str(folder), row, seed, settings, plan) for seed in seeds]
    folds = plan.count(len(market))

    def watch() -> None:
        for task in tasks if progress is not None else ():
            assert progress is not None
            progress(f"{task.row} {task.seed}", len(list(task.place.glob("*/manifest.json"))), folds)

    try:
        save_state(folder / "market", packed(market))
        # The slowest rows stand last in the table; begun first, they leave no process alone at the end.
        run_all(_walk_task, tasks[::-1], jobs, watch)
        watch()
    finally:
        shutil.rmtree(folder / "market", ignore_errors=True)
    for task in tasks:
        if (task.place / _REFUSED).exists():
            refused[task.row] = str(read_json(task.place / _REFUSED)["reason"])
    for row in REFERENCES:
        # They look at nothing but the label, so what stops them stops all.
        require(row not in refused, refused.get(row, ""))
    told = "; ".join(f"{row}: {reason}" for row, reason in refused.items())
    require(
        settings.forecasters == REFERENCES or not set(settings.forecasters) <= {*REFERENCES, *refused}, f"no forecaster answered: {told}"
    )
    return refused


def _walk_task(task: _Task) -> str | None:
    """In a worker: walk one row forward. What the forecaster refuses is written down; the message of any other error is returned."""
    try:
        (task.place / _REFUSED).unlink(missing_ok=True)
        _walk(task, unpacked(load_state(Path(task.folder) / "market")))
    except (SettingsError, MissingExtra, DataError) as error:
        write_json(task.place / _REFUSED, {"reason": str(error)})
    except TradewindError as error:
        return f"{task.row}: {error}"
    return None


def _walk(task: _Task, market: Market) -> Forecasts:
    return forecast_forward(task.settings.question(task.row), market, task.plan, seed=task.seed, resume=task.place)


# -- judging ------------------------------------------------------------------------------------------------------------
def _judged(
    identity: str, settings: CompareSettings, market: Market, plan: WalkForward, folder: Path, ledger: Ledger, refused: dict[str, str]
) -> Comparison:
    kept = [row for row in settings.forecasters if row not in refused]
    walked = {row: tuple(_walk(_Task(str(folder), row, seed, settings, plan), market) for seed in settings.seeds_of(row)) for row in kept}
    tested = walked[REFERENCES[0]][0].market
    truth = _truth(settings, market, len(market) - len(tested), walked)
    accounts = {row: tuple(_traded(settings, plan, each, ledger) for each in found) for row, found in walked.items()}
    trials = ledger.trials(tested)
    hold = backtest(strategy("hold"), tested, settings.bars.costs)
    rows = []
    for row, found in walked.items():
        others = np.column_stack([results[0].returns for name, results in accounts.items() if name != row])
        judged = tuple(dataclasses.replace(result, trials=trials, alternatives=others) for result in accounts[row])
        lost = np.mean([losses(each.forecast, truth) for each in found], axis=0)
        measured = {**scores([each.forecast for each in found], truth, settings.seed), "net Sharpe": _net_sharpe(judged, settings.seed)}
        rows.append(Entry(row, found, judged, measured, _answered(found, truth), lost))
    classes = truth.labels.classes
    reference = REFERENCES[1] if classes else REFERENCES[0]
    pairs = _pairs(rows, truth.labels.horizon)
    column = next(k for k, row in enumerate(rows) if row.name == reference)
    rows = [dataclasses.replace(row, p_reference=float(pairs[k, column])) for k, row in enumerate(rows)]
    came = truth.labels.values[truth.judged]
    frequent = max(float(np.mean(came == code)) for code in classes) if classes else float("nan")
    return Comparison(
        identity, folder, settings, tested, truth, tuple(rows), hold, trials, pairs, reference, frequent, int(truth.judged.sum()), refused
    )


def _truth(settings: CompareSettings, market: Market, first: int, walked: Mapping[str, tuple[Forecasts, ...]]) -> Truth:
    """What came in the test parts, judged where every row has an answer, so that all are judged by the same cells."""
    labels: Labels = settings.question(REFERENCES[0]).answers(market)
    later = np.take_along_axis(market.close, np.maximum(labels.end, 0), axis=0)
    realised = np.where(labels.end >= 0, later / market.close - 1.0, np.nan)[first:]
    tested = labels[first:]
    judged = np.isfinite(tested.values) & np.isfinite(realised)
    open_cells = judged.copy()
    for found in walked.values():
        for each in found:
            judged &= each.answered
    if not judged.any():
        silent = [row for row, found in walked.items() if not (open_cells & found[0].answered).any()]
        raise DataError(
            f"no bar was answered by every forecaster; {', '.join(silent) or 'they'} answered none; leave out or give more bars"
        )
    return Truth(tested, realised, judged)


def _answered(found: tuple[Forecasts, ...], truth: Truth) -> float:
    asked = np.isfinite(truth.labels.values)
    return float(np.mean([each.answered[asked].mean() for each in found]))


def _traded(settings: CompareSettings, plan: WalkForward, found: Forecasts, ledger: Ledger) -> Result:
    """The account of a forecaster's answers under the policy of the comparison, counted in the ledger."""
    policy, costs = settings.policy(found.forecast.probabilities is not None), settings.bars.costs
    book = Book(found.market.symbols, costs)
    account = backtest(policy.walk(policy.desired(found.forecast), found.market, book), found.market, costs)
    told = {"question": found.question.to_dict(), "policy": dataclasses.asdict(policy)}
    windows_of = dataclasses.asdict(plan)
    ledger.note(
        digest({**told, "windows": windows_of, "costs": costs.to_dict(), "seed": found.seed}), found.question.forecaster, found.market,
        account.returns,
    )  # fmt: skip
    return Result(found.question.forecaster, told, account, (), Trials(1, 0.0), found.seed)


def _net_sharpe(results: tuple[Result, ...], seed: int) -> Score:
    year = results[0].market.periods_per_year ** 0.5
    values = [result.metrics["sharpe"] for result in results]
    drawn = bootstrap_sharpes(np.column_stack([result.returns for result in results]), _DRAWS, None, seed).mean(axis=1) * year
    low, high = np.quantile(drawn, [0.05, 0.95])
    return Score(float(np.mean(values)), float(low), float(high), min(values), max(values), len(values))


def _pairs(rows: list[Entry], horizon: int) -> Array:
    found = np.full((len(rows), len(rows)), np.nan)
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            if i != j:
                # Overlap alone misses other correlation, and tapered lags make too little of overlap: the more careful of the two.
                tests = [diebold_mariano(one.losses, other.losses, horizon, bandwidth) for bandwidth in ("horizon", "automatic")]
                found[i, j] = min(tests, key=lambda test: abs(test.statistic)).p_better
    return found
