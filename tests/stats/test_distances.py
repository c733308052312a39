"""Distances of samples: scipy's exact test, the index written out, its law under chance, and the worth of autocorrelated values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from tradewind.core.errors import DataError
from tradewind.stats.distances import kolmogorov_smirnov, memory_length, psi, psi_edges, psi_limit, psi_p_value


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_kolmogorov_smirnov_is_scipys_exact_test(n: int, m: int, seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    first, second = random.normal(0, 1, n), random.normal(0.7, 1, m)
    if ties:
        first, second = first.round(1), second.round(1)
    ours, theirs = kolmogorov_smirnov(first, second), ks_2samp(first, second, method="exact")
    assert ours.distance == pytest.approx(theirs.statistic, abs=1e-12)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_kolmogorov_smirnov_of_larger_samples_and_in_the_tail() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(0, 1, 3000), random.normal(0.06, 1, 1500)
    assert kolmogorov_smirnov(first, second).p_value == pytest.approx(ks_2samp(first, second, method="exact").pvalue, rel=0.06)
    apart = kolmogorov_smirnov(np.arange(50.0), 100.0 + np.arange(50.0))
    assert apart.distance == 1.0 and apart.p_value == pytest.approx(2.0 / math.comb(100, 50), rel=1e-12)


def test_missing_values_are_left_out() -> None:
    first, second = np.array([1.0, math.nan, 2.0, 3.0]), np.array([2.5, 3.5, math.nan])
    assert kolmogorov_smirnov(first, second) == kolmogorov_smirnov([1.0, 2.0, 3.0], [2.5, 3.5])
    assert math.isnan(kolmogorov_smirnov([math.nan], second).p_value)
    assert math.isnan(psi(first, [math.nan], 2))


def test_memory_makes_the_test_shyer() -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(0, 1, 400), random.normal(0.3, 1, 200)
    alone, worth_less = kolmogorov_smirnov(first, second), kolmogorov_smirnov(first, second, memory=5.0)
    assert worth_less.distance == alone.distance
    assert worth_less.p_value > 20 * alone.p_value


def test_psi_by_hand() -> None:
    reference = np.arange(100.0)
    np.testing.assert_array_equal(psi_edges(reference, 4), [24.0, 49.0, 74.0])
    sample = np.concatenate([np.full(10, 10.0), np.full(20, 30.0), np.full(30, 60.0), np.full(40, 90.0)])
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    assert psi(reference, sample, 4) == pytest.approx(float(((shares - 0.25) * np.log(shares / 0.25)).sum()))
    assert psi(reference, reference, 10) == 0.0
    assert math.isfinite(psi(reference, np.full(50, 1e6)))


def test_psi_of_few_values_that_repeat() -> None:
    reference = np.array([0.0] * 60 + [1.0] * 40)
    np.testing.assert_array_equal(psi_edges(reference, 10), [0.0])
    np.testing.assert_array_equal(psi_edges(reference, 2), [0.0])
    np.testing.assert_array_equal(psi_edges([0.0] * 90 + [1.0, 2.0, 3.0] * 5, 3), [0.0])
    sample = np.array([0.0] * 30 + [1.0] * 70)
    assert psi(reference, sample) == pytest.approx(0.3 * math.log(0.7 / 0.4) - 0.3 * math.log(0.3 / 0.6))
    assert psi(np.ones(50), np.zeros(50)) == 0.0


@pytest.mark.parametrize(("n", "m", "bins"), [(1000, 300, 10), (2000, 100, 5)])
def test_the_law_of_psi(n: int, m: int, bins: int) -> None:
    random = np.random.default_rng(0)
    found = np.array([psi(random.standard_normal(n), random.standard_normal(m), bins) for _ in range(1500)])
    # A share of 1,500 with a deviation of .006 at .05.
    assert np.mean(found > psi_limit(n, m, bins, 0.05)) == pytest.approx(0.05, abs=0.025)
    assert psi_p_value(psi_limit(n, m, bins, 0.05), n, m, bins) == pytest.approx(0.05)


def test_memory_length_of_known_processes() -> None:
    random = np.random.default_rng(0)
    noise = random.standard_normal(100_000)
    assert memory_length(noise) == pytest.approx(1.0, abs=0.05)
    assert memory_length(np.convolve(noise, np.ones(20), "valid")) == pytest.approx(20.0, rel=0.1)
    process = np.empty(100_000)
    last = 0.0
    for t, shock in enumerate(noise):
        last = process[t] = 0.8 * last + shock
    assert memory_length(process) == pytest.approx(9.0, rel=0.1)
    assert memory_length(np.exp(process)) == memory_length(process)
    assert memory_length(random.random(20_000) < 0.5) == pytest.approx(1.0, abs=0.1)
    assert memory_length(np.repeat(random.random(5000) < 0.3, 4)) == pytest.approx(4.0, rel=0.1)
    assert memory_length(np.ones(50)) == memory_length([1.0, 2.0]) == 1.0
    assert memory_length(-noise[:-1] + noise[1:]) == 1.0


def test_faults() -> None:
    with pytest.raises(DataError, match="no 10 bins"):
        psi_edges(np.arange(5.0))
    with pytest.raises(DataError, match="infinite"):
        kolmogorov_smirnov([1.0, math.inf], [2.0])
    with pytest.raises(DataError, match="shape"):
        psi(np.ones((20, 2)), np.ones(20))
