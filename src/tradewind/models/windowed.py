"""Windows of standardised rows for a net: which there are, which are learned from, and what was strange about them.

Source: standard scores of the training rows alone, so that nothing of the later part is seen. Costs one pass over the rows and an index of
windows. Fails where a feature drifts far from its training part: scores beyond 20 deviations count as 20.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tradewind.core.errors import DataError
from tradewind.core.types import Array, Features, State
from tradewind.features.scale import Standardiser
from tradewind.models.rows import Rows, finite_rows
from tradewind.nets.windows import Windows, windows

__all__ = ["REACH", "Lessons", "WindowedRows", "as_tensor", "places"]

REACH: Final = 2
"""A window's rows are found among the last REACH times as many rows of the panel."""
FARTHEST: Final = 20.0


@final
@dataclass(frozen=True, eq=False)
class Lessons:
    """`windows` (sample,) that end in a row to learn from, and that row's number (sample,) among the rows."""

    windows: Windows
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


@final
class WindowedRows:
    """Windows of `size` standardised rows, each of one symbol; with `gaps` false none crosses missing time.

    `scaler` and `step`, the length of a bar in ns, are learned by `fit`.
    """

    def __init__(self, size: int, gaps: bool = True) -> None:
        self.size, self.gaps = size, gaps
        self.scaler = Standardiser()
        self.step = 1

    def fit(self, X: Features, rows: Rows) -> Self:
        """Learn the standard scores from `rows`, which stand in `X`, and the length of a bar from both.

        Raises DataError for a feature with numbers so large that their squares are none.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            self.scaler.fit(rows.panel(X))
        for number in np.flatnonzero(~np.isfinite(self.scaler.mean + self.scaler.deviation)):
            row = int(np.abs(rows.X[:, number]).argmax())
            what = f"feature {X.names[number]!r} is {rows.X[row, number]:g} in {_where(X, rows, row)}"
            raise DataError(f"{what}: too large to be standardised; mend the bars there or leave the feature out")
        self.step = _step(X)
        return self

    def find(self, X: Features) -> Windows:
        """Every window of `X`, as standard scores within 20 deviations."""
        # Outliers beyond what a standard score can mean would drown the rest of their window.
        return self._windows(X, np.clip(self.scaler.transform(X).values, -FARTHEST, FARTHEST))

    def answerable(self, X: Features) -> NDArray[np.bool_]:
        """(time, symbol): the rows of `X` that have a whole window up to them, fitted or not."""
        return places(self._windows(X, X.values), X)

    def lessons(self, X: Features, rows: Rows, stride: int = 1) -> Lessons | None:
        """The windows that end in one of `rows`, `stride` times apart, the newest among them; None when there is none."""
        number = np.full(X.values.shape[:2], -1, dtype=np.int64)
        number[rows.time, rows.symbol] = np.arange(len(rows))
        found = self.find(X) if len(rows) else None
        if found is None or not (number[found.time, found.symbol] >= 0).any():
            return None
        row = number[found.time, found.symbol]
        newest = found.time[row >= 0].max()
        kept = (row >= 0) & ((newest - found.time) % stride == 0)
        return Lessons(found.take(kept), row[kept])

    def numbers(self, X: Features, found: Windows) -> NDArray[np.int64]:
        """(window,): where each window ends by the bar's own time and the symbol, whatever history it was found in."""
        return np.asarray(X.open_time[found.time] // self.step + found.symbol)

    def notes(self, rows: Rows) -> tuple[str, ...]:
        """What is out of the ordinary in `rows`: features of one value, and labels of one class, which leave nothing to train."""
        still = rows.X.max(axis=0) == rows.X.min(axis=0)
        constant = (name for name, same in zip(rows.task.names, still, strict=True) if same)
        notes = tuple(f"feature {name!r} is constant in the training part: it teaches nothing" for name in constant)
        if rows.task.settled:
            only = rows.task.classes[rows.task.present[0]]
            notes += (f"the training part has the class {only:g} alone: no net was trained, and the answer is always that class",)
        return notes

    def strangest(self, X: Features, rows: Rows) -> str:
        """In words, the input of `rows` whose standard score is the farthest from zero."""
        scores = np.abs((rows.X - self.scaler.mean) / self.scaler.deviation)
        row, feature = (int(number) for number in np.unravel_index(int(scores.argmax()), scores.shape))
        what = f"{rows.X[row, feature]:.6g}, {scores[row, feature]:.4g} deviations from its mean"
        return f"the strangest input is feature {X.names[feature]!r} in {_where(X, rows, row)}: {what}"

    def state(self) -> State:
        """What was learned."""
        return State({"step": self.step}).nest("scaler", self.scaler.state())

    def restore(self, state: State) -> Self:
        """Take over what another one has learned. Raises StateError when the state is none of these."""
        self.scaler.restore(state.child("scaler"))
        self.step = int(state.values.get("step", 1))
        return self

    def _windows(self, X: Features, values: Array) -> Windows:
        return windows(values, finite_rows(X), self.size, REACH * self.size, X.open_time, None if self.gaps else _step(X))


def places(found: Windows, X: Features) -> NDArray[np.bool_]:
    """(time, symbol): where in `X` the windows end."""
    ends = np.zeros(X.values.shape[:2], dtype=np.bool_)
    ends[found.time, found.symbol] = True
    return ends


def as_tensor(column: Array) -> Tensor:
    """The same numbers as a float32 tensor."""
    return torch.from_numpy(column.astype(np.float32))


def _where(X: Features, rows: Rows, row: int) -> str:
    return f"row {rows.time[row]} of {X.symbols[rows.symbol[row]]}"


def _step(X: Features) -> int:
    return max(1, int((X.known - X.open_time).min()))
