"""Nets as forecasters: windows, parts, presets, faults, and a state that rebuilds any size."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.lessons import NETS, STEP, features, labels, lesson, numbers, small

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import save_state
from tradewind.core.spaces import Choice
from tradewind.core.types import Forecast, State
from tradewind.models.architectures import ARCHITECTURES
from tradewind.models.neural import price_action_transformer
from tradewind.models.registry import forecaster, space
from tradewind.nets import training
from tradewind.nets.course import Course, Diverged
from tradewind.nets.training import Examples

TINY = {"window": 4, "width": 8, "heads": 2, "layers": 1, "feedforward": 16, "epochs": 2, "dropout": 0.0}


def test_presets_are_the_guides_and_what_is_given_goes_first() -> None:
    large = price_action_transformer("large", layers=3)
    sizes = (large.sizes.window, large.sizes.width, large.sizes.layers)
    assert (sizes, large.settings.batch, large.settings.learning_rate) == ((128, 256, 3), 64, 5e-4)
    regular = price_action_transformer("regularised")
    assert (regular.sizes.dropout, regular.settings.weight_decay, regular.sizes.window) == (0.2, 0.05, 64)
    plain, window = price_action_transformer().settings, price_action_transformer().sizes.window
    guide = (plain.epochs, plain.patience, plain.batch, plain.weight_decay, window)
    assert guide == (100, 5, 32, 0.01, 64)
    # Its encoder normalises after each part, which wants a warm-up, and half the guide's rate.
    assert (plain.learning_rate, plain.warmup, regular.settings.warmup, large.settings.warmup) == (5e-4, 2_000, 2_000, 2_000)
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


nets = pytest.mark.parametrize("name", NETS)
neural = pytest.mark.parametrize("name", ARCHITECTURES)


@nets
def test_too_few_rows_for_a_window_say_so(name: str) -> None:
    X = features(np.zeros((20, 1, 2)), 0)
    y = labels(np.where(np.arange(20)[:, None] % 2 == 0, 1.0, -1.0), (-1.0, 1.0))
    with pytest.raises(DataError, match="no learned row has 30 usable rows up to it; fit on more bars or set a smaller window"):
        forecaster(name, window=30).fit(X, y)
    with pytest.raises(SettingsError, match="did you mean 'stride'"):
        forecaster(name, strid=2)
    with pytest.raises(SettingsError, match="unknown preset 'quik'; did you mean 'quick'"):
        forecaster(name, preset="quik")


@nets
@pytest.mark.parametrize("classes", [(-1.0, 0.0, 1.0), (-1.0, 1.0), (), "quantiles"], ids=str)
def test_a_stream_that_begins_anywhere_gives_the_bits_of_the_whole_history(name: str, classes: tuple[float, ...] | str) -> None:
    asked = {"quantiles": (0.1, 0.5, 0.9)} if classes == "quantiles" else {}
    X, y = lesson(n=150, symbols=3, classes=() if classes == "quantiles" else classes)  # type: ignore[arg-type]
    later = np.where(np.arange(len(X)) >= 90, 7 * STEP, 0)
    X = replace(X, open_time=X.open_time + later, known=X.known + later)
    model = small(name, **asked, epochs=1).fit(X, y)
    whole = _all(model.predict(X))
    random = np.random.default_rng(0)
    for _ in range(10):
        stop = int(random.integers(model.window, len(X) + 1))
        start = int(random.integers(0, stop - model.window + 1))
        part = _all(model.predict(X[start:stop]))
        # From the row on that has its whole reach in the part, every row is that of the whole history.
        assert part[model.window - 1 :].tobytes() == whole[start + model.window - 1 : stop].tobytes()
        last = _all(model.predict_last(X[stop - model.window : stop]))
        assert last.tobytes() == whole[stop - 1 : stop].tobytes()


@nets
def test_no_symbol_disturbs_another(name: str) -> None:
    X, y = lesson(n=120, symbols=3, classes=(-1.0, 1.0))
    model = small(name, epochs=1).fit(X, y)
    whole = _all(model.predict(X))
    values = X.values.copy()
    values[:, 1], values[40:60, 2] = np.nan, 1e9
    changed = _all(model.predict(replace(X, values=values)))
    assert changed[:, 0].tobytes() == whole[:, 0].tobytes() and np.isnan(changed[:, 1]).all()


@neural
def test_quantiles_of_a_return_are_learned(name: str) -> None:
    X, y = lesson(n=800, symbols=1, classes=(), noise=0.6)
    levels = (0.1, 0.5, 0.9)
    model = small(name, quantiles=levels, epochs=25, patience=25, dropout=0.0).fit(X[:600], y[:600])
    forecast = model.predict(X[600:])
    assert forecast.levels == levels and forecast.quantiles is not None and forecast.mean is not None
    there = np.isfinite(forecast.mean) & np.isfinite(y.values[600:])
    answers, quantiles = y.values[600:][there], forecast.quantiles[there]
    assert (np.diff(quantiles, axis=1) >= 0).all() and len(answers) > 150
    # The width is that of the noise, which the answer's own spread is not, and the shares are near the levels.
    below = (answers[:, None] < quantiles).mean(axis=0)
    np.testing.assert_allclose(below, levels, atol=0.12)
    assert np.corrcoef(forecast.mean[there], X.values[600:, :, 0][there])[0, 1] > 0.9
    ours, blind = _pinball(answers, quantiles, levels), _pinball(answers, np.quantile(y.values[:599], levels)[None], levels)
    assert ours < 0.8 * blind
    again = forecaster(name).restore(model.state())
    assert _all(again.predict(X)).tobytes() == _all(model.predict(X)).tobytes()


def test_another_process_restores_the_same_predictions(tmp_path: Path) -> None:
    X, y = lesson(n=200, classes=(-1.0, 0.0, 1.0))
    expected = []
    for name in NETS:
        model = small(name, epochs=1).fit(X, y)
        save_state(tmp_path / name, model.state())
        expected.append(hashlib.sha256(numbers(model.predict(X)).tobytes()).hexdigest())
    code = (
        "import sys, hashlib\n"
        "from tests.models.lessons import NETS, lesson\n"
        "from tradewind.core.files import load_state\n"
        "from tradewind.models.registry import forecaster\n"
        "X, _ = lesson(n=200, classes=(-1.0, 0.0, 1.0))\n"
        "for name in NETS:\n"
        "    model = forecaster(name).restore(load_state(f'{sys.argv[1]}/{name}'))\n"
        "    print(hashlib.sha256(model.predict(X).probabilities.tobytes()).hexdigest())\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.split() == expected


@nets
def test_a_state_of_another_net_is_refused(name: str) -> None:
    X, y = lesson(n=60, classes=(-1.0, 1.0))
    state = small(name, epochs=1).fit(X, y).state()
    for other in NETS:
        if other != name:
            with pytest.raises(StateError, match=f"no settings of a {other}"):
                forecaster(other).restore(state)


@nets
def test_divergence_names_the_strangest_input(name: str) -> None:
    X, y = lesson(n=200, symbols=2, classes=())
    values = X.values.copy()
    values[50, 1, 2] = 1e5
    with pytest.raises(
        Diverged, match=r"the training loss is (nan|inf) in epoch \d+; lower learning_rate .*'x2' in row 50 of S1: 100000, "
    ):
        small(name, learning_rate=1e30, epochs=20, clip=0.0).fit(replace(X, values=values), y)
    values[60, 0, 1] = -1e300
    with pytest.raises(DataError, match=r"feature 'x1' is -1e\+300 in row 60 of S0: too large to be standardised"):
        small(name).fit(replace(X, values=values), y)


@nets
def test_constant_columns_and_a_single_class_are_told(name: str) -> None:
    X, y = lesson(n=100, classes=(-1.0, 1.0))
    values = X.values.copy()
    values[:, :, 3] = np.where(np.isnan(values[:, :, 3]), np.nan, 2.5)
    model = small(name, epochs=1).fit(replace(X, values=values), y)
    assert model.notes == ("feature 'x3' is constant in the training part: it teaches nothing",) and model.training is not None
    only = replace(y, values=np.where(np.isnan(y.values), np.nan, -1.0))
    model = small(name).fit(X, only)
    assert model.training is None and "has the class -1 alone: no net was trained" in model.notes[0]
    assert small(name, epochs=1).fit(X, y).notes == ()


@nets
def test_memory_that_runs_out_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = lesson(n=100, classes=(-1.0, 1.0))
    backward = training._backward

    def hungry(course: Course, examples: Examples, group: torch.Tensor) -> torch.Tensor:
        if course.batch > 8:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return backward(course, examples, group)

    monkeypatch.setattr(training, "_backward", hungry)
    model = small(name, epochs=1, batch=32).fit(X, y)
    assert [note.partition(":")[0] for note in model.notes] == ["out of memory"] * 2
    assert model.training is not None and (model.training.batch, model.training.accumulate) == (8, 4)


@neural
def test_presets_and_spaces_are_of_settings_that_exist(name: str) -> None:
    for preset in ARCHITECTURES[name].presets:
        forecaster(name, preset=preset)
    chosen = space(name)
    assert len(chosen) >= 5
    for key, choice in chosen.items():
        ends = choice.values if isinstance(choice, Choice) else (choice.low, choice.high)  # type: ignore[union-attr]
        for value in ends:
            forecaster(name, **{key: value})


@pytest.mark.parametrize(
    "wrong",
    [{"quantiles": (0.9, 0.1)}, {"quantiles": 0.5}, {"quantiles": (0.5, 1.0)}, {"plateau": -1}, {"keep": 0}, {"window": 0}, {"gaps": 1}],
    ids=str,
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong)).rstrip("s")):
        forecaster("lstm", **wrong)


def _all(forecast: Forecast) -> np.ndarray:
    """(time, symbol, ...): all that a forecast says, side by side."""
    if forecast.probabilities is not None:
        return forecast.probabilities
    assert forecast.mean is not None
    mean = forecast.mean[:, :, None]
    return mean if forecast.quantiles is None else np.concatenate([mean, forecast.quantiles], axis=2)


def _pinball(answers: np.ndarray, quantiles: np.ndarray, levels: tuple[float, ...]) -> float:
    error = answers[:, None] - quantiles
    return float(np.maximum(np.array(levels) * error, (np.array(levels) - 1) * error).mean())


def test_unfitted_copies_are_independent() -> None:
    X, y = lesson(classes=(-1.0, 1.0))
    model = price_action_transformer(**TINY)
    twin = copy.deepcopy(model).fit(X, y)
    assert twin.training is not None and model.training is None
