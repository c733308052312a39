"""Logistic regression beside River's to the bit, linear regression beside a descent written out, and inputs that leap."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.models.online_linear import OnlineLinear


def one_hot(y: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[y]


def lesson(rows: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    X = 3.0 + 2.0 * random.standard_normal((rows, 3))
    return X, (X @ [1.0, -2.0, 0.0] + random.standard_normal(rows))[:, None]


def descent(X: np.ndarray, y: np.ndarray, rate: float, implicit: bool) -> np.ndarray:
    """(n, output) answers before learning, from the formulas; for classes `y` holds a column for each but the first."""
    count, columns = X.shape
    mean, variance = np.zeros(columns), np.zeros(columns)
    slopes, intercepts = np.zeros((columns, y.shape[1])), np.zeros(y.shape[1])
    answers = np.zeros(y.shape)

    def answer(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = np.divide(x - mean, np.sqrt(variance), out=np.zeros(columns), where=variance > 0)
        sums = scores @ slopes + intercepts
        return scores, sums if implicit else np.exp(sums) / (1.0 + np.exp(sums).sum())

    for t in range(count):
        answers[t] = answer(X[t])[1]
        seen = X[: t + 1]
        mean, variance = seen.mean(axis=0), seen.var(axis=0)
        scores, found = answer(X[t])
        error = found - y[t]
        if implicit:
            error = error / (1.0 + rate + rate * scores @ scores)
        intercepts = intercepts - rate * error
        slopes = slopes - rate * np.outer(scores, error)
    return answers


@pytest.mark.parametrize(("rate", "accuracy"), [(0.005, 0.8872), (0.01, 0.8928), (0.1, 0.8896)])
def test_two_classes_are_learned_as_river_learns_them(rate: float, accuracy: float) -> None:
    river = pytest.importorskip("river", reason="river, the oracle, is not installed")
    from river import datasets, linear_model, optim, preprocessing

    assert river.__version__
    peer = preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(rate))
    rows, theirs = list(datasets.Phishing()), []
    for x, answer in rows:
        theirs.append(peer.predict_proba_one(x)[True])
        peer.learn_one(x, answer)
    X, y = np.array([[float(value) for value in x.values()] for x, _ in rows]), np.array([int(answer) for _, answer in rows])
    own = OnlineLinear(9, 2, classes=True, rate=rate).prequential(X, one_hot(y, 2))
    np.testing.assert_allclose(own[:, 1], theirs, rtol=0, atol=1e-14)
    assert np.mean(own.argmax(axis=1) == y) == accuracy


def test_least_squares_takes_the_implicit_step() -> None:
    X, y = lesson()
    own = OnlineLinear(3, 1, rate=0.02, intercept_rate=0.02).prequential(X, y)
    np.testing.assert_allclose(own, descent(X, y, 0.02, implicit=True), rtol=1e-9, atol=1e-9)


def test_three_classes_are_learned_by_the_gradient_of_the_log_loss() -> None:
    X, y = lesson(300)
    codes = np.digitize(y[:, 0], [-5.0, -1.0])
    own = OnlineLinear(3, 3, classes=True, rate=0.05, intercept_rate=0.05).prequential(X, one_hot(codes, 3))
    np.testing.assert_allclose(own[:, 1:], descent(X, one_hot(codes, 3)[:, 1:], 0.05, implicit=False), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(own.sum(axis=1), 1.0, rtol=1e-12)


def test_it_finds_the_plane() -> None:
    X, y = lesson(20_000)
    model = OnlineLinear(3, 1, rate=0.003).learn(X, y)
    asked = np.array([[3.0, 3.0, 3.0], [5.0, 3.0, 3.0], [3.0, 5.0, 3.0], [3.0, 3.0, 5.0]])
    np.testing.assert_allclose(model.predict(asked)[:, 0], asked @ [1.0, -2.0, 0.0], atol=0.4)


def test_an_input_beyond_all_bounds_falls_silent_and_spoils_no_other() -> None:
    X, y = lesson(4000)
    X[100, 2], X[101, 2], X[150, 2] = 1.7e308, -1.7e308, 1e200
    answers = OnlineLinear(3).prequential(X, y)
    assert np.isfinite(answers).all() and np.corrcoef(answers[2000:, 0], y[2000:, 0])[0, 1] > 0.95


@pytest.mark.parametrize("classes", [False, True])
def test_inputs_that_leap_do_not_make_it_explode(classes: bool) -> None:
    X, y = lesson()
    X[100], X[200] = 1e9, -1e6
    targets = one_hot((y[:, 0] > -3).astype(int), 2) if classes else y
    model = OnlineLinear(3, targets.shape[1], classes=classes, rate=1.0, intercept_rate=1.0)
    answers = model.prequential(X, targets)
    assert np.isfinite(answers).all() and np.isfinite(model.predict(X)).all()
    # The rows that leapt are answered as far out as they lie. What they taught is bounded: an implicit step never goes beyond the answer.
    assert np.abs(np.delete(answers, (100, 200), axis=0)).max() < 100.0


def test_an_input_that_never_varies_says_nothing() -> None:
    X, y = lesson()
    flat = np.column_stack([X, np.full(len(X), 7.0)])
    without, beside = OnlineLinear(3).prequential(X, y), OnlineLinear(4).prequential(flat, y)
    assert without.tobytes() == beside.tobytes()


def test_a_row_of_no_weight_moves_the_scale_alone() -> None:
    X, y = lesson(50)
    model = OnlineLinear(3).learn(X, y, np.zeros(50))
    assert model.rows == 50 and (model.predict(X) == 0.0).all()


@given(cuts=st.lists(st.integers(0, 200), max_size=4), classes=st.booleans())
@settings(max_examples=20, deadline=None)
def test_cutting_the_rows_changes_no_bit(cuts: list[int], classes: bool) -> None:
    X, y = lesson(200)
    targets = one_hot((y[:, 0] > -3).astype(int), 2) if classes else y
    whole, parts = (OnlineLinear(3, targets.shape[1], classes) for _ in range(2))
    answers = whole.prequential(X, targets)
    pieces = [parts.prequential(X[a:b], targets[a:b]) for a, b in itertools.pairwise([0, *sorted(cuts), 200])]
    assert np.concatenate(pieces).tobytes() == answers.tobytes() and parts.state() == whole.state()


def test_a_restored_model_goes_on_to_the_bit(tmp_path: Path) -> None:
    X, y = lesson()
    model = OnlineLinear(3).learn(X[:300], y[:300])
    save_state(tmp_path / "state", model.state())
    reborn = OnlineLinear(3).restore(load_state(tmp_path / "state"))
    assert reborn.prequential(X[300:], y[300:]).tobytes() == model.prequential(X[300:], y[300:]).tobytes()
    assert reborn.state() == model.state()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": 0}, "columns is 0"),
        ({"outputs": 0}, "outputs is 0"),
        ({"outputs": 1, "classes": True}, "outputs is 1"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"intercept_rate": -0.1}, "intercept_rate is -0.1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        OnlineLinear(**{"columns": 2, **settings})


def test_rows_that_cannot_be_learned() -> None:
    model = OnlineLinear(2)
    with pytest.raises(DataError, match=r"\(n, 2\) finite numbers"):
        model.predict(np.zeros((3, 4)))
    with pytest.raises(DataError, match="targets have shape"):
        model.learn(np.zeros((2, 2)), np.zeros(2))
    with pytest.raises(DataError, match="weights have shape"):
        model.learn(np.zeros((2, 2)), np.zeros((2, 1)), np.array([1.0, np.nan]))
    for other in (OnlineLinear(3), OnlineLinear(2, 2)):
        with pytest.raises(StateError, match="other columns or outputs"):
            other.restore(model.state())
