"""Merit: the checks that a strategy's warm-up is true, that it finds an edge where one was planted, and none where there is none."""

from __future__ import annotations

import copy
from typing import Final

import numpy as np

from tradewind import engine
from tradewind.checks import markets
from tradewind.checks.examination import Passed, demand
from tradewind.checks.subject import TRAINING, StrategySubject, ask
from tradewind.core.market import Market
from tradewind.simulate.costs import Costs

__all__ = ["finds_a_planted_edge", "honest_on_noise", "warmup_is_true"]

BARS: Final = {"momentum": 1500, "reversal": 5000, "waves": 1500, "slow momentum": 6000}
"""Training and test bars of each planted market: long enough that the rules of the house saw the edge on each of 30 seeds."""


def warmup_is_true(subject: StrategySubject) -> None:
    """With exactly `warmup` complete bars it answers: at one time of day and week at least, for those that decide now and then."""
    length, weeks = subject.warmup, 170
    market = markets.tidy(length + max(weeks, TRAINING), subject.seed, "warm-up")
    strategy = subject.fitted(market)
    demand(
        int(strategy.warmup) == length,
        f"the warm-up is {length} after one fit and {strategy.warmup} after another on the same timeframe; it may not depend on prices",
    )
    for offset in range(weeks):
        if not np.isnan(ask(strategy, market[offset : offset + length])[-1]).all():
            return
    whole = ~np.isnan(ask(strategy, market)).all(axis=1)
    first = int(np.argmax(whole)) if whole.any() else None
    demand(
        False,
        f"it declares a warm-up of {length} bars and answers NaN with them; its first answer is at bar {first}, so warmup is more",
        first,
    )


def finds_a_planted_edge(subject: StrategySubject) -> None:
    """On markets with a strong edge that past prices show it earns, without costs; skipped for objects with `benchmark = True`."""
    if getattr(subject.pristine, "benchmark", False):
        raise Passed("it is a benchmark and claims no edge")
    found = {}
    for kind in markets.PLANTED:
        bars = max(BARS[kind], 3 * subject.warmup)
        found[kind] = _earnings(subject, markets.planted(kind, subject.warmup + 2 * bars, subject.seed), bars)
        if found[kind] > 3:
            return
    told = ", ".join(f"{kind} {t:.1f}" for kind, t in found.items())
    demand(False, f"it earns on no planted market (t-values: {told}); mend it, or set `benchmark = True` where it looks for something else")


def honest_on_noise(subject: StrategySubject) -> None:
    """On fair games it neither wins nor loses more than chance allows: a look-ahead alarm that knows nothing of how one looks ahead."""
    bars = max(1500, 2 * subject.warmup)
    market = markets.noise(subject.warmup + 2 * bars, subject.seed)
    t = _earnings(subject, market, bars)
    demand(abs(t) < 5, f"without costs its mean return on noise has a t-value of {t:.1f}; nobody can earn there without knowing the future")


def _earnings(subject: StrategySubject, market: Market, training: int) -> float:
    """The t-value of the mean return, free of costs, over the bars that follow a fit on the first ones; 0 when it never trades."""
    start = subject.warmup + training
    strategy = subject.fitted(market[:start])
    wanted = engine.targets(copy.deepcopy(strategy) if getattr(strategy, "horizon", 0) else strategy, market, start=start)
    returns = engine.backtest(wanted, market, Costs.zero()).returns[start:]
    deviation = float(np.std(returns))
    return float(np.mean(returns)) / deviation * np.sqrt(len(returns)) if deviation > 0 else 0.0
