"""`DriftMonitor`: watches what goes into a deployed model, what comes true, and what its answers cost, against a reference part.

Papers: tests of `stats/distances` (Kolmogorov-Smirnov, population stability index), Holm (1979), https://www.jstor.org/stable/4615733, over
all columns; losses by a detector of one stream, ADWIN unless told otherwise; Rabanser, Guennemann & Lipton (2019), Failing Loudly,
https://arxiv.org/abs/1810.11953, for one test a column with such a correction.
Cost: a row is O(columns), a look O(columns * window log window); memory is the newest `window` rows and at most 2,000 values of each
column of the reference. Fails where the reference part is not typical of quiet times, and on columns that trend or have a memory as long as
the window: autocorrelation is paid for by the effective number of values, which knows only as much of it as the reference shows. `alpha` is
the chance of a false alarm at one look over all columns, so that looks at quiet times do err now and then; and columns that drift need not
harm the model, nor need the model's harm show in any column by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtrc

from tradewind.core.errors import DataError, NotFitted, StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require
from tradewind.core.types import Array, State
from tradewind.stats.adwin import Adwin
from tradewind.stats.detector import ChangeDetector
from tradewind.stats.distances import (
    bin_shares,
    index_of_shares,
    kolmogorov_p_value,
    kolmogorov_smirnov,
    memory_length,
    psi_edges,
    psi_limit,
    psi_p_value,
)
from tradewind.stats.skill import holm

__all__ = ["ColumnDrift", "DriftMonitor", "DriftReport", "LossDrift"]

KEPT: Final = 2000
"""Values of a column's reference that are kept, evenly spaced in order of size."""
VALUES_A_BIN: Final = 20
ALARMS: Final = 50
"""Alarms of the losses that are remembered, the newest."""
LAWS: Final = 3
"""Tests of a column at a look: distance, index, and missing values."""
ROWS, GAPS, WORTH = 0, 1, 2
"""Places in the facts of a reference: its rows, how many are missing, how many values make one independent one."""
DISTANCE, INDEX, LIMIT, CHANCE, MISSING, SINCE = range(6)
"""Places in what a look found; SINCE is NaN where there is no drift."""


@final
@dataclass(frozen=True)
class ColumnDrift:
    """One column at the last look: `drift` whether its distribution is another one than the reference's, `since` (row, from 0 at the
    reference's end) the oldest row of the window that first showed it.

    `distance`: Kolmogorov-Smirnov, 0 to 1. `psi`: the stability index, `psi_limit` what chance seldom passes. `p_value`: the least of
    the column's tests, corrected for all tests of the look. `missing`, `missing_before`: shares of NaN in the window and the reference.
    """

    name: str
    drift: bool
    since: int | None
    distance: float
    psi: float
    psi_limit: float
    p_value: float
    missing: float
    missing_before: float


@final
@dataclass(frozen=True)
class LossDrift:
    """`alarms`: the answers (from 0 at the reference's end) at which the losses' mean changed; `drift`: whether one lies in the newest
    window; `warning`: whether the last loss raised one. `before`, `now`: mean loss of the reference and of the newest window.
    """

    drift: bool
    warning: bool
    alarms: tuple[int, ...]
    before: float
    now: float


@final
@dataclass(frozen=True)
class DriftReport:
    """What is known after `rows` rows and `answers` answers: the columns at their last look (none before the first), the target at its own,
    and the losses; None where the reference had none.
    """

    rows: int
    answers: int
    columns: tuple[ColumnDrift, ...]
    target: ColumnDrift | None
    loss: LossDrift | None

    @property
    def drifted(self) -> tuple[str, ...]:
        """The names of all that has drifted, the strongest distance first; `loss` last."""
        watched = (*self.columns, *(() if self.target is None else (self.target,)))
        found = sorted((column for column in watched if column.drift), key=lambda column: -np.nan_to_num(column.distance, nan=1.0))
        return (*(column.name for column in found), *(("loss",) if self.loss is not None and self.loss.drift else ()))


