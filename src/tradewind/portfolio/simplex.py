"""Two small problems over the simplex {w >= 0, sum(w) = 1}: the nearest point, and the least of a convex quadratic.

Papers: Duchi, Shalev-Shwartz, Singer & Chandra (2008) https://doi.org/10.1145/1390156.1390191 for the nearest point; the primal active-set
method of Nocedal & Wright (2006), section 16.5, https://doi.org/10.1007/978-0-387-40065-5, for the quadratic.
Cost: a sort for the nearest point; for the quadratic one linear solve for every asset that enters or leaves the answer, few from a good
start. Fails, for the quadratic, on a matrix that is not positive definite: give it a ridge.
"""

from __future__ import annotations

import numpy as np

from tradewind.core.errors import DataError
from tradewind.core.types import Array

__all__ = ["minimise_quadratic", "nearest"]


def nearest(point: Array) -> Array:
    """The weights (asset,) of the simplex that are nearest to `point` (asset,) in squared distance."""
    descending = np.sort(point)[::-1]
    above = np.cumsum(descending) - 1.0
    counts = np.arange(1, len(point) + 1)
    last = int(np.flatnonzero(descending * counts > above)[-1])
    return np.asarray(np.maximum(point - above[last] / counts[last], 0.0))


def minimise_quadratic(matrix: Array, slope: Array, start: Array) -> Array:
    """The weights w (asset,) of the simplex with the least w'Aw / 2 - c'w: `matrix` A (asset, asset) positive definite, `slope` c (asset,).

    `start` (asset,): weights of the simplex to begin at. Raises DataError where it finds no end, which a matrix that is not positive
    definite can bring about.
    """
    weights, free = start.copy(), start > 0.0
    for _ in range(50 * len(slope)):
        inner = matrix[np.ix_(free, free)]
        solved = np.linalg.solve(inner, np.column_stack([slope[free], np.ones(int(free.sum()))]))
        price = (solved[:, 0].sum() - 1.0) / solved[:, 1].sum()
        wanted = np.zeros_like(weights)
        wanted[free] = solved[:, 0] - price * solved[:, 1]
        if (wanted < 0.0).any():
            # Go as far as no weight falls below zero, and hold the one that reaches it there.
            falling = np.flatnonzero(wanted < 0.0)
            reach = weights[falling] / (weights[falling] - wanted[falling])
            blocking = int(falling[np.argmin(reach)])
            weights = weights + float(reach.min()) * (wanted - weights)
            weights[blocking], free[blocking] = 0.0, False
            continue
        weights = wanted
        gain = np.where(free, -np.inf, slope - matrix @ weights - price)
        entering = int(np.argmax(gain))
        if gain[entering] <= 1e-11 * (1.0 + np.abs(slope).max()):
            return np.asarray(weights / weights.sum())
        free[entering] = True
    raise DataError("the quadratic has no least value that could be found over the simplex; its matrix has to be positive definite")
