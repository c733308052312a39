"""Position nets answer at every step from the steps so far, and hold what a position may be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tradewind.core.errors import SettingsError
from tradewind.nets.device import reproducible
from tradewind.nets.position import KINDS, PositionNet


def net(kind: str, **settings: object) -> PositionNet:
    with reproducible(3):
        return PositionNet(5, kind, width=8, heads=2, **settings).eval()  # type: ignore[arg-type]


def sequences(*shape: int) -> Tensor:
    return torch.randn(*shape, 5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [1, 4, 11])
def test_a_step_knows_no_later_step(kind: str, cut: int) -> None:
    model, past = net(kind), sequences(3, 12)
    other = past.clone()
    other[:, cut:] = 100.0 * sequences(3, 12 - cut)
    assert torch.equal(model(past)[:, :cut], model(other)[:, :cut])
    assert not torch.equal(model(past)[:, cut:], model(other)[:, cut:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_remembers_the_steps_before_it(kind: str) -> None:
    model, past = net(kind), sequences(1, 12)
    other = past.clone()
    other[:, 0] += 3.0
    assert not torch.equal(model(past)[:, -1], model(other)[:, -1])


@pytest.mark.parametrize("kind", KINDS)
def test_positions_are_of_the_side_that_is_allowed(kind: str) -> None:
    both, long = net(kind)(30 * sequences(50, 6)), net(kind, long_only=True)(30 * sequences(50, 6))
    assert both.shape == (50, 6)
    assert both.min() < 0 < both.max() and both.abs().max() <= 1
    assert long.min() >= 0 and long.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_symbols_are_sequences_of_their_own(kind: str) -> None:
    model, panel = net(kind), sequences(2, 3, 7)
    torch.testing.assert_close(model(panel)[1, 2], model(panel[1, 2][None])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_learned(kind: str) -> None:
    model = net(kind)
    model(sequences(4, 9)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "gru"}, "net 'gru' is none of lstm, transformer"),
        ({"kind": "transformer", "width": 10, "heads": 4}, "width 10 is not a multiple of heads 4"),
        ({"width": 0}, "width is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        PositionNet(5, **settings)  # type: ignore[arg-type]


def test_heads_do_not_bind_the_lstm() -> None:
    assert PositionNet(5, "lstm", width=10, heads=4)(sequences(1, 3)).shape == (1, 3)
