"""Mistakes that published trading agents make, each written down as it was made, and beside it what ours does instead.

"Theirs" are two: the environment of the project's first guide to GPU strategies, and the agents of a public contest kit.
"""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rl.trading import act, features_of, line, small
from tests.rl.value_learners import MAKERS, begun, some_batch
from tests.simulate.reference import random_market

from tradewind.core.market import Market
from tradewind.core.types import Array, Features
from tradewind.engine import backtest
from tradewind.rl.evaluation import evaluate
from tradewind.rl.normalise import ObservationNorm
from tradewind.rl.targets import clipped_double_q_target, double_q_target, q_learning_target
from tradewind.rl.trading_vector_env import TradingVectorEnv
from tradewind.simulate.costs import Costs

FREE = Costs.zero()


# -- their environment --------------------------------------------------------------------------------------------------------
class Theirs:
    """Its account: coins, not a share of equity, bought at the very close that was looked at; nobody is ever ruined."""

    def __init__(self, closes: list[float], capital: float = 10_000.0) -> None:
        self.closes, self.at, self.coins, self.cash, self.value = closes, 0, 0.0, capital, capital

    def step(self, wanted: float) -> float:
        """The account's value when the action has been taken."""
        price = self.closes[self.at]
        self.cash -= (wanted - self.coins) * price
        self.coins = wanted
        self.value = self.cash + self.coins * price
        self.at += 1
        return self.value


def sharpe_of_the_last(returns: Array) -> float:
    """Their reward: the Sharpe ratio of the last returns, times the root of the minutes in 252 days."""
    return float(np.mean(returns) / (np.std(returns) + 1e-8) * np.sqrt(252 * 24 * 60))


def normalised_row(row: Array) -> Array:
    """Their observation: a row less its own mean over its own deviation, whatever its columns are."""
    return np.asarray((row - row.mean()) / (row.std() + 1e-8))


# -- the account ----------------------------------------------------------------------------------------------------------------
def test_a_whole_position_in_coins_was_five_times_the_capital() -> None:
    theirs = Theirs([50_000.0, 50_000.0, 45_000.0])
    values = [theirs.step(1.0) for _ in range(3)]
    assert values[2] / values[1] - 1.0 == pytest.approx(-0.5)  # the market fell by 10 %
    env = small(line(50_000, 50_000, 45_000), costs=FREE, length=2)
    env.reset(options={"start": 0})
    act(env, 1.0)
    rewards, infos = act(env, 1.0)
    assert infos["net_return"][0] == pytest.approx(-0.1)
    assert rewards[0] == pytest.approx(math.log(0.9))


