"""The universal portfolio: every constant portfolio with an equal stake, each left to itself; what is held is what they hold together.

Paper: Cover (1991) https://doi.org/10.1111/j.1467-9965.1991.tb00002.x with the uniform prior; its wealth is the mean wealth of all constant
portfolios, at least that of the best one over (T + 1)^(assets - 1) (Blum & Kalai 1999, https://doi.org/10.1023/A:1007530728748).

Of two assets the answer is exact: the mean of (b x + (1 - b) y)^... over b is a sum of Beta integrals, whose T + 1 terms are carried along.
Of more it is the mean over `samples` constant portfolios drawn evenly from the simplex, off by the order of their spread / sqrt(samples).
Cost: O(time) a row of two assets, O(samples assets) a row of more. Fails, by the sample, where the best portfolios are a sliver of the
simplex: with many assets and a long history few draws lie near enough to the best one to matter.
"""

from __future__ import annotations

import numpy as np

from tradewind.core.compiled import kernel
from tradewind.core.limits import whole
from tradewind.core.seeds import generator
from tradewind.core.types import Array

__all__ = ["universal"]


@kernel
def _pair(relatives: Array, weights: Array) -> None:
    """Fill `weights` (time, 2) exactly.

    `mean[k]` is the mean, over the ways of choosing k of the t rows, of the product of the first asset's relatives in those rows and the
    second's in the others. The integral of b^k (1 - b)^(t - k) takes just the number of ways out of the sum.
    """
    n = len(relatives)
    mean = np.empty(n + 1)
    mean[0] = 1.0
    for t in range(n):
        total, first = 0.0, 0.0
        for k in range(t + 1):
            total += mean[k]
            first += mean[k] * (k + 1)
        weights[t, 0] = first / (t + 2) / total
        weights[t, 1] = 1.0 - weights[t, 0]
        x, y = relatives[t]
        # Scaled so that the terms stay near 1 on average: only their ratios matter.
        scale = (t + 1) / total
        mean[t + 1] = mean[t] * x * scale
        for k in range(t, 0, -1):
            mean[k] = (mean[k - 1] * x * k + mean[k] * y * (t + 1 - k)) / (t + 1) * scale
        mean[0] *= y * scale


def universal(relatives: Array, samples: int = 10_000, seed: int = 0) -> Array:
    """(time, asset) weights from `relatives` (time, asset); `samples` and `seed` matter where there are more than two assets."""
    whole(samples=samples)
    n, assets = relatives.shape
    weights = np.full((n, assets), 1.0 / assets)
    if assets == 2:
        _pair(relatives, weights)
    elif assets > 2:
        constant = generator(seed, "universal").dirichlet(np.ones(assets), size=samples)
        stakes = np.full(samples, 1.0 / samples)
        for t in range(n):
            weights[t] = stakes @ constant
            stakes *= constant @ relatives[t]
            stakes /= stakes.sum()
    return weights