@final
class DriftMonitor:
    """Watches `columns`: `fit` on a reference part, `update` with each row that a model is asked, `learn` with each answer that is known.

    `window`: newest rows that are compared with the reference; `every`: rows between looks (None: a window, so that looks share no row).
    `alpha`: chance of a false alarm at a look. `bins`: of the stability index, fewer where the window has under 20 values for each.
    `loss_detector`: of losses in units of the reference's deviation from its mean; ADWIN where None.
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        window: int = 250,
        every: int | None = None,
        alpha: float = 0.01,
        bins: int = 10,
        loss_detector: ChangeDetector | None = None,
    ) -> None:
        whole(2, window=window, bins=bins)
        whole(every=window if every is None else every)
        fraction(alpha=alpha)
        require(len(set(columns)) == len(columns) > 0, f"columns are {list(columns)}; they are one or more names, each once")
        self.columns: Final = tuple(columns)
        self.window, self.every, self.alpha, self.bins = window, window if every is None else every, alpha, bins
        self._detector = Adwin() if loss_detector is None else loss_detector
        # The target is the last column of everything here; its rows are the answers.
        self._reference = np.empty((0, len(columns) + 1))
        self._facts = np.zeros((3, len(columns) + 1))
        self._scale = np.full(2, np.nan)
        self._rows = np.full((window, len(columns)), np.nan)
        self._answers = np.full((window, 2), np.nan)
        self._counts = np.zeros(2, dtype=np.int64)
        self._found = np.full((6, len(columns) + 1), np.nan)
        self._alarms = np.empty(0, dtype=np.int64)

    def fit(self, features: ArrayLike, targets: ArrayLike | None = None, losses: ArrayLike | None = None) -> Self:
        """Take `features` (time, column) with `targets` (time,) and `losses` (time,) for what quiet times look like, and begin anew.

        NaN is a missing value. Raises DataError for other shapes, infinite values, a column with fewer than two values, and fewer rows
        than a window.
        """
        panel = np.asarray(features, dtype=np.float64)
        if panel.ndim != 2 or panel.shape[1] != len(self.columns) or len(panel) < self.window:
            raise DataError(f"the reference has shape {panel.shape}; expected ({self.window} or more rows, {len(self.columns)} columns)")
        values = [*panel.T, np.full(len(panel), np.nan) if targets is None else np.asarray(targets, dtype=np.float64)]
        for name, column in zip((*self.columns, "target"), values, strict=True):
            if column.shape != (len(panel),) or np.isinf(column).any():
                raise DataError(
                    f"the reference of {name} has shape {column.shape} or infinite values; expected {len(panel)} finite values or NaN"
                )
            if (~np.isnan(column)).sum() < 2 and (name != "target" or targets is not None):
                raise DataError(f"the reference of {name} has fewer than two values; leave it out")
        self._reference = np.column_stack([_thinned(column) for column in values])
        self._facts = np.array([[len(column), np.isnan(column).sum(), memory_length(column)] for column in values]).T
        self._scale = _location_and_scale(losses)
        self._rows[:], self._answers[:], self._found[:] = np.nan, np.nan, np.nan
        self._counts[:], self._alarms = 0, np.empty(0, dtype=np.int64)
        self._detector = type(self._detector)(**self._detector.settings)
        return self

    def update(self, features: ArrayLike) -> None:
        """Take in one row (column,) that the model is asked. Raises NotFitted before `fit`, DataError for a row that does not fit."""
        self._fitted()
        row = np.asarray(features, dtype=np.float64)
        if row.shape != (len(self.columns),) or np.isinf(row).any():
            raise DataError(
                f"row {self._counts[0]} has shape {row.shape} or infinite values; expected {len(self.columns)} finite values or NaN"
            )
        self._rows[self._counts[0] % self.window] = row
        self._counts[0] += 1
        self._look_when_due(0, self._rows, np.arange(len(self.columns)))

    def learn(self, target: float = math.nan, loss: float = math.nan) -> None:
        """Take in what is known now of an earlier answer: the truth and what the answer cost. Raises as `update`."""
        self._fitted()
        if math.isinf(target) or math.isinf(loss):
            raise DataError(f"answer {self._counts[1]} has an infinite target or loss")
        self._answers[self._counts[1] % self.window] = target, loss
        if not np.isnan(self._scale).any():
            self._detector.update((loss - self._scale[0]) / self._scale[1])
            if self._detector.drift:
                self._alarms = np.append(self._alarms, self._counts[1])[-ALARMS:]
        self._counts[1] += 1
        if self._facts[GAPS, -1] < self._facts[ROWS, -1]:
            self._look_when_due(1, self._answers, np.array([len(self.columns)]))

    def report(self) -> DriftReport:
        """What is known now. Raises NotFitted before `fit`."""
        self._fitted()
        rows, answers = (int(count) for count in self._counts)
        columns = tuple(self._column(place) for place in range(len(self.columns))) if rows >= self.window else ()
        target = None if np.isnan(self._found[CHANCE, -1]) else self._column(len(self.columns))
        return DriftReport(rows, answers, columns, target, self._loss())

    def state(self) -> State:
        """Everything but the settings, which `restore` expects to be the same."""
        arrays = {name: getattr(self, f"_{name}").copy() for name in _ARRAYS}
        return State({"columns": list(self.columns), "settings": self._settings()}, arrays).nest("detector", self._detector.state())

    def restore(self, state: State) -> Self:
        """Go on from `state` to the bit. Raises StateError for other columns, settings or another detector."""
        told = state.values.get("columns"), state.values.get("settings")
        if told != (list(self.columns), self._settings()):
            raise StateError(f"this state is of a monitor of {told[0]} with {told[1]}, not of {list(self.columns)} with {self._settings()}")
        missing = [name for name in _ARRAYS if name not in state.arrays]
        if missing:
            raise StateError(f"this state of a drift monitor lacks {', '.join(missing)}; it is not whole")
        self._detector.restore(state.child("detector"))
        for name in _ARRAYS:
            setattr(self, f"_{name}", np.array(state.arrays[name]))
        return self

    def _settings(self) -> dict[str, float]:
        return {"window": self.window, "every": self.every, "alpha": self.alpha, "bins": self.bins}

    def _fitted(self) -> None:
        if not len(self._reference):
            raise NotFitted("this drift monitor has no reference yet; call fit with the rows of a quiet part first")

    def _look_when_due(self, stream: int, ring: Array, places: np.ndarray) -> None:
        """Compare the window with the reference once it is full, and then at every `every`-th row."""
        count = int(self._counts[stream])
        if count < self.window or (count - self.window) % self.every:
            return
        chances = np.empty((len(places), LAWS))
        for k, place in enumerate(places):
            # The column of an answer's target is its first.
            chances[k] = self._compare(place, ring[:, k])
        adjusted = np.nan_to_num(holm(chances.ravel()), nan=1.0).reshape(chances.shape).min(axis=1)
        self._found[CHANCE, places] = adjusted
        begun = np.where(np.isnan(self._found[SINCE, places]), count - self.window, self._found[SINCE, places])
        self._found[SINCE, places] = np.where(adjusted <= self.alpha, begun, np.nan)

    def _compare(self, place: int, values: Array) -> tuple[float, float, float]:
        """The chances of the distance, the index and the missing values of a window; what they are goes into what the look found."""
        reference = self._reference[:, place][~np.isnan(self._reference[:, place])]
        rows, gaps, worth = self._facts[:, place]
        missing = np.isnan(values)
        held, before = values[~missing], (rows - gaps) / worth
        gap_chance = 1.0
        if missing.any():
            # One more of each than was seen, since a share of exactly none would be surprised by the first.
            share = (gaps + 1.0) / (rows + 2.0)
            gap_chance = float(bdtrc(math.floor(missing.sum() / worth) - 1.0, math.ceil(len(values) / worth), share))
        self._found[:CHANCE, place] = np.nan
        self._found[MISSING, place] = missing.mean()
        if not len(held):
            return math.nan, math.nan, gap_chance
        now = len(held) / worth
        bins = max(2, min(self.bins, int(now / VALUES_A_BIN), len(reference)))
        distance, edges = kolmogorov_smirnov(reference, held).distance, psi_edges(reference, bins)
        self._found[[DISTANCE, INDEX], place] = distance, 0.0
        index_chance = math.nan
        if len(edges):
            # Values that repeat make fewer bins than were asked for; those of a constant none, which the distance sees to.
            index = index_of_shares(bin_shares(reference, edges), bin_shares(held, edges))
            index_chance = psi_p_value(index, before, now, len(edges) + 1)
            self._found[[INDEX, LIMIT], place] = index, psi_limit(before, now, len(edges) + 1, self.alpha)
        return kolmogorov_p_value(distance, before, now), index_chance, gap_chance

    def _column(self, place: int) -> ColumnDrift:
        found, rows = self._found[:, place], self._facts[ROWS, place]
        since = None if np.isnan(found[SINCE]) else int(found[SINCE])
        name = (*self.columns, "target")[place]
        distance, index, limit, chance, missing = (float(found[k]) for k in (DISTANCE, INDEX, LIMIT, CHANCE, MISSING))
        before = float(self._facts[GAPS, place] / rows)
        return ColumnDrift(name, since is not None, since, distance, index, limit, chance, missing, before)

    def _loss(self) -> LossDrift | None:
        if np.isnan(self._scale).any():
            return None
        losses = self._answers[:, 1][~np.isnan(self._answers[:, 1])]
        recent = bool((self._alarms >= self._counts[1] - self.window).any())
        now = float(losses.mean()) if len(losses) else math.nan
        return LossDrift(recent, self._detector.warning, tuple(self._alarms.tolist()), float(self._scale[0]), now)


_ARRAYS: Final = ("reference", "facts", "scale", "rows", "answers", "counts", "found", "alarms")


def _thinned(column: Array) -> Array:
    """(KEPT,) values evenly spaced in order of size, NaN after the last where there are fewer."""
    values = np.sort(column[~np.isnan(column)])
    if len(values) > KEPT:
        values = values[np.linspace(0, len(values) - 1, KEPT).round().astype(np.int64)]
    return np.concatenate([values, np.full(KEPT - len(values), np.nan)])


def _location_and_scale(losses: ArrayLike | None) -> Array:
    """(2,) mean and deviation of the losses; both NaN without any. Losses that never vary have a deviation of 1, so that they divide."""
    if losses is None:
        return np.full(2, np.nan)
    told = np.asarray(losses, dtype=np.float64)
    told = told[~np.isnan(told)]
    if told.ndim != 1 or len(told) < 2 or np.isinf(told).any():
        raise DataError("the reference's losses are (time,) finite values or NaN, at least two of them")
    return np.array([told.mean(), told.std() or 1.0])
