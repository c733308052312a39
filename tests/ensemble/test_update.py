"""Hot updates: what passes, what is refused, what a crash leaves, and the way back."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

import tradewind as tw
from strategies.markets import gappy, panel, same
from tradewind.core import files
from tradewind.core.errors import Corrupt, DataError, SettingsError
from tradewind.core.types import Target, View
from tradewind.engine import targets, walk
from tradewind.ensemble import update as updating
from tradewind.ensemble.ensemble import Ensemble
from tradewind.ensemble.update import Versions, hot_update
from tradewind.simulate.account import Book

PLAIN = {"history": 30, "meta_learning_enabled": False, "regime": None, "kelly_criterion_enabled": False}
MARKET = gappy(bars=360, symbols=2, missing=0.0)


class Learner(tw.Strategy):
    """Holds the side on which the market went while it was fitted; `wrong` holds the other one."""

    def __init__(self, wrong: bool = False, broken: bool = False) -> None:
        self.wrong, self.broken, self.side = wrong, broken, 0.0

    def fit(self, market: tw.Market) -> Learner:
        moved = np.log(market.close[-1] / market.close[-60])
        self.side = float(np.sign(np.nansum(moved))) * (-1.0 if self.wrong else 1.0)
        return self

    def decide(self, view: View) -> Target:
        if self.broken and len(view.market) > 250:
            raise ValueError("cannot any more")
        return Target(np.full(len(view.market.symbols), 0.4 * self.side))


def turning() -> tw.Market:
    """Falls, and rises from bar 180 on: one that was fitted before the turn is wrong after it."""
    drift = np.where(np.arange(360) < 180, -0.004, 0.004)[:, None]
    close = 100.0 * np.exp(np.cumsum(drift + 0.002 * np.random.default_rng(2).standard_normal((360, 2)), axis=0))
    return panel(close)


def fitted(market: tw.Market, *members: object) -> Ensemble:
    return Ensemble(members=members or (Learner(), Learner(), Learner()), **PLAIN).fit(market[:150])


def test_a_better_fit_is_swapped_in_and_goes_on(tmp_path: Path) -> None:
    market = turning()
    old = fitted(market)
    before = copy.deepcopy(old)
    done = hot_update(old, market[:350], tmp_path)
    assert done.swapped and done.gained > 0 and "not worse" in done.reason
    assert [member.side for member in old.members] == [1.0] * 3
    # What is in place is the candidate, which has lived through the exam: it decides as one that was fitted then and has lived since.
    candidate = copy.deepcopy(before).fit(market[:280])
    book = Book(market.symbols, candidate.costs)
    expected = walk(candidate, market[:350], book, 280)
    same(targets(old, market[:350], book, 280), expected)
    lived = book.copy()
    lived.advance(market[:350], np.where(np.arange(350)[:, None] < 280, np.nan, expected))
    same(walk(old, market, lived, 350), walk(candidate, market, lived, 350))


def test_a_worse_fit_is_left_out_and_nothing_changes(tmp_path: Path) -> None:
    market = turning()
    old = fitted(market, Learner(wrong=True), Learner(wrong=True), Learner(wrong=True))
    state = old.state()
    done = hot_update(old, market, tmp_path)
    assert not done.swapped and done.gained < 0 and "worse" in done.reason
    assert old.state() == state
    assert Versions(tmp_path).numbers == [] and done.version is None


def test_a_tolerance_lets_by_what_may_be_chance() -> None:
    market = turning()
    old = fitted(market, Learner(wrong=True), Learner(wrong=True), Learner(wrong=True))
    refused = hot_update(old, market, tolerance=1.0)
    assert not refused.swapped and refused.gained < -refused.error < 0
    assert hot_update(old, market, tolerance=0.1 - refused.gained / refused.error).swapped


def test_a_candidate_that_fails_is_left_out() -> None:
    market = turning()
    old = fitted(market, Learner(broken=True), Learner(), Learner(), Learner())
    state = old.state()
    done = hot_update(old, market)
    assert not done.swapped and "cannot any more" in done.reason and np.isnan(done.gained)
    assert old.state() == state


def test_a_candidate_that_cannot_be_fitted_is_left_out() -> None:
    class Fails(Learner):
        def fit(self, market: tw.Market) -> Fails:
            if len(market) > 200:
                raise DataError("too much")
            return self

    market = turning()
    old = fitted(market, Fails(), Fails(), Fails())
    state = old.state()
    done = hot_update(old, market)
    assert not done.swapped and "too much" in done.reason
    assert old.state() == state


def test_versions_before_and_after_are_kept_and_lead_back(tmp_path: Path) -> None:
    market = turning()
    old = fitted(market)
    state = old.state()
    done = hot_update(old, market[:350], tmp_path)
    versions = Versions(tmp_path)
    assert versions.numbers == [1, 2] and versions.current == done.version == 2
    assert versions.load() == old.state() and versions.load(1) == state
    assert versions.roll_back() == 1
    assert fitted(market).restore(versions.load()).state() == state
    with pytest.raises(DataError, match="no version before"):
        versions.roll_back()


def test_a_swap_that_fails_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = turning()
    old = fitted(market)
    state, restore, calls = old.state(), Ensemble.restore, []

    def once(self: Ensemble, saved: tw.State) -> Ensemble:
        calls.append(saved)
        restore(self, saved)
        if len(calls) == 1:
            raise MemoryError
        return self

    monkeypatch.setattr(Ensemble, "restore", once)
    with pytest.raises(MemoryError):
        hot_update(old, market, tmp_path)
    assert len(calls) == 2 and old.state() == state
    assert Versions(tmp_path).load() == state


@pytest.mark.parametrize("moment", range(8))
def test_a_crash_at_any_write_leaves_the_old_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Every file that an update writes once there is a version: two states of three files each, then the pointer."""
    market = turning()
    old = fitted(market)
    versions = Versions(tmp_path)
    versions.choose(versions.save(old.state()))
    state, writes = old.state(), []
    write_with = files.write_with

    def dies(path: object, fill: object) -> object:
        writes.append(path)
        if len(writes) > moment:
            raise KeyboardInterrupt
        return write_with(path, fill)

    monkeypatch.setattr(files, "write_with", dies)
    if moment < 7:
        with pytest.raises(KeyboardInterrupt):
            hot_update(old, market, versions)
    else:
        assert hot_update(old, market, versions).swapped
    monkeypatch.undo()
    kept = Versions(tmp_path)
    assert (kept.load() == state) is (moment < 7)
    assert kept.current == (1 if moment < 7 else 3)
    assert kept.save(state) > max(kept.numbers[:-1])


