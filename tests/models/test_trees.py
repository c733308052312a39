"""What boosted trees of every library promise: equal bytes, additive explanations, the purged tail, and no signal found where none is."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.lessons import features, labels, lesson, numbers, small

from tradewind.core.errors import DataError, MissingExtra, NotFitted, SettingsError, StateError
from tradewind.core.files import save_state
from tradewind.core.types import State
from tradewind.models.catboost import CatBoost
from tradewind.models.registry import forecaster, space
from tradewind.models.rows import training_rows

LIBRARIES = ("lightgbm", "xgboost", "catboost")
KINDS = [(-1.0, 0.0, 1.0), (-1.0, 1.0), ()]
libraries = pytest.mark.parametrize("name", LIBRARIES)
kinds = pytest.mark.parametrize("classes", KINDS, ids=["three", "two", "return"])


def model_bytes(model: Any) -> bytes:
    return bytes(model.state().arrays["model"].tobytes())


@libraries
@kinds
def test_contributions_add_up_to_the_raw_answer(name: str, classes: tuple[float, ...]) -> None:
    X, y = lesson(classes=classes)
    model: Any = small(name).fit(X, y)
    given = numbers(model.predict(X))
    rows = np.argwhere(np.isfinite(given).all(axis=2))[::7]
    parts = model.contributions(X, rows)
    assert parts.values.shape == (len(rows), 1, 4) and parts.names == X.names and parts.method == "TreeSHAP"
    np.testing.assert_array_equal(parts.inputs[:, 0], X.values[rows[:, 0], rows[:, 1]])
    # XGBoost's are float32.
    np.testing.assert_allclose(parts.base + parts.values.sum(axis=(1, 2)), parts.total, rtol=0, atol=1e-5 if classes else 1e-7)
    answers = given[rows[:, 0], rows[:, 1]]
    if classes:
        assert parts.unit == "log-odds"
        np.testing.assert_allclose(parts.total, np.log(answers[:, -1] / answers[:, 0]), rtol=0, atol=1e-9)
    else:
        assert parts.unit == "return"
        np.testing.assert_allclose(parts.total, answers[:, 0], rtol=0, atol=1e-15)
    # The first column is the answer: it adds most, and upwards where it is high.
    size = np.abs(parts.values[:, 0]).mean(axis=0)
    assert size.argmax() == 0 and np.corrcoef(parts.values[:, 0, 0], parts.inputs[:, 0, 0])[0, 1] > 0.7
    shares = model.importance()
    assert tuple(shares) == X.names and max(shares, key=shares.__getitem__) == "x0"
    assert abs(sum(shares.values()) - 1.0) < 1e-9


@libraries
def test_rows_that_cannot_be_explained_are_named(name: str) -> None:
    X, y = lesson()
    with pytest.raises(NotFitted):
        small(name).contributions(X, np.array([[5, 0]]))  # type: ignore[attr-defined]
    model: Any = small(name).fit(X, y)
    with pytest.raises(DataError, match="row 0 of S1 has no x0"):
        model.contributions(X, np.array([[0, 1]]))
    with pytest.raises(DataError, match=r"no row \(400, 0\)"):
        model.contributions(X, np.array([[400, 0]]))
    with pytest.raises(DataError, match="shape"):
        model.contributions(X, np.array([5, 0]))
    assert model.contributions(X, np.zeros((0, 2), dtype=np.int64)).values.shape == (0, 1, 4)


@libraries
@kinds
def test_without_anything_to_split_the_base_rate_answers(name: str, classes: tuple[float, ...]) -> None:
    X = features(np.full((40, 1, 3), 0.1), 0)
    answer = np.where(np.arange(40) < 30, 1.0, -1.0)[:, None] * (1.0 if classes else 0.01)
    model: Any = small(name, validation=0.0).fit(X, labels(answer, classes))
    given = numbers(model.predict(X))[:, 0]
    expected = [0.005] if not classes else [0.25, 0.75] if len(classes) == 2 else [0.25, 0.0, 0.75]
    np.testing.assert_allclose(given, np.tile(expected, (40, 1)), atol=1e-15)
    parts = model.contributions(X, np.array([[3, 0]]))
    assert not parts.values.any() and parts.total == parts.base
    assert set(model.importance().values()) == {0.0} and model_bytes(model) == b""


@libraries
def test_a_column_without_a_number_leaves_nothing_to_learn(name: str) -> None:
    X, y = lesson()
    values = X.values.copy()
    values[:, :, 2] = np.nan
    with pytest.raises(DataError, match="none of the 400 rows has finite inputs"):
        small(name).fit(replace(X, values=values), y)


@libraries
def test_one_class_has_nothing_to_explain(name: str) -> None:
    X, y = lesson()
    model: Any = small(name).fit(X, replace(y, values=np.where(np.isnan(y.values), np.nan, -1.0)))
    parts = model.contributions(X, np.argwhere(np.isfinite(X.values).all(axis=2))[:5])
    assert not parts.values.any() and not parts.total.any() and not parts.base.any()


@libraries
def test_the_tail_stops_and_does_not_teach(name: str) -> None:
    X, y = lesson(n=600, symbols=1, classes=(-1.0, 1.0))
    far = replace(y, values=np.where(np.arange(600)[:, None] >= 510, -y.values, y.values))
    settings = {"trees": 3, "learning_rate": 0.1, "patience": 1000, "validation": 0.15}
    one, two = (small(name, **settings).fit(X, part) for part in (y, far))
    # Whatever the tail says, it only chooses how many of the same trees are kept, and against its flipped answers fewer are.
    same = numbers(one.predict(X))[:, 0, 1] > 0.5
    assert len(model_bytes(two)) <= len(model_bytes(one))
    agreed = numbers(two.predict(X))[:, 0, 1]
    known = np.isfinite(agreed)
    assert np.corrcoef(same[known], agreed[known])[0, 1] > 0.8


@libraries
def test_noise_stops_early_and_signal_later(name: str) -> None:
    settings = {"trees": 300, "learning_rate": 0.1, "patience": 10}
    sizes = [len(model_bytes(small(name, **settings).fit(*lesson(600, classes=(-1.0, 1.0), noise=noise)))) for noise in (200.0, 0.5)]
    unstopped = len(model_bytes(small(name, **settings, validation=0.0).fit(*lesson(600, classes=(-1.0, 1.0), noise=0.5))))
    assert sizes[0] < sizes[1] < unstopped


@libraries
def test_a_class_that_only_the_tail_shows_is_learned(name: str) -> None:
    X, y = lesson(n=200, symbols=1, classes=(-1.0, 0.0, 1.0))
    values = np.where(y.values == 0.0, 1.0, y.values)
    values[185:199] = 0.0
    model = small(name).fit(X, replace(y, values=values))
    late = numbers(model.predict(X))[:, 0, 1]
    assert np.isfinite(late[195]) or np.isfinite(late[196])
    assert np.nanmean(late) > 0.01


@libraries
def test_what_has_two_sides_is_found(name: str) -> None:
    # The sign of a product of two inputs: a line sees nothing of it, trees of any depth above one do.
    random = np.random.default_rng(4)
    X = random.standard_normal((3000, 1, 4))
    answer = 0.01 * (np.sign(X[:, :, 0] * X[:, :, 1]) + random.standard_normal((3000, 1)))
    model = small(name, trees=200, depth=4).fit(features(X[:2000], 0), labels(answer[:2000]))
    line = forecaster("ridge").fit(features(X[:2000], 0), labels(answer[:2000]))
    truth = np.sign(X[2000:, 0, 0] * X[2000:, 0, 1])
    asked = features(X[2000:], 0)
    assert np.corrcoef(model.predict(asked).score()[:, 0], truth)[0, 1] > 0.75
    assert abs(np.corrcoef(line.predict(asked).score()[:, 0], truth)[0, 1]) < 0.15


@libraries
def test_what_is_beyond_float32_is_taken(name: str) -> None:
    X, y = lesson(classes=(-1.0, 1.0))
    values = X.values.copy()
    values[100:110, :, 3] *= 1e60
    huge = replace(X, values=values)
    model = small(name).fit(huge, y)
    found = numbers(model.predict(huge))
    assert np.isfinite(found).all(axis=2).sum() == np.isfinite(values).all(axis=2).sum()


def test_leaves_of_xgboost_hold_rows_as_those_of_lightgbm_do() -> None:
    xgboost = pytest.importorskip("xgboost")
    for classes in KINDS:
        X, y = lesson(classes=classes)
        model: Any = forecaster("xgboost", trees=1, leaf_rows=40, validation=0.0, subsample=1.0, penalty=0.0).fit(X, y)
        booster = xgboost.Booster(model_file=bytearray(model_bytes(model)))
        leaves = booster.predict(xgboost.DMatrix(training_rows(X, y).X), pred_leaf=True).reshape(len(training_rows(X, y)), -1)
        for column in leaves.T:
            counts = np.unique(column, return_counts=True)[1]
            # Exact for returns and even classes; the curvature of an uneven class is below the mean of all.
            assert counts.min() >= (40 if len(classes) != 3 else 25) and len(counts) > 3


_ELSEWHERE = """
import hashlib, sys
from pathlib import Path
from tests.models.lessons import lesson, numbers, small
from tradewind.core.files import load_state
for name in sys.argv[2:]:
    model = small(name).restore(load_state(Path(sys.argv[1]) / name))
    print(name, hashlib.sha256(numbers(model.predict(lesson()[0])).tobytes()).hexdigest())
