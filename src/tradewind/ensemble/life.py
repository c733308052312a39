"""`Life`: an ensemble at work, bar by bar: its members in their paper accounts, the watch over the regime, and the combiner.

One bar in, one decision out: the members live through the bar, the regime is told anew, the combiner learns from what the members earned
and then decides. Costs the members' decisions, one update of the regime a symbol, and one step of the combiner. Fails to be cheap to open
in the middle of a long history: the members live through the bars before the first decision, and the watch over the regime sees all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Self, final

import numpy as np

from tradewind.core.errors import StateError
from tradewind.core.market import Market
from tradewind.core.protocols import Strategy as StrategyLike
from tradewind.core.types import Array, State
from tradewind.ensemble.combine import last_closes, overall
from tradewind.ensemble.combiner import Combiner, Decision, Evidence
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.members import Answer, Deadline, Member
from tradewind.regimes.base import RegimeFilter, Watch
from tradewind.simulate.costs import Costs

__all__ = ["Life"]


@final
class Life:
    """`strategies` by name, fitted, each as a member under `costs`; `regimes` tells the regime, None goes without. `symbols` and
    `periods_per_year` are the market's."""

    def __init__(
        self,
        config: EnsembleConfig,
        strategies: Mapping[str, StrategyLike],
        symbols: tuple[str, ...],
        periods_per_year: float,
        costs: Costs,
        regimes: RegimeFilter | None,
    ) -> None:
        self.symbols, self.periods_per_year = symbols, periods_per_year
        self.members = tuple(Member(each, costs, config.quarantine_bars) for each in strategies.values())
        self.combiner = Combiner(config, tuple(strategies), symbols, () if regimes is None else regimes.names, periods_per_year, costs)
        self.decision: Decision | None = None
        self._filter = regimes
        self._watch: Watch | None = None if regimes is None else regimes.watch(symbols)

    def through(self, market: Market, begin: int, first: int) -> list[Decision]:
        """The decisions at bars `first` and later; the members live from bar `begin` on, before which all is history.

        The fast way: it leaves the watch where it was, so that `step` cannot go on from here.
        """
        decided = [self.combiner.step(each) for each in self.evidence(market, begin, first)]
        self.decision = decided[-1] if decided else None
        return decided

    def evidence(self, market: Market, begin: int, first: int) -> list[Evidence]:
        """What the combiner is told at bars `first` and later; the members live from bar `begin` on, as in `through`."""
        tracks = [member.live(market, begin) for member in self.members]
        told = np.empty((len(market), 0)) if self._filter is None else overall(self._filter.filter(market).probabilities)
        moved = market.close[begin:] / last_closes(market.close[begin:]) - 1.0
        return [_evidence([track[t - begin] for track in tracks], told[t], moved[t - begin]) for t in range(first, len(market))]

    def open(self, market: Market, begin: int) -> None:
        """Take in the bars before the first decision, all of `market`; the members live from bar `begin` on."""
        for member in self.members:
            member.live(market, begin)
        if self._watch is not None:
            for t in range(len(market)):
                self._watch.update(market[t : t + 1])

    def step(self, market: Market, deadline: Deadline | None = None) -> Decision:
        """Live through the last bar of `market`, which follows those lived through before, and decide at its close."""
        bar = len(market) - 1
        moved = market.close[bar] / self.closes - 1.0
        answers = [member.step(market, deadline) for member in self.members]
        regime = np.empty(0) if self._watch is None else overall(self._watch.update(market[bar:])[None])[0]
        self.decision = self.combiner.step(_evidence(answers, regime, moved))
        return self.decision

    @property
    def closes(self) -> Array:
        """(symbol,) the last close of each that the members lived through, NaN before its first."""
        return self.members[0].closes(len(self.symbols))

    def state(self) -> State:
        """Everything that goes on changing."""
        values = {"symbols": list(self.symbols), "members": len(self.members), "periods_per_year": self.periods_per_year}
        own = State(values).nest("combiner", self.combiner.state())
        own = own if self._watch is None else own.nest("watch", self._watch.state())
        own = own if self.decision is None else own.nest("decision", _packed(self.decision))
        for number, member in enumerate(self.members):
            own = own.nest(f"member{number}", member.state())
        return own

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError when it is of other members or symbols, or knows of a regime where this does not."""
        if state.values.get("members") != len(self.members) or tuple(state.values.get("symbols", ())) != self.symbols:
            raise StateError(f"this is no life of {len(self.members)} members on {list(self.symbols)}: {sorted(state.values)}")
        if ("watch" in state.values) != (self._watch is not None):
            raise StateError("the state and the ensemble differ in whether there is a watch over the regime; restore it under its settings")
        self.combiner.restore(state.child("combiner"))
        if self._watch is not None:
            self._watch.restore(state.child("watch"))
        self.decision = _unpacked(state.child("decision")) if "decision" in state.values else None
        for number, member in enumerate(self.members):
            member.restore(state.child(f"member{number}"))
        return self


def _evidence(answers: Sequence[Answer], regime: Array, moved: Array) -> Evidence:
    return Evidence(
        np.array([each.earned for each in answers]), np.array([each.wanted for each in answers]),
        np.array([each.held for each in answers]), np.array([each.awake for each in answers]), regime, moved,
    )  # fmt: skip


def _packed(decision: Decision) -> State:
    found = {field.name: getattr(decision, field.name) for field in fields(decision)}
    arrays = {name: value.copy() for name, value in found.items() if isinstance(value, np.ndarray)}
    return State({name: value for name, value in found.items() if name not in arrays}, arrays)


def _unpacked(state: State) -> Decision:
    found: dict[str, Any] = {**state.values, **{name: array.copy() for name, array in state.arrays.items()}}
    return Decision(**found)
