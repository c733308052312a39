"""Commands that try strategies on markets: run, report, backtest, check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradewind.cli.options import (
    Bundled,
    Fee,
    Files,
    Latency,
    Moment,
    More,
    Preset,
    Repairs,
    Seed,
    Slippage,
    Symbols,
    Timeframe,
    Track,
    TrackTo,
    Window,
    best_settings,
    files_of,
    listed,
    read_bars,
    say,
    window,
)

if TYPE_CHECKING:
    from tradewind.evaluate.run import RunResult

__all__ = ["backtest", "check", "report", "run"]


def run(
    more: More = None,
    market: Bundled = "btc-15m",
    files: Files = None,
    repair: Repairs = None,
    symbols: Symbols = None,
    timeframe: Timeframe = None,
    strategies: Annotated[str | None, typer.Option(help="Rows, or my_module:Mine, with commas between.")] = None,
    preset: Preset = None,
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
    tuned: Annotated[
        list[str] | None, typer.Option(metavar="BEST.json", help="Settings that a tuning found, for its row; repeatable.")
    ] = None,
    manifest: Annotated[str | None, typer.Option("--from", metavar="MANIFEST", help="Do a run again, from its manifest.json.")] = None,
    track: Track = False,
    track_to: TrackTo = None,
) -> None:
    """Walk every strategy forward over a market and judge each beside buy-and-hold. The same command takes up the same run."""
    from tradewind.evaluate import run as job
    from tradewind.evaluate.pages.display import bars
    from tradewind.evaluate.plan import RunSettings, rows_of
    from tradewind.serve import tracking

    store = tracking.store(track, track_to, out)
    with bars() as progress:
        if manifest is not None:
            result = job.rerun(manifest, out, data=files_of(files, more), jobs=jobs, progress=progress)
        else:
            settings = RunSettings(
                market=market, data=files_of(files, more), repair=tuple(repair or ()), symbols=listed(symbols) or (), timeframe=timeframe,
                strategies=listed(strategies) or rows_of(preset), start=start, end=end, train=window(train), test=window(test),
                embargo=window(embargo), anchored=anchored, fee_bps=fee_bps, slippage_bps=slippage_bps, latency=latency, seed=seed,
                quick=quick, preset=preset, tuned=dict(best_settings(path) for path in tuned or ()),
            )  # fmt: skip
            result = job.run(settings, out, jobs=jobs, fresh=fresh, progress=progress)
    _tell(result)
    if store is not None:
        print(f"tracked: {tracking.log(tracking.of_run(result), store)}")


def report(folder: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, runs/<id>.")]) -> None:
    """Write the report and results of a finished run again, from its folds on disk."""
    from tradewind.evaluate import run as job
    from tradewind.evaluate.pages.display import bars

    with bars() as progress:
        result = job.rerun(Path(folder) / "manifest.json", Path(folder).resolve().parent, fresh=False, progress=progress)
    _tell(result)


def backtest(
    targets: Annotated[str, typer.Argument(metavar="TARGETS.parquet", help="open_time, symbol, and a column of weights.")],
    files: Files = None,
    repair: Repairs = None,
    market: Bundled = "btc-15m",
    row: Annotated[str | None, typer.Option(help="Which column, where there are several.")] = None,
    fee_bps: Fee = 10.0,
    slippage_bps: Slippage = 2.0,
    latency: Latency = 1,
    page: Annotated[str | None, typer.Option("--report", metavar="FILE.html", help="Also write a report.")] = None,
) -> None:
    """What recorded targets would have earned, judged beside buy-and-hold; it counts as a trial."""
    from tradewind.evaluate.pages.display import show
    from tradewind.evaluate.recorded import judge_targets
    from tradewind.simulate.costs import Costs

    bars = read_bars(market, files, repair)
    result = judge_targets(targets, bars, Costs(fee_bps=fee_bps, slippage_bps=slippage_bps, latency=latency), row)
    show(result.report_rows())
    if page is not None:
        print(f"report: {result.report(page)}")


def check(place: Annotated[str, typer.Argument(metavar="MODULE:NAME", help="A strategy, forecaster or feature of yours.")]) -> None:
    """Prove that a strategy, forecaster or feature does not look ahead, repeats itself, and survives restarts. Exit code 1 if not."""
    from tradewind.checks import load, run_all

    failed = 0
    for result in run_all(load(place)):
        word = "passed" if result.passed else "FAILED"
        print(f"{word}  {result.check}" + (f"  ({result.note})" if result.note else ""), flush=True)
        if not result.passed:
            failed += 1
            print(f"        {result.message}")
    if failed:
        raise typer.Exit(1)


def _tell(result: RunResult) -> None:
    from tradewind.evaluate.pages.display import show

    show(result.report_rows())
    if result.ensemble is not None:
        print(result.ensemble.hindsight())
    print(f"report: {result.folder / 'report.html'}")
    for note in result.notes:
        say(f"note: {note}")
    for name, same in result.identical.items():
        say(f"{name}: {'equal to the byte' if same else 'NOT equal to that of the manifest'}")
