from __future__ import annotations

import copy

import numpy as np
import pytest

import tradewind as tw
from strategies.markets import behaves, flat, gappy, panel, same
from tradewind.core.clock import SimulatedClock
from tradewind.core.errors import SettingsError, StateError, TradewindError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import Target, View
from tradewind.engine import walk
from tradewind.ensemble.ensemble import Ensemble
from tradewind.simulate.account import Book
from tradewind.strategies.momentum import Momentum

from .strategies_that_fail import Broken, Crooked, Faller, Taught, Wild

RULES = ("hold", ("momentum", {"lookback": 10}), "rsi-reversal", "bollinger-reversal")
PLAIN = {"history": 50, "meta_learning_enabled": False}
MARKET = gappy(bars=300, symbols=2)


def ask(who: Ensemble, market: tw.Market) -> np.ndarray:
    return who.decide(View(market, int(market.known[-1]), Book(market.symbols).portfolio())).weights


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ensemble(members=RULES, regime=None, **PLAIN),
        lambda: Ensemble(members=RULES, **PLAIN),
        lambda: Ensemble("aggressive", members=RULES, costs={"latency": 2, "fee_bps": 30}, **PLAIN),
        lambda: Ensemble(members=(Broken(at=(90, 200)), Crooked(at=(150,)), Wild(at=range(220, 225)), Momentum(10), Taught()), **PLAIN),
        lambda: Ensemble(members=(*RULES, ("mix", {"members": ("momentum", "hold"), "history": 20})), **PLAIN),
        lambda: Ensemble("custom", members=(Ensemble(members=RULES[:3], **PLAIN), "hold"), **PLAIN),
    ],
    ids=["no regime", "rules", "other costs", "members that fail and learn", "a mix inside", "an ensemble inside"],
)
def test_promises(make: object, tmp_path: object) -> None:
    assert np.isfinite(behaves(make, MARKET, tmp_path)).any()


@pytest.mark.parametrize("regime", ["hmm", "jump", "bocpd"])
def test_promises_with_every_detector(regime: str, tmp_path: object) -> None:
    market = gappy(bars=360, symbols=2, seed=6)
    assert np.isfinite(behaves(lambda: Ensemble(members=RULES, regime=regime, **PLAIN), market, tmp_path)).any()


def test_promises_with_the_learned_gate(tmp_path: object) -> None:
    def make() -> Ensemble:
        small = {"meta_lookback": 60, "performance_prediction_window": 10, "meta_training_frequency": 25}
        return Ensemble(members=RULES, history=20, **small)

    assert np.isfinite(behaves(make, gappy(bars=260, symbols=2, seed=4), tmp_path)).any()


def test_of_members_that_agree_it_is_that_member() -> None:
    market = gappy(bars=200, symbols=2, missing=0.0)
    settings = {"kelly_criterion_enabled": False, "max_position_risk": 1.0, "band": 0.0, "regime": None}
    same_thing = Ensemble(members=[Momentum(10)] * 3, **PLAIN, **settings)
    targets = same_thing.fit(market[:100]).decide_all(market)
    # What a lone member keeps is asked for again, and nothing is asked of a symbol that is not there yet.
    np.testing.assert_allclose(targets[60:], Momentum(10).decide_all(market)[60:], atol=1e-12)


def test_the_fit_learns_whom_to_trust_from_members_that_have_not_seen_it() -> None:
    seen = []

    class Witness(tw.Strategy):
        side = 0.5

        def fit(self, market: tw.Market) -> Witness:
            seen.append(len(market))
            return self

        def decide(self, view: View) -> Target:
            return Target(np.full(len(view.market.symbols), self.side))

    class Contrary(Witness):
        side = -0.5

    rising = panel(100.0 * np.exp(0.004 * np.arange(400)[:, None] + 0.002 * np.random.default_rng(1).standard_normal((400, 1))))
    members = (Witness(), Contrary(), "hold")
    who = Ensemble(members=members, regime=None, holdback=0.25, **PLAIN).fit(rising[:320])
    assert seen == [240, 240, 320, 320]
    ask(who, rising[:321])
    weights = dict(zip(who.names, who.decision.weights, strict=True))
    assert weights["Contrary"] < 0.2 < weights["Witness"]
    fresh = Ensemble(members=members, regime=None, **PLAIN)
    ask(fresh, rising[:321])
    assert max(abs(fresh.decision.weights - 1 / 3)) < 0.1


