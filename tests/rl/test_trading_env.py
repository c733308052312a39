"""One account as a Gymnasium Env."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from tests.rl.trading import counted, features_of, line
from tests.simulate.reference import random_market

from tradewind.core.errors import DataError, SettingsError
from tradewind.engine import backtest
from tradewind.rl.trading_env import TradingEnv
from tradewind.rl.trading_vector_env import TradingVectorEnv
from tradewind.simulate.costs import Costs

HARMLESS = ("observation space minimum value is -infinity", "observation space maximum value is infinity", "not having a spec")
"""Features have no bounds, and there is nothing to render."""


def made(**settings: Any) -> TradingEnv:
    bars = random_market(3, bars=300, symbols=2, missing=0.01)
    return TradingEnv(bars, **{"features": features_of(bars), "length": 12, **settings})


@pytest.mark.parametrize("actions", ["continuous", "discrete", 5])
def test_gymnasiums_checker_has_nothing_to_say(actions: str | int) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(made(actions=actions))
    said = [str(w.message) for w in caught]
    assert [s for s in said if not any(harmless in s for harmless in HARMLESS)] == []


@pytest.mark.parametrize("actions", ["continuous", "discrete"])
def test_stable_baselines3_checker_has_nothing_to_say(actions: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="stable-baselines3 is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(made(actions=actions), warn=True)


def test_it_is_a_lane_of_the_vector_environment() -> None:
    env = made(seed=4)
    lanes = TradingVectorEnv(env.market, 1, features=features_of(env.market), length=12, seed=4)
    seen, told = env.reset()
    assert np.array_equal(seen, lanes.reset()[0][0])
    assert (told["symbol"], told["start"]) == lanes.locate(0)[:2]
    for _ in range(3):
        ended = False
        while not ended:
            seen, reward, terminated, truncated, infos = env.step(np.array([0.7], np.float32))
            many = lanes.step(np.array([[0.7]], np.float32))
            ended = terminated or truncated
            assert (reward, terminated, truncated) == (many[1][0], many[2][0], many[3][0])
            assert np.array_equal(seen, (many[4]["final_obs"] if ended else many[0])[0])
            assert infos["equity"] == many[4]["equity"][0]
        assert np.array_equal(env.reset()[0], lanes.observe()[0])


def test_an_episode_is_the_backtest_of_its_actions() -> None:
    env = made(costs=Costs(latency=2), actions=5)
    _, told = env.reset(seed=7)
    random = np.random.default_rng(0)
    taken, equity, ended = [], [], False
    while not ended:
        taken.append(int(random.integers(5)))
        _, _, terminated, truncated, infos = env.step(taken[-1])
        equity.append(infos["equity"])
        ended = terminated or truncated
    replayed = backtest(env.targets(told["symbol"], told["start"], np.array(taken)), env.market, env.costs, env.capital)
    np.testing.assert_allclose(replayed.equity[told["start"] + 1 :][: len(taken)], equity, rtol=1e-12)


def test_a_start_may_be_asked_for_and_stretches_follow_each_other() -> None:
    env = made()
    env.reset(options={"start": 40, "symbol": "B"})
    assert env.locate()[:2] == ("B", 40)
    whole = line(*np.linspace(100, 110, 6))
    stretches = TradingEnv(whole, features=counted(whole), length=None)
    for _ in range(3):
        seen, _ = stretches.reset()
        assert seen[0] == 0
        ended = [stretches.step(np.zeros(1))[3] for _ in range(5)]
        assert ended == [False] * 4 + [True]


def test_a_step_after_the_end_asks_for_a_reset() -> None:
    env = made(length=1)
    env.reset(seed=0)
    assert env.step(np.zeros(1))[3]
    with pytest.raises(SettingsError, match=r"the episode has ended; call reset\(\) to begin the next one"):
        env.step(np.zeros(1))
    env.reset()
    env.step(np.zeros(1))


def test_a_restored_environment_goes_on_to_the_bit() -> None:
    env, other = made(), made(seed=9)
    env.reset(seed=2)
    for _ in range(12):
        env.step(np.array([0.3]))
    other.restore(env.state())
    with pytest.raises(SettingsError, match="the episode has ended"):
        other.step(np.zeros(1))
    assert np.array_equal(env.reset()[0], other.reset()[0])
    for _ in range(12):
        a, b = env.step(np.array([-0.3])), other.step(np.array([-0.3]))
        assert np.array_equal(a[0], b[0])
        assert a[1:] == b[1:]


def test_faults_are_those_of_the_vector_environment() -> None:
    env = made()
    env.reset(seed=0)
    with pytest.raises(DataError, match="environment 0: action 3 is out of range"):
        env.step(np.array([3.0]))
    with pytest.raises(DataError, match=r"actions have shape \(1, 2\), expected \(1, 1\)"):
        env.step(np.zeros(2))
    with pytest.raises(SettingsError, match="window is 0"):
        made(window=0)
