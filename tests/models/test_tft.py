"""The Temporal Fusion Transformer as a forecaster: paths, symbols, the calendar ahead, readable weights, and a state that rebuilds it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.models.lessons import STEP, features, labels, lesson, numbers

from tradewind.core.errors import Corrupt, DataError, NotFitted, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import Features, Labels, State
from tradewind.data.synthetic import noise
from tradewind.features.batch import compute
from tradewind.features.catalog import CALENDAR
from tradewind.features.scale import Standardiser
from tradewind.models.quantiles import mean_of_quantiles
from tradewind.models.registry import forecaster, space
from tradewind.models.tft import PRESETS, TFT
from tradewind.models.tft_inputs import Ahead
from tradewind.nets.training import Diverged
from tradewind.nets.windows import windows
from tradewind.strategies.registry import strategy

LEVELS = (0.1, 0.5, 0.9)
TINY = {"window": 4, "hidden": 8, "heads": 2, "layers": 1, "embedding": 3, "epochs": 2, "batch": 64, "dropout": 0.0, "quantiles": LEVELS}


def paths(n: int = 160, symbols: int = 2, seed: int = 0, missing: float = 0.03) -> tuple[Features, Labels]:
    """Returns over one and three rows; the first column says which way the second goes for even symbols, and the other way for odd ones."""
    random = np.random.default_rng(seed)
    X, _ = lesson(n, symbols, 3, (), seed=seed)
    signs = np.where(np.arange(symbols) % 2 == 0, 1.0, -1.0)
    filled = np.where(np.isnan(X.values), 0.0, X.values)[:, :, 0]
    ahead = np.stack([0.002 * random.standard_normal((n, symbols)), 0.01 * signs * filled], axis=2)
    ahead[-3:] = np.nan
    ahead[random.uniform(size=(n, symbols)) < missing] = np.nan
    return X, replace(labels(ahead[:, :, 1]), horizon=3, ahead=ahead, horizons=(1, 3))


def calendar(X: Features) -> Features:
    """The same with two calendar columns as the features have them."""
    market = noise(len(X), "15m").market
    columns = compute(replace(market, open_time=X.open_time, known=X.known), ("hour_sine", "hour_cosine")).values
    columns = np.broadcast_to(columns, (*X.values.shape[:2], 2))
    return replace(X, names=(*X.names, "hour_sine", "hour_cosine"), values=np.concatenate([X.values, columns], axis=2))


@pytest.fixture(scope="module")
def fitted() -> tuple[TFT, Features]:
    X, y = paths()
    X = calendar(X)
    return TFT(**{**TINY, "epochs": 4, "learning_rate": 0.01}).fit(X, y), X


def test_a_forecast_has_quantiles_of_every_horizon(fitted: tuple[TFT, Features]) -> None:
    model, X = fitted
    forecast = model.predict(X)
    assert forecast.horizons == (1, 3) and forecast.levels == LEVELS and forecast.probabilities is None
    assert forecast.ahead is not None and forecast.quantiles is not None and forecast.mean is not None
    assert forecast.ahead.shape == (160, 2, 2, 3)
    answered = np.isfinite(forecast.mean)
    assert (answered == model.answerable(X)).all() and answered.sum() > 250
    assert (np.diff(forecast.ahead[answered], axis=2) >= 0).all() and np.isnan(forecast.ahead[~answered]).all()
    assert forecast.quantiles.tobytes() == forecast.ahead[:, :, 1].tobytes()
    assert forecast.mean[answered].tobytes() == mean_of_quantiles(forecast.quantiles, LEVELS)[answered].tobytes()
    # The longer horizon moves five times as far: each step is in the units of its own returns.
    widths = np.median(forecast.ahead[answered][:, :, 2] - forecast.ahead[answered][:, :, 0], axis=0)
    assert 0.0005 < widths[0] < 0.02 and 2.0 < widths[1] / widths[0] < 20.0


def test_it_tells_symbols_apart_and_means_their_mean_by_a_stranger() -> None:
    X, y = paths(n=500, missing=0.0)
    settings = {**TINY, "hidden": 16, "epochs": 25, "patience": 25, "batch": 32, "clip": 1.0, "learning_rate": 0.01}
    model = TFT(**settings).fit(X[:400], y[:400])
    later = X[400:]
    mean = model.predict(later).mean
    assert mean is not None
    for symbol, sign in ((0, 1.0), (1, -1.0)):
        there = np.isfinite(mean[:, symbol])
        assert np.corrcoef(mean[there, symbol], sign * later.values[there, symbol, 0])[0, 1] > 0.7
    strangers, swapped = (model.predict(replace(later, symbols=names)).mean for names in (("P", "Q"), ("S1", "S0")))
    assert strangers is not None and swapped is not None
    there = np.isfinite(mean[:, 0])
    assert not np.array_equal(strangers[there, 0], mean[there, 0]) and np.isfinite(strangers[there, 0]).all()
    # Names decide, not columns: the first column under the second one's name goes the other way.
    assert np.corrcoef(swapped[there, 0], later.values[there, 0, 0])[0, 1] < -0.7


@given(cut=st.integers(8, 160), data=st.data())
@hypothesis_settings(max_examples=8, deadline=None)
def test_any_prefix_and_the_last_rows_of_it_answer_the_same_bits(fitted: tuple[TFT, Features], cut: int, data: st.DataObject) -> None:
    model, X = fitted
    whole = model.predict(X)
    begin = data.draw(st.integers(0, max(0, cut - model.window)))
    for part in (model.predict(X[:cut]), model.predict(X[begin:cut]), model.predict_last(X[begin:cut])):
        for name in ("mean", "quantiles", "ahead"):
            assert getattr(part, name)[-1].tobytes() == getattr(whole, name)[cut - 1].tobytes()
    assert len(model.predict_last(X[begin:cut]).score()) == 1


def test_the_calendar_ahead_is_what_the_features_will_say() -> None:
    market = noise(400).market
    X = compute(market, ("return_1", *CALENDAR))
    horizons = (1, 7, 96)
    ahead, scaler = Ahead.of(X, horizons), Standardiser().fit(X)
    found = windows(scaler.transform(X).values, np.isfinite(X.values).all(axis=2), 5)
    histories = ahead.histories(X, found, scaler)
    assert ahead.bar == market.step and ahead.known(X.names) == ("distance", *CALENDAR)
    future = histories.known[histories.ahead].numpy()
    scores = scaler.transform(X).values[:, 0, 1:].astype(np.float32)
    for step, bars in enumerate(horizons):
        there = found.time < len(X) - bars
        assert there.sum() > 200
        np.testing.assert_array_equal(future[there, step], scores[found.time[there] + bars])
    assert histories.distance.tolist() == [pytest.approx(bars / 96) for bars in horizons]
    plain = Ahead.of(X, (1,)).histories(X.select(["return_1"]), found, Standardiser().fit(X.select(["return_1"])))
    assert plain.known.shape[1] == 0 and plain.gather(plain.windows.ends[:2] * 0).future.shape == (2, 1, 1)
    assert Ahead.of(X[:1], (1,)).bar == market.step


def test_the_calendar_ahead_is_used(fitted: tuple[TFT, Features]) -> None:
    model, X = fitted
    base = model.predict(X).mean
    day = 24 * 3600 * 10**9
    same = model.predict(replace(X, open_time=X.open_time + day, known=X.known + day)).mean
    other = model.predict(replace(X, open_time=X.open_time + day // 4, known=X.known + day // 4)).mean
    answered = np.isfinite(base)
    assert np.allclose(same[answered], base[answered], rtol=1e-5) and (np.abs(other - base)[answered] > 1e-7).mean() > 0.9


def test_windows_across_a_gap_can_be_left_out() -> None:
    X, y = paths(300, symbols=1, missing=0.0)
    X = replace(X, values=np.where(np.isnan(X.values), 0.0, X.values))
    later = np.where(np.arange(len(X)) >= 200, 5 * STEP, 0)
    X = replace(X, open_time=X.open_time + later, known=X.known + later)
    crossing = np.isfinite(TFT(**TINY).fit(X, y).predict(X).score())[:, 0]
    whole = np.isfinite(TFT(**TINY, gaps=False).fit(X, y).predict(X).score())[:, 0]
    assert crossing[3:].all() and np.flatnonzero(crossing & ~whole).tolist() == [200, 201, 202]


def test_weights_can_be_read(fitted: tuple[TFT, Features]) -> None:
    model, X = fitted
    rows = np.array([[40, 1], [30, 0], [120, 0]])
    read = model.interpretation(X, rows)
    assert read.time.tolist() == [40, 30, 120] and read.symbol.tolist() == [1, 0, 0] and read.window == 4
    assert read.encoder.shape == (3, 5) and read.decoder.shape == (3, 2, 3) and read.attention.shape == (3, 2, 6)
    for weights in (read.static, read.encoder, read.decoder, read.attention):
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-5)
    assert (read.attention[:, 0, 5] == 0).all()
    selected = read.selected()
    assert selected["static"] == {"symbol": 1.0} and list(selected["decoder"]) != [] and set(selected["encoder"]) == set(X.names)
    assert list(selected["encoder"].values()) == sorted(selected["encoder"].values(), reverse=True)
    np.testing.assert_allclose(selected["encoder"]["x0"], read.encoder[:, 0].mean())
    np.testing.assert_allclose(read.attended(), read.attention[:, :, :4].mean(axis=0))
    everything = model.interpretation(X)
    assert len(everything.time) == model.answerable(X).sum()
    place = [(int(t), int(s)) for t, s in zip(everything.time, everything.symbol, strict=True)].index((40, 1))
    np.testing.assert_allclose(everything.attention[place], read.attention[0], rtol=1e-4, atol=1e-6)
    with pytest.raises(DataError, match="row 0 of S0"):
        model.interpretation(X, np.array([[0, 0]]))
    nothing = np.empty((0, 2), dtype=np.int64)
    assert model.interpretation(X, nothing).attention.shape == (0, 2, 6)
    assert model.contributions(X, nothing).values.shape == (0, 4, 5)


@pytest.mark.parametrize("classes", [(), (-1.0, 1.0), (-1.0, 0.0, 1.0)])
def test_contributions_add_up_to_the_answer(classes: tuple[float, ...]) -> None:
    X, y = lesson(classes=classes) if classes else paths()
    model = TFT(**{**TINY, "epochs": 4, "learning_rate": 0.01}).fit(X, y)
    rows = np.argwhere(model.answerable(X))[[5, 100]]
    told, forecast = model.contributions(X, rows), model.predict(X)
    np.testing.assert_allclose(told.base + told.values.sum(axis=(1, 2)), told.total, rtol=5e-3, atol=2e-5)
    given_ = numbers(forecast)[rows[:, 0], rows[:, 1]]
    expected = np.log(given_[:, -1] / given_[:, 0]) if classes else given_[:, 0]
    np.testing.assert_allclose(told.total, expected, rtol=1e-3, atol=1e-6)
    assert told.unit == ("log-odds" if classes else "return") and told.names == X.names
    np.testing.assert_allclose(told.inputs[:, -1], X.values[rows[:, 0], rows[:, 1]], rtol=1e-4, atol=1e-5)


_REBORN = """
import sys
import numpy as np
from tests.models.test_tft import calendar, paths
from tradewind.core.files import load_state
from tradewind.models.tft import TFT

