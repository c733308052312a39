"""Against scikit-learn's own forecasts, and by hand."""

from __future__ import annotations

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
