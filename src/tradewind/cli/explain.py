"""The command that says why: explain."""

from __future__ import annotations

from typing import Annotated

import typer

from tradewind.cli.options import say

__all__ = ["explain"]


def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, runs/<id>.")],
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When the bar of the decision opens: ISO 8601, UTC unless it says.")
    ] = None,
    row: Annotated[str | None, typer.Option(help="Which row of the run, where there are several beside hold.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Which symbol, where there are several.")] = None,
    files: Annotated[list[str] | None, typer.Option("--data", metavar="FILE", help="Where the bars are now; repeatable.")] = None,
    repeats: Annotated[int, typer.Option(help="Without --at: shuffles of each input; 0 for none.")] = 10,
    out: Annotated[str | None, typer.Option(metavar="FILE.html", help="Also write a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Why a run decided what it did at a bar; without --at, what a row leant on over all its test parts. Exit code 1 if the decision
    taken again is not the one on record."""
    from tradewind.core.files import canonical_json
    from tradewind.evaluate.explaining import report
    from tradewind.evaluate.explaining.explain import explain as decision
    from tradewind.evaluate.explaining.importance import overview
    from tradewind.evaluate.pages.display import bars

    if at is not None:
        one = decision(run, at, row, symbol, tuple(files or ()))
        title, sections, plain, same = *report.decision_sections(one), one.to_dict(), one.same
    else:
        if symbol is not None:
            say("note: --symbol goes with --at; without it all symbols count")
        with bars() as progress:
            whole = overview(run, row, repeats=repeats, data=tuple(files or ()), progress=progress)
        title, sections, plain, same = *report.overview_sections(whole), whole.to_dict(), True
    print(canonical_json(plain).decode().rstrip() if as_json else report.text(title, sections))
    if out is not None:
        say(f"page: {report.write_page(title, sections, out)}")
    if not same:
        raise typer.Exit(1)
