"""Files: the atomic write leaves the old bytes or the new, the verified read notices every changed byte, states come back equal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.core import files
from tradewind.core.errors import Corrupt, DataError, StateError
from tradewind.core.types import State

EXAMPLE = State(
    {"name": "a", "number": 1.5, "list": [1, None, "ü"]},
    {"weights": np.arange(6.0).reshape(2, 3), "part/whole": np.array([1, 2], dtype=np.int64), "text": np.array(["a", "bc"])},
)


def test_bytes_json_and_text_come_back(tmp_path: Path) -> None:
    assert files.read_bytes(files.write_bytes(tmp_path / "deep" / "a.bin", b"\x00\x01")) == b"\x00\x01"
    assert files.read_json(files.write_json(tmp_path / "a.json", {"b": [1, 2.5], "a": "ü"})) == {"a": "ü", "b": [1, 2.5]}
    assert files.write_text(tmp_path / "a.txt", "ü").read_text(encoding="utf-8") == "ü"
    assert not list(tmp_path.rglob("*.tmp"))


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert files.canonical_json({"b": 1, "a": {"d": 2, "c": 3}}) == files.canonical_json({"a": {"c": 3, "d": 2}, "b": 1})
    with pytest.raises(ValueError, match=r"[Oo]ut of range"):
        files.canonical_json({"a": float("nan")})


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = files.write_text(tmp_path / "a.txt", "old")

    def fill(temporary: str) -> None:
        Path(temporary).write_text("half of the n")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        files.write_with(path, fill)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"a\.txt: cannot be written"):
        files.write_text(tmp_path / "file" / "a.txt", "x")


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    program = f"""
import resource, signal
from tradewind.core import files
from tradewind.core.errors import DataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write_bytes({str(tmp_path / "a.bin")!r}, b"x" * 5000)
except DataError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "a.bin: cannot be written" in said
    assert "free space" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_kill_at_any_instant_leaves_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    program = f"""
from tradewind.core import files
print("ready", flush=True)
n = 0
while True:
    n += 1
    files.write_json({str(path)!r}, {{"n": n, "twice": [n] * 2000}})
"""
    for wait in (0.003, 0.011, 0.027):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        while not path.exists():
            os.sched_yield()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(wait)
        process.kill()
        process.wait()
        process.stdout.close()
        found = files.read_json(path)
        assert found["twice"] == [found["n"]] * 2000


def test_read_names_what_is_wrong(tmp_path: Path) -> None:
    path = files.write_bytes(tmp_path / "a.bin", b"bytes")
    assert files.read_bytes(path, files.sha256(b"bytes")) == b"bytes"
    with pytest.raises(Corrupt, match=r"a\.bin: its sha256"):
        files.read_bytes(path, files.sha256(b"others"))
    with pytest.raises(DataError, match=r"b\.bin: cannot be read: No such file"):
        files.read_bytes(tmp_path / "b.bin")
    with pytest.raises(Corrupt, match=r"a\.bin: is not valid JSON"):
        files.read_json(path)
    files.write_bytes(path, b"[" * 100_000)
    with pytest.raises(Corrupt, match="is not valid JSON"):
        files.read_json(path)


def test_a_state_comes_back_equal_and_its_bytes_repeat(tmp_path: Path) -> None:
    one, two = files.save_state(tmp_path / "one", EXAMPLE), files.save_state(tmp_path / "two", EXAMPLE)
    assert files.load_state(one) == EXAMPLE
    for name in ("state.json", "arrays.npz", "manifest.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(["state.json", "arrays.npz", "manifest.json"]), st.integers(0, 10**6), st.integers(0, 7), st.booleans())
def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path, name: str, place: int, bit: int, cut: bool) -> None:
    folder = files.save_state(tmp_path / "state", EXAMPLE)
    data = bytearray((folder / name).read_bytes())
    place %= len(data)
    if cut:
        del data[place:]
    else:
        data[place] ^= 1 << bit
    (folder / name).write_bytes(bytes(data))
    try:
        found = files.load_state(folder)
    except DataError:
        return
    # A bit of white space in the manifest's JSON may go; what was saved may not.
    assert found == EXAMPLE
    assert name == "manifest.json"


def test_missing_files_and_foreign_manifests_are_refused(tmp_path: Path) -> None:
    folder = files.save_state(tmp_path / "state", EXAMPLE)
    (folder / "arrays.npz").unlink()
    with pytest.raises(DataError, match=r"arrays\.npz: cannot be read"):
        files.load_state(folder)
    files.write_json(folder / "manifest.json", {"format": 2})
    with pytest.raises(Corrupt, match="format 1"):
        files.load_state(folder)
    files.write_bytes(folder / "manifest.json", json.dumps([1]).encode())
    with pytest.raises(Corrupt, match="format 1"):
        files.load_state(folder)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State({"a": object()}), "cannot be saved as data"),
        (State({"a": float("inf")}), "cannot be saved as data"),
        (State(arrays={"a": np.array([object()])}), "array 'a' holds Python objects"),
    ],
)
def test_states_that_are_not_data_are_refused(tmp_path: Path, state: State, said: str) -> None:
    with pytest.raises(StateError, match=said):
        files.save_state(tmp_path / "state", state)
    assert not (tmp_path / "state").exists()


def test_a_saved_object_array_is_not_unpickled(tmp_path: Path) -> None:
    folder = files.save_state(tmp_path / "state", EXAMPLE)
    np.savez(folder / "evil.npz", a=np.array([{"x": 1}], dtype=object))
    evil = (folder / "evil.npz").read_bytes()
    (folder / "arrays.npz").write_bytes(evil)
    manifest = json.loads((folder / "manifest.json").read_bytes()) | {"arrays.npz": files.sha256(evil)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        files.load_state(folder)


@pytest.mark.parametrize("memory", [True, False])
def test_what_a_library_writes_into_a_file_comes_back_and_the_file_is_gone(memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    names = []

    def fill(name: str) -> None:
        names.append(name)
        Path(name).write_bytes(b"\x00\xffmodel")

    assert files.through_file(fill) == b"\x00\xffmodel"
    assert not Path(names[0]).exists()
    with pytest.raises(ValueError, match="refused"):
        files.through_file(_refuse)


def _refuse(name: str) -> None:
    raise ValueError("refused")
