"""A small agent for tests of the loop: REINFORCE with a linear policy, after Williams 1992, https://doi.org/10.1007/BF00992696."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from tradewind.core.types import State
from tradewind.rl.base import Agent
from tradewind.rl.lanes import Lanes
from tradewind.rl.spaces import Spaces


@final
@dataclass(frozen=True)
class LinearConfig:
    learning_rate: float = 0.05
    discount: float = 0.98
    piece: int = 16
    normalise_observations: bool = True
    device: str = "cpu"
    threads: int = 1


@final
class Linear(Agent):
    """Acts by a softmax of a linear map; learns from the rewards of `piece` steps, those after an episode's end left out."""

    name: ClassVar[str] = "linear"

    def build(self, spaces: Spaces) -> nn.ModuleDict:
        return nn.ModuleDict({"policy": nn.Linear(spaces.inputs, spaces.actions)})

    def begin(self, lanes: Lanes, steps: int, seed: int) -> None:
        self.optimiser = torch.optim.SGD(self.nets.parameters(), lr=self.config.learning_rate, momentum=0.9)
        self.worth = 0.0
        self.pieces = 0

    def advance(self, lanes: Lanes) -> dict[str, float]:
        steps = []
        for _ in range(self.config.piece):
            self.norm.update(lanes.observations)
            steps.append(lanes.step(self.choose(self.norm(lanes.observations), deterministic=False)))
        togo, rows = torch.zeros(lanes.size), []
        for step in reversed(steps):
            togo = step.rewards + self.config.discount * togo * ~step.ended
            rows.append(togo)
        togo = torch.stack(rows[::-1])
        counted = torch.stack([step.counted for step in steps])
        scores = torch.stack([self.nets["policy"](self.norm(step.observations)) for step in steps])
        chosen = torch.stack([step.actions for step in steps])
        logs = torch.log_softmax(scores, dim=2).gather(2, chosen[:, :, None])[:, :, 0]
        loss = -(logs * (togo - self.worth) * counted).mean()
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        self.worth += 0.1 * (float(togo.mean()) - self.worth)
        self.pieces += 1
        return {"policy_loss": loss.item(), "worth": self.worth}

    def choose(self, observations: Tensor, deterministic: bool) -> Tensor:
        with torch.no_grad():
            scores = self.nets["policy"](observations)
        return scores.argmax(dim=1) if deterministic else torch.multinomial(torch.softmax(scores, dim=1), 1)[:, 0]

    def convictions(self, observations: Tensor) -> Tensor:
        return self.nets["policy"](observations).max(dim=1).values

    def put_away(self) -> State:
        moments = {f"{n}": entry["momentum_buffer"].numpy() for n, entry in self.optimiser.state_dict()["state"].items()}
        return State({"worth": self.worth, "pieces": self.pieces}, moments)

    def take_back(self, state: State) -> None:
        told = {int(n): {"momentum_buffer": torch.tensor(np.array(array))} for n, array in state.arrays.items()}
        self.optimiser.load_state_dict({"state": told, "param_groups": self.optimiser.state_dict()["param_groups"]})
        self.worth, self.pieces = state.values["worth"], state.values["pieces"]
