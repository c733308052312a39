"""Conformal quantiles by hand, and the coverage that theorems promise on scores chosen by an adversary."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tradewind.core.errors import DataError, SettingsError
from tradewind.stats.conformal import (
    adaptive_bound,
    adaptive_levels,
    arrivals,
    conformal_quantile,
    conformal_ranks,
    conformal_thresholds,
    tracked_thresholds,
)

NO = math.nan
score_lists = hnp.arrays(np.float64, st.integers(1, 120), elements=st.integers(0, 12).map(float) | st.just(NO))
alphas = st.sampled_from([0.02, 0.1, 0.25, 0.5, 0.9])


def switching(seed: int, n: int = 4000, factor: float = 4.0) -> np.ndarray:
    """Absolute normal scores whose scale is another from the middle on."""
    scores = np.abs(np.random.default_rng(seed).standard_normal(n))
    scores[n // 2 :] *= factor
    return scores


@pytest.mark.parametrize(
    ("scores", "alpha", "expected"),
    [
        ([3, 1, 2, 4, 5, 7, 6, 9, 8], 0.1, 9.0),  # the ceil(10 * .9) = 9th of nine
        ([3, 1, 2, 4, 5, 7, 6, 9, 8], 0.2, 8.0),
        ([3, 1, 2, 4, 5, 7, 6, 9, 8], 0.55, 5.0),  # ceil(4.5)
        ([3, 1, 2, 4, 5, 7, 6, 8], 0.1, math.inf),  # ceil(9 * .9) = 9 of eight
        ([1, NO, 2, NO, 3], 0.25, 3.0),
        ([[1, 2], [3, NO]], 0.5, 2.0),
        ([], 0.5, math.inf),
        ([1, 2, 3], 0.0, math.inf),
        ([1, 2, 3], -0.7, math.inf),
        ([1, 2, 3], 1.0, -math.inf),
    ],
)
def test_the_split_quantile_by_hand(scores: list[float], alpha: float, expected: float) -> None:
    assert conformal_quantile(scores, alpha) == expected


@given(st.integers(1, 400), st.integers(1, 99))
def test_the_quantile_is_the_exact_rank(n: int, percent: int) -> None:
    # ceil((n + 1)(1 - alpha)) in whole numbers, where floating point would be a hair off at multiples.
    place = -(-(n + 1) * (100 - percent) // 100)
    assert conformal_quantile(np.arange(1, n + 1), percent / 100) == (place if place <= n else math.inf)


def test_ranks_and_thresholds_by_hand() -> None:
    scores = np.array([2.0, 1.0, 3.0, NO, 2.0, 0.0])
    np.testing.assert_allclose(conformal_ranks(scores, 3), [1, 1, 1 / 3, NO, 2 / 3, 1])
    np.testing.assert_array_equal(conformal_thresholds(scores, 0.5, 3), [math.inf, 2, 2, 2, 3, 3])
    # Row 1's window of three holds row 0 and the last two scores before the first.
    np.testing.assert_allclose(conformal_ranks(scores[:2], 3, prior=[9.0, 1.0, 0.5]), [2 / 4, 3 / 4])
    np.testing.assert_array_equal(conformal_thresholds(scores[:2], 0.5, 3, prior=[9.0, 1.0, 0.5]), [1.0, 1.0])
    # Answers that take two rows: row 2 knows row 0 alone.
    late = np.arange(6) + 2
    np.testing.assert_array_equal(conformal_thresholds(scores, 0.5, 6, late), [math.inf, math.inf, 2, 2, 2, 2])
    np.testing.assert_allclose(conformal_ranks(scores, 6, late), [1, 1, 1 / 2, NO, 3 / 4, 1])


def test_arrivals_by_hand() -> None:
    asked = np.array([10, 20, 30, 50])
    known = np.array([20, 31, np.iinfo(np.int64).max, 50])
    assert arrivals(asked, known).tolist() == [1, 3, 4, 4]


@settings(max_examples=60, deadline=None)
@given(score_lists, alphas, st.integers(1, 30), st.integers(1, 5), hnp.arrays(np.float64, st.integers(0, 20), elements=st.integers(0, 12)))
def test_a_score_exceeds_its_threshold_exactly_when_its_rank_is_at_most_the_level(
    scores: np.ndarray, alpha: float, window: int, delay: int, prior: np.ndarray
) -> None:
    arrival = np.arange(len(scores)) + delay
    ranks = conformal_ranks(scores, window, arrival, prior)
    levels = adaptive_levels(ranks, alpha, 0.2, arrival)
    thresholds = conformal_thresholds(scores, levels, window, arrival, prior)
    there = ~np.isnan(scores)
    assert (np.isnan(ranks) == ~there).all()
    np.testing.assert_array_equal((scores > thresholds)[there], (ranks <= levels)[there])
    for t in range(len(scores)):  # beside the plain definition
        known = [scores[i] for i in range(max(0, t - window), t) if arrival[i] <= t and there[i]]
        known = [*prior[len(prior) - min(len(prior), max(0, window - t)) :], *known]
        if there[t]:
            assert ranks[t] == (1 + sum(s >= scores[t] for s in known)) / (len(known) + 1)
        assert thresholds[t] == conformal_quantile(known, levels[t])


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(np.float64, st.integers(1, 300), elements=st.floats(1e-6, 1.0)),
    alphas,
    st.sampled_from([0.001, 0.02, 0.2, 1.5]),
    st.integers(1, 7),
)
def test_the_coverage_bound_holds_for_any_ranks_whatever(ranks: np.ndarray, alpha: float, rate: float, delay: int) -> None:
    n = len(ranks)
    levels = adaptive_levels(np.append(ranks, [NO] * delay), alpha, rate, np.arange(n + delay) + delay)
    misses = float((ranks <= levels[:n]).mean())
    assert abs(misses - alpha) <= adaptive_bound(alpha, rate, n, delay) + 1e-12
    assert -delay * rate <= levels.min() and levels.max() <= 1 + delay * rate


@pytest.mark.parametrize("delay", [1, 5])
def test_an_adversary_who_sees_the_level_cannot_break_the_bound(delay: int) -> None:
    # He answers just beyond the interval whenever it is narrower than everything, and well inside otherwise, or the other way round.
    for spite in (lambda level: 1e-9 if level > 0.0 else 1.0, lambda level: 1.0 if level < 0.5 else 1e-9):
        ranks: list[float] = []
        for _ in range(300):
            seen = np.array([*ranks, NO])
            ranks.append(spite(adaptive_levels(seen, 0.1, 0.05, np.arange(len(seen)) + delay)[-1]))
        levels = adaptive_levels(np.array(ranks), 0.1, 0.05, np.arange(300) + delay)
        assert abs(float((np.array(ranks) <= levels).mean()) - 0.1) <= adaptive_bound(0.1, 0.05, 300, delay)


def test_the_bound_of_the_paper() -> None:
    assert adaptive_bound(0.1, 0.005, 1000) == pytest.approx((0.9 + 0.005) / (0.005 * 1000))
    assert adaptive_bound(0.8, 0.02, 10) == pytest.approx((0.8 + 0.02) / 0.2)


def test_adaptive_levels_by_hand() -> None:
    ranks = np.array([0.05, 0.6, NO, 0.5, 0.5])
    np.testing.assert_allclose(adaptive_levels(ranks, 0.1, 0.5), [0.1, -0.35, -0.3, -0.3, -0.25])
    # An answer is judged by the level of the row that asked, wherever the level has gone since.
    late = np.arange(5) + 2
    np.testing.assert_allclose(adaptive_levels(ranks, 0.1, 0.5, late), [0.1, 0.1, -0.35, -0.3, -0.3])
    np.testing.assert_allclose(adaptive_levels(np.array([0.05, 0.05, 1, 1]), 0.1, 0.5, late[:4]), [0.1, 0.1, -0.35, -0.8])


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float64, st.integers(2, 90), elements=st.floats(0.01, 1.0) | st.just(NO)),
    st.integers(1, 20),
    st.sampled_from([0.05, (0.01, 0.1, 0.4)]),
    st.integers(1, 4),
)
def test_restarted_levels_depend_on_so_many_rows_alone(ranks: np.ndarray, steps: int, rates: object, delay: int) -> None:
    levels = adaptive_levels(ranks, 0.2, rates, np.arange(len(ranks)) + delay, steps)
    for t in range(len(ranks)):
        part = ranks[max(0, t - steps) : t + 1]
        assert levels[t] == adaptive_levels(part, 0.2, rates, np.arange(len(part)) + delay, steps)[-1]


def test_several_rates_by_hand() -> None:
    # DtACI on one miss: losses (1 - a)(level - rank) for both experts alike, so that the mixture stays even.
    levels = adaptive_levels(np.array([0.04, NO]), 0.1, (0.1, 0.3))
    np.testing.assert_allclose(levels, [0.1, 0.1 - 0.2 * 0.9])
    # After it the slow one (level .01) and the quick one (-.17) differ; a second rank of .5 costs .1 * (.49 and .67).
    eta = math.sqrt((math.log(2 * 3) + 2) / (3 * ((0.9**2 * 0.1**3 + 0.1**2 * 0.9**3) / 3)))
    share = 1 / 6
    weights = np.exp(-eta * 0.1 * (0.5 - np.array([0.01, -0.17])))
    weights = (1 - share) * weights / weights.sum() + share / 2
    assert adaptive_levels(np.array([0.04, 0.5, NO]), 0.1, (0.1, 0.3))[-1] == pytest.approx(weights @ [0.02, -0.14])


@pytest.mark.parametrize("rates", [0.02, (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)], ids=["aci", "dtaci"])
def test_adaptive_levels_keep_the_coverage_through_a_switch_that_split_loses(rates: object) -> None:
    scores = switching(0)
    calibrated = conformal_quantile(scores[:1000], 0.1)
    assert (scores[2000:] > calibrated).mean() > 0.5
    ranks = conformal_ranks(scores, 1000)
    thresholds = conformal_thresholds(scores, adaptive_levels(ranks, 0.1, rates), 1000)
    fixed = conformal_thresholds(scores, 0.1, 1000)
    missed = [float((scores[2000:] > each[2000:]).mean()) for each in (thresholds, fixed)]
    assert abs(missed[0] - 0.1) < 0.02 < abs(missed[1] - 0.1)


def test_on_scores_that_do_not_drift_every_way_is_near_the_level() -> None:
    scores = np.abs(np.random.default_rng(3).standard_t(4, 6000))
    ranks = conformal_ranks(scores, 500)
    for steps in (0, 250):
        thresholds = conformal_thresholds(scores, adaptive_levels(ranks, 0.1, 0.02, steps=steps), 500)
        assert abs(float((scores > thresholds).mean()) - 0.1) < 0.01
    assert abs(float((scores > conformal_thresholds(scores, 0.1, 500)).mean()) - 0.1) < 0.012


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 200), elements=st.floats(0, 3)), alphas, st.sampled_from([0.01, 0.5, 4.0]))
def test_quantile_tracking_keeps_its_bound(scores: np.ndarray, alpha: float, rate: float) -> None:
    thresholds = tracked_thresholds(scores, alpha, rate, start=1.0)
    assert abs(float((scores > thresholds).mean()) - alpha) <= (3.0 + rate) / (rate * len(scores)) + 1e-12


def test_quantile_tracking_by_hand() -> None:
    np.testing.assert_allclose(tracked_thresholds([5, 0, NO, 9], 0.25, 2.0, 1.0), [1.0, 2.5, 2.0, 2.0])
    assert len(tracked_thresholds([], 0.1, 1.0)) == 0


def test_misuse_is_told_clearly() -> None:
    with pytest.raises(DataError, match=r"expected \(time,\)"):
        conformal_ranks(np.zeros((3, 2)), 3)
    with pytest.raises(DataError, match="later than its own row"):
        conformal_ranks(np.zeros(3), 3, np.arange(3))
    for wrong in ({"rates": 0.0}, {"rates": (0.1, -1.0)}, {"alpha": 1.0}, {"steps": -1}):
        with pytest.raises(SettingsError):
            adaptive_levels(np.zeros(3), **{"alpha": 0.1, **wrong})
    with pytest.raises(SettingsError, match="window"):
        conformal_thresholds(np.zeros(3), 0.1, 0)
    assert len(adaptive_levels([], 0.1)) == 0
