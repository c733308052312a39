"""`hot_update`: a new fit of an ensemble, proven on a copy before it takes the old one's place, and `Versions`, its backups on disk.

The candidate is a copy fitted on all bars but the newest, the exam; on those both trade, the candidate bar by bar, as it would live. Both
begin the exam flat, with the weights that their fits taught. The candidate is swapped in when it has no more faults than the one in place
and its mean net return over the exam is not below that one's by more than `tolerance` standard errors of the difference (paired stationary
bootstrap). Before the swap the one in place is saved as a version of its own; if the swap fails, it is put back. Which version counts is
said by one small file that is renamed into place: a crash before that leaves the old one, a crash after it the new.

Source: champion and challenger, as in Breck et al. (2017), "The ML test score", https://doi.org/10.1109/BigData.2017.8258038; the bootstrap
is that of Politis & Romano (1994), https://doi.org/10.1080/01621459.1994.10476870. Costs a fit and two passes over the exam. Fails to see a
candidate that is worse on other bars than those of the exam, and with a tolerance lets by what chance made look as good.
"""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np

from tradewind.core.errors import DataError, TradewindError
from tradewind.core.files import load_state, read_json, save_state, write_json
from tradewind.core.limits import fraction, number, whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, State
from tradewind.engine import backtest, targets, walk
from tradewind.ensemble.ensemble import Ensemble
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.stats.bootstrap import bootstrap_means

__all__ = ["Update", "Versions", "hot_update"]

_POINTER: Final = "current.json"


@final
class Versions:
    """States of one ensemble in `folder`, numbered from 1 on, the newest `keep` of them, and which of them counts."""

    def __init__(self, folder: str | Path, keep: int = 5) -> None:
        whole(2, keep=keep)
        self.folder, self.keep = Path(folder), keep

    @property
    def numbers(self) -> list[int]:
        """The versions that are whole, oldest first: one whose writing was cut short is none."""
        return sorted(int(place.parent.name) for place in self.folder.glob("[0-9]*/manifest.json"))

    @property
    def current(self) -> int | None:
        """The version that counts; None before there is one. Raises DataError when it is named and not there."""
        if not (self.folder / _POINTER).exists():
            return None
        named = int(read_json(self.folder / _POINTER)["version"])
        if named not in self.numbers:
            raise DataError(
                f"{self.folder / _POINTER} names version {named}, and there are {self.numbers}; choose one of them with `choose`"
            )
        return named

    def save(self, state: State) -> int:
        """Write `state` as a new version, which does not count yet; its number."""
        # Above everything there is, even what was cut short: a number never means two things.
        taken = [int(place.name) for place in self.folder.glob("[0-9]*")]
        version = max(taken, default=0) + 1
        save_state(self.folder / f"{version:06d}", state)
        return version

    def choose(self, version: int) -> None:
        """From now on `version` counts; all but the newest few and it are forgotten. Raises SettingsError when it is not there."""
        require(version in self.numbers, f"there is no version {version} in {self.folder}; there are {self.numbers}")
        write_json(self.folder / _POINTER, {"version": version})
        for old in [each for each in self.numbers[: -self.keep] if each != version]:
            shutil.rmtree(self.folder / f"{old:06d}", ignore_errors=True)

    def load(self, version: int | None = None) -> State:
        """The state of a version, by default of the one that counts. Raises DataError when there is none, Corrupt when it is damaged."""
        chosen = self.current if version is None else version
        if chosen is None:
            raise DataError(f"{self.folder} holds no version that counts; save one and choose it")
        return load_state(self.folder / f"{chosen:06d}")

    def roll_back(self) -> int:
        """Let the version before the one that counts count again; its number. Raises DataError when there is none before it."""
        now = self.current
        before = [version for version in self.numbers if now is not None and version < now]
        if not before:
            raise DataError(f"{self.folder} holds no version before the one that counts")
        self.choose(before[-1])
        return before[-1]


@final
@dataclass(frozen=True)
class Update:
    """What came of an update: whether it was `swapped`, the `reason` in words, and the `version` that counts now, None without versions.

    `gained`: mean net return a bar of the candidate over the exam less that of the one in place; `error`: its standard error. NaN where
    there was no candidate to judge.
    """

    swapped: bool
    reason: str
    version: int | None
    gained: float
    error: float


def hot_update(
    ensemble: Ensemble,
    market: Market,
    versions: Versions | str | Path | None = None,
    *,
    exam: float = 0.2,
    tolerance: float = 0.0,
    costs: Costs | None = None,
    seed: int = 0,
) -> Update:
    """Fit a copy of `ensemble` on `market` but for the newest share `exam` of it, and swap it in if it passes.

    `ensemble` is fitted already, on other bars than the exam's, and is changed by the swap alone, so that it may go on deciding until then.
    `versions`: where the states before and after are kept, or their folder; None keeps none. `costs` of the exam, by default those of the
    members' accounts. `seed`: of the bootstrap.

    Raises SettingsError for settings out of range and a market too short to examine anything on.
    """
    fraction(exam=exam)
    number(positive=False, tolerance=tolerance)
    start = len(market) - round(len(market) * exam)
    require(len(market) - start >= 2, f"the exam has {len(market) - start} of {len(market)} bars; at least 2 are needed: give more bars")
    kept = Versions(versions) if isinstance(versions, str | Path) else versions
    paid = ensemble.costs if costs is None else costs
    try:
        candidate = copy.deepcopy(ensemble).fit(market[:start])
        # Bar by bar: the way it would live, and afterwards it has lived through the exam.
        wanted = walk(candidate, market, Book(market.symbols, paid), start)
    except TradewindError as error:
        return Update(False, f"the candidate failed: {error}", _current(kept), float("nan"), float("nan"))
    faults = sorted(set(candidate.faults) - set(ensemble.faults))
    if faults:
        told = "; ".join(f"{name}: {candidate.faults[name]}" for name in faults)
        return Update(False, f"the candidate has members that fail ({told})", _current(kept), float("nan"), float("nan"))
    before = targets(copy.deepcopy(ensemble), market, Book(market.symbols, paid), start)
    ahead = _returns(wanted, market, start, paid) - _returns(before, market, start, paid)
    gained, error_of = float(ahead.mean()), float(bootstrap_means(ahead[:, None], seed=seed).std())
    told = f"a bar it earned {1e4 * gained:+.3f} basis points more than the one in place, give or take {1e4 * error_of:.3f}"
    if gained < -tolerance * error_of:
        return Update(False, f"the candidate is worse on {len(ahead)} bars: {told}", _current(kept), gained, error_of)
    _swap(ensemble, candidate, kept)
    return Update(True, f"the candidate is not worse on {len(ahead)} bars: {told}", _current(kept), gained, error_of)


def _swap(ensemble: Ensemble, candidate: Ensemble, versions: Versions | None) -> None:
    backup, new = ensemble.state(), candidate.state()
    if versions is not None:
        if versions.current is None:
            versions.choose(versions.save(backup))
        else:
            versions.save(backup)
        version = versions.save(new)
    try:
        ensemble.restore(new)
    except BaseException:
        ensemble.restore(backup)
        raise
    if versions is not None:
        versions.choose(version)


def _returns(wanted: Array, market: Market, start: int, costs: Costs) -> Array:
    return backtest(np.asarray(wanted)[start:], market[start:], costs).returns


def _current(versions: Versions | None) -> int | None:
    return None if versions is None else versions.current
