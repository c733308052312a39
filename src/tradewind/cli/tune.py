"""Commands that search settings: tune."""

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
    window,
)

__all__ = ["tune"]


def tune(
    strategy: Annotated[str, typer.Argument(metavar="STRATEGY", help="A strategy by name, or my_module:Mine with an attribute `space`.")],
    more: More = None,
    trials: Annotated[int, typer.Option(help="Trials in all, the untuned settings first.")] = 100,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="When this call stops searching; 0 for never.")] = 3600.0,
    holdout: Annotated[float, typer.Option(help="The last fraction of the bars, which no trial sees.")] = 0.25,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE|LO..HI|A|B", help="Fix a setting or narrow its range; repeatable.")
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="The study's folder in --out; the same one is continued.")] = None,
    market: Bundled = "btc-15m",
    files: Files = None,
    repair: Repairs = None,
    symbols: Symbols = None,
    timeframe: Timeframe = None,
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
    out: Annotated[str, typer.Option(help="Folder for studies.")] = "tuning",
    jobs: Annotated[int, typer.Option(help="Processes; with one, equal seeds give equal trials.")] = 1,
    track: Track = False,
    track_to: TrackTo = None,
) -> None:
    """Search a strategy's settings on the earlier bars, and judge the best on bars that no trial saw. The same command continues."""
    from tradewind.evaluate.pages.display import bars, show
    from tradewind.evaluate.plan import RunSettings, load_market
    from tradewind.evaluate.tuning.search import read_change
    from tradewind.evaluate.tuning.tune import tune as job
    from tradewind.serve import tracking

    store = tracking.store(track, track_to, out)
    asked = RunSettings(
        market=market, data=files_of(files, more), repair=tuple(repair or ()), symbols=listed(symbols) or (), timeframe=timeframe,
        strategies=(strategy,), start=start, end=end, fee_bps=fee_bps, slippage_bps=slippage_bps, latency=latency, seed=seed,
    )  # fmt: skip
    with bars() as progress:
        tuned = job(
            strategy, load_market(asked), search=dict(read_change(change) for change in changes or ()), trials=trials, timeout=timeout,
            holdout=holdout, train=window(train), test=window(test), embargo=window(embargo), anchored=anchored, costs=asked.costs,
            seed=seed, out=out, study=study, jobs=jobs, progress=progress,
        )  # fmt: skip
    print(tuned.to_text())
    print("the bars where it was chosen:")
    show(tuned.rows(tuned.tuning))
    print("the bars that no trial saw:")
    show(tuned.rows(tuned.holdout))
    print(f"settings: {tuned.folder / 'best.json'}\nreport: {tuned.folder / 'report.html'}")
    if store is not None:
        print(f"tracked: {tracking.log(tracking.of_tuned(tuned), store)}")
