"""`Lesson`: inputs and answers for the checks of forecasters, with gaps, and with a column that is nearly the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from tradewind.core.clock import HOUR
from tradewind.core.seeds import generator
from tradewind.core.types import Features, Labels

__all__ = ["Lesson", "lesson"]

SYMBOLS: Final = ("ALFA", "BRAVO")
COLUMNS: Final = ("signal", "other", "slow", "constant", "uniform")


@final
@dataclass(frozen=True)
class Lesson:
    """Inputs and answers to learn from: the sign of the first column is most of the answer."""

    X: Features
    y: Labels

    def rows(self, rows: slice) -> Lesson:
        """Some of the rows."""
        y = self.y
        return Lesson(self.X[rows], replace(y, values=y.values[rows], known=y.known[rows], end=y.end[rows], weights=y.weights[rows]))

    def alone(self) -> Lesson:
        """The same in memory of its own."""
        X, y = self.X, self.y
        apart = replace(X, values=X.values.copy(), open_time=X.open_time.copy(), known=X.known.copy())
        return Lesson(apart, replace(y, values=y.values.copy(), known=y.known.copy(), end=y.end.copy(), weights=y.weights.copy()))


def lesson(seed: int, classes: tuple[float, ...], rows: int) -> Lesson:
    """`rows` rows with gaps in the inputs and the answers; classes (), (-1, 1) or (-1, 0, 1)."""
    random = generator(seed, "checks", "lesson", len(classes))
    shape = (rows, len(SYMBOLS))
    values = random.standard_normal((*shape, len(COLUMNS)))
    values[:, :, 2] = np.cumsum(values[:, :, 2], axis=0) / 10
    values[:, :, 3] = 1.0
    values[:, :, 4] = random.uniform(size=shape)
    answer = 0.02 * np.tanh(2 * values[:, :, 0]) + 0.003 * random.standard_normal(shape)
    if classes:
        edges = np.quantile(answer, np.linspace(0, 1, len(classes) + 1)[1:-1])
        answer = np.asarray(classes)[np.searchsorted(edges, answer)]
    values[random.uniform(size=shape) < 0.04] = np.nan
    values[:12] = np.nan
    answer[random.uniform(size=shape) < 0.04] = np.nan
    answer[-1] = np.nan
    open_time = HOUR * (400_000 + np.arange(rows, dtype=np.int64) + 9 * (np.arange(rows) > rows // 2))
    known = np.repeat((open_time + 2 * HOUR)[:, None], len(SYMBOLS), axis=1)
    end = np.where(np.isnan(answer), -1, np.minimum(np.arange(rows)[:, None] + 1, rows - 1))
    X = Features(COLUMNS, values, 12, open_time, open_time + HOUR, SYMBOLS)
    return Lesson(X, Labels(answer, known, end, random.uniform(0.5, 1.5, shape), classes, 1))
