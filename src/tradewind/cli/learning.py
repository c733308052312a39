"""Commands that teach models: train."""

from __future__ import annotations

from typing import Annotated

import typer

from tradewind.cli.options import Files, Repairs, read_bars, setting
from tradewind.core.errors import SettingsError

__all__ = ["train"]


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

    settings = dict(setting(change) for change in changes or ())
    for key in {"model", "out", "progress", "repair", "source"} & settings.keys():
        raise SettingsError(f"--set {key}: is no setting of the model; the flags of `tradewind train --help` say where things go")
    total = int(settings.get("epochs", 0)) if str(settings.get("epochs", 0)).isdigit() else 0
    with bars() as progress:
        done = pipeline(
            files or read_bars("btc-15m", None, None), model, out, repair=tuple(repair or ()),
            progress=lambda epoch: progress("epochs", epoch.epoch, max(total, epoch.epoch)), **settings,
        )  # fmt: skip
    print(done.to_text())
