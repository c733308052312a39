"""Walk-forward: fit on the past, trade the part that follows, move on; one account lives through all test parts.

Source: Pardo (1992), "Design, Testing, and Optimization of Trading Systems"; purge and embargo after López de Prado (2018), chapter 7.
Costs one fit for each `refit_every` folds and one pass over the history for each fold. Fails when the windows were chosen by their result:
the ledger counts what was evaluated here, not what was thought of elsewhere.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from tradewind.core.clock import SystemClock
from tradewind.core.errors import SettingsError
from tradewind.core.market import Market
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.types import Array, Targets
from tradewind.engine import backtest
from tradewind.engine import targets as decide_targets
from tradewind.evaluate.folds import FoldStore
from tradewind.evaluate.identity import digest, identify, package_digest
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.result import FoldRecord, Result
from tradewind.evaluate.splits import Fold, WalkForward
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies.base import Strategy

__all__ = ["walk_forward", "windows"]

Progress = Callable[[int, int], None]
Watch = Callable[[int, Array], None]
PARTS: Final = 8
"""Test parts when no windows are given: a third of the history trains, the rest is tested in eight."""


def windows(
    market: Market,
    train: str | int | None = None,
    test: str | int | None = None,
    step: str | int | None = None,
    anchored: bool = False,
    embargo: str | int | None = None,
) -> WalkForward:
    """The windows of a walk-forward in whole bars, from durations such as `30d` or bars; see `walk_forward` for those not given.

    Raises SettingsError, saying how many bars there are, for windows that do not fit the market.
    """
    n = len(market)
    span = f"the market has {n} bars of {market.timeframe}"
    require(n >= 3, f"{span}; a walk-forward needs at least 3: one to train on and two to test")
    trained = _bars(market, "train", train, max(1, n // 3))
    kept = _bars(market, "embargo", embargo, min(1, trained - 1), least=0)
    tested = _bars(market, "test", test, max(1, -(-(n - trained) // PARTS)))
    moved = _bars(market, "step", step, tested)
    require(trained + tested <= n, f"train {trained} + test {tested} bars are more than there are: {span}; choose shorter windows")
    require(kept < trained, f"embargo {kept} leaves nothing of the {trained} bars to train on; {span}")
    require(moved == tested, f"step is {moved} bars and test {tested}: one account trades every bar once, so they must be equal; {span}")
    return WalkForward(trained, tested, moved, bool(anchored), kept)


def walk_forward(
    strategy: Any,
    market: Market,
    *,
    train: str | int | None = None,
    test: str | int | None = None,
    step: str | int | None = None,
    anchored: bool = False,
    embargo: str | int | None = None,
    costs: Costs | None = None,
    seed: int = 0,
    ledger: Ledger | str | Path | None = None,
    capital: float = 1.0,
    progress: Progress | None = None,
    resume: str | Path | None = None,
    watch: Watch | None = None,
) -> Result:
    """Fit and test a strategy on the parts of a history in order, and say what it earned out of sample.

    `strategy`: anything with `warmup` and `decide`; it is copied, and stays as it was. `train`, `test`, `step`: durations such as `30d` or
    whole bars; by default a third of the history, an eighth of the rest, and the test part, which is the only step that one account can
    take. `embargo`: bars at the end of the training part that are left out, by default 1. Labels need none: the training part is cut before
    they are made, so one that looks past its end does not exist, at any horizon. `anchored`: train on everything before. `ledger`: where
    the trial is counted, by default the user's. `progress(done, folds)` is called as folds finish. `resume`: a folder that keeps folds
    and fits; the same call reads them instead of fitting again, and gives the same result. `watch(fold, returns)` is called after each fold
    with the net returns (time,) of all test bars so far; what it raises ends the walk.

    Raises SettingsError for impossible windows or settings, DataError for targets that cannot be or a ledger that cannot be written.
    """
    require(
        hasattr(strategy, "decide") and hasattr(strategy, "warmup"), f"{strategy!r} is no strategy: it needs `warmup` and `decide(view)`"
    )
    require(costs is None or isinstance(costs, Costs), f"costs is {costs!r}; write tradewind.Costs(fee_bps=10, slippage_bps=2)")
    plan = windows(market, train, test, step, anchored, embargo)
    account = costs if costs is not None else Costs()
    who = identify(strategy)
    configuration = {"strategy": who, "windows": asdict(plan), "costs": account.to_dict(), "seed": int(seed)}
    key = digest({**configuration, "market": market.digest, "capital": float(capital), "package": package_digest()})
    store = None if resume is None else FoldStore(Path(resume), key)
    book = Book(market.symbols, account, capital)
    parts = list(plan.split(len(market)))
    wanted, folds = _Walk(strategy, market, book, int(seed), store).through(parts, progress, watch)
    tested = backtest(wanted, market[parts[0].test.start :], account, capital)
    with _opened(ledger) as counted:
        counted.note(digest(configuration), str(who["name"]), tested.market, tested.returns)
        trials = counted.trials(tested.market)
    return Result(str(who["name"]), who["settings"], tested, tuple(folds), trials, int(seed))


@final
class _Walk:
    """The walk itself: the book and the fitted strategy that live from fold to fold."""

    def __init__(self, strategy: Any, market: Market, book: Book, seed: int, store: FoldStore | None) -> None:
        self._pristine, self._market, self._book, self._seed, self._store = strategy, market, book, seed, store
        self._every = _refit_every(strategy)
        # The hook of the abstract class learns nothing, so a report need not say that it was called.
        self._learns = getattr(type(strategy), "fit", Strategy.fit) is not Strategy.fit
        self._online = int(getattr(strategy, "horizon", 0)) > 0
        self._fitted: Any = None

    def through(self, parts: list[Fold], progress: Progress | None, watch: Watch | None) -> tuple[Targets, list[FoldRecord]]:
        """Every fold in order: (time, symbol) targets of the test parts, joined, and what each fold did."""
        finished = self._finished(parts)
        joined, lived, folds = [], [], []
        for k, (train, test) in enumerate(parts):
            seconds = 0.0
            if k < len(finished):
                decided = finished[k]
            else:
                seconds = self._fit(k, train)
                decided = decide_targets(self._fitted, self._market[: test.stop], self._book, start=test.start)[test]
                if self._store is not None:
                    self._store.keep(k, decided)
            lived.append(self._book.advance(self._market[test], decided).equity)
            joined.append(decided)
            folds.append(FoldRecord((train.start, train.stop), (test.start, test.stop), self._learns and k % self._every == 0, seconds))
            if progress is not None:
                progress(k + 1, len(parts))
            if watch is not None:
                watch(k, _returns(np.concatenate(lived)))
        return np.concatenate(joined), folds

    def _finished(self, parts: list[Fold]) -> list[Targets]:
        kept: list[Targets] = []
        if self._store is not None:
            for k, (_, test) in enumerate(parts):
                decided = self._store.targets(k, (test.stop - test.start, len(self._market.symbols)))
                if decided is None:
                    break
                kept.append(decided)
        if len(kept) == len(parts) or len(kept) % self._every == 0:
            return kept
        # Inside a group of folds that share a fit. What was fitted is on disk, what was learned from outcomes since then is not.
        begun = len(kept) - len(kept) % self._every
        assert self._store is not None, "folds were read from it"
        self._fitted = None if self._online else self._store.fit(begun, self._pristine)
        return kept if self._fitted is not None else kept[:begun]

    def _fit(self, fold: int, train: slice) -> float:
        seconds = 0.0 if fold % self._every else self._fit_anew(fold, train)
        if self._store is not None and (self._online or fold % self._every == 0):
            self._store.keep_fit(fold, self._fitted)
        return seconds

    def _fit_anew(self, fold: int, train: slice) -> float:
        clock = SystemClock()
        started = clock.monotonic()
        fresh = copy.deepcopy(self._pristine)
        if hasattr(fresh, "reseed"):
            fresh.reseed(derive(self._seed, "fold", fold))
        fitted = fresh.fit(self._market[train]) if hasattr(fresh, "fit") else fresh
        self._fitted = fresh if fitted is None else fitted
        return clock.monotonic() - started


def _returns(equity: Array) -> Array:
    """(time,) simple return of each bar, as `Backtest.returns` counts them."""
    change = np.zeros(len(equity))
    np.divide(np.diff(equity), equity[:-1], out=change[1:], where=equity[:-1] > 0)
    return change


def _refit_every(strategy: Any) -> int:
    every = getattr(strategy, "refit_every", 1)
    require(isinstance(every, int) and every >= 1, f"refit_every is {every!r}; it is a whole number of folds, at least 1")
    return int(every)


def _bars(market: Market, name: str, value: str | int | None, default: int, least: int = 1) -> int:
    if value is None:
        return default
    if isinstance(value, str):
        return market.bars(value)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SettingsError(
            f"{name} is {value!r}; write a duration such as '30d' or whole bars, at least {least}; the market has {len(market)} bars"
        )
    return int(value)


def _opened(ledger: Ledger | str | Path | None) -> AbstractContextManager[Ledger]:
    return nullcontext(ledger) if isinstance(ledger, Ledger) else Ledger(ledger)
