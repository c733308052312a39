"""A pre-norm transformer encoder over a window of rows, pooled by attention of the newest row into logits.

Papers: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Xiong et al. 2020, https://arxiv.org/abs/2002.04745 (normalising before a
layer, which trains without a warm-up of the learning rate); the sizes are those of the strategy guide that asked for this net.
Costs O(layers * window * width * (window + feedforward)): about 370 windows a second to train on one core, 720 in bfloat16.
Fails on a few thousand rows, where it learns noise, and where the inputs are prices that drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, final

from torch import Tensor, nn

from tradewind.core.limits import whole
from tradewind.nets.dropout import Dropout
from tradewind.nets.encoder import EncoderLayer
from tradewind.nets.pooling import AttentionPooling
from tradewind.nets.price_action_transformer import require_sizes, sinusoids

__all__ = ["Transformer", "TransformerSizes"]


@final
@dataclass(frozen=True)
class TransformerSizes:
    """`window` rows of `width` numbers pass `layers` layers of `heads` heads and `feedforward` hidden units, with `dropout` in each."""

    window: int = 60
    width: int = 128
    heads: int = 4
    layers: int = 2
    feedforward: int = 512
    dropout: float = 0.2

    def __post_init__(self) -> None:
        require_sizes(self.window, self.width, self.heads, self.layers, self.feedforward, self.dropout)


@final
class Transformer(nn.Module):
    """(batch, window, inputs) -> (batch, outputs) logits. Shorter windows than that of the sizes are welcome."""

    def __init__(self, inputs: int, outputs: int, sizes: TransformerSizes) -> None:
        super().__init__()
        whole(inputs=inputs, outputs=outputs)
        self.embed = nn.Linear(inputs, sizes.width)
        self.register_buffer("positions", sinusoids(sizes.window, sizes.width), persistent=False)
        self.dropout = Dropout(sizes.dropout)
        layer = (sizes.width, sizes.heads, sizes.feedforward, sizes.dropout, True)
        self.encoder = nn.Sequential(*(EncoderLayer(*layer) for _ in range(sizes.layers)), nn.LayerNorm(sizes.width))
        self.pooling = AttentionPooling(sizes.width)
        self.head = nn.Sequential(Dropout(sizes.dropout), nn.Linear(2 * sizes.width, outputs))
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, windows: Tensor) -> Tensor:
        positions = cast(Tensor, self.positions)[: windows.shape[1]]
        encoded = self.encoder(self.dropout(self.embed(windows) + positions))
        return cast(Tensor, self.head(self.pooling(encoded)))
