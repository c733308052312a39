"""Risk parity: long weights whose shares of the portfolio's variance are given budgets, equal ones unless told otherwise.

Papers: Maillard, Roncalli & Teiletche (2010), https://doi.org/10.3905/jpm.2010.36.4.060; Spinu (2013), An Algorithm for Computing Risk
Parity Weights, https://doi.org/10.2139/ssrn.2297383 (the convex form); Griveau-Billion, Richard & Roncalli (2013), A Fast Algorithm for
Computing High-Dimensional Risk Parity Portfolios, https://arxiv.org/abs/1311.4057 (cyclical coordinate descent).
Cost: O(asset^2) a sweep, some ten sweeps. Fails to be diversified where correlations are near one or estimated from less than some rows an
asset; it knows nothing of returns, so that it holds what loses steadily as gladly as what gains; and hedged to nothing (a covariance that
is not positive definite) it has no answer.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError
from tradewind.core.types import Array

__all__ = ["checked_covariance", "inverse_volatility", "risk_parity", "risk_shares"]

SWEEPS: Final = 10_000
PRECISION: Final = 1e-12


def risk_parity(covariance: ArrayLike, budgets: ArrayLike | None = None) -> Array:
    """(asset,) positive weights that sum to one and have `risk_shares` in proportion to `budgets` (asset,), equal where None.

    The least of w'Cw / 2 - sum of b ln w, scaled: Spinu (2013), by the coordinate steps of Griveau-Billion et al. (2013).
    Raises DataError for a `covariance` (asset, asset) that is not one or not positive definite, and budgets that are not positive.
    """
    matrix = checked_covariance(covariance)
    shares = np.full(len(matrix), 1.0) if budgets is None else np.asarray(budgets, dtype=np.float64)
    if shares.shape != (len(matrix),) or not (shares > 0.0).all() or np.isinf(shares).any():
        raise DataError(f"risk budgets are {shares.tolist()}; they are {len(matrix)} positive numbers")
    # In units of each asset's deviation the steps are equally long, whatever the assets are.
    deviation = np.sqrt(np.diag(matrix))
    scaled, sweeps = _descend(matrix / deviation / deviation[:, None], shares / shares.sum(), SWEEPS, PRECISION)
    if sweeps == SWEEPS:
        raise DataError(f"risk parity found no end in {SWEEPS} sweeps: the covariance is close to singular; shrink it")
    weights = scaled / deviation
    return np.asarray(weights / weights.sum())


def inverse_volatility(covariance: ArrayLike) -> Array:
    """(asset,) weights in proportion to 1 / deviation, which is risk parity where all correlations are equal. Raises as `risk_parity`."""
    weights = 1.0 / np.sqrt(np.diag(checked_covariance(covariance)))
    return np.asarray(weights / weights.sum())


def risk_shares(weights: ArrayLike, covariance: ArrayLike) -> Array:
    """(asset,) what each of `weights` (asset,) adds to the portfolio's variance, as a share of it: w (Cw) / w'Cw; they sum to one."""
    held, matrix = np.asarray(weights, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    marginal = matrix @ held
    return np.asarray(held * marginal / (held @ marginal))


def checked_covariance(covariance: ArrayLike) -> Array:
    """(asset, asset) float64. Raises DataError where it is not square, finite, symmetric and positive definite."""
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size or not np.isfinite(matrix).all():
        raise DataError(f"a covariance has shape {matrix.shape} or values that are not finite; expected finite (asset, asset)")
    if np.abs(matrix - matrix.T).max() > 1e-10 * np.abs(matrix).max():
        raise DataError("a covariance is not symmetric")
    variances = np.diag(matrix)
    if (variances <= 0.0).any():
        raise DataError(f"asset {int(np.flatnonzero(variances <= 0.0)[0])} does not vary; leave it out of the covariance")
    deviation = np.sqrt(variances)
    if float(np.linalg.eigvalsh(matrix / deviation / deviation[:, None])[0]) < 1e-12:
        raise DataError("a covariance is not positive definite: an asset is a mix of the others; shrink it (shrunk_covariance)")
    return matrix


@kernel
def _descend(matrix: Array, budgets: Array, sweeps: int, precision: float) -> tuple[Array, int]:
    """The least of x'Ax / 2 - sum of b ln x, one coordinate after the other, and the sweeps that it took."""
    x = np.sqrt(budgets)
    for sweep in range(sweeps):
        moved = 0.0
        for i in range(len(x)):
            others = -matrix[i, i] * x[i]
            for j in range(len(x)):
                others += matrix[i, j] * x[j]
            root = np.sqrt(others * others + 4.0 * matrix[i, i] * budgets[i])
            # The positive root of a x^2 + c x - b, written so that a large c does not cancel.
            best = 2.0 * budgets[i] / (root + others) if others > 0.0 else (root - others) / (2.0 * matrix[i, i])
            moved = max(moved, abs(best - x[i]) / best)
            x[i] = best
        if moved < precision:
            return x, sweep
    return x, sweeps
