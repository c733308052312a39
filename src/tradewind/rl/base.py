"""`Agent`: what learns to act in any Gymnasium environment. An algorithm is eight methods; the rest is the same for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tradewind.core.errors import DataError, NotFitted, StateError
from tradewind.core.seeds import derive
from tradewind.core.types import State
from tradewind.nets.checkpoint import load_net, net_state
from tradewind.nets.device import choose_device, reproducible
from tradewind.rl.normalise import ObservationNorm
from tradewind.rl.spaces import Spaces

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

    from tradewind.rl.lanes import Lanes
    from tradewind.rl.learning import Learning, Progress

__all__ = ["Agent"]

Observations = TypeVar("Observations", NDArray[Any], Tensor)


class Agent(ABC):
    """Learns in a VectorEnv and acts on observations, many at once.

    An algorithm implements the eight abstract methods; its config is a frozen dataclass
    with at least `device`, `threads` and `normalise_observations`.
    """

    name: ClassVar[str]
    """By which `tradewind.rl.agent(name)` makes it."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.device, _ = choose_device(config.device)
        self.spaces: Spaces | None = None
        self.nets = nn.ModuleDict()
        self.norm = ObservationNorm(0)

    # -- what an algorithm is ------------------------------------------------------------------------------------------
    @abstractmethod
    def build(self, spaces: Spaces) -> nn.ModuleDict:
        """New nets for these spaces, from torch's current random state. Raises SettingsError for spaces that it cannot act in."""

    @abstractmethod
    def begin(self, lanes: Lanes, steps: int, seed: int) -> None:
        """Stand before the first step of a run of `steps`: optimisers, memory, counters. `self.nets` and `self.norm` are there."""

    @abstractmethod
    def advance(self, lanes: Lanes) -> dict[str, float]:
        """Take some steps in all lanes and learn from them; what is worth a line in the log. `lanes.steps` counts the steps."""

    @abstractmethod
    def choose(self, observations: Tensor, deterministic: bool) -> Tensor:
        """Actions (batch,) int64 from 0, or (batch, dimension) in [-1, 1], for normalised observations (batch, inputs) float32."""

    @abstractmethod
    def convictions(self, observations: Tensor) -> Tensor:
        """(batch,) how strongly the deterministic action is preferred, from 0 up; in what unit is the algorithm's affair."""

    @abstractmethod
    def put_away(self) -> State:
        """All that the next `advance` depends on, besides nets, norm, lanes and torch's random state."""

    @abstractmethod
    def take_back(self, state: State) -> None:
        """Stand where `put_away` stood, after `begin`."""

    # -- the same for all ------------------------------------------------------------------------------------------------
    def learn(
        self,
        vector_env: VectorEnv[Any, Any, Any],
        steps: int = 100_000,
        *,
        seed: int = 0,
        evaluate: VectorEnv[Any, Any, Any] | None = None,
        evaluate_every: int = 10_000,
        episodes: int = 10,
        checkpoint_every: int = 50_000,
        folder: str | Path | None = None,
        tensorboard: str | Path | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Learning:
        """Learn for at least `steps` steps, counted over all environments of `vector_env`; see `tradewind.rl.learning.learn`."""
        from tradewind.rl.learning import Schedule, learn

        schedule = Schedule(steps, evaluate_every, episodes, checkpoint_every)
        return learn(self, vector_env, schedule, seed, evaluate, folder, tensorboard, progress)

    def settle(self, spaces: Spaces, seed: int) -> None:
        """Have nets for `spaces`: new ones by `seed`, unless there are some, which then go on learning.

        Raises SettingsError when the nets that are there are for other spaces.
        """
        if self.spaces is None:
            with reproducible(derive(seed, self.name, "weights"), self.config.threads):
                self.nets = self.build(spaces).to(self.device)
            self.norm = ObservationNorm(spaces.inputs if self.config.normalise_observations else 0).to(self.device)
            self.spaces = spaces
        elif spaces != self.spaces:
            raise StateError(f"this agent has learned in {self.spaces}, and this environment has {spaces}; make a new agent for it")

    def act(self, observations: Observations, deterministic: bool = True) -> Observations:
        """What to do, in the environment's own terms: (batch,) whole numbers, or (batch, dimension) within the action space.

        `observations` (batch, ...) as the environment gives them, or one without a batch; an array is answered by an array, a tensor by a
        tensor. Drawn actions come from torch's random state. Raises NotFitted before `learn` or `restore`, DataError for another shape.
        """
        spaces, told, single = self._seen(observations)
        with torch.no_grad():
            chosen = spaces.to_environment(self.choose(self.norm(told), deterministic))
        chosen = chosen[0] if single else chosen
        return chosen if isinstance(observations, Tensor) else chosen.cpu().numpy()

    def conviction(self, observations: Observations) -> NDArray[np.float64]:
        """(batch,) how strongly `act` prefers what it answers, from 0 up: comparable within one agent, not between two."""
        _, told, _ = self._seen(observations)
        with torch.no_grad():
            return self.convictions(self.norm(told)).double().cpu().numpy()

    def state(self) -> State:
        """All that acting needs, as data: config, spaces, nets, and the frozen normalisation of observations."""
        spaces = None if self.spaces is None else self.spaces.values()
        about = State({"agent": self.name, "config": asdict(self.config), "spaces": spaces})
        return about.nest("nets", net_state(self.nets)).nest("norm", net_state(self.norm))

    def restore(self, state: State) -> Self:
        """Become the agent that `state` describes. Raises StateError when its config differs in more than `device` and `threads`."""
        if state.values.get("agent") != self.name:
            raise StateError(f"this is the state of {state.values.get('agent', 'no agent')!r}, not of {self.name!r}")
        mine, theirs = asdict(self.config), dict(state.values["config"])
        other = [key for key in mine if key not in ("device", "threads") and _plain(mine[key]) != _plain(theirs.get(key))]
        if other:
            raise StateError(f"this state was saved under another config of {other}: {[theirs.get(key) for key in other]}")
        self.spaces, self.nets, self.norm = None, nn.ModuleDict(), ObservationNorm(0)
        if state.values["spaces"] is not None:
            self.settle(Spaces.from_values(state.values["spaces"]), 0)
            load_net(self.nets, state.child("nets"))
            load_net(self.norm, state.child("norm"))
        return self

    def _seen(self, observations: NDArray[Any] | Tensor) -> tuple[Spaces, Tensor, bool]:
        if self.spaces is None:
            raise NotFitted(f"this {self.name} has learned nothing; call learn(vector_env) or restore(state) first")
        told = torch.as_tensor(observations, dtype=torch.float32, device=self.device)
        single = told.numel() == self.spaces.inputs and (told.dim() <= 1 or told.shape[0] != 1)
        if told.numel() == 0 or told.numel() % self.spaces.inputs or (not single and told[0].numel() != self.spaces.inputs):
            raise DataError(f"observations have shape {tuple(told.shape)}; expected (batch, {self.spaces.inputs})")
        return self.spaces, told.reshape(-1, self.spaces.inputs), single


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
