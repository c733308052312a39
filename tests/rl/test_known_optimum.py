"""The optimum by value iteration beside closed forms, beside other policies' exact gains, and beside what the environment pays."""

from __future__ import annotations

from collections.abc import Callable
from math import acos, pi, sqrt

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.rl.check import check_environment
from tradewind.rl.known_optimum import KnownOptimum, judge, optimal_gain, sign_gain, solve

COSTS = st.floats(0.0, 1.0)
PERSISTENCE = st.floats(0.0, 0.96)


def gain_of(turn: float, cost: float, persistence: float, steps: int = 1_000) -> float:
    """The exact long-run gain of turning at `turn`, by letting the distribution of (signal, position) settle: no value function in it."""
    noise = sqrt(1 - persistence**2)
    signals = np.linspace(-6, 6, 601)
    chances = np.exp(-0.5 * ((signals - persistence * signals[:, None]) / noise) ** 2)
    chances /= chances.sum(axis=1, keepdims=True)
    often = np.exp(-0.5 * signals**2)
    long, short = 0.5 * often / often.sum(), 0.5 * often / often.sum()
    for _ in range(steps):
        buys, sells = np.where(signals >= turn, short, 0.0), np.where(signals <= -turn, long, 0.0)
        if turn == 0.0:
            sells = np.where(signals < 0, long, 0.0)
        long, short = long + buys - sells, short + sells - buys
        gain = 0.1 * float(signals @ (long - short)) - 2 * cost * float((buys + sells).sum())
        long, short = long @ chances, short @ chances
    return gain


def run(env: KnownOptimum, steps: int, seed: int = 0) -> np.ndarray:
    """Rewards (step, lane) of the best policy."""
    seen, _ = env.reset(seed=seed)
    rewards = np.empty((steps, env.num_envs))
    for t in range(steps):
        seen, rewards[t], *_ = env.step(env.best(seen))
    return rewards


# -- golden values ------------------------------------------------------------------------------------------------------
def test_the_known_gains() -> None:
    # The reference numbers .06406 and .05113 lie 4e-5 and 5e-5 above these, as one long simulated path may.
    assert solve().gain == pytest.approx(0.064019, abs=2e-6)
    assert solve().gain == pytest.approx(0.06406, abs=5e-5)
    assert sign_gain() == pytest.approx(0.051075, abs=1e-6)
    assert sign_gain() == pytest.approx(0.05113, abs=6e-5)
    assert solve().turn == pytest.approx(0.4365, abs=1e-4)


def test_without_costs_the_sign_is_best() -> None:
    best = solve(cost=0.0)
    assert best.gain == pytest.approx(0.1 * sqrt(2 / pi), abs=2e-6)
    assert best.turn == pytest.approx(0.0, abs=1e-9)


def test_without_persistence_it_turns_where_one_step_pays_for_it() -> None:
    # At p = 0 the next position is worth the same in expectation whichever is held, so turning must earn 2 s x >= 2 c at once.
    best = solve(0.05, 0.0, 0.1)
    assert best.turn == pytest.approx(0.5, abs=1e-6)
    assert gain_of(best.turn, 0.05, 0.0) == pytest.approx(best.gain, abs=1e-4)


@pytest.mark.parametrize("levels", [(-1.0, 1.0), tuple(np.linspace(-1, 1, 21).tolist())])
def test_levels_between_earn_nothing_more(levels: tuple[float, ...]) -> None:
    assert solve(0.10, 0.9, 0.1, levels).gain == pytest.approx(solve().gain, abs=1e-9)


def test_gain_of_the_policy_found_is_the_gain_found() -> None:
    for cost, persistence in ((0.02, 0.9), (0.10, 0.8), (0.10, 0.9), (0.10, 0.95), (0.30, 0.9)):
        best = solve(cost, persistence)
        # The turn falls between two points of the other grid, which costs a little.
        assert gain_of(best.turn, cost, persistence) == pytest.approx(best.gain, abs=2e-5)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.0, 3.0), st.floats(0.0, 0.5), st.floats(0.3, 0.95))
def test_no_other_turn_earns_more(turn: float, cost: float, persistence: float) -> None:
    assert gain_of(turn, cost, persistence, 300) <= solve(cost, persistence).gain + 2e-5