def test_caps_hold_at_every_bar() -> None:
    market = gappy(bars=300, symbols=3, seed=2)
    who = Ensemble("conservative", members=RULES, band=0.0, **PLAIN).fit(market[:150])
    wanted = who.decide_all(market)
    assert np.nansum(np.abs(wanted), axis=1).max() <= who.config.max_position_risk + 1e-12
    life = who._new_life(market.symbols, market.periods_per_year)
    decided = life.through(market, 0, who.warmup - 1)
    assert max(each.weights.max() for each in decided) <= who.config.max_agent_weight + 1e-12


def test_with_everybody_out_it_is_flat_and_comes_back() -> None:
    out = range(120, 130)
    members = (Broken(at=out), Crooked(at=out), Wild(at=out))
    who = Ensemble(members=members, regime=None, band=0.0, quarantine_bars=20, kelly_criterion_enabled=False, **PLAIN)
    targets = who.fit(MARKET[:100]).decide_all(MARKET)
    assert (targets[120:140] == 0).all() and (targets[119] != 0).all() and np.abs(targets[140:]).min() > 0
    walk(who, MARKET[:125])
    assert set(who.faults) == {"Broken", "Crooked", "Wild"} and "something is broken" in who.faults["Broken"]


def test_too_few_at_work_is_flat() -> None:
    members = (Broken(at=(120,)), Faller(after=3), Momentum(5))
    who = Ensemble(members=members, regime=None, band=0.0, quarantine_bars=15, kelly_criterion_enabled=False, **PLAIN)
    assert (who.fit(MARKET[:100]).decide_all(MARKET)[120:135] == 0).all()


def test_a_slow_member_is_out_only_where_a_clock_was_given() -> None:
    clock = SimulatedClock()

    class Slow(tw.Strategy):
        def decide(self, view: View) -> Target:
            clock.sleep(3.0)
            return Target(np.full(2, 0.1))

    members = (Slow(), Momentum(5), "hold", "rsi-reversal")
    free, timed = (Ensemble(members=members, regime=None, deadline=1.0, **PLAIN) for _ in range(2))
    timed.timed(clock)
    for who in (free, timed):
        ask(who, MARKET[:100])
    assert free.faults == {} and free.decision.weights[0] > 0
    assert "took 3.000 s" in timed.faults["Slow"] and timed.decision.weights[0] == 0


def test_a_member_whose_fit_fails_leaves_the_others_at_work() -> None:
    class Unteachable(tw.Strategy):
        fitted = False

        def fit(self, market: tw.Market) -> Unteachable:
            raise ValueError("too little to learn from")

        def decide(self, view: View) -> Target:
            raise ValueError("never fitted")

    who = Ensemble(members=(*RULES, Unteachable()), regime=None, **PLAIN).fit(MARKET[:150])
    assert who.faults == {"Unteachable": "fit: ValueError: too little to learn from"}
    ask(who, MARKET[:200])
    assert who.decision.weights[-1] == 0 and who.decision.weights.sum() == pytest.approx(1)
    alone = Ensemble("custom", members=(Unteachable(),), regime=None, **PLAIN)
    with pytest.raises(ValueError, match="too little"):
        alone.fit(MARKET[:150])


def test_bars_that_nobody_asked_at_are_lived_through() -> None:
    one, two = (Ensemble(members=RULES, **PLAIN).fit(MARKET[:150]) for _ in range(2))
    for bars in range(160, 200):
        last = ask(one, MARKET[:bars])
    ask(two, MARKET[:160])
    same(ask(two, MARKET[:199])[None], last[None])
    assert one.state() == two.state()


