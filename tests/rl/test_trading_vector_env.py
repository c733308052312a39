"""The trading environment: what it shows, what it pays, and that it is the backtest's account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rl.trading import act, counted, features_of, line, small
from tests.simulate.reference import market as market_of
from tests.simulate.reference import random_market

from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import Features
from tradewind.engine import backtest
from tradewind.features import Standardiser, compute
from tradewind.rl import kernels
from tradewind.rl.actions import SLACK
from tradewind.rl.trading_vector_env import TradingVectorEnv
from tradewind.simulate.costs import Costs
from tradewind.simulate.kernels import BAR_CLOSE

NO = float("nan")
FREE = Costs.zero()


def random_steps(env: TradingVectorEnv, count: int, seed: int) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Random actions, and what came back."""
    env.action_space.seed(seed)
    for _ in range(count):
        actions = env.action_space.sample()
        yield actions, env.step(actions)


# -- it is the account of the backtest ------------------------------------------------------------------------------------
COSTS = st.builds(
    Costs,
    fee_bps=st.sampled_from([0.0, 10.0]),
    slippage_bps=st.sampled_from([0.0, 2.0]),
    slippage_volatility=st.sampled_from([0.0, 0.1]),
    volatility_bars=st.sampled_from([4, 96]),
    latency=st.integers(1, 3),
    max_leverage=st.just(3.0),
    min_trade=st.sampled_from([0.0, 0.01, 0.2]),
)


@given(
    seed=st.integers(0, 10**6),
    costs=COSTS,
    actions=st.sampled_from(["continuous", "discrete", 5]),
    length=st.sampled_from([None, 7]),
    funding=st.booleans(),
    volatility=st.sampled_from([0.02, 0.3]),
)
@settings(deadline=None, max_examples=80)
def test_an_episode_replayed_in_the_backtest_has_the_same_equity(
    seed: int, costs: Costs, actions: str | int, length: int | None, funding: bool, volatility: float
) -> None:
    bars = random_market(seed, bars=90, symbols=2, missing=0.04, funding=funding, volatility=volatility)
    env = TradingVectorEnv(
        bars, 4, features=features_of(bars), window=2, actions=actions, positions=(-3.0, 2.0), costs=costs, length=length, seed=seed
    )
    env.reset()
    running: list[tuple[str, int, list[Any], list[float]]] = [(*env.locate(i)[:2], [], []) for i in range(4)]
    finished = []
    for taken, (_, _, terminated, truncated, infos) in random_steps(env, 90 if length is None else 24, seed):
        for i in range(4):
            running[i][2].append(taken[i])
            running[i][3].append(infos["equity"][i])
            if terminated[i] or truncated[i]:
                finished.append(running[i])
                running[i] = (*env.locate(i)[:2], [], [])
    for symbol, start, taken, equity in finished + [episode for episode in running if episode[2]]:
        replayed = backtest(env.targets(symbol, start, np.array(taken)), bars, costs, env.capital)
        np.testing.assert_allclose(replayed.equity[start + 1 : start + 1 + len(taken)], equity, rtol=1e-12, atol=1e-8)
    assert finished


def test_some_of_those_episodes_end_in_ruin() -> None:
    bars = random_market(5, bars=400, symbols=1, missing=0.0, volatility=0.3)
    env = TradingVectorEnv(bars, 64, features=features_of(bars), positions=(-3.0, 3.0), costs=Costs(max_leverage=3.0), length=50)
    env.reset(seed=1)
    ruined = 0
    for _ in range(50):
        _, rewards, terminated, truncated, infos = env.step(np.full((64, 1), -3.0))
        ruined += int(terminated.sum())
        assert np.isfinite(rewards).all()
        assert (infos["equity"][terminated] <= 0).all()
        assert (infos["equity"][~terminated] > 0).all()
        assert np.allclose(rewards[terminated], np.log(1e-3))
        assert not (terminated & truncated).any()
        if terminated.any():
            assert np.isfinite(infos["final_obs"]).all()
    assert ruined > 0