"""


def test_another_process_answers_the_same_bits(tmp_path: Path) -> None:
    X, y = lesson()
    names = ["lightgbm", "xgboost", "random-forest", "stacking", "voting"]
    names += ["catboost"] if importlib.util.find_spec("catboost") else []
    expected = []
    for name in names:
        model = small(name).fit(X, y)
        save_state(tmp_path / name, model.state())
        expected.append(f"{name} {hashlib.sha256(numbers(model.predict(X)).tobytes()).hexdigest()}")
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), *sys.path])
    found = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(tmp_path), *names],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert found.stdout.splitlines() == expected


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = lesson()
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(MissingExtra, match=r"tradewind\[catboost\]"):
        forecaster("catboost").fit(X, y)


@libraries
def test_settings_and_states_that_cannot_be_are_refused(name: str) -> None:
    for wrong in (
        {"trees": 0},
        {"depth": 1.5},
        {"learning_rate": 0},
        {"subsample": 0.0},
        {"column_sample": 2},
        {"patience": 0},
        {"validation": 1},
    ):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            forecaster(name, **wrong)
    with pytest.raises(SettingsError, match="did you mean 'learning_rate'"):
        forecaster(name, learning_rat=0.1)
    task = {"names": ["x0"], "classes": [-1.0, 1.0], "present": [0, 1]}
    with pytest.raises(StateError, match="no bytes"):
        forecaster(name).restore(State({"task": task}))
    assert set(space(name)) <= set(vars(forecaster(name)))


def test_catboost_grows_trees_of_sixteen_levels_at_most() -> None:
    with pytest.raises(SettingsError, match="depth is 17"):
        CatBoost(depth=17)
