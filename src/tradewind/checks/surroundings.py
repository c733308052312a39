"""`Watch`: sees an object under check touch anything but its arguments: the clock, random state, the environment, files, the network.

Two of Python's own listeners tell: audit events (PEP 578, https://peps.python.org/pep-0578/) for files, sockets and processes, and the
profiler for calls of the clock, of entropy and of `os.environ`, however they were imported. Global random states are compared before
and after. Costs a few microseconds a Python call while it watches. Fails to see what foreign code does inside itself: a file that
polars or DuckDB opens in Rust or C++, a clock read by `numpy.datetime64("now")`.
"""

from __future__ import annotations

import datetime
import os
import random
import sys
import sysconfig
import threading
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Final, Self, final

import numpy as np

__all__ = ["Touch", "Watch"]

_CLOCKS: Final = ("time", "time_ns", "localtime", "gmtime", "ctime", "clock_gettime", "clock_gettime_ns")
_DATES: Final = ("now", "utcnow", "today")
_ENTROPY: Final = ("urandom", "getrandom")
_NETWORK: Final = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.")
_PROCESS: Final = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile")
_FOLDERS: Final = ("os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate")
_ENVIRON: Final[frozenset[CodeType]] = frozenset(
    getattr(type(os.environ), name).__code__ for name in ("__getitem__", "__setitem__", "__delitem__", "__iter__")
)
_HOUSE: Final = str(Path(__file__).resolve().parent.parent)
_HERE: Final = str(Path(__file__).resolve().parent)
_STANDARD: Final = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen")
_INSTALLED: Final = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_SILENT: Final = ("<frozen importlib", *(os.path.join(_STANDARD[0], name) for name in ("importlib", "logging", "warnings.py")))  # noqa: PTH118
_COMPILER: Final = os.path.join("numba", "core")  # noqa: PTH118
_CODE: Final = (".py", ".pyc", ".pyi", ".so", ".pyd", ".nbi", ".nbc", ".pth")


@final
@dataclass(frozen=True)
class Touch:
    """One thing touched: `what`, `where` in the code, what to do instead, and the bar that was being decided."""

    what: str
    where: str
    mend: str
    bar: int | None

    def __str__(self) -> str:
        return f"touches {self.what} at {self.where}; {self.mend}"


