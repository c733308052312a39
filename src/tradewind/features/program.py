"""A program: the kernel calls that give a list of features, laid out once, and the memory of each symbol that they carry on.

Costs a millisecond to link (each kernel's pointer is unwrapped by Python) and then only the kernels' own time. A kernel is compiled
when a program first needs it, and cached on disk. Fails with StateError on a memory of other features.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias, cast, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.types import Array, Times
from tradewind.features.catalog import Indicated
from tradewind.features.declarations import Kernel
from tradewind.features.kernels.driver import BLOCK, SIGNATURE, idle, sweep
from tradewind.features.kernels.rows import ROWS

__all__ = ["Linked", "Panels", "Program"]

Panels: TypeAlias = tuple[Array, Array, Array, Array, Array]
"""open, high, low, close, volume, each (time, symbol)."""

# The number of kernels is part of the compiled type of `sweep`: rounding it up leaves few types to compile.
_STEP: Final = 16


@final
class Linked:
    """A program bound to its arrays."""

    def __init__(self, sweep: Iterator[int], running: Times) -> None:
        self._sweep, self._running = sweep, running

    def step(self) -> None:
        """Answer the bars that are in the arrays now."""
        next(self._sweep)

    def __del__(self) -> None:
        # A generator of numba's that has not ended never lets go of its arrays.
        self._running[0] = 0
        next(self._sweep, None)


@final
class Program:
    """The compiled features of some symbols; all it carries is `state` (symbol, slot), `lookback` (symbol, row, bar), `seen` (symbol,)."""

    def __init__(self, features: Sequence[Indicated], symbols: int) -> None:
        calls, homes = _calls(features)
        parameters = [_parameters(call) for call in calls]
        sizes = [[call[0].state, len(numbers), call[0].outputs] for call, numbers in zip(calls, parameters, strict=True)]
        ends = np.cumsum([[0, 0, 0], *sizes], axis=0)
        places = [[a, b, c, d, e, f] for (a, c, e), (b, d, f) in itertools.pairwise(ends)]
        self._places = np.array(places, dtype=np.int64).reshape(-1, 6)
        self._kernels = tuple(call[0].kernel for call in calls) + (idle,) * (-len(calls) % _STEP if calls else _STEP)
        self._parameters = np.concatenate([np.empty(0), *parameters])
        rows = [places[homes[item.group][0]][4] + homes[item.group][1] + item.output for item in features]
        self._rows = np.array(rows, dtype=np.int64)
        self._warmups = np.array([item.warmup for item in features], dtype=np.int64)
        self.columns = len(features)
        self.state = np.zeros((symbols, int(ends[-1, 0])))
        self.lookback = np.empty((symbols, ROWS, max((item.lookback for item in features), default=1)))
        self.seen = np.zeros(symbols, dtype=np.int64)
        self.forget()

    def forget(self) -> None:
        """Go back to before the first bar."""
        self.state[:] = 0.0
        self.lookback[:] = np.nan
        self.seen[:] = 0

    def link(self, open_time: Times, panels: Panels, out: Array, block: int = BLOCK) -> Linked:
        """What answers all the bars in `panels` into `out` (time, symbol, column) each time that its `step` is called.

        The panels are taken as they are then, so a stream puts its next bar into the same arrays. `block`: how many bars the kernels are
        given at once, which changes the speed and no number.
        """
        for function in self._kernels:
            _compile(function)
        memory = (self.state, self.lookback, self.seen)
        fixed = cast(Panels, tuple(_read_only(panel) for panel in panels))
        plan = (self._kernels, self._places, self._rows, self._warmups, self._parameters)
        running = np.ones(1, dtype=np.int64)
        with warnings.catch_warnings():
            # numba calls function pointers experimental; the tests of this package are what holds them to their word.
            warnings.filterwarnings("ignore", message="First-class function type feature is experimental")
            return Linked(sweep(*plan, memory, fixed, _read_only(open_time), out, block, running), running)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of the memory, by name."""
        return {"state": self.state.copy(), "lookback": self.lookback.copy(), "seen": self.seen.copy()}

    def put(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over a memory from `arrays`, in place. Raises StateError where it is not of this shape."""
        for name in ("state", "lookback", "seen"):
            here, given = getattr(self, name), arrays.get(name)
            if given is None or given.shape != here.shape:
                raise StateError(
                    f"the state's array {name!r} has shape {None if given is None else given.shape}, these features need {here.shape}"
                )
            here[:] = given


def _calls(features: Sequence[Indicated]) -> tuple[list[list[Indicated]], dict[tuple[Any, ...], tuple[int, int]]]:
    """The kernel calls, each with a feature a lane, and for each group of features the call and the lane that answer it."""
    calls: list[list[Indicated]] = []
    homes: dict[tuple[Any, ...], tuple[int, int]] = {}
    for item in features:
        if item.group not in homes:
            free = (i for i, call in enumerate(calls) if call[0].kernel is item.kernel and len(call) < item.lanes)
            place = next(free, len(calls))
            if place == len(calls):
                calls.append([])
            homes[item.group] = (place, len(calls[place]))
            calls[place].append(item)
    return calls, homes


def _parameters(call: list[Indicated]) -> Array:
    # Lanes that nobody asked for repeat the last.
    return np.concatenate([item.parameters for item in call + call[-1:] * (call[0].lanes - len(call))])


def _compile(function: Kernel) -> None:
    """Compile a kernel for the one signature; closed to others, its pointer can be handed to `sweep`."""
    dispatcher = cast(Any, function)
    if not dispatcher.signatures:
        dispatcher.compile(SIGNATURE)
        dispatcher.disable_compile()


def _read_only(array: NDArray[Any]) -> Any:
    # A market's arrays are read-only, which to numba is a type of its own; making all of them so compiles `sweep` once.
    view = array.view()
    view.flags.writeable = False
    return view
