"""Tasks kept for the next time they are asked for, in memory or in a folder, at most so many; the oldest goes first.

An entry on disk is a `State` of core/files: numbers with their sha256 beside them, so a damaged or half-written one is noticed, told as
absent and written anew. Costs some milliseconds an entry written to disk, since every file is synced. Fails to pay for tasks that are cut
out of arrays in a fraction of that: it is meant for distributions that are slow to make a task. Processes that share a folder each keep to
the limit by the entries that they have seen.
"""

from __future__ import annotations

import re
import shutil
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Final, final

from tradewind.core.errors import DataError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.limits import whole
from tradewind.core.types import State

__all__ = ["TaskCache"]

_ENTRY: Final = re.compile(r"[0-9a-f]{16}-[0-9]+")


@final
class TaskCache:
    """Up to `size` states by (identity, index): in `folder`, or in memory where it is None. Threads may share it.

    `hits`, `misses` and `damaged` count what was asked for. Raises DataError where the folder is a file.
    """

    def __init__(self, size: int, folder: str | Path | None = None) -> None:
        whole(cache_size=size)
        self.size, self.folder = size, None if folder is None else Path(folder)
        self.hits = self.misses = self.damaged = 0
        self._lock = Lock()
        self._entries: OrderedDict[str, State | None] = OrderedDict()
        if self.folder is not None and self.folder.exists():
            if not self.folder.is_dir():
                raise DataError(f"{self.folder}: is a file; cache_dir is a folder, choose another place")
            # Only what looks like an entry is counted, and ever removed.
            found = [path for path in self.folder.iterdir() if _ENTRY.fullmatch(path.name) and path.is_dir()]
            found.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
            self._entries.update((path.name, None) for path in found)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, identity: str, index: int) -> State | None:
        """What was put there, or None."""
        name = _name(identity, index)
        with self._lock:
            known, state = name in self._entries, self._entries.get(name)
        if known and self.folder is not None:
            state = self._load(self.folder / name, identity)
        with self._lock:
            self.hits += state is not None
            self.misses += state is None
            self.damaged += known and state is None
        return state

    def put(self, identity: str, index: int, state: State) -> None:
        """Keep `state`, and let the oldest go where there are too many. Raises DataError where the folder cannot be written."""
        name = _name(identity, index)
        if self.folder is not None:
            told = State({**state.values, "identity": identity}, state.arrays)
            save_state(self.folder / name, told)
        with self._lock:
            self._entries.pop(name, None)
            self._entries[name] = state if self.folder is None else None
            gone = [self._entries.popitem(last=False)[0] for _ in range(len(self._entries) - self.size)]
        if self.folder is not None:
            for old in gone:
                shutil.rmtree(self.folder / old, ignore_errors=True)

    def _load(self, place: Path, identity: str) -> State | None:
        try:
            state = load_state(place)
        except (DataError, StateError):
            return None
        return state if state.values.get("identity") == identity else None


def _name(identity: str, index: int) -> str:
    return f"{identity[:16]}-{index}"
