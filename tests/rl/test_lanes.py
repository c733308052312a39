"""Lanes: the same transitions in every autoreset mode, tensors that stay as they were, and numbers that are numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rl.environments import Counting, Walk, counting

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.rl.lanes import Lanes

CPU = torch.device("cpu")
LENGTHS = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=4)


def lived(lengths: list[list[int]], mode: AutoresetMode, steps: int) -> tuple[list[list[Any]], list[tuple[float, int]]]:
    """What each lane counted, first `steps` of it, and the episodes that were over by then."""
    lanes = Lanes(counting(lengths, mode), CPU, 0)
    rows: list[list[Any]] = [[] for _ in lengths]
    total = 0
    while min(len(row) for row in rows) < steps:
        told = lanes.step(torch.zeros(lanes.size, dtype=torch.int64))
        total += int(told.counted.sum())
        assert lanes.steps == total
        for lane in range(lanes.size):
            if told.counted[lane]:
                row = (told.observations, told.rewards, told.following, told.terminated, told.truncated)
                rows[lane].append([tensor[lane].tolist() for tensor in row])
    return [row[:steps] for row in rows], lanes.finished()


@given(LENGTHS, st.integers(1, 25))
@settings(max_examples=40, deadline=None)
def test_the_counted_transitions_are_the_same_in_every_mode(lengths: list[list[int]], steps: int) -> None:
    told = {mode: lived(lengths, mode, steps) for mode in AutoresetMode}
    assert told[AutoresetMode.SAME_STEP][0] == told[AutoresetMode.NEXT_STEP][0] == told[AutoresetMode.DISABLED][0]
    assert told[AutoresetMode.SAME_STEP][1] == told[AutoresetMode.DISABLED][1]
    assert set(told[AutoresetMode.SAME_STEP][1]) <= set(told[AutoresetMode.NEXT_STEP][1])


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_transition_leads_where_the_episode_led(mode: AutoresetMode) -> None:
    rows, episodes = lived([[3, 2]], mode, 6)
    seen = [(row[0][1:], row[1], row[2][1:], row[3], row[4]) for row in rows[0]]
    assert seen == [
        ([0, 0], 1.0, [0, 1], False, False),
        ([0, 1], 2.0, [0, 2], False, False),
        ([0, 2], 3.0, [0, 3], True, False),  # terminated: it led to step 3, not to the start of the next episode
        ([1, 0], 101.0, [1, 1], False, False),
        ([1, 1], 102.0, [1, 2], False, True),  # truncated
        ([2, 0], 201.0, [2, 1], False, False),
    ]
    assert episodes == [(6.0, 3), (203.0, 2)]


def test_a_step_spent_on_a_reset_is_not_counted() -> None:
    lanes = Lanes(counting([[1], [9]], AutoresetMode.NEXT_STEP), CPU, 0)
    counted = [lanes.step(torch.tensor([0, 0])).counted.tolist() for _ in range(4)]
    assert counted == [[True, True], [False, True], [True, True], [False, True]]
    assert lanes.steps == 6
    assert lanes.finished() == [(1.0, 1), (101.0, 1)]
    assert lanes.finished() == []


def test_actions_are_given_in_the_environments_terms() -> None:
    env = counting([[9]], AutoresetMode.SAME_STEP)
    lanes = Lanes(env, CPU, 0)
    told = lanes.step(torch.tensor([2]))
    assert told.actions.tolist() == [2]
    assert env.envs[0].unwrapped.heard == [5]


@pytest.mark.parametrize("torches", [True, False])
def test_what_a_transition_holds_stays_as_it_was(torches: bool) -> None:
    lanes = Lanes(Walk(torches=torches), CPU, 3)
    kept, copies = [], []
    for _ in range(30):
        told = lanes.step(torch.ones(lanes.size, dtype=torch.int64))
        kept.append(told)
        copies.append({name: getattr(told, name).clone() for name in vars(told)})
    for told, copy in zip(kept, copies, strict=True):
        assert all(torch.equal(getattr(told, name), tensor) for name, tensor in copy.items())
    for before, after in pairwise(kept):
        went_on = ~before.ended
        assert torch.equal(before.following[went_on], after.observations[went_on])
        assert not torch.equal(before.following, after.observations) or not before.ended.any()


def test_tensors_and_arrays_give_the_same() -> None:
    one, other = Lanes(Walk(torches=True), CPU, 7), Lanes(Walk(torches=False), CPU, 7)
    for turn in range(40):
        actions = torch.full((4,), turn % 3)
        a, b = one.step(actions), other.step(actions)
        assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))
    assert one.finished() == other.finished() != []


def test_lanes_go_on_from_a_state_to_the_bit() -> None:
    lanes = Lanes(Walk(), CPU, 5)
    for _ in range(17):
        lanes.step(torch.full((4,), 2))
    saved = lanes.state()
    again = Lanes(Walk(), CPU, 5)
    again.restore(saved)
    assert again.steps == 68
    for _ in range(30):
        a, b = lanes.step(torch.full((4,), 2)), again.step(torch.full((4,), 2))
        assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))
    assert lanes.finished() == again.finished() != []


def test_an_environment_without_a_state_begins_anew_by_a_seed_of_its_own() -> None:
    made = lambda: Lanes(SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2), CPU, 5)  # noqa: E731
    lanes, again, third = made(), made(), made()
    for _ in range(30):
        lanes.step(torch.tensor([0, 1]))
    again.restore(lanes.state())
    third.restore(lanes.state())
    assert again.steps == lanes.steps
    assert again.finished() == lanes.finished()
    assert torch.equal(again.observations, third.observations)
    assert not torch.equal(again.observations, made().observations)
    with pytest.raises(StateError, match=r"shape \(2, 4\)"):
        Lanes(SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 3), CPU, 5).restore(lanes.state())


class Faulty(Counting):
    """Tells something that is not a number at step `when`."""

    def __init__(self, when: int, where: str) -> None:
        super().__init__(0, [9])
        self.when, self.where = when, where

    def step(self, action: Any) -> Any:
        shown, reward, *rest = super().step(action)
        if self.at == self.when:
            shown[1] = np.nan if self.where == "observation" else shown[1]
            reward = np.inf if self.where == "reward" else reward
        return shown, reward, *rest


@pytest.mark.parametrize("mode", AutoresetMode)
def test_numbers_that_are_none_are_refused_where_they_appear(mode: AutoresetMode) -> None:
    for where, message in (
        ("observation", "environment 1, after 6 steps of all 2: number 1 of the observation is nan"),
        ("reward", "environment 1, after 6 steps of all 2: the reward is inf"),
    ):
        lanes = Lanes(SyncVectorEnv([lambda: Counting(0, [9]), lambda w=where: Faulty(3, w)], autoreset_mode=mode), CPU, 0)
        lanes.step(torch.tensor([0, 0]))
        lanes.step(torch.tensor([0, 0]))
        with pytest.raises(DataError, match=message):
            lanes.step(torch.tensor([0, 0]))


def test_the_message_names_bar_symbol_and_feature_where_the_environment_knows_them() -> None:
    class Knowing(Walk):
        observation_names = ("rsi", "position")

        def locate(self, lane: int) -> tuple[str, int, int]:
            return f"COIN{lane}", 41, 0

        def step(self, actions: Any) -> Any:
            told = super().step(actions)
            self.shown[2, 1] = float("nan")
            return told

    lanes = Lanes(Knowing(), CPU, 0)
    with pytest.raises(DataError, match="environment 2, after 4 steps of all 4: 'position' of the observation is nan at bar 41 of COIN2"):
        lanes.step(torch.zeros(4, dtype=torch.int64))


def test_a_first_observation_that_is_no_number_is_refused() -> None:
    class Empty(Counting):
        def _shown(self) -> Any:
            return np.full(3, np.nan, dtype=np.float32)

    with pytest.raises(DataError, match="environment 0, after 0 steps of all 1: number 0 and 2 more of the observation is nan"):
        Lanes(SyncVectorEnv([lambda: Empty(0, [3])]), CPU, 0)


def test_an_environment_must_say_how_it_resets_itself() -> None:
    env = Walk()
    env.metadata = {}
    with pytest.raises(SettingsError, match=r"metadata\['autoreset_mode'\].* is None; it must be one of .*SAME_STEP"):
        Lanes(env, CPU, 0)


def test_an_episode_that_ends_without_its_last_observation_is_refused() -> None:
    class Forgetful(Walk):
        def step(self, actions: Any) -> Any:
            *told, _ = super().step(actions)
            return *told, {}

    lanes = Lanes(Forgetful(length=3), CPU, 0)
    with pytest.raises(DataError, match="infos have no 'final_obs'"):
        for _ in range(3):
            lanes.step(torch.ones(4, dtype=torch.int64))


@given(st.floats(-3.0, 3.0), st.floats(0.01, 5.0), st.floats(-2.0, 2.0))
@settings(max_examples=100, deadline=None)
def test_continuous_actions_stay_within_the_space(low: float, width: float, wanted: float) -> None:
    heard: list[Any] = []

    class Listening(Counting):
        def __init__(self) -> None:
            super().__init__(0, [9])
            self.action_space = Box(np.float32(low), np.float32(low + width), (1,), np.float32)

        def step(self, action: Any) -> Any:
            heard.append(action)
            return super().step(0)

    env = SyncVectorEnv([Listening], autoreset_mode=AutoresetMode.SAME_STEP)
    lanes = Lanes(env, CPU, 0)
    lanes.step(torch.tensor([[wanted]]))
    space = env.single_action_space
    assert space.contains(heard[0])
    middle = space.low + (np.clip(np.float32(wanted), -1, 1) + 1) / 2 * (space.high - space.low)
    assert np.allclose(heard[0], middle, atol=1e-5)


class Shaped(Counting):
    """Shows a table, and hears one number or a list of one."""

    def __init__(self, action_shape: tuple[int, ...]) -> None:
        super().__init__(0, [2])
        self.observation_space = Box(-1e6, 1e6, (2, 3), np.float64)
        self.action_space = Box(-2.0, 2.0, action_shape, np.float64)  # type: ignore[assignment]

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(np.asarray(action))
        return super().step(0)

    def _shown(self) -> Any:
        return np.arange(6.0).reshape(2, 3) + 10 * self.at


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("action_shape", [(), (1,), (3,)])
def test_tables_are_seen_row_by_row(mode: AutoresetMode, action_shape: tuple[int, ...]) -> None:
    env = SyncVectorEnv([lambda: Shaped(action_shape)] * 2, autoreset_mode=mode)
    lanes = Lanes(env, CPU, 0)
    assert lanes.observations.tolist() == [[0, 1, 2, 3, 4, 5]] * 2
    for _ in range(2):
        told = lanes.step(torch.ones(2, *(action_shape or (1,))))
    assert told.following.tolist() == [[20, 21, 22, 23, 24, 25]] * 2
    assert told.ended.all()


def test_processes_and_wrappers_do_as_well() -> None:
    made = [lambda: gym.make("CartPole-v1")] * 2
    envs = [SyncVectorEnv(made), AsyncVectorEnv(made), RecordEpisodeStatistics(SyncVectorEnv(made))]
    told = []
    for env in envs:
        lanes = Lanes(env, CPU, 4)
        for turn in range(40):
            lanes.step(torch.tensor([0, turn % 2]))
        told.append((lanes.steps, lanes.finished(), lanes.observations.tolist()))
        env.close()
    assert told[0] == told[1] == told[2]
    assert len(told[0][1]) > 3


# -- on a device that is not the host ----------------------------------------------------------------------------------------
class Numberless(Walk):
    """Tensors without numbers, which nobody can look at: whoever asks the device for one fails."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return torch.empty(4, 2, device="meta"), {}

    def step(self, actions: Any) -> Any:
        assert actions.device.type == "meta"
        shown, over = torch.empty(4, 2, device="meta"), torch.empty(4, dtype=torch.bool, device="meta")
        return shown, torch.empty(4, device="meta"), over, over, {"final_obs": shown, "_final_obs": over}


