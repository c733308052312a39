"""Price relatives for the tests: six markets of the PyPI package universal-portfolios, where it is installed, and drawn ones."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tradewind.core.types import Array


@cache
def published(name: str) -> Array:
    """(time, asset) relatives of one of the package's markets, from before its first row on; skips where the package is missing."""
    found = importlib.util.find_spec("universal")
    if found is None or not found.submodule_search_locations:
        pytest.skip("universal-portfolios is not installed; its markets are the reference here")
    path = Path(found.submodule_search_locations[0]) / "data" / f"{name}.csv"
    prices = np.loadtxt(path, delimiter=",", skiprows=1)
    return np.asarray(prices / np.vstack([np.ones(prices.shape[1]), prices[:-1]]))


def drawn(seed: int, n: int = 60, assets: int = 4, spread: float = 0.05) -> Array:
    """(time, asset) log-normal relatives."""
    return np.asarray(np.exp(np.random.default_rng(seed).normal(0.0, spread, (n, assets))))
