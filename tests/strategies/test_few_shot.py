"""Few-shot adapts to a symbol it has never seen from its first bars, and decides the same bar by bar, all at once and elsewhere."""

from __future__ import annotations

import copy
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tradewind as tw
from tradewind import engine
from tradewind.core.arrays import Array
from tradewind.core.errors import NotFitted, SettingsError, StateError
from tradewind.core.files import save_state
from tradewind.core.market import Market
from tradewind.core.seeds import generator
from tradewind.core.types import Portfolio, View
from tradewind.strategies import registry
from tradewind.strategies.few_shot import SPACES, FewShot

from .markets import behaves, flat, gappy, panel

TINY: dict[str, Any] = {
    "features": ("return_1", "return_5"),
    "support": 5,
    "query": 5,
    "adapt_every": 4,
    "hidden": (8,),
    "iterations": 8,
    "batch": 4,
    "policy": {"threshold": 0.0},
}
SIGNS: dict[str, Any] = {"features": ("return_1",), "policy": {"threshold": 0.0, "size": "sign", "band": 0.0}}
"""Always long or short, so that a target is a guess of the next direction. Returns over more bars would tell the rule by their size."""
LEARNERS = ["maml", "reptile", "meta-sgd", "protonet", "matching", "cavia", "xtrend"]
AGREE = 0.9


def view(market: Market, weights: Any = None) -> View:
    held = np.zeros(len(market.symbols)) if weights is None else np.asarray(weights)
    return View(market, int(market.known[-1]), Portfolio(held, held, 1.0, 1.0))


def ruled(bars: int, rules: Array, seed: int, agree: float = AGREE) -> Market:
    """Symbols whose next return goes the way of the last one (rule 1) or the other way (-1), with the probability `agree`.

    `rules` is (symbol,) or (time, symbol). Half of the symbols each way, nothing but adapting can tell: their joint rule is none.
    """
    random = generator(seed, "tests", "ruled")
    rules = np.broadcast_to(rules, (bars, np.shape(rules)[-1]))
    flips = np.where(random.random(rules.shape) < agree, rules, -rules)
    sizes = 0.01 * np.exp(0.3 * random.standard_normal(rules.shape))
    return panel(100.0 * np.exp(np.cumsum(np.cumprod(flips, axis=0) * sizes, axis=0)))


def hits(strategy: Any, market: Market, rows: slice = slice(None)) -> Array:
    """Of the bars at which `strategy` holds something: whether the next one went its way."""
    wanted = strategy.decide_all(market)[:-1]
    moves = np.diff(market.close, axis=0)
    answered = np.isfinite(wanted) & (wanted != 0)
    return np.asarray(((wanted > 0) == (moves > 0))[rows][answered[rows]])


@cache
def taught(algorithm: str = "maml", seed: int = 1) -> FewShot:
    """Taught on eight symbols, half of them with either rule."""
    return FewShot(algorithm, iterations=150, seed=seed, **SIGNS).fit(ruled(400, np.array([1, -1] * 4), seed))


# -- what it is worth ----------------------------------------------------------------------------------------------------
def test_a_symbol_never_seen_is_traded_by_its_own_rule_from_its_first_bars() -> None:
    few, rules = taught(), np.array([1.0, -1.0] * 10)
    unseen = ruled(80, rules, seed=7)
    first = slice(few.warmup - 1, few.warmup + 4)
    early, all_bars = hits(few, unseen, first), hits(few, unseen)
    # A symbol that has gone one way alone so far waits for the other.
    assert 80 < len(early) <= 5 * 20 and len(all_bars) > 900
    # Who knows the rules is right nine times in ten.
    assert early.mean() > 0.8
    assert all_bars.mean() > 0.86
    # Jointly trained on the same bars, with and without a hidden layer, there is nothing to know.
    for forecaster, settings in {"logistic": {}, "mlp": {"hidden": 32, "epochs": 20, "patience": 20}}.items():
        joint = tw.strategy("forecast", forecaster=forecaster, forecaster_settings=settings, label="next-bar", **SIGNS)
        joint.fit(ruled(400, np.array([1, -1] * 4), 1))
        assert abs(hits(joint, unseen).mean() - 0.5) < 0.06
    # Nor for the same learner where it is not allowed to adapt.
    still = FewShot("maml", steps=0, iterations=150, seed=1, **SIGNS)
    assert abs(hits(still.fit(ruled(400, np.array([1, -1] * 4), 1)), unseen).mean() - 0.5) < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", LEARNERS)
def test_every_learner_finds_the_rule_of_an_unseen_symbol(algorithm: str) -> None:
    assert hits(taught(algorithm), ruled(80, np.array([1.0, -1.0] * 10), seed=7)).mean() > 0.75


def test_a_rule_that_flips_is_followed_once_the_support_lies_behind_the_flip() -> None:
    few, rules = taught(), np.repeat(np.array([[1.0, -1.0] * 10]), 160, axis=0)
    rules[81:] *= -1
    market = ruled(160, rules, seed=8)
    assert hits(few, market, slice(40, 80)).mean() > 0.86
    assert hits(few, market, slice(81, 86)).mean() < 0.4
    assert hits(few, market, slice(81 + few.shots.support + few.shots.every, 160)).mean() > 0.86


