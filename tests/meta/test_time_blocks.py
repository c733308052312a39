"""Blocks of time: where episodes stand, and that intervals and tests keep their word where episodes overlap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import DataError
from tradewind.meta.time_blocks import TimeBlocks
from tradewind.stats.skill import holm


def test_episodes_that_begin_together_share_a_block_and_every_value_is_somewhere() -> None:
    starts = np.array([25, 0, 9, 11, 25])
    blocks = TimeBlocks(starts, starts + 10, 5)
    panel = blocks.panel(np.array([5.0, 1.0, 2.0, 3.0, 6.0]))
    assert len(blocks) == 3 and blocks.timed
    np.testing.assert_array_equal(panel, [[1.0, 2.0], [3.0, math.nan], [5.0, 6.0]])


def test_without_times_every_episode_is_a_block() -> None:
    blocks = TimeBlocks(None, None, 4)
    assert len(blocks) == 4 and not blocks.timed
    np.testing.assert_array_equal(blocks.panel(np.arange(4.0))[:, 0], np.arange(4.0))


def test_too_few_blocks_have_no_interval_rather_than_a_wrong_one() -> None:
    starts = np.arange(7) * 10
    blocks = TimeBlocks(starts, starts + 10, 7)
    assert all(math.isnan(end) for end in blocks.interval(np.arange(7.0), 0.9, 100, 0))
    assert all(math.isnan(end) for end in blocks.sharpe_interval(np.ones((7, 2)), 0.9, 100, 0))
    found = blocks.compare(np.arange(7.0), np.arange(7.0) + 1.0)
    assert found.difference == -1.0 and math.isnan(found.p_value)


def test_an_episode_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(DataError, match="ends before it starts"):
        TimeBlocks(np.array([5, 6]), np.array([9, 3]), 2)


def test_intervals_of_overlapping_episodes_are_wider_than_those_of_as_many_fresh_ones() -> None:
    random = np.random.default_rng(0)
    bars = random.normal(size=2_000)
    starts = np.sort(random.integers(0, 1_900, 400))
    values = np.array([bars[start : start + 100].mean() for start in starts])
    low, high = TimeBlocks(starts, starts + 100, 400).interval(values, 0.9, 500, 0)
    naive = TimeBlocks(None, None, 400).interval(random.permutation(values), 0.9, 500, 0)
    assert low < values.mean() < high
    assert high - low > 2 * (naive[1] - naive[0])
    # Twenty independent windows of 100 bars: the mean over all bars has the deviation 1 / sqrt(2000).
    assert 2 * 1.2 / math.sqrt(2_000) < high - low < 2 * 3.0 / math.sqrt(2_000)


def test_overlap_makes_no_differences_of_luck() -> None:
    """At the level of a tenth, learners equally good on overlapping episodes are told apart about one time in ten."""
    random, called = np.random.default_rng(1), 0
    for _ in range(200):
        bars = random.normal(size=(2, 3_000))
        starts = random.integers(0, 2_950, 300)
        first, second = (np.array([row[start : start + 50].mean() for start in starts]) for row in bars)
        called += TimeBlocks(starts, starts + 50, 300).compare(first, second).p_value < 0.1
    assert called <= 36  # 20 are expected; a test that took episodes for independent calls more than a hundred


def test_a_true_difference_is_found() -> None:
    random = np.random.default_rng(2)
    starts = random.integers(0, 5_000, 300)
    shared = np.sin(starts / 300.0)
    found = TimeBlocks(starts, starts + 50, 300).compare(shared + 0.1 * random.normal(size=300), shared + 0.1)
    assert found.difference == pytest.approx(-0.1, abs=0.03) and found.p_value < 1e-6


def test_the_sharpe_ratio_lies_in_its_interval() -> None:
    random = np.random.default_rng(3)
    returns = random.normal(0.1, 1.0, (300, 10))
    starts = np.arange(300) * 7
    low, high = TimeBlocks(starts, starts + 14, 300).sharpe_interval(returns, 0.9, 500, 0)
    assert low < returns.mean() / returns.std() < high
    assert 0.03 < high - low < 0.12  # sqrt(1 / 3000) is .018


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # by hand: .005 * 4, .01 * 3, .03 * 2, then no less than that
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.01, math.nan, 0.04], [0.02, math.nan, 0.04]),
        ([], []),
    ],
)
def test_holm_by_hand(given_: list[float], wanted: list[float]) -> None:
    np.testing.assert_allclose(holm(given_), wanted)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_lies_between_the_raw_and_bonferroni(values: list[float]) -> None:
    raw, adjusted = np.array(values), holm(values)
    assert (adjusted >= raw).all() and (adjusted <= np.minimum(1.0, raw * len(raw)) + 1e-12).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