@given(st.floats(1e-6, 1e6), st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_what_a_coin_costs_changes_nothing(unit: float, seed: int) -> None:
    bars = random_market(seed, 12, 1, missing=0.0)
    dearer = Market(
        bars.symbols,
        bars.timeframe,
        bars.open_time,
        bars.known,
        bars.open * unit,
        bars.high * unit,
        bars.low * unit,
        bars.close * unit,
        bars.volume,
    )
    wanted = np.random.default_rng(seed).uniform(-1.0, 1.0, 8)
    told = []
    for some in (bars, dearer):
        env = TradingVectorEnv(some, 1, features=features_of(bars), length=8)
        env.reset(options={"start": 1})
        told.append([(*act(env, position)[0], *env.observe()[0, -4:]) for position in wanted[:7]])
    assert np.allclose(*told, rtol=1e-6, atol=1e-7)


def test_nobody_buys_at_the_close_that_he_looks_at() -> None:
    # All that ever happens, happens between a close and the next open: whoever is filled at the close that he sees earns it.
    closes = [100.0, 103.0, 99.0, 104.0, 98.0, 105.0, 105.0]
    theirs = Theirs(closes)
    for t in range(6):
        theirs.step(0.0 if t == 5 else float(np.sign(closes[t + 1] - closes[t])))
    assert theirs.value == pytest.approx(10_000 + sum(abs(b - a) for a, b in pairwise(closes)))
    env = small(line(*closes, opens=tuple(closes)), costs=FREE, length=5)
    env.reset(options={"start": 0})
    for t in range(5):
        _, infos = act(env, float(np.sign(closes[t + 1] - closes[t])))
        # What was held from the bar before meets this gap; what is wanted now meets the next.
        held = 0.0 if t == 0 else float(np.sign(closes[t] - closes[t - 1]))
        assert infos["net_return"][0] == pytest.approx(held * (closes[t + 1] / closes[t] - 1.0), abs=1e-12)
    assert infos["equity"][0] < 10_000


def test_an_account_that_owes_more_than_it_has_is_over() -> None:
    closes = [100.0, 100.0, 250.0, 50.0, 50.0]
    theirs = Theirs(closes, capital=100.0)
    values = [theirs.step(-1.0) for _ in range(4)]
    assert values[2] < 0.0 < values[3]  # they traded on with debts, until the price came back
    env = small(line(*closes), costs=FREE, length=4)
    env.reset(options={"start": 0})
    act(env, -1.0)
    _, rewards, terminated, truncated, infos = env.step(np.array([[-1.0]], np.float32))
    assert infos["equity"][0] <= 0.0
    assert terminated[0]
    assert not truncated[0]
    assert np.isfinite(rewards[0])


# -- the reward -------------------------------------------------------------------------------------------------------------------
def test_only_the_action_that_held_a_bar_is_paid_for_it() -> None:
    # Nothing moves but bar 4, from its open to its close: the action at the close of bar 3 lives through it.
    opens, closes = [100.0] * 5 + [110.0] * 4, [100.0] * 4 + [110.0] * 5
    paid = []
    for chosen in range(7):
        env = small(line(*closes, opens=tuple(opens)), costs=FREE, length=7)
        env.reset(options={"start": 0})
        paid.append([float(act(env, 1.0 if t == chosen else 0.0)[0][0]) for t in range(7)])
    assert np.array(paid) == pytest.approx(np.where(np.eye(7) * (np.arange(7) == 3), math.log(1.1), 0.0))
    theirs = Theirs(closes)
    values = [10_000.0, *(theirs.step(1.0 if t == 3 else 0.0) for t in range(7))]
    assert int(np.argmax(np.abs(np.diff(values)))) == 4 == np.flatnonzero(np.diff(values))[0]  # theirs paid the action after it


def test_idle_agents_are_paid_nothing_and_new_episodes_owe_nothing_to_old_ones() -> None:
    for reward in ("log-return", "differential-sharpe", "drawdown", "inventory"):
        env = small(random_market(3, 60, 1, missing=0.0), 2, reward=reward, length=5)
        env.reset(seed=1)
        assert not any(act(env, 0.0, 0.0)[0].any() for _ in range(20))
        env = small(line(*[100.0] * 4, 50.0, 100.0, 100.0, 100.0), reward=reward, length=3, costs=FREE)
        env.reset(options={"start": 1})
        for _ in range(3):
            act(env, 1.0)
        env.reset(options={"start": 4})
        again, _ = act(env, 0.0)
        assert again[0] == 0.0


def steady_and_wild(mean: float, swing: float, bars: int = 41) -> tuple[Array, Array]:
    """Returns with the same mean, one without and one with swings."""
    return np.full(bars, mean), mean + swing * np.where(np.arange(bars) % 2, 1.0, -1.0)


@given(st.floats(-0.02, -0.001), st.floats(0.005, 0.05), st.floats(2.0, 4.0))
@settings(max_examples=25, deadline=None)
def test_a_loss_is_not_forgiven_for_being_wild(mean: float, swing: float, wilder: float) -> None:
    calm, wild = steady_and_wild(mean, swing)[1], steady_and_wild(mean, wilder * swing)[1]
    assert sharpe_of_the_last(wild[:40]) > sharpe_of_the_last(calm[:40])  # both lose as much, and theirs pays more for the wilder
    for reward in ("log-return", "drawdown", "inventory"):
        earned = []
        for returns in (calm, wild):
            env = small(line(*100.0 * np.cumprod(1.0 + np.concatenate([[0.0], returns[:40]]))), reward=reward, costs=FREE, length=40)
            env.reset(options={"start": 0})
            earned.append(sum(float(act(env, 1.0)[0][0]) for _ in range(40)))
        assert earned[1] < earned[0]


def test_rewards_are_of_the_size_of_returns_and_no_six_hundred_times_that() -> None:
    returns = np.random.default_rng(0).normal(0.0, 0.01, 300)
    bars = line(*100.0 * np.cumprod(1.0 + returns))
    theirs = [abs(sharpe_of_the_last(returns[t - 100 : t])) for t in range(100, 300)]
    assert max(theirs) > 60.0
    for reward in ("log-return", "drawdown", "inventory"):
        env = small(bars, reward=reward, length=250)
        env.reset(options={"start": 0})
        assert max(abs(float(act(env, 1.0)[0][0])) for _ in range(249)) < 0.1


# -- the observation ----------------------------------------------------------------------------------------------------------------
def test_a_row_is_not_scaled_by_its_own_columns() -> None:
    # A price beside oscillators: theirs shows the price as the same number whatever it is, and hides the oscillators behind it.
    low, high = np.array([50_000.0, 20.0, 0.5, 1.0]), np.array([50_000.0, 80.0, 0.5, 1.0])
    assert np.abs(normalised_row(low) - normalised_row(high)).max() < 0.003
    assert normalised_row(low)[0] == pytest.approx(normalised_row(low * [2, 1, 1, 1])[0], abs=1e-3)
    norm = ObservationNorm(4)
    norm.update(torch.tensor(np.random.default_rng(0).normal([50_000, 50, 0, 1], [1_000, 15, 1, 1], (500, 4))).float())
    shown = norm(torch.tensor(np.array([low, high])).float())
    assert shown[1, 1] - shown[0, 1] == pytest.approx(4.0, rel=0.1)
    assert torch.equal(shown[0, [0, 2, 3]], shown[1, [0, 2, 3]])


@pytest.mark.parametrize("scale", [None, 20])
def test_a_column_knows_nothing_of_the_others_and_a_row_nothing_of_later_ones(scale: int | None) -> None:
    bars = random_market(5, 80, 1, missing=0.0)
    told = features_of(bars, width=3)
    values = told.values.copy()
    values[:, :, 1] *= 1_000.0
    values[60:] += 5.0
    other = Features(told.names, values, 0, told.open_time, told.known, told.symbols)
    seen = []
    for some in (told, other):
        env = TradingVectorEnv(bars, 1, features=some, scale=scale, length=25, account=())
        first, _ = env.reset(options={"start": 30})
        seen.append(np.concatenate([first, *(env.step(np.zeros((1, 1), np.float32))[0] for _ in range(24))]))
    assert np.array_equal(seen[0][:, [0, 2]], seen[1][:, [0, 2]])


# -- the judge ------------------------------------------------------------------------------------------------------------------------
class Chancy:
    """Acts by what it sees, and remembers what it did."""

    def __init__(self) -> None:
        self.done: list[Array] = []

    def act(self, observations: Any, deterministic: bool = True) -> Any:
        self.done.append(np.tanh(3.0 * observations[:, :1]).astype(np.float32))
        return self.done[-1]


@pytest.mark.parametrize("seed", range(5))
def test_the_judge_prices_at_the_bar_that_it_trades(seed: int) -> None:
    """Theirs priced an action at another index than the one it had been taken at; ours is the backtest's own account."""
    bars = random_market(seed, 60, 1, missing=0.0)
    env = TradingVectorEnv(bars, 1, features=features_of(bars), length=None)
    agent = Chancy()
    told = evaluate(agent, env, 1)
    assert told.lengths == (59,)
    again = backtest(env.targets("A", 0, np.concatenate(agent.done)), bars, env.costs, env.capital)
    assert told.mean == pytest.approx(math.log(again.equity[-1] / env.capital), rel=1e-5)
    returns = again.equity[1:] / np.concatenate([[env.capital], again.equity[1:-1]]) - 1.0
    assert told.metrics["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * math.sqrt(bars.periods_per_year), rel=1e-9)
    # One bar off, it would have been another account.
    shifted = backtest(np.roll(env.targets("A", 0, np.concatenate(agent.done)), 1, axis=0), bars, env.costs, env.capital)
    assert abs(math.log(shifted.equity[-1] / env.capital) - told.mean) > 1e-3


def test_the_judge_teaches_nothing() -> None:
    """Theirs let an agent act in the environment that it learned in, whose normalisation went on learning from what it saw."""
    bars = random_market(2, 60, 1, missing=0.0)
    agent = MAKERS["d3qn"]()
    agent.learn(TradingVectorEnv(bars, 4, features=features_of(bars), actions="discrete", length=10), 128)
    before = agent.state()
    assert before.child("norm").arrays["count"] > 0
    evaluate(agent, TradingVectorEnv(bars, 1, features=features_of(bars, seed=9), actions="discrete", length=None), 2)
    assert agent.state() == before


# -- the agents -----------------------------------------------------------------------------------------------------------------------
def test_four_names_are_four_algorithms() -> None:
    """Theirs had a Twin D3QN that was its Double DQN under another name."""
    told = {}
    for kind in ("double-dqn", "d3qn", "twin-d3qn", "rainbow"):
        agent = begun(MAKERS[kind]())
        shapes = sorted(tuple(weight.shape) for weight in agent.nets.state_dict().values())
        told[kind] = (shapes, agent.loss(some_batch())[0].item())
    for one, other in combinations(told, 2):
        assert told[one][0] != told[other][0], f"{one} has the net of {other}"
        assert told[one][1] != told[other][1], f"{one} has the loss of {other}"


@given(st.integers(0, 1_000), st.integers(2, 6))
@settings(max_examples=50, deadline=None)
def test_what_follows_is_worth_its_value_not_its_number(seed: int, actions: int) -> None:
    """Theirs took the number of the best action, its argmax, for what the rest of the episode is worth."""
    stream = np.random.default_rng(seed)
    order = torch.from_numpy(stream.permutation(actions))
    judge, second, chooser = (torch.from_numpy(stream.normal(50.0, 5.0, (8, actions))).float() for _ in range(3))
    paid, discount = torch.from_numpy(stream.normal(size=8)).float(), torch.full((8,), 0.9)
    for values in (judge, judge[:, order]):
        assert (paid + 0.9 * values.argmax(dim=1)).max() < 10.0  # theirs: a small whole number where some fifty are to come
    answers = [
        (q_learning_target(paid, discount, judge), q_learning_target(paid, discount, judge[:, order])),
        (double_q_target(paid, discount, judge, chooser), double_q_target(paid, discount, judge[:, order], chooser[:, order])),
        (
            clipped_double_q_target(paid, discount, judge, second, chooser),
            clipped_double_q_target(paid, discount, judge[:, order], second[:, order], chooser[:, order]),
        ),
    ]
    for one, renumbered in answers:
        assert torch.equal(one, renumbered)
        assert ((one - paid) / 0.9).min() >= torch.minimum(judge, second).min() - 1e-3
