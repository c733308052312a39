"""Stationary bootstrap: block lengths against arch, resamples by their law, intervals by their coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind import stats
from tradewind.core.errors import SettingsError


def autoregressive(n: int, phi: float, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(n)
    for t in range(1, n):
        x[t] += phi * x[t - 1]
    return x


# arch takes one autocorrelation more than the paper, which matters little where they fall off slowly.
@pytest.mark.parametrize("phi", [0.2, 0.5, 0.8])
def test_block_length_agrees_with_arch(phi):
    optimal = pytest.importorskip("arch.bootstrap").optimal_block_length
    x = autoregressive(5000, phi, 7)
    assert stats.block_length(x) == pytest.approx(float(optimal(x)["stationary"].iloc[0]), rel=0.25)


def test_block_length_at_the_edges():
    assert stats.block_length(np.zeros(100)) == 1.0
    assert stats.block_length(np.arange(3.0)) == 1.0
    assert stats.block_length(autoregressive(2000, 0.0, 1)) < 5.0
    trend = np.arange(500.0)
    assert stats.block_length(trend) <= np.ceil(3 * np.sqrt(500))
    both = np.column_stack([autoregressive(2000, 0.0, 1), autoregressive(2000, 0.8, 1)])
    assert stats.block_length(both) == stats.block_length(both[:, 1])


@pytest.mark.parametrize("phi", [0.5, -0.4])
def test_block_length_is_what_the_theory_gives_for_an_autoregression(phi):
    n, slope, level = 200_000, 2 * phi / (1 - phi) ** 2 / (1 - phi**2), 1 / (1 - phi) ** 2
    assert stats.block_length(autoregressive(n, phi, 2)) == pytest.approx((slope**2 / level**2 * n) ** (1 / 3), rel=0.15)


@given(st.integers(1, 200), st.floats(1.0, 50.0), st.integers(0, 100))
@settings(deadline=None)
def test_resamples_are_runs_of_rows_that_wrap(n, block, seed):
    rows = stats.resample(n, block, seed, draws=3)
    assert rows.shape == (3, n) and rows.min() >= 0 and rows.max() < n
    assert not (rows == rows[:, :1]).all() or n < 8


def test_mean_length_of_blocks():
    rows = stats.resample(200_000, 10.0, seed=1)[0]
    breaks = np.count_nonzero((np.diff(rows) % 200_000) != 1) + 1
    assert len(rows) / breaks == pytest.approx(10.0, rel=0.03)


def test_means_are_those_of_the_resampled_rows():
    values = np.random.default_rng(0).normal([1.0, -2.0], 1.0, (300, 2))
    means = stats.bootstrap_means(values, draws=4, block=5.0, seed=9)
    by_rows = values[stats.resample(300, 5.0, seed=9, draws=4)].mean(axis=1)
    assert means == pytest.approx(by_rows, abs=1e-12)


def test_fast_path_of_the_sharpe_ratio_equals_the_general_one():
    x = np.random.default_rng(1).standard_normal(400) * 0.01 + 0.002
    fast = stats.bootstrap_interval(x, stats.sharpe, block=4.0, seed=3)
    slow = stats.bootstrap_interval(x, lambda r: stats.sharpe(r), block=4.0, seed=3)
    assert fast == pytest.approx(slow, rel=1e-9)
    assert fast[0] < stats.sharpe(x) < fast[1]


def test_same_seed_same_interval_and_another_seed_another():
    x = np.random.default_rng(1).standard_normal(200)
    assert stats.bootstrap_interval(x, seed=1) == stats.bootstrap_interval(x, seed=1)
    assert stats.bootstrap_interval(x, seed=1) != stats.bootstrap_interval(x, seed=2)


def test_interval_at_the_edges():
    assert np.isnan(stats.bootstrap_interval([0.1])).all()
    assert stats.bootstrap_interval(np.zeros(50)) == (0.0, 0.0)
    with pytest.raises(SettingsError, match="confidence"):
        stats.bootstrap_interval(np.ones(5), confidence=1.0)
    with pytest.raises(SettingsError, match="block length"):
        stats.bootstrap_interval(np.arange(5.0), block=0.5)


def test_width_grows_with_autocorrelation_as_theory_says():
    # The mean of an AR(1) of unit innovations has standard deviation 1 / (1 - phi) / sqrt(n).
    x = autoregressive(20_000, 0.6, 4)
    low, high = stats.bootstrap_interval(x, lambda r: float(r.mean()), draws=400, seed=0)
    assert (high - low) / (2 * 1.645) == pytest.approx(1 / 0.4 / np.sqrt(20_000), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("phi", "tails"), [(0.0, 200), (0.0, 4), (0.3, 4), (-0.2, 4)])
def test_coverage_of_the_sharpe_interval(phi, tails):
    """A 90 % interval holds the truth in 85 % to 94 % of 400 samples of 1,500 bars, fat tails and autocorrelation or not."""
    random, hits, true = np.random.default_rng(5), 0, 0.05
    for seed in range(400):
        shocks = random.standard_t(tails, 1500)
        x = np.empty(1500)
        x[0] = shocks[0]
        for t in range(1, 1500):
            x[t] = phi * x[t - 1] + shocks[t]
        deviation = np.sqrt(tails / (tails - 2) / (1 - phi**2))
        low, high = stats.bootstrap_interval(x / deviation + true, seed=seed, draws=500)
        hits += low <= true <= high
    assert 0.85 <= hits / 400 <= 0.94