# -- golden steps -----------------------------------------------------------------------------------------------------------
def test_an_action_is_filled_at_the_next_open_and_paid_for_the_bar_it_lives_through() -> None:
    bars = line(100, 110, 121, 100, opens=(100, 105, 110, 121))
    env = small(bars, costs=Costs(fee_bps=100, slippage_bps=0), length=3)
    env.reset(options={"start": 0})
    rewards, infos = act(env, 1.0)
    # 10000 buys at 105 for a fee of 100 on top; the fee leaves the account lent that much.
    equity = -100 + 10_000 / 105 * 110
    assert infos["equity"][0] == pytest.approx(equity, rel=1e-15)
    assert rewards[0] == pytest.approx(np.log(equity / 10_000), rel=1e-12)
    assert infos["net_return"][0] == pytest.approx(equity / 10_000 - 1)
    assert infos["hold_return"][0] == pytest.approx(0.1)
    assert infos["position"][0] == pytest.approx(10_000 / 105 * 110 / equity)


def test_a_position_is_a_fraction_of_equity_not_of_coins() -> None:
    bars = line(30_000, 30_000, 33_000)
    env = small(bars, costs=FREE, length=2)
    env.reset(options={"start": 0})
    assert act(env, 0.5)[1]["position"][0] == pytest.approx(0.5)
    assert act(env, 0.5)[0][0] == pytest.approx(np.log(1.05))


def test_latency_delays_the_fill_and_a_new_episode_knows_nothing_of_old_targets() -> None:
    bars = line(100, 100, 110, 121, 133.1, 146.41)
    env = small(bars, costs=Costs.zero(latency=3), length=4)
    env.reset(options={"start": 0})
    assert [round(act(env, 1.0)[1]["position"][0], 9) for _ in range(4)] == [0.0, 0.0, 1.0, 1.0]
    assert [round(act(env, 0.0)[1]["position"][0], 9) for _ in range(2)] == [0.0, 0.0]


def test_observations_are_rows_of_features_oldest_first_and_then_the_account() -> None:
    bars = market_of(np.full((12, 2), 100.0), np.full((12, 2), 100.0))
    env = small(bars, 2, window=3, costs=Costs(fee_bps=0, slippage_bps=0), length=5)
    names = ("row 2 before", "of 2 before", "row 1 before", "of 1 before", "row", "of", "position", "cash", "equity", "held")
    assert env.observation_names == names
    seen, _ = env.reset(options={"start": [2, 4], "symbol": ["A", "B"]})
    assert seen.dtype == np.float32
    assert seen.tolist() == [[0, 0, 1, 0, 2, 0, 0, 1, 0, 0], [2, 100, 3, 100, 4, 100, 0, 1, 0, 0]]
    seen, *_ = env.step(np.array([[0.25], [-0.5]]))
    log2 = np.float32(np.log(2))
    assert seen.tolist() == [[1, 0, 2, 0, 3, 0, 0.25, 0.75, 0, 0], [3, 100, 4, 100, 5, 100, -0.5, 1.5, 0, 0]]
    seen, *_ = env.step(np.array([[0.5], [0.5]]))
    assert seen[:, 6:].tolist() == [[0.5, 0.5, 0, log2], [0.5, 0.5, 0, 0]]


def test_the_account_columns_are_those_asked_for_in_that_order() -> None:
    bars = line(100, 100, 120, 120)
    env = small(bars, account=("equity", "position"), costs=FREE, length=2)
    env.reset(options={"start": 0})
    env.step(np.array([[0.5]]))
    seen = env.observe()
    assert env.observation_names == ("row", "of", "equity", "position")
    assert seen[0].tolist() == [1, 0, 0, 0.5]
    assert small(bars, account=(), length=2).reset()[0].shape == (1, 2)


