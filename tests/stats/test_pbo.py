"""PBO: the number of splits, its mean on noise, and the cases in which it is exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind import stats
from tradewind.core.errors import DataError, SettingsError


def test_sixteen_blocks_make_12870_splits():
    splits = stats.symmetric_splits(16)
    assert splits.shape == (12_870, 16)
    assert (splits.sum(axis=1) == 8).all() and len(np.unique(splits, axis=0)) == 12_870


def test_noise_has_one_half_on_average():
    random = np.random.default_rng(0)
    draws = [stats.pbo(random.standard_normal((320, 10)), blocks=12) for _ in range(60)]
    assert np.mean(draws) == pytest.approx(0.5, abs=0.06)
    assert 0.08 < np.std(draws) < 0.25


@pytest.mark.parametrize("seed", range(5))
def test_standardised_columns_have_exactly_one(seed):
    """What a column earns in one half it must lose in the other. With few short columns a median can still slip through; not here."""
    x = np.random.default_rng(seed).standard_normal((1000 + seed, 20))
    assert stats.pbo((x - x.mean(axis=0)) / x.std(axis=0)) == 1.0


def test_a_dominant_strategy_has_none():
    x = np.random.default_rng(1).standard_normal((800, 10)) * 0.01
    x[:, 4] += 0.02
    assert stats.pbo(x) == 0.0


@given(st.integers(0, 1000), st.floats(1e-6, 1e6))
@settings(max_examples=15, deadline=None)
def test_the_scale_of_a_column_does_not_matter(seed, scale):
    x = np.random.default_rng(seed).standard_normal((100, 4)) + 0.1
    scaled = x * np.array([1.0, scale, 1.0, 1.0])
    assert stats.pbo(scaled, blocks=8) == pytest.approx(stats.pbo(x, blocks=8), abs=1e-12)


def test_by_brute_force():
    x = np.random.default_rng(5).standard_normal((24, 5))
    halves = stats.symmetric_splits(4).astype(bool)
    lost = 0
    for inside in halves:
        rows = np.repeat(inside, 6)
        best = np.argmax(x[rows].mean(axis=0) / x[rows].std(axis=0))
        outside = x[~rows].mean(axis=0) / x[~rows].std(axis=0)
        lost += np.sum(outside <= outside[best]) / 6 <= 0.5
    assert stats.pbo(x, blocks=4) == lost / 6


def test_idle_strategies_do_no_harm():
    x = np.zeros((100, 3))
    x[:, 1] = np.random.default_rng(0).standard_normal(100) + 3.0
    assert stats.pbo(x, blocks=8) == 0.0
    assert stats.pbo(np.zeros((100, 3)), blocks=8) == 1.0


def test_bad_input_is_named():
    for blocks, message in ((15, "even"), (22, "too many")):
        with pytest.raises(SettingsError, match=message):
            stats.pbo(np.zeros((100, 2)), blocks=blocks)
    with pytest.raises(DataError, match="at least two strategies"):
        stats.pbo(np.zeros((100, 1)))
    with pytest.raises(DataError, match="too few for 16 blocks"):
        stats.pbo(np.zeros((20, 2)))
    with pytest.raises(DataError, match="NaN"):
        stats.pbo(np.full((100, 2), np.nan))
