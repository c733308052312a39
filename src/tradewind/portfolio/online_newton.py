"""Online Newton step: follows the curvature of the logarithm of growth, and forgets nothing.

Paper: Agarwal, Hazan, Kale & Schapire (2006) https://doi.org/10.1145/1143844.1143846. With g = x / w'x the gradient of a row,
A = I + sum(g g') and b = (1 + 1 / beta) sum(g), the next weights are those of the simplex nearest to delta A^-1 b in the norm of A, mixed
with equal ones by eta. The logarithm of wealth is below the best constant portfolio's by O(assets / r ln T) for relatives within a factor r
of each other.
Cost: O(assets^3) a row. Fails where what did well does badly next: it leans on the whole past alike.
"""

from __future__ import annotations

import numpy as np

from tradewind.core.limits import fraction, number
from tradewind.core.types import Array
from tradewind.portfolio.simplex import minimise_quadratic

__all__ = ["online_newton"]


def online_newton(relatives: Array, delta: float = 0.125, beta: float = 1.0, eta: float = 0.0) -> Array:
    """(time, asset) weights from `relatives` (time, asset). The defaults are those of the paper's experiments.

    `delta`, `beta`: positive, how strongly gradients are followed; `eta`: the share of equal weights, at least 0 and below 1.
    """
    number(delta=delta, beta=beta)
    fraction(zero=True, eta=eta)
    n, assets = relatives.shape
    weights = np.full((n, assets), 1.0 / assets)
    curvature, pull, chosen = np.eye(assets), np.zeros(assets), np.full(assets, 1.0 / assets)
    for t in range(n - 1):
        gradient = relatives[t] / float(weights[t] @ relatives[t])
        curvature += np.outer(gradient, gradient)
        pull += (1.0 + 1.0 / beta) * gradient
        # The distance to A^-1 c in the norm of A is w'Aw / 2 - c'w, up to a constant: no inverse is needed.
        chosen = minimise_quadratic(curvature, delta * pull, chosen)
        weights[t + 1] = (1.0 - eta) * chosen + eta / assets
    return weights
