"""Forecasters walked forward: fitted as a strategy would be, resumed as it was, never taught what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

import tradewind as tw
from tradewind import labels
from tradewind.core.errors import SettingsError
from tradewind.core.seeds import derive
from tradewind.core.types import Features, Forecast, Labels, State
from tradewind.evaluate.comparing.forecasts import Question, draws_numbers, forecast_forward
from tradewind.evaluate.splits import WalkForward
from tradewind.features import compute
from tradewind.models import registry
from tradewind.models.base import Forecaster

from ..small import market

PLAN = WalkForward(300, 100, embargo=3)
NAMES = ("return_1", "return_5", "volatility_20")


class Spy(Forecaster):
    """Answers its seed, and remembers on the class what it was shown."""

    shown: tuple[tuple[int, int, int], ...] = ()
    asked: tuple[int, ...] = ()

    def __init__(self) -> None:
        self.seed, self.window = 0, 4

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        answered = np.isfinite(y.values)
        type(self).shown += ((len(X), int(X.known[-1]), int(y.known[answered].max())),)
        return self

    def predict(self, X: Features) -> Forecast:
        type(self).asked += (len(X),)
        return Forecast(mean=np.full(X.values.shape[:2], float(self.seed)))


class Follower(Forecaster):
    """Answers with the number of answers known by each row, from at most its last `memory` rows."""

    memory = 30

    def fit(self, X: Features, y: Labels) -> Self:
        return self

    def predict(self, X: Features) -> Forecast:
        raise AssertionError("a forecaster that follows is asked to follow")

    def follow(self, X: Features, y: Labels) -> Forecast:
        known = np.where(np.isfinite(y.values[:, 0]), y.known[:, 0], np.iinfo(np.int64).max)
        count = [float(np.sum(known[max(0, t - self.memory) : t] <= X.known[t])) for t in range(len(X))]
        return Forecast(mean=np.tile(np.array(count)[:, None], X.values.shape[1]))

    def state(self) -> State:
        return State()


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTERED", {})
    registry.register("spy", Spy)
    registry.register("follower", Follower)
    Spy.shown, Spy.asked = (), ()


def asked(name: str, horizon: int = 5, **more: Any) -> Question:
    return Question(name, {}, NAMES, "horizon-return", {"horizon": horizon}, **more)


def test_every_fold_is_what_fitting_it_by_hand_gives() -> None:
    bars = market(720, symbols=2, seed=3)
    found = forecast_forward(asked("ridge"), bars, PLAN)
    X = compute(bars, NAMES)
    by_hand = []
    for train, test in PLAN.split(len(bars)):
        y = labels.horizon_return(bars[train], 5)
        by_hand.append(tw.forecaster("ridge").fit(X[train], y).predict(X[test]).mean)
    assert found.forecast.mean is not None
    np.testing.assert_array_equal(found.forecast.mean, np.concatenate(by_hand))
    assert found.market.digest == bars[300:].digest and found.fits == 5 and found.answered.all()


def test_nothing_is_learned_before_it_is_known_and_rows_before_a_part_come_along() -> None:
    bars = market(500)
    forecast_forward(asked("spy", horizon=24), bars, PLAN)
    assert [rows for rows, _, _ in Spy.shown] == [297, 297]
    assert all(last <= end for _, end, last in Spy.shown)
    assert Spy.asked == (103, 103)


def test_folds_share_a_fit_and_a_seed_of_their_own() -> None:
    bars = market(700)
    found = forecast_forward(asked("spy", refit_every=3), bars, PLAN, seed=9)
    assert len(Spy.shown) == found.fits == 2
    assert found.forecast.mean is not None
    seeds = [float(derive(9, "fold", k)) for k in (0, 0, 0, 3)]
    np.testing.assert_array_equal(found.forecast.mean[::100, 0], seeds)


def test_one_that_goes_on_learning_is_handed_the_answers_it_may_know() -> None:
    bars = market(500)
    found = forecast_forward(asked("follower", horizon=5), bars, PLAN)
    # Of the 30 rows before, the last four have no answer yet.
    assert found.forecast.mean is not None and (found.forecast.mean == 26).all()


def test_finished_folds_are_read_and_the_rest_is_fitted(tmp_path: Path) -> None:
    bars = market(700)
    whole = forecast_forward(asked("spy"), bars, PLAN, resume=tmp_path)
    assert len(Spy.shown) == 4
    again = forecast_forward(asked("spy"), bars, PLAN, resume=tmp_path)
    assert len(Spy.shown) == 4 and again.seconds == pytest.approx(whole.seconds)
    (tmp_path / "0002" / "arrays.npz").write_bytes(b"half")
    told: list[tuple[int, int]] = []
    mended = forecast_forward(asked("spy"), bars, PLAN, resume=tmp_path, progress=lambda done, of: told.append((done, of)))
    assert len(Spy.shown) == 6 and told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for one in (again, mended):
        np.testing.assert_array_equal(one.forecast.mean, whole.forecast.mean)  # type: ignore[arg-type]
    forecast_forward(asked("spy", horizon=6), bars, PLAN, resume=tmp_path)
    forecast_forward(asked("spy"), bars, PLAN, seed=1, resume=tmp_path)
    assert len(Spy.shown) == 14, "another label or seed is another question"


def test_folds_that_share_a_fit_are_taken_up_together(tmp_path: Path) -> None:
    bars = market(700)
    whole = forecast_forward(asked("spy", refit_every=2), bars, PLAN, resume=tmp_path)
    (tmp_path / "0003" / "manifest.json").unlink()
    again = forecast_forward(asked("spy", refit_every=2), bars, PLAN, resume=tmp_path)
    assert len(Spy.shown) == 3
    np.testing.assert_array_equal(again.forecast.mean, whole.forecast.mean)  # type: ignore[arg-type]


def test_probabilities_quantiles_and_horizons_are_joined_and_kept(tmp_path: Path) -> None:
    bars = market(500)
    question = Question("logistic", {}, NAMES, "next-bar")
    first, again = (forecast_forward(question, bars, PLAN, resume=tmp_path) for _ in range(2))
    assert first.forecast.classes == again.forecast.classes == (-1.0, 1.0)
    np.testing.assert_array_equal(first.forecast.probabilities, again.forecast.probabilities)  # type: ignore[arg-type]
    wrapped = Question("conformal", {"memory": 60}, NAMES, "horizon-return", {"horizon": 1})
    first, again = (forecast_forward(wrapped, bars, PLAN, resume=tmp_path / "c") for _ in range(2))
    assert first.forecast.quantiles is not None and first.forecast.levels == again.forecast.levels == (0.05, 0.95)
    np.testing.assert_array_equal(first.forecast.quantiles, again.forecast.quantiles)  # type: ignore[arg-type]


def test_who_draws_numbers() -> None:
    drawing = {name: draws_numbers(tw.forecaster(name)) for name in ("ridge", "logistic", "no-change", "lightgbm", "random-forest", "mlp")}
    assert drawing == {"ridge": False, "logistic": False, "no-change": False, "lightgbm": True, "random-forest": True, "mlp": True}


def test_what_cannot_be_asked() -> None:
    for wrong in (asked("rige"), Question("ridge", {"penalti": 1}), Question("ridge", label="tomorrow"), asked("ridge", horizon=0)):
        with pytest.raises(SettingsError):
            forecast_forward(wrong, market(500), PLAN)
    with pytest.raises(SettingsError):
        asked("ridge", refit_every=0)
