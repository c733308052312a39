"""The command line: `tradewind run`, `backtest`, `train`, `check`, `data`, `report`, and lists of what there is.

Whatever goes wrong on purpose is one line on stderr and exit code 2. Libraries load inside the commands: `tradewind --help` needs none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from tradewind.core.errors import SettingsError, TradewindError

if TYPE_CHECKING:
    from tradewind.core.market import Market
    from tradewind.evaluate.run import RunResult

__all__ = ["main"]

INTERRUPTED: Final = 130
_USAGE: Final = cast(type[Exception], typer.BadParameter.__mro__[2])
"""The root of typer's complaints about the command line, which it does not export by name."""

app = typer.Typer(
    name="tradewind", no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Learn trading strategies from market data, and hear honestly whether they have an edge.",
)  # fmt: skip
data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Bars: fetch, check, query, and the bundled samples.")
app.add_typer(data, name="data")

Files = Annotated[list[str] | None, typer.Option("--data", metavar="FILE", help="Parquet, CSV or feather bars; several files may follow.")]
More = Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="More files, after --data FILE.")]
Repairs = Annotated[list[str] | None, typer.Option("--repair", help="Mend bars: sort, drop-duplicates, drop-invalid, ...; repeatable.")]
Bundled = Annotated[str, typer.Option("--market", help="A bundled market: btc-15m, btc-1d or us-daily.")]
Symbols = Annotated[str | None, typer.Option(help="Some of the symbols, with commas between.")]
Fee = Annotated[float, typer.Option(help="Fee of each fill in basis points.")]
Slippage = Annotated[float, typer.Option(help="How much worse than the open each fill is, in basis points.")]
Latency = Annotated[int, typer.Option(help="Bars between a decision and its fill; at least 1.")]
Seed = Annotated[int, typer.Option(help="Root of all randomness.")]
Window = Annotated[str | None, typer.Option(metavar="BARS|30d", help="Length in bars, or a duration.")]
Moment = Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601, UTC unless it says otherwise.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 (a check failed), 2 (an error, told in one line) or 130 (interrupted)."""
    try:
        code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except _USAGE as error:
        _fail(cast(Any, error).format_message())
    except TradewindError as error:
        _fail(str(error))
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}")
    # Newer typers turn an interrupt into its exit code themselves, and say nothing.
    if code == INTERRUPTED:
        _say("interrupted; the same command takes up what is finished")
    sys.exit(code if isinstance(code, int) else 0)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False) -> None:
    if version:
        from tradewind import __version__

        print(f"tradewind {__version__}")
        raise typer.Exit


@app.command()
def run(
    more: More = None,
    market: Bundled = "btc-15m",
    files: Files = None,
    repair: Repairs = None,
    symbols: Symbols = None,
    strategies: Annotated[str | None, typer.Option(help="Rows, or my_module:Mine, with commas between.")] = None,
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
    manifest: Annotated[str | None, typer.Option("--from", metavar="MANIFEST", help="Do a run again, from its manifest.json.")] = None,
) -> None:
    """Walk every strategy forward over a market and judge each beside buy-and-hold. The same command takes up the same run."""
    from tradewind.evaluate import run as job
    from tradewind.evaluate.display import bars
    from tradewind.evaluate.plan import ROWS, RunSettings

    with bars() as progress:
        if manifest is not None:
            result = job.rerun(manifest, out, data=_files(files, more), jobs=jobs, progress=progress)
        else:
            settings = RunSettings(
                market=market, data=_files(files, more), repair=tuple(repair or ()), symbols=_listed(symbols) or (),
                strategies=_listed(strategies) or ROWS, start=start, end=end, train=_window(train), test=_window(test),
                embargo=_window(embargo), anchored=anchored, fee_bps=fee_bps, slippage_bps=slippage_bps, latency=latency, seed=seed,
                quick=quick,
            )  # fmt: skip
            result = job.run(settings, out, jobs=jobs, fresh=fresh, progress=progress)
    _tell(result)


@app.command()
def report(folder: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, runs/<id>.")]) -> None:
    """Write the report and results of a finished run again, from its folds on disk."""
    from tradewind.evaluate import run as job
    from tradewind.evaluate.display import bars

    with bars() as progress:
        result = job.rerun(Path(folder) / "manifest.json", Path(folder).resolve().parent, fresh=False, progress=progress)
    _tell(result)


@app.command()
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
    from tradewind.evaluate.display import show
    from tradewind.evaluate.recorded import judge_targets
    from tradewind.simulate.costs import Costs

    bars = _bars(market, files, repair)
    result = judge_targets(targets, bars, Costs(fee_bps=fee_bps, slippage_bps=slippage_bps, latency=latency), row)
    show(result.report_rows())
    if page is not None:
        print(f"report: {result.report(page)}")


@app.command()
def train(
    files: Files = None,
    repair: Repairs = None,
    model: Annotated[str, typer.Option(help="A forecaster; `tradewind forecasters` lists them.")] = "price-action-transformer",
    out: Annotated[str, typer.Option(help="Folder for the model, its scaler and its settings.")] = "models/latest",
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the model; repeatable.")] = None,
) -> None:
    """Train one forecaster on bars, judge it on a part that it never saw, and save it."""
    from tradewind.evaluate.display import bars
    from tradewind.models.pipeline import train as pipeline

    settings = dict(_setting(change) for change in changes or ())
    for key in {"model", "out", "progress", "repair", "source"} & settings.keys():
        raise SettingsError(f"--set {key}: is no setting of the model; the flags of `tradewind train --help` say where things go")
    total = int(settings.get("epochs", 0)) if str(settings.get("epochs", 0)).isdigit() else 0
    with bars() as progress:
        done = pipeline(
            files or _bars("btc-15m", None, None), model, out, repair=tuple(repair or ()),
            progress=lambda epoch: progress("epochs", epoch.epoch, max(total, epoch.epoch)), **settings,
        )  # fmt: skip
    print(done.to_text())


@app.command()
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


@app.command()
def strategies() -> None:
    """The strategies by name."""
    from tradewind.strategies.registry import descriptions

    _columns(descriptions())


@app.command()
def forecasters() -> None:
    """The forecasters by name."""
    from tradewind.models import registry

    _columns({name: registry.describe(name) for name in registry.forecasters()})


@app.command()
def features(which: Annotated[str | None, typer.Argument(metavar="SET", help="Only the columns of this set.")] = None) -> None:
    """The columns that models and rules can see; a name may hold another number, such as rsi_9."""
    from tradewind.features import catalog

    lines = [catalog.describe(name) for name in catalog.names(which)]
    print("\n".join([f"sets: {', '.join(catalog.sets())}", *lines]))


@data.command()
def fetch(
    exchange: Annotated[str, typer.Option(help="A ccxt name, such as binance or kraken.")],
    symbols: Annotated[str, typer.Option(help="Such as BTC/USDT,ETH/USDT.")],
    timeframe: Annotated[str, typer.Option(help="Such as 15m, 1h or 1d.")],
    since: Annotated[str, typer.Option(metavar="TIME", help="ISO 8601, UTC unless it says otherwise.")],
    store: Annotated[str, typer.Option(help="Folder of the store; bars that are there are kept.")] = "store",
) -> None:
    """Download closed bars into a store; run it again to continue."""
    from tradewind.core.clock import SystemClock, parse_duration, parse_time
    from tradewind.data import fetch as download
    from tradewind.evaluate.display import bars

    start, step = parse_time(since), parse_duration(timeframe)
    total = max(1, (SystemClock().now() - start) // step)
    with bars() as progress:
        fetched = download(
            exchange, _listed(symbols) or (), timeframe, start, store,
            progress=lambda series: progress(series.symbol, min(total, (series.until - start) // step), total),
        )  # fmt: skip
    print("\n".join(series.to_text() for series in fetched))


@data.command()
def quality(files: Annotated[list[str], typer.Argument(metavar="FILE...")]) -> None:
    """Count what is wrong with the bars in files. Exit code 1 if any file would be refused."""
    from tradewind.data import quality as inspect

    reports = [inspect(file) for file in files]
    for found in reports:
        print(found.to_text())
    if not all(found.ok for found in reports):
        raise typer.Exit(1)


@data.command()
def query(store: Annotated[str, typer.Argument(metavar="STORE")], sql: Annotated[str, typer.Argument(metavar="SQL")]) -> None:
    """Ask a store in SQL; the view is called `bars`."""
    from tradewind.data import Store

    print(Store(store).query(sql))


@data.command()
def sample(
    name: Annotated[str, typer.Argument(help="btc-15m, btc-1d or us-daily.")] = "btc-15m",
    out: Annotated[str | None, typer.Option(metavar="FILE.parquet", help="Write the bars there.")] = None,
) -> None:
    """What a bundled market holds; with --out, a copy of its bars to play with."""
    from tradewind.data import quality as inspect
    from tradewind.data.parquet import write_parquet

    market = _bars(name, None, None)
    print(inspect(market).to_text())
    if out is not None:
        print(f"written: {write_parquet(out, market.to_frame())}")


def _bars(market: str, files: list[str] | None, repair: list[str] | None) -> Market:
    from tradewind.data import read, sample

    return read(files, repair=tuple(repair or ())) if files else sample(market)


def _files(files: list[str] | None, more: list[str] | None) -> tuple[str, ...]:
    if more and not files:
        raise SettingsError(f"{more[0]!r} stands alone; write --data {more[0]} for files, --market {more[0]} for a bundled market")
    return (*(files or ()), *(more or ()))


def _tell(result: RunResult) -> None:
    from tradewind.evaluate.display import show

    show(result.report_rows())
    print(f"report: {result.folder / 'report.html'}")
    for note in result.notes:
        _say(f"note: {note}")
    for name, same in result.identical.items():
        _say(f"{name}: {'equal to the byte' if same else 'NOT equal to that of the manifest'}")


def _listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _window(text: str | None) -> str | int | None:
    return int(text) if text is not None and text.isdigit() else text


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise SettingsError(f"--set {text!r}: write KEY=VALUE, such as epochs=20")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _columns(lines: dict[str, str]) -> None:
    width = max(map(len, lines))
    for name, about in lines.items():
        print(f"{name:<{width}}  {about}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _fail(message: str) -> None:
    _say(f"error: {' '.join(message.split())}")
    sys.exit(2)
