"""Finished folds on disk: what each decided, and the fitted strategy that decided it, so that "why" can be answered later.

A row's folder holds one state a fold, `NNNN`, with its targets; inside stands `fit` wherever the strategy was fitted anew or learns as
it goes: its `state()` when the fold began. A strategy that cannot say its state is walked all the same; only the reason is kept.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final, final

from tradewind.core.errors import DataError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State, Targets

__all__ = ["FoldStore", "fit_of", "key_of"]

_FIT: Final = "fit"


@final
class FoldStore:
    """The folds of one row, good for one configuration on one market alone: `key` is the digest of both."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key = folder, key

    def targets(self, fold: int, shape: tuple[int, int]) -> Targets | None:
        """The (time, symbol) targets of a finished fold; None when it is missing, cut short, damaged, or of something else."""
        try:
            state = load_state(_place(self._folder, fold))
        except DataError:
            return None
        kept = state.arrays.get("targets")
        return kept if state.values.get("key") == self._key and kept is not None and kept.shape == shape else None

    def keep(self, fold: int, targets: Targets) -> None:
        """Write what a fold decided. Raises DataError when it cannot be written."""
        save_state(_place(self._folder, fold), State({"key": self._key}, {"targets": targets}))

    def keep_fit(self, fold: int, strategy: Any) -> None:
        """Write the strategy as it stands before it decides in `fold`, or why it cannot be written. Raises DataError for a full disk."""
        place, own = _place(self._folder, fold) / _FIT, State({"key": self._key})
        try:
            save_state(place, own.nest("strategy", strategy.state()))
        except DataError:
            raise
        except Exception as error:  # noqa: BLE001 - a stranger's class may fail in any way; its walk goes on, and explain tells what happened
            reason = f"{type(error).__name__}: {error}"
            save_state(place, State({"key": self._key, "reason": reason}))

    def fit(self, fold: int, pristine: Any) -> Any:
        """A copy of `pristine` as it stood after its fit in `fold`; None where that is not on disk, damaged, or of something else."""
        try:
            state, key = fit_of(self._folder, fold)
            return copy.deepcopy(pristine).restore(state) if key == self._key else None
        except Exception:  # noqa: BLE001 - whatever a file or a stranger's restore does wrong, the mend is the same: fit again
            return None


def fit_of(folder: Path, fold: int) -> tuple[State, str]:
    """The state of the strategy that was fitted in `fold` of the row at `folder`, and the key of its configuration.

    Raises DataError when there is none or the strategy could not give one, and Corrupt when a byte has changed.
    """
    place = _place(folder, fold) / _FIT
    state = load_state(place)
    if "strategy" not in state.values:
        raise DataError(f"{place}: the strategy could not be kept: {state.values.get('reason', 'no reason was written')}")
    return state.child("strategy"), str(state.values.get("key"))


def key_of(folder: Path, fold: int) -> str:
    """The key of the configuration that `fold` of the row at `folder` was decided under. Raises DataError and Corrupt as `fit_of` does."""
    return str(load_state(_place(folder, fold)).values.get("key"))


def _place(folder: Path, fold: int) -> Path:
    return folder / f"{fold:04d}"
