"""What trading costs: fees, slippage, latency, and the limits that an account trades under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self, final

import numpy as np

from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import build, require
from tradewind.core.types import Array

__all__ = ["Costs"]

BASIS_POINT: Final = 1e-4
# A target that is held already differs from the holding by rounding, which is no reason to trade.
ROUNDING: Final = 1e-12


@final
@dataclass(frozen=True)
class Costs:
    """The costs and limits of an account; frozen, equal when all settings are.

    `fee_bps`: fee of each fill in basis points of its notional.
    `slippage_bps`: how much worse than the open each fill is, in basis points of the price.
    `slippage_volatility`: slippage on top, as a fraction of the symbol's volatility of one bar: the root of the exponentially weighted
    mean square of its close-to-close returns with a span of `volatility_bars` existing bars, as known at the close before the fill.
    `latency`: bars between the close that a target was decided at and the open that fills it; at least 1.
    `max_leverage`: targets whose absolute sum exceeds it are scaled down to it.
    `min_trade`: fills smaller than this fraction of equity are left out.

    Raises SettingsError for values that cannot be.
    """

    fee_bps: float = 10.0
    slippage_bps: float = 2.0
    slippage_volatility: float = 0.0
    volatility_bars: int = 96
    latency: int = 1
    max_leverage: float = 1.0
    min_trade: float = 0.0

    def __post_init__(self) -> None:
        whole(latency=self.latency, volatility_bars=self.volatility_bars)
        number(max_leverage=self.max_leverage)
        fraction(zero=True, min_trade=self.min_trade)
        for name in ("fee_bps", "slippage_bps", "slippage_volatility"):
            number(positive=False, **{name: getattr(self, name)})
        for name in ("fee_bps", "slippage_bps"):
            require(getattr(self, name) < 10_000, f"{name} is {getattr(self, name):g}; 10000 basis points are the whole price")
        for field in fields(self):
            # Numbers of numpy's become Python's, so that equal settings are equal in manifests too.
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, int(value) if field.name in ("latency", "volatility_bars") else float(value))

    @classmethod
    def zero(cls, latency: int = 1) -> Self:
        """Free trading: no fee, no slippage."""
        return cls(fee_bps=0.0, slippage_bps=0.0, latency=latency)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The Costs that `to_dict` described. Raises SettingsError for an unknown key, with the nearest known one."""
        return build(cls, settings, "Costs")

    def to_dict(self) -> dict[str, float | int]:
        """Every setting as plain numbers, for manifests."""
        return asdict(self)

    def rates(self) -> Array:
        """(6,) what the accounting kernel reads: fee, slippage, slippage per volatility, smoothing, leverage cap, least trade."""
        smoothing = 2.0 / (self.volatility_bars + 1.0)
        fee, slippage = self.fee_bps * BASIS_POINT, self.slippage_bps * BASIS_POINT
        least = max(self.min_trade, ROUNDING)
        return np.array([fee, slippage, self.slippage_volatility, smoothing, self.max_leverage, least])
