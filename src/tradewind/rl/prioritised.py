"""Replay that remembers most what surprised most: transitions are drawn by priority from a sum tree, and weighed so that it does not bias.

Paper: Schaul et al. 2016, https://arxiv.org/abs/1511.05952 (proportional variant, algorithm 1). Costs 16 to 32 bytes a transition beside
the rows themselves, and a walk of log2(capacity) nodes for each row that is drawn or changed: 4 microseconds for 128 rows of 100,000. The
tree is on the host, so on a GPU every update waits for the one before. Fails where surprise is noise that cannot be learned, of which
markets are made: it then studies the noisiest transitions over and over, which a smaller `alpha` tempers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tradewind.core.arrays import Array
from tradewind.core.compiled import kernel
from tradewind.core.errors import StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require
from tradewind.core.types import State
from tradewind.rl.replay import Batch, Replay, Ring

__all__ = ["PrioritisedReplay", "SumTree"]

Rows = NDArray[np.int64]
LEAST: Final = 1e-6
"""Added to every surprise, so that nothing is forgotten while it is remembered."""


@final
class PrioritisedReplay(Replay):
    """Transitions drawn in proportion to (surprise + 1e-6) ** `alpha`; new ones count as the most surprising ever seen.

    Batches are drawn one part of the total a row (stratified), and each sees the priorities that the update before it has left. `weights`
    are 1 / (n * probability) over the largest of the batch, the whole correction: raise them to a power below 1 for less of it.
    """

    def __init__(self, capacity: int, inputs: int, device: torch.device, alpha: float = 0.5) -> None:
        fraction(zero=True, one=True, alpha=alpha)
        self.ring, self.tree = Ring(capacity, inputs, device), SumTree(capacity)
        self.device, self.alpha = device, alpha
        self.greatest = 1.0

    def __len__(self) -> int:
        return self.ring.size

    def add(self, observations: Tensor, actions: Tensor, returns: Tensor, discounts: Tensor, following: Tensor) -> None:
        """Remember n transitions."""
        slots = self.ring.add((observations, actions, returns, discounts, following)).cpu().numpy()
        self.tree.update(slots, np.full(len(slots), self.greatest))

    def draw(self, updates: int, size: int) -> Iterator[Batch]:
        """One batch for each of so many `updates`."""
        require(len(self) > 0, "nothing can be drawn from a replay that is empty")
        for _ in range(updates):
            slots = self.tree.stratified(torch.rand(size, dtype=torch.float64).numpy())
            rare = 1.0 / self.tree[slots]
            weights = torch.as_tensor((rare / rare.max()).astype(np.float32), device=self.device)
            yield self.ring.take(torch.as_tensor(slots, device=self.device)[None], weights[None])

    def reprioritise(self, slots: Tensor, surprise: Tensor) -> None:
        """Raises SettingsError for a surprise that is negative or no finite number."""
        told = surprise.detach().double().cpu().numpy()
        require(
            bool(np.isfinite(told).all() and (told >= 0).all()), "surprise is finite and not negative; lower learning_rate where it is not"
        )
        priorities = (told + LEAST) ** self.alpha
        self.greatest = max(self.greatest, float(priorities.max()))
        self.tree.update(slots.cpu().numpy(), priorities)

    def state(self) -> State:
        """Everything remembered, and how much it surprised, as data."""
        priorities = State({"greatest": self.greatest}, {"numbers": self.tree[np.arange(self.ring.capacity)]})
        return State().nest("ring", self.ring.state()).nest("priorities", priorities)

    def restore(self, state: State) -> None:
        """Remember what `state` holds. Raises StateError when it does not fit."""
        self.ring.restore(state.child("ring"))
        priorities = state.child("priorities")
        self.tree.restore(priorities.arrays["numbers"])
        self.greatest = float(priorities.values["greatest"])


@final
class SumTree:
    """Numbers at leaves 0 to `capacity` - 1, none negative, drawn in proportion to their size.

    A parent is always the sum of its two children, computed anew and never corrected by a difference: the sums do not drift.
    """

    def __init__(self, capacity: int) -> None:
        whole(capacity=capacity)
        self.capacity = capacity
        # Node 1 is the root, the children of k are 2k and 2k + 1; the leaves begin at `self.first`, a power of two.
        self.first = 1 << (capacity - 1).bit_length()
        self.nodes: Array = np.zeros(2 * self.first)

    @property
    def total(self) -> float:
        """The sum of all numbers."""
        return float(self.nodes[1])

    def __getitem__(self, leaves: Rows) -> Array:
        """(n,) the numbers at `leaves` (n,)."""
        return np.asarray(self.nodes[self.first + leaves])

    def update(self, leaves: Rows, numbers: Array) -> None:
        """Put `numbers` (n,) at `leaves` (n,); the last counts where a leaf stands twice. Raises SettingsError below 0 and at NaN."""
        require(bool(np.isfinite(numbers).all() and (numbers >= 0).all()), "priorities are finite numbers, none negative")
        _put(self.nodes, self.first, leaves, numbers)

    def find(self, heights: Array) -> Rows:
        """(n,) the leaf in which each of `heights` (n,), from 0 up to `total`, falls when the leaves lie end to end."""
        return _find(self.nodes, self.first, heights)

    def stratified(self, uniforms: Array) -> Rows:
        """(n,) leaves in proportion to their numbers, one from each of n equal parts of the total; `uniforms` (n,) in [0, 1)."""
        n = len(uniforms)
        require(self.total > 0, "nothing can be drawn from a tree of zeros")
        return self.find((np.arange(n) + uniforms) * (self.total / n))

    def restore(self, numbers: Array) -> Self:
        """Hold `numbers` (capacity,). Raises StateError for another length."""
        if numbers.shape != (self.capacity,):
            raise StateError(f"these priorities have shape {numbers.shape}, expected ({self.capacity},)")
        self.update(np.arange(self.capacity), numbers)
        return self


@kernel
def _put(nodes: Array, first: int, leaves: Rows, numbers: Array) -> None:
    for n in range(len(leaves)):
        nodes[first + leaves[n]] = numbers[n]
    for n in range(len(leaves)):
        node = (first + leaves[n]) >> 1
        while node >= 1:
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1]
            node >>= 1


@kernel
def _find(nodes: Array, first: int, heights: Array) -> Rows:
    found = np.empty(len(heights), np.int64)
    for n in range(len(heights)):
        height, node = heights[n], 1
        while node < first:
            node *= 2
            # A height that rounding has put beyond the last mass stays with the last mass that there is.
            if height >= nodes[node] and nodes[node + 1] > 0.0:
                height -= nodes[node]
                node += 1
        found[n] = node - first
    return found
