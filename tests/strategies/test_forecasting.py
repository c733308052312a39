from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.types import View
from tradewind.simulate.account import Book
from tradewind.strategies.forecasting import Forecasting

from .markets import behaves, flat, gappy, panel, same

COLUMNS = ("return_1", "return_5", "rsi_7", "volatility_20")
SHORT = {"horizon": 6, "span": 20}
SMALL = {
    "logistic": {},
    "ridge": {},
    "lightgbm": {"trees": 20, "leaves": 7, "learning_rate": 0.2},
    "random-forest": {"trees": 5},
    "price-action-transformer": {
        "window": 8, "width": 16, "heads": 2, "layers": 1, "feedforward": 16, "epochs": 1, "stride": 4,
    },
}  # fmt: skip


class Echo(tw.Forecaster):
    """Forecasts a linear function of the inputs with weights drawn in fit; keeps what it was fitted on."""

    def __init__(self, scale: float = 0.01) -> None:
        self.scale, self.seed, self.fitted_on = scale, 0, 0

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X, y):
        self.weights = np.random.default_rng(self.seed).standard_normal(len(X.names))
        self.fitted_on, self.labelled = len(X), int(np.isfinite(y.values).sum())
        return self

    def predict(self, X):
        return tw.Forecast(mean=self.scale * (X.values * self.weights).sum(axis=-1))


def small(name: str, **more: object) -> Forecasting:
    label = {"label": "horizon-return", "label_settings": {"horizon": 6}} if name == "ridge" else {"label_settings": SHORT}
    settings = {"forecaster_settings": SMALL[name], **label, "policy": {"threshold": 0.0, "band": 0.1}, **more}
    return tw.strategy(name, features=COLUMNS, **settings)


@pytest.mark.parametrize("name", SMALL)
def test_promises(name: str, tmp_path: object) -> None:
    market = gappy(bars=360, symbols=2, missing=0.03)
    targets = behaves(lambda: small(name), market, tmp_path)
    assert np.isfinite(targets).any()
    assert (np.abs(targets[np.isfinite(targets)]) <= 0.5).all()


def test_promises_of_your_own_forecaster(tmp_path: object) -> None:
    mine = Echo()
    make = lambda: tw.strategy("forecast", forecaster=mine, features=["return_1", "rsi_7"], label="next-bar")  # noqa: E731
    assert np.isfinite(behaves(make, gappy(), tmp_path)).any()
    assert mine.fitted_on == 0  # a copy is fitted


@pytest.mark.parametrize(
    ("method", "label"), [("aci", "horizon-return"), ("dtaci", "triple-barrier"), ("rolling", "multi-horizon"), ("split", "next-bar")]
)
def test_promises_of_one_that_goes_on_learning(method: str, label: str, tmp_path: object) -> None:
    settings = {"horizon-return": {"horizon": 6}, "triple-barrier": SHORT, "multi-horizon": {"horizons": (1, 3, 6)}, "next-bar": {}}[label]

    def make(method: str = method) -> Forecasting:
        return tw.strategy(
            "forecast", forecaster="conformal", features=COLUMNS, label=label, label_settings=settings,
            forecaster_settings={"method": method, "memory": 40}, policy={"size": "interval", "threshold": 0.0, "band": 0.0},
        )  # fmt: skip

    market = gappy(bars=360, symbols=2, missing=0.03)
    assert np.isfinite(behaves(make, market, tmp_path)).any()
    # What it learned after the fit is in its answers, and only there.
    moving, fixed = (make(each).fit(market[:180]).decide_all(market) for each in (method, "split"))
    same(moving[:180], fixed[:180])
    assert (np.nan_to_num(moving) == np.nan_to_num(fixed)).all() == (method == "split")


def test_the_last_bars_of_memory_are_enough_to_decide() -> None:
    market = gappy(bars=400, symbols=2, missing=0.03)
    strategy = tw.strategy(
        "forecast", forecaster="conformal", features=("return_1", "return_5"), label="horizon-return", label_settings={"horizon": 3},
        forecaster_settings={"memory": 40}, policy={"size": "interval", "threshold": 0.0, "band": 0.0},
    ).fit(market[:200])  # fmt: skip
    whole = strategy.decide_all(market)
    # Six bars for the features, one row to answer, forty behind it.
    recent = market[-60:]
    same(strategy.decide_all(recent)[-3:], whole[-3:])
    assert np.isfinite(whole[-3:]).any()


def test_the_model_is_there_to_be_looked_at() -> None:
    market = gappy()
    strategy = small("ridge")
    assert strategy.model is None
    strategy.fit(market)
    assert strategy.model is not None and strategy.model.state() == strategy.state().child("model")
    with pytest.raises(AttributeError):
        strategy.model = None  # type: ignore[misc]


def test_learns_only_from_labels_known_by_the_end_of_training() -> None:
    market = gappy(missing=0.0, symbols=2)
    strategy = Forecasting(Echo(), COLUMNS, "horizon-return", label_settings={"horizon": 10}).fit(market[:200])
    bars = (~np.isnan(market.close[:200])).sum(axis=0)
    assert strategy._model.labelled == np.maximum(bars - 10, 0).sum()
    # What comes after the training part, whatever it is, changes nothing that was learned.
    other = gappy(missing=0.0, symbols=2, seed=8)
    assert strategy.state() == Forecasting(Echo(), COLUMNS, "horizon-return", label_settings={"horizon": 10}).fit(market[:200]).state()
    assert strategy.state() != Forecasting(Echo(), COLUMNS, "horizon-return", label_settings={"horizon": 9}).fit(other[:200]).state()


