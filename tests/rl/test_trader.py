"""A trader decides the same bar by bar and all at once, by what it sees and holds; and says how sure it is by how often it was right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tradewind.core.errors import DataError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.market import Market
from tradewind.core.types import State
from tradewind.data import synthetic
from tradewind.features import compute
from tradewind.rl.confidence import Calibrated
from tradewind.rl.grounds import Course, Grounds
from tradewind.rl.ppo import PPO, PPOConfig
from tradewind.rl.spaces import Spaces
from tradewind.rl.trader import Sight, Trader
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs

SEEN = ("return_1", "ema_distance_10")
COSTS = Costs(fee_bps=10, slippage_bps=5)


class Rule:
    """Acts by a function of observations (lane, inputs); its conviction is the size of what it saw first."""

    def __init__(self, rule: Callable[[np.ndarray], np.ndarray]) -> None:
        self.rule, self.seen = rule, []

    def act(self, observations: np.ndarray, deterministic: bool = True) -> np.ndarray:
        assert deterministic and observations.dtype == np.float32
        self.seen.append(observations.copy())
        return self.rule(observations)

    def conviction(self, observations: np.ndarray) -> np.ndarray:
        return np.abs(observations[:, 0]).astype(float)

    def state(self) -> State:
        return State({"rule": 1})

    def restore(self, state: State) -> Rule:
        return self


def stubborn(observations: np.ndarray) -> np.ndarray:
    """Levels 0, 1, 2: against the last return, but only out of a position that has nearly vanished or is on the wrong side."""
    wanted = 1 - np.sign(np.round(observations[:, 0])).astype(int)
    return np.where(np.abs(observations[:, -1]) > 0.99, np.sign(observations[:, -1]).astype(int) + 1, wanted)


def made(market: Market, rule: Any = stubborn, **sight: Any) -> Trader:
    agent = Rule(rule) if callable(rule) else rule
    return Grounds(market, Sight(**{"features": SEEN, "actions": 3, **sight}), Course(), len(market) // 2).trader(agent)


def untidy() -> Market:
    return synthetic.gappy(bars=160, seed=2, symbols=3, missing=0.05, outages=2).market


def by_steps(trader: Trader, market: Market, book: Book, start: int) -> np.ndarray:
    own, decided = book.copy(), np.full(market.close.shape, np.nan)
    for t in range(start, len(market)):
        own.advance(market[t : t + 1], np.full((1, 3), np.nan))
        decided[t] = trader.decide(market[: t + 1], own.portfolio().weights)
        own.submit(decided[t])
    return decided


def net() -> PPO:
    agent = PPO(PPOConfig(hidden=(8,), device="cpu"))
    agent.settle(Spaces(3, 1, False, (-1.0,), (1.0,)), 0)
    # A policy that answers to what it sees and holds.
    with np.errstate(all="ignore"):
        for parameter in agent.nets.parameters():
            parameter.data.mul_(20.0)
    return agent


@pytest.mark.parametrize("sight", [{}, {"window": 4}, {"actions": "discrete"}, {"band": 0.2}])
@pytest.mark.parametrize("start", [0, 40])
def test_bar_by_bar_is_all_at_once_to_the_bit(sight: dict[str, Any], start: int) -> None:
    market, book = untidy(), Book(("GAPPY-1", "GAPPY-2", "GAPPY-3"), COSTS)
    trader = made(market, **sight)
    whole = trader.decide_all(market, book, start)
    np.testing.assert_array_equal(whole, by_steps(made(market, **sight), market, book, start))
    assert np.isfinite(whole).sum() > 5 and np.isnan(whole[: max(start, trader.sight.warmup - 1)]).all()
    assert book.state() == Book(book.symbols, COSTS).state()


def test_a_net_asked_bar_by_bar_answers_as_all_at_once_to_the_bit() -> None:
    market, book = untidy(), Book(("GAPPY-1", "GAPPY-2", "GAPPY-3"), COSTS)
    whole = made(market, net(), actions="continuous").decide_all(market, book)
    np.testing.assert_array_equal(whole, by_steps(made(market, net(), actions="continuous"), market, book, 0))
    assert len(np.unique(whole[np.isfinite(whole)])) > 100
    again = made(market, net(), actions="continuous").decide_all(market[:90], book)
    np.testing.assert_array_equal(again, whole[:90])


def test_it_is_shown_what_the_environment_shows() -> None:
    market = untidy()
    sight = Sight(SEEN, 2, 3)
    grounds = Grounds(market, sight, Course(), 60)
    rule = Rule(lambda seen: np.full(len(seen), 2))
    trader = grounds.trader(rule)
    trader.decide(market, np.array([0.1, -0.2, 0.3]))
    scaled = grounds.scaler.transform(compute(market, SEEN)).values[-2:].astype(np.float32)
    for symbol, position in enumerate((0.3, -0.6, 0.9)):
        if np.isfinite(scaled[:, symbol]).all():
            np.testing.assert_array_equal(rule.seen[0][symbol], np.float32([*scaled[:, symbol].ravel(), np.float64(position)]))


def test_actions_become_shares_of_equity() -> None:
    market = synthetic.noise(bars=60, symbols=2).market
    weights = np.array([0.0, 0.25])
    assert made(market, lambda seen: np.array([0, 2])).decide(market, weights).tolist() == [-0.5, 0.5]
    kept = made(market, lambda seen: np.array([1, 2]), actions="discrete", positions=(0.0, 0.8)).decide(market, weights)
    assert np.isnan(kept[0]) and kept[1] == 0.4
    assert made(market, lambda seen: np.array([[0.5], [-0.25]]), actions="continuous").decide(market, weights).tolist() == [0.25, -0.125]
    near = made(market, lambda seen: np.array([[0.04], [0.46]]), actions="continuous", band=0.05).decide(market, weights)
    assert np.isnan(near).all()


def test_a_symbol_that_lacks_a_bar_keeps_what_it_holds() -> None:
    market = untidy()
    missing = np.isnan(market.close)
    decided = made(market, lambda seen: np.full(len(seen), 2)).decide_all(market, Book(market.symbols, COSTS))
    assert missing[20:].any() and np.isnan(decided[missing]).all()


def test_bars_of_another_kind_are_refused() -> None:
    trader = made(synthetic.noise(bars=60).market)
    other = synthetic.noise(bars=60, timeframe="4h").market
    for ask in (lambda: trader.decide(other, np.zeros(1)), lambda: trader.decide_all(other, Book(other.symbols))):
        with pytest.raises(DataError, match="learned on bars of 1h on 24/7 and was asked about 4h"):
            ask()


# -- how sure it is ------------------------------------------------------------------------------------------------------
def test_outcomes_by_hand() -> None:
    market = synthetic.noise(bars=40, seed=4).market
    long = made(market, lambda seen: np.full(len(seen), 2))
    convictions, right = long.outcomes(market, Book(market.symbols, COSTS), 20)
    # Decided at the closes of bars 20 to 37, filled at the next open, and judged at the one after. The first pays to get in; from then on
    # what is held is within the band.
    gained = market.open[22:, 0] / market.open[21:-1, 0] - 1.0
    assert right.tolist() == [gained[0] > 0.0015, *(gained[1:] > 0.0)]
    assert 0 < right.sum() < len(right)
    told = long.scaler.transform(compute(market, SEEN)).values[20:38, 0, 0]
    np.testing.assert_allclose(convictions, np.abs(told), rtol=1e-6)
    idle = made(market, lambda seen: np.full(len(seen), 1))
    assert len(idle.outcomes(market, Book(market.symbols, COSTS), 20)[0]) == 0


def test_confidence_is_the_calibrated_conviction_of_the_position_it_leads_to() -> None:
    market = synthetic.noise(bars=60, symbols=3).market
    trader = made(market, lambda seen: np.array([2, 1, 1]), actions="discrete")
    trader.calibrated = Calibrated(0.6, 100, 0.3, 0.5, 1.0, 2.0)
    answer = trader.answer(market, np.array([0.0, 0.0, -0.2]))
    told = trader.scaler.transform(compute(market, SEEN)).values[-1, :, 0]
    np.testing.assert_allclose(answer.position, [1.0, 0.0, -0.6])
    np.testing.assert_allclose(answer.convictions, np.where([1, 0, 1], np.abs(told), np.nan), rtol=1e-6)
    np.testing.assert_allclose(answer.confidence, 1 / (1 + np.exp(-(0.3 + 0.5 * (answer.convictions - 1.0) / 2.0))))
    # Without a conviction to speak of there is the base rate.
    trader.agent = type("Mute", (), {"act": Rule(lambda seen: np.array([2, 1, 1])).act})()
    trader.calibrated = Calibrated(0.6, 100, float(np.log(1.5)))
    np.testing.assert_allclose(trader.answer(market, np.zeros(3)).confidence, [0.6, np.nan, np.nan])


# -- as data -------------------------------------------------------------------------------------------------------------
def test_a_trader_survives_a_file(tmp_path: Any) -> None:
    market, book = untidy(), Book(("GAPPY-1", "GAPPY-2", "GAPPY-3"), COSTS)
    one = made(market, net(), actions="continuous").calibrate(market, book, 80)
    save_state(tmp_path / "state", one.state())
    two = Trader.from_state(load_state(tmp_path / "state"), PPO(PPOConfig(hidden=(8,), device="cpu")), one.sight)
    np.testing.assert_array_equal(two.decide_all(market, book), one.decide_all(market, book))
    assert two.state() == one.state() and two.calibrated == one.calibrated
    with pytest.raises(StateError, match="saved under"):
        Trader.from_state(one.state(), net(), Sight(SEEN, 2, "continuous"))
