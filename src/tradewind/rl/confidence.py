"""How often a decision of this strength has been right: Platt's logistic curve over an agent's convictions.

Papers: Platt 1999, "Probabilistic outputs for support vector machines", whose section 2.2 has the targets used here; how well it does:
Niculescu-Mizil, Caruana 2005, https://doi.org/10.1145/1102351.1102430. It learns from data that the agent neither learned from nor was
chosen by. Costs a few Newton steps over the convictions. Fails where the market has changed since, and where positions last: their outcomes
hang together and count for less than their number says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.types import Array

__all__ = ["Calibrated"]

STEPS: Final = 50
CLEAR: Final = 1.645
"""Standard errors that the slope must lie above zero: by chance alone it does once in twenty times."""


@final
@dataclass(frozen=True)
class Calibrated:
    """What convictions have been worth: `base`, the share of right decisions among `count`, and a logistic curve over the convictions.

    The curve is `intercept` + `slope` x (conviction - `centre`) / `unit`. Its slope is 0 where stronger convictions were not clearly right
    more often: then every decision has the base rate.
    """

    base: float = 0.5
    count: int = 0
    intercept: float = 0.0
    slope: float = 0.0
    centre: float = 0.0
    unit: float = 1.0

    @classmethod
    def of(cls, convictions: Array, right: NDArray[np.bool_]) -> Self:
        """Learn from decisions (decision,) with finite `convictions`, and whether each was `right`. Without any the base is one half."""
        n, hits = len(convictions), int(right.sum())
        base = (hits + 1.0) / (n + 2.0)
        level = float(np.log(base / (1.0 - base)))
        flat = cls(base, n, level)
        deviation = float(convictions.std()) if n else 0.0
        if hits < 2 or n - hits < 2 or deviation <= 1e-12 * max(1.0, abs(float(convictions.mean()))):
            return flat
        centre = float(convictions.mean())
        # Platt's targets stand a little inside 0 and 1, so that a perfect split does not ask for an infinite slope.
        wanted = np.where(right, (hits + 1.0) / (hits + 2.0), 1.0 / (n - hits + 2.0))
        intercept, slope, error = _logistic((convictions - centre) / deviation, wanted, level)
        if not slope > CLEAR * error:
            return flat
        return cls(base, n, intercept, slope, centre, deviation)

    def probability(self, convictions: Array) -> Array:
        """The probability that decisions of these `convictions` (any shape) are right; NaN stays NaN."""
        level = self.intercept + self.slope * (np.asarray(convictions, dtype=np.float64) - self.centre) / self.unit
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * level)))

    def values(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def _logistic(x: Array, wanted: Array, level: float) -> tuple[float, float, float]:
    """Intercept, slope and the slope's standard error of the logistic curve nearest to `wanted` (decision,) over `x`, by Newton's steps."""
    columns, beta = np.stack([np.ones_like(x), x], axis=1), np.array([level, 0.0])
    loss = _loss(columns @ beta, wanted)
    for _ in range(STEPS):
        p = 0.5 * (1.0 + np.tanh(0.5 * (columns @ beta)))
        curvature = columns.T @ (columns * np.maximum(p * (1.0 - p), 1e-12)[:, None])
        step = np.linalg.solve(curvature, columns.T @ (wanted - p))
        size = 1.0
        while _loss(columns @ (beta + size * step), wanted) > loss and size > 1e-6:
            size *= 0.5
        beta = beta + size * step
        loss = _loss(columns @ beta, wanted)
        if float(np.abs(size * step).max()) < 1e-10:
            break
    return float(beta[0]), float(beta[1]), float(np.sqrt(np.linalg.inv(curvature)[1, 1]))


def _loss(level: Array, wanted: Array) -> float:
    return float((np.logaddexp(0.0, level) - wanted * level).sum())
