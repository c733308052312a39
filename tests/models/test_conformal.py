"""Conformal intervals: which rows the base learns, which scores count, and the coverage through a switch of volatility."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.models.lessons import STEP, features, labels, lesson

import tradewind as tw
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import Features, Labels
from tradewind.models.conformal import Conformal
from tradewind.models.registry import forecaster, space
from tradewind.stats.conformal import adaptive_bound, adaptive_levels, conformal_quantile, conformal_ranks, conformal_thresholds

METHODS = ("split", "rolling", "aci", "dtaci")
NO = np.nan


class Still(tw.Forecaster):
    """Says 0 everywhere; remembers the rows that it was fitted on. `spread`: gives the quantiles +-spread as well."""

    def __init__(self, spread: float = 0.0) -> None:
        self.spread, self.seed = spread, 0

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Still:
        self.learned = np.flatnonzero(np.isfinite(y.values[:, 0]))
        return self

    def predict(self, X: Features) -> tw.Forecast:
        mean = np.where(np.isnan(X.values).any(axis=2), NO, 0.0)
        if self.spread == 0.0:
            return tw.Forecast(mean=mean)
        levels = (0.1, 0.25, 0.5, 0.75, 0.9)
        return tw.Forecast(mean=mean, quantiles=mean[:, :, None] + self.spread * np.linspace(-2, 2, 5), levels=levels)


def market(n: int = 3000, symbols: int = 2, seed: int = 0, switch: float = 1.0, horizon: int = 1) -> tuple[Features, Labels]:
    """One predictable column; the noise is `switch` times as wide from the middle on, and answers are known `horizon` rows later."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((n, symbols, 2))
    noise = 0.01 * random.standard_normal((n, symbols))
    noise[n // 2 :] *= switch
    X = features(values, 0)
    y = labels(0.01 * values[:, :, 0] + noise)
    return X, replace(y, known=y.known + (horizon - 1) * STEP, horizon=horizon)


def misses(forecast: tw.Forecast, y: Labels, rows: slice) -> np.ndarray[Any, Any]:
    """(time, symbol) of the rows: whether the answer lies outside the interval."""
    assert forecast.quantiles is not None
    return ((y.values < forecast.quantiles[..., 0]) | (y.values > forecast.quantiles[..., 1]))[rows]


def test_the_base_learns_the_earlier_rows_and_the_tail_is_scored_by_hand() -> None:
    X = features(np.zeros((20, 1, 1)), 0)
    answers = np.arange(20.0)[:, None] * np.where(np.arange(20) % 2, 1, -1)[:, None]
    model = Conformal(Still(), alpha=0.25, calibration=0.25, method="split").fit(X, labels(answers))
    # The tail is rows 15 to 19; the answer of row 14 is known only as row 15 is asked, so it is purged.
    assert model.base.learned.tolist() == list(range(14))
    forecast = model.predict(X)
    assert forecast.levels == (0.125, 0.875)
    # ceil(6 * .75) = 5th of 15, 16, 17, 18, 19
    np.testing.assert_array_equal(forecast.quantiles, np.tile([-19.0, 19.0], (20, 1, 1)))
    np.testing.assert_array_equal(forecast.mean, np.zeros((20, 1)))


def test_answers_of_the_base_are_left_as_they_are() -> None:
    for classes in ((), (-1.0, 0.0, 1.0)):
        X, y = lesson(classes=classes)
        model = forecaster("conformal", forecaster="ridge" if not classes else "logistic").fit(X, y)
        own, base = model.predict(X), model.base.predict(X)
        for name in ("mean", "probabilities"):
            mine, its = getattr(own, name), getattr(base, name)
            assert (mine is None) == (its is None) and (mine is None or mine.tobytes() == its.tobytes())
        assert own.classes == base.classes


def test_intervals_of_class_codes_lie_around_the_expected_code() -> None:
    X, y = lesson(n=1200, classes=(-1.0, 0.0, 1.0))
    model = forecaster("conformal", forecaster="logistic", method="split").fit(X[:800], y[:800])
    forecast = model.predict(X)
    assert forecast.quantiles is not None
    np.testing.assert_allclose(forecast.quantiles.mean(axis=2), forecast.score(), atol=1e-12)
    there = np.isfinite(forecast.score()) & np.isfinite(y.values)
    missed = misses(forecast, y, slice(800, None))[there[800:]]
    assert abs(missed.mean() - 0.1) < 0.04


def test_quantiles_of_the_base_are_moved_by_what_they_missed() -> None:
    X = features(np.zeros((20, 1, 1)), 0)
    y = labels(np.linspace(-3.0, 6.0, 20)[::-1, None].copy())
    model = Conformal(Still(spread=1.0), alpha=0.4, calibration=0.25, method="split").fit(X, y)
    # The base's levels nearest to .2 and .8 are .25 and .75, at -1 and 1; of the tail -3 lies furthest outside, by 2.
    scores = np.maximum(-1.0 - y.values[15:], y.values[15:] - 1.0)
    moved = conformal_quantile(scores, 0.4)
    assert 0.0 < moved < 2.0
    np.testing.assert_allclose(model.predict(X).quantiles[0, 0], [-1.0 - moved, 1.0 + moved])
    # Answers always well inside narrow the interval, to a point at most.
    narrow = Conformal(Still(spread=1.0), alpha=0.4, calibration=0.25, method="split").fit(X, labels(np.full((20, 1), 0.25)))
    np.testing.assert_allclose(narrow.predict(X).quantiles[0, 0], [-0.25, 0.25])


def test_scores_in_units_of_a_column() -> None:
    random = np.random.default_rng(0)
    width = np.exp(random.standard_normal((4000, 1, 1)))
    X, y = features(width, 0), labels(0.01 * width[:, :, 0] * random.standard_normal((4000, 1)))
    plain, scaled = (Conformal(Still(), method="split", scale=scale).fit(X[:2000], y[:2000]) for scale in (None, "x0"))
    loud = (width[2000:, 0, 0] > 2.0)[:, None]
    missed = [misses(model.predict(X), y, slice(2000, None))[loud].mean() for model in (plain, scaled)]
    assert missed[0] > 0.2 and abs(missed[1] - 0.1) < 0.04
    values = X.values.copy()
    values[-1] = 0.0
    assert np.isnan(scaled.predict(replace(X, values=values)).quantiles[-1]).all()
    with pytest.raises(DataError, match="not among"):
        Conformal(Still(), scale="volatility").fit(X, y)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("horizon", [1, 6])
def test_coverage_where_nothing_changes(method: str, horizon: int) -> None:
    X, y = market(horizon=horizon)
    model = forecaster("conformal", method=method).fit(X[:1500], y[:1500])
    missed = misses(model.follow(X, y), y, slice(1500, 2990))
    assert abs(missed.mean() - 0.1) < 0.025


def test_coverage_through_a_switch_of_volatility() -> None:
    X, y = market(switch=3.0, horizon=6)
    rates = {}
    for method in METHODS:
        model = forecaster("conformal", method=method).fit(X[:1200], y[:1200])
        rates[method] = float(misses(model.follow(X, y), y, slice(1500, 2990)).mean())
    assert rates["split"] > 0.4
    assert abs(rates["aci"] - 0.1) < 0.03 and abs(rates["dtaci"] - 0.1) < 0.03
    assert abs(rates["aci"] - 0.1) < abs(rates["rolling"] - 0.1) < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_the_last_rows_give_the_bits_of_the_whole_history(method: str) -> None:
    X, y = market(n=600, switch=2.0, horizon=4)
    values, answers = X.values.copy(), y.values.copy()
    draw = np.random.default_rng(1)
    values[draw.uniform(size=values.shape[:2]) < 0.1] = NO
    values[420:470, 1] = NO
    # Answers that arrive in another order than they were asked for, as those of barriers do.
    known = y.known + STEP * draw.integers(0, 20, y.known.shape)
    X, y = replace(X, values=values), replace(y, values=answers, known=known)
    model = forecaster("conformal", method=method, memory=60).fit(X[:300], y[:300].known_by(int(X.known[299])))
    whole = model.follow(X, y).quantiles
    reach = model.window + model.memory
    for cut in (1, 150, 300, 301, 302, 330, 361, 362, 450, 475, 599, 600):
        recent = slice(max(0, cut - reach), cut)
        part = y[recent].known_by(int(X.known[cut - 1]))
        assert model.follow(X[recent], part).quantiles[-1].tobytes() == whole[cut - 1].tobytes(), cut
    assert (method == "split") == (whole[300:].tobytes() == model.predict(X).quantiles[300:].tobytes())
    assert whole[:300].tobytes() == model.predict(X).quantiles[:300].tobytes()


def test_rolling_is_the_quantile_of_the_last_scores() -> None:
    X, y = market(n=700, symbols=1)
    model = forecaster("conformal", method="rolling", memory=100, alpha=0.2).fit(X[:400], y[:400])
    found = model.follow(X, y).quantiles[:, 0]
    scores = np.abs(y.values - model.predict(X).mean)[:, 0]
    # In row 600 the answers of rows 500 to 598 are known.
    assert (found[600, 1] - found[600, 0]) / 2 == pytest.approx(conformal_quantile(scores[500:599], 0.2))
    # In row 450 those of 400 to 448, and of the tail, which is the 50 rows before the fit ended.
    thresholds = conformal_thresholds(scores[400:], 0.2, 100, np.arange(300) + 2, scores[320:400])
    assert (found[450, 1] - found[450, 0]) / 2 == pytest.approx(thresholds[50])


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float64, (150, 2), elements=st.floats(0.001, 9.0) | st.floats(-9.0, -0.001)),
    st.sampled_from([0.1, 0.3]),
    st.sampled_from([1, 4]),
)
def test_the_bound_of_the_theorem_holds_for_answers_chosen_by_an_adversary(answers: Any, alpha: float, horizon: int) -> None:
    X = features(np.zeros((200, 2, 1)), 0)
    y = labels(np.vstack([np.linspace(-1.0, 1.0, 50)[:, None] * np.ones(2), answers]))
    y = replace(y, known=y.known + (horizon - 1) * STEP, horizon=horizon)
    gamma = 0.4
    model = Conformal(Still(), alpha=alpha, gamma=gamma, memory=300).fit(X[:50], y[:50].known_by(int(X.known[49])))
    missed = misses(model.follow(X, y), y, slice(50, None)).mean(axis=0)
    assert (np.abs(missed - alpha) <= adaptive_bound(alpha, gamma / horizon, 150, horizon)).all()


