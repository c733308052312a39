"""Exponentiated gradient: each weight is multiplied by exp(eta x_i / w'x), its asset's growth over the portfolio's.

Paper: Helmbold, Schapire, Singer & Warmuth (1998) https://doi.org/10.1111/1467-9965.00058. Where every relative of a row is at least r
times the row's highest, the logarithm of wealth is below the best constant portfolio's by at most ln(assets) / eta + eta T / (8 r^2)
(theorem 4.1), which is sqrt(T ln(assets) / 2) / r at the best eta.
Cost: O(assets) a row. Fails where the market moves far: at the small rates that its bound asks for it hardly leaves equal weights.
"""

from __future__ import annotations

import math

import numpy as np

from tradewind.core.compiled import kernel
from tradewind.core.limits import number
from tradewind.core.types import Array

__all__ = ["exponentiated_gradient"]


@kernel
def _walk(relatives: Array, eta: float, weights: Array) -> None:
    """Fill `weights` (time, asset)."""
    n, assets = relatives.shape
    for i in range(assets):
        weights[0, i] = 1.0 / assets
    for t in range(n - 1):
        growth, most = 0.0, 0.0
        for i in range(assets):
            growth += weights[t, i] * relatives[t, i]
            most = max(most, relatives[t, i])
        total = 0.0
        for i in range(assets):
            # Counted from the highest, the exponent is never above zero.
            weights[t + 1, i] = weights[t, i] * math.exp(eta * (relatives[t, i] - most) / growth)
            total += weights[t + 1, i]
        for i in range(assets):
            weights[t + 1, i] /= total


def exponentiated_gradient(relatives: Array, eta: float = 0.05) -> Array:
    """(time, asset) weights from `relatives` (time, asset); `eta`: the learning rate, positive."""
    number(eta=eta)
    weights = np.empty(relatives.shape)
    if len(relatives):
        _walk(relatives, float(eta), weights)
    return weights
