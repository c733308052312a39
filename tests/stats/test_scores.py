"""Scores of forecasts by hand and against sklearn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind import stats
from tradewind.core.errors import DataError, SettingsError


def test_crps_of_the_normal_law():
    assert stats.crps_gaussian(0.0, 0.0, 1.0) == pytest.approx(0.23369497725510913, abs=1e-15)
    assert stats.crps_gaussian([3.0], [1.0], [0.0]) == pytest.approx([2.0])


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(0.1, 4))
def test_crps_closed_form_ensemble_and_quantiles_agree(y, mean, deviation):
    from scipy.special import ndtri

    levels = (np.arange(2000) + 0.5) / 2000
    members = mean + deviation * ndtri(levels)
    exact = float(stats.crps_gaussian(y, mean, deviation))
    assert stats.crps_ensemble(np.array([y]), members[None]) == pytest.approx([exact], abs=2e-3 * deviation)
    assert stats.crps_quantiles(np.array([y]), members[None], levels) == pytest.approx(exact, abs=2e-3 * deviation)


def test_crps_of_an_ensemble_by_hand():
    assert stats.crps_ensemble([0.0], [[-1.0, 1.0]]) == pytest.approx([1.0 - 0.5])
    with pytest.raises(DataError, match="time, member"):
        stats.crps_ensemble([0.0, 1.0], [[1.0]])


def test_two_classes_by_hand():
    x = stats.classification([1, 1, 1, -1, -1, np.nan], [1, 1, -1, 1, -1, 1])
    assert x["accuracy"] == pytest.approx(0.6) and x["base_rate"] == pytest.approx(0.6) and x["rows"] == 5
    assert x["precision"] == pytest.approx(2 / 3) and x["recall"] == pytest.approx(2 / 3) and x["f1"] == pytest.approx(2 / 3)


def test_three_classes_agree_with_sklearn():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    y, f = random.integers(-1, 2, 300), random.integers(-1, 2, 300)
    x = stats.classification(y, f, (-1.0, 0.0, 1.0))
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(y, f, average="macro", zero_division=0)
    assert (x["accuracy"], x["precision"], x["recall"], x["f1"]) == pytest.approx((metrics.accuracy_score(y, f), precision, recall, f1))


def test_a_class_that_is_never_said_scores_zero_and_nothing_is_nan():
    x = stats.classification([1, 1, -1], [-1, -1, -1])
    assert x["precision"] == x["recall"] == x["f1"] == 0.0 and x["base_rate"] == pytest.approx(2 / 3)
    empty = stats.classification([], [])
    assert math.isnan(empty["accuracy"]) and math.isnan(empty["f1"]) and empty["rows"] == 0


def test_absolute_error_by_horizon():
    assert stats.mae([1.0, np.nan, 3.0], [0.0, 5.0, 5.0]) == 1.5
    assert stats.mae_by_horizon([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [1.0, 4.0]]) == pytest.approx([1.0, 1.0])
    with pytest.raises(DataError, match="must be alike"):
        stats.mae([1.0], [1.0, 2.0])


@given(st.floats(0.01, 0.99))
def test_the_quantile_itself_has_the_least_pinball_loss(level):
    y = np.random.default_rng(0).standard_normal(500)
    best = stats.quantile_loss(y, np.full(500, np.quantile(y, level, method="inverted_cdf")), level)
    for other in np.linspace(-3, 3, 25):
        assert best <= stats.quantile_loss(y, np.full(500, other), level) + 1e-12


def test_half_the_absolute_error_at_the_median():
    y, f = np.arange(5.0), np.ones(5)
    assert stats.quantile_loss(y, f, 0.5) == pytest.approx(stats.mae(y, f) / 2)
    with pytest.raises(SettingsError, match="between 0 and 1"):
        stats.quantile_loss(y, f, 1.0)


def test_information_coefficient_agrees_with_scipy_on_ties():
    from scipy.stats import spearmanr

    random = np.random.default_rng(0)
    y, f = random.integers(0, 9, 200).astype(float), random.standard_normal(200).round(1)
    assert stats.information_coefficient(y, f) == pytest.approx(spearmanr(y, f).statistic)
    assert stats.information_coefficient(y, y**3) == pytest.approx(1.0)
    assert math.isnan(stats.information_coefficient(y, np.ones(200)))


def test_bias_and_variance_add_up():
    random = np.random.default_rng(0)
    x = stats.bias_variance(random.standard_normal(50), random.standard_normal((7, 50)) + 0.3)
    assert x["squared_bias"] + x["variance"] == pytest.approx(x["error"])


def test_probabilities():
    assert stats.brier([1, 0], [0.5, 0.5]) == 0.25
    assert stats.log_loss([1, 0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert math.isfinite(stats.log_loss([1.0], [0.0]))


def test_calibration_by_hand_and_of_a_calibrated_forecast():
    x = stats.calibration([1, 0, 1, 1], [0.1, 0.1, 0.9, 1.0], bins=5)
    assert x.rows.tolist() == [2, 2] and x.observed.tolist() == [0.5, 1.0]
    assert x.error == pytest.approx((2 * 0.4 + 2 * 0.05) / 4)
    random = np.random.default_rng(0)
    p = random.random(50_000)
    assert stats.calibration(random.random(50_000) < p, p).error < 0.01


def test_coverage_of_quantiles_by_hand():
    quantiles = [[-1.0, 1.0], [0.0, 2.0], [math.nan, 3.0], [-math.inf, math.inf]]
    x = stats.quantile_calibration([0.0, 0.0, 4.0, 9.0], quantiles, (0.25, 0.75))
    assert x.forecast.tolist() == [0.25, 0.75] and x.rows.tolist() == [3, 4]
    assert x.observed.tolist() == [pytest.approx(1 / 3), 0.75]
    assert x.error == pytest.approx((3 * (1 / 3 - 0.25)) / 7)
    panel = np.random.default_rng(0).standard_normal((40_000, 2))
    x = stats.quantile_calibration(panel, np.tile([-1.2815515655446004, 0.0, 1.2815515655446004], (40_000, 2, 1)), (0.1, 0.5, 0.9))
    assert x.observed == pytest.approx([0.1, 0.5, 0.9], abs=0.01) and x.error < 0.005
    with pytest.raises(DataError, match="3 levels"):
        stats.quantile_calibration([0.0], [[0.0, 1.0]], (0.1, 0.5, 0.9))
    with pytest.raises(SettingsError, match="ascend"):
        stats.quantile_calibration([0.0], [[0.0, 1.0]], (0.9, 0.1))
