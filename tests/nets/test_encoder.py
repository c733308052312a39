"""Layers and dropout against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tradewind.core.errors import SettingsError
from tradewind.nets.device import reproducible
from tradewind.nets.dropout import Dropout
from tradewind.nets.encoder import EncoderLayer


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_a_layer_is_torchs_layer(first: bool, training: bool) -> None:
    with reproducible(0):
        ours, theirs = EncoderLayer(16, 4, 24, 0.0, first), nn.TransformerEncoderLayer(16, 4, 24, 0.0, batch_first=True, norm_first=first)
        rows = torch.randn(3, 7, 16)
    pairs = {
        "self_attn.in_proj_weight": ours.attention.project.weight,
        "self_attn.in_proj_bias": ours.attention.project.bias,
        "self_attn.out_proj.weight": ours.attention.merge.weight,
        "self_attn.out_proj.bias": ours.attention.merge.bias,
        "linear1.weight": ours.hidden[0].weight,
        "linear1.bias": ours.hidden[0].bias,
        "linear2.weight": ours.hidden[3].weight,
        "linear2.bias": ours.hidden[3].bias,
        "norm1.weight": ours.before.weight,
        "norm1.bias": ours.before.bias,
        "norm2.weight": ours.after.weight,
        "norm2.bias": ours.after.bias,
    }
    theirs.load_state_dict({name: tensor.detach() for name, tensor in pairs.items()})
    assert len(theirs.state_dict()) == len(ours.state_dict())
    torch.testing.assert_close(ours.train(training)(rows), theirs.train(training)(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float, dtype: torch.dtype) -> None:
    with reproducible(3):
        layer, ones = Dropout(rate), torch.ones(200, 1_001, dtype=dtype, requires_grad=True)
        found = layer(ones)
        torch.autograd.backward(found.sum())
        dropped = (found == 0).float()
    n = ones.numel()
    assert abs(float(dropped.mean()) - round(rate * 256) / 256) < 5 * (rate * (1 - rate) / n) ** 0.5
    # What is left is one number, the inverse of the share that stays, and gradients pass where numbers did.
    left = found[found != 0].detach().unique()
    assert len(left) == 1 and float(left[0]) == pytest.approx(256 / (256 - round(rate * 256)), rel=4e-3)
    assert torch.equal(ones.grad, found.detach())
    # Eight units share a random word: neighbours must not drop together.
    together = (dropped[:, 1:] * dropped[:, :-1]).mean()
    assert abs(float(together) - rate**2) < 0.01


def test_dropout_is_off_when_it_should_be() -> None:
    values = torch.randn(4, 5)
    assert Dropout(0.5).eval()(values) is values and Dropout(0.0).train()(values) is values
    assert torch.isfinite(Dropout(0.9999).train()(values)).all()
    with pytest.raises(SettingsError, match="dropout"):
        Dropout(1.0)


def test_dropout_follows_the_seed() -> None:
    found = []
    for seed in (1, 1, 2):
        with reproducible(seed):
            found.append(Dropout(0.3)(torch.ones(100)))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
