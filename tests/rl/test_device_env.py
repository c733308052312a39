"""The torch environment beside the compiled one: the same accounts, episodes, observations and rewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from tradewind.core.errors import DataError, StateError
from tradewind.core.market import Market
from tradewind.core.types import Features
from tradewind.data import synthetic
from tradewind.rl.device_env import LOOKED_AT, DeviceBackend, draw_below, live_one_bar
from tradewind.rl.lanes import Lanes
from tradewind.rl.rewards import Lived, Reward
from tradewind.rl.trading_vector_env import TradingVectorEnv
from tradewind.simulate import kernels
from tradewind.simulate.costs import Costs

LANES = 40
CPU = torch.device("cpu")
SEEDS = st.integers(0, 2**31)


def random_market(seed: int, bars: int = 120, wild: float = 1.0, funding: bool = False) -> Market:
    """Three symbols with holes, `wild` times as volatile as usual, so that accounts are ruined where it is large."""
    market = synthetic.gappy(bars, seed=seed, missing=0.01, outages=1).market
    prices = {name: 100.0 * (getattr(market, name) / 100.0) ** wild for name in ("open", "high", "low", "close")}
    if funding:
        random = np.random.default_rng(seed)
        gone = np.isnan(market.close)
        paid = np.where(gone | (random.random(market.close.shape) < 0.7), np.nan, random.normal(0, 0.01, market.close.shape))
        prices |= {"funding_rate": paid, "mark_close": prices["close"] * np.exp(random.normal(0, 0.002, market.close.shape))}
    return replace(market, **prices)


def random_features(market: Market, seed: int) -> Features:
    values = np.random.default_rng(seed).standard_normal((*market.close.shape, 3))
    values[np.isnan(market.close)] = np.nan
    return Features(("a", "b", "c"), values, 0, market.open_time, market.known, market.symbols)


def both(market: Market, lanes: int = LANES, seed: int = 0, **asked: Any) -> tuple[TradingVectorEnv, TradingVectorEnv]:
    """The same environment twice, the second in torch operations."""
    features = random_features(market, seed)
    compiled, torched = (TradingVectorEnv(market, lanes, features=features, seed=seed, **asked) for _ in range(2))
    torched.backend = DeviceBackend(torched.arena, lanes, CPU)
    for env in (compiled, torched):
        env.reset(seed=seed)
    return compiled, torched


def actions_of(env: TradingVectorEnv, random: np.random.Generator) -> np.ndarray:
    if env.arena.actions.discrete:
        return random.integers(0, len(env.arena.actions.levels), env.num_envs)
    return random.uniform(env.arena.actions.low, env.arena.actions.high, (env.num_envs, 1)).astype(np.float32)


def same_steps(compiled: TradingVectorEnv, torched: TradingVectorEnv, steps: int, seed: int = 0) -> tuple[int, int]:
    """Take the same random actions in both and demand the same of every number; how many episodes were ruined, and cut."""
    random, ruined, cut = np.random.default_rng(seed), 0, 0
    for _ in range(steps):
        actions = actions_of(compiled, random)
        seen, rewards, terminated, truncated, infos = compiled.step(actions)
        shown, paid, over, stopped, told = torched.step(torch.tensor(actions))
        assert shown.dtype == torch.float32 and paid.dtype == torch.float64 and over.dtype == torch.bool
        np.testing.assert_allclose(shown.numpy(), seen, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(paid.numpy(), rewards, rtol=1e-12, atol=1e-12)
        assert np.array_equal(over.numpy(), terminated) and np.array_equal(stopped.numpy(), truncated)
        for name in ("equity", "position", "net_return", "hold_return"):
            np.testing.assert_allclose(told[name].numpy(), infos[name], rtol=1e-12, atol=1e-12, err_msg=name)
        ended = terminated | truncated
        assert np.array_equal(told["_final_obs"].numpy(), ended)
        if ended.any():
            np.testing.assert_allclose(told["final_obs"].numpy()[ended], infos["final_obs"][ended], rtol=1e-6, atol=1e-6)
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(torched.backend.where(), compiled.backend.where(), strict=True))
        ruined, cut = ruined + int(terminated.sum()), cut + int(truncated.sum())
    return ruined, cut


# -- accounts -----------------------------------------------------------------------------------------------------------
def random_bars(random: np.random.Generator, wild: float, funding: bool, slips: bool) -> np.ndarray:
    """(3, 50, 5) bars as the accounting reads them; where `wild` is large an account is often ruined."""
    moves = np.exp(wild * random.standard_normal((3, 50, 2)).cumsum(axis=1))
    marks = moves[:, :, 1] * np.exp(0.01 * random.standard_normal((3, 50)))
    paid = random.normal(0, 0.01, (3, 50)) if funding else np.zeros((3, 50))
    lost = np.abs(random.normal(0, 1e-3, (3, 50))) if slips else np.full((3, 50), 2e-4)
    return np.ascontiguousarray(np.stack([moves[:, :, 0], moves[:, :, 1], marks, paid, lost], axis=2))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([0.01, 0.2, 1.0]), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.01, 0.2]))
def test_accounts_are_those_of_the_compiled_kernel_to_the_bit(seed: int, wild: float, funding: bool, slips: bool, least: float) -> None:
    random, lanes = np.random.default_rng(seed), 200
    bars = random_bars(random, wild, funding, slips)
    rates = Costs(fee_bps=10, min_trade=least, max_leverage=1.7).rates()
    symbols = random.integers(0, 3, lanes)
    purses, helds, equity, traded = np.full(lanes, 1e4), np.zeros(lanes), np.empty(lanes), np.empty(lanes)
    purse, held = torch.tensor(purses), torch.tensor(helds)
    for t in range(1, 50):
        due = np.where(random.random(lanes) < 0.3, np.nan, random.uniform(-3, 3, lanes))
        rows = np.full(lanes, t)
        kernels.live_one_bar(bars, symbols, rows, due, rates, purses, helds, equity, traded)
        now = torch.tensor(bars[symbols, rows])
        purse, held, worth, turned = live_one_bar(now, torch.tensor(due), torch.tensor(rates), purse, held)
        for mine, theirs in ((purse, purses), (held, helds), (worth, equity), (turned, traded)):
            assert np.array_equal(mine.numpy(), theirs)
    if wild == 1.0:
        assert (equity <= 0).any(), "nobody was ruined, so ruin was not looked at"


# -- steps --------------------------------------------------------------------------------------------------------------
@settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS,
    funding=st.booleans(),
    wild=st.sampled_from([1.0, 30.0]),
    actions=st.sampled_from(["continuous", "discrete", 5]),
    latency=st.integers(1, 3),
    window=st.integers(1, 3),
    reward=st.sampled_from(["log-return", "differential-sharpe", "drawdown", "inventory"]),
    slippage=st.sampled_from([0.0, 0.1]),
)
def test_steps_are_those_of_the_compiled_environment(
    seed: int, funding: bool, wild: float, actions: str | int, latency: int, window: int, reward: str, slippage: float
) -> None:
    costs = Costs(fee_bps=10, slippage_volatility=slippage, latency=latency, max_leverage=2.0, min_trade=0.01)
    market = random_market(seed, wild=wild, funding=funding)
    pair = both(market, seed=seed, actions=actions, positions=(-2.0, 2.0), window=window, reward=reward, costs=costs, length=9)
    assert sum(same_steps(*pair, 25, seed)) >= LANES


def test_ruin_ends_an_episode_in_both() -> None:
    market = random_market(3, wild=40.0)
    ruined, _ = same_steps(*both(market, positions=(-5.0, 5.0), costs=Costs(max_leverage=5.0), length=20), 60)
    assert ruined > 10


def test_whole_stretches_and_regimes_begin_alike() -> None:
    market = random_market(5, 300)
    regimes = np.random.default_rng(5).integers(-1, 3, market.close.shape)
    assert same_steps(*both(market, 7, length=None, actions="discrete"), 300)[1] > 7
    same_steps(*both(market, 7, length=5, regimes=regimes), 40)


def test_an_own_reward_gets_tensors() -> None:
    def growth(lived: Lived[Any]) -> Any:
        gained = lived.equity / lived.equity_before - 1.0 - 0.5 * lived.drawdown
        return gained - 1e-3 * lived.traded + lived.market_return * (lived.position - lived.position_before)

    same_steps(*both(random_market(8), reward=growth, length=9), 25)


def test_random_numbers_are_those_of_the_kernel() -> None:
    # The first outputs of SplitMix64 from 1234567, as published with its reference code.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    streams, drawn = torch.tensor([1234567]), []
    for _ in expected:
        streams, number = draw_below(streams, 1 << 52)
        drawn.append(int(number))
    assert drawn == [word >> 12 for word in expected]


def test_lanes_see_the_same_transitions() -> None:
    pair = [Lanes(env, CPU, seed=4) for env in both(random_market(9), actions="discrete", length=9)]
    random, ended = np.random.default_rng(0), 0
    for _ in range(20):
        actions = torch.tensor(random.integers(0, 3, LANES))
        mine, theirs = (lanes.step(actions) for lanes in pair)
        for name in ("observations", "following", "rewards"):
            torch.testing.assert_close(getattr(mine, name), getattr(theirs, name), rtol=1e-6, atol=1e-6)
        assert torch.equal(mine.ended, theirs.ended)
        ended += int(mine.ended.sum())
    assert ended >= 2 * LANES
    for own, other in zip(pair[0].finished(), pair[1].finished(), strict=True):
        assert own == pytest.approx(other, rel=1e-6, abs=1e-9)


class Dispatched(TorchDispatchMode):
    """Notes the name of every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        self.names.add(str(operation).split(".")[1])
        return operation(*arguments, **(keywords or {}))


