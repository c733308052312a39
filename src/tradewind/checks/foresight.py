"""Foresight: the checks that a strategy cannot know what comes later, neither in its answers nor in what it learns."""

from __future__ import annotations

import copy
from typing import Final

from tradewind import engine
from tradewind.checks import markets
from tradewind.checks.blindfold import Blindfold, demand_untouched
from tradewind.checks.examination import demand, first_difference, show, spread
from tradewind.checks.subject import StrategySubject, ask, difference, same_rows

__all__ = ["batch_equals_stream", "fit_sees_no_future", "future_garbage", "prefix"]

CUTS: Final = 128


def prefix(subject: StrategySubject) -> None:
    """Bars that come later change no answer: a history cut at 128 places and right after gaps gives the first rows of the whole."""
    market = subject.market("prefix")
    strategy = subject.fitted(markets.detached(market[: subject.training]))
    cuts = spread(1, len(market), CUTS + 2, (subject.warmup, *markets.gaps(market), *(g + 1 for g in markets.gaps(market))))
    # The short histories come first and in memory of their own: whatever the strategy keeps, it cannot know a bar after the cut.
    pieces = [(cut, ask(strategy, markets.detached(market[:cut]))) for cut in cuts]
    whole = ask(strategy, market)
    for cut, piece in pieces:
        same_rows(piece, whole[:cut], market, f"while the history ends with bar {cut - 1}", "when later bars are there")


def future_garbage(subject: StrategySubject) -> None:
    """Another future changes no answer: other prices, extreme ones, missing bars, and in one symbol alone, at 128 cuts."""
    market = subject.market("future")
    strategy = subject.fitted(markets.detached(market[: subject.training]))
    random = subject.random("future")
    whole = ask(strategy, market)
    cuts = spread(max(1, subject.warmup - 1), len(market), CUTS, markets.gaps(market))
    for i, cut in enumerate(cuts):
        kind = markets.RUINS[i % len(markets.RUINS)]
        # A short ruined tail shows the same as a long one, and costs less.
        tail = min(len(market), cut + int(random.integers(1, 60)))
        other = ask(strategy, markets.ruined(market[:tail], cut, kind, random))
        same_rows(other[:cut], whole[:cut], market, f"when the bars from {cut} on are replaced ({kind})", "with those of the market")


def batch_equals_stream(subject: StrategySubject) -> None:
    """decide, bar by bar with only the past in memory, gives the rows of decide_all, and leaves its inputs alone."""
    market = subject.market("stream")
    training = markets.detached(market[: subject.training])
    original = markets.detached(training)
    strategy = subject.fitted(training)
    demand_untouched(training, original, "fit")
    blind = engine.walk(Blindfold(copy.deepcopy(strategy)), market)
    whole = markets.detached(market)
    batch = ask(copy.deepcopy(strategy), whole)
    demand_untouched(whole, market, "decide_all")
    wrong = first_difference(blind, batch)
    if wrong is not None:
        where = show(wrong, market.open_time, market.symbols)
        demand(
            False,
            f"for {where} decide answers {blind[wrong]:g} and decide_all {batch[wrong]:g}; both must give what the bars up to "
            "that one give, whatever was asked before and whatever comes after",
            wrong[0],
        )
    # Slices of a market share its memory: one who reaches beyond the view finds the future there.
    seeing = engine.walk(copy.deepcopy(strategy), market)
    same_rows(seeing, blind, market, "when the memory behind the view holds later bars", "when it does not")


def fit_sees_no_future(subject: StrategySubject) -> None:
    """What it learns from a training part does not change with the bars that follow it."""
    market = subject.market("training")
    end = subject.training
    # First with nothing else in memory, then as slices of longer histories with other endings.
    alone = subject.fitted(markets.detached(market[:end]))
    for kind in ("the market's own", *markets.RUINS[:2]):
        longer = market if kind == "the market's own" else markets.ruined(market, end, kind, subject.random(kind))
        fitted = subject.fitted(longer[:end])
        demand(
            fitted.state() == alone.state(),
            f"with {kind} bars after the training part it learns other values of {difference(fitted, alone)}; a fit may use the bars it is "
            f"given and labels known by their end, nothing behind them in memory, and nothing left over from another object",
            end - 1,
        )
        found = engine.walk(copy.deepcopy(fitted), longer, start=end)
        expected = engine.walk(Blindfold(copy.deepcopy(alone)), longer, start=end)
        same_rows(found, expected, longer, "when fit could reach later bars through its input", "when it could not")
