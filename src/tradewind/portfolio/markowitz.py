"""Mean-variance: the weights with the best mean less a price of variance, exactly, within bounds, a budget and a leverage.

Papers: Markowitz (1952), Portfolio Selection, https://doi.org/10.1111/j.1540-6261.1952.tb01525.x; solved by the dual active-set method of
Goldfarb & Idnani (1983), https://doi.org/10.1007/BF02591962, which begins at the answer without limits and adds broken limits one by one;
the leverage, sum of |w|, is met as the cut sum of s w <= leverage for the signs s that break it.
Cost: O(asset^3) for every limit that binds. Fails by its own sharpness: it bets on the errors of the means, which is why estimated means
should be shrunk, the bounds tight, or the mean left out (least variance); DeMiguel, Garlappi & Uppal (2009),
https://doi.org/10.1093/rfs/hhm075, found equal weights unbeaten by it on most data.
"""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.limits import number
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.portfolio.parity import checked_covariance

__all__ = ["mean_variance"]

TOLERANCE: Final = 1e-12
"""How far a limit may be broken, as a part of the largest weight on the way or of 1, whichever is more."""
STEPS_A_LIMIT: Final = 100


def mean_variance(
    mean: ArrayLike,
    covariance: ArrayLike,
    *,
    aversion: float = 1.0,
    low: ArrayLike = 0.0,
    high: ArrayLike = 1.0,
    budget: float | None = 1.0,
    leverage: float | None = None,
) -> Array:
    """(asset,) the weights w with the most mean'w - aversion / 2 w'Cw, where low <= w <= high, sum w = budget and sum |w| <= leverage.

    `mean` (asset,) and `covariance` (asset, asset) per period; zeros for the mean ask for the least variance. `low` and `high`: a number or
    one an asset, infinite for none. `budget` and `leverage`: None for none. `aversion` 1 without limits is the Kelly portfolio.
    Raises DataError for a covariance that is not positive definite, SettingsError for limits that nothing meets.
    """
    number(aversion=aversion)
    matrix = checked_covariance(covariance)
    edge = np.asarray(mean, dtype=np.float64)
    if edge.shape != (len(matrix),) or not np.isfinite(edge).all():
        raise DataError(f"the mean has shape {edge.shape} or values that are not finite; expected {len(matrix)} of them")
    floor, ceiling = (np.broadcast_to(np.asarray(bound, dtype=np.float64), edge.shape) for bound in (low, high))
    _check(floor, ceiling, budget, leverage)
    if leverage is not None and budget is not None and abs(budget) >= leverage - TOLERANCE:
        # All of the leverage goes into the budget: nothing is held on its other side.
        floor, ceiling = (np.maximum(floor, 0.0), ceiling) if budget > 0 else (floor, np.minimum(ceiling, 0.0))
        leverage = None
    problem = _Problem(aversion * matrix, edge)
    if budget is not None:
        ones = np.ones(len(edge))
        side = 1.0 if ones @ problem.weights <= budget else -1.0
        problem.meet(side * ones, side * budget, equal=True)
    for _ in range(STEPS_A_LIMIT * (len(edge) + 1)):
        broken = _most_broken(problem.weights, floor, ceiling, leverage, problem.tolerance)
        if broken is None:
            return np.clip(problem.polished(), floor, ceiling)
        problem.meet(*broken)
    raise DataError("mean-variance found no end: the covariance is close to singular; shrink it (shrunk_covariance)")


def _check(floor: Array, ceiling: Array, budget: float | None, leverage: float | None) -> None:
    """Raise SettingsError where no weights meet all limits, saying which of them quarrel."""
    require(bool((floor <= ceiling).all()), f"low {floor.tolist()} is above high {ceiling.tolist()}")
    if leverage is not None:
        number(leverage=leverage)
        least = float(np.maximum(np.maximum(floor, -ceiling), 0.0).sum())
        require(least <= leverage + TOLERANCE, f"low and high ask for a leverage of {least:g} at least; {leverage:g} is allowed")
    if budget is not None:
        require(math.isfinite(budget), f"budget is {budget!r}; it is a finite number or None")
        least, most = float(floor.sum()), float(ceiling.sum())
        require(
            least - TOLERANCE <= budget <= most + TOLERANCE,
            f"weights between low and high sum to {least:g} at least and {most:g} at most; the budget of {budget:g} cannot be met",
        )
        bound = leverage is None or abs(budget) <= leverage + TOLERANCE
        require(bound, f"a budget of {budget:g} takes a leverage of as much; {leverage or 0.0:g} is allowed")


