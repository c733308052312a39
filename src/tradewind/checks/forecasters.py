"""What every forecaster promises, as checks: row t of a forecast uses rows <= t alone, a restart changes nothing, it learns the obvious."""

from __future__ import annotations

import copy
import sys
import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.checks.examination import Check, Passed, demand, first_difference, show, spread
from tradewind.checks.lessons import Lesson, lesson
from tradewind.checks.surroundings import Watch
from tradewind.core.errors import TradewindError
from tradewind.core.files import load_state, save_state
from tradewind.core.seeds import derive, generator
from tradewind.core.types import Array, Features, Forecast, Labels

__all__ = ["FORECASTER_CHECKS", "ForecasterSubject"]

ROWS: Final = 520
TRAINING: Final = 380
CLASSES: Final = (-1.0, 0.0, 1.0)
UNANSWERED: Final = 340
"""From here to the end of the training rows the check of `fit` has no answers."""
CUTS: Final = 128


@final
class ForecasterSubject:
    """A forecaster under check: `pristine` is never fitted; `lessons` are of the kinds of answers that it can learn."""

    def __init__(self, pristine: Any, seed: int = 0) -> None:
        self.pristine, self.seed = pristine, seed

    def copy(self) -> Any:
        """The forecaster as it was handed over, seeded."""
        twin = copy.deepcopy(self.pristine)
        if hasattr(twin, "reseed"):
            twin.reseed(derive(self.seed, "checks"))
        return twin

    def fitted(self, part: Lesson) -> Any:
        """A copy of the forecaster, fitted."""
        twin = self.copy()
        twin.fit(part.X, part.y)
        return twin

    @cached_property
    def kinds(self) -> tuple[tuple[float, ...], ...]:
        """The classes of the labels that it takes: (-1, 0, 1), and () for a return. Breaks the promise when it takes neither."""
        kinds, refusals = [], []
        for classes in (CLASSES, ()):
            try:
                self.fitted(lesson(derive(self.seed, "kinds"), classes, ROWS).rows(slice(TRAINING)))
                kinds.append(classes)
            except TradewindError as error:
                refusals.append(str(error))
        demand(bool(kinds), f"it learns neither classes nor returns: {'; '.join(refusals)}")
        return tuple(kinds)

    def lessons(self, purpose: str) -> list[Lesson]:
        """New lessons of each kind that it takes."""
        return [lesson(derive(self.seed, purpose), classes, ROWS) for classes in self.kinds]


def _arrays(forecast: Forecast) -> dict[str, NDArray[Any]]:
    given = {"probabilities": forecast.probabilities, "mean": forecast.mean, "quantiles": forecast.quantiles}
    return {name: array for name, array in given.items() if array is not None}


def _same(found: Forecast, expected: Forecast, X: Features, when: str, otherwise: str, rows: int | None = None) -> None:
    """Break the promise unless two forecasts agree in their first `rows` rows."""
    one, two = _arrays(found), _arrays(expected)
    demand(one.keys() == two.keys(), f"it forecasts {sorted(one)} {when} and {sorted(two)} {otherwise}")
    for name, array in one.items():
        a, b = array[:rows], two[name][:rows]
        demand(a.shape == b.shape, f"its {name} have shape {a.shape} {when} and {b.shape} {otherwise}")
        wrong = first_difference(a, b)
        if wrong is not None:
            where = show(wrong[:2], X.open_time, X.symbols)
            demand(False, f"its {name} for {where} are {a[wrong]:g} {when} and {b[wrong]:g} {otherwise}", wrong[0])


def _contract(subject: ForecasterSubject) -> None:
    """It has the methods of a forecaster; forecasts have a row for each input row and NaN exactly where inputs are missing."""
    for name in ("fit", "predict", "state", "restore"):
        demand(callable(getattr(subject.pristine, name, None)), f"it has no method {name}; inherit from tradewind.Forecaster")
    for part in subject.lessons("contract"):
        model = subject.copy()
        training = part.rows(slice(TRAINING))
        demand(model.fit(training.X, training.y) is model, "fit does not return the forecaster itself; end it with `return self`")
        forecast = model.predict(part.X)
        demand(isinstance(forecast, Forecast), f"predict returned {type(forecast).__name__}, not tradewind.Forecast")
        demand(bool(_arrays(forecast)), "the forecast is empty; give a mean, probabilities or quantiles")
        for name, array in _arrays(forecast).items():
            shape = part.X.values.shape[:2]
            demand(array.shape[:2] == shape, f"its {name} have shape {array.shape}; the first two are (time, symbol) = {shape}")
        if part.y.classes:
            _check_probabilities(forecast, part.y)
        _check_missing(forecast.score(), part.X)


