"""Voting: several forecasters answer, and where too few of them agree, none does.

Papers: Kittler et al. 1998, https://doi.org/10.1109/34.667881 (the vote); Bates and Granger 1969, https://doi.org/10.1057/jors.1969.103
(weights by past skill). Costs one fit of every member, two where votes are weighted. Fails where the members err together: they agree most
on what they all learned wrongly; and a short tail ranks them by luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.protocols import Forecaster as FittedForecaster
from tradewind.core.settings import require
from tradewind.core.spaces import Choice, Real, Space
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.base import Forecaster
from tradewind.models.contributions import Contributions
from tradewind.models.members import Member, Members
from tradewind.models.rows import Rows, Task, fitted, training_rows

__all__ = ["SPACES", "Voting"]

RULES: Final = ("weighted", "majority", "unanimous")
SPACES: Final[dict[str, Space]] = {"voting": {"rule": Choice(RULES), "minimum_confidence": Real(0.0, 1.0)}}


@final
class Voting(Forecaster):
    """Each of the `members` votes for the class that it finds most probable, or for the sign of its mean return.

    Confidence is the share of the vote behind the winner: of the members' weights (`weighted`), or of their number (`majority`,
    `unanimous`). An answer is given where it is at least `minimum_confidence`, for `unanimous` where it is 1: the mean of those who
    voted for the winner, weighted alike. Elsewhere, and where two win, the vote abstains: equal probabilities of the classes that
    have their mirror image among the codes, so that the expected code is in the middle and the edge is 0, or a return of 0.

    The weights are the members' skill on the last `validation` of the rows, when fitted on what was known `embargo` rows before: the
    share by which the Brier score, or the squared error of a return, is under that of the base rate, and none below it. Equal weights
    where nobody has skill or the tail is empty. `members` and `member_settings` are as in `Stacking`.
    """

    def __init__(
        self,
        members: Sequence[Member] = ("logistic", "random-forest", "lightgbm", "xgboost"),
        rule: str = "weighted",
        minimum_confidence: float = 0.7,
        member_settings: Mapping[str, Mapping[str, Any]] | None = None,
        validation: float = 0.15,
        embargo: int = 1,
        seed: int = 0,
    ) -> None:
        require(rule in RULES, f"rule is {rule!r}; it is one of {', '.join(RULES)}")
        fraction(zero=True, one=True, minimum_confidence=minimum_confidence)
        fraction(zero=True, validation=validation)
        whole(0, embargo=embargo)
        self.rule, self.minimum_confidence, self.validation = rule, minimum_confidence, validation
        self.embargo, self.seed = embargo, seed
        self._members = Members(members, member_settings)
        self.window = self._members.window
        self._task: Task | None = None
        self._models: list[FittedForecaster] = []
        self._weights: Array = np.zeros(0)

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        rows = training_rows(X, y)
        skill = self._skill(X, y, rows) if self.rule == "weighted" else np.zeros(len(self._members))
        skill = skill if skill.any() else np.ones(len(self._members))
        self._models = self._members.fitted(X, y, self.seed)
        self._task, self._weights = rows.task, skill / skill.sum()
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        task.check(X)
        answers = self._members.answers(self._models, task, X)
        usable = np.asarray(np.isfinite(answers).all(axis=(2, 3)))
        if not task.classes:
            return task.forecast(usable, self._elected(_signs(answers[usable]), answers[usable], np.zeros(1)))
        given = answers[usable][:, :, list(task.present)]
        return task.forecast(usable, self._elected(_first_choices(given), given, _neutral(task)))

    def state(self) -> State:
        state = State({"task": fitted(self._task).state()}, {"weights": self._weights.copy()})
        return state.nest("members", self._members.state(self._models))

    def restore(self, state: State) -> Self:
        task, models = Task.restore(state), self._members.restore(state.child("members"))
        if "weights" not in state.arrays:
            raise StateError("this state holds no weights; restore it into the forecaster that saved it")
        self._task, self._models, self._weights = task, models, state.arrays["weights"].copy()
        return self

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each member's voice added to the answers to `rows` (n, 2) of (time, symbol), exact: its share in the winner's mean times
        its own probability of the highest class seen less that of the lowest, or its mean return. Those who are not heard add nothing.

        Raises DataError for rows that a member does not answer.
        """
        task = fitted(self._task)
        task.check(X)
        given = self._members.answers(self._models, task, X)[rows[:, 0], rows[:, 1]]
        for time, symbol in np.asarray(rows)[~np.isfinite(given).all(axis=(1, 2))]:
            raise DataError(f"row {time} of {X.symbols[symbol]} is not answered by every member; choose another")
        given = given[:, :, list(task.present)] if task.classes else given
        heard = self._heard(_first_choices(given) if task.classes else _signs(given))
        leans = given[:, :, -1] - given[:, :, 0] if task.classes else given[:, :, 0]
        values, neutral = heard * leans, _neutral(task) if task.classes else np.zeros(1)
        base = np.where(heard.any(axis=1), 0.0, neutral[-1] - neutral[0])
        unit = "probability" if task.classes else "return"
        return Contributions(
            values[:, None], base, base + values.sum(axis=1), leans[:, None], self._members.names, unit, "shares of the vote"
        )

    def importance(self) -> dict[str, float]:
        """Each member's weight in the vote; they sum to one. Raises NotFitted before `fit`."""
        fitted(self._task)
        return dict(zip(self._members.names, self._weights.tolist(), strict=True))

    def _elected(self, votes: Array, answers: Array, neutral: Array) -> Array:
        """(n, output) from votes (n, member, candidate) and answers (n, member, output); `neutral` (output,) where nobody is elected."""
        heard = self._heard(votes)
        return np.where(heard.any(axis=1, keepdims=True), (answers * heard[:, :, None]).sum(axis=1), neutral)

    def _heard(self, votes: Array) -> Array:
        """(n, member): each member's share in the answer, from votes (n, member, candidate); all zero where nobody is elected."""
        shares = (votes * self._weights[:, None]).sum(axis=1)
        confidence = shares.max(axis=1)
        # Shares are sums of rounded numbers: full agreement is 1 to within a few ulps, and so is a tie.
        needed = (1.0 if self.rule == "unanimous" else self.minimum_confidence) - 1e-9
        winning = shares >= confidence[:, None] - 1e-9
        elected: NDArray[np.bool_] = np.asarray((confidence >= needed) & (winning.sum(axis=1) == 1))
        voices = votes[np.arange(len(votes)), :, shares.argmax(axis=1)] * self._weights
        return np.where(elected[:, None], voices / np.where(elected, voices.sum(axis=1), 1.0)[:, None], 0.0)

    def _skill(self, X: Features, y: Labels, rows: Rows) -> Array:
        """(member,): the share of the base rate's squared error that each saves on the tail; not below zero."""
        _, tail = rows.tail(self.validation)
        if not tail.any():
            return np.zeros(len(self._members))
        judged = rows.take(tail)
        tested, task = [(int(judged.time.min()), len(X))], rows.task
        answers = self._members.out_of_sample(X, y, task, tested, self.embargo, self.seed)[judged.time, judged.symbol]
        naive = Members(("base-rate",)).out_of_sample(X, y, task, tested, self.embargo, self.seed)[judged.time, judged.symbol]
        truth = judged.y[:, None]
        if task.classes:
            truth = (np.asarray(task.present)[judged.y.astype(np.int64)][:, None] == np.arange(len(task.classes))).astype(np.float64)
        heard = np.isfinite(answers).all(axis=(1, 2)) & np.isfinite(naive).all(axis=(1, 2))
        if not heard.any():
            return np.zeros(len(self._members))
        weights = judged.weights[heard, None, None]
        loss = (weights * (answers[heard] - truth[heard, None]) ** 2).sum(axis=(0, 2))
        base = float((weights * (naive[heard] - truth[heard, None]) ** 2).sum())
        return np.maximum(1.0 - loss / base, 0.0) if base > 0 else np.zeros(len(self._members))


def _first_choices(answers: Array) -> Array:
    """(n, member, class): one vote each for the most probable class, split where several are equally so."""
    best = (answers == answers.max(axis=2, keepdims=True)).astype(np.float64)
    return np.asarray(best / best.sum(axis=2, keepdims=True))


def _signs(means: Array) -> Array:
    """(n, member, 3): one vote each for down, nothing or up."""
    return np.concatenate([means < 0, means == 0, means > 0], axis=2).astype(np.float64)


def _neutral(task: Task) -> Array:
    """(class seen,): equal probabilities of the classes whose mirror image was seen too, of all where there is none."""
    seen = np.asarray(task.classes)[list(task.present)]
    mirrored = np.isin(task.classes[0] + task.classes[-1] - seen, seen)
    mirrored = mirrored if mirrored.any() else np.ones(len(seen), dtype=np.bool_)
    return np.asarray(mirrored / mirrored.sum())
