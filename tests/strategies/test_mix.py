from __future__ import annotations

import copy

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError, StateError
from tradewind.core.types import View
from tradewind.engine import backtest
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies.hold import Hold
from tradewind.strategies.mix import Mix, mix_targets
from tradewind.strategies.momentum import Momentum

from .markets import behaves, flat, gappy, panel, same

KEEP = np.nan
DAILY = ("momentum-mix", {"lookbacks": [24, 72], "volatility_window": 48})


class Seeded(tw.Strategy):
    """Draws its one weight from the seed; remembers whether it was fitted."""

    def __init__(self) -> None:
        self.weight, self.bars = 0.0, 0

    def reseed(self, seed: int) -> None:
        self.weight = float(np.random.default_rng(seed).random())

    def fit(self, market):
        self.bars = len(market)
        return self

    def decide(self, view):
        return tw.Target(np.full(len(view.market.symbols), self.weight))


class Taught(Seeded):
    horizon = 3


def test_mix_targets_by_hand() -> None:
    wanted = [np.array([[1.0, KEEP], [KEEP, KEEP]]), np.array([[0.0, KEEP], [-0.5, KEEP]])]
    held = [np.array([[0.3, 0.2], [0.9, 0.2]]), np.array([[0.1, 0.1], [0.1, 0.1]])]
    np.testing.assert_allclose(mix_targets(wanted, held), [[0.5, KEEP], [0.2, KEEP]])
    same(mix_targets(wanted[:1], held[:1]), wanted[0])
    for wrong in ((wanted, held[:1]), ([], []), (wanted, [held[0], held[1][:1]])):
        with pytest.raises(SettingsError):
            mix_targets(*wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Mix(members=("hold", DAILY), history=100),
        lambda: Mix(members=(Momentum(5), ("momentum", {"lookback": 30}), "hold"), history=0),
        lambda: Mix(members=(DAILY,), costs={"latency": 2, "fee_bps": 30}),
    ],
)
@pytest.mark.parametrize("market", [gappy(bars=300, symbols=2), flat(120)], ids=["gappy", "flat"])
def test_promises(make: object, market: object, tmp_path: object) -> None:
    assert np.isfinite(behaves(make, market, tmp_path)).any()


def test_of_one_member_is_that_member() -> None:
    market = gappy(missing=0.0)
    targets = Mix(members=(("momentum", {"lookback": 10}),), history=0).fit(market).decide_all(market)
    same(targets[11:], Momentum(10).decide_all(market)[11:])


def test_a_keeping_member_counts_with_what_its_own_account_holds() -> None:
    market = gappy(bars=200, symbols=2, missing=0.0)[60:]
    targets = Mix(members=("hold", ("momentum", {"lookback": 10})), history=500).decide_all(market)
    alone = backtest(Hold(), market, Costs())
    trend = Momentum(10).decide_all(market)
    held = np.where(np.isnan(alone.targets), alone.weights, alone.targets)
    np.testing.assert_allclose(targets[11:], (held + trend)[11:] / 2, atol=1e-15)


def test_the_first_decision_counts_members_that_keep() -> None:
    market = gappy(bars=300, missing=0.0)
    targets = Mix(members=("hold",), history=50).decide_all(market, Book(market.symbols), 200)
    paper = backtest(Hold(), market[150:201], Costs())
    np.testing.assert_array_equal(targets[200], paper.weights[-1])
    assert np.isnan(targets[201:]).all()


def test_asking_twice_or_about_another_history_changes_nothing() -> None:
    market = gappy(bars=300, symbols=2)
    portfolio = Book(market.symbols).portfolio()
    mix = Mix(members=("hold", ("momentum", {"lookback": 10})), history=20)

    def ask(who: Mix, bars: tw.Market) -> np.ndarray:
        return who.decide(View(bars, int(bars.known[-1]), portfolio)).weights

    other = gappy(bars=300, symbols=2, seed=9)[:200]
    for bars in (market[:200], market[:201], market[:201], other, market[:100], market[:101]):
        given = copy.deepcopy(mix)
        same(ask(mix, bars)[None], ask(given, bars)[None])
        same(ask(mix, bars)[None], ask(given, bars)[None])
    same(ask(mix, market[:150])[None], ask(Mix(members=("hold", ("momentum", {"lookback": 10})), history=20), market[:150])[None])


def test_fit_and_seeds_reach_the_members() -> None:
    mix = Mix(members=(Seeded(), Seeded()))
    mix.reseed(5)
    mix.fit(flat(30))
    weights = [member.weight for member in mix.members]
    assert len({0.0, *weights}) == 3
    assert [member.bars for member in mix.members] == [30, 30]
    np.testing.assert_allclose(mix.decide_all(flat(3)), np.mean(weights))


def test_members_are_its_own_copies() -> None:
    mine = Momentum(5)
    assert Mix(members=(mine,)).members[0] is not mine


def test_a_single_bar() -> None:
    market = panel([[1.0, np.nan]])
    targets = Mix(members=("hold",)).decide_all(market)
    np.testing.assert_array_equal(targets, [[0.5, 0.0]])
    assert np.isnan(Mix(members=("momentum",)).decide_all(market)).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"members": ()}, "at least one"),
        ({"members": "hold"}, "at least one"),
        ({"members": ("hodl",)}, "did you mean 'hold'"),
        ({"members": (3,)}, "is no strategy"),
        ({"members": (("momentum", {"lookbak": 3}),)}, "did you mean 'lookback'"),
        ({"members": (Mix(members=("hold",)),)}, "list its members"),
        ({"members": (("mix", {"members": ("hold",)}),)}, "list its members"),
        ({"members": (Taught(),)}, "does not deliver"),
        ({"history": -1}, "history is -1"),
        ({"costs": {"fee": 3}}, "did you mean 'fee_bps'"),
    ],
)
def test_impossible_settings(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Mix(**{"members": ("hold",), **settings})


def test_state_of_other_members_is_refused() -> None:
    state = Mix(members=("hold", "momentum")).state()
    for members in (("hold",), ("hold", "momentum", "hold"), ("momentum", "hold")):
        with pytest.raises(StateError):
            Mix(members=members).restore(state)
