"""Commands that say what there is: strategies, forecasters, features."""

from __future__ import annotations

from typing import Annotated

import typer

from tradewind.cli.options import print_columns

__all__ = ["features", "forecasters", "strategies"]


def strategies() -> None:
    """The strategies by name."""
    from tradewind.strategies.registry import descriptions

    print_columns(descriptions())


def forecasters() -> None:
    """The forecasters by name."""
    from tradewind.models import registry

    print_columns({name: registry.describe(name) for name in registry.forecasters()})


def features(which: Annotated[str | None, typer.Argument(metavar="SET", help="Only the columns of this set.")] = None) -> None:
    """The columns that models and rules can see; a name may hold another number, such as rsi_9."""
    from tradewind.features import catalog

    lines = [catalog.describe(name) for name in catalog.names(which)]
    print("\n".join([f"sets: {', '.join(catalog.sets())}", *lines]))
