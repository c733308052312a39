"""A transformer encoder over windows of price action, pooled over time into logits.

Paper: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; the sizes are those of the training guide that this net was asked for in.
Costs O(layers * window * width * (window + feedforward)): at its defaults about 350 windows a second to train on one core, 1,300 to ask.
Fails where the inputs are raw prices that drift (make them relative or standardise them), and learns noise on a few thousand rows.
"""

from __future__ import annotations

import math
from typing import cast, final

import torch
from torch import Tensor, nn

from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require
from tradewind.nets.dropout import Dropout
from tradewind.nets.encoder import EncoderLayer

__all__ = ["PriceActionTransformer", "require_sizes", "sinusoids"]


@final
class PriceActionTransformer(nn.Module):
    """(batch, window, inputs) -> (batch, outputs) logits.

    A linear map to `width`, sinusoidal positions, `layers` encoder layers of `heads` heads and `feedforward` hidden units, the mean over
    time, and a head of width -> width / 2 -> outputs. Matrices start Xavier uniform. 406,785 trainable parameters at the defaults.
    Shorter windows than `window` are welcome. Raises SettingsError for sizes that cannot be.
    """

    def __init__(
        self,
        inputs: int = 14,
        window: int = 64,
        width: int = 128,
        heads: int = 4,
        layers: int = 2,
        feedforward: int = 512,
        dropout: float = 0.1,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        whole(inputs=inputs, outputs=outputs)
        require_sizes(window, width, heads, layers, feedforward, dropout)
        self.embed = nn.Linear(inputs, width)
        self.register_buffer("positions", sinusoids(window, width), persistent=False)
        self.dropout = Dropout(dropout)
        self.encoder = nn.Sequential(*(EncoderLayer(width, heads, feedforward, dropout, first=False) for _ in range(layers)))
        self.head = nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), Dropout(dropout), nn.Linear(width // 2, outputs))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, windows: Tensor) -> Tensor:
        positions = cast(Tensor, self.positions)[: windows.shape[1]]
        encoded = self.encoder(self.dropout(self.embed(windows) + positions))
        return cast(Tensor, self.head(encoded.mean(dim=1)))


def require_sizes(window: int, width: int, heads: int, layers: int, feedforward: int, dropout: float) -> None:
    """Raise SettingsError for sizes that this net cannot have."""
    whole(window=window, width=width, heads=heads, layers=layers, feedforward=feedforward)
    require(width % 2 == 0 and width % heads == 0, f"width {width} is not a multiple of 2 and of heads {heads}")
    fraction(zero=True, dropout=dropout)


def sinusoids(window: int, width: int) -> Tensor:
    """(window, width): sines in the even columns and cosines in the odd ones, with wavelengths from 2 pi to 10,000 * 2 pi."""
    moments = torch.arange(window, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    return torch.stack([torch.sin(moments * rates), torch.cos(moments * rates)], dim=2).reshape(window, width)
