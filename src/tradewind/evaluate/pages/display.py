"""What a run looks like in a terminal: a progress bar for each row, and the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tradewind.evaluate.pages.report import Row, headline, number, percent, share

__all__ = ["bars", "show"]

WIDTH: Final = 140


@contextmanager
def bars(console: Console | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """A function to call with (name, done, total) as work goes on; in a terminal bars are drawn on stderr and taken away at the end."""
    columns = (TextColumn("{task.description:<26}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = console or Console(stderr=True)
    drawn = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}

    def told(name: str, done: int, total: int) -> None:
        # Nothing is drawn before there is something to tell, so an error at once stays the only line.
        drawn.start()
        if name not in tasks:
            tasks[name] = drawn.add_task(name, total=total)
        drawn.update(tasks[name], completed=done, total=total)

    try:
        yield told
    finally:
        if tasks:
            drawn.stop()


def show(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print the table of `rows`, hold first, and the verdict in a sentence."""
    # Cut numbers are worse than wrapped lines: the table keeps its width in a narrow terminal and in a pipe.
    console = console or Console(width=max(WIDTH, Console().width))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("net return", "Sharpe", "90 % interval", "drawdown", "turnover/y", "cost share", "deflated", "verdict", "refits"):
        table.add_column(name, justify="left" if name in ("verdict", "refits") else "right", no_wrap=True)
    for row in rows:
        m = row.metrics
        deflated = math.nan if row.verdict is None else row.verdict.numbers.get("deflated_sharpe", math.nan)
        table.add_row(
            row.name, percent(m["net_return"]), number(m["sharpe"]), f"{number(m['sharpe_low'])} to {number(m['sharpe_high'])}",
            percent(m["max_drawdown"]), f"{number(m['turnover'], 1)}", share(m["cost_share"]), number(deflated, 3),
            "" if row.verdict is None else row.verdict.label, row.refits,
        )  # fmt: skip
    console.print(table)
    console.print(headline(rows))