def _check_probabilities(forecast: Forecast, y: Labels) -> None:
    probabilities = forecast.probabilities
    if probabilities is None:
        return
    demand(forecast.classes == y.classes, f"the forecast's classes are {forecast.classes}, the labels' {y.classes}")
    total = probabilities.sum(axis=2)
    wrong = np.argwhere(np.abs(total - 1) > 1e-6)
    demand(len(wrong) == 0, "its probabilities do not sum to one", int(wrong[0, 0]) if len(wrong) else None)


def _check_missing(score: Array, X: Features) -> None:
    missing = np.isnan(X.values).any(axis=2)
    invented = np.argwhere(missing & ~np.isnan(score))
    if len(invented):
        where = show((int(invented[0, 0]), int(invented[0, 1])), X.open_time, X.symbols)
        demand(False, f"it answers for {where}, whose inputs are missing; that row is NaN", int(invented[0, 0]))
    demand(not np.isnan(score[-100:]).all(), "it answers NaN in every one of the last 100 rows, most of which have all inputs")


def _prefix(subject: ForecasterSubject) -> None:
    """Rows that come later change no forecast: inputs cut at 128 places, and inputs with another future."""
    for part in subject.lessons("prefix"):
        model = subject.fitted(part.rows(slice(TRAINING)).alone())
        random = generator(subject.seed, "checks", "forecaster")
        cuts = spread(1, len(part.X), CUTS)
        pieces = [model.predict(part.rows(slice(cut)).alone().X) for cut in cuts]
        whole = model.predict(part.X)
        advice = "when later rows are there; look for scaling, ranking or filling over the rows to be predicted"
        for cut, piece in zip(cuts, pieces, strict=True):
            _same(piece, _cut(whole, slice(cut)), part.X, f"when the inputs end with row {cut - 1}", advice)
        for cut in cuts[4::4]:
            values = part.X.values.copy()
            values[cut:] = 10.0 ** random.uniform(-3, 6) * random.standard_normal(values[cut:].shape)
            other = model.predict(replace(part.X, values=values))
            _same(other, whole, part.X, f"when the rows from {cut} on are replaced", "otherwise", rows=cut)


def _cut(forecast: Forecast, rows: slice) -> Forecast:
    some: dict[str, Any] = {name: array[rows] for name, array in _arrays(forecast).items()}
    return replace(forecast, **some)


def _follows_what_is_known(subject: ForecasterSubject) -> None:
    """Where it has `follow`, row t learns from answers known by then, asked after the fit, of the last `memory` rows; the object stays."""
    if not callable(getattr(subject.pristine, "follow", None)):
        raise Passed("it has no `follow`: it learns in fit alone")
    for part in subject.lessons("follow"):
        model = subject.fitted(part.rows(slice(TRAINING)).alone())
        learned, whole = model.state(), model.follow(part.X, part.y)
        reach = int(getattr(model, "window", 1)) + int(getattr(model, "memory", 0))
        for cut in spread(1, len(part.X), CUTS, range(TRAINING, TRAINING + 12)):
            told = part.rows(slice(cut)).alone()
            # What nobody knows yet, what the fit has seen, and the weights, which later answers scale: all of it is made other.
            hidden = (told.y.known > told.X.known[-1]) | (np.arange(cut) < TRAINING)[:, None]
            told = Lesson(told.X, replace(told.y, values=np.where(hidden, -told.y.values, told.y.values), weights=7.0 * told.y.weights))
            otherwise = "with all of them; row t uses answers with `y.known <= X.known[t]` of rows asked after the fit, and no weights"
            _same(model.follow(told.X, told.y), _cut(whole, slice(cut)), part.X, f"without the answers unknown at row {cut - 1}", otherwise)
            recent, last = told.rows(slice(max(0, cut - reach), cut)), slice(cut - 1, cut)
            found = _cut(model.follow(recent.X, recent.y), slice(-1, None))
            _same(found, _cut(whole, last), part.X[last], f"from the last {reach} rows (window + memory)", "from the whole history")
        demand(model.state() == learned, "follow changes the object; what it learns on the way is for the rows that it is asked about")


def _fit_uses_its_rows_alone(subject: ForecasterSubject) -> None:
    """Rows behind the training part in memory, rows without an answer, and answers of rows without inputs teach nothing."""
    for part in subject.lessons("fit"):
        answers = part.y.values.copy()
        answers[UNANSWERED:TRAINING] = np.nan
        told = Lesson(part.X, replace(part.y, values=answers))
        expected = subject.fitted(told.rows(slice(TRAINING)).alone()).predict(part.X)
        for what, other in _other_lessons(told, generator(subject.seed, "checks", "fit")).items():
            found = subject.fitted(other.rows(slice(TRAINING))).predict(part.X)
            _same(found, expected, part.X, f"with other {what}", "without; fit learns from its rows with inputs and an answer alone")


