"""The uniform replay: what goes in comes out, the oldest is forgotten, and it goes on as if it had never stopped."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tradewind.core.errors import SettingsError, StateError
from tradewind.nets.device import reproducible
from tradewind.rl.replay import Batch, Ring, UniformReplay

CPU = torch.device("cpu")


def _rows(first: int, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Transitions first, first + 1, ...: every number in one tells which it is."""
    which = torch.arange(first, first + n)
    return torch.stack([which, -which], dim=1).float(), which, which / 2.0, which / 4.0, torch.stack([which, which], dim=1) + 0.5


def _consistent(batch: Batch) -> None:
    which = batch.actions
    assert batch.observations.tolist() == torch.stack([which, -which], dim=-1).float().tolist()
    assert batch.returns.tolist() == (which / 2.0).tolist()
    assert batch.discounts.tolist() == (which / 4.0).tolist()
    assert batch.following.tolist() == (torch.stack([which, which], dim=-1) + 0.5).tolist()


@given(st.lists(st.integers(1, 7), min_size=1, max_size=12), st.integers(7, 20))
def test_a_ring_remembers_the_newest(pieces: list[int], capacity: int) -> None:
    ring, n = Ring(capacity, 2, CPU), 0
    for piece in pieces:
        slots = ring.add(_rows(n, piece))
        assert slots.tolist() == [k % capacity for k in range(n, n + piece)]
        n += piece
    assert ring.size == min(n, capacity)
    everything = ring.take(torch.arange(ring.size))
    assert sorted(everything.actions.tolist()) == list(range(max(0, n - capacity), n))
    _consistent(everything)
    assert [k % capacity for k in everything.actions.tolist()] == everything.slots.tolist()


def test_what_is_added_may_be_written_to_afterwards() -> None:
    ring, rows = Ring(4, 2, CPU), _rows(0, 3)
    ring.add(rows)
    for column in rows:
        column.fill_(9)
    _consistent(ring.take(torch.arange(3)))


def test_batches_split_into_as_many_as_were_asked_for() -> None:
    replay = UniformReplay(100, 2, CPU)
    replay.add(*_rows(0, 60))
    with reproducible(0):
        chunks = list(replay.draw(70, 128))
    batches = [batch for chunk in chunks for batch in chunk.split()]
    assert len(batches) == 70 > len(chunks) > 1
    for batch in batches:
        assert batch.observations.shape == (128, 2)
        assert batch.weights is None
        _consistent(batch)
    assert list(replay.draw(0, 128)) == []


def test_every_transition_is_drawn_as_often_as_any_other() -> None:
    replay = UniformReplay(64, 2, CPU)
    replay.add(*_rows(0, 20))
    with reproducible(1):
        (chunk,) = replay.draw(1, 40_000)
    counts = torch.bincount(chunk.actions.flatten(), minlength=20).double()
    # Chi-square with 19 degrees of freedom: 43.8 is exceeded once in a thousand times.
    assert float(((counts - 2_000) ** 2 / 2_000).sum()) < 43.8
    assert len(counts) == 20


def test_a_memory_goes_on_where_it_stood() -> None:
    whole, part = UniformReplay(10, 2, CPU), UniformReplay(10, 2, CPU)
    whole.add(*_rows(0, 8))
    part.restore(whole.state())
    for replay in (whole, part):
        replay.add(*_rows(8, 7))
    assert len(part) == len(whole) == 10
    assert part.state() == whole.state()
    with reproducible(3):
        (ours,) = whole.draw(2, 16)
    with reproducible(3):
        (theirs,) = part.draw(2, 16)
    assert torch.equal(ours.actions, theirs.actions)
    _consistent(theirs)


def test_faults_are_told() -> None:
    replay = UniformReplay(5, 2, CPU)
    with pytest.raises(SettingsError, match="empty"):
        next(replay.draw(1, 4))
    with pytest.raises(SettingsError, match="6 transitions at once do not fit into a replay of 5"):
        replay.add(*_rows(0, 6))
    with pytest.raises(StateError, match="another replay: 5 transitions"):
        UniformReplay(6, 2, CPU).restore(replay.state())
    with pytest.raises(StateError, match="expected 5 of"):
        UniformReplay(5, 3, CPU).restore(replay.state())
