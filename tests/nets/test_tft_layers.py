"""The parts of the TFT: by hand, against the same thing done one input at a time, and what may see what."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from tradewind.nets.device import reproducible
from tradewind.nets.tft_layers import GateAddNorm, GatedLinearUnit, GatedResidualNetwork, InterpretableAttention, VariableSelection


def _set(parameter: torch.Tensor, values: object) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(values, dtype=torch.float32))


def test_a_gated_linear_unit_by_hand() -> None:
    unit = GatedLinearUnit(1, 1, 0.0)
    _set(unit.linear.weight, [[3.0], [2.0]])
    _set(unit.linear.bias, [1.0, -4.0])
    # The first half is what passes, the second half how much: (3 * 2 + 1) * sigmoid(2 * 2 - 4).
    assert unit(torch.tensor([[2.0]])).item() == pytest.approx(7.0 * 0.5)


def test_a_gated_residual_network_by_hand() -> None:
    network = GatedResidualNetwork(2, 1, 2, 0.0, context=1)
    _set(network.first.weight, [[1.0, -1.0]])
    _set(network.first.bias, [0.5])
    assert network.context is not None and network.skip is None
    _set(network.context.weight, [[2.0]])
    _set(network.second.weight, [[3.0]])
    _set(network.second.bias, [1.0])
    _set(network.gate.linear.weight, [[1.0], [2.0], [0.0], [0.0]])
    _set(network.gate.linear.bias, [0.0, 0.0, 0.0, 0.0])
    # inner = 1 - 4 + .5 + 2 * .25 = -2, ELU(-2) = exp(-2) - 1, then 3 * that + 1; half of it, and half of twice it, join x = (1, 4).
    inner = 3.0 * (math.exp(-2.0) - 1.0) + 1.0
    summed = np.array([1.0 + inner / 2.0, 4.0 + inner])
    expected = (summed - summed.mean()) / math.sqrt(summed.var() + 1e-5)
    found = network(torch.tensor([[1.0, 4.0]]), torch.tensor([[0.25]]))
    np.testing.assert_allclose(found.detach().numpy()[0], expected, rtol=1e-5)


def test_a_residual_network_of_other_sizes_has_a_linear_skip() -> None:
    with reproducible(0):
        network, x = GatedResidualNetwork(3, 4, 2, 0.0), torch.randn(5, 3)
    assert network.skip is not None
    inner = functional.elu(network.first(x))
    expected = network.norm(network.skip(x) + network.gate(network.second(inner)))
    assert torch.equal(network(x), expected)


def test_a_gate_that_is_shut_passes_the_skip_alone() -> None:
    layer = GateAddNorm(4, 0.0)
    _set(layer.gate.linear.bias, [5.0] * 4 + [-200.0] * 4)
    with reproducible(1):
        x, skip = torch.randn(3, 4), torch.randn(3, 4)
    torch.testing.assert_close(layer(x, skip), functional.layer_norm(skip, (4,)))


def _one_at_a_time(selection: VariableSelection, values: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same with a network of its own for each input, asked one after the other."""
    embedded = [values[:, i : i + 1] * selection.scale[i] + selection.shift[i] for i in range(values.shape[1])]
    weights = torch.softmax(selection.weigh(torch.cat(embedded, dim=1), context), dim=1)
    total = torch.zeros(len(values), selection.gain.shape[2])
    for i, x in enumerate(embedded):
        hidden = selection.gain.shape[2]
        network = GatedResidualNetwork(x.shape[1], x.shape[1], hidden, 0.0)
        if network.skip is None:
            network.skip = nn.Linear(x.shape[1], hidden)
        pairs = [
            (network.first, selection.first, selection.first_bias),
            (network.second, selection.second, selection.second_bias),
            (network.gate.linear, selection.gate, selection.gate_bias),
            (network.skip, selection.skip, selection.skip_bias),
        ]
        with torch.no_grad():
            for layer, weight, bias in pairs:
                layer.weight.copy_(weight[i].t())
                layer.bias.copy_(bias[i, 0])
            network.norm.weight.copy_(selection.gain[i, 0])
            network.norm.bias.copy_(selection.offset[i, 0])
        total = total + network(x) * weights[:, i : i + 1]
    return total, weights


@given(inputs=st.integers(1, 6), embedding=st.integers(1, 5), hidden=st.integers(2, 8), rows=st.integers(1, 7), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_selection_at_once_is_selection_one_input_at_a_time(inputs: int, embedding: int, hidden: int, rows: int, seed: int) -> None:
    with reproducible(seed):
        selection = VariableSelection(inputs, embedding, hidden, 0.5).eval()
        for parameter in selection.parameters():
            nn.init.normal_(parameter, std=0.5)
        values, context = torch.randn(rows, inputs), torch.randn(rows, hidden)
    with torch.no_grad():
        found, weights = selection(values, context)
        expected, expected_weights = _one_at_a_time(selection, values, context)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights, expected_weights)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(rows))


def test_attention_is_one_softmax_over_what_may_be_seen() -> None:
    with reproducible(2):
        attention = InterpretableAttention(4, 2, 0.0)
        positions = torch.randn(1, 5, 4)
    steps = positions[:, -2:]
    with torch.no_grad():
        found, weights = attention(steps, positions)
        queries, keys = (layer(x)[0].view(-1, 2, 2) for layer, x in ((attention.queries, steps), (attention.keys, positions)))
        expected = torch.zeros(2, 5)
        for step, sees in ((0, 4), (1, 5)):
            for head in range(2):
                scores = torch.stack([queries[step, head] @ keys[place, head] for place in range(sees)]) / math.sqrt(2.0)
                expected[step, :sees] += torch.softmax(scores, dim=0) / 2
        values = attention.output(expected @ attention.values(positions[0]))
    torch.testing.assert_close(weights[0], expected)
    torch.testing.assert_close(found[0], values)
    assert weights[0, 0, 4] == 0.0
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(1, 2))
