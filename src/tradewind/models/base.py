"""`Forecaster`: the abstract class that a model of your own subclasses. Anything with the same methods will do as well."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np

from tradewind.core.errors import StateError
from tradewind.core.types import Features, Forecast, Labels, State

__all__ = ["Forecaster"]


class Forecaster(ABC):
    """Learns y from X, and answers row t of a forecast from rows <= t alone.

    `window`: how many rows of inputs answer one row; 1 for models that look at a single row. Whoever wants the last row answered
    may hand the last `window` rows and gets the same bits as from the whole history.

    `benchmark`: whether it claims no skill, so that the checks do not ask it to learn the obvious.

    A forecaster that goes on learning after `fit` has a method `follow(X: Features, y: Labels) -> Forecast` besides: like `predict`, but
    row t may also use the answers of rows asked after the last row of the fit (`X.known`) that are known by then: `y.known <= X.known[t]`.
    It leaves the object as it is, and `y.weights` alone, since those are not causal. `memory` (default 0): row t uses answers of the last
    `memory` rows of X before it, and of no earlier ones, so that the last `window + memory` rows give the same bits as the whole history.
    Whoever has answers at hand asks `follow`, as the strategy `forecast` does; `predict` then is what was learned by the end of `fit`.

    Write `fit` and `predict`. The other methods are hooks with sound defaults: replace `state` and `restore` when an attribute is not
    plain data, `reseed` when the model draws random numbers.
    """

    window: int = 1
    memory: int = 0
    benchmark: bool = False

    @abstractmethod
    def fit(self, X: Features, y: Labels) -> Self:
        """Learn from the rows that have finite inputs and a label, weighted by `y.weights`. Raises DataError when there is none."""

    @abstractmethod
    def predict(self, X: Features) -> Forecast:
        """Answer every row of `X` (time, symbol, feature); NaN where a row cannot be answered. Raises NotFitted before `fit`."""

    def state(self) -> State:
        """What was learned, as data. The default takes every attribute: numbers, strings, lists and dicts of them, numpy arrays.

        Raises StateError for an attribute that is none of these.
        """
        values: dict[str, Any] = {}
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and not value.dtype.hasobject:
                arrays[name] = value.copy()
            elif _is_plain(value):
                values[name] = value
            else:
                kind = type(value).__name__
                raise StateError(f"{type(self).__name__}.{name} is a {kind}, not plain data; write state() and restore() for this class")
        return State(values, arrays)

    def restore(self, state: State) -> Self:
        """Take back what `state` gave. The default sets every attribute found there; lists that were tuples become tuples again."""
        for name, value in state.values.items():
            was = getattr(self, name, None)
            setattr(self, name, tuple(value) if isinstance(was, tuple) and isinstance(value, list) else value)
        for name, array in state.arrays.items():
            setattr(self, name, array.copy())
        return self

    def reseed(self, seed: int) -> None:
        """Use another root seed from the next `fit` on. Models that draw no random numbers ignore it."""
        return


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, bool | int | float | str)