@final
class Watch:
    """`with Watch(own_file) as watch:` collects `watch.touches` of this thread; set `watch.bar` to say which bar is decided.

    `own`: the folder of the code under check, for code that is itself installed as a package.
    """

    def __init__(self, own: str = _HOUSE) -> None:
        self.touches: list[Touch] = []
        self.bar: int | None = None
        self._own = tuple({own, _HOUSE})
        self._thread = 0
        self._before: dict[str, Any] = {}
        self._saved: dict[str, Any] = {}
        self._profiler: Any = None

    def __enter__(self) -> Self:
        _install()
        self._thread = threading.get_ident()
        self._saved = _random_states()
        # Everybody starts from states that nobody asked for: setting them to a fixed seed is heard as well as drawing from them.
        _set_random_states(_unusual_states())
        self._before = _random_states()
        self._profiler = sys.getprofile()
        _WATCHING.append(self)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        sys.setprofile(self._profiler)
        _WATCHING.remove(self)
        self.compare()
        _set_random_states(self._saved)

    def compare(self) -> None:
        """Record every global random state that changed since the last comparison."""
        after = _random_states()
        for name, state in after.items():
            if self._before.get(name, state) != state:
                mend = "draw from a generator of your own, made from the seed that `reseed` receives"
                self.touches.append(Touch(f"the global random state of {name}", "fit or decide", mend, self.bar))
        self._before = after

    # -- what the listeners call -----------------------------------------------------------------------------------------
    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            name = argument.__name__
            if name in _CLOCKS and argument.__module__ == "time":
                self._note(frame, f"the clock (time.{name})", "the present is view.now")
            elif name in _DATES and isinstance(argument.__self__, type) and issubclass(argument.__self__, datetime.date):
                self._note(frame, f"the clock ({argument.__self__.__name__}.{name})", "the present is view.now")
            elif name in _ENTROPY and argument.__module__ in ("posix", "nt"):
                self._note(frame, "the machine's entropy", "seed every generator with the seed that `reseed` receives")
        elif event == "call" and frame.f_code in _ENVIRON:
            self._note(frame, "the environment (os.environ)", "make it a setting of the constructor")

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take one audit event of the interpreter."""
        if threading.get_ident() != self._thread:
            return
        frame = sys._getframe(2)
        if event == "open" and _foreign(arguments):
            self._note(
                frame, f"the file {_text(arguments[0])}", "files are read before, and handed over as a Market or a setting", any_code=True
            )
        elif event.startswith(_NETWORK):
            self._note(frame, f"the network ({event})", "data is fetched before, and handed over as a Market", any_code=True)
        elif event.startswith(_PROCESS):
            self._note(frame, f"another process ({event})", "compute in this one", any_code=True)
        elif event in _FOLDERS and _foreign(arguments):
            self._note(frame, f"the folder {_text(arguments[0])} ({event})", "files are read before, and handed over", any_code=True)

    def _note(self, frame: FrameType, what: str, mend: str, any_code: bool = False) -> None:
        place, library = self._place(frame)
        # Libraries time and configure themselves; a file or socket is the object's doing, whoever opens it for it.
        if place and (any_code or not library):
            touch = Touch(what, place, mend, self.bar)
            if len(self.touches) < 100:
                self.touches.append(touch)

    def _place(self, start: FrameType) -> tuple[str, bool]:
        """File and line of the nearest code outside Python's own library, and whether that is an installed package.

        Importing, compiling, logging and warning look at the clock and at files themselves: these are nobody's doing, and give "".
        """
        frame: FrameType | None = start
        nearest = ""
        library = False
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(_SILENT) or _COMPILER in name:
                return "", True
            if name.startswith(_HERE):
                break
            if not nearest and not (name.startswith(_STANDARD) and not name.startswith(_INSTALLED)):
                nearest = f"{Path(name).name}:{frame.f_lineno}"
                library = name.startswith(_INSTALLED) and not name.startswith(self._own)
            frame = frame.f_back
        return nearest, library


_WATCHING: Final[list[Watch]] = []
_INSTALLED_HOOK: Final[list[bool]] = []


def _install() -> None:
    # An audit hook cannot be taken out again, so there is one for the life of the process, and it looks whether anyone watches.
    if not _INSTALLED_HOOK:
        sys.addaudithook(_audit)
        _INSTALLED_HOOK.append(True)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    # Looking at the frame is an audit event itself: what nobody listens for must leave here.
    if _WATCHING and (event == "open" or event in _FOLDERS or event.startswith((*_NETWORK, *_PROCESS))):
        for watch in tuple(_WATCHING):
            watch.audit(event, arguments)


def _text(path: object) -> str:
    return path.decode(errors="replace") if isinstance(path, bytes) else str(path)


def _foreign(arguments: tuple[Any, ...]) -> bool:
    """Whether a path is neither the interpreter's, an installed package's, a compiled kernel's, nor the system's."""
    if not arguments or not isinstance(arguments[0], str | bytes | os.PathLike):
        return False
    path = os.path.abspath(_text(arguments[0]))  # noqa: PTH100 - Path.resolve would open folders and be heard here
    reading = len(arguments) < 3 or not isinstance(arguments[2], int) or not arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if "__pycache__" in path or (reading and path.endswith(_CODE)):
        return False
    roots = (sys.prefix, sys.base_prefix, _HOUSE, *_STANDARD[:1], *_INSTALLED) if reading else ()
    return not path.startswith((*(root + os.sep for root in roots if len(root) > 5), "/proc/", "/sys/", "/dev/"))


def _random_states() -> dict[str, Any]:
    """The global random states, comparable: numpy's, Python's, and torch's where torch is loaded."""
    legacy: Any = np.random.get_state()  # noqa: NPY002
    states: dict[str, Any] = {"numpy.random": (tuple(legacy[1].tolist()), *legacy[2:]), "random": random.getstate()}
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = tuple(torch.random.get_rng_state().tolist())
    return states


def _unusual_states() -> dict[str, Any]:
    key = np.random.default_rng(0x7EADE).integers(2**32, size=624, dtype=np.uint32)
    states: dict[str, Any] = {"numpy.random": (tuple(key.tolist()), 7, 0, 0.0), "random": random.Random(0x7EADE).getstate()}
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = tuple(torch.Generator().manual_seed(0x7EADE).get_state().tolist())
    return states


def _set_random_states(states: dict[str, Any]) -> None:
    key, *rest = states["numpy.random"]
    np.random.set_state(("MT19937", np.array(key, dtype=np.uint32), *rest))  # noqa: NPY002
    random.setstate(states["random"])
    torch = sys.modules.get("torch")
    if torch is not None and "torch" in states:
        torch.random.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
