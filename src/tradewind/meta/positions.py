"""From answers to positions, and what they earn: the trading side of few-shot tasks.

A direction is held as it is told; in a bull market one is long, in a bear market short, else flat; the market is held unless the highest
class of risk is told; an arbitrage is entered where it is told to pay; a portfolio has the weights of `long_only_weights`; of a single
number the sign. The cost is one pass. Fails to be a strategy: decisions are those of one episode, taken at its closes without the engine's
latency, from flat and back to flat; `tw.strategy("few-shot")` under the walk-forward is the real thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tradewind.core.types import Array
from tradewind.meta.kinds.portfolio import long_only_weights

__all__ = ["HELD", "net_returns", "positions"]

HELD: Final[Mapping[tuple[str, int], tuple[float, ...]]] = {
    ("price_direction", 2): (-1.0, 1.0),
    ("price_direction", 3): (-1.0, 0.0, 1.0),
    ("classification", 2): (-1.0, 1.0),
    ("classification", 3): (-1.0, 0.0, 1.0),
    ("market_regime", 3): (1.0, -1.0, 0.0),
    ("market_regime", 4): (1.0, -1.0, 0.0, 0.0),
    ("arbitrage", 2): (0.0, 1.0),
}
"""Of a kind of task and its number of classes: what is held when a class is told."""


def positions(task_type: str, outputs: Tensor) -> Array | None:
    """(query, asset) what is held on `outputs` (query, class) or (query, asset), as shares of the equity; None where nothing follows."""
    if task_type == "portfolio_optimization":
        return np.asarray(long_only_weights(outputs).double().numpy())
    if task_type == "regression":
        flat = outputs.reshape(len(outputs), -1)
        return np.asarray(torch.sign(flat).double().numpy()) if flat.shape[1] == 1 else None
    ways = outputs.shape[1]
    if task_type == "risk_assessment":
        held: tuple[float, ...] | None = (1.0,) * (ways - 1) + (0.0,)
    else:
        held = HELD.get((task_type, ways))
    return None if held is None else np.asarray(held)[outputs.argmax(dim=1).numpy()][:, None]


def net_returns(task_type: str, held: Array, returns: Array, cost: float) -> Array:
    """(query,) what each decision earned: `held` (query, asset) times `returns` of the same shape, less `cost` of what was traded.

    Traded is the change since the decision before, from flat, and at the end back to flat. The returns of an arbitrage are net already.
    """
    earned = (held * returns).sum(axis=1)
    if task_type == "arbitrage":
        return np.asarray(earned)
    traded = np.abs(np.diff(held, axis=0, prepend=0.0)).sum(axis=1)
    traded[-1] += np.abs(held[-1]).sum()
    return np.asarray(earned - cost * traded)
