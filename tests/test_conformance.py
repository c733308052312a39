"""Every registered strategy, forecaster and feature keeps every promise that the checks know. Expensive learners are made small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tradewind as tw
from tradewind import checks, features
from tradewind.core.errors import DataError, NotFitted, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State
from tradewind.models.registry import forecaster, forecasters
from tradewind.regimes.mapping import SEVEN

SMALL_FOREST = {"trees": 8, "depth": 4}
SMALL_BOOSTING = {"trees": 40, "learning_rate": 0.1, "depth": 3}
SMALL_NET = {
    "window": 4,
    "width": 16,
    "heads": 2,
    "layers": 1,
    "feedforward": 16,
    "dropout": 0.0,
    "epochs": 12,
    "patience": 12,
    "batch": 64,
    "learning_rate": 0.01,
}
SMALL_TRAINING = {"dropout": 0.0, "epochs": 12, "patience": 12, "batch": 64, "learning_rate": 0.01}
FORECASTERS: dict[str, dict[str, Any]] = {
    # A memory shorter than what follows the fit, so that the checks see rows leave it.
    "conformal": {"memory": 60},
    "online-logistic": {"memory": 60},
    "online-linear": {"memory": 60},
    "online-forest": {"trees": 5},
    "random-forest": SMALL_FOREST,
    **dict.fromkeys(("lightgbm", "xgboost", "catboost"), SMALL_BOOSTING),
    "stacking": {"folds": 3, "member_settings": {"random-forest": SMALL_FOREST, "lightgbm": SMALL_BOOSTING}},
    "voting": {
        "members": ("logistic", "random-forest", "lightgbm"),
        "member_settings": {"random-forest": SMALL_FOREST, "lightgbm": SMALL_BOOSTING},
    },
    # Two of the lesson's columns, to be read as shares of their sum.
    "regime-specific": {"regimes": ("uniform", "constant"), "least": 20},
    # A few hundred steps would be over before the two thousand of the default to warm up.
    "price-action-transformer": {**SMALL_NET, "warmup": 0},
    "transformer": SMALL_NET,
    "lstm": {**SMALL_TRAINING, "window": 4, "hidden": 8, "layers": 1},
    "mlp": {**SMALL_TRAINING, "hidden": 16},
    "tft": {**SMALL_TRAINING, "window": 4, "hidden": 8, "heads": 2, "layers": 1, "embedding": 4},
}
SMALL_AGENT = {"features": ("return_1", "return_3", "ema_distance_10"), "lanes": 16, "length": 16, "steps": 3_000}
SMALL_VALUES = {
    "hidden": (16,),
    "batch": 32,
    "train_every": 16,
    "target_every": 20,
    "learning_starts": 200,
    "learning_rate": 3e-3,
    "discount": 0.9,
}
AGENTS: dict[str, dict[str, Any]] = {
    "ppo": {"hidden": (16,), "rollout": 512, "batch": 128, "epochs": 4, "learning_rate": 3e-3, "discount": 0.9},
    **dict.fromkeys(("double-dqn", "d3qn", "twin-d3qn", "rainbow"), SMALL_VALUES),
}
STRATEGIES: dict[str, dict[str, Any]] = {
    **{name: {**SMALL_AGENT, "agent": config} for name, config in AGENTS.items()},
    **{name: {"forecaster_settings": settings} for name, settings in FORECASTERS.items()},
    # Windows that fit into the markets of the checks.
    "regime-specific": {"features": ("relative", *(f"regime_{name}_5_15_50_5" for name in SEVEN)), "forecaster_settings": {"least": 20}},
    "regime-gate": {"detector_settings": {"fast": 5, "slow": 15, "memory": 50, "hold": 5}},
    "by-regime": {"detector_settings": {"fast": 5, "slow": 15, "memory": 50, "hold": 5}},
    "online": {"model_settings": {"trees": 5}},
    "mix": {"members": ("momentum", "rsi-reversal", "momentum-mix")},
    # Windows short enough for the learned gate to learn within the few hundred bars of a check.
    "ensemble": {"meta_lookback": 100, "performance_prediction_window": 20, "meta_training_frequency": 40, "history": 100},
    "few-shot": {
        **{"features": ("return_1", "return_3", "ema_distance_10"), "support": 10, "query": 10, "hidden": (16,)},
        **{"iterations": 60, "batch": 8, "policy": {"threshold": 0.05}},
    },
    "deep-momentum": {
        "inputs": {"horizons": (1, 5, 20), "scales": ((4, 12),), "volatility_window": 20, "price_window": 12},
        **{"window": 4, "width": 8, "dropout": 0.0},
        "training": {"epochs": 20, "patience": 20, "batch": 16, "learning_rate": 0.01},
    },
}
RULES = {"members": ("momentum", "rsi-reversal", "bollinger-reversal")}
SLOW = {"price-action-transformer", "transformer", "lstm", "tft", "random-forest", "stacking", "voting"}
LIGHT = ("contract", "same-seed-same-fit", "fit-sees-no-future", "batch-equals-stream", "save-and-restore", "touches-nothing-else")
LIGHT_FORECASTER = ("contract", "same-seed-same-fit", "save-and-restore", "touches-nothing-else", "learns-the-obvious")


def names_with_slow(names: list[str]) -> list[Any]:
    return [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW | AGENTS.keys() | {"few-shot", "ensemble"} else name for name in names
    ]


@pytest.mark.parametrize("name", names_with_slow(list(tw.strategies())))
def test_every_strategy_keeps_every_promise(name: str) -> None:
    assert checks.check_strategy(tw.strategy(name, **STRATEGIES.get(name, {}))) == tuple(checks.strategy_checks())


def test_a_strategy_that_goes_on_learning_keeps_every_promise() -> None:
    # Sized by the interval, so that whatever is wrong with it shows in the answers.
    settings = {"forecaster": "conformal", "forecaster_settings": FORECASTERS["conformal"], "policy": {"size": "interval"}}
    assert checks.check_strategy(tw.strategy("forecast", **settings)) == tuple(checks.strategy_checks())


@pytest.mark.parametrize("model", ["logistic", "linear"])
def test_every_online_model_keeps_every_promise_as_a_strategy(model: str) -> None:
    assert checks.check_strategy(tw.strategy("online", model=model)) == tuple(checks.strategy_checks())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("regime-gate", {"detector": "hmm", "detector_settings": {"states": 2}, "regimes": ("calm",)}),
        pytest.param(
            "by-regime", {"detector": "jump", "members": {"calm": "momentum", "turbulent": "rsi-reversal"}}, marks=pytest.mark.slow
        ),
        pytest.param(
            "by-regime", {"detector": "bocpd", "blend": "most-probable", "members": {"calm": "momentum", "default": "hold"}},
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_strategies_with_a_fitted_detector_keep_every_promise(name: str, settings: dict[str, Any]) -> None:
    assert checks.check_strategy(tw.strategy(name, **settings)) == tuple(checks.strategy_checks())


@pytest.mark.parametrize("name", sorted(SLOW))
def test_the_expensive_strategies_keep_the_first_promises(name: str) -> None:
    subject = tw.strategy(name, **STRATEGIES[name])
    for result in checks.run_all(subject, only=LIGHT):
        result.raise_if_failed()


def test_few_shot_keeps_the_first_promises() -> None:
    subject = tw.strategy("few-shot", **{**STRATEGIES["few-shot"], "iterations": 4})
    for result in checks.run_all(subject, only=LIGHT):
        result.raise_if_failed()


def test_the_ensemble_keeps_the_first_promises() -> None:
    for result in checks.run_all(tw.strategy("ensemble", **{**STRATEGIES["ensemble"], **RULES}), only=LIGHT):
        result.raise_if_failed()


@pytest.mark.parametrize("name", ["ppo", "rainbow"])
def test_agents_keep_the_first_promises(name: str) -> None:
    subject = tw.strategy(name, **{**STRATEGIES[name], "steps": 500})
    for result in checks.run_all(subject, only=LIGHT):
        result.raise_if_failed()


@pytest.mark.parametrize("name", names_with_slow(list(forecasters())))
def test_every_forecaster_keeps_every_promise(name: str) -> None:
    if name == "catboost":
        pytest.importorskip("catboost", reason="the extra catboost is not installed")
    assert checks.check_forecaster(forecaster(name, **FORECASTERS.get(name, {}))) == tuple(checks.forecaster_checks())


@pytest.mark.parametrize("name", sorted(SLOW))
def test_the_expensive_forecasters_keep_the_first_promises(name: str) -> None:
    for result in checks.run_all(forecaster(name, **FORECASTERS[name]), only=LIGHT_FORECASTER):
        result.raise_if_failed()


@pytest.mark.parametrize("name", features.names())
def test_every_feature_keeps_every_promise(name: str) -> None:
    assert checks.check_feature(name) == tuple(checks.feature_checks())


@pytest.mark.parametrize("name", features.sets())
def test_every_set_of_features_keeps_every_promise(name: str) -> None:
    assert checks.check_feature(list(features.names(name))) == tuple(checks.feature_checks())


def gappy_bars() -> tw.Market:
    return tw.synthetic.gappy(420, symbols=2, missing=0.15, seed=3).market


def fitted_detector(name: str) -> Any:
    return tw.regimes.detector(name).fit(gappy_bars()[:250])


@pytest.mark.parametrize("name", tw.regimes.detectors())
def test_every_detector_gives_probabilities_where_there_is_a_bar_and_nowhere_else(name: str) -> None:
    market, detector = gappy_bars(), fitted_detector(name)
    found = detector.filter(market)
    answered = ~np.isnan(found.probabilities).any(axis=2)
    np.testing.assert_array_equal(answered, ~np.isnan(found.probabilities).all(axis=2))
    for s in range(2):
        there = np.flatnonzero(~np.isnan(market.close[:, s]))
        first = there[detector.warmup]
        assert answered[there[there >= first], s].all()
        assert answered[:, s].sum() == (there >= first).sum()
    told = found.probabilities[answered]
    assert (told >= 0).all()
    np.testing.assert_allclose(told.sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_array_equal(found.current == -1, ~answered)


@pytest.mark.parametrize("name", tw.regimes.detectors())
def test_no_later_bar_changes_what_a_detector_said(name: str) -> None:
    market, detector = gappy_bars(), fitted_detector(name)
    whole = detector.filter(market).probabilities
    for cut in (1, 2, 3, 50, 83, 84, 85, 200, 251, 333, 419):
        assert detector.filter(market[:cut]).probabilities.tobytes() == whole[:cut].tobytes(), cut


@pytest.mark.parametrize("name", tw.regimes.detectors())
def test_every_detector_says_the_same_bar_by_bar_and_after_its_state_went_elsewhere(name: str, tmp_path: Path) -> None:
    market, detector = gappy_bars(), fitted_detector(name)
    whole, watch = detector.filter(market).probabilities, detector.watch(market.symbols)
    for t in range(len(market)):
        if t in (1, 60, 150, 300):
            save_state(tmp_path / f"{t}-detector", detector.state())
            save_state(tmp_path / f"{t}-watch", watch.state())
            detector = tw.regimes.detector(name).restore(load_state(tmp_path / f"{t}-detector"))
            watch = detector.watch(market.symbols).restore(load_state(tmp_path / f"{t}-watch"))
        assert watch.update(market[t : t + 1]).tobytes() == whole[t].tobytes(), t


@pytest.mark.parametrize("name", tw.regimes.detectors())
def test_every_detector_learns_the_same_twice_and_takes_a_symbols_holes_for_nothing(name: str) -> None:
    market = gappy_bars()
    one, two = fitted_detector(name), fitted_detector(name)
    assert one.state() == two.state()
    alone = market.select(market.symbols[:1])
    there = ~np.isnan(market.close[:, 0])
    assert one.filter(alone).probabilities[:, 0].tobytes() == one.filter(market).probabilities[there, 0].tobytes()


@pytest.mark.parametrize("name", tw.regimes.detectors())
def test_no_detector_says_anything_before_it_has_learned_or_of_what_it_was_not_shown(name: str) -> None:
    detector = tw.regimes.detector(name)
    if name != "rules":
        with pytest.raises(NotFitted):
            detector.filter(gappy_bars())
    with pytest.raises(StateError):
        fitted_detector(name).restore(State({"filter": "another"}))
    with pytest.raises(DataError):
        fitted_detector(name).watch(gappy_bars().symbols).update(gappy_bars()[:2])
