"""Scalers that see no future: `Standardiser` learns mean and deviation of the training part, `RollingStandardiser` those of the past bars.

Standard scores per feature, never across the features of a row. Costs one pass. Fails where a feature drifts away from the
training part: scores then wander off, which a rolling scaler follows at the price of forgetting the level.
"""

from __future__ import annotations

from typing import Self, final

import numpy as np

from tradewind.core.errors import DataError, NotFitted, StateError
from tradewind.core.settings import require
from tradewind.core.types import Array, Features, State

__all__ = ["RollingStandardiser", "Standardiser"]


@final
class Standardiser:
    """(x - mean) / deviation per feature, pooled over symbols, or per symbol with `per_symbol`.

    Only finite values of the rows it is fitted on count. A constant feature, or one without a value, has the deviation 1.
    """

    def __init__(self, per_symbol: bool = False) -> None:
        self.per_symbol = per_symbol
        self.names: tuple[str, ...] = ()
        self.symbols: tuple[str, ...] = ()
        self.mean: Array = np.empty(0)
        self.deviation: Array = np.empty(0)

    def fit(self, X: Features) -> Self:
        """Learn `mean` and `deviation` (population), each (feature,) or (symbol, feature), from the training rows."""
        axis = 0 if self.per_symbol else (0, 1)
        finite = np.isfinite(X.values)
        values = np.where(finite, X.values, 0.0)
        count = np.maximum(finite.sum(axis), 1)
        self.mean = values.sum(axis) / count
        distance = np.where(finite, X.values - self.mean, 0.0)
        # A second pass over the distances' own mean takes out what rounding left in the first.
        self.mean = self.mean + distance.sum(axis) / count
        distance = np.where(finite, X.values - self.mean, 0.0)
        deviation = np.sqrt((distance * distance).sum(axis) / count)
        constant = deviation <= 1e-12 * np.abs(self.mean)
        self.deviation = np.where(constant, 1.0, deviation)
        self.names, self.symbols = X.names, X.symbols
        return self

    def transform(self, X: Features) -> Features:
        """The same features as scores; NaN stays NaN. Raises NotFitted, and DataError when the features or symbols are others."""
        if not self.names:
            raise NotFitted("this Standardiser has learned nothing; call fit with the features of the training part first")
        if X.names != self.names:
            raise DataError(f"fitted on the features {list(self.names)}, asked for {list(X.names)}")
        if self.per_symbol and X.symbols != self.symbols:
            raise DataError(f"fitted per symbol on {list(self.symbols)}, asked for {list(X.symbols)}")
        scores = (X.values - self.mean) / self.deviation
        return Features(X.names, scores, X.warmup, X.open_time, X.known, X.symbols)

    def state(self) -> State:
        """What was learned."""
        values = {"names": list(self.names), "symbols": list(self.symbols), "per_symbol": self.per_symbol}
        return State(values, {"mean": self.mean.copy(), "deviation": self.deviation.copy()})

    def restore(self, state: State) -> Self:
        """Take over what another one has learned. Raises StateError when the state is not that of a Standardiser."""
        lacking = [key for key in ("names", "symbols", "per_symbol") if key not in state.values]
        lacking += [key for key in ("mean", "deviation") if key not in state.arrays]
        if lacking:
            raise StateError(f"the state lacks {lacking}; it is not one of a Standardiser")
        self.names, self.symbols = tuple(state.values["names"]), tuple(state.values["symbols"])
        self.per_symbol = bool(state.values["per_symbol"])
        self.mean, self.deviation = state.arrays["mean"].copy(), state.arrays["deviation"].copy()
        return self


@final
class RollingStandardiser:
    """(x - mean) / deviation over the last `window` rows of the same feature and symbol, the row itself included; nothing to fit.

    NaN rows are left out of their windows. A window without deviation gives 0, one with fewer than two values NaN.
    """

    def __init__(self, window: int) -> None:
        require(isinstance(window, int) and window >= 2, f"window must be a whole number of rows of at least 2, not {window!r}")
        self.window = window

    def transform(self, X: Features) -> Features:
        """The scores; a further `window` - 1 rows at the front are NaN."""
        values = X.values
        finite = np.isfinite(values)
        scores = np.full(values.shape, np.nan)
        count = np.zeros(values[self.window - 1 :].shape)
        first, second = np.zeros_like(count), np.zeros_like(count)
        if not len(count):
            return Features(X.names, scores, X.warmup + self.window - 1, X.open_time, X.known, X.symbols)
        newest = np.where(finite, values, 0.0)[self.window - 1 :]
        # Sums of distances from the newest value, lag by lag: the same additions for every row, and no drift.
        for lag in range(self.window):
            part = slice(self.window - 1 - lag, len(values) - lag)
            distance = np.where(finite[part], values[part] - newest, 0.0)
            count += finite[part]
            first += distance
            second += distance * distance
        count = np.maximum(count, 1.0)
        offset = first / count
        deviation = np.sqrt(np.maximum(second / count - offset * offset, 0.0))
        answered = finite[self.window - 1 :] & (count > 1.0)
        score = np.where(deviation > 0.0, -offset / np.where(deviation > 0.0, deviation, 1.0), 0.0)
        scores[self.window - 1 :] = np.where(answered, score, np.nan)
        if X.warmup:
            # A window that still reaches into the warm-up is not full.
            scores[: X.warmup + self.window - 1] = np.nan
        return Features(X.names, scores, X.warmup + self.window - 1, X.open_time, X.known, X.symbols)
