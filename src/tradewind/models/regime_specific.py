"""Regime-specific: one copy of a forecaster for each regime, and their answers mixed by how probable the regimes are.

Paper: Jacobs, Jordan, Nowlan, Hinton, "Adaptive mixtures of local experts", Neural Computation 3 (1991),
https://doi.org/10.1162/neco.1991.3.1.79, with a gate that is given, the filtered probabilities, and not learned. Costs: one fit for each
regime and one of all rows. Fails where a regime is rare: its copy has learned little and is asked when it matters; under `least` effective
rows the pooled model speaks for it. Where the regimes do not change what the inputs mean it only learns the same from fewer rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import number
from tradewind.core.protocols import Forecaster as FittedForecaster
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.base import Forecaster
from tradewind.models.contributions import Contributions
from tradewind.models.members import Member, Members
from tradewind.models.rows import Task, fitted, training_rows

__all__ = ["RegimeSpecific"]

PREFIX: Final = "regime_"


@final
class RegimeSpecific(Forecaster):
    """Copies of `base` (a name built with `base_settings`, a pair of both, or a forecaster), each fitted on all rows, weighted by the
    probability of its regime at the row; every copy sees all columns.

    `regimes`: the columns of X that carry the probabilities; None for those whose names begin with `regime_`, as in the features
    `relative+regime`. They are read as shares of their sum, a value under 0 as 0; a row where all are 0 is answered by the pooled
    model, which has learned from all rows alike. So is the part of a regime with fewer than `least` effective rows (Kish: the square of the
    sum of the weights over the sum of their squares); `notes` says so in words.
    """

    def __init__(
        self,
        base: Member = "logistic",
        regimes: Sequence[str] | None = None,
        least: float = 100.0,
        base_settings: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        require(
            regimes is None or (isinstance(regimes, list | tuple) and len(regimes) > 0),
            f"regimes is {regimes!r}; name the columns of X with the probabilities, or None for those that begin with {PREFIX}",
        )
        number(least=least)
        self.regimes, self.least, self.seed = None if regimes is None else tuple(regimes), least, seed
        self._members = Members((base,))
        if base_settings:
            require(isinstance(base, str), "base_settings go with a forecaster's name; give a pair, or set them on the object")
            self._members = Members((base,), {str(base): base_settings})
        self.window = self._members.window
        self._task: Task | None = None
        self._columns: tuple[str, ...] = ()
        self._effective: Array = np.zeros(0)
        self._pooled: list[FittedForecaster] = []
        self._own: dict[str, list[FittedForecaster]] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each regime after `fit`: who speaks for it, and from how many effective rows."""
        fitted(self._task)
        told = (f"{name}: {count:.0f} effective rows" for name, count in zip(self._columns, self._effective, strict=True))
        ends = ("" if name in self._own else f", fewer than {self.least:g}: the pooled model speaks for it" for name in self._columns)
        return tuple(line + end for line, end in zip(told, ends, strict=True))

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        columns = self._found(X)
        rows = training_rows(X, y)
        share = _shares(X, columns)
        pooled = self._members.fitted(X, y, derive(self.seed, "pooled"))
        own, effective = {}, np.zeros(len(columns))
        for place, name in enumerate(columns):
            weights = y.weights * share[:, :, place]
            mine = weights[rows.time, rows.symbol]
            effective[place] = mine.sum() ** 2 / max(float((mine * mine).sum()), np.finfo(np.float64).tiny)
            if effective[place] >= self.least:
                own[name] = self._members.fitted(X, replace(y, weights=weights), derive(self.seed, name))
        self._task, self._columns, self._effective, self._pooled, self._own = rows.task, columns, effective, pooled, own
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        task.check(X)
        mixed = np.zeros((*X.values.shape[:2], len(task.classes) or 1))
        for voice, models in zip(self._voices(X), self._models(), strict=True):
            mixed = mixed + voice[:, :, None] * self._members.answers(models, task, X)[:, :, 0]
        if not task.classes:
            return Forecast(mean=mixed[:, :, 0])
        return Forecast(probabilities=mixed / mixed.sum(axis=2, keepdims=True), classes=task.classes)

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each regime's copy, and last the pooled model, added to the answers to `rows` (n, 2) of (time, symbol), exact: its voice
        times its own probability of the highest class seen less that of the lowest, or its mean return.

        Raises DataError for rows that a copy does not answer.
        """
        task = fitted(self._task)
        task.check(X)
        given = np.stack([self._members.answers(models, task, X)[:, :, 0] for models in self._models()], axis=2)[rows[:, 0], rows[:, 1]]
        voices = np.stack(self._voices(X), axis=2)[rows[:, 0], rows[:, 1]]
        for time, symbol in np.asarray(rows)[~(np.isfinite(given).all(axis=(1, 2)) & np.isfinite(voices).all(axis=1))]:
            raise DataError(f"row {time} of {X.symbols[symbol]} is not answered; choose another")
        leans = given[:, :, task.present[-1]] - given[:, :, task.present[0]] if task.classes else given[:, :, 0]
        values, base = voices * leans, np.zeros(len(rows))
        unit, names = "probability" if task.classes else "return", (*self._own, "pooled")
        return Contributions(values[:, None], base, values.sum(axis=1), leans[:, None], names, unit, "probabilities of the regimes")

    def state(self) -> State:
        values = {"task": fitted(self._task).state(), "columns": list(self._columns), "own": list(self._own)}
        state = State(values, {"effective": self._effective.copy()}).nest("pooled", self._members.state(self._pooled))
        for place, models in enumerate(self._own.values()):
            state = state.nest(f"own{place}", self._members.state(models))
        return state

    def restore(self, state: State) -> Self:
        task = Task.restore(state)
        if "effective" not in state.arrays or "own" not in state.values:
            raise StateError("this is no state of a regime-specific forecaster; restore it into what saved it")
        names = [str(name) for name in state.values["own"]]
        self._pooled = self._members.restore(state.child("pooled"))
        self._own = {name: self._members.restore(state.child(f"own{place}")) for place, name in enumerate(names)}
        self._task, self._columns = task, tuple(state.values["columns"])
        self._effective = state.arrays["effective"].copy()
        return self

    def _found(self, X: Features) -> tuple[str, ...]:
        """The columns of X that carry the regimes. Raises DataError when there are none, or not all that were named."""
        names = self.regimes if self.regimes is not None else tuple(name for name in X.names if name.startswith(PREFIX))
        if not names:
            raise DataError(f"no column of X begins with {PREFIX}: ask for the features 'relative+regime', or name the columns in regimes")
        X.select(names)
        return names

    def _models(self) -> list[list[FittedForecaster]]:
        return [*self._own.values(), self._pooled]

    def _voices(self, X: Features) -> list[Array]:
        """(time, symbol) how much each copy counts, the pooled model last: it has what none of the regimes' own copies speaks for."""
        share = _shares(X, self._columns)
        own = [share[:, :, place] for place, name in enumerate(self._columns) if name in self._own]
        rest = np.ones(share.shape[:2])
        for voice in own:
            rest = rest - voice
        return [*own, np.maximum(rest, 0.0)]


def _shares(X: Features, columns: tuple[str, ...]) -> Array:
    """(time, symbol, regime) which sum to one, or are all 0 where no regime is probable; NaN where a column is."""
    given = np.maximum(X.select(columns).values, 0.0)
    total = np.zeros(given.shape[:2])
    for place in range(len(columns)):
        total = total + given[:, :, place]
    return np.asarray(given / np.where(total == 0.0, 1.0, total)[:, :, None])
