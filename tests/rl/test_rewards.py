"""What an agent is paid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.rl.trading import act, features_of, line, small
from tests.simulate.reference import random_market

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.types import Array
from tradewind.rl.rewards import RUIN, Lived, Reward
from tradewind.rl.trading_vector_env import TradingVectorEnv
from tradewind.simulate.costs import Costs

FREE = Costs.zero()


def paid(env: TradingVectorEnv, steps: int, seed: int = 0) -> tuple[Array, dict[str, Array]]:
    """Rewards and infos (step, lane) of random positions."""
    random = np.random.default_rng(seed)
    rewards, told = [], []
    for _ in range(steps):
        _, r, _, _, infos = env.step(random.uniform(-1, 1, (env.num_envs, 1)))
        rewards.append(r)
        told.append({name: infos[name] for name in ("equity", "position", "net_return", "hold_return")})
    return np.array(rewards), {name: np.array([t[name] for t in told]) for name in told[0]}


def random_env(reward: Any, steps: int = 40, lanes: int = 3, **settings: Any) -> TradingVectorEnv:
    bars = random_market(3, bars=200, symbols=2, missing=0.0)
    env = TradingVectorEnv(bars, lanes, features=features_of(bars), reward=reward, length=steps, **settings)
    env.reset(seed=1)
    return env


def test_the_log_return_is_net_of_all_costs_and_sums_to_the_growth_of_equity() -> None:
    rewards, told = paid(random_env("log-return", costs=Costs(fee_bps=25, slippage_bps=5)), 40)
    np.testing.assert_allclose(rewards, np.log1p(told["net_return"]), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(rewards.sum(axis=0), np.log(told["equity"][-1] / 10_000), rtol=1e-9)


def test_holding_pays_the_market() -> None:
    env = small(line(100, 100, 110, 99), costs=FREE, length=3)
    env.reset(options={"start": 0})
    rewards = [act(env, 1.0)[0][0] for _ in range(3)]
    assert rewards == pytest.approx([0.0, np.log(1.1), np.log(0.9)])


def test_the_differential_sharpe_ratio_is_the_slope_of_the_exponential_one() -> None:
    """D is dS/d(rate) at a rate of 0, where S = A / sqrt(B - A^2) after one more return: taken here by finite differences."""
    rate = 0.05
    env = random_env(Reward("differential-sharpe", rate=rate), lanes=2)
    columns = [env.arena.market.symbols.index(env.locate(i)[0]) for i in range(2)]
    change = env.market.close[1:] / env.market.close[:-1] - 1
    rewards, told = paid(env, 40)
    A, B = np.zeros(2), (change**2).mean(axis=0)[columns]

    def sharpe(h: float, r: Array) -> Array:
        a, b = A + h * (r - A), B + h * (r * r - B)
        return np.asarray(a / np.sqrt(b - a * a))

    for t in range(40):
        r = told["net_return"][t]
        slope = (sharpe(1e-6, r) - sharpe(-1e-6, r)) / 2e-6
        np.testing.assert_allclose(rewards[t], slope, rtol=1e-6, atol=1e-8)
        A, B = A + rate * (r - A), B + rate * (r * r - B)


def test_the_differential_sharpe_ratio_does_not_pay_for_volatility_in_losses() -> None:
    """The Sharpe ratio of a guide's environment, annualised by 602, rose when losses grew more volatile; this one does not."""
    calm, wild = line(100, 100, 99.0, 98.01), line(100, 100, 90, 91.08)
    told = []
    for bars in (calm, wild):
        env = small(bars, costs=FREE, reward=Reward("differential-sharpe"), length=3)
        env.reset(options={"start": 0})
        told.append([act(env, 1.0)[0][0] for _ in range(3)])
    assert told[0][1] < 0
    assert told[1][1] < 0
    assert max(abs(r) for run in told for r in run) < 10


def test_a_market_that_never_moves_pays_no_differential_sharpe_ratio() -> None:
    env = small(line(*[100.0] * 9), costs=FREE, reward="differential-sharpe", length=8)
    env.reset(seed=0)
    assert [act(env, 1.0)[0][0] for _ in range(8)] == [0.0] * 8


def test_drawdown_is_paid_for_where_it_grows() -> None:
    env = small(line(100, 100, 80, 90, 72, 120), costs=FREE, reward=Reward("drawdown", penalty=2.0), length=5)
    env.reset(options={"start": 0})
    rewards = [act(env, 1.0)[0][0] for _ in range(5)]
    logs = np.log([1.0, 0.8, 90 / 80, 0.8, 120 / 72])
    grown = np.array([0.0, 0.2, 0.0, 0.18, 0.0])
    assert rewards == pytest.approx((logs - 2.0 * grown).tolist())


