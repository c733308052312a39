"""What a drift detector's alarms are worth where the changes are known: delay, misses, false alarms and their balance.

Source: Gama, Zliobaite, Bifet, Pechenizkiy & Bouchachia (2014), A Survey on Concept Drift Adaptation, https://doi.org/10.1145/2523813,
section 5.2 (mean time to detection, missed detections, false alarms); F1 as in Bifet (2017), see `stats/blind_detectors`.
Cost: O(alarms + changes). Fails where the changes are not known, which is every real stream: there a score of alarms is an opinion. A
horizon longer than the stretch between changes gives every alarm an excuse; it ends at the next change for that reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.errors import DataError
from tradewind.core.limits import whole

__all__ = ["AlarmScore", "score_alarms"]


@final
@dataclass(frozen=True)
class AlarmScore:
    """`found` and `missed` changes; `delay`: mean rows from a found change to its first alarm, NaN where none was found.

    `repeats`: further alarms for a change that was found already. `false_alarms`: those for no change; `per_1000` rows that belong to none,
    NaN where there are no such rows. `f1`: 2 found / (alarms + changes), between 0 and 1; NaN where there are neither.
    """

    found: int
    missed: int
    delay: float
    repeats: int
    false_alarms: int
    per_1000: float
    f1: float


def score_alarms(alarms: ArrayLike, changes: ArrayLike, rows: int, horizon: int) -> AlarmScore:
    """Score the rows of `alarms` (alarm,) against those where `changes` (change,) begin, in a stream of `rows` rows.

    A change is found by the first alarm in its `horizon` rows, itself among them, which end where the next change begins.
    Raises DataError for rows outside the stream or changes at one row.
    """
    whole(rows=rows, horizon=horizon)
    raised, begun = _rows(alarms, rows, "alarms"), _rows(changes, rows, "changes")
    if len(np.unique(begun)) < len(begun):
        raise DataError("two changes begin at one row; join them")
    ends = np.minimum(begun + horizon, np.append(begun[1:], rows))
    first, last = np.searchsorted(raised, begun), np.searchsorted(raised, ends)
    hits = last > first
    found = int(hits.sum())
    delay = float((raised[first[hits]] - begun[hits]).mean()) if found else math.nan
    for_changes = int((last - first).sum())
    quiet = rows - int((ends - begun).sum())
    false_alarms = len(raised) - for_changes
    per_1000 = 1000.0 * false_alarms / quiet if quiet else math.nan
    f1 = 2.0 * found / (len(raised) + len(begun)) if len(raised) or len(begun) else math.nan
    return AlarmScore(found, len(begun) - found, delay, for_changes - found, false_alarms, per_1000, f1)


def _rows(told: ArrayLike, rows: int, what: str) -> NDArray[np.int64]:
    found = np.sort(np.asarray(told, dtype=np.int64).ravel())
    if len(found) and (found[0] < 0 or found[-1] >= rows):
        raise DataError(f"{what} lie between rows {int(found[0])} and {int(found[-1])}, the stream has {rows}")
    return found
