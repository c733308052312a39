"""The data that passes between the floors. Everything is immutable; times are UTC int64 nanoseconds; arrays are (time, symbol, ...).

`Market` (the bars) has its own file; here stands what is computed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.arrays import Array, Times, long_frame
from tradewind.core.errors import DataError
from tradewind.core.market import Market

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Array", "Features", "Forecast", "Labels", "Outcome", "Portfolio", "State", "Target", "Targets", "Times", "View", "long_frame"]

Targets: TypeAlias = NDArray[np.float64]
"""(time, symbol): signed weights of equity wanted after each bar's close; NaN keeps what is held."""


@final
@dataclass(frozen=True, eq=False)
class State:
    """What an object has learned, as data: `values` is JSON-able (dicts, lists, numbers, strings), `arrays` holds numpy arrays.

    Nested objects put theirs under a prefix with `nest` and take it back with `child`.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def nest(self, name: str, child: State) -> State:
        """This state with `child` stored under `name`."""
        arrays = {**self.arrays, **{f"{name}/{key}": array for key, array in child.arrays.items()}}
        return State({**self.values, name: dict(child.values)}, arrays)

    def child(self, name: str) -> State:
        """The state stored under `name`; empty when there is none."""
        prefix = f"{name}/"
        arrays = {key[len(prefix) :]: array for key, array in self.arrays.items() if key.startswith(prefix)}
        return State(self.values.get(name, {}), arrays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State) or self.values != other.values or self.arrays.keys() != other.arrays.keys():
            return False
        return all(
            a.dtype == other.arrays[key].dtype and a.shape == other.arrays[key].shape and a.tobytes() == other.arrays[key].tobytes()
            for key, a in self.arrays.items()
        )

    __hash__ = None  # type: ignore[assignment]


@final
@dataclass(frozen=True, eq=False)
class Features:
    """Model inputs. `values` (time, symbol, feature) float64; row t uses bars <= t alone; the first `warmup` rows are NaN.

    A symbol without a bar at some time has NaN in that row. `open_time` and `known` (time,) are those of the bars.
    """

    names: tuple[str, ...]
    values: Array
    warmup: int
    open_time: Times
    known: Times
    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        expected = (len(self.open_time), len(self.symbols), len(self.names))
        if self.values.shape != expected:
            raise DataError(f"features have shape {self.values.shape}, expected (time, symbol, feature) = {expected}")

    def __len__(self) -> int:
        return len(self.open_time)

    def __getitem__(self, rows: slice) -> Features:
        """The same features at some of the rows (a view); the warm-up shrinks by the rows cut from the front."""
        start, _, _ = rows.indices(len(self))
        warmup = max(0, self.warmup - start)
        return Features(self.names, self.values[rows], warmup, self.open_time[rows], self.known[rows], self.symbols)

    def select(self, names: tuple[str, ...] | list[str]) -> Features:
        """Some of the columns, in the order asked. Raises DataError for a name that is not there."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise DataError(f"features {missing} are not among {list(self.names)}")
        columns = [self.names.index(name) for name in names]
        return Features(tuple(names), self.values[:, :, columns], self.warmup, self.open_time, self.known, self.symbols)

    def join(self, other: Features) -> Features:
        """These columns and then those of `other`, which is of the same bars and symbols. Raises DataError for others, or a name twice."""
        if self.symbols != other.symbols or not np.array_equal(self.open_time, other.open_time):
            raise DataError("features of other bars or symbols cannot be joined; compute both from the same market")
        twice = [name for name in other.names if name in self.names]
        if twice:
            raise DataError(f"the features {twice} are there already; select the others first")
        values = np.concatenate([self.values, other.values], axis=2)
        return Features((*self.names, *other.names), values, max(self.warmup, other.warmup), self.open_time, self.known, self.symbols)

    def to_frame(self) -> pl.DataFrame:
        """A long polars frame: open_time, symbol, then one column a feature."""
        return long_frame(self.open_time, self.symbols, {name: self.values[:, :, i] for i, name in enumerate(self.names)})


