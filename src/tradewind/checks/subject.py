"""`StrategySubject`: a strategy under check, the markets that it is asked on, and the ways to ask it."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any, Final, final

import numpy as np

from tradewind import engine
from tradewind.checks import markets
from tradewind.checks.examination import demand, first_difference, show
from tradewind.core.market import Market
from tradewind.core.seeds import derive, generator
from tradewind.core.types import Targets

__all__ = ["LOOK_AHEAD", "StrategySubject", "ask", "difference", "same_rows"]

TRAINING: Final = 260
"""Bars beyond the warm-up that a check's training part has, so that learners have something to learn from."""
TESTING: Final = 150
LOOK_AHEAD: Final = (
    "it knows bars after it; look for shift(-1), a centred window, a statistic or rank of the whole sample, back-filling, "
    "a slower timeframe joined on open time, the future of another symbol, or the memory behind a slice"
)


@final
class StrategySubject:
    """A strategy under check: `pristine` is never fitted or asked, `market` replaces the checks' own bars where it is given."""

    def __init__(self, pristine: Any, market: Market | None = None, seed: int = 0) -> None:
        self.pristine, self.given, self.seed = pristine, market, seed

    def copy(self) -> Any:
        """The strategy as it was handed over, seeded."""
        twin = copy.deepcopy(self.pristine)
        if hasattr(twin, "reseed"):
            twin.reseed(derive(self.seed, "checks"))
        return twin

    def fitted(self, training: Market) -> Any:
        """A copy of the strategy, fitted."""
        twin = self.copy()
        twin.fit(training)
        return twin

    @cached_property
    def warmup(self) -> int:
        """What the strategy declares once it is fitted: some know it only when they have seen the timeframe."""
        return int(self.fitted(self.market("warm-up", 400)).warmup)

    @cached_property
    def bars(self) -> int:
        """The length of the markets that it is asked on."""
        return self.warmup + TRAINING + TESTING

    @property
    def training(self) -> int:
        """How many of the bars it is fitted on."""
        return self.warmup + TRAINING

    def market(self, purpose: str, bars: int | None = None) -> Market:
        """An untidy market that nobody has seen before, or the last bars of the user's own."""
        wanted = self.bars if bars is None else bars
        if self.given is None:
            return markets.untidy(wanted, self.seed, purpose)
        return self.given[-min(wanted, len(self.given)) :]

    def random(self, purpose: str) -> np.random.Generator:
        """Random numbers for a check."""
        return generator(self.seed, "checks", purpose)


def ask(strategy: Any, market: Market) -> Targets:
    """The fast answers for every bar; what a learning strategy learns while it is asked is forgotten again."""
    return engine.targets(copy.deepcopy(strategy) if getattr(strategy, "horizon", 0) else strategy, market)


def same_rows(found: Targets, expected: Targets, market: Market, when: str, otherwise: str) -> None:
    """Break the promise unless two answers agree; `when` and `otherwise` end the sentence about the first that do not."""
    wrong = first_difference(found, expected)
    if wrong is not None:
        where = show(wrong, market.open_time, market.symbols)
        demand(False, f"the answer for {where} is {found[wrong]:g} {when} and {expected[wrong]:g} {otherwise}: {LOOK_AHEAD}", wrong[0])


def difference(one: Any, two: Any) -> str:
    """The names of what two strategies hold different values of."""
    a, b = one.state(), two.state()
    names = sorted(name for name in {*a.values, *b.values} if a.values.get(name) != b.values.get(name))
    for name in sorted({*a.arrays, *b.arrays}):
        left, right = a.arrays.get(name), b.arrays.get(name)
        if left is None or right is None or left.shape != right.shape or left.tobytes() != right.tobytes():
            names.append(name)
    return ", ".join(repr(name) for name in names[:5]) or "what is not in its state"
