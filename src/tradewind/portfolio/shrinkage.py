"""Covariances and correlations from few returns: the sample's, drawn towards equal variances and no correlation as far as it is noise.

Paper: Ledoit & Wolf (2004), A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices,
https://doi.org/10.1016/S0047-259X(03)00096-4.
Cost: O(time * asset^2). Fails where returns have such tails that a few rows make the covariance, and where correlations change within the
rows given; `ledoit_wolf` draws variances together too, which is wrong for assets of unlike volatility: `shrunk_covariance` does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError
from tradewind.core.types import Array

__all__ = ["Shrunk", "ledoit_wolf", "shrunk_correlation", "shrunk_covariance"]


@final
@dataclass(frozen=True, eq=False)
class Shrunk:
    """`matrix` (asset, asset), positive definite while anything varies; `shrinkage`: 0 is the sample's own, 1 the target alone."""

    matrix: Array
    shrinkage: float


def ledoit_wolf(returns: ArrayLike) -> Shrunk:
    """The covariance of `returns` (time, asset), drawn towards the mean variance times the identity by the estimated best amount.

    Rows with NaN are left out. Raises DataError for under two whole rows. Ledoit & Wolf (2004).
    """
    centred = _centred(returns)
    n, assets = centred.shape
    sample = centred.T @ centred / n
    mean_variance = float(np.trace(sample)) / assets
    distance = float(((sample - mean_variance * np.eye(assets)) ** 2).sum())
    # The squared error of the sample's entries: mean over rows of |x x' - sample|^2, divided by n.
    error = (float(((centred**2).T @ centred**2).sum()) / n - float((sample**2).sum())) / n
    shrinkage = min(1.0, max(0.0, error / distance)) if distance > 0.0 else 0.0
    return Shrunk((1.0 - shrinkage) * sample + shrinkage * mean_variance * np.eye(assets), shrinkage)


def shrunk_correlation(returns: ArrayLike) -> Shrunk:
    """The correlations of `returns` (time, asset) drawn towards none: `ledoit_wolf` of returns in units of their own deviation.

    An asset that does not vary correlates with nothing. Rows with NaN are left out. Raises as `ledoit_wolf`.
    """
    centred = _centred(returns)
    deviation = centred.std(axis=0)
    flat = deviation <= 1e-14 * np.abs(np.asarray(returns, dtype=np.float64)).max(initial=0.0, where=~np.isnan(returns))
    found = ledoit_wolf(np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation)))
    scale = np.where(flat, 1.0, np.sqrt(np.diag(found.matrix)))
    matrix = found.matrix / scale / scale[:, None]
    matrix[flat], matrix[:, flat] = 0.0, 0.0
    np.fill_diagonal(matrix, 1.0)
    return Shrunk(matrix, found.shrinkage)


def shrunk_covariance(returns: ArrayLike) -> Shrunk:
    """The covariance of `returns` (time, asset) with shrunk correlations and each asset's unbiased variance. Raises as `ledoit_wolf`."""
    deviation = _centred(returns).std(axis=0, ddof=1)
    found = shrunk_correlation(returns)
    return Shrunk(found.matrix * deviation * deviation[:, None], found.shrinkage)


def _centred(returns: ArrayLike) -> Array:
    """(time, asset) whole rows less their mean. Raises DataError for another shape, infinite values, and under two whole rows."""
    panel = np.asarray(returns, dtype=np.float64)
    if panel.ndim != 2 or panel.shape[1] == 0 or np.isinf(panel).any():
        raise DataError(f"returns have shape {panel.shape} or infinite values; expected finite (time, asset) or NaN")
    whole = panel[~np.isnan(panel).any(axis=1)]
    if len(whole) < 2:
        raise DataError(f"{len(whole)} of {len(panel)} rows have a return of every asset; a covariance takes at least two")
    return np.asarray(whole - whole.mean(axis=0))
