"""Permutation importance that respects time: how much worse a fitted forecaster answers when one input's past is shuffled in blocks.

Papers: Breiman (2001), https://doi.org/10.1023/A:1010933404324; Fisher, Rudin, Dominici (2019), https://jmlr.org/papers/v20/18-760.html;
why single rows may not be shuffled: Politis & Romano (1992) on circular blocks, and Hooker, Mentch, Zhou (2021),
https://doi.org/10.1007/s11222-021-10057-z. Labels overlap and inputs remember, so a chance likeness of two slow series lasts for many rows:
shuffling single rows destroys it and calls it importance. Blocks as long as the memory keep it on both sides of the comparison.
Costs one forecast of the rows for each feature and repeat. Fails for inputs that stand in for each other, where each alone seems to matter
little, and with fewer than some ten blocks, which have too few orders to tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError
from tradewind.core.limits import whole
from tradewind.core.protocols import Forecaster
from tradewind.core.seeds import generator
from tradewind.core.types import Array, Features, Forecast, Labels
from tradewind.models.rows import finite_rows

__all__ = ["Importance", "block_order", "permutation_importance", "row_losses"]

LEAST: Final = 1e-15
"""Probabilities are kept this far from 0, as in `tradewind.stats.log_loss`."""
TAIL: Final = 0.05


@final
@dataclass(frozen=True, eq=False)
class Importance:
    """How the loss rises when a feature is shuffled. `names` (feature,), `loss` of the forecasts as they are over `rows` rows, in `unit`.

    `increase` (feature, repeat): the loss of each shuffle less `loss`. `block`: rows that stay together.
    """

    names: tuple[str, ...]
    loss: float
    unit: str
    rows: int
    block: int
    increase: Array

    @property
    def mean(self) -> Array:
        """(feature,) the mean increase."""
        return np.asarray(self.increase.mean(axis=1))

    @property
    def interval(self) -> tuple[Array, Array]:
        """(feature,) each: between them lie nine of ten shuffles."""
        low, high = np.quantile(self.increase, [TAIL, 1.0 - TAIL], axis=1)
        return low, high

    @property
    def chance(self) -> Array:
        """(feature,): how often a shuffled feature does at least as well as the true one, that one counted: near 0 where it matters.

        It is a p-value of the hypothesis that the feature's past and the answers have nothing to do with each other.
        """
        return np.asarray((1.0 + (self.increase <= 0.0).sum(axis=1)) / (1.0 + self.increase.shape[1]))

    @staticmethod
    def join(parts: Sequence[Importance]) -> Importance:
        """One of several test parts, weighted by their rows; repeat r of all is repeat r of each. Raises DataError when they differ."""
        first = parts[0]
        if any(part.names != first.names or part.increase.shape != first.increase.shape or part.unit != first.unit for part in parts):
            raise DataError("importances of other features, repeats or losses cannot be joined")
        rows = sum(part.rows for part in parts)
        share = [part.rows / rows for part in parts]
        increase = sum((part.increase * weight for part, weight in zip(parts, share, strict=True)), np.zeros_like(first.increase))
        loss = sum(part.loss * weight for part, weight in zip(parts, share, strict=True))
        return replace(first, loss=loss, rows=rows, block=max(part.block for part in parts), increase=increase)


def permutation_importance(
    forecaster: Forecaster,
    X: Features,
    y: Labels,
    *,
    first: int = 0,
    block: int | None = None,
    repeats: int = 20,
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> Importance:
    """How much the loss of a fitted `forecaster` rises on the rows of `X` from `first` on when one feature is shuffled.

    Hand the test rows and, before `first`, the `window` - 1 rows of history that answer the first of them: rows that were fitted on tell
    nothing. Each symbol's rows are cut into circular blocks of `block` rows, whose order is drawn; by default as many as the label looks
    ahead or the forecaster looks back, whichever is more, since in shorter blocks windows would hold pasts that never were. `names`: only
    these features. The loss is the log loss of the class, in nats, or the squared error of the mean.
    Raises DataError when no row has both a forecast and an answer, and SettingsError for settings that cannot be.
    """
    whole(repeats=repeats)
    whole(0, first=first)
    length = max(int(y.horizon), int(getattr(forecaster, "window", 1))) if block is None else block
    whole(block=length)
    chosen = X.names if names is None else X.select(list(names)).names
    true, unit = row_losses(forecaster.predict(X), y)
    counted = np.isfinite(true)
    counted[:first] = False
    if not counted.any():
        raise DataError(f"none of the {len(X) - first} rows has a forecast and a known answer; hand the test rows with their labels")
    weights = y.weights[counted]
    loss = float(np.average(true[counted], weights=weights))
    usable = finite_rows(X)
    increase = np.empty((len(chosen), repeats))
    for i, name in enumerate(chosen):
        for r in range(repeats):
            random = generator(seed, "permutation", name, r)
            shuffled = replace(X, values=_shuffled(X.values, usable, X.names.index(name), length, random))
            losses = row_losses(forecaster.predict(shuffled), y)[0]
            increase[i, r] = float(np.average(losses[counted], weights=weights)) - loss
    return Importance(tuple(chosen), loss, unit, int(counted.sum()), length, increase)


def row_losses(forecast: Forecast, y: Labels) -> tuple[Array, str]:
    """(time, symbol) the loss of each row, NaN without forecast or answer, and its unit: nats of log loss, or a squared return."""
    if forecast.probabilities is None:
        return (forecast.score() - y.values) ** 2, "squared error"
    classes = np.asarray(forecast.classes)
    place = np.clip(np.searchsorted(classes, np.nan_to_num(y.values)), 0, len(classes) - 1)
    said = np.take_along_axis(forecast.probabilities, place[:, :, None], axis=2)[:, :, 0]
    answered = np.isfinite(y.values) & np.isfinite(said)
    return np.where(answered, -np.log(np.maximum(np.where(answered, said, 1.0), LEAST)), np.nan), "nats of log loss"


def block_order(n: int, block: int, random: np.random.Generator) -> NDArray[np.int64]:
    """(n,) a permutation of the rows that keeps circular blocks of `block` rows together: a random start, then blocks in random order."""
    rows = (np.arange(n) + int(random.integers(n))) % n
    cuts = np.split(rows, range(block, n, block))
    return np.concatenate([cuts[k] for k in random.permutation(len(cuts))]).astype(np.int64)


def _shuffled(values: Array, usable: NDArray[np.bool_], feature: int, block: int, random: np.random.Generator) -> Array:
    """A copy in which one feature's usable rows of each symbol stand in another order; what is missing stays where it is."""
    changed = values.copy()
    for symbol in range(values.shape[1]):
        rows = np.flatnonzero(usable[:, symbol])
        if len(rows) > 1:
            changed[rows, symbol, feature] = values[
                rows[block_order(len(rows), min(block, math.ceil(len(rows) / 2)), random)], symbol, feature
            ]
    return changed