@settings(max_examples=10, deadline=None)
@given(COSTS, PERSISTENCE)
def test_the_optimum_lies_between_the_sign_policy_and_free_trading(cost: float, persistence: float) -> None:
    best = solve(cost, persistence)
    assert sign_gain(cost, persistence) <= best.gain + 2e-6
    assert -1e-12 <= best.gain <= 0.1 * sqrt(2 / pi)
    assert best.turn >= 0.0


@settings(max_examples=10, deadline=None)
@given(COSTS, PERSISTENCE, st.floats(0.01, 100.0))
def test_gain_scales_with_the_money(cost: float, persistence: float, scale: float) -> None:
    one, other = solve(cost, persistence, 0.1), solve(cost * scale, persistence, 0.1 * scale)
    assert other.gain == pytest.approx(scale * one.gain, rel=1e-6, abs=1e-9 * scale)
    assert other.turn == pytest.approx(one.turn, abs=1e-5)


def test_episodes_end_without_a_future() -> None:
    # One step from no position: trade only where s |x| exceeds c, E (s |x| - c)+.
    one = 2 * (0.1 * np.exp(-0.5) / sqrt(2 * pi) - 0.10 * (1 - 0.841344746))
    assert optimal_gain(length=1) == pytest.approx(one, abs=1e-5)
    means = [optimal_gain(length=length) for length in (1, 8, 64, 512)]
    assert means == sorted(means)
    assert means[-1] == pytest.approx(solve().gain, abs=1.5e-4)


# -- the environment ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("cost", "persistence"), [(0.10, 0.9), (0.02, 0.8), (0.30, 0.95)])
def test_the_best_policy_earns_the_optimal_gain(cost: float, persistence: float) -> None:
    means = run(KnownOptimum(2_048, cost, persistence, length=None), 1_000)[100:].mean(axis=0)
    error = means.std() / sqrt(len(means))
    assert error < 3e-4
    assert abs(means.mean() - optimal_gain(cost, persistence)) < 3.5 * error


def test_episodes_earn_the_optimal_gain_of_episodes() -> None:
    means = run(KnownOptimum(20_000, length=32), 32).mean(axis=0)
    error = means.std() / sqrt(len(means))
    # The best policy of the long run does not know that the episode ends, and is a little short of the best of an episode.
    assert optimal_gain(length=32) - 1e-3 < means.mean() < optimal_gain(length=32) + 3.5 * error


def test_continuous_and_discrete_are_one_problem() -> None:
    rewards = [run(KnownOptimum(8, length=20, actions=kind), 50) for kind in ("discrete", "continuous")]
    np.testing.assert_allclose(rewards[0], rewards[1], rtol=0, atol=1e-15)


def test_a_step_by_hand() -> None:
    env = KnownOptimum(3, cost=0.2, strength=0.5, length=2, actions="continuous", seed=5)
    seen, _ = env.reset(seed=3)
    assert (seen[:, 1] == 0).all()
    after, rewards, terminated, truncated, infos = env.step(np.array([[1.0], [0.0], [-0.5]]))
    np.testing.assert_allclose(rewards, 0.5 * np.array([1, 0, -0.5]) * seen[:, 0] - 0.2 * np.array([1, 0, 0.5]), atol=1e-7)
    assert after[:, 1].tolist() == [1.0, 0.0, -0.5] and not truncated.any() and infos == {}
    last, rewards, terminated, truncated, infos = env.step(np.array([[-1.0], [0.0], [-0.5]]))
    np.testing.assert_allclose(rewards, 0.5 * np.array([-1, 0, -0.5]) * after[:, 0] - 0.2 * np.array([2, 0, 0]), atol=1e-7)
    assert truncated.all() and not terminated.any() and infos["_final_obs"].all()
    assert infos["final_obs"][:, 1].tolist() == [-1.0, 0.0, -0.5] and (last[:, 1] == 0).all()
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


def test_signals_have_their_distribution() -> None:
    env = KnownOptimum(50_000, persistence=0.8, length=None)
    first, _ = env.reset(seed=2)
    then, *_ = env.step(np.zeros(50_000, dtype=int))
    for seen in (first, then):
        assert seen[:, 0].std() == pytest.approx(1.0, abs=0.02)
    assert np.corrcoef(first[:, 0], then[:, 0])[0, 1] == pytest.approx(0.8, abs=0.01)
    switched = np.mean(np.sign(first[:, 0]) != np.sign(then[:, 0]))
    assert switched == pytest.approx(acos(0.8) / pi, abs=0.01)


