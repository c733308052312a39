"""What agents share that learn what actions are worth: memory, exploration, the older net that is aimed at, and the steps of the optimiser.

Paper: Mnih et al. 2015, https://doi.org/10.1038/nature14236 (DQN). Costs one forward pass a step, and an update every `train_every` steps:
four forward passes of a batch, or so. Fails where the best action is one of a continuum, and where what was learned long ago must not be
forgotten: once the memory is full, it is.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import require
from tradewind.core.types import State
from tradewind.nets.checkpoint import load_net, net_state
from tradewind.nets.device import supports_bfloat16
from tradewind.nets.flat import Adam, FlatWeights
from tradewind.rl.base import Agent
from tradewind.rl.lanes import Lanes, Transition
from tradewind.rl.normalise import LEAST, RewardScale
from tradewind.rl.replay import Batch, Replay
from tradewind.rl.spaces import Spaces
from tradewind.rl.targets import n_step

__all__ = ["ValueConfig", "ValueLearner"]

STRETCH: Final = 64
"""`advance` takes at least so many counted steps: what is done once an advance then costs little a step."""


@dataclass(frozen=True)
class ValueConfig(ABC):
    """Settings that all value learners share; each has a config of its own that is one of these.

    `hidden` are the nets' widths. One update of `batch` transitions is made every `train_every` steps, counted over all lanes, once
    `learning_starts` steps are in the memory of `capacity` transitions. A transition's return is over `n_step` steps: 1 as in the papers.
    More learn sooner where rewards come late, but count what blind actions cost on the way: at a cost of .30 in `KnownOptimum`, 3 steps
    and long exploring left a third of the optimum where 1 step earned nearly all of it. Every `target_every` updates the older net moves
    by `target_rate` towards the one that learns: all the way at 1. Actions are drawn blindly with a probability that falls from
    `epsilon_start` to `epsilon_end` over the first `exploration`, a share of the run. `max_gradient` is the longest gradient. `bfloat16`
    "auto" is on where the processor has it. `compile` translates the loss once, for half a minute or so.
    """

    hidden: tuple[int, ...] = (128, 128)
    learning_rate: float = 5e-4
    discount: float = 0.99
    batch: int = 128
    capacity: int = 100_000
    learning_starts: int = 1_000
    train_every: int = 4
    n_step: int = 1
    target_every: int = 250
    target_rate: float = 1.0
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    exploration: float = 0.2
    max_gradient: float = 10.0
    normalise_observations: bool = True
    normalise_rewards: bool = True
    bfloat16: bool | Literal["auto"] = False
    compile: bool = False
    device: str = "auto"
    threads: int = 1

    @abstractmethod
    def __post_init__(self) -> None:
        """`validate`, and look at settings of its own."""

    def validate(self) -> None:
        """Raise SettingsError for shared settings that cannot be."""
        sizes = {f"hidden[{n}]": width for n, width in enumerate(self.hidden)}
        whole(batch=self.batch, capacity=self.capacity, train_every=self.train_every, n_step=self.n_step, **sizes)
        whole(target_every=self.target_every, learning_starts=self.learning_starts, threads=self.threads)
        number(learning_rate=self.learning_rate, max_gradient=self.max_gradient)
        fraction(one=True, target_rate=self.target_rate)
        fraction(zero=True, one=True, discount=self.discount, exploration=self.exploration)
        fraction(zero=True, one=True, epsilon_start=self.epsilon_start, epsilon_end=self.epsilon_end)
        require(self.bfloat16 in (True, False, "auto"), f"bfloat16 is {self.bfloat16!r}; it is true, false or 'auto'")
        require(len(self.hidden) > 0, "hidden is empty; a net needs a hidden layer at least")
        require(self.batch <= self.capacity, f"batch {self.batch} is more than the {self.capacity} transitions that are remembered")
        require(self.epsilon_end <= self.epsilon_start, "epsilon_end is above epsilon_start; exploration falls")


class ValueLearner(Agent, ABC):
    """Learns in any environment with a few actions. An algorithm is four methods: its critics, its memory, its values, its loss.

    `nets` are its critics, `targets` the older ones of the same build. Acting deterministically puts the nets into eval mode and everything
    else into training mode, so that a net may be noisy while it learns. `progress` is the share of the run that is over; what the loss
    puts into `notes`, numbers by name, goes into the log. What an algorithm needs again at its next step it puts into `kept`, which is
    empty where a run begins and goes with it where it is interrupted.
    """

    config: ValueConfig

    def __init__(self, config: ValueConfig) -> None:
        super().__init__(config)
        self.targets = nn.ModuleDict()
        self.epsilon, self.updates, self.progress = config.epsilon_end, 0, 0.0
        self.notes: dict[str, Tensor] = {}
        self.kept: dict[str, Tensor] = {}

    # -- what an algorithm is ------------------------------------------------------------------------------------------
    @abstractmethod
    def critics(self, inputs: int, actions: int) -> nn.ModuleDict:
        """New nets that say what actions are worth, from torch's current random state."""

    @abstractmethod
    def memory(self, inputs: int) -> Replay:
        """An empty replay."""

    @abstractmethod
    def values(self, nets: nn.ModuleDict, observations: Tensor) -> Tensor:
        """(batch, action) what `nets`, these or the older ones, say that actions are worth: by the largest it acts."""

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What is minimised, a number, for `batch` with observations normalised and returns scaled; (batch,) by how much each surprised."""

    # -- as an agent -----------------------------------------------------------------------------------------------------
    def build(self, spaces: Spaces) -> nn.ModuleDict:
        """The critics, and what the unit of their values is."""
        if not spaces.discrete:
            told = f"{self.name} chooses among a few actions, and this environment's are {spaces.actions} continuous ones"
            raise SettingsError(f"{told}; make it with actions='discrete' or a number of them, or use 'ppo'")
        require(spaces.actions > 1, "this environment has one action alone; there is nothing to choose")
        nets = self.critics(spaces.inputs, spaces.actions)
        # Its statistics are carried with the weights: what values mean depends on them. The lanes' running sums are a run's alone.
        nets["rewards"] = RewardScale(1, self.config.discount)
        return nets

    def begin(self, lanes: Lanes, steps: int, seed: int) -> None:
        """Stand before the first step: an empty memory, exploration at its height."""
        config = self.config
        self.half = supports_bfloat16(self.device) if config.bfloat16 == "auto" else bool(config.bfloat16)
        self.targets = copy.deepcopy(self.nets).requires_grad_(False)
        self.flat, self.flat_targets = FlatWeights(self.nets), FlatWeights(self.targets)
        self.optimiser = Adam(self.flat, config.learning_rate)
        self.replay = self.memory(lanes.spaces.inputs)
        self.rewards = RewardScale(lanes.size, config.discount).to(self.device)
        _carry(self._unit(), self.rewards)
        self.pending: list[Transition] = []
        self.observed: list[Tensor] = []
        self.updates, self.spent = 0, 0
        self.kept.clear()
        self.run, self.exploring = max(1, steps), max(1.0, config.exploration * steps)
        self.compute: Callable[[Batch], tuple[Tensor, Tensor]] = torch.compile(self.loss) if config.compile else self.loss

    def advance(self, lanes: Lanes) -> dict[str, float]:
        """Take some steps in all lanes, remember them, and make the updates that are due."""
        config, until = self.config, lanes.steps + STRETCH
        before, loss = self.updates, torch.zeros((), device=self.device)
        while lanes.steps < until:
            self.progress, explored = min(1.0, lanes.steps / self.run), min(1.0, lanes.steps / self.exploring)
            self.epsilon = config.epsilon_start + (config.epsilon_end - config.epsilon_start) * explored
            self._remember(lanes.step(self.choose(self.norm(lanes.observations), deterministic=False)))
            if lanes.steps < config.learning_starts or len(self.replay) == 0:
                self.spent = lanes.steps
            due = (lanes.steps - self.spent) // config.train_every
            self.spent += due * config.train_every
            loss += self.improve(due)
        self.norm.update(torch.cat(self.observed))
        self.observed.clear()
        _carry(self.rewards, self._unit())
        told = {"epsilon": self.epsilon, "updates": float(self.updates), **{name: float(note) for name, note in self.notes.items()}}
        return told if self.updates == before else {**told, "loss": float(loss) / (self.updates - before)}

    def improve(self, updates: int) -> Tensor:
        """Make so many `updates` from what is remembered; the sum of their losses."""
        self._mode(learning=True)
        total = torch.zeros((), device=self.device)
        for batches in self.replay.draw(updates, self.config.batch) if updates else ():
            for batch in self._scaled(batches).split():
                total += self._update(batch)
        return total

    @torch.no_grad()
    def choose(self, observations: Tensor, deterministic: bool) -> Tensor:
        """The best action, or with probability `epsilon` any; of equals the first."""
        self._mode(learning=not deterministic)
        values = self.values(self.nets, observations)
        best = values.argmax(dim=1)
        if deterministic or self.epsilon == 0.0:
            return best
        anything = torch.randint(values.shape[1], best.shape, device=self.device)
        return torch.where(torch.rand(best.shape, device=self.device) < self.epsilon, anything, best)

    @torch.no_grad()
    def convictions(self, observations: Tensor) -> Tensor:
        """(batch,) by how much the best action is worth more than the second best, in the unit of the environment's rewards."""
        self._mode(learning=False)
        best = self.values(self.nets, observations).topk(2, dim=1).values
        gap = (best[:, 0] - best[:, 1]).double()
        return gap * torch.sqrt(self._unit().variance + LEAST) if self.config.normalise_rewards else gap

    def put_away(self) -> State:
        """Memory, older nets, the optimiser's moments, and the steps that are on their way into the memory."""
        pending = {
            f"{n}/{field.name}": np.array(getattr(step, field.name).cpu().numpy())
            for n, step in enumerate(self.pending)
            for field in fields(step)
        }
        told = State({"updates": self.updates, "spent": self.spent, "pending": len(self.pending)})
        told = told.nest("replay", self.replay.state()).nest("targets", net_state(self.targets)).nest("rewards", net_state(self.rewards))
        kept = {name: np.array(tensor.cpu().numpy()) for name, tensor in self.kept.items()}
        return told.nest("optimiser", self.optimiser.state()).nest("steps", State({}, pending)).nest("kept", State({}, kept))

    def take_back(self, state: State) -> None:
        """Stand where `put_away` stood."""
        self.replay.restore(state.child("replay"))
        load_net(self.targets, state.child("targets"))
        load_net(self.rewards, state.child("rewards"))
        self.optimiser.restore(state.child("optimiser"))
        self.updates, self.spent = int(state.values["updates"]), int(state.values["spent"])
        self.kept = {name: torch.tensor(array, device=self.device) for name, array in state.child("kept").arrays.items()}
        arrays = state.child("steps").arrays
        self.pending = [
            Transition(**{field.name: torch.tensor(arrays[f"{n}/{field.name}"], device=self.device) for field in fields(Transition)})
            for n in range(state.values["pending"])
        ]

    # -- inside ----------------------------------------------------------------------------------------------------------
    def _unit(self) -> RewardScale:
        return cast(RewardScale, self.nets["rewards"])

    def _mode(self, learning: bool) -> None:
        if self.nets.training is not learning:
            self.nets.train(learning)

    def _remember(self, step: Transition) -> None:
        """Hear of a step, and put the one of `n_step` steps ago into the memory, whose return is known now."""
        self.observed.append(step.observations)
        if self.config.normalise_rewards:
            self.rewards.update(step.rewards, step.ended)
        self.pending.append(step)
        if len(self.pending) < self.config.n_step:
            return
        steps = self.pending
        rewards, over = [told.rewards for told in steps], [told.terminated for told in steps]
        returns, rest, led_to = n_step(
            rewards, over, [told.ended for told in steps], [told.following for told in steps], self.config.discount
        )
        oldest = self.pending.pop(0)
        rows = [oldest.observations, oldest.actions, returns, rest, led_to]
        if not bool(oldest.counted.all()):
            rows = [column[oldest.counted] for column in rows]
        if len(rows[0]):
            self.replay.add(*rows)

    def _scaled(self, batches: Batch) -> Batch:
        returns = self.rewards(batches.returns) if self.config.normalise_rewards else batches.returns
        seen, led_to = self.norm(batches.observations), self.norm(batches.following)
        return replace(batches, observations=seen, returns=returns, following=led_to)

    def _update(self, batch: Batch) -> Tensor:
        self.flat.gradient.zero_()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss, surprise = self.compute(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self.flat.clip(self.config.max_gradient)
        self.optimiser.step()
        self.replay.reprioritise(batch.slots, surprise)
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.flat_targets.follow(self.flat, self.config.target_rate)
        return loss.detach()


def _carry(source: RewardScale, to: RewardScale) -> None:
    """Take over the statistics, but not the running sums."""
    for name in ("mean", "variance", "count"):
        getattr(to, name).copy_(getattr(source, name))