def test_a_step_asks_a_device_for_nothing() -> None:
    lanes = Lanes(Numberless(), torch.device("meta"), 0)
    for _ in range(20):
        told = lanes.step(torch.zeros(4, dtype=torch.int64, device="meta"))
    assert lanes.steps == 80
    assert told.following.shape == (4, 2)


def as_a_device(lanes: Lanes) -> Lanes:
    """Lanes that keep their books as they would on a GPU."""
    lanes._host = False
    return lanes


def test_a_devices_books_are_those_of_the_host() -> None:
    host, device = Lanes(Walk(), CPU, 7), as_a_device(Lanes(Walk(), CPU, 7))
    for turn in range(600):
        actions = torch.full((4,), turn % 3)
        a, b = host.step(actions), device.step(actions)
        assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))
    assert host.finished() == device.finished() != []
    assert host.state() == device.state()


@pytest.mark.parametrize("where", ["observation", "reward"])
def test_a_devices_faults_are_told_when_it_is_asked(where: str) -> None:
    env = SyncVectorEnv([lambda: Counting(0, [9]), lambda: Faulty(3, where)], autoreset_mode=AutoresetMode.SAME_STEP)
    lanes = as_a_device(Lanes(env, CPU, 0))
    for _ in range(6):
        lanes.step(torch.tensor([0, 0]))
    for ask in (lanes.finished, lanes.state):
        with pytest.raises(DataError, match="environment 1, after 6 steps of all 2: an observation or the reward was not finite"):
            ask()


def test_discrete_spaces_alone_or_boxes_are_acted_in() -> None:
    class Words(Counting):
        def __init__(self) -> None:
            super().__init__(0, [9])
            self.observation_space = Discrete(4)  # type: ignore[assignment]

    with pytest.raises(SettingsError, match="agents see a Box of numbers"):
        Lanes(SyncVectorEnv([Words]), CPU, 0)
