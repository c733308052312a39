"""Kept tasks: bounded, verified, and gone oldest first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.types import State
from tradewind.meta.task_cache import TaskCache

ONE, OTHER = "a" * 64, "b" * 64


def state(number: float) -> State:
    return State({"quality": number}, {"support_data": np.full(3, number, np.float32)})


@pytest.mark.parametrize("on_disk", [False, True])
def test_the_oldest_goes_first(on_disk: bool, tmp_path: Path) -> None:
    cache = TaskCache(3, tmp_path / "tasks" if on_disk else None)
    for index in range(5):
        cache.put(ONE, index, state(index))
    assert [cache.get(ONE, index) is not None for index in range(5)] == [False, False, True, True, True]
    assert cache.get(OTHER, 4) is None and len(cache) == 3 and (cache.hits, cache.misses, cache.damaged) == (3, 3, 0)
    kept = cache.get(ONE, 4)
    assert kept is not None and kept.values["quality"] == 4 and kept.arrays["support_data"].tolist() == [4.0, 4.0, 4.0]
    if on_disk:
        assert len(list((tmp_path / "tasks").iterdir())) == 3


def test_another_process_finds_what_was_kept_and_keeps_to_the_bound(tmp_path: Path) -> None:
    mine = tmp_path / "notes"
    mine.mkdir()
    first = TaskCache(5, tmp_path)
    for index in range(5):
        first.put(ONE, index, state(index))
    again = TaskCache(3, tmp_path)
    assert again.get(ONE, 0) is not None
    again.put(OTHER, 7, state(7))
    assert len(again) == 3 and again.get(OTHER, 7) is not None and again.get(ONE, 0) is None
    # What is no entry is never touched.
    assert mine.is_dir() and len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("file", ["state.json", "arrays.npz", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_entry_is_none(file: str, damage: str, tmp_path: Path) -> None:
    cache = TaskCache(3, tmp_path)
    cache.put(ONE, 0, state(1.5))
    path = tmp_path / f"{ONE[:16]}-0" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    assert cache.get(ONE, 0) is None and cache.damaged == 1
    cache.put(ONE, 0, state(1.5))
    assert cache.get(ONE, 0) == State({"quality": 1.5, "identity": ONE}, state(1.5).arrays)


def test_an_entry_of_another_identity_is_none(tmp_path: Path) -> None:
    cache = TaskCache(3, tmp_path)
    cache.put(ONE, 0, state(1.0))
    assert cache.get("a" * 16 + "c" * 48, 0) is None


def test_faults(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file; cache_dir is a folder"):
        TaskCache(3, tmp_path / "file")
    with pytest.raises(SettingsError, match="cache_size is 0"):
        TaskCache(0)
