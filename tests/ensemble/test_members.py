from __future__ import annotations

import numpy as np
import pytest

import tradewind as tw
from strategies.markets import gappy, panel, same
from tradewind.core.clock import SECOND, SimulatedClock
from tradewind.core.errors import MissingExtra, SettingsError, StateError
from tradewind.core.types import Target, View
from tradewind.engine import backtest, run
from tradewind.ensemble.members import Answer, Deadline, Member, Track, names_of
from tradewind.simulate.costs import Costs
from tradewind.strategies.momentum import Momentum
from tradewind.strategies.paper import member

from .strategies_that_fail import Broken, Crooked, Faller, Taught, Wild

COSTS = Costs(fee_bps=10, slippage_bps=2)
MARKET = gappy(bars=240, symbols=2)


def walked(who: Member, market: tw.Market, begin: int) -> Track:
    answers = [who.step(market[: t + 1]) for t in range(begin, len(market))]
    return Track(
        np.array([a.wanted for a in answers]), np.array([a.held for a in answers]),
        np.array([a.earned for a in answers]), np.array([a.awake for a in answers]),
    )  # fmt: skip


def equal(one: Track, two: Track) -> None:
    for name in ("wanted", "held"):
        same(getattr(one, name), getattr(two, name))
    np.testing.assert_array_equal(one.earned, two.earned)
    np.testing.assert_array_equal(one.awake, two.awake)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tw.strategy("hold"),
        lambda: Momentum(10),
        lambda: tw.strategy("rsi-reversal"),
        lambda: tw.strategy("logistic").fit(MARKET[:120]),
        lambda: Broken(at=(40, 41, 150)),
        lambda: Crooked(at=(60,)),
        lambda: Wild(at=(70, 71, 72)),
        lambda: Taught(),
        lambda: tw.strategy("mix", members=("hold", "momentum"), history=20),
    ],
)
@pytest.mark.parametrize("begin", [0, 50])
def test_at_one_go_and_bar_by_bar_are_equal_to_the_bit(make: object, begin: int) -> None:
    one, two = Member(make(), COSTS, 7), Member(make(), COSTS, 7)
    equal(one.live(MARKET, begin), walked(two, MARKET, begin))
    assert one.state() == two.state()
    # One that has lived through a part goes on from there.
    three = Member(make(), COSTS, 7)
    three.live(MARKET[:100], begin)
    equal(walked(three, MARKET, 100), walked_part(make, begin))


def walked_part(make: object, begin: int) -> Track:
    whole = Member(make(), COSTS, 7).live(MARKET, begin)
    cut = 100 - begin
    return Track(whole.wanted[cut:], whole.held[cut:], whole.earned[cut:], whole.awake[cut:])


def test_the_account_is_that_of_a_backtest() -> None:
    track = Member(Momentum(10), COSTS, 7).live(MARKET, 0)
    alone = backtest(Momentum(10), MARKET, COSTS)
    np.testing.assert_array_equal(track.earned, alone.returns)
    np.testing.assert_array_equal(track.held, alone.weights)
    same(track.wanted, alone.targets)


@pytest.mark.parametrize("make", [Broken, Crooked, Wild])
def test_who_fails_is_flat_and_silent_and_is_asked_again(make: type) -> None:
    who = Member(make(at=(50,)), COSTS, 6)
    track = who.live(MARKET, 0)
    out = slice(50, 56)
    assert track.awake[20:50].all() and not track.awake[out].any() and track.awake[56:].all()
    assert (track.wanted[out] == 0).all() and np.abs(track.held[53:55]).sum() == 0 and np.abs(track.held[58:]).sum() > 0
    assert who.fault.startswith(("ValueError", "DataError"))


def test_who_fails_again_stays_out() -> None:
    track = Member(Broken(at=range(50, 70)), COSTS, 6).live(MARKET, 0)
    assert not track.awake[50:74].any() and track.awake[74]


def test_after_quarantine_it_sleeps_until_it_says_something_again() -> None:
    class Once(Broken):
        def decide(self, view: View) -> Target:
            said = super().decide(view)
            return said if len(view.market) <= 51 or len(view.market) > 80 else Target(np.full(2, np.nan))

    track = Member(Once(at=(50,)), COSTS, 6).live(MARKET, 0)
    assert track.awake[49] and not track.awake[50:80].any() and track.awake[80:].all()