def _other_lessons(told: Lesson, random: np.random.Generator) -> dict[str, Lesson]:
    """Lessons that differ from `told` in what a fit on the training rows must not use, by name."""
    X, y = told.X, told.y
    later, unanswered = X.values.copy(), X.values.copy()
    later[TRAINING:] = random.standard_normal(later[TRAINING:].shape)
    unanswered[UNANSWERED:TRAINING] *= -3.0
    spoiled, blind = y.values.copy(), np.isnan(X.values).any(axis=2)
    spoiled[TRAINING:] *= -1.0
    invented = np.where(blind & ~np.isnan(y.values), -y.values, y.values)
    return {
        "rows after the training part": Lesson(replace(X, values=later), replace(y, values=spoiled)),
        "inputs in rows without an answer": Lesson(replace(X, values=unanswered), y),
        "answers in rows without inputs": Lesson(X, replace(y, values=invented)),
    }


def _same_seed_same_fit(subject: ForecasterSubject) -> None:
    """Two fits on the same rows with the same seed learn the same, and asking twice answers the same."""
    for part in subject.lessons("repeat"):
        training = part.rows(slice(TRAINING))
        one, two = subject.fitted(training), subject.fitted(training)
        demand(one.state() == two.state(), "two fits on the same rows differ; draw every random number from the seed of `reseed`")
        first, second = one.predict(part.X), one.predict(part.X)
        _same(second, first, part.X, "the second time it is asked", "the first time")
        _same(two.predict(part.X), first, part.X, "after one fit", "after another on the same rows")


def _save_and_restore(subject: ForecasterSubject) -> None:
    """Saved to disk and restored into a new object, it forecasts the same."""
    for part in subject.lessons("restart"):
        model = subject.fitted(part.rows(slice(TRAINING)))
        with tempfile.TemporaryDirectory() as folder:
            save_state(Path(folder) / "state", model.state())
            saved = load_state(Path(folder) / "state")
        reborn = subject.copy()
        demand(reborn.restore(saved) is reborn, "restore does not return the forecaster itself; end it with `return self`")
        advice = "before; state() lacks something that fit learned"
        _same(reborn.predict(part.X), model.predict(part.X), part.X, "after a restart", advice)
        demand(reborn.state() == model.state(), "a restored object has another state than the one that was saved")


def _inputs_untouched(subject: ForecasterSubject) -> None:
    """fit and predict leave their inputs as they were."""
    for part in subject.lessons("inputs"):
        before = part.alone()
        subject.fitted(part.rows(slice(TRAINING))).predict(part.X)
        pairs = {"X.values": (part.X.values, before.X.values), "y.values": (part.y.values, before.y.values)}
        pairs["y.weights"] = (part.y.weights, before.y.weights)
        for name, (now, then) in pairs.items():
            changed = np.argwhere(~((now == then) | (np.isnan(now) & np.isnan(then))))
            demand(len(changed) == 0, f"it changed {name}; work on a copy", int(changed[0, 0]) if len(changed) else None)


def _touches_nothing_else(subject: ForecasterSubject) -> None:
    """fit and predict use their arguments alone: no clock, global random state, environment, file or network."""
    module = sys.modules.get(type(subject.pristine).__module__)
    own = str(Path(getattr(module, "__file__", None) or __file__).resolve().parent)
    for part in subject.lessons("surroundings"):
        subject.fitted(part.rows(slice(TRAINING))).predict(part.X)
        model = subject.copy()
        with Watch(own) as watch:
            model.fit(part.X[:TRAINING], part.rows(slice(TRAINING)).y)
            model.predict(part.X)
        for touch in watch.touches[:1]:
            demand(False, str(touch))


def _learns_the_obvious(subject: ForecasterSubject) -> None:
    """It forecasts rows that it has not seen, where one column is most of the answer; skipped for those with `benchmark = True`."""
    if getattr(subject.pristine, "benchmark", False):
        raise Passed("it is a benchmark and claims no skill")
    for part in subject.lessons("obvious"):
        score = subject.fitted(part.rows(slice(TRAINING))).predict(part.X).score()[TRAINING:].ravel()
        truth = part.X.values[TRAINING:, :, 0].ravel()
        there = np.isfinite(score) & np.isfinite(truth)
        moved = float(np.std(score[there])) > 0
        found = float(np.corrcoef(score[there], np.tanh(2 * truth[there]))[0, 1]) if moved else 0.0
        demand(
            found > 0.5,
            f"its forecast of {part.y.kind} correlates {found:.2f} with a column that is nearly the answer; it learns nothing, or too "
            "little from 760 rows; set `benchmark = True` where that is meant",
        )


FORECASTER_CHECKS: Final = tuple(
    Check(function)
    for function in (
        _contract,
        _same_seed_same_fit,
        _prefix,
        _follows_what_is_known,
        _fit_uses_its_rows_alone,
        _save_and_restore,
        _inputs_untouched,
        _touches_nothing_else,
        _learns_the_obvious,
    )
)
