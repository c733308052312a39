"""Conduct: the checks that a strategy has the right form, repeats itself, survives a restart and odd markets, and touches nothing else."""

from __future__ import annotations

import copy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from tradewind import engine
from tradewind.checks import markets
from tradewind.checks.blindfold import Blindfold
from tradewind.checks.examination import demand, raised
from tradewind.checks.subject import StrategySubject, ask, difference, same_rows
from tradewind.checks.surroundings import Watch
from tradewind.core.errors import TradewindError
from tradewind.core.files import load_state, save_state
from tradewind.core.market import Market

__all__ = ["contract", "same_answer_twice", "same_seed_same_fit", "save_and_restore", "survives_odd_markets", "touches_nothing_else"]

METHODS: Final = ("fit", "decide", "learn", "state", "restore")


def contract(subject: StrategySubject) -> None:
    """It has the methods and attributes of a strategy, and its answers have the right shape."""
    strategy = subject.copy()
    for name in METHODS:
        demand(
            callable(getattr(strategy, name, None)), f"it has no method {name}; inherit from tradewind.Strategy, which has a sound default"
        )
    warmup = getattr(strategy, "warmup", None)
    demand(isinstance(warmup, int) and warmup >= 1, f"warmup is {warmup!r}; it is a whole number of closed bars, at least 1")
    horizon = getattr(strategy, "horizon", 0)
    demand(isinstance(horizon, int) and horizon >= 0, f"horizon is {horizon!r}; it is a whole number of bars, 0 for none")
    market = subject.market("contract")
    strategy = subject.copy()
    demand(strategy.fit(market[: subject.training]) is strategy, "fit does not return the strategy itself; end it with `return self`")
    demand(isinstance(strategy.warmup, int), f"warmup is {strategy.warmup!r} after fit; it is a whole number of closed bars")
    if hasattr(strategy, "decide_all"):
        _check_shape(strategy, market)
    engine.walk(strategy, market, start=len(market) - 3)


def _check_shape(strategy: Any, market: Market) -> None:
    answer = np.asarray(strategy.decide_all(market))
    demand(
        answer.shape == market.close.shape,
        f"decide_all gives shape {answer.shape}; one weight for each bar and symbol is {market.close.shape}",
    )
    infinite = np.argwhere(np.isinf(answer))
    demand(len(infinite) == 0, "decide_all gives infinite weights", int(infinite[0, 0]) if len(infinite) else None)
    early = np.flatnonzero(~np.isnan(answer[: int(strategy.warmup) - 1]).all(axis=1))
    if len(early):
        bar = int(early[0])
        demand(False, f"decide_all answers at bar {bar}, before its warm-up of {strategy.warmup} bars; those rows are NaN", bar)


def same_answer_twice(subject: StrategySubject) -> None:
    """Asked again, it answers the same; nothing but fit and learn changes it."""
    market = subject.market("twice")
    strategy = subject.fitted(market[: subject.training])
    recent = market[-(subject.warmup + 60) :]
    engine.walk(Blindfold(copy.deepcopy(strategy), asks=3), recent)
    first, second = ask(strategy, market), ask(strategy, market)
    same_rows(second, first, market, "the second time decide_all is asked", "the first time")


def same_seed_same_fit(subject: StrategySubject) -> None:
    """Two fits on the same bars with the same seed learn the same."""
    market = subject.market("fit")
    training = market[: subject.training]
    one, two = subject.fitted(training), subject.fitted(training)
    demand(one.state() == two.state(), f"two fits differ in {difference(one, two)}; draw every random number from the seed of `reseed`")
    same_rows(ask(one, market), ask(two, market), market, "after one fit", "after another on the same bars")


