"""The probabilities of a filter as columns for a model.

Costs one pass of the filter. Fails, flattering itself, where the filter was fitted on bars that the model is later judged on: fit both on
the training part alone.
"""

from __future__ import annotations

import numpy as np

from tradewind.core.market import Market
from tradewind.core.types import Features
from tradewind.regimes.base import RegimeFilter

__all__ = ["columns"]


def columns(filter: RegimeFilter, market: Market) -> Features:  # noqa: A002 - what it is
    """`regime_<name>` for each regime of `filter`, (time, symbol, regime), to be joined to other features: `X.join(columns(hmm, market))`.

    The rules need no fit and are features by name already: `tradewind.features.compute(market, "relative+regime")`. `warmup`: rows before
    any symbol has an answer. Raises NotFitted where the filter has to be fitted first.
    """
    regimes = filter.filter(market)
    answered = np.flatnonzero(~np.isnan(regimes.probabilities).all(axis=(1, 2)))
    warmup = int(answered[0]) if len(answered) else len(market)
    names = tuple(f"regime_{name}" for name in regimes.names)
    return Features(names, regimes.probabilities, warmup, market.open_time, market.known, market.symbols)
