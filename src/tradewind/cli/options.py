"""What every command shares: the flags that mean the same everywhere, and how their words are read."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradewind.core.errors import Corrupt, SettingsError

if TYPE_CHECKING:
    from tradewind.core.market import Market

__all__ = [
    "Bundled", "Fee", "Files", "Latency", "Moment", "More", "Preset", "Repairs", "Seed", "Slippage", "Symbols", "Timeframe", "Track",
    "TrackTo", "Window",
    "best_settings", "fail", "files_of", "listed", "print_columns", "read_bars", "say", "setting", "window",
]  # fmt: skip

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
Timeframe = Annotated[str | None, typer.Option(metavar="1h|4h|1d", help="Slower bars, made of those read.")]
Track = Annotated[bool, typer.Option("--track", help="Keep a record in MLflow, in mlruns.db of the --out folder.")]
TrackTo = Annotated[
    str | None, typer.Option("--track-to", metavar="URI", help="Keep it in another MLflow store, such as sqlite:///mine.db.")
]
Preset = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of the row ensemble: conservative, balanced, aggressive, research or custom; balanced by default."),
]
Moment = Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601, UTC unless it says otherwise.")]


def read_bars(market: str, files: list[str] | None, repair: list[str] | None) -> Market:
    """The bars of the files, or of the bundled market where there are none."""
    from tradewind.data import read, sample

    return read(files, repair=tuple(repair or ())) if files else sample(market)


def files_of(files: list[str] | None, more: list[str] | None) -> tuple[str, ...]:
    """Files from `--data A B C`. Raises SettingsError for a file that stands alone."""
    if more and not files:
        raise SettingsError(f"{more[0]!r} stands alone; write --data {more[0]} for files, --market {more[0]} for a bundled market")
    return (*(files or ()), *(more or ()))


def listed(text: str | None) -> tuple[str, ...] | None:
    """The parts of a text with commas between; None for None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def window(text: str | None) -> str | int | None:
    """Whole bars where the text is a number, else the duration as it stands."""
    return int(text) if text is not None and text.isdigit() else text


def setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE as a pair; the value as JSON where it is JSON, else as text. Raises SettingsError without an equals sign."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise SettingsError(f"--set {text!r}: write KEY=VALUE, such as epochs=20")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def best_settings(path: str) -> tuple[str, dict[str, Any]]:
    """The strategy and the settings in a best.json of a tuning. Raises DataError when it cannot be read, Corrupt when it is none."""
    from tradewind.core.files import read_json

    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("strategy"), str) or not isinstance(found.get("settings"), dict):
        raise Corrupt(f"{path}: is not the best.json that `tradewind tune` writes")
    return found["strategy"], found["settings"]


def print_columns(lines: dict[str, str]) -> None:
    """One line an entry: its name, and what it is."""
    width = max(map(len, lines))
    for name, about in lines.items():
        print(f"{name:<{width}}  {about}")


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr)


def fail(message: str) -> None:
    """An error in one line, and exit code 2."""
    say(f"error: {' '.join(message.split())}")
    sys.exit(2)
