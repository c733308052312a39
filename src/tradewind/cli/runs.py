"""Commands for what was done before: runs list, runs compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from tradewind.cli.options import Track, TrackTo

if TYPE_CHECKING:
    from tradewind.serve.runs import Record

__all__ = ["app"]

_HEADS: Final = ("id", "kind", "made (UTC)", "about", "best", "Sharpe", "verdict")

Out = Annotated[str, typer.Option(help="Folder of runs, or of studies.")]
app = typer.Typer(rich_markup_mode=None, help="Earlier runs and tunings: list them, compare two.")


@app.callback(invoke_without_command=True)
def _every(context: typer.Context, out: Out = "runs", track: Track = False, track_to: TrackTo = None) -> None:
    if context.invoked_subcommand is None:
        everything(out, track, track_to)


@app.command("list")
def everything(out: Out = "runs", track: Track = False, track_to: TrackTo = None) -> None:
    """Every finished run of a folder, or with --track of MLflow, the newest first."""
    from tradewind.serve.runs import listing

    _table(_HEADS, listing(_records(out, track, track_to)))


@app.command("compare")
def compare(
    one: Annotated[str, typer.Argument(metavar="A", help="The beginning of an id.")],
    other: Annotated[str, typer.Argument(metavar="B")],
    out: Out = "runs",
    track: Track = False,
    track_to: TrackTo = None,
) -> None:
    """The settings in which two runs differ, and their numbers, side by side."""
    from tradewind.serve import runs

    records = _records(out, track, track_to)
    left, right = runs.chosen(records, one), runs.chosen(records, other)
    _table(("", one, other), runs.compare(left, right))


def _records(out: str, track: bool, track_to: str | None) -> list[Record]:
    from tradewind.serve import runs, tracking

    store = tracking.store(track, track_to, out)
    return runs.found(out) if store is None else runs.tracked(store)


def _table(heads: tuple[str, ...], lines: list[tuple[str, ...]] | list[tuple[str, str, str]]) -> None:
    widths = [max(len(line[column]) for line in (heads, *lines)) for column in range(len(heads))]
    for line in (heads, *lines):
        print("  ".join(f"{word:<{width}}" for word, width in zip(line, widths, strict=True)).rstrip())