def test_discrete_actions_sell_keep_and_buy_and_levels_are_evenly_spaced() -> None:
    bars = line(*[100.0] * 6)
    env = small(bars, actions="discrete", positions=(-0.5, 1.0), costs=FREE, length=5)
    env.reset(options={"start": 0})
    held = [float(env.step(np.array([a]))[4]["position"][0]) for a in (2, 1, 0, 1, 2)]
    assert held == [1.0, 1.0, -0.5, -0.5, 1.0]
    levels = small(bars, actions=5, costs=FREE, length=5)
    levels.reset(options={"start": 0})
    assert [float(levels.step(np.array([a]))[4]["position"][0]) for a in range(5)] == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert levels.single_action_space.n == 5


def test_the_end_truncates_and_the_next_episode_begins_in_the_same_step() -> None:
    bars = line(*np.linspace(100, 120, 20))
    env = small(bars, 3, length=4, costs=FREE)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    env.reset(options={"start": [0, 5, 9]})
    for step in range(4):
        seen, _, terminated, truncated, infos = env.step(np.full((3, 1), 1.0))
        assert not terminated.any()
        assert truncated.tolist() == [step == 3] * 3
        assert ("final_obs" in infos) == (step == 3)
    assert infos["final_obs"][:, 0].tolist() == [4, 9, 13]
    assert infos["_final_obs"].tolist() == [True] * 3
    assert (infos["final_obs"][:, 2] > 0.9).all()
    assert seen[:, 0].tolist() == [env.locate(i)[1] for i in range(3)]
    assert (seen[:, 2:] == [0, 1, 0, 0]).all()


def test_what_a_step_returned_does_not_change_in_the_next() -> None:
    bars = line(*np.linspace(100, 120, 30))
    env = small(bars, 4, length=3)
    env.reset(seed=3)
    returned = [env.step(np.full((4, 1), 0.5)) for _ in range(7)]
    copies = [[np.array(a) for a in (*r[:4], *r[4].values())] for r in returned]
    for _ in range(9):
        env.step(np.full((4, 1), -0.5))
    for r, copied in zip(returned, copies, strict=True):
        for a, b in zip((*r[:4], *r[4].values()), copied, strict=True):
            assert np.array_equal(a, b)


# -- scaling ------------------------------------------------------------------------------------------------------------
def test_a_rolling_scale_sees_no_bar_to_come() -> None:
    bars = random_market(1, bars=80, symbols=2, missing=0.0)
    X = features_of(bars)
    later = X.values.copy()
    later[60:] += 50.0
    changed = Features(X.names, later, 0, X.open_time, X.known, X.symbols)
    options = {"start": 20, "symbol": 1}
    for scale in (None, 10):
        shown = []
        for told in (X, changed):
            env = TradingVectorEnv(bars, 1, features=told, scale=scale, length=30)
            shown.append([env.reset(options=options)[0], *(env.step(np.zeros((1, 1)))[0] for _ in range(29))])
        assert np.array_equal(shown[0], shown[1])


def test_a_fitted_standardiser_scales_other_markets_by_what_it_learned() -> None:
    bars = random_market(2, bars=60, symbols=1, missing=0.0)
    X = features_of(bars)
    scaler = Standardiser().fit(X[:30])
    env = TradingVectorEnv(bars, 1, features=X, scale=scaler, length=5)
    seen, _ = env.reset(options={"start": 40})
    expected = (X.values[40, 0] - scaler.mean) / scaler.deviation
    assert np.array_equal(seen[0, :2], expected.astype(np.float32))
    with pytest.raises(NotFitted):
        TradingVectorEnv(bars, 1, features=X, scale=Standardiser(), length=5)


