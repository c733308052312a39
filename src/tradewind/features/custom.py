"""A user's own feature: one decorated function over arrays, or one compiled kernel where each value builds on the last.

A batch applies the function to all bars that a symbol has; a stream to the last `warmup` + 1 of them, and takes the last value. An
honest function with the right warm-up agrees with itself; one that looks ahead does not, and `tradewind.checks.check_feature` says where.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError
from tradewind.core.settings import choose, require
from tradewind.core.types import Array

__all__ = ["INPUTS", "Feature", "feature"]

INPUTS: Final = {name: row for row, name in enumerate(("open", "high", "low", "close", "volume", "open_time"))}
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


@final
@dataclass(frozen=True, eq=False)
class Feature:
    """A user's feature: `function` of the `inputs`, each (n,), gives (n,); its first `warmup` values do not count and come back NaN."""

    name: str
    inputs: tuple[str, ...]
    warmup: int
    function: Callable[..., Any] = field(repr=False)

    def __call__(self, *inputs: NDArray[Any]) -> Array:
        """The feature of some bars: values (n,), the first `warmup` of them NaN.

        Raises DataError, naming the feature, when the function does not answer with as many numbers as it was given.
        """
        n = len(inputs[0])
        answer = np.asarray(self.function(*inputs))
        if answer.shape != (n,) or answer.dtype.kind not in "fiub":
            raise DataError(
                f"feature {self.name!r} answered {n} bars with {answer.dtype} of shape {answer.shape}; return a number a bar, ({n},)"
            )
        values = answer.astype(np.float64)
        values[: self.warmup] = np.nan
        return values


def feature(
    inputs: tuple[str, ...] | str = ("close",), warmup: int = 0, name: str | None = None
) -> Callable[[Callable[..., Any]], Feature]:
    """Make a feature of a function: `@feature(inputs=("close",), warmup=20)`. It is named after the function unless `name` says otherwise.

    `inputs`: any of open, high, low, close, volume (float64) and open_time (int64 UTC ns), handed over in that order as arrays (n,), oldest
    first. `warmup`: how many earlier bars a value needs; a stream shows the function exactly that many and the newest.
    Raises SettingsError for an unknown input or a negative warm-up.
    """
    wanted = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    for word in wanted:
        choose(word, INPUTS, "input of a feature")
    require(bool(wanted), "a feature needs at least one input, such as inputs=('close',)")
    require(isinstance(warmup, int) and warmup >= 0, f"warmup must be a whole number of bars of at least 0, not {warmup!r}")

    def decorate(function: Callable[..., Any]) -> Feature:
        called = name or str(getattr(function, "__name__", ""))
        require(bool(_WORD.fullmatch(called)), f"{called!r} is no name for a feature; pass name='my_feature'")
        return Feature(called, wanted, warmup, function)

    return decorate
