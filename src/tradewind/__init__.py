"""tradewind: learn trading strategies from market data, adapt among them, and hear honestly whether they have an edge.

The public names load on first use, so `import tradewind` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tradewind import checks, data, ensemble, evaluate, features, labels, meta, portfolio, regimes, rl, stats, strategies
    from tradewind.core.errors import TradewindError
    from tradewind.core.market import Market
    from tradewind.core.types import Features, Forecast, Labels, Outcome, Portfolio, State, Target, View
    from tradewind.data import synthetic
    from tradewind.engine import backtest
    from tradewind.evaluate.comparing.compare import compare
    from tradewind.evaluate.comparing.plan import CompareSettings
    from tradewind.evaluate.explaining.explain import explain
    from tradewind.evaluate.tuning.tune import tune
    from tradewind.evaluate.walk_forward import walk_forward
    from tradewind.models.base import Forecaster
    from tradewind.models.registry import forecaster, forecasters
    from tradewind.simulate.costs import Costs
    from tradewind.simulate.sweep import sweep
    from tradewind.strategies.base import Strategy
    from tradewind.strategies.registry import strategy

_HOMES: Final = {
    "CompareSettings": "tradewind.evaluate.comparing.plan:CompareSettings",
    "Costs": "tradewind.simulate.costs:Costs",
    "Features": "tradewind.core.types:Features",
    "Forecast": "tradewind.core.types:Forecast",
    "Forecaster": "tradewind.models.base:Forecaster",
    "Labels": "tradewind.core.types:Labels",
    "Market": "tradewind.core.market:Market",
    "Outcome": "tradewind.core.types:Outcome",
    "Portfolio": "tradewind.core.types:Portfolio",
    "State": "tradewind.core.types:State",
    "Strategy": "tradewind.strategies.base:Strategy",
    "Target": "tradewind.core.types:Target",
    "TradewindError": "tradewind.core.errors:TradewindError",
    "View": "tradewind.core.types:View",
    "backtest": "tradewind.engine:backtest",
    "checks": "tradewind.checks",
    "compare": "tradewind.evaluate.comparing.compare:compare",
    "data": "tradewind.data",
    "ensemble": "tradewind.ensemble",
    "evaluate": "tradewind.evaluate",
    "explain": "tradewind.evaluate.explaining.explain:explain",
    "features": "tradewind.features",
    "forecaster": "tradewind.models.registry:forecaster",
    "forecasters": "tradewind.models.registry:forecasters",
    "labels": "tradewind.labels",
    "meta": "tradewind.meta",
    "portfolio": "tradewind.portfolio",
    "regimes": "tradewind.regimes",
    "rl": "tradewind.rl",
    "stats": "tradewind.stats",
    "strategies": "tradewind.strategies",
    "strategy": "tradewind.strategies.registry:strategy",
    "sweep": "tradewind.simulate.sweep:sweep",
    "synthetic": "tradewind.data.synthetic",
    "tune": "tradewind.evaluate.tuning.tune:tune",
    "walk_forward": "tradewind.evaluate.walk_forward:walk_forward",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tradewind' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
