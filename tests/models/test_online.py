"""Online models as forecasters: the order of learning, returns as signs, answers that came since the fit, and classes never met."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.models.lessons import STEP, features, labels, lesson, numbers

from tradewind.core.errors import NotFitted, SettingsError, StateError
from tradewind.core.types import State
from tradewind.models.online import MODELS, OnlineForecaster, OnlineLearner
from tradewind.models.registry import forecaster, space

NAMES = ("online-forest", "online-logistic", "online-linear")
every = pytest.mark.parametrize("name", NAMES)


def learner(model: str = "logistic", classes: tuple[float, ...] = (), columns: int = 2) -> OnlineLearner:
    return OnlineLearner(model, {}, 0, tuple(f"x{i}" for i in range(columns)), classes)


@every
def test_rows_are_learned_in_the_order_in_which_their_answers_become_known(name: str) -> None:
    X, y = lesson(200)
    random = np.random.default_rng(3)
    delayed = replace(y, known=y.known + STEP * random.integers(0, 40, y.known.shape))
    found = numbers(forecaster(name).fit(X, delayed).predict(X))
    order = np.argsort(delayed.known.ravel(), kind="stable")
    # The same rows, moved so that the order of time is that in which they became known, one symbol.
    values, answers = X.values.reshape(-1, 4)[order][:, None], y.values.ravel()[order][:, None]
    sorted_y = replace(labels(answers, y.classes), known=delayed.known.ravel()[order][:, None])
    again = forecaster(name).fit(features(values, 0), sorted_y)
    np.testing.assert_array_equal(numbers(again.predict(X)), found)
    other = numbers(forecaster(name).fit(X, y).predict(X))
    assert not np.array_equal(other, found, equal_nan=True)


@every
def test_it_learns_rows_once_each_and_keeps_them_all(name: str) -> None:
    X, y = lesson(300)
    taught = np.isfinite(X.values).all(axis=2) & np.isfinite(y.values)
    model = forecaster(name).fit(X, y)
    assert model._learner.model.rows == taught.sum()
    # Another fit begins anew.
    assert model.fit(X[:150], y[:150])._learner.model.rows == taught[:150].sum()


def test_a_classifier_learns_a_return_as_its_sign_by_its_size() -> None:
    random = np.random.default_rng(0)
    X = random.standard_normal((400, 2))
    returns = 0.01 * X[:, 0] + 0.002 * random.standard_normal(400)
    one = learner()
    one.learn(X, returns, np.ones(400), np.arange(400))
    other = learner(classes=(-1.0, 1.0))
    means = np.cumsum(np.abs(returns)) / np.arange(1, 401)
    other.learn(X, np.sign(returns), np.abs(returns) / means, np.arange(400))
    panel = features(X[:, None], 0)
    up = other.forecast(panel).probabilities[:, 0, 1]
    np.testing.assert_allclose(one.forecast(panel).mean[:, 0], (2 * up - 1) * np.abs(returns).mean(), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("classes", [(), (-1.0, 0.0, 1.0)])
def test_cutting_the_rows_changes_no_bit(model: str, classes: tuple[float, ...]) -> None:
    random = np.random.default_rng(1)
    X, weights = random.standard_normal((300, 2)), random.uniform(0.1, 2, 300)
    values = np.sign(np.round(X[:, 0])) if classes else 0.01 * X[:, 0]
    whole, parts = learner(model, classes), learner(model, classes)
    known = np.arange(300)
    whole.learn(X, values, weights, known)
    for begin, end in ((0, 1), (1, 1), (1, 170), (170, 300)):
        parts.learn(X[begin:end], values[begin:end], weights[begin:end], known[begin:end])
    assert parts.state() == whole.state()


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_answered_before_the_first_row(model: str) -> None:
    panel = features(np.zeros((5, 1, 2)), 0)
    assert np.isnan(learner(model).forecast(panel).mean).all()
    assert np.isnan(learner(model, (-1.0, 1.0)).forecast(panel).probabilities).all()


@pytest.mark.parametrize("model", MODELS)
def test_returns_that_are_all_zero_are_forecast_as_zero(model: str) -> None:
    one = learner(model)
    one.learn(np.random.default_rng(0).standard_normal((30, 2)), np.zeros(30), np.ones(30), np.arange(30))
    mean = one.forecast(features(np.zeros((1, 1, 2)), 0)).mean
    assert mean is not None and (np.isnan(mean) | (mean == 0.0)).all()


def test_the_linear_model_answers_classes_with_probabilities() -> None:
    X, y = lesson()
    forecast = forecaster("online-linear", rate=0.003).fit(X, y).predict(X)
    assert forecast.probabilities is not None and (forecast.probabilities[np.isfinite(forecast.probabilities)] >= 0).all()
    score, truth = forecast.score(), X.values[:, :, 0]
    there = np.isfinite(score)
    assert np.corrcoef(score[there], truth[there])[0, 1] > 0.8


# -- answers that came since the fit ---------------------------------------------------------------------------------------------
def turning(rows: int = 1200) -> tuple:
    """Return and first column have one sign in the first half, opposite ones in the second."""
    random = np.random.default_rng(2)
    values = random.standard_normal((rows, 1, 2))
    answer = 0.01 * values[:, :, 0] * np.where(np.arange(rows) < rows // 2, 1.0, -1.0)[:, None]
    return features(values, 0), labels(np.sign(answer), (-1.0, 1.0))


def test_follow_learns_the_last_rows_and_forgets_those_before() -> None:
    X, y = turning()
    model = forecaster("online-logistic", rate=0.05, memory=200)
    model.fit(X[:400], y[:400])
    answers = model.follow(X, y).score()[:, 0]
    agrees = np.sign(answers) == np.sign(X.values[:, 0, 0])
    assert agrees[:600].mean() > 0.95 and agrees[900:].mean() < 0.05
    assert (np.sign(model.predict(X).score()[:, 0]) == np.sign(X.values[:, 0, 0]))[900:].mean() > 0.95
    # The 200 rows before it and what the fit learned are all that a row's answer is made of.
    assert model.follow(X[799:], y[799:]).score()[200:, 0].tobytes() == answers[999:].tobytes()


def test_follow_takes_each_answer_when_it_is_known_and_no_weights() -> None:
    X, y = turning(300)
    model = forecaster("online-linear", memory=50)
    model.fit(X[:100], y[:100])
    answers = model.follow(X, y).score()
    late = replace(y, known=np.where(y.known > X.known[180], np.iinfo(np.int64).max, y.known))
    later = model.follow(X, replace(late, weights=9.0 * y.weights)).score()
    assert later[:181].tobytes() == answers[:181].tobytes() and later[182:].tobytes() != answers[182:].tobytes()


def test_a_forest_stays_as_it_was_fitted() -> None:
    model = forecaster("online-forest")
    assert not hasattr(model, "follow") and not hasattr(forecaster("online-logistic"), "follow")
    with pytest.raises(SettingsError, match="unknown setting 'memory'"):
        forecaster("online-forest", memory=5)


# -- states and faults --------------------------------------------------------------------------------------------------------------
def test_a_forest_draws_from_its_seed() -> None:
    X, y = lesson()
    made = []
    for seed in (1, 1, 2):
        model = forecaster("online-forest")
        model.reseed(seed)
        made.append(numbers(model.fit(X, y).predict(X)).tobytes())
    assert made[0] == made[1] != made[2]


def test_changes_of_the_fit_are_kept() -> None:
    random = np.random.default_rng(5)
    values = random.standard_normal((3000, 1, 3))
    answer = np.sign(values[:, :, 0]) * np.where(np.arange(3000) < 1500, 1.0, -1.0)[:, None]
    model = forecaster("online-forest").fit(features(values, 0), labels(answer, (-1.0, 1.0)))
    assert any(change.drift and 1500 <= change.row < 1700 for change in model.changes)
    # The answer of row t is known two bars after it opened.
    assert all(change.known == (change.row + 2) * STEP for change in model.changes)
    assert forecaster("online-logistic").fit(features(values, 0), labels(answer, (-1.0, 1.0))).changes == ()


@every
def test_before_the_fit_there_is_nothing(name: str) -> None:
    model = forecaster(name)
    for ask in (lambda: model.predict(lesson()[0]), model.state, lambda: model.changes):
        with pytest.raises(NotFitted, match="learned nothing yet"):
            ask()
    with pytest.raises(StateError):
        model.restore(State())


def test_unknown_settings_name_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'depth'"):
        forecaster("online-forest", dept=3)
    with pytest.raises(SettingsError, match="did you mean 'rate'"):
        OnlineForecaster("logistic", {"rat": 0.1})
    with pytest.raises(SettingsError, match="did you mean 'forest'"):
        OnlineForecaster("forests", {})
    with pytest.raises(SettingsError, match="memory is -1"):
        forecaster("online-linear", memory=-1)


def test_a_state_of_other_inputs_is_refused() -> None:
    with pytest.raises(StateError, match="other inputs or classes"):
        learner(columns=3).restore(learner().state())


@every
def test_what_may_be_tuned_are_settings(name: str) -> None:
    assert space(name)
    for setting, choice in space(name).items():
        forecaster(name, **{setting: choice.low})
        forecaster(name, **{setting: choice.high})
