from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import Corrupt, DataError
from tradewind.core.market import Market
from tradewind.core.types import Outcome, State, Target, View
from tradewind.evaluate.folds import FoldStore, fit_of, key_of
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.walk_forward import walk_forward

from .small import Bare, Learner, market


class Pupil(tw.Strategy):
    """Adds up the outcomes that it is taught."""

    horizon = 2

    def __init__(self) -> None:
        self.total = 0.0

    def learn(self, outcome: Outcome) -> None:
        self.total += float(outcome.returns[0])

    def decide(self, view: View) -> Target:
        return Target(np.array([np.tanh(self.total)]))


class Mute(tw.Strategy):
    """Cannot say what it has learned."""

    def fit(self, shown: Market) -> Mute:
        self.last = lambda: float(shown.close[-1, 0])
        return self

    def decide(self, view: View) -> Target:
        return Target(np.array([1.0 if view.market.close[-1, 0] > self.last() else 0.0]))


class Dropped(Exception):
    pass


def _walk(strategy: object, folder: Path | None, stop: int | None = None) -> tw.Result:
    def progress(done: int, total: int) -> None:
        if done == stop:
            raise Dropped

    return walk_forward(strategy, market(), train=60, test=30, ledger=Ledger(":memory:"), resume=folder, progress=progress)


def test_every_fit_is_kept_beside_its_targets_and_the_others_are_not(tmp_path: Path) -> None:
    _walk(Learner(2), tmp_path)
    assert [fold for fold in range(6) if (tmp_path / f"{fold:04d}" / "fit").exists()] == [0, 2, 4]
    for fold in (0, 2, 4):
        state, key = fit_of(tmp_path, fold)
        fresh = Learner(2).restore(state)
        assert fresh.seed != 0 and fresh.level != 0.0 and key == key_of(tmp_path, fold)
    with pytest.raises(DataError, match="0001"):
        fit_of(tmp_path, 1)


def test_what_outcomes_teach_is_kept_as_each_fold_began(tmp_path: Path) -> None:
    whole = _walk(Pupil(), tmp_path)
    started = [fit_of(tmp_path, fold)[0].values["attributes"]["total"] for fold in range(6)]
    assert started == [0.0] * 6  # each of its folds begins with a fit, which is a new object

    class Slow(Pupil):
        refit_every = 3

    _walk(Slow(), tmp_path / "slow")
    totals = [fit_of(tmp_path / "slow", fold)[0].values["attributes"]["total"] for fold in range(6)]
    assert totals[0] == totals[3] == 0.0 and all(totals[k] != 0.0 for k in (1, 2, 4, 5))
    assert whole.targets.shape == (180, 1)


@pytest.mark.parametrize("stop", [1, 2, 4, 5])
def test_what_outcomes_taught_since_the_fit_is_learned_again_after_a_kill(tmp_path: Path, stop: int) -> None:
    class Slow(Pupil):
        refit_every = 3

    whole = _walk(Slow(), None)
    with pytest.raises(Dropped):
        _walk(Slow(), tmp_path, stop)
    assert np.array_equal(_walk(Slow(), tmp_path).targets, whole.targets, equal_nan=True)


@pytest.mark.parametrize("strategy", [Mute(), Bare()])
def test_a_strategy_without_a_state_walks_all_the_same(tmp_path: Path, strategy: object) -> None:
    kept, plain = _walk(strategy, tmp_path), _walk(strategy, None)
    assert np.array_equal(kept.targets, plain.targets, equal_nan=True)
    if isinstance(strategy, Mute):
        with pytest.raises(DataError, match=r"could not be kept: StateError: .*Mute\.last is a function"):
            fit_of(tmp_path, 0)


@pytest.mark.parametrize("name", ["state.json", "arrays.npz", "manifest.json"])
def test_one_flipped_bit_of_a_fit_is_refused_and_the_fold_fitted_again(tmp_path: Path, name: str) -> None:
    whole = _walk(Learner(2), None)
    with pytest.raises(Dropped):
        _walk(Learner(2), tmp_path, 3)
    path = tmp_path / "0002" / "fit" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(Corrupt):
        fit_of(tmp_path, 2)
    Learner.fits = 0
    assert np.array_equal(_walk(Learner(2), tmp_path).targets, whole.targets, equal_nan=True)
    assert Learner.fits == 2


def test_a_fit_of_another_configuration_is_not_used(tmp_path: Path) -> None:
    FoldStore(tmp_path, "one").keep_fit(0, Learner())
    assert FoldStore(tmp_path, "two").fit(0, Learner()) is None
    assert isinstance(FoldStore(tmp_path, "one").fit(0, Learner()), Learner)
    FoldStore(tmp_path, "one").keep(0, np.zeros((3, 1)))
    assert key_of(tmp_path, 0) == "one" and State({"key": "one"}) != State({"key": "two"})