def test_a_sleeper_wakes_when_it_first_asks_for_something() -> None:
    track = Member(Faller(after=30), COSTS, 6).live(MARKET, 0)
    assert not track.awake[:30].any() and track.awake[30:].all()


def test_a_ruined_account_sleeps_for_good() -> None:
    doubled = panel([100.0] * 5 + [100.0, 100.0, 350.0, 350.0, 100.0, 100.0])
    track = Member(Faller(after=2), COSTS, 6).live(doubled, 0)
    assert track.awake[2:7].all() and not track.awake[7:].any() and (track.earned[8:] == 0).all()
    equal(track, walked(Member(Faller(after=2), COSTS, 6), doubled, 0))


def test_outcomes_are_those_of_the_engine() -> None:
    who, lone = Member(Taught(), COSTS, 6), Taught()
    who.live(MARKET, 0)
    run(lone, MARKET, COSTS)
    assert len(lone.told) > 100
    assert [told[:2] for told in who.strategy.told] == [told[:2] for told in lone.told]
    for mine, theirs in zip(who.strategy.told, lone.told, strict=True):
        np.testing.assert_array_equal(mine[2], theirs[2])
        np.testing.assert_array_equal(mine[3], theirs[3])


def test_outcomes_begin_anew_after_quarantine() -> None:
    who = Member(Taught(at=(60,)), COSTS, 5)
    who.live(MARKET, 0)
    asked = {told[0] for told in who.strategy.told}
    times = MARKET.known
    assert int(times[30]) in asked and not {int(times[t]) for t in range(58, 65)} & asked and int(times[66]) in asked


def test_it_learns_on_a_copy_and_a_second_life_begins_like_the_first() -> None:
    mine = Taught()
    one, two = Member(mine, COSTS, 5), Member(mine, COSTS, 5)
    equal(one.live(MARKET, 0), two.live(MARKET, 0))
    assert mine.told == []


def test_a_late_answer_counts_as_a_failure() -> None:
    clock = SimulatedClock()

    class Slow(tw.Strategy):
        def decide(self, view: View) -> Target:
            clock.sleep(2.0 if len(view.market) == 30 else 0.001)
            return Target(np.full(2, 0.5))

    who, late = Member(Slow(), COSTS, 4), Deadline(clock, 1.0)
    answers = [who.step(MARKET[: t + 1], late) for t in range(40)]
    assert [t for t, answer in enumerate(answers) if not answer.awake] == [29, 30, 31, 32]
    assert "took 2.000 s" in who.fault and clock.now() > SECOND
    patient = [Member(Slow(), COSTS, 4).step(MARKET[: t + 1]) for t in range(29, 31)]
    assert all(answer.awake for answer in patient)


def test_a_missing_package_is_no_reason_to_go_on() -> None:
    class Lacking(tw.Strategy):
        def decide(self, view: View) -> Target:
            raise MissingExtra("lightgbm", "trees")

    with pytest.raises(MissingExtra):
        Member(Lacking(), COSTS, 5).live(MARKET, 0)


@pytest.mark.parametrize("make", [lambda: Momentum(10), Taught, lambda: Broken(at=(95,))])
def test_a_member_restored_in_the_middle_goes_on_to_the_bit(make: object) -> None:
    one = Member(make(), COSTS, 10)
    one.live(MARKET[:100], 0)
    two = Member(make(), COSTS, 10).restore(one.state())
    assert two.state() == one.state()
    equal(walked(two, MARKET, 100), walked(one, MARKET, 100))


def test_state_of_something_else_is_refused() -> None:
    with pytest.raises(StateError, match="no state of a member"):
        Member(Momentum(10), COSTS, 5).restore(Momentum(10).state())
    assert Member(Momentum(10), COSTS, 5).restore(Member(Momentum(10), COSTS, 5).state()).fault == ""


def test_names_tell_two_of_a_kind_apart() -> None:
    given = [member(each, None) for each in ("hold", ("momentum", {"lookback": 5}), ("momentum", {"lookback": 9}), Broken())]
    assert names_of(given) == ("hold", "momentum 1", "momentum 2", "Broken")


def test_an_answer_of_a_track() -> None:
    answer = Member(Momentum(10), COSTS, 7).live(MARKET, 0)[60]
    assert isinstance(answer, Answer) and answer.wanted.shape == (2,) and answer.awake


def test_what_is_no_member() -> None:
    with pytest.raises(SettingsError, match="is no strategy"):
        member(3, None)