def test_only_the_newest_versions_are_kept(tmp_path: Path) -> None:
    versions = Versions(tmp_path, keep=2)
    for number in range(1, 6):
        assert versions.save(tw.State({"number": number})) == number
        versions.choose(number)
    assert versions.numbers == [4, 5]
    versions.choose(4)
    assert (versions.save(tw.State()), versions.save(tw.State())) == (6, 7)
    versions.choose(4)
    assert versions.numbers == [4, 6, 7] and versions.load().values["number"] == 4


def test_damage_is_told(tmp_path: Path) -> None:
    versions = Versions(tmp_path)
    with pytest.raises(DataError, match="no version that counts"):
        versions.load()
    versions.choose(versions.save(tw.State({"a": 1})))
    (tmp_path / "000001" / "state.json").write_text("{}")
    with pytest.raises(Corrupt):
        versions.load()
    (tmp_path / "000001" / "manifest.json").unlink()
    with pytest.raises(DataError, match="names version 1, and there are"):
        versions.load()
    with pytest.raises(SettingsError, match="no version 4"):
        versions.choose(4)


def test_settings_have_limits() -> None:
    old = fitted(MARKET)
    for wrong in ({"exam": 0.0}, {"exam": 1.0}, {"tolerance": -1.0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            hot_update(old, MARKET, **wrong)
    with pytest.raises(SettingsError, match="exam has"):
        hot_update(old, MARKET[:4], exam=0.2)
    with pytest.raises(SettingsError, match="keep"):
        Versions("nowhere", keep=1)
    assert updating.hot_update is hot_update
