"""Votes by hand, weights by skill, and abstaining."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.lessons import features, labels, lesson, numbers, small

from tradewind.core.errors import NotFitted, SettingsError, StateError
from tradewind.core.types import Features, Forecast, Labels, State
from tradewind.models.base import Forecaster
from tradewind.models.registry import forecaster
from tradewind.models.rows import training_rows
from tradewind.models.voting import Voting
from tradewind.strategies.policy import edge


class Stubborn(Forecaster):
    """Always answers the same."""

    def __init__(self, answer: float | tuple[float, ...]) -> None:
        self.answer = answer
        self.classes: tuple[float, ...] = ()

    def fit(self, X: Features, y: Labels) -> Self:
        training_rows(X, y)
        self.classes = y.classes
        return self

    def predict(self, X: Features) -> Forecast:
        shape = X.values.shape[:2]
        if isinstance(self.answer, tuple):
            return Forecast(probabilities=np.tile(self.answer, (*shape, 1)), classes=self.classes)
        return Forecast(mean=np.full(shape, self.answer))


def elected(answers: list[Any], classes: tuple[float, ...], **settings: Any) -> list[float]:
    X = features(np.zeros((12, 1, 1)), 0)
    values = np.resize(np.asarray(classes or (0.01,)), 12)[:, None]
    model = Voting([Stubborn(answer) for answer in answers], **settings).fit(X, labels(values, classes))
    return [float(number) for number in numbers(model.predict(X))[-1, 0].round(12)]


UP, DOWN, FLAT = (0.1, 0.2, 0.7), (0.6, 0.3, 0.1), (0.2, 0.6, 0.2)
WEAK = (0.3, 0.3, 0.4)
THREE = (-1.0, 0.0, 1.0)
NEUTRAL = [round(1 / 3, 12)] * 3


@pytest.mark.parametrize(
    ("rule", "confidence", "answers", "expected"),
    [
        # Three of four are .75 of the vote; the answer is the mean of the three.
        ("majority", 0.7, [UP, UP, WEAK, DOWN], [round(0.5 / 3, 12), round(0.7 / 3, 12), 0.6]),
        ("majority", 0.7, [UP, UP, DOWN], NEUTRAL),
        ("majority", 0.6, [UP, UP, DOWN], [0.1, 0.2, 0.7]),
        ("majority", 0.4, [UP, UP, DOWN, DOWN], NEUTRAL),
        ("majority", 0.0, [UP, DOWN, FLAT], NEUTRAL),
        ("majority", 1.0, [UP, UP, UP], [0.1, 0.2, 0.7]),
        ("unanimous", 0.0, [UP, UP, DOWN], NEUTRAL),
        ("unanimous", 0.7, [UP, WEAK], [0.2, 0.25, 0.55]),
        ("majority", 0.7, [FLAT, FLAT, FLAT, UP], [0.2, 0.6, 0.2]),
        # Who finds two classes equally probable gives half a vote to each: up has two and a half of three.
        ("majority", 0.8, [UP, UP, (0.0, 0.5, 0.5)], [0.08, 0.26, 0.66]),
        ("majority", 0.9, [UP, UP, (0.0, 0.5, 0.5)], NEUTRAL),
    ],
)
def test_votes_by_hand(rule: str, confidence: float, answers: list[Any], expected: list[float]) -> None:
    assert elected(answers, THREE, rule=rule, minimum_confidence=confidence) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize(
    ("rule", "answers", "expected"),
    [
        ("majority", [0.01, 0.03, 0.02, -0.5], 0.02),
        ("majority", [0.01, 0.03, -0.02], 0.0),
        ("unanimous", [-0.01, -0.03], -0.02),
        ("unanimous", [-0.01, 0.0], 0.0),
        ("majority", [0.0, 0.0, 0.0, 0.1], 0.0),
    ],
)
def test_returns_vote_by_sign(rule: str, answers: list[float], expected: float) -> None:
    assert elected(answers, (), rule=rule) == pytest.approx([expected], abs=1e-11)


@given(
    seed=st.integers(0, 10_000),
    rule=st.sampled_from(["weighted", "majority", "unanimous"]),
    confidence=st.floats(0, 1),
    classes=st.sampled_from([(-1.0, 1.0), (-1.0, 0.0, 1.0), (0.0, 1.0), (0.0, 1.0, 5.0)]),
)
def test_who_abstains_has_no_edge_and_who_does_not_sides_with_the_winner(
    seed: int, rule: str, confidence: float, classes: tuple[float, ...]
) -> None:
    random = np.random.default_rng(seed)
    answers = random.dirichlet(np.full(len(classes), 0.4), size=5)
    X = features(np.zeros((10, 1, 1)), 0)
    y = labels(np.resize(np.asarray(classes), 10)[:, None], classes)
    model = Voting([Stubborn(tuple(answer)) for answer in answers], rule=rule, minimum_confidence=confidence).fit(X, y)
    forecast = model.predict(X)
    found = numbers(forecast)[-1, 0]
    assert found.sum() == pytest.approx(1.0, abs=1e-12) and (found >= 0).all()
    shares = np.bincount(answers.argmax(axis=1), weights=np.array(list(model.importance().values())), minlength=len(classes))
    needed = 1.0 if rule == "unanimous" else confidence
    if shares.max() >= needed - 1e-9 and (shares >= shares.max() - 1e-9).sum() == 1:
        inside = answers[answers.argmax(axis=1) == shares.argmax()]
        assert (found >= inside.min(axis=0) - 1e-9).all() and (found <= inside.max(axis=0) + 1e-9).all()
    else:
        assert abs(edge(forecast, 0.001)[-1, 0]) < 1e-12


def test_weights_are_skill_on_the_tail_and_never_negative() -> None:
    X, y = lesson(n=600, symbols=1, classes=(-1.0, 1.0))
    weights = Voting(("logistic", "ridge", Stubborn((0.9, 0.1)), "base-rate")).fit(X, y).importance()
    assert weights["Stubborn"] == 0.0 and weights["base-rate"] == 0.0
    # The very skill: 1 - Brier score / Brier score of the base rate, on the last 15 percent, fitted a row before on what was known.
    rows = training_rows(X, y)
    _, tail = rows.tail(0.15)
    first = int(rows.time[tail].min())
    past, answers = X[: first - 1], y[: first - 1].known_by(int(X.known[first - 2]))
    scores = {name: _brier(forecaster(name).fit(past, answers), X[first:], y.values[first:]) for name in ("base-rate", "logistic", "ridge")}
    skill = {name: 1.0 - scores[name] / scores["base-rate"] for name in ("logistic", "ridge")}
    assert min(skill.values()) > 0.3
    for name, part in skill.items():
        assert weights[name] == pytest.approx(part / sum(skill.values()), rel=1e-9)


def _brier(model: Any, X: Features, truth: np.ndarray[Any, Any]) -> float:
    found = numbers(model.predict(X))
    there = np.isfinite(found).all(axis=2) & np.isfinite(truth)
    return float(((found[there] - (truth[there][:, None] == np.array([-1.0, 1.0]))) ** 2).sum())


def test_where_nobody_has_skill_all_are_equal() -> None:
    X, y = lesson(n=300, classes=(-1.0, 1.0))
    for settings in ({}, {"validation": 0.0}, {"rule": "majority"}):
        model = Voting((Stubborn((1.0, 0.0)), Stubborn((0.0, 1.0))), **settings).fit(X, y)  # type: ignore[arg-type]
        assert model.importance() == {"Stubborn 1": 0.5, "Stubborn 2": 0.5}


def test_weights_of_returns_are_the_squared_error_they_save() -> None:
    X, y = lesson(n=600, symbols=1, classes=())
    weights = Voting(("ridge", "no-change", Stubborn(0.5))).fit(X, y).importance()
    assert weights["ridge"] > 0.9 and weights["Stubborn"] == 0.0


def test_classes_seen_on_one_side_alone() -> None:
    X = features(np.zeros((12, 1, 1)), 0)
    y = labels(np.resize(np.array([-1.0, 0.0]), 12)[:, None], THREE)
    model = Voting((Stubborn((0.6, 0.4, 0.0)), Stubborn((0.4, 0.6, 0.0))), rule="majority").fit(X, y)
    # Nobody is elected, and up was never seen: nothing will happen.
    assert numbers(model.predict(X))[0, 0].tolist() == [0.0, 1.0, 0.0]


def test_misuse_is_told_clearly() -> None:
    X, y = lesson()
    wrongs: tuple[dict[str, Any], ...] = (
        {"rule": "loudest"},
        {"minimum_confidence": 1.1},
        {"validation": 1.0},
        {"embargo": -1},
        {"members": ()},
    )
    for wrong in wrongs:
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            Voting(**wrong)
    with pytest.raises(NotFitted):
        Voting().importance()
    state = small("voting").fit(X, y).state()
    lacking = State(state.values, {name: array for name, array in state.arrays.items() if name != "weights"})
    with pytest.raises(StateError, match="no weights"):
        small("voting").restore(lacking)
    with pytest.raises(StateError, match="members"):
        Voting(("ridge",)).restore(state)
