"""Forecasters that answer together: built by name, fitted side by side, and asked about rows that they were not fitted on.

Source: forward-chained, purged folds: Lopez de Prado, "Advances in Financial Machine Learning" (2018), chapter 7,
https://www.wiley.com/en-us/Advances+in+Financial+Machine+Learning-p-9781119482086. Costs one fit of every member a fold.
Fails where the early folds are too short to say how good a member is that has seen everything.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, final

import numpy as np

from tradewind.core.errors import DataError, StateError
from tradewind.core.protocols import Forecaster
from tradewind.core.seeds import derive
from tradewind.core.settings import require, suggest
from tradewind.core.types import Array, Features, Labels, State
from tradewind.models.registry import forecaster
from tradewind.models.rows import Rows, Task

__all__ = ["Member", "Members", "chronological"]

Member: TypeAlias = str | tuple[str, Mapping[str, Any]] | Forecaster
"""A name, a name with settings, or a forecaster of one's own."""


@final
class Members:
    """Forecasters as they were handed over, never fitted themselves; `names` tells them apart, `window` is the longest of theirs.

    `settings` by name go to the members given by that name. Raises SettingsError for unknown names and settings, and for no members.
    """

    def __init__(self, members: Sequence[Member], settings: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        require(not isinstance(members, str) and len(members) > 0, f"members are {members!r}; give names in a tuple, at least one")
        given = dict(settings or {})
        named = [(_name(member), member) for member in members]
        for name in given:
            known = [other for other, _ in named]
            require(name in known, f"settings for the member {name!r}, which is not there{suggest(name, known)}")
        self.names = tuple(
            name if [other for other, _ in named].count(name) == 1 else f"{name} {place + 1}" for place, (name, _) in enumerate(named)
        )
        self._pristine = [_built(name, member, given.get(name, {})) for name, member in named]
        self.window = max(int(getattr(member, "window", 1)) for member in self._pristine)

    def __len__(self) -> int:
        return len(self.names)

    def fitted(self, X: Features, y: Labels, seed: int) -> list[Forecaster]:
        """Copies, each seeded by its place, fitted on `X` and `y`. Raises DataError where one of them cannot be."""
        models = copy.deepcopy(self._pristine)
        for place, model in enumerate(models):
            reseed = getattr(model, "reseed", None)
            if reseed is not None:
                reseed(derive(seed, "member", place))
            model.fit(X, y)
        return models

    def answers(self, models: Sequence[Forecaster], task: Task, X: Features) -> Array:
        """(time, symbol, member, output): what fitted copies answer: a probability a class, or one mean; NaN where they do not.

        Raises DataError when one of them answers something else than was asked.
        """
        outputs = len(task.classes) or 1
        found = np.full((*X.values.shape[:2], len(models), outputs), np.nan)
        for place, model in enumerate(models):
            forecast = model.predict(X)
            if task.classes and (forecast.probabilities is None or forecast.classes != task.classes):
                raise DataError(f"the member {self.names[place]} gives no probabilities of the classes {list(task.classes)}; leave it out")
            if not task.classes and forecast.mean is None:
                raise DataError(f"the member {self.names[place]} gives no mean return; leave it out or learn another label")
            found[:, :, place] = forecast.probabilities if forecast.probabilities is not None else forecast.score()[:, :, None]
        return found

    def out_of_sample(self, X: Features, y: Labels, task: Task, folds: Sequence[tuple[int, int]], embargo: int, seed: int) -> Array:
        """(time, symbol, member, output): answers about the rows `first` to `last` of each fold by copies fitted on what was known before.

        Training ends `embargo` rows before `first`, and labels that were not known by then do not exist for it. Folds before which some
        member finds nothing to learn from stay NaN, as do rows in no fold.
        """
        found = np.full((*X.values.shape[:2], len(self), len(task.classes) or 1), np.nan)
        for first, last in folds:
            stop = first - embargo
            if stop < 1:
                continue
            try:
                models = self.fitted(X[:stop], y[:stop].known_by(int(X.known[stop - 1])), seed)
            except DataError:
                continue
            begin = max(0, first + 1 - self.window)
            found[first:last] = self.answers(models, task, X[begin:last])[first - begin :]
        return found

    def state(self, models: Sequence[Forecaster]) -> State:
        """The states of fitted copies."""
        state = State({"names": list(self.names)})
        for place, model in enumerate(models):
            state = state.nest(str(place), model.state())
        return state

    def restore(self, state: State) -> list[Forecaster]:
        """Fitted copies from their states. Raises StateError when they are those of other members."""
        names = state.values.get("names")
        if names != list(self.names):
            raise StateError(f"this state holds the members {names}, not {list(self.names)}; restore it with the settings that saved it")
        models = copy.deepcopy(self._pristine)
        return [model.restore(state.child(str(place))) for place, model in enumerate(models)]


def chronological(rows: Rows, folds: int) -> list[tuple[int, int]]:
    """`folds` parts (first, last) of the panel's rows, in order of time, each with as many times that can be learned from.

    The first of folds + 1 such parts is left out, since nothing comes before it. Fewer parts come back where there are fewer times.
    """
    times = np.unique(rows.time)
    edges = np.unique(np.append(times, times[-1] + 1)[np.linspace(0, len(times), folds + 2).round().astype(np.int64)])
    return [(int(first), int(last)) for first, last in itertools.pairwise(edges[1:])]


def _name(member: Member) -> str:
    if isinstance(member, str):
        return member
    if isinstance(member, Sequence):
        well = len(member) == 2 and isinstance(member[0], str) and isinstance(member[1], Mapping)
        require(well, f"the member {member!r} is no (name, settings)")
        return str(member[0])
    require(isinstance(member, Forecaster), f"the member {member!r} is no forecaster: it needs fit, predict, state and restore")
    return type(member).__name__


def _built(name: str, member: Member, settings: Mapping[str, Any]) -> Forecaster:
    if isinstance(member, Forecaster):
        return copy.deepcopy(member)
    own = {} if isinstance(member, str) else member[1]
    return forecaster(name, **{**settings, **own})
