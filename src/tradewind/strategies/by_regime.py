"""By regime: a strategy for each regime, weighted by how probable the regime is.

Source: regime-dependent allocation from filtered probabilities: Ang, Bekaert, "How regimes affect asset allocation", Financial Analysts
Journal 60 (2004), https://doi.org/10.2469/faj.v60.n2.2612. Costs: those of every member, one account each, and the detector.
Fails: it trusts the table of who is good in what. Where that was read off the same history it flatters itself, and where regimes are known
late every change is paid for twice; nothing here learns which member is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.limits import number, whole
from tradewind.core.market import Market
from tradewind.core.settings import choose, require
from tradewind.core.types import Array, State, Target, Targets, View
from tradewind.regimes.base import RegimeFilter
from tradewind.strategies.base import Strategy
from tradewind.strategies.detecting import Detecting
from tradewind.strategies.paper import Paper, member, positions
from tradewind.strategies.reason import Reason

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["ByRegime", "shares"]

DEFAULT: Final = "default"
MEMBERS: Final = {"trending_bull": "momentum", "trending_bear": "momentum", "low_volatility_range": "bollinger-reversal", DEFAULT: "hold"}
BLENDS: Final = {"probability": "weights are the filtered probabilities", "most-probable": "the most probable regime has all the weight"}


def shares(probabilities: Array, serves: tuple[int, ...], members: int, default: int, blend: str) -> Array:
    """(time, symbol, member) how much each member counts, from the probabilities (time, symbol, regime).

    `serves` (regime,): the number of the member that each regime has, -1 for none; then that share is held in cash. Where there are no
    probabilities (NaN), all is the member `default`'s, or cash where that is -1. `blend` is one of BLENDS.
    """
    found = np.zeros((*probabilities.shape[:2], members))
    unknown: NDArray[np.bool_] = np.asarray(np.isnan(probabilities).any(axis=2))
    known = np.where(unknown[:, :, None], 0.0, probabilities)
    if blend == "most-probable":
        known = (known.argmax(axis=2)[:, :, None] == np.arange(len(serves))).astype(np.float64)
    for regime, place in enumerate(serves):
        if place >= 0:
            found[:, :, place] += known[:, :, regime]
    found[unknown] = np.arange(members) == default
    return found


@final
class ByRegime(Strategy):
    """`members`: the strategy of each regime by its name, and under `default` that of all others and of bars without a known regime, which
    are held in cash where there is none. A strategy is a name, a pair of a name and settings, or an object, of which a copy is taken.

    Each member is fitted on all bars and trades a paper account of its own under `costs`, `history` bars before the first decision. What it
    stands for there is weighted, symbol by symbol, by the filtered probability of its regimes (`blend` `probability`), or is all that is
    held while its regime is the most probable (`most-probable`). A position is changed only when the one wanted is at least
    `band` of a full share (equity / number of symbols) away from the one held: probabilities move at every bar. `detector` and
    `detector_settings` are as in `RegimeGate`.

    Raises SettingsError for regimes that the detector does not tell; where it finds their names in `fit`, then.
    """

    remembers = True

    remembers = True

    def __init__(
        self,
        members: Mapping[str, Any] = MEMBERS,
        blend: str = "probability",
        band: float = 0.1,
        detector: str | RegimeFilter = "rules",
        detector_settings: Mapping[str, Any] | None = None,
        costs: Mapping[str, Any] | None = None,
        history: int = 1000,
        refit_every: int = 1,
    ) -> None:
        require(
            isinstance(members, Mapping) and len(members) > 0,
            f"members is {members!r}; give a strategy for each regime, such as {{'trending_bull': 'momentum', 'default': 'hold'}}",
        )
        choose(blend, BLENDS, "blend")
        number(positive=False, band=band)
        whole(refit_every=refit_every)
        self.regimes, self.blend, self.band = tuple(members), blend, band
        self.detector, self.detector_settings = detector, dict(detector_settings or {})
        self._detecting = Detecting(detector, detector_settings, [regime for regime in members if regime != DEFAULT])
        self._paper = Paper([member(each, "a strategy by regime") for each in members.values()], costs, history)
        self.members, self.costs, self.history, self.refit_every = self._paper.members, self._paper.costs, history, refit_every
        self.warmup = max(self._paper.warmup, self._detecting.warmup)

    def fit(self, market: Market) -> Self:
        self.members = self._paper.fit(market)
        self._detecting.fit(market)
        self.warmup = max(self._paper.warmup, self._detecting.warmup)
        return self

    def reseed(self, seed: int) -> None:
        self._paper.reseed(seed)

    def decide(self, view: View) -> Target:
        wanted, held = self._paper.decide(view)
        self._detecting.follow(view.market)
        desired = self._desired(self._detecting.row[None], wanted[:, None], held[:, None], view.market.close[-1:])[0]
        inside = np.abs(desired - view.portfolio.weights) < self.band / len(desired)
        return Target(np.where(inside, np.nan, desired))

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`."""
        target = float(self.decide(view).weights[symbol])
        wanted, held = self._paper.decide(view)
        weights = self._weights(self._detecting.row[None])[0, symbol]
        likely = zip(self._detecting.names, self._detecting.row[symbol].tolist(), strict=True)
        told = ", ".join(f"{name} {p:.1%}" for name, p in sorted(likely, key=lambda pair: -pair[1])[:3])
        known = not np.isnan(self._detecting.row[symbol]).any()
        words = [f"Most probable: {told}." if known else "The detector has no answer at this bar."]
        stands = positions(wanted, held)[:, symbol]
        words += [
            f"The member of {regime} has the share {share:.1%} and stands for {stand:+.4f} of equity."
            for regime, share, stand in zip(self.regimes, weights.tolist(), stands.tolist(), strict=True)
            if share > 0.0
        ]
        now = float(view.portfolio.weights[symbol])
        end = f"That is {target:+.4f} together." if target == target else f"That is too near to what is held, {now:+.4f}: it is kept."
        shares_of = {f"share of {regime}": share for regime, share in zip(self.regimes, weights.tolist(), strict=True)}
        return Reason((*words, end), {**shares_of, "held": now, "target": target})

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        from tradewind.simulate.account import walk_band

        first = max(start, self.warmup - 1)
        desired = np.full(market.close.shape, np.nan)
        if first >= len(market):
            return desired
        wanted, held = (each[:, first:] for each in self._paper.decide_all(market, first))
        desired[first:] = self._desired(self._detecting.all(market)[first:], wanted, held, market.close[first:])
        return walk_band(market, desired, self.band / len(market.symbols), book, start)

    def state(self) -> State:
        own = State({"class": "ByRegime", "warmup": self.warmup, "regimes": list(self.regimes)})
        return own.nest("paper", self._paper.state()).nest("detector", self._detecting.state())

    def restore(self, state: State) -> Self:
        if state.values.get("class") != "ByRegime" or state.values.get("regimes") != list(self.regimes):
            raise StateError(f"this is no state of a strategy by the regimes {list(self.regimes)}; restore it into what saved it")
        self._detecting.restore(state.child("detector"))
        self.members = self._paper.restore(state.child("paper")).members
        self.warmup = int(state.values["warmup"])
        return self

    def _desired(self, probabilities: Array, wanted: Array, held: Array, close: Array) -> Targets:
        """(time, symbol) what the members stand for, (member, time, symbol) twice, weighted; NaN, keep, where a symbol has no bar."""
        weights = self._weights(probabilities)
        stands, desired = positions(wanted, held), np.zeros(close.shape)
        for place in range(len(self.regimes)):
            desired += weights[:, :, place] * stands[place]
        return np.where(np.isnan(close), np.nan, desired)

    def _weights(self, probabilities: Array) -> Array:
        """(time, symbol, member) what each counts."""
        default = self.regimes.index(DEFAULT) if DEFAULT in self.regimes else -1
        serves = tuple(self.regimes.index(regime) if regime in self.regimes else default for regime in self._detecting.names)
        return shares(probabilities, serves, len(self.regimes), default, self.blend)
