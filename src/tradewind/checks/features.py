"""What every feature promises, as checks: a row uses the bars up to it, one symbol's; the stream gives what the batch gives."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from tradewind import features
from tradewind.checks import markets
from tradewind.checks.blindfold import demand_untouched
from tradewind.checks.examination import Check, demand, first_difference, raised, show, spread
from tradewind.checks.surroundings import Watch
from tradewind.core.files import load_state, save_state
from tradewind.core.market import Market
from tradewind.core.seeds import generator
from tradewind.core.types import Array, Features

__all__ = ["FEATURE_CHECKS", "FeatureSubject"]

CUTS: Final = 128


@final
class FeatureSubject:
    """A feature, its name, or a list of both under check; `market` replaces the checks' own bars where it is given."""

    def __init__(self, feature: Any, market: Market | None = None, seed: int = 0) -> None:
        several = isinstance(feature, Sequence) and not isinstance(feature, str)
        self.feature: list[Any] = list(feature) if several else [feature]
        self.given, self.seed = market, seed

    @property
    def warmup(self) -> int:
        """The first rows of each symbol that are NaN."""
        return int(self.compute(markets.tidy(2, self.seed)).warmup)

    def market(self, purpose: str) -> Market:
        """An untidy market that nobody has seen before, or the last bars of the user's own."""
        bars = self.warmup + 260
        return markets.untidy(bars, self.seed, purpose) if self.given is None else self.given[-min(bars, len(self.given)) :]

    def compute(self, market: Market) -> Features:
        """The feature over a whole market."""
        return features.compute(market, self.feature)

    def stream(self, market: Market, symbol: int, stream: Any = None) -> Array:
        """(time, feature) what a stream gives for one symbol, fed bar by bar; NaN where the symbol has no bar."""
        stream = features.Stream(self.feature) if stream is None else stream
        rows = np.full((len(market), len(stream.names)), np.nan)
        for t in np.flatnonzero(~np.isnan(market.close[:, symbol])):
            bar = (float(getattr(market, name)[t, symbol]) for name in ("open", "high", "low", "close", "volume"))
            rows[t] = stream.update(int(market.open_time[t]), *bar)
        return rows


def _same_rows(found: Features, expected: Features, rows: int, when: str, otherwise: str) -> None:
    wrong = first_difference(found.values[:rows], expected.values[:rows])
    if wrong is not None:
        where = show(wrong[:2], expected.open_time, expected.symbols)
        a, b = found.values[wrong], expected.values[wrong]
        demand(False, f"{expected.names[wrong[2]]} at {where} is {a:g} {when} and {b:g} {otherwise}", wrong[0])


def _prefix(subject: FeatureSubject) -> None:
    """Bars that come later change no value: a history cut at 128 places and right after gaps gives the first rows of the whole."""
    market = subject.market("prefix")
    cuts = spread(1, len(market), CUTS, (subject.warmup + 1, *markets.gaps(market)))
    pieces = [(cut, subject.compute(markets.detached(market[:cut]))) for cut in cuts]
    whole = subject.compute(market)
    advice = "when later bars are there; look for shift(-1), a centred window, a statistic of the whole sample, or back-filling"
    for cut, piece in pieces:
        _same_rows(piece, whole, cut, f"while the history ends with bar {cut - 1}", advice)


def _future_garbage(subject: FeatureSubject) -> None:
    """Another future changes no value: other prices, extreme ones, missing bars, and in one symbol alone."""
    market = subject.market("future")
    random = generator(subject.seed, "checks", "future")
    whole = subject.compute(market)
    for i, cut in enumerate(spread(1, len(market), CUTS, markets.gaps(market))):
        kind = markets.RUINS[i % len(markets.RUINS)]
        other = subject.compute(markets.ruined(market, cut, kind, random))
        _same_rows(
            other, whole, cut, f"when the bars from {cut} on are replaced ({kind})", "with those of the market; it knows bars after it"
        )


def _symbols_apart(subject: FeatureSubject) -> None:
    """A symbol's values do not change with the bars of the others, and are NaN where it has no bar."""
    market = subject.market("apart")
    together = subject.compute(market)
    for s, symbol in enumerate(market.symbols):
        alone = subject.compute(market.select([symbol]))
        there = ~np.isnan(market.close[:, s])
        wrong = first_difference(together.values[there, s], alone.values[:, 0])
        if wrong is not None:
            bar = int(np.flatnonzero(there)[wrong[0]])
            demand(False, f"{together.names[wrong[1]]} of {symbol} at bar {bar} changes with the bars of other symbols", bar)
        invented = np.flatnonzero(~np.isnan(together.values[~there, s]).all(axis=1))
        bar = int(np.flatnonzero(~there)[invented[0]]) if len(invented) else 0
        demand(len(invented) == 0, f"{symbol} has a value at bar {bar}, where it has no bar; nothing is filled in", bar)


