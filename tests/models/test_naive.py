"""Worked by hand."""

from __future__ import annotations

import numpy as np
from tests.models.lessons import features, labels, numbers

from tradewind.models.naive import BaseRate, NoChange

X = features(np.zeros((4, 1, 1)), 0)


def test_no_change_is_the_class_nearest_to_zero() -> None:
    up = np.array([[1.0], [1.0], [1.0], [np.nan]])
    for classes, expected in (((-1.0, 0.0, 1.0), [0, 1, 0]), ((-1.0, 1.0), [0.5, 0.5]), ((0.0, 1.0), [1, 0])):
        forecast = NoChange().fit(X, labels(up, classes)).predict(X)
        np.testing.assert_array_equal(numbers(forecast)[0, 0], expected)
        assert (forecast.score() == 0).all()
    assert (numbers(NoChange().fit(X, labels(up)).predict(X)) == 0).all()


def test_base_rates_are_weighted() -> None:
    answer = np.array([[1.0], [-1.0], [1.0], [np.nan]])
    weights = np.array([[1.0], [2.0], [5.0], [9.0]])
    given = numbers(BaseRate().fit(X, labels(answer, (-1.0, 1.0), weights)).predict(X))
    np.testing.assert_allclose(given[3, 0], [0.25, 0.75], rtol=1e-15)
    mean = numbers(BaseRate().fit(X, labels(answer, (), weights)).predict(X))
    np.testing.assert_allclose(mean[:, 0, 0], (1 - 2 + 5) / 8, rtol=1e-15)