def test_train_limit_takes_the_last_bars() -> None:
    market = gappy()
    assert Forecasting(Echo(), COLUMNS, "next-bar", train_limit=120).fit(market)._model.fitted_on == 120
    limited = Forecasting("ridge", COLUMNS, "horizon-return", train_limit=120).fit(market)
    assert limited.state() == Forecasting("ridge", COLUMNS, "horizon-return", train_limit=120).fit(market[-120:]).state()


def test_seeds() -> None:
    market = gappy()

    def weights(seed: int) -> list[float]:
        strategy = Forecasting(Echo(), COLUMNS, "next-bar")
        strategy.reseed(seed)
        return strategy.fit(market)._model.weights.tolist()

    assert weights(1) == weights(1) != weights(2)
    forests = [small("random-forest") for _ in range(3)]
    for forest, seed in zip(forests, (1, 1, 2), strict=True):
        forest.reseed(seed)
        forest.fit(market)
    assert forests[0].state() == forests[1].state() != forests[2].state()


def test_learns_an_obvious_edge() -> None:
    # Returns alternate in sign but for noise: whoever learns sees it in the last return.
    draw = np.random.default_rng(2)
    close = 100 * np.exp(np.cumsum(0.01 * np.where(np.arange(600) % 2, 1, -1) + 0.002 * draw.standard_normal(600)))
    market = panel(close)
    for name in ("logistic", "ridge", "lightgbm"):
        label = (
            {"label": "horizon-return", "label_settings": {"horizon": 1}}
            if name == "ridge"
            else {"label": "next-bar", "label_settings": {}}
        )
        strategy = small(name, **label).fit(market[:400])
        targets = strategy.decide_all(market, None, 400)[400:-1, 0]
        held = np.where(np.isnan(targets), 0.0, targets)
        assert (held * np.sign(np.diff(market.close[400:, 0]))).mean() > 0.5, name


def test_nothing_to_learn_keeps_what_is_held(tmp_path: object) -> None:
    for market in (flat(200), gappy(bars=60)):
        targets = behaves(lambda: small("logistic"), market, tmp_path)
        assert np.isnan(targets).all()
    single = np.full((200, 2), np.nan)
    single[:, 0] = gappy(bars=235, symbols=2, missing=0.0).close[:200, 0]
    single[70, 1] = 3.0
    strategy = small("ridge").fit(panel(single))
    targets = strategy.decide_all(panel(single))
    assert np.isnan(targets[:, 1]).all()
    assert np.isfinite(targets[:, 0]).any()
    assert np.isnan(strategy.decide_all(panel(single)[:1])).all()


def test_deciding_before_fit_is_an_error() -> None:
    market = gappy()
    with pytest.raises(NotFitted, match="before fit"):
        small("ridge").decide_all(market)
    with pytest.raises(NotFitted, match="before fit"):
        small("ridge").decide(View(market, int(market.known[-1]), Book(market.symbols).portfolio()))


def test_state_of_other_settings_is_refused() -> None:
    state = small("ridge").fit(gappy()).state()
    with pytest.raises(StateError, match="other settings"):
        small("logistic").restore(state)
    with pytest.raises(StateError, match="forecaster_settings"):
        small("ridge", forecaster_settings={"penalty": 3.0}).restore(state)
    unfitted = small("ridge").restore(small("ridge").state())
    with pytest.raises(NotFitted):
        unfitted.decide_all(gappy())


def test_a_copy_lives_on_its_own() -> None:
    market = gappy()
    one = small("logistic").fit(market[:200])
    two = copy.deepcopy(one)
    before = one.decide_all(market)
    two.fit(market[200:])
    same(one.decide_all(market), before)


def test_a_market_without_volume_asks_for_other_features() -> None:
    market = gappy()
    silent = dataclasses.replace(market, volume=np.full(market.close.shape, np.nan))
    with pytest.raises(DataError, match=r"volume_ratio_20.*'relative-price'"):
        tw.strategy("logistic").fit(silent)
    assert tw.strategy("logistic", features="relative-price").fit(silent).fitted


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"forecaster": "ridg"}, "did you mean 'ridge'"),
        ({"features": ["rsi_x"]}, "rsi_x"),
        ({"features": "relativ"}, "relative"),
        ({"label": "barrier"}, "did you mean 'triple-barrier'"),
        ({"label_settings": {"horizn": 3}}, "did you mean 'horizon'"),
        ({"policy": {"treshold": 3}}, "did you mean 'threshold'"),
        ({"forecaster_settings": {"depht": 3}}, "depht"),
        ({"forecaster": Echo(), "forecaster_settings": {"scale": 3}}, "not with an object"),
        ({"train_limit": 0}, "train_limit is 0"),
        ({"refit_every": 0}, "refit_every is 0"),
    ],
)
def test_impossible_settings(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        tw.strategy("forecast", **settings)
