"""Evaluation: whole episodes counted without favour, the same for all, and nothing disturbed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rl.environments import Walk, counting
from tests.rl.learners import Linear, LinearConfig

from tradewind.core.errors import DataError, SettingsError
from tradewind.rl.evaluation import Evaluation, evaluate
from tradewind.rl.spaces import Spaces


class Always:
    """Does the same thing whatever it sees."""

    def __init__(self, action: Any = 3) -> None:
        self.action = action

    def act(self, observations: Any, deterministic: bool = True) -> Any:
        assert deterministic
        return np.full(len(observations), self.action)


def worth(lane_lengths: list[int], episodes: int) -> list[tuple[float, int]]:
    """(return, length) of a lane's first episodes in the counting environment."""
    told = []
    for episode in range(episodes):
        length = lane_lengths[episode % len(lane_lengths)]
        told.append((sum(100.0 * episode + at for at in range(1, length + 1)), length))
    return told


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=4), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_each_lane_plays_its_share_of_whole_episodes(lengths: list[list[int]], episodes: int) -> None:
    expected = []
    for lane, own in enumerate(lengths):
        expected += worth(own, len(range(lane, episodes, len(lengths))))
    for mode in AutoresetMode:
        told = evaluate(Always(), counting(lengths, mode), episodes)
        assert list(zip(told.returns, told.lengths, strict=True)) == expected
        assert told.mean == pytest.approx(np.mean([earned for earned, _ in expected]))
        assert told.deviation == pytest.approx(np.std([earned for earned, _ in expected], ddof=1) if episodes > 1 else 0.0)
        assert told.metrics == {}


def test_short_episodes_are_not_favoured() -> None:
    told = evaluate(Always(), counting([[1], [20]], AutoresetMode.SAME_STEP), 2)
    assert told.lengths == (1, 20)


@pytest.mark.parametrize("torches", [True, False])
def test_the_same_seed_gives_the_same_episodes_and_disturbs_nothing(torches: bool) -> None:
    agent = Linear(LinearConfig())
    env = Walk(torches=torches)
    agent.settle(Spaces.of(env.single_observation_space, env.single_action_space), 1)
    before, weights, threads = torch.get_rng_state(), agent.state(), torch.get_num_threads()
    one, again, other = evaluate(agent, env, 6, 4), evaluate(agent, env, 6, 4), evaluate(agent, env, 6, 5)
    assert one == again != other
    assert torch.equal(before, torch.get_rng_state())
    assert agent.state() == weights
    assert torch.get_num_threads() == threads


def test_an_actor_that_draws_draws_the_same_and_leaves_the_random_state_alone() -> None:
    class Drawing(Always):
        def act(self, observations: Any, deterministic: bool = True) -> Any:
            return torch.randint(0, 3, (len(observations),)).numpy()

    before = torch.get_rng_state()
    one, again = evaluate(Drawing(), Walk(torches=False), 6, 4), evaluate(Drawing(), Walk(torches=False), 6, 4)
    assert one == again
    assert torch.equal(before, torch.get_rng_state())


def test_an_evaluation_is_plain_data() -> None:
    told = evaluate(Always(), counting([[2, 3]], AutoresetMode.SAME_STEP), 4)
    assert Evaluation.from_values(told.values()) == told


class Trading(Walk):
    """Tells what it earned and what holding would have."""

    periods_per_year = 365.0

    def step(self, actions: Any) -> Any:
        *told, infos = super().step(actions)
        held = self.stream.normal(0.001, 0.01, self.num_envs)
        self.earned = getattr(self, "earned", [])
        self.earned.append(held)
        return *told, {**infos, "net_return": 2.0 * held - 0.001, "hold_return": held}


def test_sharpe_is_that_of_all_lanes_together_and_stands_beside_hold() -> None:
    env = Trading(num_envs=3, length=50, torches=False, drift=0.0)
    told = evaluate(Always(1), env, 3, 2)
    # A lane counts while it plays the episodes that are wanted of it.
    lengths, held = told.lengths, np.array(env.earned)
    together = np.array([row[[at < length for length in lengths]].mean() for at, row in enumerate(held)])
    assert max(lengths) == len(held) > min(lengths)
    assert told.metrics["hold_sharpe"] == pytest.approx(together.mean() / together.std(ddof=1) * math.sqrt(365.0))
    mine = 2.0 * together - 0.001
    assert told.metrics["sharpe"] == pytest.approx(mine.mean() / mine.std(ddof=1) * math.sqrt(365.0))


def test_what_cannot_be_evaluated_is_refused() -> None:
    env = counting([[3], [3]], AutoresetMode.SAME_STEP)
    with pytest.raises(SettingsError, match="episodes is 0"):
        evaluate(Always(), env, 0)

    class One(Always):
        def act(self, observations: Any, deterministic: bool = True) -> Any:
            return np.array([3])

    with pytest.raises(DataError, match=r"answered \(1,\) to 2 observations"):
        evaluate(One(), env, 1)
    with pytest.raises(DataError, match="not finite after 0 steps"):
        evaluate(Always(math.nan), env, 1)