def test_answers_that_grow_for_ever_are_missed_by_every_fixed_level() -> None:
    X, y = features(np.zeros((250, 1, 1)), 0), labels(1.02 ** np.arange(250)[:, None])
    missed = {}
    for method in METHODS:
        model = Conformal(Still(), method=method, gamma=0.4, memory=400).fit(X[:50], y[:50])
        missed[method] = float(misses(model.follow(X, y), y, slice(50, None)).mean())
    assert missed["split"] == missed["rolling"] == 1.0
    assert abs(missed["aci"] - 0.1) <= adaptive_bound(0.1, 0.4, 200)


def test_an_adaptive_level_counts_an_overlapping_miss_once() -> None:
    X, y = market(n=700, symbols=1, switch=2.0, horizon=5)
    model = forecaster("conformal", memory=100, gamma=0.3).fit(X[:400], y[:400].known_by(int(X.known[399])))
    scores = np.abs(y.values - model.predict(X).mean)[500:, 0]
    arrival = np.arange(200) + 5
    # From row 600 on nothing before row 500 is looked back on.
    levels = adaptive_levels(conformal_ranks(scores, 50, arrival), 0.1, 0.3 / 5, arrival, steps=50)
    expected = conformal_thresholds(scores, levels, 50, arrival)
    np.testing.assert_allclose(np.diff(model.follow(X, y).quantiles[600:, 0], axis=1)[:, 0] / 2, expected[100:])


