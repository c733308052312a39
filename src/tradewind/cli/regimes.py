"""The command that tells the regime of a market: regimes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradewind.cli.options import Bundled, Files, More, Repairs, Symbols, Timeframe, files_of, listed, read_bars, say, setting, window

if TYPE_CHECKING:
    from tradewind.evaluate.regime_reading import RegimeReading

__all__ = ["regimes"]


def regimes(
    files: Files = None,
    more: More = None,
    repair: Repairs = None,
    market: Bundled = "btc-15m",
    symbols: Symbols = None,
    timeframe: Timeframe = None,
    detector: Annotated[str, typer.Option(help="Who tells: rules, hmm, jump, bocpd, or my_module:make.")] = "rules",
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the detector; repeatable.")] = None,
    timeframes: Annotated[
        str | None, typer.Option(metavar="1h,4h", help="Slower timeframes to read beside the market's own, ascending.")
    ] = None,
    train: Annotated[float, typer.Option(help="The part of the bars, at the front, that a detector which learns is fitted on.")] = 0.5,
    last: Annotated[str | None, typer.Option(metavar="BARS|30d", help="Show only the last bars, or the last days.")] = None,
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for the page, regimes.html.")] = "regimes",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """The regime of each symbol now, since when and how surely; how long regimes last; and a page of prices with regimes behind them."""
    from tradewind.core.files import canonical_json
    from tradewind.data.resampling import resample
    from tradewind.evaluate.pages import regime_charts
    from tradewind.evaluate.pages.display import bars
    from tradewind.evaluate.regime_reading import read

    given = read_bars(market, list(files_of(files, more)), repair)
    chosen = listed(symbols)
    given = given if chosen is None else given.select(chosen)
    given = given if timeframe in (None, given.timeframe) else resample(given, timeframe)
    length = window(last)
    shown = None if length is None else given.bars(length)
    with bars() as progress:
        reading = read(given, detector, dict(setting(change) for change in changes or ()), listed(timeframes) or (), train, shown, progress)
    print(canonical_json(reading.to_dict()).decode().rstrip() if as_json else _text(reading))
    say(f"page: {regime_charts.write(reading, Path(out) / 'regimes.html')}")


def _text(reading: RegimeReading) -> str:
    """A paragraph for each symbol: the regime now, then a line for each regime."""
    from tradewind.core.clock import format_time
    from tradewind.evaluate.pages.report import percent

    market, lines = reading.market, []
    learned = f", fitted on {reading.fitted_on} bars before them" if reading.fitted_on else ""
    lines.append(f"{len(market)} bars of {market.timeframe} by {reading.detector}{learned}")
    told = reading.to_dict()["symbols"]
    for symbol in market.symbols:
        info = reading.now.get(symbol)
        if info is None:
            lines.append(f"\n{symbol}: no regime yet")
            continue
        state = ", stable" if info.stable else ", alert" if info.alert else ""
        agreement = told[symbol]["agreement"]
        agreed = (
            "" if agreement is None else f"; agreement of {', '.join(reading.cross.timeframes if reading.cross else ())}: {agreement:.2f}"
        )
        lines.append(
            f"\n{symbol}: {info.current_regime} ({percent(info.probabilities[info.current_regime], 0)}) since {format_time(info.since)}, "
            f"{info.bars} bars; stability {info.regime_stability:.2f}{state}{agreed}"
        )
        width = max(map(len, reading.regimes.names))
        lines.append(f"  {'':<{width}}     now   share  spells  mean spell  longest")
        lines += [
            f"  {stay.regime:<{width}}  {percent(info.probabilities[stay.regime]):>6}  {percent(stay.share):>6}  {stay.spells:>6}  "
            f"{stay.mean_spell:>10.1f}  {stay.longest:>7}"
            for stay in reading.stays[symbol]
        ]
    return "\n".join(lines)
