"""Which bars train and which test: walk-forward, purged k-fold and combinatorial purged cross-validation.

Paper: Lopez de Prado (2018), Advances in Financial Machine Learning, chapters 7 and 12, https://www.wiley.com/en-us/9781119482086.
Cost: O(rows) a split. Fails to protect when features look further back than the embargo and labels are forecast from their own overlap.

Rows are bars; a training row is purged when the bars its label looks at overlap those of any test label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError
from tradewind.core.limits import whole
from tradewind.core.settings import require
from tradewind.core.types import Array, Labels

__all__ = ["CombinatorialPurged", "Fold", "PurgedKFold", "WalkForward", "label_ends"]

Rows = NDArray[np.int64]


@final
@dataclass(frozen=True)
class Fold:
    """One fold of a walk-forward: bars to fit on, and the bars after them to test on. Unpacks as `train, test = fold`."""

    train: slice
    test: slice

    def __iter__(self) -> Iterator[slice]:
        return iter((self.train, self.test))


@final
@dataclass(frozen=True)
class WalkForward:
    """Fit on the past, test on what follows, step on. All in whole bars.

    `train`: bars before a test part; the first test part begins at bar `train`.
    `test`: bars tested. The last test part has the bars that are left.
    `step`: bars from the start of one test part to the next; `test` when not given, so that every bar after the first training part is
    tested exactly once. A smaller step tests bars again, a larger one leaves some out.
    `anchored`: train on everything before, from bar 0, instead of rolling along.
    `embargo`: bars at the end of the training part that are left out. None are needed for labels: answers that are not known by the end
    of the training part do not exist for it. An embargo is for slower leaks, such as a close that is known late.

    Raises SettingsError for windows that cannot be.
    """

    train: int
    test: int
    step: int | None = None
    anchored: bool = False
    embargo: int = 0

    def __post_init__(self) -> None:
        whole(train=self.train, test=self.test, step=1 if self.step is None else self.step)
        require(
            0 <= self.embargo < self.train, f"embargo is {self.embargo} of {self.train} training bars; it leaves at least 1 to train on"
        )

    def split(self, bars: int) -> Iterator[Fold]:
        """The folds of a history of `bars` bars, in order. Raises SettingsError when not even one fits."""
        require(bars > self.train, f"train is {self.train} bars of {bars}: nothing is left to test; shorten it or bring more bars")
        for start in range(self.train, bars, self.step or self.test):
            first = 0 if self.anchored else start - self.train
            yield Fold(slice(first, start - self.embargo), slice(start, min(start + self.test, bars)))

    def count(self, bars: int) -> int:
        """How many folds `split(bars)` gives."""
        return sum(1 for _ in self.split(bars))


def label_ends(labels: Labels | Sequence[int] | NDArray[np.int64]) -> Rows:
    """(time,) row of the last bar that any label of a row looks at, its own row where there is no label.

    `labels`: Labels, or their `end` as (time,) or (time, symbol) with -1 for none. Raises DataError for an end before its own row.
    """
    end = labels.end if isinstance(labels, Labels) else np.asarray(labels)
    if end.ndim not in (1, 2) or not np.issubdtype(end.dtype, np.integer):
        raise DataError(f"label ends have shape {end.shape} and type {end.dtype}; expected row numbers (time,) or (time, symbol)")
    last = end.reshape(len(end), -1).max(axis=1, initial=-1).astype(np.int64)
    own = np.arange(len(last))
    wrong = np.flatnonzero((last >= 0) & (last < own))
    if len(wrong):
        raise DataError(f"the label of row {wrong[0]} ends at row {last[wrong[0]]}, before it begins; ends count rows of the whole history")
    return np.asarray(np.maximum(last, own))


def _training_rows(end: Rows, tested: NDArray[np.bool_], embargo: int) -> Rows:
    """Rows to train on: their label spans meet no span of a tested row, and they are not within `embargo` bars after one."""
    n = len(end)
    own = np.arange(n)
    # Bars that test labels look at, as a running count of open spans; the embargo lengthens each span.
    change = np.zeros(n + 1, dtype=np.int64)
    np.add.at(change, own[tested], 1)
    np.add.at(change, np.minimum(end[tested] + embargo, n - 1) + 1, -1)
    covered = np.concatenate([[0], np.cumsum(np.cumsum(change[:n]) > 0)])
    # A training span itself is not lengthened: an embargo only holds back rows that come after the test.
    strict = change * 0
    np.add.at(strict, own[tested], 1)
    np.add.at(strict, np.minimum(end[tested], n - 1) + 1, -1)
    looked = np.concatenate([[0], np.cumsum(np.cumsum(strict[:n]) > 0)])
    span = np.minimum(end, n - 1)
    free = (looked[span + 1] == looked[own]) & (covered[own + 1] == covered[own])
    return np.flatnonzero(free & ~tested)


def _edges(rows: int, parts: int) -> Rows:
    return np.linspace(0, rows, parts + 1).round().astype(np.int64)


@final
@dataclass(frozen=True)
class PurgedKFold:
    """`folds` contiguous test parts; each is tested by a model of the rows on both sides, purged, and embargoed on its right.

    `embargo`: bars after the last bar that a test label looks at that are not trained on, because what follows a test still
    remembers it. For judging a forecaster, not a strategy: training on the future is never what an account could have done.
    """

    folds: int = 5
    embargo: int = 0

    def __post_init__(self) -> None:
        whole(2, folds=self.folds)
        whole(0, embargo=self.embargo)

    def split(self, labels: Labels | Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[Rows, Rows]]:
        """(training rows, test rows), row numbers in ascending order, fold by fold. Raises SettingsError with more folds than rows."""
        for train, test, _ in CombinatorialPurged(self.folds, 1, self.embargo).split(labels):
            yield train, test


@final
@dataclass(frozen=True)
class CombinatorialPurged:
    """Every choice of `test_groups` out of `groups` contiguous groups is tested once by a model of the other rows.

    `embargo`: as in PurgedKFold, after every run of test rows. The tests of all splits make `path_count` whole histories, each
    row forecast out of sample: a distribution of results in place of one. 6 groups by 2 make 15 splits and 5 paths.
    """

    groups: int = 6
    test_groups: int = 2
    embargo: int = 0

    def __post_init__(self) -> None:
        require(self.groups >= 2, f"groups is {self.groups}; at least 2 are needed")
        require(
            1 <= self.test_groups < self.groups,
            f"test_groups is {self.test_groups} of {self.groups} groups; at least 1 tests and at least 1 trains",
        )
        require(self.embargo >= 0, f"embargo is {self.embargo} bars; it cannot be negative")

    @property
    def split_count(self) -> int:
        """Splits: groups choose test_groups."""
        return comb(self.groups, self.test_groups)

    @property
    def path_count(self) -> int:
        """Whole histories that the tests can be put together to: each group is tested in this many splits."""
        return comb(self.groups - 1, self.test_groups - 1)

    def split(self, labels: Labels | Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[Rows, Rows, tuple[int, ...]]]:
        """(training rows, test rows, the numbers of the tested groups), split by split in lexical order of the groups.

        Raises SettingsError when there are more groups than rows.
        """
        end = label_ends(labels)
        require(len(end) >= self.groups, f"{len(end)} rows cannot be cut into {self.groups} groups; use fewer groups or more rows")
        group = np.searchsorted(_edges(len(end), self.groups), np.arange(len(end)), side="right") - 1
        for chosen in combinations(range(self.groups), self.test_groups):
            tested = np.isin(group, chosen)
            yield _training_rows(end, tested, self.embargo), np.flatnonzero(tested), chosen

    def paths(self) -> Rows:
        """(path, group) number of the split whose test of that group belongs to the path; every split's tests are used exactly once."""
        splits = list(combinations(range(self.groups), self.test_groups))
        holders = [[i for i, chosen in enumerate(splits) if group in chosen] for group in range(self.groups)]
        return np.array(holders, dtype=np.int64).T

    def assemble(self, forecasts: Sequence[Array]) -> Array:
        """(path, time) out-of-sample histories of `forecasts`, one (time,) array a split with its answers in its test rows.

        Raises DataError when the number of splits or their lengths do not fit.
        """
        if len(forecasts) != self.split_count or len({np.shape(f) for f in forecasts}) != 1 or np.ndim(forecasts[0]) != 1:
            raise DataError(f"{len(forecasts)} forecasts given; expected one (time,) array for each of {self.split_count} splits")
        panel, edges = np.stack(forecasts), _edges(len(forecasts[0]), self.groups)
        parts = [panel[self.paths()[:, g], edges[g] : edges[g + 1]] for g in range(self.groups)]
        return np.concatenate(parts, axis=1)
