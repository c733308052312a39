"""A sample's answer does not depend on its company, nor on where a history begins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tradewind.nets.device import reproducible
from tradewind.nets.lstm import LSTM, LSTMSizes
from tradewind.nets.mlp import MLP, MLPSizes
from tradewind.nets.prediction import answer
from tradewind.nets.price_action_transformer import PriceActionTransformer
from tradewind.nets.transformer import Transformer, TransformerSizes
from tradewind.nets.windows import Windows, windows

# Full widths, since small products hide what large ones do: they take other kernels.
NETS = {
    "price-action-transformer": lambda: PriceActionTransformer(14, window=24),
    "lstm": lambda: LSTM(14, 3, LSTMSizes(window=24)),
    "transformer": lambda: Transformer(14, 7, TransformerSizes(window=24)),
    "mlp": lambda: MLP(14, 2, MLPSizes(window=24)),
}


def _net(name: str) -> nn.Module:
    with reproducible(0):
        return NETS[name]()


def _numbers(found: Windows) -> np.ndarray:
    return found.time + found.symbol


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("slots", [1, 4, 8])
def test_full_nets_give_a_window_the_same_bits_in_any_company(name: str, slots: int) -> None:
    net = _net(name)
    random = np.random.default_rng(0)
    values = random.standard_normal((70, 3, 14))
    usable = random.uniform(size=(70, 3)) < 0.97
    usable[40:44, 1] = False
    whole = windows(values, usable, 24)
    together = answer(net, whole, _numbers(whole), slots)
    assert len(together) == len(whole) > 60 and np.isfinite(together).all()
    companies = [[number] for number in (0, 1, 2, len(whole) // 2, len(whole) - 1)]
    companies += [np.flatnonzero(random.uniform(size=len(whole)) < share).tolist() for share in (0.05, 0.3, 0.8)]
    companies += [np.flatnonzero(whole.symbol == symbol).tolist() for symbol in range(3)]
    for company in companies:
        some = whole.take(np.array(company))
        assert answer(net, some, _numbers(some), slots).tobytes() == together[company].tobytes()
    with torch.no_grad():
        batched = net(whole.gather(torch.arange(len(whole)))).numpy()
    np.testing.assert_allclose(together, batched, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_neighbours_that_are_enormous_change_nothing(name: str) -> None:
    net = _net(name)
    values = np.random.default_rng(1).standard_normal((31, 1, 14))
    usable = np.ones((31, 1), dtype=np.bool_)
    calm = windows(values, usable, 24)
    values[0] = 1e6
    wild = windows(values, usable, 24)
    ours = answer(net, calm, _numbers(calm), 8)
    assert answer(net, wild, _numbers(wild), 8)[1:].tobytes() == ours[1:].tobytes()


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


class Pairs:
    def __init__(self, n: int, named: bool) -> None:
        self.values, self.named = torch.arange(float(n)), named

    def gather(self, which: Tensor) -> tuple[Tensor, Tensor]:
        first, second = self.values[which], self.values[which].long()[:, None]
        return Pair(first, second) if self.named else (first, second)

    def to(self, device: torch.device) -> Pairs:
        return self


class Seen(nn.Module):
    """Tells each slot what was in all of them."""

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        first, second = (pair.first, pair.second) if isinstance(pair, Pair) else pair
        return torch.stack([first, second[:, 0].float()], 1)[:, :, None].expand(-1, -1, 2)


@given(numbers=st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=60), slots=st.integers(1, 9), named=st.booleans())
@settings(deadline=None)
def test_every_sample_is_asked_once_whatever_the_numbers(numbers: list[int], slots: int, named: bool) -> None:
    found = answer(Seen(), Pairs(len(numbers), named), np.array(numbers, dtype=np.int64), slots)
    expected = np.arange(len(numbers), dtype=np.float64)
    np.testing.assert_array_equal(found, np.broadcast_to(expected[:, None, None], (len(numbers), 2, 2)))


def test_consecutive_samples_share_batches_and_empty_slots_are_zero() -> None:
    asked: list[np.ndarray] = []

    class Spy(nn.Module):
        def forward(self, windows: Tensor) -> Tensor:
            asked.append(windows[:, 0, 0].numpy().copy())
            return windows[:, 0]

    values = np.arange(1.0, 12.0)[:, None, None]
    found = windows(values, np.ones((11, 1), dtype=np.bool_), 1)
    answer(Spy(), found, found.time + 1_000_006, 4)
    assert [batch.tolist() for batch in asked] == [[3, 4, 1, 2], [7, 8, 5, 6], [11, 0, 9, 10]]


def test_no_window_no_answer() -> None:
    found = windows(np.zeros((3, 1, 14)), np.ones((3, 1), dtype=np.bool_), 64)
    assert answer(PriceActionTransformer(), found, _numbers(found), 8).shape == (0, 1)
