"""Watch: every way out is heard, however it was imported; what Python and its packages do for themselves is not."""

from __future__ import annotations

import datetime
import io
import logging
import os
import random
import secrets
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from time import time as bare_time

import numpy as np
import pytest

from tradewind.checks.surroundings import Watch
from tradewind.core.clock import SystemClock
from tradewind.core.seeds import generator


def heard(act: Callable[[], object]) -> list[str]:
    with Watch() as watch:
        watch.bar = 7
        act()
    assert all(touch.bar == 7 for touch in watch.touches)
    return [touch.what for touch in watch.touches]


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (time.time, "the clock (time.time)"),
        (bare_time, "the clock (time.time)"),
        (time.time_ns, "the clock (time.time_ns)"),
        (lambda: time.localtime().tm_hour, "the clock (time.localtime)"),
        (lambda: datetime.datetime.now(tz=datetime.timezone.utc), "the clock (datetime.now)"),
        (lambda: datetime.date.today(), "the clock (date.today)"),  # noqa: DTZ011
        (lambda: SystemClock().now(), "the clock (time.time_ns)"),
        (lambda: random.random(), "the global random state of random"),
        (lambda: random.seed(3), "the global random state of random"),
        (lambda: np.random.rand(), "the global random state of numpy.random"),  # noqa: NPY002
        (lambda: np.random.seed(3), "the global random state of numpy.random"),  # noqa: NPY002
        (lambda: np.random.default_rng(), "the machine's entropy"),
        (lambda: os.urandom(4), "the machine's entropy"),
        (lambda: secrets.token_hex(4), "the machine's entropy"),
        (lambda: uuid.uuid4(), "the machine's entropy"),
        (lambda: os.environ.get("HOME"), "the environment (os.environ)"),
        (lambda: os.getenv("HOME"), "the environment (os.environ)"),
        (lambda: "HOME" in os.environ, "the environment (os.environ)"),
        (lambda: dict(os.environ), "the environment (os.environ)"),
        (lambda: socket.socket().close(), "the network (socket.__new__)"),
        (lambda: socket.getaddrinfo("localhost", 1), "the network (socket.getaddrinfo)"),
        (lambda: subprocess.run(["true"], check=True), "another process (subprocess.Popen)"),
    ],
)
def test_every_way_out_is_heard(act: Callable[[], object], what: str) -> None:
    assert what in heard(act)


def test_files_are_heard_with_their_names(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("1,2\n")
    readers = (path.read_text, lambda: np.loadtxt(path, delimiter=","), lambda: os.close(os.open(path, os.O_RDONLY)))
    for act in (*readers, lambda: path.write_text("x")):
        assert f"the file {path}" in heard(act)
    assert any(str(tmp_path) in what for what in heard(lambda: list(tmp_path.iterdir())))


def test_the_place_and_the_mend_are_told() -> None:
    with Watch() as watch:
        time.time()
    (touch,) = watch.touches
    assert touch.where.startswith("test_surroundings.py:")
    assert str(touch) == f"touches the clock (time.time) at {touch.where}; the present is view.now"


def test_what_touches_nothing_is_not_heard() -> None:
    def work() -> None:
        generator(1, "a").standard_normal(100)
        random.Random(3).random()
        np.linalg.svd(np.eye(5))
        io.BytesIO().write(b"x")
        time.perf_counter()
        datetime.datetime.fromtimestamp(0, tz=datetime.timezone.utc)
        logging.getLogger("quiet").warning("a log line has a time of its own")
        import colorsys  # an import opens files

        colorsys.rgb_to_hsv(0, 0, 0)

    assert heard(work) == []


def test_random_states_are_put_back() -> None:
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    expected = (np.random.RandomState(5).uniform(), random.Random(5).random())
    with Watch():
        np.random.rand(100)  # noqa: NPY002
        random.random()
    assert (np.random.uniform(), random.random()) == expected  # noqa: NPY002


def test_nothing_is_heard_afterwards_nor_from_an_error() -> None:
    watch = Watch()
    with pytest.raises(ZeroDivisionError), watch:
        1 / 0  # noqa: B018
    time.time()
    os.getenv("HOME")
    assert watch.touches == []