def test_returns_over_many_bars_have_intervals_that_end() -> None:
    # Moves over 24 bars that begin one bar apart are missed a day long at a time.
    close = np.cumsum(0.01 * np.random.default_rng(4).standard_normal(6024))
    X = features(np.random.default_rng(5).standard_normal((6000, 1, 2)), 0)
    y = labels((close[24:] - close[:-24])[:, None])
    y = replace(y, known=y.known + 23 * STEP, horizon=24)
    forecast = forecaster("conformal").fit(X[:3000], y[:3000].known_by(int(X.known[2999]))).follow(X, y)
    assert np.isinf(forecast.quantiles[3000:]).mean() < 0.05
    assert abs(misses(forecast, y, slice(3000, None)).mean() - 0.1) < 0.06


def test_a_symbol_that_the_tail_lacks_has_the_scores_of_all() -> None:
    X, y = market(n=400)
    values = X.values.copy()
    values[:, 1] = NO
    lone = replace(X, values=values)
    model = forecaster("conformal", method="split").fit(lone, y)
    widths = np.diff(model.predict(X).quantiles, axis=2)[:, :, 0]
    np.testing.assert_allclose(widths[:, 1], widths[:, 0], rtol=1e-12)
    named = replace(X, symbols=("S0", "NEW"))
    np.testing.assert_allclose(np.diff(model.predict(named).quantiles, axis=2)[:, :, 0], widths)