X = calendar(paths()[0])
forecast = TFT().restore(load_state(sys.argv[1])).predict(X)
sys.stdout.buffer.write(forecast.mean.tobytes() + forecast.ahead.tobytes())
"""


def test_another_process_answers_the_same_bits(fitted: tuple[TFT, Features], tmp_path: Path) -> None:
    model, X = fitted
    save_state(tmp_path / "state", model.state())
    json.dumps(dict(model.state().values))
    forecast = model.predict(X)
    assert forecast.mean is not None and forecast.ahead is not None
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", _REBORN, str(tmp_path / "state")], cwd=root, capture_output=True, check=True)
    assert done.stdout == forecast.mean.tobytes() + forecast.ahead.tobytes()
    reborn = TFT().restore(model.state())
    assert reborn.sizes == model.sizes and reborn.settings == model.settings and reborn.window == 8 and reborn.state() == model.state()
    arrays = tmp_path / "state" / "arrays.npz"
    flipped = bytearray(arrays.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    arrays.write_bytes(bytes(flipped))
    with pytest.raises(Corrupt):
        load_state(tmp_path / "state")


def test_a_state_that_does_not_fit_is_refused(fitted: tuple[TFT, Features]) -> None:
    state = fitted[0].state()
    with pytest.raises(StateError, match="no settings"):
        TFT().restore(State({"task": state.values["task"]}))
    with pytest.raises(StateError, match="no Temporal Fusion Transformer"):
        TFT().restore(State({key: value for key, value in state.values.items() if key != "ahead"}, state.arrays))
    with pytest.raises(StateError, match=r"head\.bias"):
        TFT().restore(State(state.values, {name: array for name, array in state.arrays.items() if name != "net/head.bias"}))


def test_rows_whose_path_is_not_whole_teach_nothing() -> None:
    X, y = paths(missing=0.0)
    assert y.ahead is not None
    holes = y.ahead.copy()
    holes[50:60, :, 0] = np.nan
    blank = np.where(np.isnan(holes[:, :, 0]), np.nan, y.values)
    one, two = (TFT(**TINY).fit(X, labels_) for labels_ in (replace(y, ahead=holes), replace(y, ahead=holes, values=blank)))
    assert one.state() == two.state()
    plain = TFT(**TINY).fit(X, replace(y, ahead=None, horizons=()))
    forecast = plain.predict(X)
    assert forecast.horizons == (3,) and forecast.ahead is not None and forecast.ahead.shape[2:] == (1, 3)


def test_parts_keep_their_best_epochs() -> None:
    X, y = paths(n=400)
    model = TFT(**{**TINY, "epochs": 5, "keep": 3, "patience": 5}).fit_parts(X[:300], y[:300], X[300:], y[300:])
    kept = model.checkpoints()
    assert len(kept) == 3 and model.training is not None
    losses = [line.validation_loss for line, _ in kept]
    assert losses == sorted(losses) and losses[0] == min(line.validation_loss for line in model.training.history)
    best = TFT().restore(kept[0][1])
    assert best.predict(X).score().tobytes() == model.predict(X).score().tobytes()
    with pytest.raises(SettingsError, match="has the horizons"):
        model.fit_parts(X[:300], y[:300], X[300:], replace(y[300:], ahead=None, horizons=()))


def test_presets_spaces_and_settings_that_cannot_be() -> None:
    guide = TFT()
    sizes, rest = guide.sizes, guide.settings
    assert (sizes.window, sizes.hidden, sizes.layers, sizes.heads, guide.window) == (60, 256, 2, 4, 120)
    assert (rest.batch, rest.epochs, rest.learning_rate, rest.clip, rest.patience, rest.plateau, rest.keep) == (128, 50, 1e-3, 0.1, 5, 4, 3)
    assert rest.quantiles == (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
    assert TFT("medium").sizes.hidden == 64 and set(PRESETS) == {"guide", "medium", "quick"}
    for name, searched in space("tft").items():
        TFT(**{name: searched.values[0] if hasattr(searched, "values") else searched.low})
    with pytest.raises(SettingsError, match="did you mean 'hidden'"):
        forecaster("tft", hiden=3)
    with pytest.raises(SettingsError, match="a tft needs quantiles"):
        TFT(quantiles=())
    with pytest.raises(SettingsError, match="did you mean 'quick'"):
        TFT("quik")
    with pytest.raises(NotFitted):
        TFT().predict(features(np.zeros((3, 1, 2))))


def test_faults_are_told() -> None:
    X, y = paths(n=60)
    with pytest.raises(DataError, match="no learned row has 60 usable rows"):
        TFT("quick").fit(X[:40], y[:40])
    with pytest.raises(DataError, match="none of the 60 rows"):
        TFT(**TINY).fit(X, replace(y, ahead=np.full_like(y.ahead, np.nan)))
    classes = lesson(classes=(-1.0, 1.0))[1]
    X = lesson()[0]
    settled = TFT(**TINY).fit(X, replace(classes, values=np.where(np.isnan(classes.values), np.nan, 1.0)))
    assert any("class 1 alone" in note for note in settled.notes)
    with pytest.raises(DataError, match="single class"):
        settled.interpretation(X)
    still = replace(X, values=np.where(np.isnan(X.values), np.nan, X.values * [1, 0, 1, 1]))
    assert any("'x1' is constant" in note for note in TFT(**TINY).fit(still, classes).notes)
    with pytest.raises(Diverged, match="strangest input is feature"):
        TFT(**{**TINY, "learning_rate": 1e38}).fit(X, classes)


def test_as_a_strategy_it_decides_on_classes_and_on_paths() -> None:
    market = noise(700).market
    for settings in (
        {"label": "triple-barrier", "label_settings": {"horizon": 8, "span": 20}},
        {"label": "multi-horizon", "label_settings": {"horizons": (1, 4)}, "policy": {"threshold": 0.0}},
    ):
        chosen = strategy("forecast", forecaster="tft", forecaster_settings=TINY, features=("return_1", "rsi_14", "hour_sine"), **settings)
        targets = chosen.fit(market[:600]).decide_all(market)
        assert np.isfinite(targets[600:]).any() and np.nanmax(np.abs(targets)) <= 1.0
