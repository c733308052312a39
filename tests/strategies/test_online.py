"""Online learning as a strategy: batch and stream, what is learned when, and a market whose rule turns round."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.market import Market
from tradewind.core.types import View
from tradewind.engine import backtest, targets, walk
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies import online, registry
from tradewind.strategies.online import Online

from .markets import behaves, flat, gappy, panel, same

COLUMNS = ("return_1", "return_5", "rsi_7")
SHORT = {"horizon": 6, "span": 20}
MODELS: dict[str, dict[str, Any]] = {
    "forest": {"model_settings": {"trees": 3}, "label_settings": SHORT},
    "logistic": {"label_settings": SHORT},
    "linear": {"label": "horizon-return", "label_settings": {"horizon": 6}, "policy": {"threshold": 0.0, "band": 0.1, "cost": 0.001}},
}


def small(model: str, **more: Any) -> Online:
    made = tw.strategy(
        "online", **{"model": model, "features": COLUMNS, "policy": {"threshold": 0.0, "band": 0.1}, **MODELS[model], **more}
    )
    assert isinstance(made, Online)
    return made


def turning(bars: int = 6000, turn: int = 3000, seed: int = 0) -> Market:
    """A bar follows the direction of the one before it until bar `turn`; from then on it goes against it."""
    random = np.random.default_rng(seed)
    moves = np.zeros((bars, 2))
    moves[0] = 0.005
    for t in range(1, bars):
        side = np.sign(moves[t - 1]) * (1.0 if t < turn else -1.0)
        moves[t] = 0.003 * side + 0.004 * random.standard_normal(2)
    return panel(100.0 * np.exp(np.cumsum(moves, axis=0)))


@pytest.mark.parametrize("model", MODELS)
def test_promises(model: str, tmp_path: object) -> None:
    decided = behaves(lambda: small(model), gappy(bars=360, symbols=2, missing=0.03), tmp_path)
    assert np.isfinite(decided).any() and (np.abs(decided[np.isfinite(decided)]) <= 0.5).all()


@pytest.mark.parametrize("model", ["forest", "logistic"])
def test_it_recovers_where_the_rule_turns_round_and_a_fitted_model_does_not(model: str) -> None:
    market = turning()
    settings: dict[str, Any] = {"features": ("return_1", "return_2"), "label": "next-bar", "policy": {"threshold": 0.0, "size": "sign"}}
    rate = {} if model == "forest" else {"model_settings": {"rate": 0.05}}
    learning = tw.strategy("online", model=model, **rate, **settings).fit(market[:1500])
    fitted = tw.strategy("forecast", forecaster=f"online-{model}", **settings).fit(market[:1500])
    earned, lost = (backtest(targets(each, market, start=1500), market, Costs.zero()).returns for each in (learning, fitted))

    def t_value(returns: np.ndarray) -> float:
        return float(returns.mean() / returns.std() * np.sqrt(len(returns)))

    assert t_value(earned[1500:3000]) > 10 and t_value(lost[1500:3000]) > 10
    assert t_value(earned[4500:]) > 10 and t_value(lost[4500:]) < -10


def test_the_forest_tells_when_the_rule_turned() -> None:
    market = turning()
    settings: dict[str, Any] = {"features": ("return_1", "return_2"), "label": "next-bar"}
    strategy = Online(**settings).fit(market[:1500])
    before = len(strategy.changes)
    strategy.decide(view(market[:3600]))
    # Two rows a bar: the rule turned in about row 6000.
    turned = [change for change in strategy.changes if change.drift and 5990 <= change.row < 6400]
    assert len({change.tree for change in turned}) >= 7
    assert len(strategy.changes) > before and all(change.accuracy > 0.5 for change in turned)
    assert all(market.known[2998] <= change.known <= market.known[3201] for change in turned if change.known is not None)
    assert strategy.restore(strategy.state()).changes == strategy.changes and None not in [change.known for change in turned]


def view(market: Market) -> View:
    return View(market, int(market.known[-1]), Book(market.symbols).portfolio())


# -- what is learned when ---------------------------------------------------------------------------------------------------------
def test_a_label_is_learned_at_the_bar_that_makes_it_known_and_not_before() -> None:
    market = gappy(bars=300, symbols=1, missing=0.0)
    strategy = small("linear").fit(market[:150])
    rows = []
    for end in range(151, 165):
        strategy.decide(view(market[:end]))
        assert strategy._current is not None
        rows.append(strategy._current.model.rows)
    assert strategy._fitted is not None
    # One label of six bars ahead becomes known with every bar.
    assert rows == [strategy._fitted.model.rows + 1 + i for i in range(14)]


def test_answers_of_bars_to_come_change_nothing() -> None:
    market = gappy(bars=300, symbols=2, missing=0.0)
    strategy = small("logistic").fit(market[:150])
    whole = strategy.decide_all(market)
    for cut in (200, 233, 280):
        same(strategy.decide_all(market[:cut]), whole[:cut])


def test_it_catches_up_after_bars_that_it_was_not_asked_about() -> None:
    market = gappy(bars=330, symbols=2)
    asked, seldom = (small("forest").fit(market[:150]) for _ in range(2))
    for end in range(151, 320):
        asked.decide(view(market[:end]))
    for end in (160, 161, 200, 319):
        seldom.decide(view(market[:end]))
    assert seldom.state() == asked.state()


def test_another_history_is_learned_anew() -> None:
    one, other = gappy(bars=330, symbols=2, seed=1), gappy(bars=330, symbols=2, seed=2)
    strategy, fresh = (small("logistic").fit(one[:150]) for _ in range(2))
    strategy.decide(view(one[:300]))
    strategy.decide(view(other[:301]))
    fresh.decide(view(other[:301]))
    assert strategy.state() == fresh.state()
    # An earlier bar of the same history is one that was not lived through yet.
    strategy.decide(view(other[:250]))
    fresh = copy.deepcopy(fresh)
    fresh._current = None
    fresh.decide(view(other[:250]))
    assert strategy.state() == fresh.state()


def test_asked_again_it_answers_the_same_and_learns_nothing_twice() -> None:
    market = gappy(bars=300, symbols=2)
    strategy = small("logistic").fit(market[:150])
    first = strategy.decide(view(market)).weights
    state = strategy.state()
    assert strategy.decide(view(market)).weights.tobytes() == first.tobytes() and strategy.state() == state


def test_labels_of_long_ago_find_their_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    market = gappy(bars=300, symbols=2)
    monkeypatch.setattr(online, "KEPT", 4)
    strategy = small("linear").fit(market[:150])
    same(walk(strategy, market, start=200), strategy.decide_all(market, start=200))


def test_the_last_labels_of_the_training_part_are_learned_when_they_are_known() -> None:
    market = gappy(bars=300, symbols=1, missing=0.0)
    strategy = small("linear").fit(market[:150])
    assert strategy._fitted is not None
    strategy.decide(view(market[:156]))
    # Rows 144 to 149, asked in the training part, have their answers in the six bars behind it.
    assert strategy._current is not None and strategy._current.model.rows == strategy._fitted.model.rows + 6


def test_it_begins_with_nothing_where_the_training_part_teaches_nothing() -> None:
    market = gappy(bars=300, symbols=2)
    strategy = small("logistic").fit(market[:8])
    decided = strategy.decide_all(market)
    assert np.isnan(decided[:21]).all() and np.isfinite(decided[60:]).any()
    assert np.isnan(small("forest").fit(flat(40)).decide_all(flat(40))).all()


def test_train_limit_shortens_the_fit_and_weights_are_the_labels() -> None:
    market = gappy(bars=300, symbols=2)
    short, alone = small("logistic", train_limit=100).fit(market[:200]), small("logistic").fit(market[100:200])
    same(short.decide_all(market), alone.decide_all(market))
    equal = small("logistic", label_settings={**SHORT, "weights": "equal"}).fit(market[:200])
    weighted = small("logistic").fit(market[:200])
    assert equal.state().arrays["fitted/model/slopes"].tobytes() != weighted.state().arrays["fitted/model/slopes"].tobytes()


def test_a_forest_draws_from_the_seed() -> None:
    market = gappy(bars=300, symbols=2)
    decided = []
    for seed in (1, 1, 2):
        strategy = small("forest")
        strategy.reseed(seed)
        decided.append(strategy.fit(market[:200]).decide_all(market).tobytes())
    assert decided[0] == decided[1] != decided[2]


def test_what_may_be_tuned_are_its_models_and_its_policys_settings() -> None:
    for model in MODELS:
        space = registry.space("online", model=model)
        assert set(space) == {"model_settings", "policy"}
        for name, choice in space["model_settings"].items():
            tw.strategy("online", model=model, model_settings={name: choice.low})


# -- words and faults ---------------------------------------------------------------------------------------------------------------
def test_it_says_why() -> None:
    market = gappy(bars=300, symbols=2)
    strategy = small("logistic").fit(market[:200])
    reason = strategy.explain(view(market), 0)
    wanted = strategy.decide(view(market)).weights[0]
    assert reason.words and reason.values["target"] == pytest.approx(wanted, nan_ok=True)


def test_before_the_fit_it_refuses() -> None:
    market = gappy(bars=100, symbols=2)
    for ask in (lambda: small("forest").decide_all(market), lambda: small("forest").decide(view(market)), lambda: small("forest").changes):
        with pytest.raises(NotFitted, match="before fit"):
            ask()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "forests"}, "did you mean 'forest'"),
        ({"model_settings": {"tree": 3}}, "did you mean 'trees'"),
        ({"model": "linear", "model_settings": {"rates": 0.1}}, "did you mean 'rate'"),
        ({"label": "tripple-barrier"}, "did you mean 'triple-barrier'"),
        ({"label_settings": {"horizn": 3}}, "did you mean 'horizon'"),
        ({"features": ("return_x",)}, "return_x"),
        ({"policy": {"treshold": 0.1}}, "did you mean 'threshold'"),
        ({"modl": "forest"}, "did you mean 'model'"),
        ({"train_limit": 0}, "train_limit is 0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        tw.strategy("online", **settings)


def test_a_market_without_volume_is_refused_by_features_of_volume() -> None:
    market = gappy(bars=300, symbols=2)
    dry = Market(market.symbols, market.timeframe, market.open_time, market.known, market.open, market.high, market.low, market.close,
                 np.full(market.close.shape, np.nan))  # fmt: skip
    with pytest.raises(DataError, match="no volume"):
        Online(features="relative").fit(dry)


def test_a_state_of_other_settings_is_refused() -> None:
    market = gappy(bars=300, symbols=2)
    state = small("logistic").fit(market[:200]).state()
    with pytest.raises(StateError, match="other settings"):
        small("logistic", label_settings={"horizon": 7, "span": 20}).restore(state)
    with pytest.raises(StateError, match="Online"):
        small("logistic").restore(type(state)({"class": "Mix"}))
    unfitted = small("logistic").restore(small("logistic").state())
    with pytest.raises(NotFitted):
        unfitted.decide_all(market)
