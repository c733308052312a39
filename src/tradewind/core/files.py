"""Files: the one atomic write, the one verified read, and `State` on disk as JSON + npz + a sha256 manifest.

A file is written under a temporary name beside its place, synced, renamed over it, and its folder synced: a reader
sees the old bytes or the new, never half. Nothing here unpickles or evaluates anything.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tradewind.core.errors import Corrupt, DataError, StateError
from tradewind.core.types import State

__all__ = [
    "canonical_json",
    "load_state",
    "read_bytes",
    "read_json",
    "save_state",
    "sha256",
    "through_file",
    "write_bytes",
    "write_json",
    "write_text",
    "write_with",
]


def sha256(data: bytes) -> str:
    """The hex sha256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Deterministic UTF-8 JSON: keys in sorted order, two-space indent, non-finite numbers refused (ValueError)."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_with(path: str | Path, fill: Callable[[str], object]) -> Path:
    """Write `path` atomically: `fill(temporary_name)` makes the file, which is then synced and renamed into place.

    Raises DataError, naming the path and the system's reason, when the folder cannot be written or the disk is full;
    then nothing is left behind and an earlier file at `path` is untouched.
    """
    path = Path(path)
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(descriptor)
        fill(temporary)
        Path(temporary).chmod(0o644)
        with Path(temporary).open("rb") as handle:
            os.fsync(handle.fileno())
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(f"{path}: cannot be written: {error.strerror or error}; free space or choose another place") from error
        raise
    _sync_folder(path.parent)
    return path


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write `data` atomically; see `write_with` for the errors."""

    def fill(temporary: str) -> None:
        with Path(temporary).open("wb") as handle:
            handle.write(data)

    return write_with(path, fill)


def write_text(path: str | Path, text: str) -> Path:
    """Write UTF-8 text atomically; see `write_with` for the errors."""
    return write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> Path:
    """Write canonical JSON atomically; see `write_with` for the errors."""
    return write_bytes(path, canonical_json(value))


def read_bytes(path: str | Path, expected_sha256: str | None = None) -> bytes:
    """The bytes of a file, verified against `expected_sha256` where given.

    Raises DataError when it cannot be read and Corrupt when the hash differs.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if expected_sha256 is not None and sha256(data) != expected_sha256:
        raise Corrupt(f"{path}: its sha256 is not the one written beside it; restore the file or write it anew")
    return data


def read_json(path: str | Path) -> Any:
    """Parsed JSON. Raises DataError when the file cannot be read and Corrupt when it is not JSON."""
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"{path}: is not valid JSON ({error}); restore the file or write it anew") from None


def through_file(fill: Callable[[str], object]) -> bytes:
    """The bytes that `fill(name)` writes, for libraries that can save only to files: in memory on Linux, else a file that is gone again."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("tradewind"), "rb") as memory:
            fill(f"/proc/self/fd/{memory.fileno()}")
            memory.seek(0)
            return memory.read()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model"
        fill(str(place))
        return read_bytes(place)


def save_state(path: str | Path, state: State) -> Path:
    """Write `state` into the folder `path`: `state.json`, `arrays.npz`, and last `manifest.json` with their sha256.

    Raises StateError when the state holds anything but plain data. Without a matching manifest `load_state` refuses the folder,
    so a write that was cut short is never mistaken for a state.
    """
    folder = Path(path)
    try:
        document = canonical_json(state.values)
    except (TypeError, ValueError) as error:
        raise StateError(f"{folder}: this state cannot be saved as data: {error}") from None
    for name, array in state.arrays.items():
        if array.dtype.hasobject:
            raise StateError(f"{folder}: array {name!r} holds Python objects; a state is numbers and strings")
    buffer = io.BytesIO()
    # A zip entry carries its time of writing; a fixed one keeps equal states equal to the byte.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(state.arrays):
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.asarray(state.arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), entry.getvalue())
    arrays = buffer.getvalue()
    write_bytes(folder / "state.json", document)
    write_bytes(folder / "arrays.npz", arrays)
    write_json(folder / "manifest.json", {"format": 1, "state.json": sha256(document), "arrays.npz": sha256(arrays)})
    return folder


def load_state(path: str | Path) -> State:
    """Read the folder that `save_state` wrote. Raises Corrupt when any byte differs, DataError when a file is missing."""
    folder = Path(path)
    manifest = read_json(folder / "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("format") != 1:
        raise Corrupt(f"{folder / 'manifest.json'}: is not a state manifest of format 1")
    document = read_bytes(folder / "state.json", str(manifest.get("state.json")))
    packed = read_bytes(folder / "arrays.npz", str(manifest.get("arrays.npz")))
    with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return State(values=json.loads(document), arrays=arrays)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
