"""The net Sharpe ratio as a loss, by hand and as sums; blocks in which every row that counts counts once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tradewind.nets.net_sharpe import STEADY, Blocks, NetSharpe, blocks
from tradewind.nets.windows import windows

LOSS = NetSharpe()


def targets(gain: list[list[float]], cost: list[list[float]], counts: list[list[float]]) -> Tensor:
    """(1, symbol, step, 3)."""
    return torch.stack([torch.tensor(part) for part in (gain, cost, counts)], dim=2)[None]


def loss(outputs: Tensor, wanted: Tensor) -> float:
    return float(LOSS.value(LOSS.terms(outputs, wanted, torch.ones(len(outputs)))))


def test_by_hand() -> None:
    wanted = targets([[9.0, 1.0, -2.0, 3.0]], [[0.1, 0.1, 0.1, 0.2]], [[0.0, 1.0, 1.0, 1.0]])
    outputs = torch.tensor([[[0.5, 1.0, -1.0, -1.0]]])
    # The step before the first that counts is where the first trade comes from; at the last one only the scale moves.
    returns = np.array([1.0 - 0.05, 2.0 - 0.2, -3.0 - 0.1])
    sums = LOSS.terms(outputs, wanted, torch.ones(1))
    assert sums.tolist() == pytest.approx([returns.sum(), (returns**2).sum(), 3.0])
    assert float(LOSS.value(sums)) == pytest.approx(-returns.mean() / math.sqrt(returns.var() + STEADY))


def test_symbols_of_a_time_are_one_return() -> None:
    wanted = targets([[1.0, -2.0, 3.0]] * 2, [[0.0] * 3] * 2, [[1.0] * 3] * 2)
    against = torch.tensor([[[1.0] * 3, [-1.0] * 3]])
    assert LOSS.terms(against, wanted, torch.ones(1)).tolist() == [0.0, 0.0, 3.0]
    assert loss(against.abs(), wanted) == pytest.approx(-(2 / 3) / math.sqrt(38 / 9 + STEADY))


def test_what_holds_nothing_has_a_ratio_of_zero_and_a_gradient() -> None:
    wanted = targets([[1.0, -2.0, 3.0]], [[0.1] * 3], [[1.0] * 3])
    outputs = torch.zeros(1, 1, 3, requires_grad=True)
    value = LOSS.value(LOSS.terms(outputs, wanted, torch.ones(1)))
    value.backward()
    assert float(value.detach()) == 0.0
    assert outputs.grad is not None and bool(torch.isfinite(outputs.grad).all()) and float(outputs.grad.abs().sum()) > 0


def test_costs_make_it_worth_less_to_move() -> None:
    gain = [[1.0, -1.0] * 8]
    moving = torch.tensor([[[1.0, -1.0] * 8]]) * torch.linspace(0.9, 1.0, 16)
    free, dear = (loss(moving, targets(gain, [[cost] * 16], [[1.0] * 16])) for cost in (0.0, 0.3))
    assert free < dear < 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 3))
def test_sums_of_batches_add_and_weights_count_blocks(seed: int, batch: int, symbols: int) -> None:
    random = torch.Generator().manual_seed(seed)
    outputs = torch.rand(batch, symbols, 6, generator=random) * 2 - 1
    wanted = torch.rand(batch, symbols, 6, 3, generator=random)
    wanted[..., 2] = (wanted[..., 2] > 0.4).float()
    weights = torch.randint(1, 3, (batch,), generator=random).float()
    whole = LOSS.terms(outputs, wanted, weights)
    parts = [LOSS.terms(outputs[i : i + 1], wanted[i : i + 1], torch.ones(1)) * weights[i] for i in range(batch)]
    torch.testing.assert_close(whole, torch.stack(parts).sum(dim=0), rtol=1e-4, atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.integers(1, 3), st.integers(1, 40), st.sampled_from([0.0, 0.05]))
def test_every_row_that_counts_counts_once(seed: int, size: int, symbols: int, bars: int, holes: float) -> None:
    random = np.random.default_rng(seed)
    usable = random.random((bars, symbols)) >= holes
    counts = usable & (random.random((bars, symbols)) < 0.8)
    gain, cost = random.standard_normal((2, bars, symbols))
    number = np.arange(bars * symbols, dtype=np.float64).reshape(bars, symbols, 1)
    made = blocks(windows(number, usable, size, reach=size), gain, cost, counts, usable)
    seen: list[int] = []
    for block in range(0 if made is None else len(made)):
        assert made is not None
        read = made.inputs.gather(torch.tensor([block]))[0, :, :, 0].long().numpy()
        for s, j in np.argwhere(made.targets[block, :, :, 2].numpy() > 0):
            t = int(read[s, j]) // symbols
            assert int(read[s, j]) % symbols == s and counts[t, s] and j >= size - max(1, size // 2)
            assert made.targets[block, s, j, :2].tolist() == pytest.approx([gain[t, s], cost[t, s]], rel=1e-6)
            seen.append(int(read[s, j]))
    assert len(seen) == len(set(seen))
    if not holes:
        assert {t * symbols + s for t, s in np.argwhere(counts).tolist() if t >= size - 1} <= set(seen)


def test_a_symbol_without_a_sequence_does_not_count() -> None:
    usable = np.ones((6, 2), dtype=np.bool_)
    usable[3, 1] = False
    values = np.arange(12, dtype=np.float64).reshape(6, 2, 1)
    made = blocks(windows(values, usable, 4, reach=4), np.ones((6, 2)), np.ones((6, 2)), usable, usable)
    assert made is not None
    assert isinstance(made.inputs, Blocks)
    assert made.inputs.ends[:, 1].tolist() == [-1] * len(made)
    assert float(made.targets[:, 1].abs().sum()) == 0.0
    assert made.inputs.gather(torch.tensor([0])).shape == (1, 2, 4, 1)


def test_nothing_to_count_is_none() -> None:
    usable = np.ones((6, 1), dtype=np.bool_)
    found = windows(np.zeros((6, 1, 1)), usable, 4)
    assert blocks(found, np.ones((6, 1)), np.ones((6, 1)), np.zeros_like(usable), usable) is None
    assert blocks(found.take(np.zeros(0, dtype=np.int64)), np.ones((6, 1)), np.ones((6, 1)), usable, usable) is None
