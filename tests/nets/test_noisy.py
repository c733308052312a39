"""Noisy layers: by hand, in distribution, silent when told, and that they are the linear layer with the noisy weights."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from tradewind.core.errors import SettingsError
from tradewind.nets.checkpoint import net_state
from tradewind.nets.noisy import SIGMA, NoisyLinear, attach, draw, redraw, silence


def test_by_hand() -> None:
    layer = NoisyLinear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
        layer.bias.fill_(3.0)
        layer.weight_deviation.copy_(torch.tensor([[0.5, 0.25]]))
        layer.bias_deviation.fill_(0.125)
    values = torch.tensor([[2.0, 4.0]])
    assert float(layer(values).detach()) == 13.0
    layer.noise = torch.tensor([[2.0, -1.0]]), torch.tensor([[-3.0]])
    # Weights 1 + .5 * 2 * -3 = -2 and 2 + .25 * -1 * -3 = 2.75, bias 3 + .125 * -3 = 2.625.
    assert float(layer(values).detach()) == pytest.approx(2 * -2 + 4 * 2.75 + 2.625)


@given(inputs=st.integers(1, 9), outputs=st.integers(1, 9), rows=st.integers(1, 5), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_each_row_is_answered_by_its_own_noisy_weights(inputs: int, outputs: int, rows: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer, values = NoisyLinear(inputs, outputs), torch.randn(rows, inputs)
    redraw([layer], rows)
    assert layer.noise is not None
    for row, (at_inputs, at_outputs) in enumerate(zip(*layer.noise, strict=True)):
        weight = layer.weight + layer.weight_deviation * torch.outer(at_outputs, at_inputs)
        wanted = functional.linear(values[row], weight, layer.bias + layer.bias_deviation * at_outputs)
        assert torch.allclose(layer(values)[row], wanted, atol=1e-5)


def test_the_noise_has_the_deviation_that_the_paper_says() -> None:
    torch.manual_seed(1)
    layer = NoisyLinear(16, 3)
    assert torch.all(layer.weight_deviation == SIGMA / 4) and torch.all(layer.weight.abs() <= 0.25)
    redraw([layer], 40_000)
    assert layer.noise is not None
    drawn = layer.noise[0]
    # g(e)^2 = |e|, whose mean is sqrt(2 / pi).
    assert float(drawn.square().mean()) == pytest.approx(math.sqrt(2 / math.pi), rel=0.01)
    assert abs(float(drawn.mean())) < 0.005
    answers = layer(torch.ones(40_000, 16)).detach()
    # The variance of an answer: 16 inputs of (deviation^2 * 2 / pi), and the bias (deviation^2 * sqrt(2 / pi)).
    wanted = (SIGMA / 4) ** 2 * (16 * 2 / math.pi + math.sqrt(2 / math.pi))
    assert float(answers.var(dim=0).mean()) == pytest.approx(wanted, rel=0.03)


def test_silence_and_fresh_noise() -> None:
    torch.manual_seed(2)
    layers, values = [NoisyLinear(4, 8), NoisyLinear(8, 2)], torch.randn(3, 4)
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    quiet = net(values)
    redraw(layers)
    first = net(values)
    assert torch.equal(first, net(values)), "the noise stands until it is drawn again"
    redraw(layers)
    assert not torch.equal(first, net(values)) and not torch.equal(first, quiet)
    silence(layers)
    assert torch.equal(quiet, net(values))
    redraw([])


def test_noise_can_be_kept_and_attached_again() -> None:
    torch.manual_seed(5)
    layers, values = [NoisyLinear(4, 8), NoisyLinear(8, 2)], torch.randn(3, 4)
    net, noise = nn.Sequential(layers[0], nn.ReLU(), layers[1]), draw(layers, 3)
    assert noise.shape == (3, 4 + 8 + 8 + 2)
    attach(layers, noise)
    first = net(values)
    redraw(layers, 3)
    assert not torch.equal(first, net(values))
    attach(layers, noise)
    assert torch.equal(first, net(values))
    # Rows belong to rows: alone, each is answered as among the others.
    attach(layers, noise[1:2])
    assert torch.allclose(net(values[1:2]), first[1:2], atol=1e-6)


def test_noise_is_drawn_from_the_seed_and_not_saved() -> None:
    answers = []
    for _ in range(2):
        torch.manual_seed(3)
        layer = NoisyLinear(4, 2)
        redraw([layer])
        answers.append(layer(torch.ones(1, 4)))
        assert sorted(net_state(layer).arrays) == ["bias", "bias_deviation", "weight", "weight_deviation"]
    assert torch.equal(*answers)


def test_gradients_reach_means_and_deviations() -> None:
    torch.manual_seed(4)
    layer = NoisyLinear(3, 2)
    redraw([layer])
    layer(torch.randn(5, 3)).square().sum().backward()
    assert all(weight.grad is not None and bool((weight.grad != 0).all()) for weight in layer.parameters())


@pytest.mark.parametrize("wrong", [{"inputs": 0}, {"outputs": 0}, {"sigma": 0.0}, {"sigma": float("nan")}], ids=str)
def test_settings_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        NoisyLinear(**{"inputs": 2, "outputs": 2, **wrong})  # type: ignore[arg-type]
