"""A multilayer perceptron: the rows of a short window, usually one, side by side through hidden layers into logits.

Paper: Rumelhart, Hinton and Williams 1986, https://doi.org/10.1038/323533a0; dropout is Srivastava et al. 2014,
https://jmlr.org/papers/v15/srivastava14a.html. Costs O(hidden * (window * inputs + layers * hidden)) a sample: some
50,000 a second to train on one core with 128 units. Fails where the answer lies in an order of rows that no feature tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast, final

from torch import Tensor, nn

from tradewind.core.limits import fraction, whole
from tradewind.nets.dropout import Dropout

__all__ = ["MLP", "MLPSizes"]


@final
@dataclass(frozen=True)
class MLPSizes:
    """`window` rows side by side, `layers` hidden layers of `hidden` units, `dropout` after each."""

    window: int = 1
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        whole(window=self.window, hidden=self.hidden, layers=self.layers)
        fraction(zero=True, dropout=self.dropout)


@final
class MLP(nn.Module):
    """(batch, window, inputs) -> (batch, outputs) logits; every window must have the length of the sizes."""

    def __init__(self, inputs: int, outputs: int, sizes: MLPSizes) -> None:
        super().__init__()
        whole(inputs=inputs, outputs=outputs)
        widths = [inputs * sizes.window] + [sizes.hidden] * sizes.layers
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU(), Dropout(sizes.dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes.hidden, outputs))

    def forward(self, windows: Tensor) -> Tensor:
        return cast(Tensor, self.layers(windows.flatten(1)))
