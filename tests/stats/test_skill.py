"""Probabilistic and deflated Sharpe against the papers' own examples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind import stats
from tradewind.core.errors import SettingsError

DAYS = 250


def test_deflated_sharpe_of_the_papers_example():
    variance = 0.5 / DAYS
    assert stats.expected_max_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert stats.deflated_sharpe(2.5 / math.sqrt(DAYS), 1250, 100, variance, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)


def test_probabilistic_sharpe_of_the_papers_example():
    assert stats.probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)
    assert stats.probabilistic_sharpe(0.458, 24) == pytest.approx(0.982, abs=5e-4)


def test_expected_maximum_of_ten():
    assert stats.expected_max_sharpe(10, 1.0) == pytest.approx(1.5746, abs=5e-5)
    assert stats.expected_max_sharpe(1, 1.0) == 0.0


def test_expected_maximum_is_what_simulation_gives():
    best = np.random.default_rng(0).standard_normal((20_000, 50)).max(axis=1).mean()
    assert stats.expected_max_sharpe(50, 1.0) == pytest.approx(best, rel=0.02)


def test_minimum_lengths():
    assert stats.min_backtest_length(45, 1.0) == pytest.approx(4.998, abs=5e-4)
    daily = stats.min_track_record(2 / math.sqrt(DAYS), 1 / math.sqrt(DAYS), 0.0, 3.0) / DAYS
    assert daily == pytest.approx(2.73, abs=5e-3)
    assert stats.min_track_record(0.1, 0.1) == math.inf
    assert stats.min_backtest_length(45, 0.0) == math.inf


@given(st.floats(0.01, 0.5), st.floats(-2.0, 2.0), st.floats(0.0, 10.0), st.floats(0.6, 0.99), st.floats(0.0, 0.9))
def test_a_record_of_the_minimum_length_is_just_probable_enough(sharpe, skew, more, confidence, share):
    kurtosis, benchmark = 1.1 + skew**2 + more, share * sharpe
    n = stats.min_track_record(sharpe, benchmark, skew, kurtosis, confidence)
    assert stats.probabilistic_sharpe(sharpe, n, skew, kurtosis, benchmark) == pytest.approx(confidence, abs=1e-9)


@given(st.floats(-0.2, 0.2), st.integers(10, 5000), st.integers(1, 500), st.floats(0.0, 0.01))
def test_more_trials_never_raise_the_deflated_sharpe(sharpe, n, trials, variance):
    fewer = stats.deflated_sharpe(sharpe, n, trials, variance)
    assert stats.deflated_sharpe(sharpe, n, trials + 10, variance) <= fewer + 1e-12
    assert 0.0 <= fewer <= 1.0


def test_excess_kurtosis_is_refused_where_it_shows():
    with pytest.raises(SettingsError, match="add 3 to excess"):
        stats.probabilistic_sharpe(2.0, 100, 0.0, -1.0)


def test_errors_of_the_sharpe_ratio():
    assert stats.lo_sharpe_error(0.5, 100) == pytest.approx(math.sqrt(1.125 / 100))
    assert stats.sharpe_error(0.5, 101) == pytest.approx(math.sqrt(1.125 / 100))
    assert math.isnan(stats.sharpe_error(0.5, 1))


def test_robust_error_equals_the_plain_one_without_lags_and_grows_with_autocorrelation():
    random = np.random.default_rng(3)
    x = 0.05 + random.standard_normal(4000)
    plain = stats.sharpe_error(stats.sharpe(x), len(x), stats.skewness(x), stats.kurtosis(x))
    assert stats.robust_sharpe_error(x, lags=0) == pytest.approx(plain, rel=1e-3)
    smooth = np.convolve(x, np.ones(5) / 5, mode="valid")
    # A moving average of five has long-run variance five times its own: the error grows by about the root of it.
    assert stats.robust_sharpe_error(smooth, lags=30) == pytest.approx(math.sqrt(5) / math.sqrt(len(smooth)), rel=0.25)
    assert math.isnan(stats.robust_sharpe_error(np.zeros(50)))


def test_haircuts_by_hand():
    n, sharpes = 100, np.array([0.3, 0.25, 0.05, -0.2])
    p = np.array([2 * (1 - _normal(abs(s) * 10)) for s in sharpes])
    bonferroni = stats.haircut_sharpe(sharpes, n, "bonferroni")
    assert 2 * (1 - _normal(bonferroni[0] * 10)) == pytest.approx(4 * p[0])
    assert bonferroni[2] == pytest.approx(0.0, abs=1e-9) and bonferroni[3] == 0.0
    holm = stats.haircut_sharpe(sharpes, n, "holm")
    assert 2 * (1 - _normal(holm[1] * 10)) == pytest.approx(max(4 * p[0], 3 * p[1]))
    bhy = stats.haircut_sharpe(sharpes, n, "bhy")
    constant = 1 + 1 / 2 + 1 / 3 + 1 / 4
    # The negative row has the third smallest p-value: the sides share one list, as in a two-sided test.
    assert 2 * (1 - _normal(bhy[1] * 10)) == pytest.approx(min(4 * constant / 2 * p[1], 4 * constant / 3 * p[3]))


def test_haircuts_never_raise_and_count_what_is_not_listed():
    sharpes = np.array([0.4, 0.2, 0.1])
    for method in ("bonferroni", "holm", "bhy"):
        cut = stats.haircut_sharpe(sharpes, 250, method)
        assert (cut <= sharpes).all() and (np.diff(cut) <= 0).all()
        assert (stats.haircut_sharpe(sharpes, 250, method, trials=300) < cut + 1e-15).all()
    with pytest.raises(SettingsError, match="did you mean 'bonferroni'"):
        stats.haircut_sharpe(sharpes, 250, "bonferoni")
    with pytest.raises(SettingsError, match="fewer than the 3"):
        stats.haircut_sharpe(sharpes, 250, trials=2)


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))
