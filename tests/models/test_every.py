"""What holds for every registered forecaster."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models.lessons import NETS, SMALL, features, labels, lesson, numbers, small

from tradewind.core.errors import DataError, NotFitted, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.protocols import Forecaster
from tradewind.core.types import State
from tradewind.models.registry import forecasters

NAIVE = ("no-change", "base-rate")
DRAWING = ("random-forest", "lightgbm", "xgboost", "catboost", "stacking", "voting")
KINDS = [(-1.0, 0.0, 1.0), (-1.0, 1.0), ()]
every = pytest.mark.parametrize("name", forecasters())
kinds = pytest.mark.parametrize("classes", KINDS, ids=["three", "two", "return"])


@every
@kinds
def test_forecasts_are_shaped_as_promised_and_nan_where_inputs_are(name: str, classes: tuple[float, ...]) -> None:
    X, y = lesson(classes=classes)
    model = small(name)
    assert isinstance(model, Forecaster) and model.fit(X, y) is model
    forecast = model.predict(X)
    given = numbers(forecast)
    missing = np.isnan(X.values).any(axis=2)
    assert given.shape == (*missing.shape, len(classes) or 1)
    assert np.isnan(given[missing]).all()
    answered = np.isfinite(given).all(axis=2)
    # A window of four rows before a row can be asked is all that a net may want beyond the row itself.
    assert answered[20:].sum() == (~missing[20:]).sum()
    if classes:
        assert forecast.classes == classes
        np.testing.assert_allclose(given[answered].sum(axis=1), 1.0, rtol=0, atol=1e-12)
        assert (given[answered] >= 0).all()


@every
@kinds
def test_a_restored_forecaster_answers_the_same_bits(name: str, classes: tuple[float, ...], tmp_path: Path) -> None:
    X, y = lesson(classes=classes)
    model = small(name).fit(X, y)
    before = numbers(model.predict(X))
    save_state(tmp_path / "state", model.state())
    reborn = small(name, **({"layers": 2} if name in NETS else {})).restore(load_state(tmp_path / "state"))
    assert numbers(reborn.predict(X)).tobytes() == before.tobytes()
    assert reborn.state() == model.state()
    assert numbers(copy.deepcopy(model).predict(X)).tobytes() == before.tobytes()


@every
@kinds
def test_the_last_row_of_a_prefix_has_the_bits_of_the_whole(name: str, classes: tuple[float, ...]) -> None:
    X, y = lesson(n=260, classes=classes)
    model = small(name).fit(X, y)
    whole = numbers(model.predict(X))
    window = getattr(model, "window", 1)
    for cut in (1, 5, 30, 77, 128, 191, 260):
        assert numbers(model.predict(X[:cut]))[-1].tobytes() == whole[cut - 1].tobytes()
        assert numbers(model.predict(X[max(0, cut - window) : cut]))[-1].tobytes() == whole[cut - 1].tobytes()


@every
@kinds
def test_equal_seeds_give_equal_bytes_and_other_seeds_other_models(name: str, classes: tuple[float, ...]) -> None:
    X, y = lesson(classes=classes)
    one, two = small(name).fit(X, y), small(name).fit(X, y)
    assert one.state() == two.state()
    if name in (*DRAWING, *NETS):
        other = small(name)
        other.reseed(1)  # type: ignore[attr-defined]
        assert other.fit(X, y).state() != one.state()


@pytest.mark.parametrize("name", [name for name in forecasters() if name not in NAIVE])
@kinds
def test_it_learns_the_obvious(name: str, classes: tuple[float, ...]) -> None:
    X, y = lesson(n=900, symbols=1, classes=classes)
    settings = {"epochs": 25, "dropout": 0.0} if name in NETS else {}
    score = small(name, **settings).fit(X[:700], _rows(y, slice(700))).predict(X[700:]).score()
    there = np.isfinite(score) & np.isfinite(y.values[700:])
    assert np.corrcoef(score[there], X.values[700:, :, 0][there])[0, 1] > 0.6


@every
def test_a_class_that_training_lacks_has_probability_zero(name: str) -> None:
    X, y = lesson(classes=(-1.0, 1.0))
    three = replace(y, classes=(-1.0, 0.0, 1.0))
    forecast = small(name).fit(X, three).predict(X)
    given = numbers(forecast)
    assert forecast.classes == (-1.0, 0.0, 1.0) and given.shape[2] == 3
    if name != "no-change":
        answered = given[np.isfinite(given).all(axis=2)]
        assert (answered[:, 1] == 0).all() and (answered[:, [0, 2]].sum(axis=1) > 0.999).all()


@every
def test_a_single_class_is_certain(name: str) -> None:
    X, y = lesson(classes=(-1.0, 0.0, 1.0))
    only = replace(y, values=np.where(np.isnan(y.values), np.nan, 1.0))
    model = small(name).fit(X, only)
    given = numbers(model.predict(X))
    answered = given[np.isfinite(given).all(axis=2)]
    assert len(answered) > 300
    if name != "no-change":
        np.testing.assert_allclose(answered, np.tile([0.0, 0.0, 1.0], (len(answered), 1)), atol=1e-12)
    assert numbers(small(name).restore(model.state()).predict(X)).tobytes() == given.tobytes()


@every
@kinds
def test_constant_columns_and_outliers_do_no_harm(name: str, classes: tuple[float, ...]) -> None:
    X, y = lesson(classes=classes)
    values = X.values.copy()
    values[:, :, 1], values[:, :, 2] = 0.1, 0.0
    values[np.isnan(X.values)] = np.nan
    constant = replace(X, values=values)
    model = small(name).fit(constant, y)
    values = values.copy()
    values[200:, :, 3] *= 1e6
    found = numbers(model.predict(replace(X, values=values)))
    assert np.isfinite(found[20:]).all(axis=2).sum() == (~np.isnan(X.values[20:]).any(axis=2)).sum()


@every
@kinds
def test_one_row_is_enough_to_fit_and_to_ask(name: str, classes: tuple[float, ...]) -> None:
    rows = SMALL.get(name, {}).get("window", 1)
    X = features(np.random.default_rng(0).standard_normal((rows, 1, 3)), 0)
    answer = np.full((rows, 1), np.nan)
    answer[-1] = 1.0 if classes else 0.01
    given = numbers(small(name).fit(X, labels(answer, classes)).predict(X))
    assert np.isfinite(given[-1]).all()


@every
def test_weights_of_zero_are_rows_left_out(name: str) -> None:
    X, y = lesson(classes=(-1.0, 1.0))
    weights = np.where(np.arange(len(y))[:, None] % 3 == 0, 0.0, 1.0) * np.ones(y.values.shape)
    blank = replace(y, values=np.where(weights > 0, y.values, np.nan))
    assert small(name).fit(X, replace(y, weights=weights)).state() == small(name).fit(X, blank).state()


@every
def test_misuse_is_told_clearly(name: str) -> None:
    X, y = lesson()
    with pytest.raises(NotFitted, match="fit"):
        small(name).predict(X)
    with pytest.raises(NotFitted, match="fit"):
        small(name).state()
    with pytest.raises(StateError, match="fitted"):
        small(name).restore(State({"other": 1}))
    model = small(name).fit(X, y)
    with pytest.raises(DataError, match="lacks \\['x3'\\]"):
        model.predict(X.select(["x0", "x1", "x2"]))
    with pytest.raises(DataError, match="columns"):
        model.predict(X.select(["x1", "x0", "x2", "x3"]))
    with pytest.raises(DataError, match="none of the 400 rows"):
        small(name).fit(X, replace(y, values=np.full(y.values.shape, np.nan)))
    with pytest.raises(DataError, match="same market"):
        small(name).fit(X[:10], y)
    with pytest.raises(DataError, match="none of the classes"):
        small(name).fit(X, replace(y, classes=(-1.0, 1.0)))


def _rows(y: object, rows: slice) -> object:
    parts = {name: getattr(y, name)[rows] for name in ("values", "known", "end", "weights")}
    return replace(y, **parts)  # type: ignore[type-var]
