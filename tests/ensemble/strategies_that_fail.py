"""Strategies that fail in every way in which a member can: at chosen bars, counted from the beginning of the view."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

import tradewind as tw
from tradewind.core.types import Outcome, State, Target, View


def steady(view: View) -> Target:
    """A weight that changes its side every 20 bars, so that the account trades."""
    symbols = len(view.market.symbols)
    return Target(np.full(symbols, (1.0 if (len(view.market) // 20) % 2 else -0.5) / symbols))


class Broken(tw.Strategy):
    """Raises at some bars."""

    def __init__(self, at: Iterable[int] = (), error: Exception | None = None) -> None:
        self.at, self._error = list(at), error or ValueError("something is broken")

    def decide(self, view: View) -> Target:
        if len(view.market) - 1 in self.at:
            raise self._error
        return steady(view)


class Crooked(Broken):
    """Answers with one weight too many at some bars."""

    def decide(self, view: View) -> Target:
        return Target(np.zeros(len(view.market.symbols) + 1)) if len(view.market) - 1 in self.at else steady(view)


class Wild(Broken):
    """Wants an infinite weight at some bars."""

    def decide(self, view: View) -> Target:
        return Target(np.full(len(view.market.symbols), np.inf)) if len(view.market) - 1 in self.at else steady(view)


class Faller(tw.Strategy):
    """Says nothing before bar `after`, then wants to be short and keeps that."""

    def __init__(self, after: int = 30) -> None:
        self.after = after

    def decide(self, view: View) -> Target:
        symbols = len(view.market.symbols)
        return Target(np.full(symbols, -1.0 / symbols if len(view.market) - 1 == self.after else np.nan))


class Taught(tw.Strategy):
    """Learns from outcomes three bars later: holds more after it was told of a gain. Raises at some bars."""

    horizon = 3

    def __init__(self, at: Iterable[int] = ()) -> None:
        self.at, self.level, self.told = list(at), 0.1, []

    def learn(self, outcome: Outcome) -> None:
        self.told.append((outcome.asked, outcome.known, outcome.returns, outcome.weights))
        gained = float(np.nansum(outcome.returns * outcome.weights))
        self.level = float(np.clip(self.level + np.sign(gained) * 0.05, -1.0, 1.0))

    def decide(self, view: View) -> Target:
        if len(view.market) - 1 in self.at:
            raise ValueError("not now")
        return Target(np.full(len(view.market.symbols), self.level / 2))

    def state(self) -> State:
        return State({"level": self.level})

    def restore(self, state: State) -> Taught:
        self.level = float(state.values["level"])
        return self
