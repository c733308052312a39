"""Uniqueness and the sequential bootstrap: the book's example, and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind import labels
from tradewind.core.errors import DataError
from tradewind.core.types import Labels

STARTS, STOPS = [0, 2, 4], [3, 4, 6]
SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), min_size=1, max_size=25)


def test_uniqueness_of_the_books_example():
    assert labels.span_uniqueness(STARTS, STOPS) == pytest.approx([5 / 6, 3 / 4, 1.0], abs=1e-15)


def test_probabilities_of_the_books_example():
    assert labels.draw_probabilities(STARTS, STOPS, []) == pytest.approx([1 / 3] * 3)
    assert labels.draw_probabilities(STARTS, STOPS, [1]) == pytest.approx([5 / 14, 3 / 14, 6 / 14], abs=1e-15)


@given(SPANS)
@settings(deadline=None)
def test_uniqueness_by_brute_force(spans):
    starts, stops = [a for a, _ in spans], [a + n for a, n in spans]
    cover = [sum(a <= t < b for a, b in zip(starts, stops, strict=True)) for t in range(40)]
    expected = [np.mean([1 / cover[t] for t in range(a, b)]) for a, b in zip(starts, stops, strict=True)]
    assert labels.span_uniqueness(starts, stops) == pytest.approx(expected)


@given(SPANS, st.integers(0, 50))
@settings(deadline=None)
def test_draws_follow_the_stated_probabilities(spans, seed):
    starts, stops = [a for a, _ in spans], [a + n for a, n in spans]
    drawn = labels.sequential_bootstrap(starts, stops, seed=seed)
    uniform = labels.weights.generator(seed, "sequential-bootstrap").random(len(spans))
    for k, pick in enumerate(drawn):
        bounds = np.concatenate([[0.0], np.cumsum(labels.draw_probabilities(starts, stops, drawn[:k]))])
        assert bounds[pick] - 1e-9 <= uniform[k] <= bounds[pick + 1] + 1e-9


def test_sequential_draws_overlap_less_than_plain_ones():
    random = np.random.default_rng(0)
    starts = random.integers(0, 200, 100)
    stops = starts + random.integers(1, 30, 100)
    sequential = [labels.sequential_bootstrap(starts, stops, seed=k) for k in range(30)]
    plain = [random.integers(0, 100, 100) for _ in range(30)]
    mean = [np.mean([labels.span_uniqueness(starts[d], stops[d]).mean() for d in draws]) for draws in (sequential, plain)]
    assert mean[0] > mean[1]
    assert (labels.sequential_bootstrap(starts, stops, seed=3) == labels.sequential_bootstrap(starts, stops, seed=3)).all()


def test_uniqueness_of_labels_is_by_symbol():
    values = np.array([[1.0, 1.0], [1.0, np.nan], [1.0, np.nan], [np.nan, np.nan]])
    end = np.array([[2, 3], [3, -1], [3, -1], [-1, -1]])
    y = Labels(values, end, end, np.ones((4, 2)), (1.0,), 2)
    # Symbol 0 looks at the bars {1, 2}, {2, 3}, {3}.
    assert labels.uniqueness(y) == pytest.approx(np.array([[0.75, 1.0], [0.5, 0.0], [0.5, 0.0], [0.0, 0.0]]))


def test_impossible_spans_are_named():
    with pytest.raises(DataError, match=r"label 1 spans \[5, 5\)"):
        labels.span_uniqueness([0, 5], [1, 5])
    with pytest.raises(DataError, match="not empty"):
        labels.span_uniqueness([], [])
