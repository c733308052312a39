"""Replay: what was lived through, kept in memory that is laid out once, and drawn again at random.

Paper: Lin 1992, https://doi.org/10.1007/BF00992699; as here in Mnih et al. 2015, https://doi.org/10.1038/nature14236. Costs 8 * inputs + 28
bytes a transition, a copy when it is added and another when it is drawn. Fails where the market changes faster than the memory forgets:
half of what it then learns is about a world that is gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from tradewind.core.errors import StateError
from tradewind.core.limits import whole
from tradewind.core.settings import require
from tradewind.core.types import State

__all__ = ["Batch", "Replay", "Ring", "UniformReplay"]

AT_ONCE: Final = 4096
"""A uniform replay draws so many rows at once at most: one gather serves many updates."""


@final
@dataclass(frozen=True, eq=False)
class Batch:
    """Transitions side by side, the first axis (batch,), or (updates, batch) before `split`.

    From `observations` (batch, inputs) the `actions` (batch,) int64 earned `returns` (batch,), over one step or several, and led to
    `following` (batch, inputs), of whose worth `discounts` (batch,) is the share that counts: 0 where the episode terminated. `slots`
    (batch,) int64 are places in the replay; `weights` (batch,) correct for what is drawn too often, None where nothing is.
    """

    observations: Tensor
    actions: Tensor
    returns: Tensor
    discounts: Tensor
    following: Tensor
    slots: Tensor
    weights: Tensor | None = None

    def split(self) -> Iterator[Batch]:
        """One batch an update, of a batch that has (updates, batch) in front."""
        columns = (getattr(self, field.name) for field in fields(self))
        return (Batch(*row) for row in zip(*(column.unbind() for column in columns if column is not None), strict=True))


class Replay(ABC):
    """What a value learner remembers with: rows go in as they happen and come out in batches."""

    @abstractmethod
    def __len__(self) -> int:
        """How many transitions can be drawn."""

    @abstractmethod
    def add(self, observations: Tensor, actions: Tensor, returns: Tensor, discounts: Tensor, following: Tensor) -> None:
        """Remember n transitions, the first axis of all; the oldest are forgotten where the room is full. Copies what it is given."""

    @abstractmethod
    def draw(self, updates: int, size: int) -> Iterator[Batch]:
        """Batches with (some, size) in front, which `split` into `updates` of them altogether.

        Drawn as they are asked for, so that what `reprioritise` has changed in between counts. From torch's random state.
        """

    @abstractmethod
    def reprioritise(self, slots: Tensor, surprise: Tensor) -> None:
        """Hear by how much each of the drawn transitions missed its target: both (batch,), the latter positive."""

    @abstractmethod
    def state(self) -> State:
        """Everything remembered, as data."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Remember what `state` holds, and nothing else. Raises StateError when it does not fit."""


@final
class Ring:
    """`capacity` rows of `inputs` numbers and what belongs to them, on `device`: the newest take the place of the oldest."""

    def __init__(self, capacity: int, inputs: int, device: torch.device) -> None:
        whole(capacity=capacity, inputs=inputs)
        self.capacity, self.size, self.at = capacity, 0, 0
        kinds = {"observations": (inputs,), "actions": (), "returns": (), "discounts": (), "following": (inputs,)}
        self.columns = {
            name: torch.zeros(capacity, *shape, dtype=torch.int64 if name == "actions" else torch.float32, device=device)
            for name, shape in kinds.items()
        }

    def add(self, rows: tuple[Tensor, ...]) -> Tensor:
        """Write n rows, a column a tensor; (n,) int64 the slots that they took. Raises SettingsError when there are more than the room."""
        n = len(rows[0])
        require(n <= self.capacity, f"{n} transitions at once do not fit into a replay of {self.capacity}; make its capacity larger")
        first = min(n, self.capacity - self.at)
        for column, values in zip(self.columns.values(), rows, strict=True):
            column[self.at : self.at + first] = values[:first]
            if first < n:
                column[: n - first] = values[first:]
        slots = torch.arange(self.at, self.at + n, device=rows[0].device) % self.capacity
        self.at, self.size = (self.at + n) % self.capacity, min(self.capacity, self.size + n)
        return slots

    def take(self, slots: Tensor, weights: Tensor | None = None) -> Batch:
        """The rows at `slots`, of any shape, which comes in front of theirs."""
        flat = slots.reshape(-1)
        found = {name: column.index_select(0, flat).view(*slots.shape, *column.shape[1:]) for name, column in self.columns.items()}
        return Batch(**found, slots=slots, weights=weights)

    def state(self) -> State:
        """The rows that are filled, and where the next one goes."""
        arrays = {name: np.array(column[: self.size].cpu().numpy()) for name, column in self.columns.items()}
        return State({"capacity": self.capacity, "at": self.at}, arrays)

    def restore(self, state: State) -> None:
        """Hold the rows of `state`. Raises StateError for another capacity or another number of inputs."""
        shape, expected = state.arrays["observations"].shape, self.columns["observations"].shape
        if state.values["capacity"] != self.capacity or shape[1:] != expected[1:]:
            told = f"{state.values['capacity']} transitions of {shape[1:]} numbers, expected {self.capacity} of {tuple(expected[1:])}"
            raise StateError(f"this is the memory of another replay: {told}")
        self.size, self.at = shape[0], int(state.values["at"])
        for name, column in self.columns.items():
            column[: self.size] = torch.tensor(state.arrays[name])


@final
class UniformReplay(Replay):
    """Every transition that is remembered is drawn as often as any other, with repetition."""

    def __init__(self, capacity: int, inputs: int, device: torch.device) -> None:
        self.ring = Ring(capacity, inputs, device)
        self.device = device

    def __len__(self) -> int:
        return self.ring.size

    def add(self, observations: Tensor, actions: Tensor, returns: Tensor, discounts: Tensor, following: Tensor) -> None:
        """Remember n transitions."""
        self.ring.add((observations, actions, returns, discounts, following))

    def draw(self, updates: int, size: int) -> Iterator[Batch]:
        """Batches for so many `updates`, several at once."""
        require(len(self) > 0, "nothing can be drawn from a replay that is empty")
        while updates > 0:
            some = min(updates, max(1, AT_ONCE // size))
            yield self.ring.take(torch.randint(len(self), (some, size), device=self.device))
            updates -= some

    def reprioritise(self, slots: Tensor, surprise: Tensor) -> None:
        """All stay alike."""

    def state(self) -> State:
        """Everything remembered, as data."""
        return self.ring.state()

    def restore(self, state: State) -> None:
        """Remember what `state` holds. Raises StateError when it does not fit."""
        self.ring.restore(state)
