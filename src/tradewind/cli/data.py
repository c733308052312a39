"""Commands for bars: fetch, quality, query, sample."""

from __future__ import annotations

from typing import Annotated

import typer

from tradewind.cli.options import listed, read_bars

__all__ = ["fetch", "quality", "query", "sample"]


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
    from tradewind.evaluate.pages.display import bars

    start, step = parse_time(since), parse_duration(timeframe)
    total = max(1, (SystemClock().now() - start) // step)
    with bars() as progress:
        fetched = download(
            exchange, listed(symbols) or (), timeframe, start, store,
            progress=lambda series: progress(series.symbol, min(total, (series.until - start) // step), total),
        )  # fmt: skip
    print("\n".join(series.to_text() for series in fetched))


def quality(files: Annotated[list[str], typer.Argument(metavar="FILE...")]) -> None:
    """Count what is wrong with the bars in files. Exit code 1 if any file would be refused."""
    from tradewind.data import quality as inspect

    reports = [inspect(file) for file in files]
    for found in reports:
        print(found.to_text())
    if not all(found.ok for found in reports):
        raise typer.Exit(1)


def query(store: Annotated[str, typer.Argument(metavar="STORE")], sql: Annotated[str, typer.Argument(metavar="SQL")]) -> None:
    """Ask a store in SQL; the view is called `bars`."""
    from tradewind.data import Store

    print(Store(store).query(sql))


def sample(
    name: Annotated[str, typer.Argument(help="btc-15m, btc-1d or us-daily.")] = "btc-15m",
    out: Annotated[str | None, typer.Option(metavar="FILE.parquet", help="Write the bars there.")] = None,
) -> None:
    """What a bundled market holds; with --out, a copy of its bars to play with."""
    from tradewind.data import quality as inspect
    from tradewind.data.parquet import write_parquet

    market = read_bars(name, None, None)
    print(inspect(market).to_text())
    if out is not None:
        print(f"written: {write_parquet(out, market.to_frame())}")
