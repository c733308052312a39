"""The net of action values: its sizes, what dueling means, and weights in one vector."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tradewind.core.errors import SettingsError, StateError
from tradewind.nets.device import reproducible
from tradewind.nets.flat import Adam, FlatWeights
from tradewind.nets.q_network import QNetwork


def _made(seed: int = 0, **settings: object) -> QNetwork:
    with reproducible(seed):
        return QNetwork(4, 3, (16, 8), **settings)  # type: ignore[arg-type]


def _parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_the_sizes_that_were_asked_for() -> None:
    plain = (4 * 16 + 16) + (16 * 8 + 8) + (8 * 3 + 3)
    assert _parameters(_made()) == plain
    # The last hidden layer in two halves, each with a head.
    assert _parameters(_made(dueling=True)) == (4 * 16 + 16) + (16 * 8 + 8) + (4 * 3 + 3) + (4 + 1)
    assert _parameters(_made(dueling=True, atoms=5)) == (4 * 16 + 16) + (16 * 8 + 8) + (4 * 15 + 15) + (4 * 5 + 5)
    rows = torch.randn(7, 4)
    assert _made()(rows).shape == _made(dueling=True)(rows).shape == (7, 3)
    assert _made(atoms=5)(rows).shape == _made(dueling=True, atoms=5)(rows).shape == (7, 3, 5)
    assert QNetwork(4, 3, (7,), dueling=True)(rows).shape == (7, 3)


def test_a_plain_net_is_matrices_and_rectifiers() -> None:
    net = _made()
    rows = np.random.default_rng(0).normal(size=(5, 4))
    hidden = rows
    for layer in (net.trunk[0], net.streams[0]):
        hidden = np.maximum(hidden @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy(), 0.0)
    expected = hidden @ net.advantage.weight.detach().double().numpy().T + net.advantage.bias.detach().double().numpy()
    assert net(torch.from_numpy(rows).float()).detach().numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("atoms", [1, 5])
def test_dueling_adds_advantages_without_their_mean_to_the_value(atoms: int) -> None:
    net = _made(dueling=True, atoms=atoms)
    rows = torch.randn(6, 4)
    answers = net(rows)
    streams = net.streams(net.trunk(rows))
    assert net.value is not None
    value = net.value(streams[:, 4:])
    assert torch.allclose(answers.mean(dim=1), value.squeeze(1) if atoms == 1 else value, atol=1e-6)
    with torch.no_grad():
        net.advantage.bias += 3.0  # the same for every action: no action is worth more for it
    assert torch.allclose(net(rows), answers, atol=1e-5)


def test_each_head_reads_its_own_stream() -> None:
    net = _made(dueling=True)
    rows = torch.randn(6, 4)
    before = net(rows)
    with torch.no_grad():
        net.streams[0].weight[4:] = 0.0  # the stream of the value
        net.streams[0].bias[4:] = 0.0
    after = net(rows)
    gaps = (before - before.mean(dim=1, keepdim=True)) - (after - after.mean(dim=1, keepdim=True))
    assert torch.allclose(gaps, torch.zeros_like(gaps), atol=1e-6)
    assert not torch.allclose(before, after, atol=1e-3)


def test_impossible_nets_are_refused() -> None:
    with pytest.raises(SettingsError, match="hidden is empty"):
        QNetwork(4, 3, ())
    with pytest.raises(SettingsError, match=r"hidden\[1\] is 0"):
        QNetwork(4, 3, (8, 0))
    with pytest.raises(SettingsError, match="actions is 0"):
        QNetwork(4, 0, (8,))


# -- weights in one vector ---------------------------------------------------------------------------------------------
def test_flat_weights_are_the_nets_own() -> None:
    net = _made(dueling=True)
    before = copy.deepcopy(net.state_dict())
    flat = FlatWeights(net)
    assert len(flat.weights) - _parameters(net) < 16 * len(before)
    assert all(weight.data_ptr() % 64 == 0 for weight in net.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())
    assert float(flat.weights.sum()) == pytest.approx(sum(float(weight.sum()) for weight in before.values()), rel=1e-5)
    flat.weights.add_(1.0)
    assert all(torch.equal(weight, before[name] + 1.0) for name, weight in net.state_dict().items())
    net.load_state_dict(before)
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())
    assert torch.equal(flat.weights[: 16 * 4], before["trunk.0.weight"].reshape(-1))


def test_flat_steps_are_the_steps_of_the_usual_optimiser() -> None:
    usual, flattened = _made(), _made()
    flat = FlatWeights(flattened)
    theirs = torch.optim.Adam(usual.parameters(), lr=1e-2)
    ours = Adam(flat, 1e-2)
    rows, wanted = torch.randn(32, 4), torch.randn(32, 3) * 50
    for step in range(20):
        theirs.zero_grad()
        nn.functional.mse_loss(usual(rows), wanted).backward()
        length = nn.utils.clip_grad_norm_(usual.parameters(), 0.5)
        theirs.step()
        flat.gradient.zero_()
        nn.functional.mse_loss(flattened(rows), wanted).backward()
        assert float(flat.clip(0.5)) == pytest.approx(float(length), rel=1e-4)
        ours.step()
        if step == 10:
            halfway, ours = ours.state(), Adam(flat, 1e-2)
            ours.restore(halfway)
    for name, weight in usual.state_dict().items():
        assert torch.allclose(weight, flattened.state_dict()[name], atol=1e-5), name


def test_a_short_gradient_stays_as_it_is_and_a_net_follows_another() -> None:
    net, other = _made(0), _made(1)
    flat, followed = FlatWeights(net), FlatWeights(other)
    net(torch.randn(4, 4)).sum().backward()
    before = flat.gradient.clone()
    flat.clip(1e6)
    assert torch.equal(flat.gradient, before)
    start = flat.weights.clone()
    flat.follow(followed, 0.25)
    assert torch.allclose(flat.weights, 0.75 * start + 0.25 * followed.weights, atol=1e-7)
    flat.follow(followed, 1.0)
    assert torch.equal(flat.weights, followed.weights)
    rows = torch.randn(3, 4)
    assert torch.equal(net(rows), other(rows))


def test_moments_of_other_weights_are_refused() -> None:
    ours, other = Adam(FlatWeights(_made()), 1e-3), Adam(FlatWeights(QNetwork(4, 3, (40,))), 1e-3)
    with pytest.raises(StateError, match="the saved optimiser is of"):
        ours.restore(other.state())


def test_half_precision_spares_the_heads() -> None:
    net, rows = _made(dueling=True), torch.randn(64, 4)
    with torch.no_grad():
        net.value.bias += 300.0  # type: ignore[union-attr]
        exact = net(rows)
        with torch.autocast("cpu", torch.bfloat16):
            halved = net(rows)
    assert halved.dtype == torch.float32
    gaps, theirs = (answers[:, 0] - answers[:, 1] for answers in (exact, halved))
    # As bfloat16, numbers near 300 are 2 apart.
    assert 0 < float((gaps - theirs).abs().max()) < 0.01
