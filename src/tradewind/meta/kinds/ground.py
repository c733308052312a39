"""`Ground`: what all kinds of task stand on: a market, its scaled features, its volatility, and the part that tasks are drawn from.

Features are scored with mean and deviation of the training part: its rows and its symbols alone. Costs the features of the market once.
Fails where the later parts have left the levels of the training part behind: scores then wander off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tradewind.core.arrays import Array
from tradewind.core.errors import DataError
from tradewind.core.market import Market
from tradewind.core.types import Features
from tradewind.features import Standardiser
from tradewind.features.catalog import resolve
from tradewind.labels import trailing_volatility
from tradewind.meta.kinds.series import Inputs, Rows, Series
from tradewind.meta.task_parts import Division, Part

__all__ = ["Ground", "each_symbol", "stand", "window_volatility"]


@final
@dataclass(frozen=True, eq=False)
class Ground:
    """`inputs` (time, symbol, feature) float32 scores; `there` (time, symbol): the sample's whole window of inputs is finite;
    `volatility` (time, symbol) a bar, known at its close; `part` is drawn from, `division.train` is what may be learned from.
    """

    market: Market
    inputs: Inputs
    there: NDArray[np.bool_]
    volatility: Array
    division: Division
    part: Part
    window: int
    scaler: Standardiser

    def series(
        self,
        columns: tuple[int, ...],
        panels: tuple[tuple[Inputs, tuple[int, ...]], ...],
        samples: tuple[Rows, Rows, NDArray[np.float64], NDArray[np.float64]],
        stride: int,
        classes: bool,
    ) -> Series:
        """The samples (rows, ends, labels, returns) that lie in the part with their inputs and labels."""
        rows, ends, labels, returns = samples
        inside = (rows >= self.part.first) & (ends < self.part.stop) & self.there[rows[:, None], columns].all(axis=1)
        inside &= np.isfinite(labels if labels.ndim == 1 else labels.sum(axis=1))
        rows, ends = rows[inside], ends[inside]
        return Series(
            symbols=tuple(self.market.symbols[column] for column in columns),
            panels=panels,
            rows=rows,
            ends=ends,
            times=self.market.known[rows],
            known=self.market.known[ends],
            labels=labels[inside].astype(np.int64 if classes else np.float32),
            returns=returns[inside].astype(np.float32),
            stride=stride,
            window=self.window,
        )


def stand(market: Market, X: Features, division: Division, split: str, window: int, span: int) -> Ground:
    """A ground over `market` with the features `X`, for tasks of `split`; a sample's input is the last `window` rows.

    `span`: bars of the trailing volatility. Raises DataError for a feature that has no value in the training part.
    """
    train = division.train
    values = X.values[train.first : train.stop, train.columns]
    told = [name for i, name in enumerate(X.names) if not np.isfinite(values[:, :, i]).any()]
    if told:
        volume = [feature.name for feature in resolve(list(X.names)) if feature.name in told and "volume" in feature.inputs]
        mend = "the market has no volume; choose other features, such as 'relative-price'" if volume else "give more bars"
        raise DataError(f"the features {told} have no value in the {train.stop} bars of the training part; {mend}")
    rows = slice(train.first, train.stop)
    learned = Features(X.names, values, X.warmup, X.open_time[rows], X.known[rows], tuple(X.symbols[c] for c in train.columns))
    scaler = Standardiser().fit(learned)
    inputs = scaler.transform(X).values.astype(np.float32)
    there = np.asarray(np.isfinite(inputs).all(axis=2))
    if window > 1:
        whole = np.zeros_like(there)
        if len(there) >= window:
            whole[window - 1 :] = sliding_window_view(there, window, axis=0).all(axis=2)
        there = whole
    return Ground(market, inputs, there, trailing_volatility(market, span), division, division.part(split), window, scaler)


def each_symbol(ground: Ground, horizon: int, stride: int, classify: Callable[[Array, Array], Array]) -> list[Series]:
    """A series for each symbol of the part, labelled by what follows in its next `horizon` bars; the symbol counts its own bars.

    `classify(closes, volatility)` takes a symbol's closes (bar,) and the volatility at each and gives the class (bar - horizon,), NaN for
    none.
    """
    found = []
    for column in ground.part.columns:
        bars = np.flatnonzero(~np.isnan(ground.market.close[:, column]))
        if len(bars) <= horizon:
            continue
        closes = ground.market.close[bars, column]
        labels = classify(closes, ground.volatility[bars, column])
        returns = closes[horizon:] / closes[:-horizon] - 1.0
        samples = (bars[:-horizon], bars[horizon:], labels, returns)
        found.append(ground.series((column,), ((ground.inputs, (column,)),), samples, stride, classes=True))
    return found


def window_volatility(closes: Array, horizon: int) -> Array:
    """(bar - horizon,) root mean square simple return over the next `horizon` bars of each."""
    squares = np.square(closes[1:] / closes[:-1] - 1.0)
    total = np.zeros(len(closes) - horizon)
    for ahead in range(horizon):
        total += squares[ahead : ahead + len(total)]
    return np.sqrt(total / horizon)
