"""Against scikit-learn's own forecasts, and by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as LeastSquares
from tests.models.lessons import features, labels, lesson, numbers

from tradewind.models.linear import Logistic, Ridge
from tradewind.models.rows import training_rows


@pytest.mark.parametrize("classes", [(-1.0, 0.0, 1.0), (-1.0, 1.0)])
def test_logistic_answers_as_scikit_learn_does(classes: tuple[float, ...]) -> None:
    X, y = lesson(classes=classes)
    rows = training_rows(X, y)
    scores = (rows.X - rows.X.mean(axis=0)) / rows.X.std(axis=0)
    expected = LogisticRegression(C=0.5, max_iter=1000).fit(scores, rows.y).predict_proba(scores)
    given = numbers(Logistic(penalty=2.0).fit(X, y).predict(X))[rows.time, rows.symbol]
    np.testing.assert_allclose(given, expected, rtol=1e-9)


def test_ridge_answers_as_scikit_learn_does() -> None:
    X, y = lesson(classes=())
    rows = training_rows(X, y)
    scores = (rows.X - rows.X.mean(axis=0)) / rows.X.std(axis=0)
    expected = LeastSquares(alpha=3.0).fit(scores, rows.y).predict(scores)
    given = numbers(Ridge(penalty=3.0).fit(X, y).predict(X))[rows.time, rows.symbol, 0]
    np.testing.assert_allclose(given, expected, rtol=1e-9)


def test_a_return_learned_as_its_sign_has_the_right_size() -> None:
    random = np.random.default_rng(0)
    side = random.choice([-1.0, 1.0], size=(4000, 1))
    returns = 0.01 * np.where(random.uniform(size=(4000, 1)) < 0.8, side, -side)
    given = numbers(Logistic().fit(features(side[:, :, None], 0), labels(returns)).predict(features(side[:, :, None], 0)))[:, 0, 0]
    # Right four times of five with moves of .01: the expected return is .6 of a move.
    for way in (-1.0, 1.0):
        assert abs(given[side[:, 0] == way].mean() - way * 0.006) < 0.0005


def test_returns_of_one_sign_and_no_size() -> None:
    X = features(np.random.default_rng(0).standard_normal((50, 1, 2)), 0)
    for size, expected in ((0.02, 0.02), (-0.02, -0.02), (0.0, 0.0)):
        given = numbers(Logistic().fit(X, labels(np.full((50, 1), size))).predict(X))
        np.testing.assert_allclose(given[:, 0, 0], expected, atol=1e-15)


@pytest.mark.parametrize("classes", [(-1.0, 0.0, 1.0), (-1.0, 1.0), ()], ids=["three", "two", "return"])
@pytest.mark.parametrize("kind", [Logistic, Ridge])
def test_contributions_are_slopes_times_scores(kind: Any, classes: tuple[float, ...]) -> None:
    X, y = lesson(classes=classes)
    model = kind().fit(X, y)
    given = numbers(model.predict(X))
    rows = np.argwhere(np.isfinite(given).all(axis=2))[::5]
    parts, answers = model.contributions(X, rows), given[rows[:, 0], rows[:, 1]]
    np.testing.assert_allclose(parts.base + parts.values.sum(axis=(1, 2)), parts.total, rtol=0, atol=1e-13)
    if kind is Logistic and classes:
        np.testing.assert_allclose(parts.total, np.log(answers[:, -1] / answers[:, 0]), atol=1e-9)
    elif kind is Logistic:
        np.testing.assert_allclose(np.tanh(parts.total / 2) * model._move, answers[:, 0], atol=1e-15)
    elif not classes:
        np.testing.assert_allclose(parts.total, answers[:, 0], atol=1e-15)
    else:
        inside = (answers > 0).all(axis=1) & (len(classes) == 2)
        np.testing.assert_allclose(parts.total[inside], (answers[:, -1] - answers[:, 0])[inside], atol=1e-9)
    assert parts.unit == ("log-odds" if kind is Logistic else "probability" if classes else "return")
    # A step in one input alone changes what that input adds, by the same for every row.
    moved = replace(X, values=X.values + np.array([0.0, 1.0, 0.0, 0.0]))
    change = (model.contributions(moved, rows).values - parts.values)[:, 0]
    np.testing.assert_allclose(change, np.tile(change[0], (len(rows), 1)), atol=1e-12)
    assert not change[:, [0, 2, 3]].any()
    assert max(model.importance(), key=model.importance().__getitem__) == "x0" and abs(sum(model.importance().values()) - 1) < 1e-12


def test_one_class_has_nothing_to_explain() -> None:
    X, y = lesson()
    only = replace(y, values=np.where(np.isnan(y.values), np.nan, 1.0))
    for model in (Logistic().fit(X, only), Ridge().fit(X, only)):
        parts = model.contributions(X, np.argwhere(np.isfinite(X.values).all(axis=2))[:3])
        assert not parts.values.any() and not parts.base.any() and not parts.total.any()