# -- the same again ------------------------------------------------------------------------------------------------------
def run_of(env: TradingVectorEnv, count: int = 30, seed: int = 0) -> list[bytes]:
    told = []
    for _, (seen, rewards, terminated, truncated, infos) in random_steps(env, count, seed):
        arrays = (seen, rewards, terminated, truncated, infos["equity"], infos["position"])
        told.append(b"".join(np.asarray(a).tobytes() for a in arrays))
    return told


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_episodes() -> None:
    bars = random_market(4, bars=200, symbols=3)

    def made(seed: int) -> TradingVectorEnv:
        return TradingVectorEnv(bars, 8, features=features_of(bars), length=6, seed=seed)

    first = made(0)
    expected = run_of(first)
    assert run_of(made(0)) == expected
    assert run_of(made(1)) != expected
    first.reset(seed=0)
    assert run_of(first) == expected
    fresh = made(5)
    fresh.reset(seed=0)
    assert run_of(fresh) == expected
    again = made(0)
    again.reset()
    assert run_of(again) == expected
    again.reset()
    assert run_of(again) != expected


def test_the_lanes_draw_streams_of_their_own() -> None:
    bars = random_market(4, bars=2_000, symbols=1, missing=0.0)
    env = TradingVectorEnv(bars, 256, features=features_of(bars), length=6, seed=0)
    starts = [env.locate(i)[1] for i in range(256)]
    assert len(set(starts)) > 200
    fewer = TradingVectorEnv(bars, 16, features=features_of(bars), length=6, seed=0)
    assert [fewer.locate(i)[1] for i in range(16)] == starts[:16]


@pytest.mark.parametrize("reward", ["log-return", "differential-sharpe", "drawdown"])
def test_a_restored_environment_goes_on_to_the_bit(tmp_path: Any, reward: str) -> None:
    bars = random_market(6, bars=300, symbols=2)

    def made() -> TradingVectorEnv:
        return TradingVectorEnv(bars, 8, features=features_of(bars), length=7, reward=reward, costs=Costs(latency=3), seed=2)

    env = made()
    run_of(env, 17)
    save_state(tmp_path / "env", env.state())
    expected = run_of(env, 20, seed=9)
    other = made()
    other.restore(load_state(tmp_path / "env"))
    assert run_of(other, 20, seed=9) == expected
    assert np.array_equal(env.observe(), other.observe())


def test_a_state_of_another_environment_is_refused() -> None:
    bars = random_market(6, bars=300, symbols=2)
    env = TradingVectorEnv(bars, 8, features=features_of(bars), length=9)
    other = random_market(7, bars=300, symbols=2)
    with pytest.raises(StateError, match="this is no state of this environment: other market"):
        TradingVectorEnv(other, 8, features=features_of(other), length=9).restore(env.state())
    with pytest.raises(StateError, match="other length"):
        TradingVectorEnv(bars, 8, features=features_of(bars), length=8).restore(env.state())
    with pytest.raises(StateError, match="other inputs"):
        TradingVectorEnv(bars, 8, features=features_of(bars), length=9, window=2).restore(env.state())
    with pytest.raises(StateError, match=r"places is int64 \(4, 8\), expected int64 \(4, 4\); make as many"):
        TradingVectorEnv(bars, 4, features=features_of(bars), length=9).restore(env.state())


# -- tensors -------------------------------------------------------------------------------------------------------------
def test_tensors_hold_the_numbers_of_the_arrays() -> None:
    bars = random_market(8, bars=100, symbols=1, missing=0.0)
    arrays = TradingVectorEnv(bars, 4, features=features_of(bars), length=3)
    tensors = TradingVectorEnv(bars, 4, features=features_of(bars), length=3, device="cpu")
    assert torch.equal(tensors.reset(seed=1)[0], torch.from_numpy(arrays.reset(seed=1)[0]))
    for _ in range(4):
        told = tensors.step(torch.full((4, 1), 0.5))
        expected = arrays.step(np.full((4, 1), 0.5))
        for a, b in zip((*told[:4], *told[4].values()), (*expected[:4], *expected[4].values()), strict=True):
            assert isinstance(a, torch.Tensor)
            assert np.array_equal(a.numpy(), b)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(SettingsError, match="CUDA is not available here; leave it out, or take 'cpu'"):
        small(line(*[100.0] * 9), length=3, device="cuda")


