"""The head: what it is fitted on, what it believes, and that noise does not impress it as it would with shuffled folds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tests.models.lessons import features, labels, lesson, numbers, small

import tradewind as tw
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.types import Features, Forecast, Labels
from tradewind.features import compute
from tradewind.labels import horizon_return
from tradewind.models.base import Forecaster
from tradewind.models.members import Members, chronological
from tradewind.models.rows import training_rows
from tradewind.models.stacking import Stacking
from tradewind.stats.scores import information_coefficient

FOREST = ("random-forest", {"trees": 15})


def shuffled(members: Members, X: Features, y: Labels, seed: int) -> np.ndarray[Any, Any]:
    """What the usual, shuffled five folds give in the place of `Members.out_of_sample`."""
    task = training_rows(X, y).task
    fold = np.random.default_rng(seed).integers(0, 5, size=len(y))
    found = np.full((*y.values.shape, len(members), 1), np.nan)
    for k in range(5):
        models = members.fitted(X, replace(y, values=np.where((fold == k)[:, None], np.nan, y.values)), 0)
        found[fold == k] = members.answers(models, task, X)[fold == k]
    return found


def test_shuffled_folds_find_skill_in_noise_and_ours_do_not() -> None:
    believed, honest, later = [], [], []
    for seed in range(1, 7):
        market = tw.synthetic.noise(bars=1800, seed=seed).market
        X, y = compute(market, "relative"), horizon_return(market, 24)
        past, answers = X[:1000], y[:1000].known_by(int(X.known[999]))
        members = Members((FOREST,))
        rows = training_rows(past, answers)
        ours = members.out_of_sample(past, answers, rows.task, chronological(rows, 5), 1, 0)
        believed.append(information_coefficient(answers.values, shuffled(members, past, answers, seed)[:, :, 0, 0]))
        honest.append(information_coefficient(answers.values, ours[:, :, 0, 0]))
        future = members.answers(members.fitted(past, answers, 0), rows.task, X[1000:])
        later.append(information_coefficient(y.values[1000:], future[:, :, 0, 0]))
    # There is nothing to know. Neighbours share 23 of 24 bars of their answers, so a forest that saw them looks skilled.
    assert min(believed) > 0.5 and float(np.mean(believed)) > 0.6
    # About 40 answers a seed do not overlap: one correlation has a standard error of .16, the mean of six of .065.
    assert abs(float(np.mean(honest))) < 0.2 and max(honest) < 0.5
    assert abs(float(np.mean(later))) < 0.2
    assert min(believed) > max(honest)


def test_the_head_is_a_logistic_regression_on_log_odds_out_of_sample() -> None:
    X, y = lesson(n=500, classes=(-1.0, 0.0, 1.0))
    names = ("logistic", FOREST)
    model = Stacking(names, folds=3, penalty=2.0, seed=5).fit(X, y)
    rows, members = training_rows(X, y), Members(names)
    answers = members.out_of_sample(X, y, rows.task, chronological(rows, 3), 1, 5)
    taken = np.isfinite(answers).all(axis=(2, 3)) & np.isfinite(y.values)
    assert 0.7 * len(rows) < taken.sum() <= 0.76 * len(rows)

    def opinions(given: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        logs = np.log(np.clip(given, 1e-3, 1.0))
        return (logs[..., 1:] - logs[..., :1]).reshape(len(given), -1)

    learned = opinions(answers[taken])
    mean, deviation = learned.mean(axis=0), learned.std(axis=0)
    head = LogisticRegression(C=0.5, max_iter=1000).fit((learned - mean) / deviation, y.values[taken])
    asked = members.answers(members.fitted(X, y, 5), rows.task, X)
    usable = np.isfinite(asked).all(axis=(2, 3))
    expected = head.predict_proba((opinions(asked[usable]) - mean) / deviation)
    np.testing.assert_allclose(numbers(model.predict(X))[usable], expected, rtol=1e-7)
    assert model.importance().keys() == {"logistic", "random-forest"} and abs(sum(model.importance().values()) - 1.0) < 1e-9


@pytest.mark.parametrize("classes", [(-1.0, 1.0), ()])
def test_the_head_believes_the_one_who_knows(classes: tuple[float, ...]) -> None:
    # The answer is the sign of a product: a line knows nothing of it.
    random = np.random.default_rng(0)
    X = random.standard_normal((1500, 1, 3))
    latent = np.sign(X[:, :, 0] * X[:, :, 1]) + 0.5 * random.standard_normal((1500, 1))
    answer = np.sign(latent) if classes else latent * 0.01
    line = "logistic" if classes else "ridge"
    trees = ("lightgbm", {"trees": 150, "learning_rate": 0.1, "depth": 4})
    model = Stacking((line, trees, "base-rate"), seed=1).fit(features(X[:1000], 0), labels(answer[:1000], classes))
    assert model.importance()["lightgbm"] > 0.75
    score = model.predict(features(X[1000:], 0)).score()[:, 0]
    assert np.corrcoef(score, np.sign(X[1000:, 0, 0] * X[1000:, 0, 1]))[0, 1] > 0.85


def test_without_folds_that_teach_the_mean_of_the_members_answers() -> None:
    X, y = lesson(n=8, symbols=1, classes=(-1.0, 1.0))
    few = Stacking(("base-rate", "no-change"), folds=5, embargo=30).fit(X, y)
    given = numbers(few.predict(X))
    up = float((y.values[np.isfinite(X.values).all(axis=2)] == 1.0)[:-1].mean())
    np.testing.assert_allclose(given[np.isfinite(given).all(axis=2)][0], [(1.5 - up) / 2, (0.5 + up) / 2])
    assert few.importance() == {"base-rate": 0.5, "no-change": 0.5}
    assert numbers(Stacking(("base-rate", "no-change")).restore(few.state()).predict(X)).tobytes() == given.tobytes()


def test_nothing_is_learned_from_answers_that_come_later() -> None:
    X, y = lesson(n=300, symbols=1, classes=())
    model = Stacking(("ridge", FOREST), folds=2, seed=3)
    spoiled = replace(y, values=np.where(np.arange(300)[:, None] >= 150, 5.0, y.values))
    rows = training_rows(X, y)
    first = chronological(rows, 2)[0]
    honest, other = (model._members.out_of_sample(X, part, rows.task, [first], 1, 3) for part in (y, spoiled))
    # The first tested part begins a third into the rows and is answered from what came before; its own answers do not matter.
    assert first[0] < 150 and np.isfinite(honest).any()
    assert honest.tobytes() == other.tobytes()


class Trailing(Forecaster):
    """The mean of the first column over the last six rows; NaN before there are six."""

    window = 6

    def fit(self, X: Features, y: Labels) -> Self:
        return self

    def predict(self, X: Features) -> Forecast:
        mean = np.full(X.values.shape[:2], np.nan)
        for t in range(5, len(X)):
            mean[t] = X.values[t - 5 : t + 1, :, 0].mean(axis=0)
        return Forecast(mean=mean)


def test_windows_of_members_are_kept() -> None:
    X, y = lesson(n=120, classes=())
    model = Stacking(("ridge", Trailing()), folds=2).fit(X, y)
    assert model.window == 6
    whole = numbers(model.predict(X))
    asked = np.flatnonzero(np.isfinite(whole[:, 0, 0]))
    assert 40 < len(asked) < 115
    for t in asked[::9]:
        assert numbers(model.predict(X[t - 5 : t + 1]))[-1].tobytes() == whole[t].tobytes()
    # The first row of a tested part has its window too, which lies in the training part.
    rows = training_rows(X, y)
    members = model._members
    found = members.out_of_sample(X, y, rows.task, chronological(rows, 2), 1, 0)
    alone = Trailing().predict(X).score()
    for first, last in chronological(rows, 2):
        np.testing.assert_array_equal(found[first:last, :, 1, 0], alone[first:last])


def test_misuse_is_told_clearly() -> None:
    X, y = lesson()
    for wrong in ({"folds": 0}, {"embargo": -1}, {"penalty": 0.0}, {"members": ()}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            Stacking(**wrong)  # type: ignore[arg-type]
    with pytest.raises(NotFitted):
        Stacking().importance()
    with pytest.raises(StateError, match="members"):
        Stacking(("ridge",)).restore(small("stacking").fit(X, y).state())
    with pytest.raises(DataError, match="none of the 400 rows"):
        Stacking(("ridge",)).fit(X, replace(y, values=np.full(y.values.shape, np.nan)))
