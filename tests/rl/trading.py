"""Small trading environments whose every number can be followed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.simulate.reference import market

from tradewind.core.market import Market
from tradewind.core.types import Array, Features
from tradewind.rl.trading_vector_env import TradingVectorEnv


def features_of(some: Market, width: int = 2, seed: int = 0) -> Features:
    """Random numbers wherever there is a bar."""
    values = np.random.default_rng(seed).normal(size=(*some.close.shape, width))
    values[np.isnan(some.close)] = np.nan
    return Features(tuple(f"f{i}" for i in range(width)), values, 0, some.open_time, some.known, some.symbols)


def counted(some: Market) -> Features:
    """Two features that say where one is: the bar's number, and 100 for each symbol before."""
    rows, columns = np.indices(some.close.shape).astype(float)
    values = np.stack([rows, 100.0 * columns], axis=2)
    values[np.isnan(some.close)] = np.nan
    return Features(("row", "of"), values, 0, some.open_time, some.known, some.symbols)


def line(*closes: float, opens: tuple[float, ...] | None = None) -> Market:
    """One symbol with these closes; each bar opens at the close before it unless `opens` says otherwise."""
    closed = np.array(closes, float)[:, None]
    opened = np.concatenate([closed[:1], closed[:-1]]) if opens is None else np.array(opens, float)[:, None]
    return market(opened, closed)


def small(some: Market, lanes: int = 1, **settings: Any) -> TradingVectorEnv:
    """An environment that shows where it is."""
    return TradingVectorEnv(some, lanes, **{"features": counted(some), **settings})


def act(env: TradingVectorEnv, *positions: float) -> tuple[Array, dict[str, Any]]:
    """Rewards and infos of one step with a position a lane."""
    _, rewards, _, _, infos = env.step(np.array(positions, np.float32)[:, None])
    return rewards, infos