@pytest.mark.parametrize(("actions", "length"), [("continuous", 9), ("discrete", None)])
def test_a_step_asks_the_device_for_nothing(actions: str, length: int | None) -> None:
    env = both(random_market(1), actions=actions, length=length, costs=Costs(latency=3), window=2)[1]
    backend: Any = env.backend
    backend._patience = LOOKED_AT
    taken = torch.zeros(LANES, dtype=torch.int64) if actions == "discrete" else torch.zeros(LANES, 1)
    env.step(taken)
    # Tensors of the device "meta" have shapes and no numbers: what asks for one fails, and so does what mixes them with the host's.
    backend.device = torch.device("meta")
    for name, value in vars(backend).items():
        if isinstance(value, torch.Tensor):
            setattr(backend, name, value.to("meta"))
    with Dispatched() as seen:
        observations, rewards, *_ = env.step(taken.to("meta"))
    assert observations.shape == (LANES, env.arena.width) and rewards.shape == (LANES,)
    assert not seen.names & {"_local_scalar_dense", "nonzero", "lift_fresh", "is_nonzero", "equal", "masked_select", "index_put_"}


# -- state --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", [(0, 1), (1, 0), (1, 1)])
def test_state_moves_between_the_two(way: tuple[int, int]) -> None:
    market, asked = random_market(2), {"length": 9, "costs": Costs(latency=3, min_trade=0.01)}
    first, then = both(market, **asked), both(market, **asked)
    random = np.random.default_rng(1)
    for _ in range(7):
        first[way[0]].step(actions_of(first[0], random))
    state = first[way[0]].state()
    then[0].restore(state)
    then[1].restore(state)
    assert then[way[1]].state() == state
    same_steps(*then, 20)


