"""Mean, variance and effective number of returns as they come, older ones counting less: what sizing is fed with.

Source: exponentially weighted moments by the update of West (1979), https://doi.org/10.1145/359146.359153; RiskMetrics (1996) for its use
on returns; the effective number is that of Kish (1965), (sum of weights)^2 / sum of squared weights.
Cost: O(1) a return, three numbers a column. Fails where volatility jumps: an average answers over its half-life, not at once; and the
effective number takes returns for independent, so that trending returns look better known than they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import number
from tradewind.core.types import Array, State

__all__ = ["Moments", "RunningMoments", "running_moments"]


@final
@dataclass(frozen=True, eq=False)
class Moments:
    """`mean`, `variance` (unbiased) and effective number `n` of the returns so far, each (column,) or (time, column).

    Without a return the mean is NaN and n is 0; under two the variance is NaN.
    """

    mean: Array
    variance: Array
    n: Array


@final
class RunningMoments:
    """The moments of `columns` streams of returns, whose weights halve every `halflife` returns; NaN leaves a column's memory alone."""

    def __init__(self, columns: int = 1, *, halflife: float) -> None:
        number(halflife=halflife)
        self.halflife: Final = float(halflife)
        self._memory = np.zeros((4, columns))

    def update(self, returns: ArrayLike) -> Moments:
        """(column,) moments after the (column,) `returns` of one more period. Raises DataError for another number of columns."""
        row = np.atleast_1d(np.asarray(returns, dtype=np.float64))
        if row.shape != self._memory.shape[1:]:
            raise DataError(f"returns have shape {row.shape}, expected (column,) = {self._memory.shape[1:]}")
        mean, variance, n = _walk(row[None, :], 0.5 ** (1.0 / self.halflife), self._memory)
        return Moments(mean[0], variance[0], n[0])

    def state(self) -> State:
        """The half-life and the four sums of each column."""
        return State({"halflife": self.halflife}, {"memory": self._memory.copy()})

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError for other columns or another half-life."""
        memory = state.arrays.get("memory")
        if memory is None or memory.shape != self._memory.shape or state.values.get("halflife") != self.halflife:
            raise StateError(f"this state is not of {self._memory.shape[1]} columns with a half-life of {self.halflife:g}")
        self._memory = np.array(memory, dtype=np.float64)
        return self


def running_moments(returns: ArrayLike, *, halflife: float) -> Moments:
    """(time, column) moments of `returns` (time, column) or (time,), row t from rows <= t: to the bit what `RunningMoments` tells."""
    number(halflife=halflife)
    panel = np.asarray(returns, dtype=np.float64)
    if panel.ndim not in (1, 2):
        raise DataError(f"returns have shape {panel.shape}; expected (time, column) or (time,)")
    columns = np.ascontiguousarray(panel.reshape(len(panel), -1))
    mean, variance, n = _walk(columns, 0.5 ** (1.0 / halflife), np.zeros((4, columns.shape[1])))
    return Moments(mean.reshape(panel.shape), variance.reshape(panel.shape), n.reshape(panel.shape))


@kernel
def _walk(returns: Array, decay: float, memory: Array) -> tuple[Array, Array, Array]:
    """Rows of moments; `memory` (sum of weights, of squared weights, mean, weighted squares; column) is brought up to date in place."""
    mean, variance, n = np.full_like(returns, np.nan), np.full_like(returns, np.nan), np.zeros_like(returns)
    for t in range(returns.shape[0]):
        for k in range(returns.shape[1]):
            x = returns[t, k]
            if not np.isnan(x):
                total = decay * memory[0, k] + 1.0
                apart = x - memory[2, k]
                memory[1, k] = decay * decay * memory[1, k] + 1.0
                memory[2, k] += apart / total
                memory[3, k] = decay * memory[3, k] + apart * (x - memory[2, k])
                memory[0, k] = total
            if memory[0, k] > 0.0:
                n[t, k] = memory[0, k] ** 2 / memory[1, k]
                mean[t, k] = memory[2, k]
                if n[t, k] > 1.0:
                    # The divisor that makes the weighted sum of squares unbiased: total less the share of squared weights.
                    variance[t, k] = memory[3, k] / (memory[0, k] - memory[1, k] / memory[0, k])
    return mean, variance, n