def test_on_noise_it_has_no_edge() -> None:
    rules = np.array([1.0, -1.0] * 4)
    few = FewShot(iterations=60, seed=3, **SIGNS).fit(ruled(300, rules, 3, agree=0.5))
    right = hits(few, ruled(300, rules, 4, agree=0.5))
    # Bars of one support share a mistake, so the deviation is counted as if every tenth answer alone counted.
    assert abs(right.mean() - 0.5) < 3 * 0.5 / np.sqrt(len(right) / 10)


# -- what it learns from and decides ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("target", ["direction", "return"])
@pytest.mark.parametrize("algorithm", ["maml", "cavia"])
def test_bar_by_bar_is_all_at_once_to_the_bit(algorithm: str, target: str, tmp_path: Path) -> None:
    wanted = behaves(lambda: FewShot(algorithm, target=target, **TINY), gappy(260), tmp_path / "state")
    assert np.isfinite(wanted).sum() > 50


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["reptile", "meta-sgd", "matching", "xtrend"])
@pytest.mark.parametrize("target", ["direction", "return"])
def test_the_other_learners_bar_by_bar(algorithm: str, target: str, tmp_path: Path) -> None:
    learner = {"embedding_dim": 16} if algorithm == "matching" else {}
    behaves(lambda: FewShot(algorithm, learner=learner, target=target, **TINY), gappy(260), tmp_path / "state")


def test_prototypes_and_contexts_bar_by_bar(tmp_path: Path) -> None:
    behaves(lambda: FewShot("protonet", context=3, horizon=2, **TINY), gappy(260), tmp_path / "state")


def test_markets_of_other_symbols_and_numbers_of_them_are_answered() -> None:
    few = FewShot(**{**TINY, "policy": SIGNS["policy"], "target": "return"}).fit(gappy(260))
    other = panel(100.0 * np.exp(np.cumsum(0.02 * np.random.default_rng(5).standard_normal((120, 5)), axis=0)))
    wanted = few.decide_all(other)
    assert np.isfinite(wanted[few.warmup - 1]).all() and np.isnan(wanted[: few.warmup - 1]).all()
    alone = few.decide_all(other.select(other.symbols[2:3]))
    # A share of one symbol is all of equity, one of five a fifth.
    np.testing.assert_allclose(alone[:, 0], 5 * wanted[:, 2])


def test_the_warmup_is_what_a_symbol_needs() -> None:
    few = FewShot(**{**TINY, "policy": SIGNS["policy"], "target": "return"}, horizon=2)
    assert few.warmup == 5 + (5 + 2 + 4 - 1)
    few.fit(gappy(260))
    market = panel(100.0 * np.exp(np.cumsum(0.02 * np.random.default_rng(6).standard_normal((60, 3)), axis=0)))
    assert np.isfinite(few.decide_all(market[: few.warmup])[-1]).all()


def test_returns_are_forecast_in_their_own_size() -> None:
    settings = {**TINY, "target": "return", "iterations": 60, "support": 20, "query": 20}
    few = FewShot(**settings, learner={"inner_lr": 0.05}, seed=2).fit(ruled(300, np.array([1.0, -1.0] * 3), 2))
    reasons = [few.explain(view(ruled(120, np.array([1.0, -1.0]), 5)[:end]), symbol) for end in range(60, 120, 5) for symbol in (0, 1)]
    sizes = [abs(reason.values["answer"]) for reason in reasons]
    assert 0.002 < np.median(sizes) < 0.02


@pytest.mark.parametrize("bars", [1, 12])
def test_a_part_too_short_teaches_nothing_and_keeps_what_is_held(bars: int) -> None:
    market = gappy(260)
    few = FewShot(**TINY).fit(market[:bars])
    assert few.meta_learner is None and few.losses == ()
    assert np.isnan(few.decide_all(market)).all() and np.isnan(few.decide(view(market)).weights).all()
    assert "learned nothing" in few.explain(view(market), 0).words[0]
    assert FewShot(**TINY).restore(few.state()).meta_learner is None


def test_a_market_that_never_moves_teaches_nothing() -> None:
    assert FewShot(**TINY).fit(flat(200)).losses == ()


def test_only_the_last_bars_of_a_training_part_are_learned_from() -> None:
    market = gappy(300)
    long, short = FewShot(**TINY, train_limit=120).fit(market), FewShot(**TINY, train_limit=120).fit(market[-120:])
    assert long.state() == short.state()


def test_inputs_are_scaled_by_the_training_part_alone() -> None:
    market = gappy(300)
    few = FewShot(**TINY).fit(market[:150])
    X = tw.features.compute(market[:150], TINY["features"]).values
    np.testing.assert_allclose(few.state().child("scaler").arrays["mean"], np.nanmean(X, axis=(0, 1)))


