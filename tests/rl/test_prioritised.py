"""The sum tree against a running sum, draws against their probabilities, and prioritised replay by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tradewind.core.errors import SettingsError, StateError
from tradewind.rl.prioritised import SumTree


@given(capacity=st.integers(1, 70), rounds=st.integers(1, 6), seed=st.integers(0, 9999), zeros=st.floats(0, 0.9))
@settings(deadline=None, max_examples=150)
def test_the_tree_is_a_running_sum(capacity: int, rounds: int, seed: int, zeros: float) -> None:
    random, tree, plain = np.random.default_rng(seed), SumTree(capacity), np.zeros(capacity)
    for _ in range(rounds):
        leaves = random.integers(0, capacity, random.integers(1, 2 * capacity + 1))
        # Whole numbers add up without rounding, so that the comparison is exact.
        numbers = np.floor(random.random(len(leaves)) * 100) * (random.random(len(leaves)) >= zeros)
        tree.update(leaves, numbers)
        for leaf, value in zip(leaves, numbers, strict=True):
            plain[leaf] = value
    assert tree.total == plain.sum() and np.array_equal(tree[np.arange(capacity)], plain)
    if plain.sum() == 0:
        with pytest.raises(SettingsError, match="zeros"):
            tree.stratified(np.zeros(1))
        return
    heights = random.random(50) * plain.sum()
    assert np.array_equal(tree.find(heights), np.searchsorted(np.cumsum(plain), heights, side="right"))
    drawn = tree.stratified(random.random(9))
    assert (plain[drawn] > 0).all() and np.array_equal(drawn, np.sort(drawn))


@given(seed=st.integers(0, 999), power=st.integers(-300, 300))
@settings(deadline=None, max_examples=60)
def test_what_weighs_nothing_is_never_drawn(seed: int, power: int) -> None:
    random = np.random.default_rng(seed)
    numbers = random.random(33) * 10.0**power * (random.random(33) > 0.5)
    numbers[random.integers(33)] = 10.0**power
    tree = SumTree(33).restore(numbers)
    edges = np.array([0.0, tree.total, np.nextafter(tree.total, 0), 2 * tree.total])
    assert (numbers[tree.find(edges)] > 0).all()
    assert (numbers[tree.stratified(np.full(64, np.nextafter(1, 0)))] > 0).all()


def test_draws_have_their_probabilities() -> None:
    random = np.random.default_rng(5)
    numbers = random.random(37) ** 3
    tree = SumTree(37).restore(numbers)
    alone = tree.find(random.random(200_000) * tree.total)
    counts = np.bincount(alone, minlength=37)
    assert stats.chisquare(counts, numbers / numbers.sum() * len(alone)).pvalue > 0.01
    # Strata draw each leaf as often on average, and with less variance: within one of its share where that is whole.
    many = np.bincount(np.concatenate([tree.stratified(random.random(100)) for _ in range(2_000)]), minlength=37)
    assert np.allclose(many / many.sum(), numbers / numbers.sum(), atol=2e-3)
    even = SumTree(25).restore(np.ones(25))
    assert np.array_equal(np.bincount(even.stratified(random.random(100))), np.full(25, 4))


def test_the_sums_do_not_drift() -> None:
    random, tree = np.random.default_rng(6), SumTree(1_000)
    for _ in range(2_000):
        tree.update(random.integers(0, 1_000, 64), 10.0 ** random.uniform(-9, 9, 64))
    fresh = SumTree(1_000).restore(tree[np.arange(1_000)])
    assert np.array_equal(tree.nodes, fresh.nodes)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_priorities_that_are_none_are_refused(wrong: float) -> None:
    with pytest.raises(SettingsError, match="priorities"):
        SumTree(3).update(np.array([1]), np.array([wrong]))
    with pytest.raises(StateError, match="shape"):
        SumTree(3).restore(np.ones(4))