# -- faults ----------------------------------------------------------------------------------------------------------------
def test_actions_out_of_range_name_the_lane() -> None:
    bars = line(*[100.0] * 30)
    env = small(bars, 3, length=20)
    env.reset(seed=0)
    for bad, said in ((1.5, "1.5"), (NO, "nan"), (-np.inf, "-inf")):
        with pytest.raises(DataError, match=rf"environment 1: action {said} is out of range; a? ?.*-1 to 1"):
            env.step(np.array([[0.0], [bad], [0.0]]))
    before = env.observe()
    assert (before[:, 2:] == [0, 1, 0, 0]).all()
    env.step(np.array([[1.0 + 0.9 * SLACK], [-1.0], [0.0]]))
    discrete = small(bars, 3, length=20, actions="discrete")
    for bad_choice in (3, -1):
        with pytest.raises(DataError, match=rf"environment 2: action {bad_choice} is out of range; it is one of 0 to 2"):
            discrete.step(np.array([0, 1, bad_choice]))


def test_actions_of_another_shape_or_kind_say_what_is_expected() -> None:
    bars = line(*[100.0] * 30)
    env = small(bars, 3, length=20)
    with pytest.raises(DataError, match=r"actions have shape \(2, 1\), expected \(3, 1\): one for each environment"):
        env.step(np.zeros((2, 1)))
    env.step(np.zeros(3))
    discrete = small(bars, 3, length=20, actions=4)
    with pytest.raises(DataError, match=r"actions have shape \(3, 1\), expected \(3,\)"):
        discrete.step(np.zeros((3, 1), int))
    with pytest.raises(DataError, match="actions are float64, expected whole numbers from 0 to 3"):
        discrete.step(np.zeros(3))
    with pytest.raises(DataError, match="actions are bool, expected numbers"):
        env.step(np.zeros(3, bool))


@pytest.mark.parametrize(("number", "said"), [(np.nan, "nan"), (np.inf, "inf")])
def test_a_feature_that_is_no_number_is_named_with_its_bar(number: float, said: str) -> None:
    bars = random_market(1, bars=40, symbols=2, missing=0.0)
    X = features_of(bars)
    X.values[17, 1, 0] = number
    with pytest.raises(DataError, match=rf"feature f0 of B is {said} at bar 17 \(1970-01-01 17:00"):
        TradingVectorEnv(bars, 2, features=X, length=3)


def test_warm_up_and_missing_bars_are_no_fault_of_given_features() -> None:
    bars = random_market(1, bars=60, symbols=2, missing=0.1)
    X = features_of(bars)
    X.values[:9, 0] = np.nan
    env = TradingVectorEnv(bars, 64, features=X, length=2)
    for _ in range(20):
        assert np.isfinite(env.step(np.zeros((64, 1)))[0]).all()
    assert all(env.locate(i)[1] >= 9 for i in range(64) if env.locate(i)[0] == "A")


def test_features_of_another_market_are_refused() -> None:
    bars = random_market(1, bars=40, symbols=2, missing=0.0)
    with pytest.raises(DataError, match=r"the features are of 30 bars of \['A', 'B'\], the market has 40"):
        TradingVectorEnv(bars, 2, features=features_of(bars)[:30])
    with pytest.raises(SettingsError, match="unknown feature 'rsi14'; did you mean 'rsi_14'"):
        TradingVectorEnv(bars, 2, features=("rsi14",))


def test_a_market_too_short_for_an_episode_or_for_its_features_says_so() -> None:
    bars = random_market(1, bars=40, symbols=1, missing=0.0)
    with pytest.raises(DataError, match=r"an episode of 256 steps needs 258 unbroken bars .* \(40 bars\) has 40; shorten length"):
        TradingVectorEnv(bars, 2, features=features_of(bars), window=2)
    with pytest.raises(DataError, match="feature ema_50 has no value at any of the 40 bars; the features warm up for"):
        TradingVectorEnv(bars, 2)
    with pytest.raises(DataError, match="has no value"):
        TradingVectorEnv(bars, 2, features=features_of(bars), scale=80)