def _batch_equals_stream(subject: FeatureSubject) -> None:
    """Fed bar by bar, the stream gives the rows of the batch."""
    market = subject.market("stream")
    batch = subject.compute(market)
    for s, symbol in enumerate(market.symbols):
        rows = subject.stream(market, s)
        wrong = first_difference(rows, batch.values[:, s])
        if wrong is not None:
            where = show(wrong[:1], market.open_time, ())
            values = f"{rows[wrong]:g} in the stream and {batch.values[wrong[0], s, wrong[1]]:g} in the batch"
            advice = "a value comes from the last warmup + 1 bars of the symbol, or from a state that both keep"
            demand(False, f"{batch.names[wrong[1]]} of {symbol} at {where} is {values}; {advice}", wrong[0])


def _warmup_is_true(subject: FeatureSubject) -> None:
    """On complete bars the first `warmup` rows are NaN and the next one has a number, in every column."""
    warmup = subject.warmup
    found = subject.compute(markets.tidy(warmup + 40, subject.seed, "warm-up"))
    complete = np.flatnonzero(~np.isnan(found.values[:warmup]).any(axis=(1, 2)))
    if len(complete):
        bar = int(complete[0])
        demand(False, f"row {bar} has its values already, but it declares a warm-up of {warmup} bars; those rows are NaN", bar)
    missing = np.argwhere(np.isnan(found.values[warmup]))
    if len(missing):
        symbol, column = (int(i) for i in missing[0])
        name = f"{found.names[column]} of {found.symbols[symbol]}"
        demand(False, f"{name} is NaN in row {warmup}, the first after its warm-up of {warmup} bars; it needs a longer one", warmup)


def _same_answer_twice(subject: FeatureSubject) -> None:
    """Computed again, also after other markets, it is the same; its input stays as it was."""
    market = subject.market("twice")
    original = markets.detached(market)
    first = subject.compute(market)
    subject.compute(markets.flat(subject.warmup + 10))
    demand_untouched(market, original, "it")
    _same_rows(subject.compute(market), first, len(market), "the second time", "the first time")


def _save_and_restore(subject: FeatureSubject) -> None:
    """A stream that is saved to disk at a random bar and restored goes on as if nothing had happened."""
    market = subject.market("restart")
    stop = int(generator(subject.seed, "checks", "restart").integers(subject.warmup // 2, len(market) - 20))
    live = features.Stream(subject.feature)
    subject.stream(market[:stop], 0, live)
    with tempfile.TemporaryDirectory() as folder:
        save_state(Path(folder) / "state", live.state())
        saved = load_state(Path(folder) / "state")
    reborn = features.Stream(subject.feature)
    reborn.restore(saved)
    found, expected = subject.stream(market[stop:], 0, reborn), subject.stream(market[stop:], 0, live)
    wrong = first_difference(found, expected)
    if wrong is not None:
        bar = stop + wrong[0]
        demand(False, f"after a restart at bar {stop} it is {found[wrong]:g} at bar {bar}, without one {expected[wrong]:g}", bar)


def _touches_nothing_else(subject: FeatureSubject) -> None:
    """It uses its arguments alone: no clock, global random state, environment, file or network."""
    market = subject.market("surroundings")
    module = sys.modules.get(str(getattr(subject.feature[0], "__module__", "")))
    own = str(Path(getattr(module, "__file__", None) or __file__).resolve().parent)
    subject.compute(market)
    subject.stream(market, 0)
    with Watch(own) as watch:
        subject.compute(market)
        subject.stream(market, 0)
    for touch in watch.touches[:1]:
        demand(False, str(touch))


def _survives_odd_markets(subject: FeatureSubject) -> None:
    """Flat, short and volume-less markets give numbers or NaN: no infinity and no exception."""
    tidy = markets.tidy(subject.warmup + 40, subject.seed, "odd")
    silent = replace(tidy, volume=np.full_like(tidy.volume, np.nan))
    odd = {
        "a market that never moves": markets.flat(subject.warmup + 40),
        "a market of one bar": tidy[:1],
        "a market without volumes": silent,
    }
    for name, market in odd.items():
        try:
            values = subject.compute(market).values
            streamed = subject.stream(market, 0)
        except Exception as error:  # noqa: BLE001 - reported as the finding that it is
            demand(False, f"on {name} it {raised(error)}")
        infinite = np.argwhere(np.isinf(values))
        demand(len(infinite) == 0, f"on {name} it is infinite", int(infinite[0, 0]) if len(infinite) else None)
        wrong = first_difference(streamed, values[:, 0])
        demand(wrong is None, f"on {name} the stream and the batch disagree", wrong[0] if wrong else None)


FEATURE_CHECKS: Final = tuple(
    Check(function)
    for function in (
        _prefix,
        _future_garbage,
        _symbols_apart,
        _batch_equals_stream,
        _warmup_is_true,
        _same_answer_twice,
        _save_and_restore,
        _touches_nothing_else,
        _survives_odd_markets,
    )
)