def _most_broken(weights: Array, floor: Array, ceiling: Array, leverage: float | None, tolerance: float) -> tuple[Array, float] | None:
    """The limit a'w >= b that `weights` break most, as (a, b); None where they break none by more than `tolerance`."""
    below, above = floor - weights, weights - ceiling
    under, over = int(below.argmax()), int(above.argmax())
    beyond = -math.inf if leverage is None else float(np.abs(weights).sum()) - leverage
    worst = max(float(below[under]), float(above[over]), beyond)
    if worst <= tolerance:
        return None
    if worst == beyond:
        return -np.where(weights < 0.0, -1.0, 1.0), -float(leverage or 0.0)
    normal = np.zeros(len(weights))
    if worst == below[under]:
        normal[under] = 1.0
        return normal, float(floor[under])
    normal[over] = -1.0
    return normal, -float(ceiling[over])


@final
class _Problem:
    """The least of w'Pw / 2 - c'w under the limits met so far: `weights`, with the binding limits and their prices."""

    def __init__(self, matrix: Array, slope: Array) -> None:
        # In units of the mean variance, so that what is small is small in whatever units returns come.
        scale = float(np.trace(matrix)) / len(slope)
        self.matrix, self.slope = matrix / scale, slope / scale
        self.inverse = np.linalg.inv(self.matrix)
        self.weights = self.inverse @ self.slope
        self.tolerance = TOLERANCE * max(1.0, float(np.abs(self.weights).max()))
        self.normals = np.empty((len(slope), 0))
        self.bounds = np.empty(0)
        self.prices = np.empty(0)
        self.equal = np.empty(0, dtype=bool)

    def meet(self, normal: Array, bound: float, equal: bool = False) -> None:
        """Move to the answer that meets normal'w >= bound too (= where `equal`), letting go of limits that it makes slack.

        Raises SettingsError where no weights meet this limit and those that bind. Goldfarb & Idnani (1983), section 3.
        """
        price = 0.0
        while True:
            across = self.inverse @ normal
            answered = self.inverse @ self.normals
            shift = np.linalg.solve(self.normals.T @ answered, answered.T @ normal) if len(self.prices) else self.prices
            direction = across - answered @ shift
            gain = float(direction @ normal)
            # A limit whose price would fall below zero has to go first.
            slack = np.where((shift > 1e-14) & ~self.equal, self.prices / np.where(shift > 1e-14, shift, 1.0), np.inf)
            first = int(slack.argmin()) if len(slack) else -1
            partial = float(slack[first]) if len(slack) else math.inf
            free = gain > 1e-12 * float(across @ normal)
            full = (bound - float(normal @ self.weights)) / gain if free else math.inf
            step = min(partial, full)
            if math.isinf(step):
                raise SettingsError("no weights keep low, high, budget and leverage together; widen one of them")
            if free:
                self.weights = self.weights + step * direction
            self.prices, price = self.prices - step * shift, price + step
            if full <= partial:
                self.normals = np.column_stack([self.normals, normal])
                self.bounds = np.append(self.bounds, bound)
                self.prices, self.equal = np.append(self.prices, price), np.append(self.equal, equal)
                return
            self.normals = np.delete(self.normals, first, axis=1)
            self.bounds = np.delete(self.bounds, first)
            self.prices, self.equal = np.delete(self.prices, first), np.delete(self.equal, first)

    def polished(self) -> Array:
        """The answer that the binding limits define, solved at once: what rounding the way has gathered, from weights far off, is gone."""
        single = (self.normals != 0.0).sum(axis=0) == 1
        places = np.abs(self.normals[:, single]).argmax(axis=0)
        weights = np.zeros(len(self.slope))
        weights[places] = self.bounds[single] * self.normals[places, np.flatnonzero(single)]
        free = np.ones(len(weights), dtype=bool)
        free[places] = False
        across, inner = self.normals[:, ~single], self.matrix[np.ix_(free, free)]
        system = np.block([[inner, across[free]], [across[free].T, np.zeros((across.shape[1],) * 2)]])
        right = np.concatenate([(self.slope - self.matrix @ weights)[free], self.bounds[~single] - across.T @ weights])
        weights[free] = np.linalg.lstsq(system, right, rcond=None)[0][: int(free.sum())]
        return weights
