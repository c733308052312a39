"""Types: shapes are checked, states nest, labels keep what is not known yet to themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradewind.core.clock import HOUR
from tradewind.core.errors import DataError
from tradewind.core.types import Features, Forecast, Labels, State, Target, long_frame

TIMES = HOUR * np.arange(5, dtype=np.int64)


def features() -> Features:
    values = np.arange(20.0).reshape(5, 2, 2)
    return Features(("a", "b"), values, 2, TIMES, TIMES + HOUR, ("X", "Y"))


def labels(classes: tuple[float, ...] = ()) -> Labels:
    values = np.array([[1.0], [2.0], [3.0], [np.nan], [5.0]])
    end = np.array([[1], [2], [4], [-1], [4]])
    return Labels(values, (TIMES + 2 * HOUR)[:, None], end, np.ones((5, 1)), classes, 2)


def test_features_check_their_shape() -> None:
    with pytest.raises(DataError, match=r"shape \(5, 2\), expected \(time, symbol, feature\) = \(5, 2, 1\)"):
        Features(("a",), np.zeros((5, 2)), 0, TIMES, TIMES, ("X", "Y"))


def test_features_of_the_same_bars_join() -> None:
    one = features()
    two = Features(("c",), np.ones((*one.values.shape[:2], 1)), 4, one.open_time, one.known, one.symbols)
    both = one.join(two)
    assert both.names == ("a", "b", "c") and both.warmup == 4 and len(both) == len(one)
    np.testing.assert_array_equal(both.select(["a", "b"]).values, one.values)
    np.testing.assert_array_equal(both.select(["c"]).values, two.values)
    for other, words in ((one, "there already"), (two[1:], "other bars"), (replace(two, symbols=("X", "Z")), "other bars")):
        with pytest.raises(DataError, match=words):
            one.join(other)


def test_rows_and_columns_of_features() -> None:
    X = features()
    assert [X[rows].warmup for rows in (slice(0, 3), slice(1, 3), slice(4, None), slice(-2, None))] == [2, 1, 0, 0]
    assert np.array_equal(X[1:3].values, X.values[1:3])
    assert np.array_equal(X.select(["b"]).values[:, :, 0], X.values[:, :, 1])
    assert X.select(("b", "a")).names == ("b", "a")
    with pytest.raises(DataError, match=r"features \['c'\] are not among \['a', 'b'\]"):
        X.select(["c"])
    frame = X.to_frame()
    assert frame.columns == ["open_time", "symbol", "a", "b"]
    assert frame.row(3)[1:] == ("Y", 6.0, 7.0)


def test_labels_keep_the_unknown_back() -> None:
    y = labels()
    assert len(y) == 5
    assert y.kind == "return"
    assert labels((0.0, 1.0)).kind == "classes"
    known = y.known_by(int(TIMES[2]) + 2 * HOUR)
    assert np.array_equal(known.values[:, 0], [1.0, 2.0, 3.0, np.nan, np.nan], equal_nan=True)
    assert y.values[4, 0] == 5.0
    with pytest.raises(DataError, match=r"labels: weights has shape \(4, 1\)"):
        Labels(y.values, y.known, y.end, np.ones((4, 1)))


def test_the_score_of_a_forecast() -> None:
    mean = np.array([[0.5]])
    assert np.array_equal(Forecast(mean=mean).score(), mean)
    probabilities = np.array([[[0.2, 0.3, 0.5]]])
    assert Forecast(probabilities=probabilities, classes=(-1.0, 0.0, 1.0)).score() == pytest.approx(0.3)
    with pytest.raises(DataError, match="neither probabilities nor a mean"):
        Forecast().score()


def test_a_target_is_an_array_of_finite_weights() -> None:
    assert Target(0.5).weights.shape == (1,)  # type: ignore[arg-type]
    assert Target([1, np.nan]).weights.dtype == np.float64  # type: ignore[arg-type]
    with pytest.raises(DataError, match="infinite weight"):
        Target(np.array([np.inf]))


def test_states_nest() -> None:
    inner = State({"a": 1}, {"x": np.arange(3)})
    outer = State({"b": 2}, {"x": np.ones(2)}).nest("model", inner).nest("scaler", State({"c": 3}))
    assert outer.child("model") == inner
    assert outer.child("scaler") == State({"c": 3})
    assert outer.child("absent") == State()
    assert State().nest("one", outer).child("one").child("model") == inner


def test_states_compare_by_bits() -> None:
    state = State({"a": 1}, {"x": np.array([0.0, np.nan])})
    assert state == State({"a": 1}, {"x": np.array([0.0, np.nan])})
    assert state != State({"a": 2}, state.arrays)
    assert state != State({"a": 1}, {"x": np.array([-0.0, np.nan])})
    assert state != State({"a": 1}, {"x": np.array([0.0, np.nan], dtype=np.float32)})
    assert state != State({"a": 1}, {"y": state.arrays["x"]})
    assert state != "state"


def test_a_long_frame_is_sorted_by_time_and_symbol() -> None:
    frame = long_frame(TIMES[:2], ("X", "Y"), {"a": np.array([[1.0, 2.0], [3.0, 4.0]])})
    assert frame["symbol"].to_list() == ["X", "Y", "X", "Y"]
    assert frame["a"].to_list() == [1.0, 2.0, 3.0, 4.0]
