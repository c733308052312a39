"""D3QN, the dueling double deep Q-network: Double DQN with a net that tells how good it is to be here from what each action adds to that.

Papers: Wang et al. 2016, https://arxiv.org/abs/1511.06581 (dueling); van Hasselt, Guez, Silver 2016, https://arxiv.org/abs/1509.06461
(double). Costs a few small operations more than Double DQN. Fails as that does; dueling is worth little where actions are few and all of
them matter in every state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from tradewind.nets.q_network import QNetwork
from tradewind.rl.replay import Batch, Replay, UniformReplay
from tradewind.rl.targets import double_q_target, temporal_difference_loss
from tradewind.rl.value_learner import ValueConfig, ValueLearner

__all__ = ["D3QN", "D3QNConfig"]


@final
@dataclass(frozen=True)
class D3QNConfig(ValueConfig):
    """The settings that all value learners share. Raises SettingsError."""

    def __post_init__(self) -> None:
        self.validate()


@final
class D3QN(ValueLearner):
    """One dueling critic, and an older copy of it."""

    name: ClassVar[str] = "d3qn"

    def critics(self, inputs: int, actions: int) -> nn.ModuleDict:
        """A dueling net."""
        return nn.ModuleDict({"critic": QNetwork(inputs, actions, self.config.hidden, dueling=True)})

    def memory(self, inputs: int) -> Replay:
        """A uniform replay."""
        return UniformReplay(self.config.capacity, inputs, self.device)

    def values(self, nets: nn.ModuleDict, observations: Tensor) -> Tensor:
        """(batch, action) what the critic says."""
        answers: Tensor = nets["critic"](observations)
        return answers

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Huber loss against r + discount * Q'(s', argmax Q(s', .)), Q' being the older critic."""
        with torch.no_grad():
            chooser, judge = self.values(self.nets, batch.following), self.values(self.targets, batch.following)
            target = double_q_target(batch.returns, batch.discounts, judge, chooser)
        return temporal_difference_loss(self.values(self.nets, batch.observations), batch.actions, target, batch.weights)
