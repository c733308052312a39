"""The transformer as a forecaster: windows, parts, presets, and a state that rebuilds any size."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from tests.models.lessons import STEP, features, labels, lesson, numbers

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.types import State
from tradewind.models.architectures import ARCHITECTURES
from tradewind.models.neural import price_action_transformer

TINY = {"window": 4, "width": 8, "heads": 2, "layers": 1, "feedforward": 16, "epochs": 2, "dropout": 0.0}


def test_presets_are_the_guides_and_what_is_given_goes_first() -> None:
    large = price_action_transformer("large", layers=3)
    sizes = (large.sizes.window, large.sizes.width, large.sizes.layers)
    assert (sizes, large.settings.batch, large.settings.learning_rate) == ((128, 256, 3), 64, 5e-4)
    regular = price_action_transformer("regularised")
    assert (regular.sizes.dropout, regular.settings.weight_decay, regular.sizes.window) == (0.2, 0.05, 64)
    plain, window = price_action_transformer().settings, price_action_transformer().sizes.window
    guide = (plain.epochs, plain.patience, plain.batch, plain.learning_rate, plain.weight_decay, window)
    assert guide == (100, 5, 32, 1e-3, 0.01, 64)
    for preset in ARCHITECTURES["price-action-transformer"].presets:
        assert price_action_transformer(preset).window == 2 * price_action_transformer(preset).sizes.window


def test_the_state_rebuilds_any_size() -> None:
    X, y = lesson(classes=(-1.0, 1.0))
    model = price_action_transformer(**{**TINY, "window": 6, "width": 12, "heads": 3, "layers": 2}).fit(X, y)
    reborn = price_action_transformer().restore(model.state())
    assert reborn.settings == model.settings and reborn.sizes == model.sizes and reborn.window == 12
    assert numbers(reborn.predict(X)).tobytes() == numbers(model.predict(X)).tobytes()
    json.dumps(dict(model.state().values))


def test_a_state_that_does_not_fit_is_refused() -> None:
    X, y = lesson(classes=(-1.0, 1.0))
    state = price_action_transformer(**TINY).fit(X, y).state()
    with pytest.raises(StateError, match="no settings"):
        price_action_transformer().restore(State({"task": state.values["task"]}))
    arrays = {name: array for name, array in state.arrays.items() if name != "net/embed.bias"}
    with pytest.raises(StateError, match=r"embed\.bias"):
        price_action_transformer().restore(State(state.values, arrays))


def test_it_sees_the_whole_window_and_nothing_else() -> None:
    X, y = lesson(symbols=1, classes=(-1.0, 1.0))
    values = np.where(np.isnan(X.values), 0.0, X.values)
    X = replace(X, values=values)
    model = price_action_transformer(**TINY).fit(X, y)
    base = numbers(model.predict(X))[:, 0]
    for back in range(8):
        changed = values.copy()
        changed[100 - back] += 1.0
        moved = numbers(model.predict(replace(X, values=changed)))[:, 0]
        assert (moved[100].tobytes() != base[100].tobytes()) == (back < 4)
        assert moved[: 100 - back].tobytes() == base[: 100 - back].tobytes()


def test_windows_count_usable_rows_but_do_not_reach_too_far() -> None:
    X, y = lesson(symbols=1, classes=(-1.0, 1.0))
    values = np.where(np.isnan(X.values), 0.0, X.values)
    model = price_action_transformer(**TINY).fit(replace(X, values=values), y)
    gap = values.copy()
    gap[100:104] = np.nan
    given = np.isfinite(numbers(model.predict(replace(X, values=gap))))[:, 0, 0]
    # Rows 97 to 99 and 104 span eight rows of the panel: just what a window may.
    assert not given[100:104].any() and given[104:].all()
    gap[100:105] = np.nan
    given = np.isfinite(numbers(model.predict(replace(X, values=gap))))[:, 0, 0]
    # Rows 105 to 107 would need one of 97 to 99, nine rows of the panel away.
    assert given[100:110].tolist() == [False] * 8 + [True] * 2


def test_windows_that_cross_a_gap_can_be_left_out() -> None:
    X, y = lesson(symbols=1, classes=(-1.0, 1.0))
    later = np.where(np.arange(len(X)) >= 200, 5 * STEP, 0)
    X = replace(X, values=np.where(np.isnan(X.values), 0.0, X.values), open_time=X.open_time + later, known=X.known + later)
    crossing = np.isfinite(numbers(price_action_transformer(**TINY).fit(X, y).predict(X)))[:, 0, 0]
    whole = np.isfinite(numbers(price_action_transformer(**TINY, gaps=False).fit(X, y).predict(X)))[:, 0, 0]
    assert crossing[3:].all() and np.flatnonzero(crossing & ~whole).tolist() == [200, 201, 202]


def test_fitting_on_parts_stops_on_the_later_one() -> None:
    X, y = lesson(n=500, symbols=1, classes=(-1.0, 1.0))
    part = {name: getattr(y, name) for name in ("values", "known", "end", "weights")}
    early, late = (replace(y, **{name: array[rows] for name, array in part.items()}) for rows in (slice(0, 300), slice(300, 500)))
    settings = {**TINY, "epochs": 40, "patience": 2, "learning_rate": 0.01}
    right = price_action_transformer(**settings).fit_parts(X[:300], early, X[300:], late)
    wrong = price_action_transformer(**settings).fit_parts(X[:300], early, X[300:], replace(late, values=-late.values))
    assert right.training is not None and wrong.training is not None
    assert len(wrong.training.history) < len(right.training.history)
    first = [model.training.history[0].training_loss for model in (right, wrong) if model.training]
    assert first[0] == first[1]


def test_stride_keeps_the_newest_window() -> None:
    X, y = lesson(symbols=1, classes=(-1.0, 1.0))
    model = price_action_transformer(**TINY, stride=7, validation=0.0)
    heard = []
    model.progress = heard.append
    model.fit(X, y)
    assert len(heard) == 2
    flipped = y.values.copy()
    last = np.flatnonzero(np.isfinite(y.values[:, 0]) & np.isfinite(X.values[:, 0]).all(axis=1))[-1]
    flipped[last] *= -1
    other = price_action_transformer(**TINY, stride=7, validation=0.0).fit(X, replace(y, values=flipped))
    assert other.state() != model.state()
    flipped = y.values.copy()
    flipped[last - 6 : last] *= -1
    unseen = price_action_transformer(**TINY, stride=7, validation=0.0).fit(X, replace(y, values=flipped))
    assert unseen.state() == model.state()


def test_too_few_rows_for_a_window_say_so() -> None:
    X = features(np.zeros((20, 1, 2)), 0)
    y = labels(np.where(np.arange(20)[:, None] % 2 == 0, 1.0, -1.0), (-1.0, 1.0))
    with pytest.raises(DataError, match="no learned row has 64 usable rows"):
        price_action_transformer().fit(X, y)
    with pytest.raises(SettingsError, match="did you mean 'stride'"):
        price_action_transformer(strid=2)


def test_unfitted_copies_are_independent() -> None:
    X, y = lesson(classes=(-1.0, 1.0))
    model = price_action_transformer(**TINY)
    twin = copy.deepcopy(model).fit(X, y)
    assert twin.training is not None and model.training is None
