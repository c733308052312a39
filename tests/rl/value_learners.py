"""What the tests of value learners share: plain DQN as an algorithm of one's own, one of each kind, and an environment of one state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor, nn

from tradewind.nets.q_network import QNetwork
from tradewind.rl.d3qn import D3QN, D3QNConfig
from tradewind.rl.double_dqn import DoubleDQN, DoubleDQNConfig
from tradewind.rl.rainbow import Rainbow, RainbowConfig
from tradewind.rl.replay import Batch, Replay, UniformReplay
from tradewind.rl.targets import q_learning_target, temporal_difference_loss
from tradewind.rl.twin_d3qn import TwinD3QN, TwinD3QNConfig
from tradewind.rl.value_learner import ValueConfig, ValueLearner


@final
@dataclass(frozen=True)
class PlainConfig(ValueConfig):
    def __post_init__(self) -> None:
        self.validate()


@final
class PlainDQN(ValueLearner):
    """DQN as it was in 2015, which is what Stable-Baselines3 has."""

    name: ClassVar[str] = "plain-dqn"

    def critics(self, inputs: int, actions: int) -> nn.ModuleDict:
        return nn.ModuleDict({"critic": QNetwork(inputs, actions, self.config.hidden)})

    def memory(self, inputs: int) -> Replay:
        return UniformReplay(self.config.capacity, inputs, self.device)

    def values(self, nets: nn.ModuleDict, observations: Tensor) -> Tensor:
        answers: Tensor = nets["critic"](observations)
        return answers

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            target = q_learning_target(batch.returns, batch.discounts, self.values(self.targets, batch.following))
        return temporal_difference_loss(self.values(self.nets, batch.observations), batch.actions, target, batch.weights)


SMALL: dict[str, Any] = {"hidden": (16, 16), "batch": 32, "learning_starts": 64, "device": "cpu"}
MAKERS: dict[str, Callable[..., ValueLearner]] = {
    "plain-dqn": lambda **settings: PlainDQN(PlainConfig(**{**SMALL, **settings})),
    "double-dqn": lambda **settings: DoubleDQN(DoubleDQNConfig(**{**SMALL, **settings})),
    "d3qn": lambda **settings: D3QN(D3QNConfig(**{**SMALL, **settings})),
    "twin-d3qn": lambda **settings: TwinD3QN(TwinD3QNConfig(**{**SMALL, **settings})),
    "rainbow": lambda **settings: Rainbow(RainbowConfig(**{**SMALL, **settings})),
}


class OneState(VectorEnv[Any, Any, Any]):
    """One state; an action earns its own number, and the episode is over with it: truncated, or `terminates`."""

    def __init__(self, terminates: bool, num_envs: int = 4) -> None:
        self.num_envs, self.terminates = num_envs, terminates
        self.single_observation_space, self.single_action_space = Box(-1.0, 1.0, (1,), np.float32), Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.shown = np.ones((num_envs, 1), dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self.shown, {}

    def step(self, actions: Any) -> Any:
        yes, no = np.ones(self.num_envs, dtype=bool), np.zeros(self.num_envs, dtype=bool)
        over = (yes, no) if self.terminates else (no, yes)
        return self.shown, np.asarray(actions, dtype=np.float64), *over, {"final_obs": self.shown, "_final_obs": yes}


def begun(agent: ValueLearner, inputs: int = 4, actions: int = 2, seed: int = 0) -> ValueLearner:
    """`agent` before its first step, in an environment of that shape that is never asked anything."""
    from tradewind.rl.lanes import Lanes

    class Silent(OneState):
        def __init__(self) -> None:
            super().__init__(True, 2)
            self.single_observation_space = Box(-1.0, 1.0, (inputs,), np.float32)
            self.single_action_space = Discrete(actions)
            self.shown = np.ones((2, inputs), dtype=np.float32)

    lanes = Lanes(Silent(), agent.device, seed)
    agent.settle(lanes.spaces, seed)
    agent.begin(lanes, 1_000, seed)
    return agent


def some_batch(n: int = 32, inputs: int = 4, actions: int = 2, seed: int = 0) -> Batch:
    """Transitions drawn at random, a fifth of them terminal."""
    generator = torch.Generator().manual_seed(seed)
    observations, following = torch.randn(2, n, inputs, generator=generator)
    taken = torch.randint(actions, (n,), generator=generator)
    returns, lives = torch.randn(n, generator=generator) * 2, torch.rand(n, generator=generator) > 0.2
    return Batch(observations, taken, returns, 0.99 * lives, following, torch.arange(n))
