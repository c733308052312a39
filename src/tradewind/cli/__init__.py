"""The command line: `tradewind run`, `compare`, `backtest`, `train`, `check`, `data`, `report`, and lists of what there is.

Whatever goes wrong on purpose is one line on stderr and exit code 2. Libraries load inside the commands: `tradewind --help` needs none.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final, cast

import typer

from tradewind.cli import agents, compare, data, explain, learning, lists, regimes, research, runs, tune
from tradewind.cli.options import fail, say
from tradewind.core.errors import TradewindError

__all__ = ["main"]

INTERRUPTED: Final = 130
_USAGE: Final = cast(type[Exception], typer.BadParameter.__mro__[2])
"""The root of typer's complaints about the command line, which it does not export by name."""


app = typer.Typer(
    name="tradewind", no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Learn trading strategies from market data, and hear honestly whether they have an edge.",
)  # fmt: skip
bars = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Bars: fetch, check, query, and the bundled samples.")
for command in (
    research.run, tune.tune, compare.compare, research.report, explain.explain, research.backtest, learning.train, research.check,
    regimes.regimes,
    lists.strategies, lists.forecasters, agents.agents, lists.features,
):  # fmt: skip
    app.command()(command)
for bars_command in (data.fetch, data.quality, data.query, data.sample):
    bars.command()(bars_command)
app.add_typer(bars, name="data")
app.add_typer(runs.app, name="runs")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 (a check failed), 2 (an error, told in one line) or 130 (interrupted)."""
    try:
        code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except _USAGE as error:
        fail(cast(Any, error).format_message())
    except TradewindError as error:
        fail(str(error))
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        fail(f"{error.filename or 'the system'}: {error.strerror or error}")
    # Newer typers turn an interrupt into its exit code themselves, and say nothing.
    if code == INTERRUPTED:
        say("interrupted; the same command takes up what is finished")
    sys.exit(code if isinstance(code, int) else 0)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False) -> None:
    if version:
        from tradewind import __version__

        print(f"tradewind {__version__}")
        raise typer.Exit