def test_state_resumes_to_the_bit(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("state")
    env = KnownOptimum(7, length=5, seed=1)
    run(env, 8)
    save_state(folder / "s", env.state())
    later = [env.step(np.full(7, 2)) for _ in range(9)]
    twin = KnownOptimum(7, length=5, seed=99).restore(load_state(folder / "s"))
    for (seen, rewards, _, truncated, _), step in zip(later, [twin.step(np.full(7, 2)) for _ in range(9)], strict=True):
        assert seen.tobytes() == step[0].tobytes() and rewards.tobytes() == step[1].tobytes() and (truncated == step[3]).all()
    with pytest.raises(StateError, match="8 environments"):
        KnownOptimum(8).restore(env.state())


def test_same_seed_same_episodes() -> None:
    env = KnownOptimum(4, length=3)
    assert run(env, 10, seed=7).tobytes() == run(env, 10, seed=7).tobytes() == run(KnownOptimum(4, length=3, seed=8), 10, 7).tobytes()
    assert run(env, 10, seed=7).tobytes() != run(env, 10, seed=8).tobytes()


# -- judgement ----------------------------------------------------------------------------------------------------------
class Scripted:
    """Acts by a rule on the observations."""

    def __init__(self, rule: Callable[[np.ndarray], np.ndarray]) -> None:
        self.rule = rule

    def act(self, observations: np.ndarray, deterministic: bool = True) -> np.ndarray:
        return self.rule(observations)


def test_the_best_policy_is_judged_to_be_the_best() -> None:
    env = KnownOptimum(32)
    judged = judge(Scripted(env.best), env, 500)
    assert judged.gain == optimal_gain() and judged.share == 1.0 and judged.error == 0.0


def test_the_sign_policy_is_judged_at_its_exact_gain() -> None:
    for kind, rule in (
        ("discrete", lambda seen: np.where(seen[:, 0] > 0, 2, 0)),
        ("continuous", lambda seen: np.sign(seen[:, :1])),
    ):
        judged = judge(Scripted(rule), KnownOptimum(512, actions=kind), 600)
        assert judged.error < 4e-4
        assert abs(judged.gain - sign_gain()) < 3.5 * judged.error
        assert judged.share == pytest.approx(judged.gain / optimal_gain())


def test_who_sees_the_future_is_above_the_optimum() -> None:
    lanes, steps, env = np.arange(64), 400, KnownOptimum(64)
    spy = env.endless()
    seen, _ = spy.reset(seed=3)
    path = [seen[:, 0]]
    for _ in range(steps):
        path.append(spy.step(np.ones(64, dtype=int))[0][:, 0])
    # The best positions for signals that are all known beforehand, from the last to the first.
    levels, worth, plan = np.array([-1, 0, 1]), np.zeros((64, 3)), []
    for signal in reversed(path):
        options = 0.1 * signal[:, None, None] * levels - 0.1 * abs(levels[:, None] - levels) + worth[:, None, :]
        plan.append(options.argmax(axis=2))
        worth = options.max(axis=2)
    judged = judge(Scripted(lambda seen: plan.pop()[lanes, seen[:, 1].astype(int) + 1]), env, steps, seed=3)
    assert judged.gain > optimal_gain() + 10 * judged.error


# -- faults -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([0, 3, 1]), "environment 1: the action is 3"),
        (np.array([0, 1, -1]), "environment 2: the action is -1"),
        (np.array([0.5, 1, 1]), "environment 0: the action is 0.5"),
        (np.array([0, 1]), r"shape \(2,\), expected \(3,\)"),
    ],
)
def test_actions_that_cannot_be(actions: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        KnownOptimum(3).step(actions)


def test_continuous_actions_that_cannot_be() -> None:
    env = KnownOptimum(2, actions="continuous")
    for bad in (np.nan, 1.5):
        with pytest.raises(DataError, match="environment 1"):
            env.step(np.array([[0.0], [bad]]))


@pytest.mark.parametrize(
    "setting",
    [{"num_envs": 0}, {"cost": -1.0}, {"persistence": 1.0}, {"persistence": -0.1}, {"strength": 0.0}, {"length": 0}, {"actions": "both"}],
)
def test_settings_that_cannot_be(setting: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(setting))):
        KnownOptimum(**setting)  # type: ignore[arg-type]


def test_our_own_check_has_nothing_to_say() -> None:
    for actions in ("discrete", "continuous"):
        assert check_environment(KnownOptimum(4, length=20, actions=actions)) == ()
