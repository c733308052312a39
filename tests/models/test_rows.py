"""Panels to rows and back, and the purge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.lessons import STEP, features, labels, lesson

from tradewind.core.errors import SettingsError
from tradewind.models.rows import Task, training_rows


def test_rows_come_in_order_of_time_then_symbol() -> None:
    values = np.arange(12.0).reshape(3, 2, 2)
    values[1, 0, 1] = np.nan
    answer = np.array([[1.0, -1.0], [1.0, 1.0], [np.nan, -1.0]])
    weights = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 0.5]])
    rows = training_rows(features(values, 0), labels(answer, (-1.0, 0.0, 1.0), weights))
    np.testing.assert_array_equal(rows.X, [[0, 1], [2, 3], [6, 7], [10, 11]])
    np.testing.assert_array_equal(rows.y, [1, 0, 1, 0])
    np.testing.assert_array_equal(rows.weights, [1, 2, 3, 0.5])
    np.testing.assert_array_equal(rows.time, [0, 0, 1, 2])
    np.testing.assert_array_equal(rows.symbol, [0, 1, 1, 1])
    np.testing.assert_array_equal(rows.asked, np.array([1, 1, 2, 3]) * STEP)
    assert rows.task == Task(("x0", "x1"), (-1.0, 0.0, 1.0), (0, 2))
    panel = rows.panel(features(values, 0))
    assert np.isnan(panel.values[1, 0]).all() and np.isnan(panel.values[2, 0]).all()
    np.testing.assert_array_equal(panel.values[2, 1], [10, 11])


@given(n=st.integers(2, 60), horizon=st.integers(1, 70), fraction=st.floats(0, 0.99))
def test_no_learned_answer_reaches_into_the_tail(n: int, horizon: int, fraction: float) -> None:
    y = labels(np.zeros((n, 2)))
    known = np.repeat(((np.arange(n) + 1 + horizon) * STEP)[:, None], 2, axis=1)
    rows = training_rows(features(np.zeros((n, 2, 1)), 0), replace(y, known=known))
    earlier, later = rows.tail(fraction)
    assert earlier.any() and not (earlier & later).any()
    if later.any():
        assert rows.known[earlier].max() < rows.asked[later].min()
        assert later[-1] and len(np.unique(rows.time[later])) == n - rows.time[later].min()
        dropped = ~earlier & ~later
        assert (rows.known[dropped] >= rows.asked[later].min()).all()
    else:
        assert earlier.all()


def test_a_tail_of_everything_is_refused() -> None:
    rows = training_rows(*lesson())
    with pytest.raises(SettingsError, match="below 1"):
        rows.tail(1.0)


def test_rows_facing_another_task_drop_what_it_has_not_seen() -> None:
    X = features(np.zeros((4, 1, 1)), 0)
    rows = training_rows(X, labels(np.array([[-1.0], [0.0], [1.0], [0.0]]), (-1.0, 0.0, 1.0)))
    faced = rows.facing(Task(rows.task.names, rows.task.classes, (0, 2)))
    np.testing.assert_array_equal(faced.y, [0, 1])
    np.testing.assert_array_equal(faced.time, [0, 2])
    few = training_rows(X, labels(np.array([[1.0], [1.0], [np.nan], [1.0]]), (-1.0, 0.0, 1.0)))
    np.testing.assert_array_equal(few.facing(rows.task).y, [2, 2, 2])
