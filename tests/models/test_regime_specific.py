"""A forecaster for each regime: what each copy learns from, who answers, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models.lessons import features, labels, lesson, numbers

import tradewind as tw
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import Features, Labels
from tradewind.models.linear import Ridge
from tradewind.models.regime_specific import RegimeSpecific

CLASSES = (-1.0, 0.0, 1.0)


def opposite(n: int = 600, classes: tuple[float, ...] = (), rare: float = 0.5) -> tuple[Features, Labels]:
    """The first column means the opposite in the second regime, which has the share `rare` of the rows; certain regimes."""
    random = np.random.default_rng(0)
    signal, other = random.standard_normal((2, n, 1))
    second = (random.random((n, 1)) < rare).astype(float)
    answer = np.where(second > 0, -signal, signal)
    values = np.stack([signal, other, 1.0 - second, second], axis=2)
    X = replace(features(values, 0), names=("signal", "other", "regime_calm", "regime_wild"))
    return X, labels(np.sign(answer) if classes else 0.01 * answer, classes)


@pytest.mark.parametrize("classes", [(), CLASSES], ids=["return", "classes"])
def test_it_learns_what_inputs_mean_in_each_regime(classes: tuple[float, ...]) -> None:
    X, y = opposite(classes=classes)
    base = "logistic" if classes else "ridge"
    pooled = tw.forecaster(base).fit(X[:400], y[:400]).predict(X[400:]).score()
    own = RegimeSpecific(base).fit(X[:400], y[:400]).predict(X[400:]).score()
    truth = y.values[400:, 0]
    assert np.corrcoef(own[:, 0], truth)[0, 1] > (0.8 if classes else 0.99)
    assert abs(np.corrcoef(pooled[:, 0], truth)[0, 1]) < 0.3


def test_answers_are_mixed_by_the_probabilities() -> None:
    X, y = opposite()
    model = RegimeSpecific("ridge", least=20).fit(X, y)
    row = X.values[-1, 0].copy()

    def answer(calm: float, wild: float) -> float:
        row[2:] = calm, wild
        return float(numbers(model.predict(replace(X[-1:], values=row[None, None]))).item())

    parts = {}
    for name, models in model._own.items():
        parts[name] = lambda calm, wild, models=models: (
            models[0].predict(replace(X[-1:], values=np.array([[[row[0], row[1], calm, wild]]]))).score().item()
        )
    for calm, wild in ((0.3, 0.7), (0.5, 0.5), (1.0, 0.0)):
        expected = calm * parts["regime_calm"](calm, wild) + wild * parts["regime_wild"](calm, wild)
        assert answer(calm, wild) == pytest.approx(expected, rel=1e-12, abs=1e-15)
    # Shares of their sum; and where no regime is probable the pooled model answers.
    share = 3.0 * parts["regime_calm"](0.6, 0.2) / 4 + parts["regime_wild"](0.6, 0.2) / 4
    assert answer(0.6, 0.2) == pytest.approx(share, rel=1e-12, abs=1e-15)
    pooled = Ridge().fit(X, y)
    row[2:] = 0.0, 0.0
    assert answer(0.0, 0.0) == pooled.predict(replace(X[-1:], values=row[None, None])).score().item()


def test_a_copy_learns_with_its_regimes_probabilities_as_weights() -> None:
    X, y = lesson(classes=(), columns=4)
    # A column of plain shares, and the other share with it.
    values = X.values.copy()
    values[:, :, 2] = 1.0 / (1.0 + np.exp(-values[:, :, 2]))
    values[:, :, 3] = 1.0 - values[:, :, 2]
    X = replace(X, values=values)
    heavy = replace(y, weights=np.abs(np.random.default_rng(1).standard_normal(y.weights.shape)))
    model = RegimeSpecific("ridge", regimes=("x2", "x3"), least=10).fit(X, heavy)
    share = values[:, :, 2] / (values[:, :, 2] + values[:, :, 3])
    by_hand = Ridge().fit(X, replace(heavy, weights=heavy.weights * share))
    mine = model._own["x2"][0].predict(X).score()
    np.testing.assert_array_equal(mine, by_hand.predict(X).score())


@pytest.mark.parametrize("classes", [(), CLASSES], ids=["return", "classes"])
def test_contributions_add_up_to_the_answer(classes: tuple[float, ...]) -> None:
    X, y = opposite(n=300, classes=classes, rare=0.1)
    model = RegimeSpecific("logistic" if classes else "ridge", least=60).fit(X, y)
    rows = np.array([[t, 0] for t in range(100, 140)])
    told, answers = model.contributions(X, rows), numbers(model.predict(X))[rows[:, 0], 0]
    assert told.names == ("regime_calm", "pooled") and told.unit == ("probability" if classes else "return")
    np.testing.assert_allclose(told.total, answers[:, -1] - answers[:, 0] if classes else answers[:, 0], atol=1e-12)
    np.testing.assert_allclose(told.base + told.values.sum(axis=(1, 2)), told.total, atol=1e-15)
    calm = X.values[rows[:, 0], 0, 2] == 1.0
    assert (told.values[calm, 0, 1] == 0).all() and (told.values[~calm, 0, 0] == 0).all() and calm.any() and not calm.all()
    values = X.values.copy()
    values[120, 0, 0] = np.nan
    with pytest.raises(DataError, match="row 120 of S0"):
        model.contributions(replace(X, values=values), rows)


def test_a_rare_regime_is_answered_by_the_pooled_model_and_said_so() -> None:
    X, y = opposite(rare=0.05)
    model = RegimeSpecific("ridge").fit(X, y)
    calm, wild = model.notes
    count = int(X.values[:, 0, 3].sum() - X.values[-1, 0, 3] * np.isnan(y.values[-1, 0]))
    assert wild == f"regime_wild: {count} effective rows, fewer than 100: the pooled model speaks for it"
    assert calm.startswith("regime_calm: 5") and "pooled" not in calm
    rows = X.values[:, 0, 3] == 1.0
    np.testing.assert_array_equal(model.predict(X).score()[rows], Ridge().fit(X, y).predict(X).score()[rows])


def test_a_regime_that_never_was_and_all_regimes_rare() -> None:
    X, y = opposite(rare=0.0)
    only = RegimeSpecific("ridge").fit(X, y)
    assert "regime_wild: 0 effective rows" in only.notes[1]
    none = RegimeSpecific("ridge", least=1e6).fit(X, y)
    np.testing.assert_array_equal(none.predict(X).score(), Ridge().fit(X, y).predict(X).score())


def test_bases_with_a_window_and_ones_own(tmp_path: Path) -> None:
    lstm = ("lstm", {"window": 4, "hidden": 4, "layers": 1, "epochs": 2})
    for base in (lstm, Ridge()):
        X, y = opposite(n=300, classes=CLASSES if base is lstm else ())
        model = RegimeSpecific(base, least=20)
        assert model.window == (tw.forecaster(lstm[0], **lstm[1]).window if base is lstm else 1)
        answered = numbers(model.fit(X, y).predict(X))
        save_state(tmp_path / model._members.names[0], model.state())
        reborn = RegimeSpecific(base, least=20).restore(load_state(tmp_path / model._members.names[0]))
        assert numbers(reborn.predict(X)).tobytes() == answered.tobytes() and reborn.notes == model.notes


def test_the_seven_by_rules_are_found_by_their_names() -> None:
    market = tw.synthetic.noise(bars=900, symbols=2, seed=1).market
    X = tw.features.compute(market, "relative-price+regime")
    y = tw.labels.label("next-bar")(market)
    model = RegimeSpecific(least=30).fit(X, y)
    assert len(model.notes) == 7 and all(note.startswith("regime_") for note in model.notes)
    strategy = tw.strategy("regime-specific", features="relative-price+regime").fit(market)
    assert np.isfinite(strategy.decide_all(market)).any()
    assert strategy.model.notes


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"regimes": ()}, SettingsError, "name the columns"),
        ({"regimes": "regime_calm"}, SettingsError, "name the columns"),
        ({"least": 0}, SettingsError, "least is 0"),
        ({"base": "rigde"}, SettingsError, "did you mean 'ridge'"),
        ({"base": ("ridge", {"penalty": 1.0}), "base_settings": {"penalty": 1.0}}, SettingsError, "base_settings go with"),
        ({"regimes": ("regime_clam",)}, DataError, "regime_clam"),
    ],
)
def test_impossible_settings(settings: dict[str, object], error: type[Exception], words: str) -> None:
    X, y = opposite(n=50)
    with pytest.raises(error, match=words):
        RegimeSpecific(**{"base": "ridge", **settings}).fit(X, y)


def test_no_regimes_no_fit_and_a_foreign_state_are_errors() -> None:
    X, y = lesson(classes=())
    with pytest.raises(DataError, match=r"relative\+regime"):
        RegimeSpecific("ridge").fit(X, y)
    model = RegimeSpecific("ridge", regimes=("x1",))
    with pytest.raises(NotFitted):
        model.predict(X)
    with pytest.raises(NotFitted):
        model.notes  # noqa: B018 - the property raises
    with pytest.raises(StateError):
        model.restore(Ridge().fit(X, y).state())
