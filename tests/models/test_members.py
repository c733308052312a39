"""Members: how they are named and built, and what out of sample means."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.lessons import STEP, features, labels, lesson

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.types import Features, Forecast, Labels
from tradewind.models.base import Forecaster
from tradewind.models.linear import Logistic
from tradewind.models.members import Members, chronological
from tradewind.models.rows import training_rows


class Listener(Forecaster):
    """Answers how many rows it was taught, and remembers them."""

    taught: list[tuple[int, int, int]] = []  # noqa: RUF012

    def __init__(self, window: int = 1, least: int = 1) -> None:
        self.window, self.least, self.count = window, least, 0

    def fit(self, X: Features, y: Labels) -> Self:
        rows = training_rows(X, y)
        if len(rows) < self.least:
            raise DataError("too few")
        self.count = len(rows)
        Listener.taught.append((len(X), self.count, int(rows.known.max())))
        return self

    def predict(self, X: Features) -> Forecast:
        return Forecast(mean=np.full(X.values.shape[:2], float(self.count)))


def panel(n: int, horizon: int = 1) -> tuple[Features, Labels]:
    y = labels(np.zeros((n, 2)))
    known = np.repeat(((np.arange(n) + 1 + horizon) * STEP)[:, None], 2, axis=1)
    return features(np.zeros((n, 2, 1)), 0), replace(y, known=known)


@given(n=st.integers(8, 80), folds=st.integers(1, 12), horizon=st.integers(1, 30), embargo=st.integers(0, 5))
def test_out_of_sample_members_know_what_was_known(n: int, folds: int, horizon: int, embargo: int) -> None:
    X, y = panel(n, horizon)
    rows = training_rows(X, y)
    parts = chronological(rows, folds)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(parts)) and (not parts or parts[-1][1] == n)
    Listener.taught = []
    found = Members((Listener(),)).out_of_sample(X, y, rows.task, parts, embargo, 0)
    assert found.shape == (n, 2, 1, 1)
    taught = list(Listener.taught)
    for first, last in parts:
        count = 2 * max(0, first - embargo - horizon)
        if count == 0:
            assert np.isnan(found[first:last]).all()
            continue
        assert (found[first:last] == count).all()
        bars, learned, known = taught.pop(0)
        # Nothing is learned whose answer was not known when the last bar before the embargo closed.
        assert bars == first - embargo and learned == count and known <= X.known[first - embargo - 1]
    assert not taught and np.isnan(found[: parts[0][0] if parts else n]).all()


def test_a_fold_with_too_few_rows_for_some_member_is_left_out() -> None:
    X, y = panel(60)
    rows = training_rows(X, y)
    found = Members((Listener(), Listener(least=70))).out_of_sample(X, y, rows.task, chronological(rows, 5), 1, 0)
    assert np.isnan(found[:40]).all() and np.isfinite(found[40:]).all()


def test_names_settings_and_objects() -> None:
    own = Logistic(penalty=3.0)
    members = Members(("ridge", ("logistic", {"penalty": 2.0}), ["logistic", {}], own), {"logistic": {"iterations": 70}})  # type: ignore[arg-type]
    assert members.names == ("ridge", "logistic 2", "logistic 3", "Logistic") and len(members) == 4 and members.window == 1
    X, y = lesson()
    models: Any = members.fitted(X, y, 0)
    assert [model.penalty for model in models[1:]] == [2.0, 1.0, 3.0] and [model.iterations for model in models[1:]] == [70, 70, 1000]
    assert own._task is None
    assert Members((Listener(window=9), "ridge")).window == 9


def test_seeds_differ_by_place_and_by_root() -> None:
    X, y = lesson()
    members = Members(("random-forest", "random-forest"), {"random-forest": {"trees": 3}})
    one, two = members.fitted(X, y, 0)
    again, other = members.fitted(X, y, 0)[0], members.fitted(X, y, 1)[0]
    assert one.state() == again.state() and one.state() != two.state() and one.state() != other.state()


@pytest.mark.parametrize(
    ("members", "settings", "message"),
    [
        ((), {}, "at least one"),
        ("logistic", {}, "in a tuple"),
        (("logistik",), {}, "did you mean 'logistic'"),
        ((("logistic", 3),), {}, r"\(name, settings\)"),
        ((3,), {}, "no forecaster"),
        (("logistic",), {"logistik": {}}, "did you mean 'logistic'"),
        ((("logistic", {"penalti": 1}),), {}, "did you mean 'penalty'"),
    ],
)
def test_members_that_cannot_be(members: Any, settings: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Members(members, settings)


def test_members_that_answer_something_else() -> None:
    X, y = lesson()
    members = Members((Listener(),))
    models = members.fitted(X, y, 0)
    with pytest.raises(DataError, match="Listener gives no probabilities"):
        members.answers(models, training_rows(X, y).task, X)
    naive = Members(("base-rate",))
    with pytest.raises(DataError, match="base-rate gives no mean"):
        naive.answers(naive.fitted(X, y, 0), training_rows(X, replace(y, classes=())).task, X)
    with pytest.raises(StateError, match="base-rate"):
        naive.restore(members.state(models))
