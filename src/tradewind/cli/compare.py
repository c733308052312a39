"""The command that sets forecasters side by side: compare."""

from __future__ import annotations

from typing import Annotated

import typer

from tradewind.cli.options import (
    Bundled,
    Fee,
    Files,
    Latency,
    Moment,
    More,
    Repairs,
    Seed,
    Slippage,
    Symbols,
    Timeframe,
    Track,
    TrackTo,
    Window,
    files_of,
    listed,
    setting,
    window,
)

__all__ = ["compare"]


def compare(
    more: More = None,
    market: Bundled = "btc-15m",
    files: Files = None,
    repair: Repairs = None,
    symbols: Symbols = None,
    timeframe: Timeframe = None,
    forecasters: Annotated[str | None, typer.Option(help="Rows, with commas between; all that there are by default.")] = None,
    label: Annotated[str, typer.Option(help="next-bar, horizon-return, triple-barrier or multi-horizon.")] = "triple-barrier",
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the label; repeatable.")] = None,
    features: Annotated[str, typer.Option(help="A set of features; `tradewind features` lists them.")] = "relative",
    seeds: Annotated[int, typer.Option(help="How many seeds those get that draw random numbers.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and lighter fits, the same rows.")] = False,
    fee_bps: Fee = 10.0,
    slippage_bps: Slippage = 2.0,
    latency: Latency = 1,
    train: Window = None,
    test: Window = None,
    embargo: Window = None,
    anchored: Annotated[bool, typer.Option("--anchored", help="Train on everything before, not on the last part of it.")] = False,
    start: Moment = None,
    end: Moment = None,
    seed: Seed = 0,
    out: Annotated[str, typer.Option(help="Folder for runs.")] = "runs",
    jobs: Annotated[int, typer.Option(help="Processes; they change the time alone.")] = 2,
    fresh: Annotated[bool, typer.Option("--fresh", help="Fit again what is already there.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    track: Track = False,
    track_to: TrackTo = None,
) -> None:
    """Walk every forecaster forward over a market, score it beside the naive ones, and trade all alike. The same command goes on."""
    from tradewind.evaluate.comparing import compare as job
    from tradewind.evaluate.comparing.plan import CompareSettings
    from tradewind.evaluate.comparing.report import markdown, show
    from tradewind.evaluate.pages.display import bars
    from tradewind.serve import tracking

    store = tracking.store(track, track_to, out)
    with bars() as progress:
        settings = CompareSettings(
            market=market, data=files_of(files, more), repair=tuple(repair or ()), symbols=listed(symbols) or (), timeframe=timeframe,
            forecasters=listed(forecasters) or (), label=label, label_settings=dict(setting(change) for change in changes or ()),
            features=features, seeds=seeds, quick=quick, fee_bps=fee_bps, slippage_bps=slippage_bps, latency=latency, train=window(train),
            test=window(test), embargo=window(embargo), anchored=anchored, start=start, end=end, seed=seed,
        )  # fmt: skip
        result = job.compare(settings, out, jobs=jobs, fresh=fresh, progress=progress)
    if as_markdown:
        print(markdown(result))
    else:
        show(result)
    print(f"page: {result.folder / 'compare.html'}")
    if store is not None:
        print(f"tracked: {tracking.log(tracking.of_comparison(result), store)}")
