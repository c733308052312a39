"""Stacking: a linear head learns how far to believe other forecasters, from what they answered about rows that they had not seen.

Papers: Wolpert 1992, https://doi.org/10.1016/S0893-6080(05)80023-1; Breiman 1996, https://doi.org/10.1007/BF00117832. Ours: the folds
are in order of time and purged. Shuffled folds put a row's neighbours, whose labels overlap with its own, into training: members that
remember then look skilled, and the head believes them. Costs folds + 1 fits of every member. Fails where the members are alike (there is
nothing to choose), and where who is right changes over time: the head believes in the average of the past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError
from tradewind.core.limits import number, whole
from tradewind.core.protocols import Forecaster as FittedForecaster
from tradewind.core.spaces import Real, Space, Whole
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.base import Forecaster
from tradewind.models.contributions import Contributions
from tradewind.models.linear import Logistic, Ridge
from tradewind.models.members import Member, Members, chronological
from tradewind.models.rows import Task, fitted, training_rows

__all__ = ["SPACES", "Stacking"]

SPACES: Final[dict[str, Space]] = {"stacking": {"folds": Whole(2, 10), "penalty": Real(0.01, 1000.0, log=True)}}

_LEAST: Final = 1e-3
"""Odds beyond a thousand to one are taken as that: a member that never saw a class would otherwise drown all others."""


@final
class Stacking(Forecaster):
    """A logistic head on the log-odds of the `members`, or for returns a ridge head on their means, with `penalty` on its slopes.

    `members`: names, (name, settings), or forecasters of one's own, of which copies are fitted; `member_settings` by name. The head learns
    from answers out of sample: the rows are cut into `folds` + 1 parts in order of time, and each part but the first is answered by members
    fitted on what came before, up to `embargo` rows before it and without labels that were not yet known. Then the members are fitted
    on everything. Where no fold could be answered, or the answered rows lack a class, the members' plain mean is the answer.
    """

    def __init__(
        self,
        members: Sequence[Member] = ("logistic", "random-forest", "lightgbm"),
        folds: int = 5,
        member_settings: Mapping[str, Mapping[str, Any]] | None = None,
        penalty: float = 1.0,
        embargo: int = 1,
        seed: int = 0,
    ) -> None:
        whole(folds=folds)
        whole(0, embargo=embargo)
        number(penalty=penalty)
        self.folds, self.penalty, self.embargo, self.seed = folds, penalty, embargo, seed
        self._members = Members(members, member_settings)
        self.window = self._members.window
        self._task: Task | None = None
        self._models: list[FittedForecaster] = []
        self._head: Logistic | Ridge | None = None

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        rows = training_rows(X, y)
        folds = chronological(rows, self.folds)
        answers = self._members.out_of_sample(X, y, rows.task, folds, self.embargo, self.seed)
        self._head = self._learned(self._opinions(rows.task, answers, X), y, rows.task)
        self._models = self._members.fitted(X, y, self.seed)
        self._task = rows.task
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        task.check(X)
        answers = self._members.answers(self._models, task, X)
        if self._head is not None:
            return self._head.predict(self._opinions(task, answers, X))
        usable = np.asarray(np.isfinite(answers).all(axis=(2, 3)))
        mean = answers[usable].mean(axis=1)
        return task.forecast(usable, mean[:, list(task.present)] if task.classes else mean)

    def state(self) -> State:
        state = State({"task": fitted(self._task).state()}).nest("members", self._members.state(self._models))
        return state if self._head is None else state.nest("head", self._head.state())

    def restore(self, state: State) -> Self:
        task, models = Task.restore(state), self._members.restore(state.child("members"))
        head = self._new_head(task).restore(state.child("head")) if "head" in state.values else None
        self._task, self._models, self._head = task, models, head
        return self

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each member's opinion added to the head's answers to `rows` (n, 2) of (time, symbol): exact, since the head is linear.

        Raises DataError for rows that a member does not answer, and where the members' mean is the answer.
        """
        task = fitted(self._task)
        task.check(X)
        if self._head is None:
            raise DataError("the answer is the plain mean of the members: there is no head that believes one more than another")
        return self._head.contributions(self._opinions(task, self._members.answers(self._models, task, X), X), rows)

    def importance(self) -> dict[str, float]:
        """Each member's share of the head's slopes, summing to one; equal shares where the members' mean is the answer."""
        fitted(self._task)
        if self._head is None:
            return dict.fromkeys(self._members.names, 1.0 / len(self._members))
        slopes = np.array(list(self._head.importance().values())).reshape(len(self._members), -1).sum(axis=1)
        return dict(zip(self._members.names, slopes.tolist(), strict=True))

    def _learned(self, opinions: Features, y: Labels, task: Task) -> Logistic | Ridge | None:
        if task.settled:
            return None
        try:
            head = self._new_head(task).fit(opinions, y)
        except DataError:
            return None
        return head if tuple(head.state().values["task"]["present"]) == task.present else None

    def _new_head(self, task: Task) -> Logistic | Ridge:
        return Logistic(self.penalty) if task.classes else Ridge(self.penalty)

    def _opinions(self, task: Task, answers: Array, X: Features) -> Features:
        """What the head looks at: each member's log-odds of every class that was seen against the first of them, or its mean."""
        labels = [""]
        if task.classes:
            logs = np.log(np.clip(answers[..., list(task.present)], _LEAST, 1.0))
            answers = logs[..., 1:] - logs[..., :1]
            labels = [f" {task.classes[place]:g}" for place in task.present[1:]]
        names = tuple(f"{member}{label}" for member in self._members.names for label in labels)
        return Features(names, answers.reshape(*answers.shape[:2], -1), 0, X.open_time, X.known, X.symbols)
