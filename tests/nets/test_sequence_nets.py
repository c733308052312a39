"""The LSTM, the transformer and the MLP: sizes, what they see, and what they can learn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.nets.device import reproducible
from tradewind.nets.losses import RETURN
from tradewind.nets.lstm import LSTM, LSTMSizes
from tradewind.nets.mlp import MLP, MLPSizes
from tradewind.nets.pooling import AttentionPooling
from tradewind.nets.training import Examples, TrainingSettings, train
from tradewind.nets.transformer import Transformer, TransformerSizes

SMALL: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: LSTM(3, 1, LSTMSizes(window=6, hidden=12, dropout=0.0)),
    "transformer": lambda: Transformer(3, 1, TransformerSizes(window=6, width=16, heads=2, feedforward=32, dropout=0.0)),
    "mlp": lambda: MLP(3, 1, MLPSizes(window=6, hidden=32, dropout=0.0)),
}


def _parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_the_sizes_that_were_asked_for() -> None:
    lstm = LSTM(50, 3, LSTMSizes())
    # Per layer and direction: 4 gates of 128 cells on inputs, on themselves, and two biases.
    cells = 2 * 4 * 128 * ((50 + 128 + 2) + (256 + 128 + 2))
    assert _parameters(lstm) == cells + (2 * 256 * 256 + 256 + 256) + (512 * 3 + 3)
    layer = (128 * 384 + 384) + (128 * 128 + 128) + (128 * 512 + 512) + (512 * 128 + 128) + 4 * 128
    pooling = 2 * 128 * 128 + 128 + 128
    assert _parameters(Transformer(50, 3, TransformerSizes())) == (50 * 128 + 128) + 2 * layer + 256 + pooling + (256 * 3 + 3)
    assert _parameters(MLP(50, 2, MLPSizes())) == (50 * 256 + 256) + (256 * 256 + 256) + (256 * 2 + 2)
    for net, window in ((lstm, 60), (Transformer(50, 3, TransformerSizes()), 60)):
        assert net(torch.zeros(2, window, 50)).shape == (2, 3)


@pytest.mark.parametrize(
    ("sizes", "wrong"),
    [(LSTMSizes, {"hidden": 0}), (LSTMSizes, {"dropout": 1.0}), (TransformerSizes, {"heads": 3}),
     (MLPSizes, {"layers": 0}), (MLPSizes, {"window": 1.5})],
    ids=str,
)  # fmt: skip
def test_impossible_sizes_are_refused(sizes: type, wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        sizes(**wrong)


@pytest.mark.parametrize("name", SMALL)
def test_every_row_of_the_window_and_their_order_matter(name: str) -> None:
    with reproducible(0):
        net, window = SMALL[name]().eval(), torch.randn(1, 6, 3)
    base = net(window)
    for row in range(6):
        moved = window.clone()
        moved[:, row] += 1.0
        assert not torch.equal(net(moved), base)
    assert not torch.allclose(net(window.flip(1)), base, atol=1e-6)


class Pairs:
    """Windows whose answer is the product of two rows' first columns: no row alone tells it."""

    def __init__(self, n: int, seed: int) -> None:
        self.rows = torch.randn(n, 6, 3, generator=torch.Generator().manual_seed(seed))

    def gather(self, which: Tensor) -> Tensor:
        return self.rows[which]

    def to(self, device: torch.device) -> Pairs:
        return self

    def examples(self) -> Examples:
        return Examples(self, self.rows[:, 5, 0] * self.rows[:, 4, 0], torch.ones(len(self.rows)))


@pytest.mark.parametrize("name", SMALL)
def test_they_learn_what_lies_between_rows(name: str) -> None:
    with reproducible(0):
        net = SMALL[name]()
    settings = TrainingSettings(epochs=16, patience=16, batch=64, learning_rate=1e-2)
    told = train(net, Pairs(1_200, 0).examples(), Pairs(300, 1).examples(), RETURN, settings, 0)
    best = told.history[told.best_epoch - 1].validation_loss
    # Knowing nothing leaves the variance of the product, 1.
    assert best is not None and best < 0.6


def test_pooling_is_a_mean_under_weights_that_sum_to_one_beside_the_newest_row() -> None:
    with reproducible(0):
        pooling, rows = AttentionPooling(8), torch.randn(3, 5, 8)
    weights = pooling.weights(rows)
    assert (weights > 0).all() and torch.allclose(weights.sum(1), torch.ones(3))
    mean, newest = pooling(rows).chunk(2, dim=1)
    torch.testing.assert_close(mean, torch.einsum("bt,btw->bw", weights, rows))
    torch.testing.assert_close(newest, rows[:, -1])
    asked = rows.clone()
    asked[:, -1] += 1.0
    # The newest row asks: with another one the others weigh differently among themselves.
    before, after = weights[:, :-1] / weights[:, :-1].sum(1, keepdim=True), pooling.weights(asked)[:, :-1]
    assert not torch.allclose(before, after / after.sum(1, keepdim=True), atol=1e-4)
