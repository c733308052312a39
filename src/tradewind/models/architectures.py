"""The nets that `Neural` can be: sizes, how they are built, named settings, and what of them is worth tuning.

Source: the sizes of `guide` are those of the guides that asked for each net, and `quick` is made to fit a few thousand rows in seconds.
Costs and weaknesses are told where each net is: every one of them fails to find anything in noise, however it is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from torch import nn

from tradewind.core.spaces import Choice, Real, Space, Whole
from tradewind.nets.lstm import LSTM, LSTMSizes
from tradewind.nets.mlp import MLP, MLPSizes
from tradewind.nets.price_action_transformer import PriceActionTransformer, require_sizes
from tradewind.nets.transformer import Transformer, TransformerSizes

__all__ = ["ARCHITECTURES", "SPACES", "Architecture", "PriceActionSizes"]


@final
@dataclass(frozen=True)
class PriceActionSizes:
    """Those of PriceActionTransformer: a linear map to `width`, `layers` layers of `heads` heads and `feedforward` hidden units."""

    window: int = 64
    width: int = 128
    heads: int = 4
    layers: int = 2
    feedforward: int = 512
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require_sizes(self.window, self.width, self.heads, self.layers, self.feedforward, self.dropout)


@final
@dataclass(frozen=True)
class Architecture:
    """`build(inputs, outputs, sizes)` makes the net from an instance of `sizes`, which has at least a `window`.

    `presets`: named settings. `slots`: windows in a batch when the net is asked (see nets/prediction), few where a window is dear.
    """

    name: str
    sizes: type
    build: Callable[[int, int, Any], nn.Module]
    presets: Mapping[str, Mapping[str, Any]]
    slots: int


def _price_action(inputs: int, outputs: int, sizes: PriceActionSizes) -> nn.Module:
    return PriceActionTransformer(inputs, outputs=outputs, **vars(sizes))


# Without a warm-up of the learning rate every unit of this net's head is dead within two hundred steps of a noisy return at 1e-3, and
# the answer is a constant for good. 2,000 steps are those of Ma and Yarats 2021, https://arxiv.org/abs/1910.04209, for Adam's usual betas,
# and half its rate is what the guide advises where little is learned.
WARM: Final[dict[str, Any]] = {"warmup": 2_000, "learning_rate": 5e-4, "plateau": 2}
QUICK: Final[dict[str, Any]] = {"epochs": 10, "patience": 3, "batch": 16, "learning_rate": 5e-4, "bfloat16": "auto"}

ARCHITECTURES: Final[dict[str, Architecture]] = {
    made.name: made
    for made in (
        Architecture("mlp", MLPSizes, MLP, {"guide": {}, "quick": {"hidden": 128, "epochs": 20, "patience": 4}}, 64),
        Architecture("lstm", LSTMSizes, LSTM, {"guide": {}, "quick": {**QUICK, "hidden": 64, "stride": 3}}, 8),
        Architecture(
            "transformer",
            TransformerSizes,
            Transformer,
            {"guide": {}, "quick": {**QUICK, "width": 64, "feedforward": 128, "stride": 3}},
            4,
        ),
        Architecture(
            "price-action-transformer",
            PriceActionSizes,
            _price_action,
            {
                "guide": WARM,
                "large": {**WARM, "window": 128, "batch": 64, "width": 256, "layers": 4},
                "regularised": {**WARM, "dropout": 0.2, "weight_decay": 0.05},
                "quick": {**QUICK, "stride": 6},
            },
            4,
        ),
    )
}
"""By the names of the forecasters."""

_LEARNING: Final[Space] = {
    "learning_rate": Real(1e-4, 5e-3, log=True),
    "weight_decay": Real(1e-4, 0.3, log=True),
    "dropout": Real(0.0, 0.5),
    "batch": Choice((16, 32, 64)),
}
_ATTENDING: Final[Space] = {
    **_LEARNING,
    "window": Choice((16, 32, 64)),
    "width": Choice((32, 64, 128)),
    "heads": Choice((2, 4)),
    "layers": Whole(1, 3),
    "feedforward": Choice((64, 128, 256, 512)),
}
SPACES: Final[dict[str, Space]] = {
    "mlp": {**_LEARNING, "hidden": Choice((32, 64, 128, 256)), "layers": Whole(1, 3)},
    "lstm": {**_LEARNING, "window": Choice((16, 32, 60)), "hidden": Choice((32, 64, 128)), "layers": Whole(1, 2)},
    "transformer": _ATTENDING,
    "price-action-transformer": _ATTENDING,
}
"""What may be tuned, by the names of the forecasters."""
