"""Portfolios chosen with hindsight, which nobody could have held: the best single asset, and the best constant rebalanced portfolio.

Paper: Cover (1991) https://doi.org/10.1111/j.1467-9965.1991.tb00002.x; the certificate is that of Cover (1984)
https://doi.org/10.1109/TIT.1984.1056869: no portfolio's mean logarithm of growth is above that of w by more than
log max_j mean(x_j / w'x), which is 0 at the best one. The steps are those of Nesterov (2018), section 5.2,
https://doi.org/10.1007/978-3-319-91578-4.
Cost: a few Newton steps over the simplex, O(time assets^2) each. Fails as a forecast: it is the yardstick of the others' regret.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tradewind.core.errors import DataError
from tradewind.core.types import Array
from tradewind.portfolio.simplex import minimise_quadratic

__all__ = ["best_asset", "best_constant"]

CERTAIN: Final = 1e-12
"""How far below the best mean logarithm of growth the answer may be, by its certificate."""


def best_asset(relatives: Array) -> Array:
    """(time, asset) all in the asset that grew most over the whole history, in every row. Hindsight."""
    weights = np.zeros(relatives.shape)
    if len(relatives):
        weights[:, int(np.log(relatives).sum(axis=0).argmax())] = 1.0
    return weights


def best_constant(relatives: Array) -> Array:
    """(time, asset) the constant weights whose wealth, rebalanced in every row, ends highest. Hindsight.

    Raises DataError where the weights cannot be found, which would need relatives of absurd size.
    """
    n, assets = relatives.shape
    weights = np.full(assets, 1.0 / assets)
    for _ in range(200 if n else 0):
        shares = relatives / (relatives @ weights)[:, None]
        slope = shares.mean(axis=0)
        if slope.max() - 1.0 <= CERTAIN:
            break
        curvature = shares.T @ shares / n
        # A trace of a ridge, proximal to where we stand: equal assets would make the curvature singular, and the best stays the best.
        ridge = 1e-10 * float(np.trace(curvature))
        step = minimise_quadratic(curvature + ridge * np.eye(assets), 2.0 * slope + ridge * weights, weights) - weights
        # The damped Newton step of self-concordant functions, which a sum of logarithms is: no values are compared, so none are rounded.
        decrement = float(np.sqrt(n * (step @ curvature @ step)))
        weights = weights + (step if decrement < 0.25 else step / (1.0 + decrement))
    else:
        if n:
            raise DataError(
                f"the best constant portfolio was not found within 200 steps; it is short of it by {slope.max() - 1.0:.1e} a row"
            )
    return np.broadcast_to(weights, relatives.shape).copy()
