"""The contracts. Anything with these methods plugs in; inheriting is a convenience (`tradewind.Strategy`, `tradewind.Forecaster`)."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from tradewind.core.market import Market
from tradewind.core.types import Features, Forecast, Labels, Outcome, State, Target, Targets, View

__all__ = ["Forecaster", "Strategy"]


@runtime_checkable
class Forecaster(Protocol):
    """Learns y from X. `predict` answers row t from rows <= t alone.

    One that goes on learning after `fit` may have `memory` and `follow(X, y)` besides; see `tradewind.Forecaster`.
    """

    def fit(self, X: Features, y: Labels) -> Self: ...

    def predict(self, X: Features) -> Forecast: ...

    def state(self) -> State: ...

    def restore(self, state: State) -> Self: ...


@runtime_checkable
class Strategy(Protocol):
    """Says what it wants to hold, not what to order.

    `warmup`: closed bars needed before the first decision. `decide` answers for the last bar of `view.market`; `decide_all` gives the
    same answers for every bar of a history, NaN before `warmup`. `decide_all` may also take `book`, see `tradewind.engine.targets`.
    """

    warmup: int

    def fit(self, market: Market) -> Self: ...

    def decide(self, view: View) -> Target: ...

    def decide_all(self, market: Market) -> Targets: ...

    def learn(self, outcome: Outcome) -> None: ...

    def state(self) -> State: ...

    def restore(self, state: State) -> Self: ...