def test_another_history_or_symbols_begin_anew() -> None:
    who = Ensemble(members=RULES, **PLAIN).fit(MARKET[:150])
    fresh = copy.deepcopy(who)
    ask(who, MARKET[:200])
    for other in (gappy(bars=300, symbols=2, seed=9)[:200], MARKET[:100], gappy(bars=300, symbols=3)[:180], MARKET[:300]):
        # Too many bars passed since the last, or it is another market.
        same(ask(who, other)[None], ask(copy.deepcopy(fresh), other)[None])


def test_state_goes_on_to_the_bit_and_asking_twice_changes_nothing(tmp_path: object) -> None:
    one = Ensemble(members=(*RULES, Taught()), **PLAIN).fit(MARKET[:150])
    walk(one, MARKET[:220])
    save_state(tmp_path, one.state())
    two = Ensemble(members=(*RULES, Taught()), **PLAIN).restore(load_state(tmp_path))
    for bars in (220, 220, 221, 221, 260, 261):
        same(ask(one, MARKET[:bars])[None], ask(two, MARKET[:bars])[None])
        assert one.state() == two.state()


def test_seeds_reach_the_members_and_the_predictor() -> None:
    class Seeded(tw.Strategy):
        seed = 0

        def reseed(self, seed: int) -> None:
            self.seed = seed

        def decide(self, view: View) -> Target:
            return Target(np.zeros(2))

    who = Ensemble(members=[Seeded() for _ in range(3)], **PLAIN)
    who.reseed(5)
    assert len({0, who.config.seed, *(each.seed for each in who.members)}) == 5
    again = Ensemble(members=[Seeded() for _ in range(3)], **PLAIN).restore(who.state())
    assert again.config == who.config


def test_it_says_why() -> None:
    who = Ensemble(members=RULES, **PLAIN).fit(MARKET[:150])
    view = View(MARKET[:200], int(MARKET.known[199]), Book(MARKET.symbols).portfolio())
    reason = who.explain(view, 1)
    assert "Trusted: " in reason.words[0] and sum(reason.values[f"weight {name}"] for name in who.names) == pytest.approx(1)
    assert reason.values["target"] == who.decide(view).weights[1] or np.isnan(reason.values["target"])


def test_short_and_still_markets() -> None:
    who = Ensemble(members=RULES, **PLAIN).fit(flat(200))
    assert who.decide_all(flat(200)[:1]).shape == (1, 2)
    assert np.isfinite(who.decide_all(flat(200))).any()
    short = Ensemble(members=RULES, **PLAIN).fit(MARKET[:1])
    same(short.decide_all(MARKET), walk(copy.deepcopy(short), MARKET))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"members": ("hold", "momentum")}, "asks for 3 members or more, and 2 are given"),
        ({"preset": "conservative", "members": RULES[:3]}, "asks for 4 members"),
        ({"members": "hold"}, "give names"),
        ({"members": ("hold", "momentum", "momentun")}, "did you mean 'momentum'"),
        ({"members": (*RULES, 3)}, "is no strategy"),
        ({"preset": "balansed"}, "did you mean 'balanced'"),
        ({"max_agent_wait": 0.5}, "did you mean 'max_agent_weight'"),
        ({"max_agent_weight": 0.2}, "reach 0.6 of the whole"),
        ({"regime": "rulse"}, "did you mean 'rules'"),
        ({"costs": {"fee": 3}}, "did you mean 'fee_bps'"),
        ({"history": -1}, "history is -1"),
    ],
)
def test_impossible_settings(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        tw.strategy("ensemble", **{"members": RULES, **settings})


@pytest.mark.parametrize(
    "other",
    [
        lambda: Ensemble(members=RULES[:3], **PLAIN),
        lambda: Ensemble(members=RULES, max_agent_weight=0.5, **PLAIN),
        lambda: Ensemble(members=RULES, costs={"fee_bps": 1}, **PLAIN),
        lambda: Momentum(10),
    ],
)
def test_state_of_another_ensemble_is_refused(other: object) -> None:
    with pytest.raises(StateError):
        Ensemble(members=RULES, **PLAIN).restore(other().state())
    assert issubclass(StateError, TradewindError)