def test_impossible_settings_are_refused_in_words() -> None:
    bars = random_market(1, bars=40, symbols=1, missing=0.0)
    faults: list[tuple[dict[str, Any], str]] = [
        ({"actions": "discreet"}, "unknown actions 'discreet'; did you mean 'discrete'"),
        ({"actions": 1}, "actions is 1; it is a whole number, at least 2"),
        ({"positions": (1.0, -1.0)}, "the lowest stands before the highest"),
        ({"positions": 2}, "give the lowest and the highest"),
        ({"positions": (-2.0, 2.0)}, "positions reach 2, and the costs allow a leverage of 1: raise their max_leverage"),
        ({"account": ("positon",)}, "unknown column of the account 'positon'; did you mean 'position'"),
        ({"reward": "log_return"}, "unknown reward 'log_return'; did you mean 'log-return'"),
        ({"reward": 3}, "reward is 3; give one of log-return"),
        ({"window": 0}, "window is 0"),
        ({"length": 0}, "length is 0"),
        ({"capital": -1.0}, "capital is -1.0"),
        ({"scale": 1}, "scale is 1; it is a whole number, at least 2"),
        ({"costs": 0.001}, "costs is 0.001; write tradewind.Costs"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"seed": -1}, "seed is -1"),
        ({"length": None, "regimes": np.zeros(40, int)}, "regimes choose random starts"),
    ]
    for chosen, said in faults:
        with pytest.raises(SettingsError, match=said):
            TradingVectorEnv(bars, 2, **{"features": features_of(bars), "length": 5, **chosen})
    with pytest.raises(SettingsError, match="num_envs is 0"):
        TradingVectorEnv(bars, 0)
    with pytest.raises(SettingsError, match=r"market is ndarray; give a tradewind\.Market"):
        TradingVectorEnv(bars.close, 2)  # type: ignore[arg-type]


def test_starts_that_cannot_be_are_refused() -> None:
    bars = random_market(1, bars=40, symbols=2, missing=0.0)
    env = TradingVectorEnv(bars, 2, features=features_of(bars), length=10, window=3)
    with pytest.raises(DataError, match="no episode of A can start at bar 30; it can at 2 to 29"):
        env.reset(options={"start": 30})
    with pytest.raises(SettingsError, match=r"unknown symbol 'D'"):
        env.reset(options={"start": 5, "symbol": "D"})
    with pytest.raises(SettingsError, match="symbol 7 is out of range"):
        env.reset(options={"start": 5, "symbol": 7})
    with pytest.raises(SettingsError, match="unknown option 'begin' for reset"):
        env.reset(options={"begin": 5})
    with pytest.raises(SettingsError, match="give start"):
        env.reset(options={"symbol": "A"})
    with pytest.raises(SettingsError, match="it is a bar, or one for each environment"):
        env.reset(options={"start": 5.5})
    with pytest.raises(DataError, match="11 actions are more than the 10 steps"):
        env.targets("A", 5, np.zeros(11))
    with pytest.raises(DataError, match="environment 1: action 2 is out of range"):
        env.targets("A", 5, np.array([0.0, 2.0]))


def test_the_kernels_agree_on_where_the_close_stands() -> None:
    assert kernels._CLOSE == BAR_CLOSE


def test_the_default_features_are_the_price_action_ones() -> None:
    bars = random_market(1, bars=500, symbols=1, missing=0.0)
    env = TradingVectorEnv(bars, 2)
    X = compute(bars, "price-action")
    seen, _ = env.reset(seed=0)
    for lane in range(2):
        assert np.array_equal(seen[lane, :14], X.values[env.locate(lane)[1], 0].astype(np.float32))
    assert env.observation_space.shape == (2, 18)
    assert env.observation_space.contains(seen)
    assert counted(bars).names == ("row", "of")
