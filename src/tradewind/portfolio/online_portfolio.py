"""Online portfolios by name: weights held over each row, from the rows before it. The proof of the ensemble's expert weights, on markets.

`market` and `ucrp` stand here, the others beside their papers in files of their own. `best` and `bcrp` are hindsight: they know the whole
history, nobody could have held them, and they are here as yardsticks. All are long only, fully invested and before costs.
Cost: of the slowest, some O(assets^3) a row. Fails, all of them, where trading costs what they gain: give their weights to `backtest`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError
from tradewind.core.settings import build, choose
from tradewind.core.types import Array

__all__ = ["HINDSIGHT", "market", "names", "online", "ucrp", "wealth"]

_HOMES: Final = {
    "market": "online_portfolio:market",
    "ucrp": "online_portfolio:ucrp",
    "best": "hindsight:best_asset",
    "bcrp": "hindsight:best_constant",
    "eg": "exponentiated_gradient:exponentiated_gradient",
    "ons": "online_newton:online_newton",
    "universal": "universal:universal",
    "pamr": "pamr:passive_aggressive_reversion",
    "olmar": "olmar:moving_average_reversion",
}
HINDSIGHT: Final = ("best", "bcrp")
"""Those that know the whole history."""


def names() -> list[str]:
    """Every online portfolio there is."""
    return list(_HOMES)


def online(relatives: ArrayLike, name: str, **settings: Any) -> Array:
    """(time, asset) weights: row t is held over row t of `relatives` and comes from the rows before it, but for those of `HINDSIGHT`.

    `relatives` (time, asset): price after over price before, positive. Row 0 holds equal weights, or what the draws of
    `universal` come to. Each row sums to one; none is negative.
    Raises SettingsError, naming the nearest known word, for an unknown name or setting, DataError for relatives that are not positive.
    """
    module, _, function = choose(name, _HOMES, "online portfolio").partition(":")
    choice: Callable[..., Array] = getattr(importlib.import_module(f"tradewind.portfolio.{module}"), function)
    return build(partial(choice, _checked(relatives)), settings, name)


def wealth(relatives: ArrayLike, weights: ArrayLike) -> Array:
    """(time,) what 1 has become after each row of `relatives` (time, asset), held as in `weights` (time, asset) and before costs."""
    table, held = _checked(relatives), np.asarray(weights, dtype=np.float64)
    if held.shape != table.shape:
        raise DataError(f"weights have shape {held.shape}, relatives {table.shape}; both are (time, asset)")
    return np.cumprod((table * held).sum(axis=1))


def market(relatives: Array) -> Array:
    """Bought in equal parts and held: the weights drift with the prices."""
    logarithm = np.zeros(relatives.shape)
    np.cumsum(np.log(relatives[:-1]), axis=0, out=logarithm[1:])
    grown = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def ucrp(relatives: Array) -> Array:
    """Equal weights, restored in every row: the uniform constant rebalanced portfolio."""
    return np.full(relatives.shape, 1.0 / relatives.shape[1])


def _checked(relatives: ArrayLike) -> Array:
    table = np.ascontiguousarray(relatives, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise DataError(f"relatives have shape {table.shape}; they are (time, asset), price after over price before")
    wrong = ~(np.isfinite(table) & (table > 0.0))
    if wrong.any():
        row, asset = (int(place) for place in np.argwhere(wrong)[0])
        raise DataError(f"relatives: row {row}, asset {asset} is {table[row, asset]}; a relative is price after over price before, above 0")
    return table
