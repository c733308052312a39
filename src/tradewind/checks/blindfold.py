"""`Blindfold`: a strategy as the engine would ask it, with nothing but the past within reach and somebody watching."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import numpy as np

from tradewind.checks.examination import Broken, demand, raised, same, show
from tradewind.checks.markets import detached
from tradewind.checks.surroundings import Watch
from tradewind.core.market import FIELDS, Market
from tradewind.core.types import Outcome, Target, View

__all__ = ["Blindfold", "demand_untouched"]


def demand_untouched(market: Market, original: Market, during: str) -> None:
    """Break the promise unless `market` still holds what `original` holds."""
    for name in ("open_time", "known", *FIELDS):
        now, then = getattr(market, name), getattr(original, name)
        changed = np.argwhere(~((now == then) | (np.isnan(now) & np.isnan(then))))
        if len(changed):
            index = tuple(int(i) for i in changed[0])
            where = show(index, original.open_time, original.symbols)
            raise Broken(f"{during} changed {name} of {where} in its input; work on a copy", index[0])


@final
class Blindfold:
    """Passes every question on to `strategy` with bars in memory of their own, which end at the bar being decided.

    `asks`: how often each question is put; the answers must agree. `watch` hears which bar is being decided.
    """

    def __init__(self, strategy: Any, asks: int = 1, watch: Watch | None = None) -> None:
        self.strategy, self.asks, self.watch = strategy, asks, watch
        self.warmup = int(strategy.warmup)
        self.horizon = int(getattr(strategy, "horizon", 0))

    def learn(self, outcome: Outcome) -> None:
        """Pass an outcome on."""
        self.strategy.learn(outcome)

    def decide(self, view: View) -> Target:
        """Pass a question on, and look at what the strategy did with it."""
        bar = len(view.market) - 1
        if self.watch is not None:
            self.watch.bar = bar
        answers: list[Target] = []
        for _ in range(self.asks):
            market = view.market if self.watch is not None else detached(view.market)
            try:
                answers.append(self.strategy.decide(replace(view, market=market)))
            except Exception as error:
                raise Broken(f"decide {raised(error)} at {show((bar,), view.market.open_time, ())}", bar) from error
            if self.watch is None:
                demand_untouched(market, view.market, "decide")
            else:
                self.watch.compare()
        for answer in answers[1:]:
            agree = same(answer.weights, answers[0].weights).all()
            demand(
                bool(agree),
                f"decide answers {answers[0].weights.tolist()} and then {answer.weights.tolist()} to the same question at "
                f"{show((bar,), view.market.open_time, ())}; an answer depends on the view and on what fit and learn were given, "
                "not on how often it was asked",
                bar,
            )
        return answers[0]
