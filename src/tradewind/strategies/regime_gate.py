"""Regime gate: another strategy, held only while the market is in regimes that it is meant for.

Source: regimes as a switch of exposure: Kritzman, Page, Turkington, "Regime shifts: implications for dynamic strategies", Financial
Analysts Journal 68 (2012), https://doi.org/10.2469/faj.v68.n3.3. Costs: those of the member and of the detector, some microseconds a bar.
Fails: a filter knows a regime only some bars after it began, so the gate misses the beginning of every stay and holds on into the next;
where regimes last no longer than that it only adds trades.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, State, Target, Targets, View
from tradewind.regimes.base import RegimeFilter
from tradewind.strategies.base import Strategy
from tradewind.strategies.detecting import Detecting
from tradewind.strategies.paper import Paper, member, positions
from tradewind.strategies.reason import Reason

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["RegimeGate", "gate"]

Open = NDArray[np.bool_]


def gate(probability: Array, before: Open, threshold: float, hysteresis: float) -> Open:
    """(time, symbol) whether the gate is open after each bar, from the probability (time, symbol) of the regimes that open it.

    It opens where the probability is over `threshold` and closes where it is at or under `threshold` - `hysteresis`; between the two, and
    where there is none (NaN), it stays as it was. `before` (symbol,): as it was before the first bar.
    """
    opens = probability > threshold
    told = opens | (probability <= threshold - hysteresis)
    rows = np.where(told, np.arange(len(told))[:, None], -1)
    np.maximum.accumulate(rows, axis=0, out=rows)
    return np.where(rows >= 0, np.take_along_axis(opens, np.maximum(rows, 0), axis=0), before)


@final
class RegimeGate(Strategy):
    """`member` (a name, a name with settings, or a strategy) trades a paper account of its own under `costs`, and what it stands for is
    taken, symbol by symbol, while the gate is open; else nothing is held.

    The gate opens where the filtered probability of `regimes` together exceeds `threshold`, and closes where it is no more than
    `threshold` less `hysteresis`, so that a probability that wavers around the threshold does not trade at every bar. It is closed until
    the detector is warm. `detector`: a name (`tradewind.regimes.detectors()`) with `detector_settings`, or a `RegimeFilter`, of which a
    copy is fitted with the member. `history`: bars that the member's account has lived before the first decision.

    Raises SettingsError for regimes that the detector does not tell; where it finds their names in `fit`, then.
    """

    remembers = True

    remembers = True

    def __init__(
        self,
        member: Any = "momentum",
        regimes: Sequence[str] = ("trending_bull", "trending_bear"),
        threshold: float = 0.5,
        hysteresis: float = 0.1,
        detector: str | RegimeFilter = "rules",
        detector_settings: Mapping[str, Any] | None = None,
        costs: Mapping[str, Any] | None = None,
        history: int = 1000,
        refit_every: int = 1,
    ) -> None:
        require(
            isinstance(regimes, list | tuple) and len(regimes) > 0,
            f"regimes is {regimes!r}; name at least one, such as ('trending_bull',)",
        )
        fraction(zero=True, threshold=threshold)
        require(0 <= hysteresis <= threshold, f"hysteresis is {hysteresis!r}; it is a fraction, at least 0 and at most the threshold")
        whole(refit_every=refit_every)
        self.regimes, self.threshold, self.hysteresis = tuple(regimes), threshold, hysteresis
        self.detector, self.detector_settings = detector, dict(detector_settings or {})
        self._detecting = Detecting(detector, detector_settings, self.regimes)
        self._paper = Paper([_made(member)], costs, history)
        self.member, self.costs, self.history, self.refit_every = self._paper.members[0], self._paper.costs, history, refit_every
        self._set_warmup()
        # Whether the gate was open before the last bar that it has seen, and whether it is after it.
        self._before: Open = np.zeros(0, dtype=np.bool_)
        self._open: Open = np.zeros(0, dtype=np.bool_)

    def fit(self, market: Market) -> Self:
        (self.member,) = self._paper.fit(market)
        self._detecting.fit(market)
        self._set_warmup()
        return self

    def reseed(self, seed: int) -> None:
        self._paper.reseed(seed)

    def decide(self, view: View) -> Target:
        wanted, held = self._paper.decide(view)
        rows, anew = self._detecting.follow(view.market)
        if len(rows):
            closed = np.zeros(len(view.market.symbols), dtype=np.bool_)
            was = closed if anew else self._open
            states = gate(self._probability(rows), was, self.threshold, self.hysteresis)
            self._before, self._open = np.vstack([was, states])[-2:]
        fresh = ~self._before | self._paper.opening
        return Target(_through(self._open, fresh, wanted[0], held[0]))

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`."""
        target = float(self.decide(view).weights[symbol])
        probability = float(self._probability(self._detecting.row[None])[0, symbol])
        words = [
            f"The probability of {', '.join(self.regimes)} is {probability:.1%}."
            if probability == probability
            else "The detector has no answer at this bar, so the gate stays as it was.",
            f"The gate, which opens over {self.threshold:.1%} and closes at {self.threshold - self.hysteresis:.1%}, is "
            f"{'open' if self._open[symbol] else 'closed'}.",
        ]
        if not self._open[symbol]:
            words.append("So nothing is held.")
        elif target == target:
            words.append(f"The member stands for {target:+.4f} of equity on its own account.")
        else:
            words.append("The member keeps what it holds, and so does the gate.")
        return Reason(tuple(words), {"probability": probability, "target": target})

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        first = max(start, self.warmup - 1)
        decided = np.full(market.close.shape, np.nan)
        if first >= len(market):
            return decided
        wanted, held = self._paper.decide_all(market, first)
        closed = np.zeros(len(market.symbols), dtype=np.bool_)
        states = gate(self._probability(self._detecting.all(market)), closed, self.threshold, self.hysteresis)
        fresh = ~np.vstack([closed, states[:-1]])
        fresh[first] = True
        decided[first:] = _through(states, fresh, wanted[0], held[0])[first:]
        return decided

    def state(self) -> State:
        own = State({"class": "RegimeGate", "warmup": self.warmup})
        return own.nest("paper", self._paper.state()).nest("detector", self._detecting.state())

    def restore(self, state: State) -> Self:
        if state.values.get("class") != "RegimeGate":
            raise StateError("this is no state of a regime gate; restore it into what saved it")
        self._detecting.restore(state.child("detector"))
        (self.member,) = self._paper.restore(state.child("paper")).members
        self.warmup = int(state.values["warmup"])
        return self

    def _set_warmup(self) -> None:
        self.warmup = max(self._paper.warmup, self._detecting.warmup)

    def _probability(self, probabilities: Array) -> Array:
        """(time, symbol) of the regimes that open the gate, together; added one by one, so that one row has the bits of many."""
        total = np.zeros(probabilities.shape[:2])
        for regime in self.regimes:
            total = total + probabilities[:, :, self._detecting.names.index(regime)]
        return total


def _made(given: Any) -> Any:
    return member(given, "a regime gate")


def _through(is_open: Open, fresh: Open, wanted: Array, held: Array) -> Array:
    """What the member wants where the gate is open, nothing where it is not. Where it was closed at the bar before, `fresh`, a member that
    keeps is taken at what it holds."""
    return np.where(is_open, np.where(fresh, positions(wanted, held), wanted), 0.0)
