"""Small environments whose every number is known beforehand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space

from tradewind.core.types import State


class Counting(gym.Env[Any, Any]):
    """Shows (lane, episode, step) and pays 100 * episode + step; its episodes have the `lengths` in turn, every other one truncated."""

    def __init__(self, lane: int, lengths: Sequence[int]) -> None:
        self.observation_space = Box(-1e6, 1e6, (3,), np.float32)
        self.action_space = Discrete(5, start=3)
        self.lane, self.lengths, self.episode, self.at = lane, lengths, -1, 0
        self.heard: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.episode, self.at = self.episode + 1, 0
        return self._shown(), {}

    def step(self, action: Any) -> Any:
        self.heard.append(int(action))
        self.at += 1
        over, even = self.at >= self.lengths[self.episode % len(self.lengths)], self.episode % 2 == 0
        return self._shown(), float(100 * self.episode + self.at), over and even, over and not even, {}

    def _shown(self) -> Any:
        return np.array([self.lane, self.episode, self.at], dtype=np.float32)


def counting(lengths: Sequence[Sequence[int]], mode: AutoresetMode) -> SyncVectorEnv:
    """Side by side, one lane each of `lengths`. It writes every observation into the same memory."""
    made = [lambda lane=lane, own=own: Counting(lane, own) for lane, own in enumerate(lengths)]
    return SyncVectorEnv(made, copy=False, autoreset_mode=mode)


class Walk(VectorEnv[Any, Any, Any]):
    """Random walks from -1 to 1 pushed by the action, on torch tensors that are written to in place; its state is data.

    A walk that leaves (-1, 1) terminates with the reward of its sign; after `length` steps it is truncated. SAME_STEP.
    """

    def __init__(self, num_envs: int = 4, length: int = 20, torches: bool = True, drift: float = 0.1) -> None:
        self.num_envs, self.length, self.torches, self.drift = num_envs, length, torches, drift
        self.single_observation_space = Box(-4.0, 4.0, (2,), np.float32)
        self.single_action_space = Discrete(3)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.shown, self.final = torch.zeros(num_envs, 2), torch.zeros(num_envs, 2)
        self.at = torch.zeros(num_envs, dtype=torch.int64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is not None:
            self.stream = np.random.default_rng(seed)
        self._begin(torch.ones(self.num_envs, dtype=torch.bool))
        return self._told(self.shown), {}

    def step(self, actions: Any) -> Any:
        assert isinstance(actions, torch.Tensor) == self.torches
        noise = torch.from_numpy(self.stream.normal(0.0, 0.2, self.num_envs)).float()
        self.at += 1
        self.shown[:, 0] += self.drift * (torch.as_tensor(actions) - 1) + noise
        self.shown[:, 1] = self.at / self.length
        terminated = self.shown[:, 0].abs() >= 1.0
        truncated = ~terminated & (self.at >= self.length)
        rewards = torch.where(terminated, self.shown[:, 0].sign(), torch.zeros(self.num_envs))
        self.final.copy_(self.shown)
        ended = terminated | truncated
        self._begin(ended)
        infos = {"final_obs": self._told(self.final), "_final_obs": self._told(ended)}
        return self._told(self.shown), self._told(rewards), self._told(terminated), self._told(truncated), infos

    def _begin(self, lanes: torch.Tensor) -> None:
        start = torch.from_numpy(self.stream.uniform(-0.5, 0.5, self.num_envs)).float()
        self.shown[:, 0] = torch.where(lanes, start, self.shown[:, 0])
        self.shown[:, 1].masked_fill_(lanes, 0.0)
        self.at.masked_fill_(lanes, 0)

    def _told(self, tensor: torch.Tensor) -> Any:
        return tensor if self.torches else tensor.numpy()

    def state(self) -> State:
        inner = self.stream.bit_generator.state["state"]
        arrays = {"shown": self.shown.numpy().copy(), "at": self.at.numpy().copy()}
        return State({"stream": {name: str(value) for name, value in inner.items()}}, arrays)

    def restore(self, state: State) -> None:
        told = self.stream.bit_generator.state
        inner = {name: int(value) for name, value in state.values["stream"].items()}
        self.stream.bit_generator.state = {**told, "state": inner}
        self.shown.copy_(torch.from_numpy(np.array(state.arrays["shown"])))
        self.at.copy_(torch.from_numpy(np.array(state.arrays["at"])))


class Slowly(Walk):
    """A walk that takes its time, so that a test can kill it underway."""

    def step(self, actions: Any) -> Any:
        time.sleep(0.001)
        return super().step(actions)