@final
@dataclass(frozen=True, eq=False)
class Labels:
    """What is to be learned, and when each answer is known.

    `values` (time, symbol) float64: a class code from `classes`, or a simple return; NaN where there is no answer.
    `known` (time, symbol) int64: when the answer of row t could first be read; nothing may learn it before.
    `end` (time, symbol) int64: row of the last bar that the answer looks at, -1 where there is none (purging, uniqueness).
    `weights` (time, symbol) float64: sample weights, 1 unless the label says otherwise.
    `classes`: the class codes in ascending order, such as (-1., 0., 1.); empty for a return.
    `ahead` (time, symbol, step): where returns over several `horizons` (bars, ascending) are asked for, all of them; `values` is then the
    one over `horizon`, and `known` and `end` are those of the longest.
    """

    values: Array
    known: Times
    end: NDArray[np.int64]
    weights: Array
    classes: tuple[float, ...] = ()
    horizon: int = 1
    ahead: Array | None = None
    horizons: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("known", "end", "weights"):
            if getattr(self, name).shape != self.values.shape:
                raise DataError(f"labels: {name} has shape {getattr(self, name).shape}, values {self.values.shape}")
        if self.ahead is not None and self.ahead.shape != (*self.values.shape, len(self.horizons)):
            raise DataError(f"labels: ahead has shape {self.ahead.shape}, expected (time, symbol, step) for the horizons {self.horizons}")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def kind(self) -> Literal["classes", "return"]:
        """`classes` or `return`."""
        return "classes" if self.classes else "return"

    def known_by(self, moment: int) -> Labels:
        """The same labels with every answer that is not known at `moment` (UTC ns) blanked to NaN."""
        known = self.known <= moment
        ahead = None if self.ahead is None else np.where(known[:, :, None], self.ahead, np.nan)
        return replace(self, values=np.where(known, self.values, np.nan), ahead=ahead)

    def __getitem__(self, rows: slice) -> Labels:
        """The same answers at some of the rows (views); `end` counts from the first of them."""
        start, _, _ = rows.indices(len(self))
        end = np.where(self.end[rows] < 0, -1, self.end[rows] - start)
        ahead = None if self.ahead is None else self.ahead[rows]
        return replace(self, values=self.values[rows], known=self.known[rows], end=end, weights=self.weights[rows], ahead=ahead)


@final
@dataclass(frozen=True, eq=False)
class Forecast:
    """A model's answer for every row of its inputs; NaN in rows where it could not answer.

    `mean` (time, symbol): expected simple return. `probabilities` (time, symbol, class) sum to one over `classes`.
    `quantiles` (time, symbol, level) of that return at `levels`, ascending along both. `ahead` (time, symbol, step, level): the quantiles
    of the return over each of several `horizons` (bars). What a model does not give is None.
    """

    mean: Array | None = None
    probabilities: Array | None = None
    classes: tuple[float, ...] = ()
    quantiles: Array | None = None
    levels: tuple[float, ...] = ()
    ahead: Array | None = None
    horizons: tuple[int, ...] = ()

    def score(self) -> Array:
        """(time, symbol): one number to act on: the expected class code where there are classes, else the mean."""
        if self.probabilities is not None:
            return np.asarray(self.probabilities @ np.asarray(self.classes))
        if self.mean is None:
            raise DataError("this forecast has neither probabilities nor a mean")
        return self.mean


@final
@dataclass(frozen=True, eq=False)
class Target:
    """What a strategy wants to hold: `weights` (symbol,) signed fractions of equity; NaN keeps what is held.

    Raises DataError for an infinite weight.
    """

    weights: Array

    def __post_init__(self) -> None:
        weights = np.atleast_1d(np.asarray(self.weights, dtype=np.float64))
        if np.isinf(weights).any():
            raise DataError(f"a target has an infinite weight: {weights.tolist()}")
        object.__setattr__(self, "weights", weights)


@final
@dataclass(frozen=True, eq=False)
class Portfolio:
    """A strategy's own book at the last close: `weights` and `quantities` (symbol,), `cash` and `equity` in account currency."""

    weights: Array
    quantities: Array
    cash: float
    equity: float


@final
@dataclass(frozen=True, eq=False)
class View:
    """All that a strategy may see when it decides: closed bars up to `now` (UTC ns) and its own book."""

    market: Market
    now: int
    portfolio: Portfolio


@final
@dataclass(frozen=True, eq=False)
class Outcome:
    """The answer to an earlier decision, delivered when it is known and not before.

    `asked` and `known` are UTC ns; `returns` (symbol,) simple returns from the close at `asked` over the strategy's horizon;
    `weights` (symbol,) what the strategy held over the first bar after it asked.
    """

    asked: int
    known: int
    returns: Array
    weights: Array
