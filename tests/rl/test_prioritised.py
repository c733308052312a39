"""The sum tree against a running sum, draws against their probabilities, and prioritised replay by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tradewind.core.errors import SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.nets.device import reproducible
from tradewind.rl.prioritised import PrioritisedReplay, SumTree

CPU = torch.device("cpu")


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


# -- the replay ------------------------------------------------------------------------------------------------------------
def filled(capacity: int, rows: int, alpha: float = 0.5) -> PrioritisedReplay:
    """A replay whose row n observed n, earned 10 n and led to -n."""
    replay = PrioritisedReplay(capacity, 1, CPU, alpha)
    for n in range(rows):
        seen = torch.full((1, 1), float(n))
        replay.add(seen, torch.tensor([n]), 10 * seen[0], torch.tensor([0.9]), -seen)
    return replay


def test_weights_and_priorities_by_hand() -> None:
    replay = filled(4, 3)
    replay.reprioritise(torch.tensor([0, 1, 2]), torch.tensor([0.0, 4.0 - 1e-6, 16.0 - 1e-6]))
    # (surprise + 1e-6) ** .5: .001, 2, 4; the empty fourth slot weighs nothing.
    assert replay.tree[np.arange(4)].tolist() == pytest.approx([0.001, 2.0, 4.0, 0.0], rel=1e-4)
    with reproducible(0):
        (batch,) = (batch for drawn in replay.draw(1, 600) for batch in drawn.split())
    assert batch.weights is not None
    counts = np.bincount(batch.slots.numpy(), minlength=4)
    assert counts[3] == 0 and counts[1] == pytest.approx(200, abs=2) and counts[2] == pytest.approx(400, abs=2)
    # 1 / (n p) over the largest of the batch: whoever is half as likely weighs twice.
    least = 0.001 if counts[0] else 2.0
    assert torch.allclose(batch.weights, least / torch.tensor([0.001, 2.0, 4.0])[batch.slots], rtol=1e-3)
    assert torch.equal(batch.observations[:, 0], batch.actions.float()) and torch.equal(batch.returns, 10.0 * batch.actions)
    assert torch.equal(batch.following, -batch.observations)


def test_new_rows_surprise_most_and_take_the_place_of_the_oldest() -> None:
    replay = filled(4, 4)
    assert replay.tree[np.arange(4)].tolist() == [1.0] * 4
    replay.reprioritise(torch.tensor([1, 2]), torch.tensor([9.0, 0.25]))
    replay.add(torch.full((2, 1), 7.0), torch.tensor([7, 7]), torch.zeros(2), torch.zeros(2), torch.zeros(2, 1))
    assert replay.tree[np.arange(4)].tolist() == pytest.approx([3.0, 3.0, 0.5, 1.0], rel=1e-5)
    assert len(replay) == 4 and replay.ring.columns["actions"].tolist() == [7, 7, 2, 3]


def test_a_batch_sees_what_the_update_before_it_has_changed() -> None:
    replay = filled(8, 8)
    drawn = replay.draw(2, 16)
    next(drawn)
    replay.reprioritise(torch.arange(8), torch.tensor([0.0] * 7 + [1e12]))
    assert set(next(drawn).slots.flatten().tolist()) == {7}


def test_weights_undo_what_priorities_do() -> None:
    replay = filled(50, 50, alpha=1.0)
    random = np.random.default_rng(2)
    replay.reprioritise(torch.arange(50), torch.from_numpy(random.random(50) + 0.05))
    with reproducible(1):
        batches = [batch for drawn in replay.draw(400, 100) for batch in drawn.split()]
    # Each batch is scaled by its own largest weight; undone, the weighed mean is that of all rows alike.
    scales = [float((batch.weights * torch.from_numpy(replay.tree[batch.slots.numpy()])).mean()) for batch in batches]  # type: ignore[operator]
    weighed = [float((batch.weights * batch.returns).mean()) / scale for batch, scale in zip(batches, scales, strict=True)]  # type: ignore[operator]
    assert np.mean(weighed) * replay.tree.total / 50 == pytest.approx(10 * 24.5, rel=0.01)
    flat = np.mean([float(batch.returns.mean()) for batch in batches])
    assert abs(flat - 245.0) > 3.0


def test_alpha_0_is_uniform() -> None:
    replay = filled(10, 10, alpha=0.0)
    replay.reprioritise(torch.arange(10), torch.logspace(-5, 5, 10))
    (batch,) = next(replay.draw(1, 100)).split()
    assert torch.equal(batch.slots.bincount(), torch.full((10,), 10)) and torch.equal(batch.weights, torch.ones(100))  # type: ignore[arg-type]


def test_state_goes_on_to_the_bit(tmp_path: Path) -> None:
    replay = filled(8, 11)
    replay.reprioritise(torch.arange(5), torch.rand(5, generator=torch.Generator().manual_seed(0)) * 30)
    save_state(tmp_path / "replay", replay.state())
    again = PrioritisedReplay(8, 1, CPU)
    again.restore(load_state(tmp_path / "replay"))
    assert again.state() == replay.state() and again.greatest == replay.greatest > 1.0
    assert np.array_equal(again.tree.nodes, replay.tree.nodes)
    for memory in (replay, again):
        memory.add(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64), torch.zeros(1), torch.zeros(1), torch.zeros(1, 1))
    with reproducible(3):
        first = [batch.slots for batch in replay.draw(5, 16)]
    with reproducible(3):
        second = [batch.slots for batch in again.draw(5, 16)]
    assert torch.equal(torch.cat(first), torch.cat(second)) and again.state() == replay.state()
    with pytest.raises(StateError, match="another replay"):
        PrioritisedReplay(9, 1, CPU).restore(replay.state())


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_surprise_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(SettingsError, match="surprise"):
        filled(3, 3).reprioritise(torch.tensor([1]), torch.tensor([wrong]))
    with pytest.raises(SettingsError, match="alpha"):
        PrioritisedReplay(3, 1, CPU, alpha=1.5)
    with pytest.raises(SettingsError, match="empty"):
        next(PrioritisedReplay(3, 1, CPU).draw(1, 1))
