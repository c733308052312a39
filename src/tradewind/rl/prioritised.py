"""Replay that remembers most what surprised most: sampling by priority from a sum tree, corrected by importance weights.

Paper: Schaul et al. 2016, https://arxiv.org/abs/1511.05952 (proportional variant, algorithm 1). Costs O(log capacity) for each row that is
drawn or changed. Fails where surprise is noise that cannot be learned: it then
studies the noisiest transitions over and over, which the exponent alpha tempers.
"""

from __future__ import annotations

from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.arrays import Array
from tradewind.core.compiled import kernel
from tradewind.core.errors import StateError
from tradewind.core.limits import whole
from tradewind.core.settings import require

__all__ = ["SumTree"]

Rows = NDArray[np.int64]


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
        """Put `numbers` (n,) at `leaves` (n,); the last counts where a leaf stands twice. Raises SettingsError below 0 and where not finite."""
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