def test_state_of_other_lanes_is_refused() -> None:
    market = random_market(2)
    with pytest.raises(StateError, match="environment state: places is int64"):
        both(market, length=9)[1].restore(both(market, 7, length=9)[1].state())


def test_starts_that_are_asked_for() -> None:
    env = both(random_market(4), 4, length=9)[1]
    begin, stop = env.arena.episodes.stretches[0, 1:]
    assert stop - begin > 9
    env.reset(options={"start": int(begin) + 2, "symbol": 0})
    assert env.locate(3)[:2] == (env.market.symbols[0], begin + 2)


# -- faults -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "actions", "message"),
    [
        ("continuous", [[0.0], [1.5], [0.0]], "environment 1: action 1.5 is out of range"),
        ("continuous", [[0.0], [0.0], [np.nan]], "environment 2: action nan is out of range"),
        ("continuous", [[0.0], [0.0]], r"shape \(2, 1\), expected \(3, 1\)"),
        ("discrete", [0, 1, 3], "environment 2: action 3 is out of range"),
        ("discrete", [0, -1, 1], "environment 1: action -1 is out of range"),
        ("discrete", [0.0, 1.0, 1.0], "actions are torch.float32"),
        ("discrete", [True, True, False], "actions are torch.bool"),
    ],
)
def test_actions_that_cannot_be(kind: str, actions: list[Any], message: str) -> None:
    env = both(random_market(1), 3, length=9, actions=kind)[1]
    with pytest.raises(DataError, match=message):
        env.step(torch.tensor(actions))
    env.reset()


def test_rounding_beyond_the_bounds_is_cut() -> None:
    compiled, torched = both(random_market(1), 3, length=9)
    edge = np.full((3, 1), 1.0 + 5e-7)
    assert np.array_equal(torched.step(torch.tensor(edge))[4]["equity"].numpy(), compiled.step(edge)[4]["equity"])


def test_where_the_host_does_not_wait_impossible_actions_are_told_later() -> None:
    env = both(random_market(1), 3, length=9)[1]
    backend: Any = env.backend
    backend._patience = LOOKED_AT
    env.step(torch.zeros((3, 1)))
    env.step(torch.tensor([[0.0], [7.0], [0.0]]))
    with pytest.raises(DataError, match="environment 1: action 7 is out of range"):
        for _ in range(LOOKED_AT):
            env.step(torch.zeros((3, 1)))


@pytest.mark.parametrize(
    ("reward", "message"),
    [(lambda lived: lived.equity.mean(), r"returned torch.float64 \(\)"), (lambda lived: 1.0, "returned float")],
)
def test_own_rewards_that_cannot_be(reward: Callable[[Any], Any], message: str) -> None:
    env = both(random_market(1), 3, length=9, reward=reward)[1]
    with pytest.raises(DataError, match=message):
        env.step(torch.zeros((3, 1)))


def test_settings_of_a_reward_are_heeded() -> None:
    same_steps(*both(random_market(6), reward=Reward("inventory", penalty=0.3), length=9), 12)
