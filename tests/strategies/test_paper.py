"""Members with paper accounts: what each stands for, whose portfolio it sees, and what a state has to be of."""

from __future__ import annotations

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError, StateError
from tradewind.core.types import View
from tradewind.engine import backtest, targets
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies.hold import Hold
from tradewind.strategies.momentum import Momentum
from tradewind.strategies.paper import Paper, member, positions

from .markets import gappy, same

MARKET = gappy(bars=200, symbols=2, missing=0.0)[60:]


class Mirror(tw.Strategy):
    """Wants the opposite of what its portfolio shows, or a start where it is empty."""

    def decide(self, view: View) -> tw.Target:
        held = view.portfolio.weights
        return tw.Target(np.where(held == 0.0, 0.4, -held))


def paper(*members: object, history: int = 30) -> Paper:
    return Paper([member(each, "nobody") for each in members], {"fee_bps": 5}, history)


def ask(who: Paper, row: int) -> tuple[np.ndarray, np.ndarray]:
    foreign = Book(MARKET.symbols).portfolio()
    return who.decide(View(MARKET[: row + 1], int(MARKET.known[row]), foreign))


def test_positions_are_what_is_wanted_or_held() -> None:
    same(positions(np.array([[0.1, np.nan]]), np.array([[0.9, 0.2]])), np.array([[0.1, 0.2]]))


def test_each_member_sees_the_account_that_its_own_decisions_led_to() -> None:
    wanted, held = paper("hold", Mirror(), history=0).decide_all(MARKET, 0)
    for place, alone in enumerate((Hold(), Mirror())):
        decided = targets(alone, MARKET, Book(MARKET.symbols, Costs(fee_bps=5)))
        same(wanted[place], decided)
        same(held[place], backtest(decided, MARKET, Costs(fee_bps=5)).weights)
    assert (np.sign(wanted[1][3:]) != np.sign(wanted[1][2:-1])).all()


def test_accounts_begin_flat_so_many_bars_before_the_first_decision() -> None:
    wanted, held = paper("hold", history=30).decide_all(MARKET, 100)
    assert (held[0, :71] == 0).all() and (held[0, 71:] > 0).all()
    assert np.isnan(wanted[0, 71:]).all()


def test_bar_by_bar_is_all_at_once_and_goes_on_after_a_restart() -> None:
    members = ("hold", ("momentum", {"lookback": 10}), Mirror())
    wanted, held = paper(*members).decide_all(MARKET, 60)
    live = paper(*members)
    for row in range(60, 100):
        if row == 80:
            live = paper(*members).restore(live.state())
        one, two = ask(live, row)
        same(one, wanted[:, row])
        same(two, held[:, row])
        assert live.opening == (row == 60)
    # Asked again about the same bar it says the same.
    same(ask(live, 99)[0], wanted[:, 99])


def test_fit_begins_with_new_accounts_and_gives_the_members() -> None:
    live = paper("hold", ("momentum", {"lookback": 10}))
    assert live.warmup == 11
    ask(live, 80)
    assert live.fit(MARKET) == live.members and live.state().values["accounts"] == 0


def test_what_is_no_member_is_refused() -> None:
    taught = Momentum(5)
    taught.horizon = 2
    for given, words in ((3, "is no strategy"), ("hodl", "did you mean 'hold'"), (taught, "which nobody does not deliver")):
        with pytest.raises(SettingsError, match=words):
            member(given, "nobody")
    with pytest.raises(StateError, match="of 2 members, not of 1"):
        paper("hold").restore(paper("hold", "hold").state())
