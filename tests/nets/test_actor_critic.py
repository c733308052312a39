"""Towers against layers of torch itself: the same answers and gradients, in float32 nearly to the bit, in bfloat16 within its precision."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.nets import actor_critic
from tradewind.nets.actor_critic import ActorCritic, Tower
from tradewind.nets.checkpoint import load_net, net_state


def plain(tower: Tower) -> nn.Sequential:
    """The same tower of torch's own layers."""
    layers: list[nn.Module] = []
    for (weight, bias), last in zip(
        actor_critic._layers(tower.weights.detach(), tower.shapes), [False] * (len(tower.shapes) - 1) + [True], strict=True
    ):
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight.clone(), "bias": bias.clone()})
        layers += [layer] if last else [layer, nn.Tanh() if tower.activation == "tanh" else nn.ReLU()]
    return nn.Sequential(*layers)


def gradients_of(net: nn.Sequential) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in net.parameters() if parameter.grad is not None])


def scattered(tower: Tower) -> Tower:
    """Weights with biases too, which begin at zero."""
    with torch.no_grad():
        tower.weights += 0.1 * torch.randn_like(tower.weights)
    return tower


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@settings(max_examples=25, deadline=None)
@given(
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 4),
    hidden=st.lists(st.integers(1, 17), min_size=1, max_size=3),
    activation=st.sampled_from(["tanh", "relu"]),
    batch=st.integers(1, 33),
    seed=st.integers(0, 2**31),
)
def test_a_tower_and_its_gradient_are_those_of_torchs_layers(
    inputs: int, outputs: int, hidden: list[int], activation: str, batch: int, seed: int
) -> None:
    torch.manual_seed(seed)
    tower = scattered(Tower(inputs, outputs, hidden, activation))
    same, seen, asked = plain(tower), torch.randn(batch, inputs), torch.randn(batch, outputs)
    said, expected = tower(seen), same(seen)
    torch.testing.assert_close(said, expected, rtol=1e-5, atol=1e-5)
    (said * asked).sum().backward()
    (expected * asked).sum().backward()
    assert tower.weights.grad is not None
    torch.testing.assert_close(tower.weights.grad, gradients_of(same), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_where_onednn_is_not_the_plain_layers_say_the_same(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tower, seen = scattered(Tower(5, 2, (16, 8), activation)), torch.randn(7, 5)
    fused = tower(seen)
    fused.sum().backward()
    assert tower.weights.grad is not None
    gradient, tower.weights.grad = tower.weights.grad, None
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    told = tower(seen)
    told.sum().backward()
    torch.testing.assert_close(told, fused, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(tower.weights.grad, gradient, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_near_and_its_gradient_points_the_same_way() -> None:
    tower, seen = Tower(20, 3, (256, 256, 128)), torch.randn(512, 20)
    exact = tower(seen)
    exact.square().sum().backward()
    assert tower.weights.grad is not None
    gradient, tower.weights.grad = tower.weights.grad.clone(), None
    exact, rough = exact.detach(), tower(seen, half=True)
    rough.square().sum().backward()
    rough = rough.detach()
    assert rough.dtype == torch.float32 and tower.weights.grad is not None
    assert not torch.equal(rough, exact)
    assert float((rough - exact).abs().max()) < 0.03 * float(exact.abs().max())
    assert float(nn.functional.cosine_similarity(tower.weights.grad, gradient, dim=0)) > 0.999


@pytest.mark.parametrize("half", [False, True])
def test_a_reader_says_the_same_to_the_bit(half: bool) -> None:
    tower, seen = scattered(Tower(5, 2, (16, 8))), torch.randn(7, 5)
    read = tower.reader(half)
    assert torch.equal(read(seen), tower(seen, half)) and not read(seen).requires_grad


def test_inputs_cut_out_of_a_larger_table_are_read_right() -> None:
    tower, table = Tower(4, 2, (8,)), torch.randn(40, 9)
    torch.testing.assert_close(tower(table[:, 2:6]), tower(table[:, 2:6].contiguous()), rtol=0, atol=0)


def test_a_large_batch_in_pieces_is_the_same_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    tower, seen = Tower(4, 2, (8,)), torch.randn(50, 4)
    said = tower(seen)
    said.square().sum().backward()
    assert tower.weights.grad is not None
    gradient, tower.weights.grad = tower.weights.grad, None
    monkeypatch.setattr(actor_critic, "PIECE", 16)
    pieces = tower(seen)
    pieces.square().sum().backward()
    torch.testing.assert_close(pieces, said)
    torch.testing.assert_close(tower.weights.grad, gradient)


def test_weights_begin_orthogonal_the_policy_small_and_biases_at_zero() -> None:
    net = ActorCritic(6, 3, (32, 16))
    for tower, gain in ((net.actor, 0.01), (net.critic, 1.0)):
        gains = [math.sqrt(2.0), math.sqrt(2.0), gain]
        for (weight, bias), scale in zip(actor_critic._layers(tower.weights.detach(), tower.shapes), gains, strict=True):
            square = weight @ weight.t() if weight.shape[0] <= weight.shape[1] else weight.t() @ weight
            torch.testing.assert_close(square, scale**2 * torch.eye(len(square)), rtol=0, atol=1e-5)
            assert not bias.any()
    assert float(net(torch.randn(50, 6))[0].detach().abs().max()) < 0.1


def test_the_two_share_nothing() -> None:
    net = ActorCritic(6, 3, (32, 16), deviation=0.5)
    said, values = net(torch.randn(9, 6))
    assert said.shape == (9, 3) and values.shape == (9,)
    said.sum().backward()
    assert net.critic.weights.grad is None and net.actor.weights.grad is not None
    assert net.log_deviation is not None
    torch.testing.assert_close(net.log_deviation.detach(), torch.full((3,), math.log(0.5)))


def test_it_counts_the_weights_of_s0s_nets() -> None:
    widths = [20, 256, 256, 128, 1]
    assert Tower(20, 1, (256, 256, 128)).weights.numel() == sum(a * b + b for a, b in pairwise(widths)) == 104_193


def test_weights_go_away_and_come_back() -> None:
    net, other = ActorCritic(6, 3, (32, 16), deviation=1.0), ActorCritic(6, 3, (32, 16), deviation=1.0)
    seen = torch.randn(9, 6)
    load_net(other, net_state(net))
    for mine, theirs in zip(net(seen), other(seen), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("settings_of", "word"),
    [
        ({"hidden": ()}, "one hidden layer at least"),
        ({"hidden": (32, 0)}, "hidden is 0"),
        ({"activation": "tan"}, "none of tanh, relu"),
        ({"deviation": 0.0}, "deviation is 0.0"),
        ({"actions": 0}, "outputs is 0"),
        ({"inputs": 0}, "inputs is 0"),
    ],
)
def test_sizes_that_cannot_be(settings_of: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        ActorCritic(**{"inputs": 3, "actions": 2, **settings_of})  # type: ignore[arg-type]