def test_inventory_is_paid_for_by_the_square_of_the_position() -> None:
    env = small(line(*[100.0] * 5), costs=FREE, reward=Reward("inventory", penalty=0.01), length=3)
    env.reset(options={"start": 0})
    assert [act(env, w)[0][0] for w in (0.5, -1.0, 0.0)] == pytest.approx([-0.0025, -0.01, 0.0])


def test_ruin_is_a_finite_loss_that_no_bar_can_exceed() -> None:
    env = small(line(100, 100, 100, 250, 250), costs=FREE, length=4)
    env.reset(options={"start": 0})
    act(env, -1.0)
    act(env, -1.0)
    _, rewards, terminated, truncated, infos = env.step(np.array([[-1.0]]))
    assert (bool(terminated[0]), bool(truncated[0])) == (True, False)
    assert rewards[0] == pytest.approx(np.log(RUIN))
    assert infos["equity"][0] == pytest.approx(-5_000)
    assert infos["net_return"][0] == pytest.approx(-1.5)
    assert infos["final_obs"][0, 2:].tolist() == [0, 0, pytest.approx(np.log(RUIN)), 0]


def test_rewards_have_settings_of_their_own_and_suggest_the_ones_they_take() -> None:
    assert Reward("drawdown").settings == {"penalty": 1.0}
    assert Reward() == Reward("log-return")
    assert Reward("inventory", penalty=0.5) != Reward("inventory")
    for make, said in (
        (lambda: Reward("draw_down"), "unknown reward 'draw_down'; did you mean 'drawdown'"),
        (lambda: Reward("drawdown", penalti=1.0), "unknown setting 'penalti' for the reward 'drawdown'; did you mean 'penalty'"),
        (lambda: Reward("log-return", rate=0.1), "unknown setting 'rate' for the reward 'log-return'; it takes none"),
        (lambda: Reward("differential-sharpe", rate=1.5), "rate is 1.5"),
        (lambda: Reward("inventory", penalty=-1.0), "penalty is -1.0"),
    ):
        with pytest.raises(SettingsError, match=said):
            make()


# -- a user's own -------------------------------------------------------------------------------------------------------
def test_a_function_of_ones_own_sees_the_bar_and_is_paid_as_it_says() -> None:
    seen: list[Lived[Array]] = []

    def taxed(lived: Lived[Array]) -> Array:
        seen.append(lived)
        return np.log(lived.equity / lived.equity_before) - 0.1 * lived.traded

    env = small(line(100, 100, 80, 88), 1, costs=FREE, reward=taxed, length=3)
    env.reset(options={"start": 0})
    rewards = [float(act(env, w)[0][0]) for w in (1.0, 0.5, 0.5)]
    assert rewards == pytest.approx([-0.1, np.log(0.9) - 0.05, np.log(1.05) - 0.1 * (0.5 - 4 / 9)])
    assert [float(x.market_return[0]) for x in seen] == pytest.approx([0.0, -0.2, 0.1])
    assert [float(x.equity_before[0]) for x in seen] == pytest.approx([10_000, 10_000, 9_000])
    assert [float(x.position_before[0]) for x in seen] == pytest.approx([0.0, 1.0, 4 / 9])
    assert float(seen[1].drawdown[0]) == pytest.approx(0.1)
    assert float(seen[1].traded[0]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="read-only"):
        seen[0].equity[0] = 1e9


def test_ones_own_log_return_is_the_built_in_one() -> None:
    own, _ = paid(random_env(lambda lived: np.log(lived.equity / lived.equity_before)), 40)
    built_in, _ = paid(random_env("log-return"), 40)
    np.testing.assert_allclose(own, built_in, rtol=1e-9, atol=1e-14)


def nothing(lived: Lived[Array]) -> None:
    return None


def one_number(lived: Lived[Array]) -> float:
    return 1.0


def a_column(lived: Lived[Array]) -> Array:
    return lived.equity[:, None]


def words(lived: Lived[Array]) -> list[str]:
    return ["much"] * len(lived.equity)


def ragged(lived: Lived[Array]) -> list[Any]:
    return [[1.0], 2.0, 3.0]


def no_number(lived: Lived[Array]) -> Array:
    rewards = lived.equity.copy()
    rewards[1] = np.nan
    return rewards


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (nothing, "reward function nothing returned NoneType; return one number for each environment"),
        (one_number, r"reward function one_number returned float64 \(\); .* an array of shape \(3,\)"),
        (a_column, r"reward function a_column returned float64 \(3, 1\)"),
        (words, r"reward function words returned <U4 \(3,\)"),
        (ragged, "reward function ragged: its answer is no array"),
        (no_number, r"reward function no_number returned nan for environment 1 \([AB], bar \d+\); rewards are finite"),
    ],
)
def test_a_reward_that_is_nonsense_is_said_to_be(function: Any, said: str) -> None:
    env = random_env(function)
    with pytest.raises(DataError, match=said):
        env.step(np.zeros((3, 1)))
