"""Tuning a strategy: settings searched by walk-forward on the earlier part of a history, then judged once on a part that no trial saw.

Papers: Bergstra et al. (2011), the sampler, see `study`; Bailey & Lopez de Prado (2014), why the best of many must be deflated,
https://ssrn.com/abstract=2460551. Costs one walk-forward a trial, less for those that are pruned, and two over the hold-out.
Fails where the score is mostly luck: the best of a hundred is then the luckiest, which the hold-out shows and the verdict says.

The objective is the annual net Sharpe ratio over the test folds of the tuning part. Every trial, also one that is pruned (with the folds
that it lived through), is a trial in the ledger; the verdicts count all of them, on the hold-out too, where it is more than they owe.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

from tradewind.core.clock import SystemClock
from tradewind.core.errors import SettingsError, TradewindError
from tradewind.core.files import load_state, save_state
from tradewind.core.limits import fraction, whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.evaluate.identity import digest, identify
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.parallel import run_all
from tradewind.evaluate.result import Result
from tradewind.evaluate.splits import WalkForward
from tradewind.evaluate.tuning.search import Flat, flatten, merge, narrow, nest, told
from tradewind.evaluate.tuning.study import Budget, Pruned, Study, Trial, TrialRecord, available, begin, reasons
from tradewind.evaluate.tuning.tuned import Tuned, write_tuned
from tradewind.evaluate.walk_forward import walk_forward, windows
from tradewind.evaluate.workplace import claimed, packed, unpacked
from tradewind.simulate.costs import Costs
from tradewind.stats.metrics import sharpe
from tradewind.strategies import registry

__all__ = ["tune"]

Progress = Callable[[str, int, int], None]
_TRIALS: Final = "trials"


@final
@dataclass(frozen=True)
class _Plan:
    """What every trial of a study shares: the strategy with the settings that stay, the space, the windows in bars, costs and seed."""

    strategy: str
    fixed: Mapping[str, Any]
    space: Flat
    windows: WalkForward
    costs: Costs
    seed: int
    ledger: str

    def made(self, settings: Mapping[str, Any]) -> Any:
        """The strategy with `settings`, nested, on top of those that stay."""
        return registry.strategy(self.strategy, **merge(self.fixed, settings))

    def walk(self, settings: Mapping[str, Any], market: Market, ledger: Ledger, place: Path, **more: Any) -> Result:
        """Walk the strategy forward, keeping its folds in `place`/<digest of the settings>."""
        made, plan = self.made(settings), self.windows
        return walk_forward(
            made, market, train=plan.train, test=plan.test, anchored=plan.anchored, embargo=plan.embargo, costs=self.costs, seed=self.seed,
            ledger=ledger, resume=place / self.key(settings), **more,
        )  # fmt: skip

    def key(self, settings: Mapping[str, Any]) -> str:
        """The name of the folder that keeps the folds of these settings."""
        return digest(identify(self.made(settings)))[:16]


def tune(
    strategy: str,
    market: Market,
    *,
    search: Mapping[str, Any] | None = None,
    trials: int = 100,
    timeout: float = 3600.0,
    holdout: float = 0.25,
    train: str | int | None = None,
    test: str | int | None = None,
    embargo: str | int | None = None,
    anchored: bool = False,
    costs: Costs | None = None,
    seed: int = 0,
    out: str | Path = "tuning",
    study: str | None = None,
    jobs: int = 1,
    ledger: Ledger | str | Path | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Search the settings of the strategy called `strategy` and judge the best of them; the same call goes on where it was stopped.

    `search`: by dotted name a `Whole`, `Real` or `Choice` in the place of the space's own, or a value that stays. `trials`: in all, the
    untuned settings, pruned and failed ones among them; `timeout`: seconds of this call, 0 for no limit. `holdout`: the last fraction of
    the bars, which no trial sees. `train`, `test`, `embargo`, `anchored`: see `walk_forward`, on the bars before. `study`: its name in the
    folder `out`, by default made of the strategy and all that is asked. `jobs`: processes; with one, equal seeds give equal trials.
    `progress(name, done, total)` hears of trials.

    Raises SettingsError for what cannot be and for a strategy with nothing to tune, MissingExtra without Optuna, DataError for a folder
    that cannot be written or is in use, Corrupt for a damaged study, TradewindError when no trial finished, with every reason.
    """
    available()
    fraction(holdout=holdout)
    whole(jobs=jobs)
    require(isinstance(seed, int), f"seed is {seed!r}; it is a whole number")
    budget, counted = Budget(trials, timeout), ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    require(jobs == 1 or counted.path != ":memory:", "several processes need a ledger in a file; give one, or jobs=1")
    cut = len(market) - int(holdout * len(market))
    require(0 < cut < len(market), f"a hold-out of {holdout:g} leaves nothing of {len(market)} bars on one side; bring more bars")
    flat, fixed = _searched(strategy, search or {})
    plan = _Plan(
        strategy, nest(fixed), flat, windows(market[:cut], train, test, None, anchored, embargo), costs or Costs(), seed, counted.path
    )
    about = {
        "strategy": strategy, "fixed": fixed, "space": told(flat), "windows": asdict(plan.windows), "costs": plan.costs.to_dict(),
        "seed": seed, "holdout": holdout, "data": market.digest,
    }  # fmt: skip
    folder = Path(out) / (study or f"{strategy.replace(':', '.')}-{digest(about)[:12]}")
    with claimed(folder):
        notes = begin(folder, about)
        searched = Study(folder, flat, seed)
        searched.recover()
        _search(searched, plan, market[:cut], folder, budget, jobs, counted, progress)
        tuned = _judged(searched, plan, market, cut, folder, counted, notes, budget)
        write_tuned(tuned, about)
    return tuned


