"""Allocation through time: every so many rows the weights of the assets anew, from the newest window of their returns.

The methods stand beside their papers in `parity`, `markowitz` and `shrinkage`; estimated moments go in with shrunk correlations. Source of
the yardstick, equal weights: DeMiguel, Garlappi & Uppal (2009), https://doi.org/10.1093/rfs/hhm075.
Cost: a row O(window * assets), an allocation O(window * assets^2 + assets^3); a window of returns. Fails as its method does, and by its
turnover: weights jump where estimates do. Give them to `backtest` for what trading them costs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.settings import build, choose
from tradewind.core.types import Array, State
from tradewind.portfolio.markowitz import mean_variance
from tradewind.portfolio.parity import inverse_volatility, risk_parity
from tradewind.portfolio.shrinkage import shrunk_covariance

__all__ = ["Allocator", "allocation"]


def _equal(returns: Array) -> Array:
    return np.full(returns.shape[1], 1.0 / returns.shape[1])


def _inverse_volatility(returns: Array) -> Array:
    return inverse_volatility(shrunk_covariance(returns).matrix)


def _risk_parity(returns: Array) -> Array:
    return risk_parity(shrunk_covariance(returns).matrix)


def _mean_variance(
    returns: Array,
    aversion: float = 1.0,
    low: float = 0.0,
    high: float = 1.0,
    budget: float | None = 1.0,
    leverage: float | None = None,
) -> Array:
    covariance = shrunk_covariance(returns).matrix
    mean = returns.mean(axis=0)
    return mean_variance(mean, covariance, aversion=aversion, low=low, high=high, budget=budget, leverage=leverage)


def _minimum_variance(returns: Array, low: float = 0.0, high: float = 1.0, budget: float = 1.0, leverage: float | None = None) -> Array:
    covariance = shrunk_covariance(returns).matrix
    return mean_variance(np.zeros(len(covariance)), covariance, low=low, high=high, budget=budget, leverage=leverage)


_METHODS: Final[dict[str, Callable[..., Array]]] = {
    "equal": _equal,
    "inverse-volatility": _inverse_volatility,
    "risk-parity": _risk_parity,
    "minimum-variance": _minimum_variance,
    "mean-variance": _mean_variance,
}


@final
class Allocator:
    """Weights of `assets` as their returns come, by one method: `equal`, `inverse-volatility`, `risk-parity`, `minimum-variance` or
    `mean-variance`, with its `settings` (the limits of `mean_variance`, as numbers).

    `window`: rows that an allocation sees; `every`: rows between allocations. `share`: of the window's rows that an asset needs a return in
    to be held; rows that lack one of those assets are left out. Assets that do not vary are not held. Raises SettingsError for an unknown
    name or setting and for limits that `assets` assets cannot meet.
    """

    def __init__(
        self, assets: int, name: str = "risk-parity", *, window: int = 250, every: int = 20, share: float = 0.8, **settings: Any
    ) -> None:
        whole(assets=assets, every=every)
        whole(2, window=window)
        fraction(one=True, share=share)
        self.assets, self.name, self.window, self.every, self.share = assets, name, window, every, share
        self.settings: Final = dict(settings)
        self._method = choose(name, _METHODS, "allocation")
        # Tried once on assets that are all alike, so that wrong settings are told now and not a window later.
        self._allocate(np.vstack([np.eye(assets), -np.eye(assets)]))
        self._returns = np.full((window, assets), np.nan)
        self._weights = np.full(assets, np.nan)
        self._rows = 0

    def update(self, returns: ArrayLike) -> Array:
        """(asset,) weights to hold after the (asset,) `returns` of one more row, NaN for a missing one; all NaN before a window is full.

        Raises DataError for another shape or infinite values, and for a window of returns that no covariance can be had of, SettingsError
        where too few assets are left for the limits.
        """
        row = np.asarray(returns, dtype=np.float64)
        if row.shape != (self.assets,) or np.isinf(row).any():
            raise DataError(f"row {self._rows} of returns has shape {row.shape} or infinite values; expected {self.assets} finite or NaN")
        self._returns = np.concatenate([self._returns[1:], row[None, :]])
        self._rows += 1
        if self._rows >= self.window and (self._rows - self.window) % self.every == 0:
            there = ~np.isnan(self._returns)
            held = (there.mean(axis=0) >= self.share) & _varies(self._returns)
            self._weights = np.zeros(self.assets)
            if held.any():
                self._weights[held] = self._allocate(self._returns[np.ix_(there[:, held].all(axis=1), held)])
        return self._weights.copy()

    def state(self) -> State:
        """What was made of it, the window, and the weights."""
        values = {"made": self._made(), "rows": self._rows}
        return State(values, {"returns": self._returns.copy(), "weights": self._weights.copy()})

    def restore(self, state: State) -> Self:
        """Go on from `state` to the bit. Raises StateError where it was made otherwise."""
        if state.values.get("made") != self._made():
            raise StateError(f"this state is of an allocator of {state.values.get('made')}, not of {self._made()}")
        self._rows = int(state.values["rows"])
        self._returns, self._weights = np.array(state.arrays["returns"]), np.array(state.arrays["weights"])
        return self

    def _made(self) -> dict[str, Any]:
        own = {"assets": self.assets, "name": self.name, "window": self.window, "every": self.every, "share": self.share}
        return {**own, "settings": self.settings}

    def _allocate(self, returns: Array) -> Array:
        return build(partial(self._method, returns), self.settings, f"the allocation {self.name!r}")


def allocation(returns: ArrayLike, name: str = "risk-parity", **settings: Any) -> Array:
    """(time, asset) weights to hold after each row of `returns` (time, asset), from rows up to it: to the bit what `Allocator` tells.

    `settings` are those of `Allocator`. Raises as it does.
    """
    panel = np.asarray(returns, dtype=np.float64)
    if panel.ndim != 2:
        raise DataError(f"returns have shape {panel.shape}; expected (time, asset)")
    allocator = Allocator(panel.shape[1], name, **settings)
    return np.array([allocator.update(row) for row in panel]).reshape(panel.shape)


def _varies(returns: Array) -> NDArray[np.bool_]:
    """(asset,) whether there are two different returns."""
    there = ~np.isnan(returns)
    return np.asarray(np.where(there, returns, -np.inf).max(axis=0) > np.where(there, returns, np.inf).min(axis=0))
