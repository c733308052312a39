"""The trading environment in torch operations alone, on any device: what `TradingVectorEnv(device="cuda")` steps with.

The same accounting as the compiled kernel's, `simulate.kernels.live_one_bar`, in float64 and operation by operation. Every branch is a
`torch.where`, nothing is fetched to the host, and what a step returns stays on the device, as in Makoviychuk et al. 2021, "Isaac Gym",
https://arxiv.org/abs/2108.10470. Costs some sixty small kernels a step whatever the number of lanes, which is why it is slower than the
compiled one on a CPU. Fails to agree with it in more than the last bits where a device's logarithm does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tradewind.core.types import Array
from tradewind.simulate.kernels import BAR_CLOSE, BAR_FUNDING, BAR_OPEN, BAR_SLIP, FEE, LEAST, LEVERAGE

__all__ = ["live_one_bar"]


def live_one_bar(
    now: Tensor, marked: Tensor, due: Tensor, rates: Array, purses: Tensor, helds: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Let every account (lane,) live through one bar: `now` (lane, 5), with `marked` (lane,) the mark of the bar before it.

    `due` (lane,) is the target filled at the open, NaN keeps. Returns cash, quantity, equity at the close, and what was traded over
    the equity before it, all (lane,) float64; equal to what `simulate.kernels.live_one_bar` writes.
    """
    price, close = now[:, BAR_OPEN], now[:, BAR_CLOSE]
    purses = purses - helds * marked * now[:, BAR_FUNDING]
    value = helds * price
    before = purses + value
    alive = before > 0.0
    size = due.abs()
    target = torch.where(size > rates[LEVERAGE], due * (rates[LEVERAGE] / size), due)
    notional = (target * before - value).abs()
    # NaN, the target that keeps, compares as false.
    fills = alive & (notional >= rates[LEAST] * before) & (notional > 0.0)
    filled = (purses + (value - target * before)) - notional * (rates[FEE] + now[:, BAR_SLIP])
    purses = torch.where(fills, filled, torch.where(alive, purses, before))
    helds = torch.where(fills, before * (target / price), torch.where(alive, helds, 0.0))
    worth = purses + helds * close
    solvent = worth > 0.0
    return (
        torch.where(solvent, purses, worth),
        torch.where(solvent, helds, 0.0),
        worth,
        torch.where(fills, notional / before, 0.0),
    )