def _searched(strategy: str, search: Mapping[str, Any]) -> tuple[Flat, dict[str, Any]]:
    """The space and the fixed values. Raises SettingsError where nothing is left to search, or a fixed value cannot be."""
    parts = narrow(flatten(registry.space(strategy)), ())[0]
    given = {key: value for key, value in search.items() if key not in parts and "." not in key}
    # What stays may choose the space: another forecaster has other settings.
    plain = {key: value for key, value in given.items() if not dataclasses.is_dataclass(value)}
    flat, fixed = narrow(flatten(registry.space(strategy, **plain)), search.items())
    registry.strategy(strategy, **nest(fixed))
    if not flat:
        able = [name for name in registry.names() if registry.space(name)]
        raise SettingsError(f"{strategy!r} has no setting to search; those that have: {', '.join(able)}; a class of your own says `space`")
    return flat, fixed


def _search(
    study: Study, plan: _Plan, market: Market, folder: Path, budget: Budget, jobs: int, ledger: Ledger, progress: Progress | None
) -> None:
    def watch(records: list[TrialRecord]) -> None:
        if progress is not None:
            progress(plan.strategy, min(len(records), budget.trials), budget.trials)

    if jobs == 1:
        study.search(_objective(study, plan, market, folder, ledger), budget, watch)
        return
    clock = SystemClock()
    started = clock.monotonic()
    # The untuned settings first and alone, so that they are trial 0 whichever worker is quickest.
    study.search(_objective(study, plan, market, folder, ledger), dataclasses.replace(budget, trials=1), watch)
    left = budget.seconds - (clock.monotonic() - started)
    if budget.seconds and left <= 0:
        return
    rest = dataclasses.replace(budget, seconds=left if budget.seconds else 0.0)
    try:
        save_state(folder / "market", packed(market))
        run_all(_work, [_Task(str(folder), k + 1, plan, rest) for k in range(jobs)], jobs, lambda: watch(study.records()))
    finally:
        shutil.rmtree(folder / "market", ignore_errors=True)


@final
@dataclass(frozen=True)
class _Task:
    """The share of one worker: the study's folder, its own number, and what is left of the budget."""

    folder: str
    worker: int
    plan: _Plan
    budget: Budget