def save_and_restore(subject: StrategySubject) -> None:
    """Saved to disk at a random bar and restored into a new object, it goes on as if nothing had happened."""
    market = subject.market("restart")
    random = subject.random("restart")
    live = subject.fitted(market[: subject.training])
    first = max(subject.warmup, len(market) // 3)
    for stop in sorted(int(bar) for bar in random.integers(first, len(market) - 20, 2)):
        engine.walk(live, market[:stop])
        with tempfile.TemporaryDirectory() as folder:
            save_state(Path(folder) / "state", live.state())
            saved = load_state(Path(folder) / "state")
        reborn = subject.copy()
        demand(reborn.restore(saved) is reborn, "restore does not return the strategy itself; end it with `return self`", stop)
        demand(
            int(reborn.warmup) == int(live.warmup),
            f"the warm-up is {live.warmup} before and {reborn.warmup} after a restart at bar {stop}; it belongs into the state",
            stop,
        )
        demand(reborn.state() == live.state(), f"a restored object has another state: {difference(reborn, live)}", stop)
        expected = engine.walk(copy.deepcopy(live), market, start=stop)
        found = engine.walk(reborn, market, start=stop)
        same_rows(
            found, expected, market, f"after a restart at bar {stop}", "without one; state() lacks something that fit or learn left behind"
        )
        # decide_all is asked from a new object again, since walking may have filled caches that it would find.
        same_rows(ask(subject.copy().restore(saved), market), ask(live, market), market, "by decide_all after a restart", "without one")


def touches_nothing_else(subject: StrategySubject) -> None:
    """fit and decide use their arguments alone: no clock, global random state, environment, file or network."""
    market = subject.market("surroundings")
    training = market[: subject.training]
    recent = market[-(subject.warmup + 24) :]
    module = sys.modules.get(type(subject.pristine).__module__)
    own = str(Path(getattr(module, "__file__", None) or __file__).resolve().parent)
    # A first round outside, so that imports and compilation are over; then the same under watch.
    for watch in (None, Watch(own)):
        strategy = subject.copy()
        if watch is None:
            strategy.fit(training)
            ask(copy.deepcopy(strategy), recent)
            engine.walk(strategy, recent)
            continue
        blindfold = Blindfold(strategy, watch=watch)
        with watch:
            strategy.fit(training)
            watch.compare()
            ask(copy.deepcopy(strategy), recent)
            watch.compare()
            blindfold.warmup = int(strategy.warmup)
            engine.walk(blindfold, recent)
        for touch in watch.touches[:1]:
            demand(False, str(touch), touch.bar)


def survives_odd_markets(subject: StrategySubject) -> None:
    """Flat, short, lonely, unlisted and volume-less markets end in answers or in a clear refusal, never in an exception of another kind."""
    tidy = markets.tidy(subject.bars, subject.seed, "odd")
    strategy = subject.fitted(tidy[: subject.training])
    for name, market in _odd_markets(tidy, subject.warmup).items():
        try:
            twin = subject.fitted(market)
        except TradewindError:
            # A fit may say that there is nothing to learn from; a strategy fitted elsewhere must still answer.
            twin = strategy if len(market.symbols) == len(tidy.symbols) else None
        except Exception as error:  # noqa: BLE001 - reported as the finding that it is
            demand(False, f"fit on {name} {raised(error)}")
        if twin is None:
            continue
        try:
            batch, stream = ask(copy.deepcopy(twin), market), engine.walk(Blindfold(copy.deepcopy(twin)), market)
        except Exception as error:  # noqa: BLE001 - reported as the finding that it is
            demand(False, f"on {name} it {raised(error)}", getattr(error, "bar", None))
        same_rows(stream, batch, market, f"from decide on {name}", "from decide_all")


def _odd_markets(tidy: Market, warmup: int) -> dict[str, Market]:
    """Markets at the edge of what can be, by name."""
    unlisted = {name: getattr(tidy, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for panel in unlisted.values():
        panel[:, 1] = np.nan
    short = slice(0, warmup + 40)
    return {
        "a market that never moves": markets.flat(warmup + 60),
        "a market of one bar": tidy[:1],
        "a market shorter than the warm-up": tidy[: max(1, warmup - 1)],
        "a market of one symbol": tidy.select(tidy.symbols[:1])[short],
        "a market with a symbol that has no bars": replace(tidy, **unlisted)[short],
        "a market without volumes": replace(tidy, volume=np.full_like(tidy.volume, np.nan))[short],
    }