# -- why ---------------------------------------------------------------------------------------------------------------------
def test_it_says_what_it_adapted_on_and_what_follows() -> None:
    market = ruled(80, np.array([1.0, -1.0]), 9)
    few, held = taught(), [0.0, 0.3]
    target = few.decide(view(market, held)).weights
    for symbol in (0, 1):
        reason = few.explain(view(market, held), symbol)
        np.testing.assert_equal(reason.values["target"], target[symbol])
        number = int(market.open_time[-1] // market.step)
        moment = len(market) - 1 - number % few.shots.every
        moves = np.diff(market.close[moment - 20 : moment + 1, symbol])
        assert reason.values["support_up"] == pytest.approx((moves > 0).mean())
        assert "adapted on 20 samples from" in reason.words[0] and "for up" in reason.words[1]
        assert len(reason.words) == 4
    lacking = gappy(260)
    silent = int(np.flatnonzero(np.isnan(lacking.close[:, 0]))[-1])
    assert "what is held is kept" in few.explain(view(lacking[: silent + 1]), 0).words[0]


def test_walk_forward_and_the_ledger_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_LEDGER", str(tmp_path / "ledger.sqlite"))
    result = tw.walk_forward(tw.strategy("few-shot", **TINY), gappy(400), train=150, test=50, seed=1)
    assert len(result.folds) >= 3 and np.isfinite(result.metrics["sharpe"])


# -- seeds, state and refusals -------------------------------------------------------------------------------------------
def test_a_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    market = gappy(260)
    one, same, other = (FewShot(**TINY, seed=seed).fit(market) for seed in (1, 1, 2))
    assert one.state() == same.state() and one.losses != other.losses
    reseeded = FewShot(**TINY)
    reseeded.reseed(1)
    assert reseeded.fit(market).state() == one.state()


def test_a_copy_answers_the_same_whatever_was_asked_before() -> None:
    market = gappy(260)
    few = FewShot(**TINY).fit(market)
    engine.walk(few, market, start=200)
    np.testing.assert_array_equal(copy.deepcopy(few).decide_all(market), FewShot(**TINY).fit(market).decide_all(market))


def test_restored_in_another_process_it_decides_the_same_to_the_bit(tmp_path: Path) -> None:
    few = FewShot("xtrend", context=2, **TINY).fit(gappy(260))
    save_state(tmp_path / "state", few.state())
    script = (
        "import sys\n"
        "from tests.strategies.test_few_shot import TINY, FewShot, gappy\n"
        "from tradewind.core.files import load_state\n"
        "few = FewShot('xtrend', context=2, **TINY).restore(load_state(sys.argv[1]))\n"
        "print(few.warmup, few.decide_all(gappy(260)).tobytes().hex())\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "state")], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(few.warmup), few.decide_all(gappy(260)).tobytes().hex()]


def test_before_fit_it_refuses() -> None:
    few = FewShot(**TINY).restore(FewShot(**TINY).state())
    for ask in (lambda: few.decide(view(gappy(60))), lambda: few.decide_all(gappy(60)), lambda: few.explain(view(gappy(60)), 0)):
        with pytest.raises(NotFitted, match="before fit"):
            ask()


@pytest.mark.parametrize(
    ("settings", "differs"),
    [({"support": 6}, "support"), ({"hidden": (4,)}, "hidden"), ({"learner": {"inner_lr": 0.5}}, "learner"), ({"context": 1}, "context")],
)
def test_a_state_of_other_settings_is_refused(settings: dict[str, Any], differs: str) -> None:
    with pytest.raises(StateError, match=rf"other settings of \['{differs}'\]"):
        FewShot(**{**TINY, **settings}).restore(FewShot(**TINY).fit(gappy(260)).state())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithm": "mamal"}, "did you mean 'maml'"),
        ({"learner": {"inner_rl": 0.1}}, "did you mean 'inner_lr'"),
        ({"algorithm": "protonet", "target": "return"}, "takes no loss but cross_entropy|loss 'cross_entropy'; the target 'return'"),
        ({"target": "risk"}, "target is 'risk'"),
        ({"support": 1}, "support is 1"),
        ({"adapt_every": 0}, "every is 0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"steps": -1}, "steps is -1"),
        ({"context": -1}, "context is -1"),
        ({"hidden": (0,)}, "hidden is 0"),
        ({"policy": {"treshold": 0.1}}, "did you mean 'threshold'"),
        ({"features": ("retrun_1",)}, "retrun"),
        ({"learner": {"loss": "mse"}}, "the target 'direction' takes 'cross_entropy'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FewShot(**settings)


def test_what_may_be_tuned_is_taken() -> None:
    assert registry.space("few-shot") is SPACES["few-shot"]
    assert FewShot(support=40, adapt_every=1, learner={"outer_lr": 3e-4}).warmup == FewShot().warmup + 20 - 4


def test_a_learner_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_few_shot.py").write_text(
        "from tradewind.meta.maml import MAML, MAMLConfig\n"
        "def make(model, rate=0.1):\n    return MAML(model, MAMLConfig(inner_lr=rate), 2)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    few = FewShot("own_few_shot:make", learner={"rate": 0.2}, **TINY).fit(gappy(260))
    assert few.meta_learner is not None and few.meta_learner.config.inner_lr == 0.2