def _work(task: _Task) -> str | None:
    """In a worker: try settings until the budget is spent. Returns the message of an error that has one."""
    try:
        folder, plan = Path(task.folder), task.plan
        study = Study(folder, plan.space, plan.seed, worker=task.worker)
        with Ledger(plan.ledger) as ledger:
            market = unpacked(load_state(folder / "market"))
            study.search(_objective(study, plan, market, folder, ledger), task.budget)
    except TradewindError as error:
        return str(error)
    return None


def _objective(study: Study, plan: _Plan, market: Market, folder: Path, ledger: Ledger) -> Callable[[Trial], float]:
    last = plan.windows.count(len(market)) - 1

    def annual(returns: Array) -> float:
        ratio = sharpe(returns, market.periods_per_year)
        return ratio if math.isfinite(ratio) else 0.0  # it never traded: nothing earned, nothing risked

    def objective(trial: Trial) -> float:
        lived: list[Array] = []

        def watch(fold: int, returns: Array) -> None:
            lived[:] = [returns]
            if fold < last:
                trial.report(fold, annual(returns))

        try:
            result = plan.walk(trial.settings, market, ledger, folder / _TRIALS, watch=watch)
        except Pruned:
            _note_pruned(plan, trial.settings, market, lived[0], ledger)
            shutil.rmtree(folder / _TRIALS / plan.key(trial.settings), ignore_errors=True)
            raise
        score = annual(result.returns)
        _tidy(study, plan, trial, score, folder)
        return score

    return objective


def _note_pruned(plan: _Plan, settings: Mapping[str, Any], market: Market, returns: Array, ledger: Ledger) -> None:
    """A pruned trial was looked at all the same: it counts, with the bars that it lived through."""
    first = plan.windows.train
    who = identify(plan.made(settings))
    configuration = {
        "strategy": who,
        "windows": asdict(plan.windows),
        "costs": plan.costs.to_dict(),
        "seed": plan.seed,
        "pruned": len(returns),
    }
    ledger.note(digest(configuration), str(who["name"]), market[first : first + len(returns)], returns)


def _tidy(study: Study, plan: _Plan, trial: Trial, score: float, folder: Path) -> None:
    """Keep the folds of the untuned and of the best trial alone: the end reads them again."""
    best = study.best()
    if trial.number == 0 or best is None:
        return
    loser = trial.settings if score <= best.score else nest(best.settings)
    if loser:
        shutil.rmtree(folder / _TRIALS / plan.key(loser), ignore_errors=True)


def _judged(
    study: Study, plan: _Plan, market: Market, cut: int, folder: Path, ledger: Ledger, notes: tuple[str, ...], budget: Budget
) -> Tuned:
    """The untuned and the best settings over the tuning part, from their folds on disk, and over the hold-out."""
    records, best = study.records(), study.best()
    if best is None:
        why = reasons(records) or f"none finished within {budget.seconds:g} s; the same command goes on, with a longer --timeout"
        raise TradewindError(f"no trial finished: {why}")
    rows = {"untuned": {}, "tuned": nest(best.settings)} if best.number else {"untuned": {}}
    first = 0 if plan.windows.anchored else cut - plan.windows.train
    later = dataclasses.replace(
        plan, windows=dataclasses.replace(plan.windows, train=cut - first, test=min(plan.windows.test, len(market) - cut), step=None)
    )
    seen = {row: plan.walk(settings, market[:cut], ledger, folder / _TRIALS) for row, settings in rows.items()}
    unseen = {row: later.walk(settings, market[first:], ledger, folder / "holdout") for row, settings in rows.items()}
    # All bars at once: trials on the tuning part count on the hold-out too.
    counted = ledger.trials(market)
    tuning, judged = (
        {row: dataclasses.replace(result, name=row, trials=counted, alternatives=_others(results, row)) for row, result in results.items()}
        for results in (seen, unseen)
    )
    settings = merge(plan.fixed, nest(best.settings))
    return Tuned(folder, plan.strategy, settings, best, tuple(records), tuning, judged, study.importance(), notes)


def _others(results: Mapping[str, Result], row: str) -> Array | None:
    others = [result.returns for name, result in results.items() if name != row]
    return others[0][:, None] if others else None