def test_too_few_scores_say_that_nothing_is_known() -> None:
    X, y = market(n=30, symbols=1)
    for calibration in (0.01, 0.2):
        forecast = forecaster("conformal", calibration=calibration).fit(X, y).predict(X)
        np.testing.assert_array_equal(forecast.quantiles, np.tile([-np.inf, np.inf], (30, 1, 1)))
        assert np.isfinite(forecast.mean).all()


def test_explanations_are_those_of_the_base() -> None:
    X, y = market(n=300)
    model = forecaster("conformal", forecaster="ridge").fit(X, y)
    rows = np.array([[250, 0], [290, 1]])
    mine, its = model.contributions(X, rows), model.base.contributions(X, rows)
    assert mine.values.tobytes() == its.values.tobytes()
    np.testing.assert_allclose(mine.total, model.predict(X).mean[rows[:, 0], rows[:, 1]])


@pytest.mark.parametrize("given", ["lightgbm", ("lightgbm", {"trees": 20}), ["lightgbm", {"trees": 20}], Still()])
def test_ways_to_name_the_base(given: Any, tmp_path: Path) -> None:
    X, y = market(n=300)
    model = forecaster("conformal", forecaster=given, memory=40)
    model.reseed(5)
    model.fit(X[:200], y[:200])
    save_state(tmp_path / "state", model.state()) if not isinstance(given, Still) else None
    if isinstance(given, Still):
        assert model.base is not given and model.base.seed == 5 and not hasattr(given, "learned")
        return
    reborn = forecaster("conformal", forecaster=given, memory=40).restore(load_state(tmp_path / "state"))
    assert reborn.state() == model.state()
    assert reborn.follow(X, y).quantiles.tobytes() == model.follow(X, y).quantiles.tobytes()
    assert copy.deepcopy(model).follow(X, y).quantiles.tobytes() == model.follow(X, y).quantiles.tobytes()


def test_settings_go_with_a_name() -> None:
    assert forecaster("conformal", forecaster="ridge", forecaster_settings={"penalty": 3.0}).base.penalty == 3.0
    assert set(space("conformal")) == {"method", "gamma", "memory", "calibration"}
    assert forecaster("conformal", method="split").memory == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "mondrian"}, "one of split, rolling, aci, dtaci"),
        ({"alpha": 1.0}, "alpha is 1.0"),
        ({"calibration": 0}, "calibration is 0"),
        ({"memory": 1}, "memory is 1"),
        ({"gamma": 0}, "gamma is 0"),
        ({"forecaster": "rigde"}, "did you mean 'ridge'"),
        ({"forecaster": ("ridge", 3)}, "pair"),
        ({"forecaster": 7}, "pair"),
        ({"forecaster": Still(), "forecaster_settings": {"spread": 1}}, "name alone"),
        ({"forecaster_settings": {"penalti": 1}}, "did you mean 'penalty'"),
        ({"gama": 0.1}, "did you mean 'gamma'"),
    ],
)
def test_impossible_settings(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        forecaster("conformal", **wrong)


def test_misuse_is_told_clearly() -> None:
    X, y = market(n=100)
    with pytest.raises(NotFitted):
        forecaster("conformal").follow(X, y)
    model = forecaster("conformal").fit(X, y)
    with pytest.raises(DataError, match="lacks"):
        model.follow(X.select(["x0"]), y)
    with pytest.raises(StateError, match="base forecaster"):
        forecaster("conformal").restore(forecaster("ridge").fit(X, y).state())
    assert not hasattr(Conformal(Still()).fit(X, y), "contributions")
