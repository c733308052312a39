"""`Checkpoints`: where a run of learning stood, as folders of plain data, so that a killed run goes on as if it had never stopped.

A checkpoint is a folder of its own whose manifest is written last: one that was cut short has none, and is no checkpoint. Each costs
what the agent remembers in bytes, twice in memory and three times on disk while it is written. Fails, with an error that says what to
delete, where the newest is damaged.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray

from tradewind.core.errors import Corrupt, DataError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State

__all__ = ["Checkpoints", "random_state", "set_random_state"]

KEPT: Final = 2


@final
class Checkpoints:
    """The checkpoints of one run, the newest two of them, in `folder/checkpoints`. `identity` is what the run is a run of."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder, self.identity = folder / "checkpoints", identity

    def save(self, step: int, state: State) -> None:
        """Write one, and forget all but the newest two. Raises DataError when it cannot be written."""
        save_state(self.folder / f"{step:012d}", State({**state.values, "identity": dict(self.identity)}, state.arrays))
        complete = self._complete()
        for place in self.folder.iterdir():
            if place not in complete[-KEPT:]:
                shutil.rmtree(place, ignore_errors=True)

    def newest(self) -> State | None:
        """The newest one; None where there is none yet.

        Raises Corrupt, with what to do, when it is damaged, and StateError when it is of another run.
        """
        complete = self._complete()
        if not complete:
            return None
        try:
            state = load_state(complete[-1])
        except DataError as error:
            rest = f"the checkpoint before it, {complete[-2].name}" if len(complete) > 1 else "the start"
            raise Corrupt(f"{error}; or delete {complete[-1]} and the run goes on from {rest}") from None
        theirs = state.values.get("identity", {})
        other = sorted(key for key in self.identity.keys() | theirs.keys() if self.identity.get(key) != theirs.get(key))
        if other:
            told = "; ".join(f"{key}: {theirs.get(key)!r} there, {self.identity.get(key)!r} here" for key in other)
            seen = "; what is seen first tells markets apart, and environments that no seed fixes" if "observations" in told else ""
            raise StateError(f"{self.folder.parent} holds another run ({told}{seen}); choose another folder, or delete this one")
        return state

    def _complete(self) -> list[Path]:
        return sorted(place.parent for place in self.folder.glob("*/manifest.json"))


def random_state() -> dict[str, NDArray[Any]]:
    """Where torch's random streams stand."""
    told = {"cpu": torch.get_rng_state().numpy().copy()}
    for number in range(torch.cuda.device_count()):
        told[f"cuda{number}"] = torch.cuda.get_rng_state(number).numpy().copy()
    return told


def set_random_state(streams: Mapping[str, NDArray[Any]]) -> None:
    """Let torch's random streams stand where `random_state` found them; those of devices that are not here are left out."""
    torch.set_rng_state(torch.from_numpy(np.array(streams["cpu"])))
    for number in range(torch.cuda.device_count()):
        if f"cuda{number}" in streams:
            torch.cuda.set_rng_state(torch.from_numpy(np.array(streams[f"cuda{number}"])), number)
