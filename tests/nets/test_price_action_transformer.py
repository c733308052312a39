"""The size that was asked for, and what the net sees."""

from __future__ import annotations

import pytest
import torch

from tradewind.core.errors import SettingsError
from tradewind.nets.device import reproducible
from tradewind.nets.price_action_transformer import PriceActionTransformer


def test_exactly_406_785_trainable_parameters() -> None:
    net = PriceActionTransformer()
    assert sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad) == 406_785
    assert net(torch.zeros(3, 64, 14)).shape == (3, 1)


def test_other_sizes() -> None:
    net = PriceActionTransformer(inputs=5, window=128, width=256, layers=4, outputs=3)
    assert net(torch.zeros(2, 128, 5)).shape == (2, 3) and net(torch.zeros(2, 7, 5)).shape == (2, 3)
    with pytest.raises(SettingsError, match="heads"):
        PriceActionTransformer(width=130, heads=4)
    with pytest.raises(SettingsError, match="dropout"):
        PriceActionTransformer(dropout=1.0)


def test_matrices_start_xavier_uniform_from_the_seed() -> None:
    with reproducible(5):
        one = PriceActionTransformer()
    with reproducible(5):
        two = PriceActionTransformer()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    for name, parameter in one.named_parameters():
        if parameter.dim() == 2:
            bound = (6 / sum(parameter.shape)) ** 0.5
            assert 0.9 * bound < float(parameter.detach().abs().max()) <= bound, name


def test_positions_are_the_sinusoids_of_the_paper() -> None:
    positions = PriceActionTransformer(window=16, width=8).positions
    assert torch.equal(positions[0], torch.tensor([0.0, 1.0] * 4))
    for column in range(0, 8, 2):
        angle = 5 / 10_000 ** (column / 8)
        torch.testing.assert_close(
            positions[5, column : column + 2],
            torch.tensor([angle, angle]).sin() * torch.tensor([1.0, 0.0]) + torch.tensor([angle, angle]).cos() * torch.tensor([0.0, 1.0]),
        )


def test_the_order_of_rows_matters() -> None:
    with reproducible(0):
        net = PriceActionTransformer().eval()
        window = torch.randn(1, 64, 14)
    assert not torch.allclose(net(window), net(window.flip(1)), atol=1e-5)
