"""Diebold-Mariano by hand and beside the t-test, its size, and bootstrap intervals of losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError
from tradewind.stats.bootstrap import bootstrap_means
from tradewind.stats.comparison import diebold_mariano, loss_interval

NO = math.nan


def overlapping(random: np.random.Generator, n: int, horizon: int) -> np.ndarray:
    """Loss differences of a horizon: a moving sum, autocorrelated over horizon - 1 rows, of mean 0."""
    return np.convolve(random.standard_normal(n + horizon - 1), np.ones(horizon), "valid")


def test_by_hand() -> None:
    first = np.array([1.0, 2.0, 3.0, 4.0])
    one = diebold_mariano(first, np.zeros(4))
    assert (one.difference, one.rows, one.lags) == (2.5, 4, 0)
    # 2.5 / sqrt(1.25 / 4) times sqrt(3 / 4)
    assert one.statistic == pytest.approx(math.sqrt(15.0))
    # With the first autocovariance .3125: 2.5 / sqrt(1.875 / 4) times sqrt((4 + 1 - 4 + .5) / 4)
    two = diebold_mariano(first, np.zeros(4), horizon=2)
    assert two.statistic == pytest.approx(math.sqrt(5.0)) and two.lags == 1
    # Tapered by half: 2.5 / sqrt((1.25 + .3125) / 4) times the same
    tapered = diebold_mariano(first, np.zeros(4), horizon=2, bandwidth="automatic")
    assert tapered.statistic == pytest.approx(2.5 / math.sqrt(1.5625 / 4) * math.sqrt(1.5 / 4))
    # Student's t with three degrees of freedom has its law in closed form.
    t = math.sqrt(5.0)
    upper = 0.5 - (t / math.sqrt(3) / (1 + t * t / 3) + math.atan(t / math.sqrt(3))) / math.pi
    assert two.p_value == pytest.approx(2 * upper) and two.p_better == pytest.approx(1 - upper)


@given(st.integers(0, 10_000), st.integers(3, 60))
def test_at_horizon_one_it_is_the_t_test_of_the_differences(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.exponential(size=n), random.exponential(size=n)
    found = diebold_mariano(first, second)
    both = scipy.stats.ttest_1samp(first - second, 0.0)
    less = scipy.stats.ttest_1samp(first - second, 0.0, alternative="less")
    assert (found.statistic, found.p_value, found.p_better) == pytest.approx((both.statistic, both.pvalue, less.pvalue))
    turned = diebold_mariano(second, first)
    assert (turned.statistic, turned.p_better) == pytest.approx((-found.statistic, 1 - found.p_better))


def test_rows_that_lack_a_loss_are_left_out_of_both() -> None:
    first, second = np.array([1.0, NO, 2.0, 5.0, 3.0, 4.0]), np.array([0.0, 7.0, 0.0, NO, 0.0, 0.0])
    assert diebold_mariano(first, second) == diebold_mariano(np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4))


def test_symbols_of_a_bar_are_one_row() -> None:
    random = np.random.default_rng(1)
    common = random.standard_normal(200)
    panel = np.repeat(common[:, None], 5, axis=1)
    # Five copies say no more than one; counted as rows of their own they would look five times as sure.
    one, five = diebold_mariano(common, np.zeros(200)), diebold_mariano(panel, np.zeros((200, 5)))
    assert (five.statistic, five.rows) == (pytest.approx(one.statistic), 200)
    panel[random.uniform(size=panel.shape) < 0.3] = NO
    assert diebold_mariano(panel, np.zeros((200, 5))).difference == pytest.approx(np.nanmean(panel))
    np.testing.assert_allclose(np.mean(loss_interval(panel, confidence=0.01, draws=4000)), np.nanmean(panel), atol=0.02)


def test_what_cannot_be_judged() -> None:
    for few in (
        diebold_mariano([1.0], [0.0]),
        diebold_mariano([], []),
        diebold_mariano([NO] * 9, [1.0] * 9),
        diebold_mariano([1, 2, 3], [0, 0, 0], 3),
    ):
        assert math.isnan(few.statistic) and math.isnan(few.p_value)
    same = diebold_mariano([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (same.statistic, same.p_value, same.p_better) == (0.0, 1.0, 0.5)
    sure = diebold_mariano([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    assert (sure.statistic, sure.p_value, sure.p_better) == (-math.inf, 0.0, 0.0)
    # A sum of autocovariances below zero is replaced by the tapered one.
    alternating = np.tile([1.0, -1.2], 30) + 0.1
    found = diebold_mariano(alternating, np.zeros(60), 2)
    assert found.statistic == diebold_mariano(alternating, np.zeros(60), 2, "automatic").statistic or math.isfinite(found.statistic)


def test_misuse_is_told_clearly() -> None:
    with pytest.raises(DataError, match="all alike"):
        diebold_mariano(np.zeros(3), np.zeros(4))
    with pytest.raises(DataError, match="time, symbol"):
        loss_interval(np.zeros((3, 2, 2)))
    with pytest.raises(DataError, match="infinite"):
        diebold_mariano([1.0, math.inf], [0.0, 0.0])
    with pytest.raises(SettingsError, match="bandwidth"):
        diebold_mariano([1.0, 2.0], [0.0, 0.0], bandwidth="wide")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="horizon"):
        diebold_mariano([1.0, 2.0], [0.0, 0.0], 0)


def test_intervals_of_losses() -> None:
    losses = np.random.default_rng(2).exponential(size=400)
    means = bootstrap_means(losses[:, None], 1000, 5.0)[:, 0]
    assert loss_interval(losses, block=5.0) == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])))
    assert loss_interval(losses, losses) == (0.0, 0.0)
    low, high = loss_interval(losses, losses - 0.5)
    assert low == pytest.approx(0.5) and high == pytest.approx(0.5)
    assert loss_interval(losses, seed=1) == loss_interval(losses, seed=1) != loss_interval(losses, seed=2)
    assert all(math.isnan(end) for end in loss_interval(losses[:7]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("horizon", "n", "bandwidth", "most"),
    [
        (1, 60, "horizon", 0.07),
        (4, 60, "horizon", 0.09),
        (4, 400, "horizon", 0.07),
        (24, 1200, "horizon", 0.08),
        (24, 60, "horizon", 0.30),  # too few rows for the horizon: what the file's first lines warn of
        (4, 400, "automatic", 0.10),
    ],
)
def test_size_at_five_percent(horizon: int, n: int, bandwidth: str, most: float) -> None:
    random = np.random.default_rng(7)
    zero = np.zeros(n)
    refused = [diebold_mariano(overlapping(random, n, horizon), zero, horizon, bandwidth).p_value < 0.05 for _ in range(2000)]  # type: ignore[arg-type]
    assert 0.03 < float(np.mean(refused)) < most


@pytest.mark.slow
def test_intervals_cover() -> None:
    random = np.random.default_rng(3)
    inside = [low <= 0.0 <= high for low, high in (loss_interval(overlapping(random, 600, 4), draws=400) for _ in range(400))]
    assert 0.82 < float(np.mean(inside)) < 0.95
