"""Twin D3QN: two dueling critics that begin differently, both taught by the smaller of what their older copies say of the chosen action.

Papers: Fujimoto, van Hoof, Meger 2018, https://arxiv.org/abs/1802.09477 (clipped double Q-learning, there for continuous actions; here the
action is the one that the mean of the two critics likes best); Wang et al. 2016, https://arxiv.org/abs/1511.06581 (dueling). Costs twice
what D3QN does. Fails by being too careful: where values are told well already, the smaller of two is too small, and what is seldom tried
stays so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from tradewind.nets.q_network import QNetwork
from tradewind.rl.replay import Batch, Replay, UniformReplay
from tradewind.rl.targets import clipped_double_q_target, temporal_difference_loss
from tradewind.rl.value_learner import ValueConfig, ValueLearner

__all__ = ["TwinD3QN", "TwinD3QNConfig"]


@final
@dataclass(frozen=True)
class TwinD3QNConfig(ValueConfig):
    """The settings that all value learners share. Raises SettingsError."""

    def __post_init__(self) -> None:
        self.validate()


@final
class TwinD3QN(ValueLearner):
    """Two dueling critics, and older copies of both."""

    name: ClassVar[str] = "twin-d3qn"

    def critics(self, inputs: int, actions: int) -> nn.ModuleDict:
        """Two dueling nets with weights of their own."""
        return nn.ModuleDict({name: QNetwork(inputs, actions, self.config.hidden, dueling=True) for name in ("first", "second")})

    def memory(self, inputs: int) -> Replay:
        """A uniform replay."""
        return UniformReplay(self.config.capacity, inputs, self.device)

    def values(self, nets: nn.ModuleDict, observations: Tensor) -> Tensor:
        """(batch, action) the mean of what both say."""
        answers: Tensor = (nets["first"](observations) + nets["second"](observations)) / 2.0
        return answers

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sum of both critics' Huber losses against one target, r + discount * min(Q1', Q2')(s', a), a liked best by both together."""
        with torch.no_grad():
            chooser, seen = self.values(self.nets, batch.following), batch.following
            judges = self.targets["first"](seen), self.targets["second"](seen)
            target = clipped_double_q_target(batch.returns, batch.discounts, *judges, chooser)
        parts = [
            temporal_difference_loss(self.nets[name](batch.observations), batch.actions, target, batch.weights)
            for name in ("first", "second")
        ]
        (first, missed), (second, also_missed) = parts
        return first + second, (missed + also_missed) / 2.0
