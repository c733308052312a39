"""The agents: a list of them, and how `tradewind train --agent` lets one practise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tradewind.cli.options import print_columns, setting
from tradewind.core.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from tradewind.rl.curve import Progress
    from tradewind.rl.pipeline import AgentReport

__all__ = ["agents", "practise", "watch"]

STEPS: Final = 1_000_000
_PLACES: Final = {"agent", "out", "progress", "repair", "source"}


def agents() -> None:
    """The agents by name, for `tradewind train --agent`."""
    from tradewind.rl.registry import descriptions

    print_columns(descriptions())


def practise(source: Any, agent: str, out: str, repair: tuple[str, ...], flags: dict[str, Any], changes: list[str] | None) -> AgentReport:
    """Train `agent` with what the `flags` say, None for nothing, and the `changes` of `--set`; show how it goes, and draw its curve.

    Raises SettingsError for what is said twice and for what cannot be set.
    """
    from tradewind.evaluate.pages import learning_charts
    from tradewind.rl.pipeline import train

    said = _said(flags, changes)
    steps = said.pop("steps", STEPS)
    with watch() as progress:
        done = train(source, agent, steps, out, repair=repair, progress=progress, **said)
    print(done.to_text())
    settings = {"agent": agent, **done.config, **done.sight, **done.course, "parts": done.rows}
    title = f"{agent} learns to trade {', '.join(done.symbols)}"
    print(f"learning curve: {learning_charts.write(done.learning, Path(out) / 'learning.html', title, settings)}")
    return done


def _said(flags: dict[str, Any], changes: list[str] | None) -> dict[str, Any]:
    """The keywords of `train`, those of the agent's config among them, in Python's terms."""
    from tradewind.core.settings import load
    from tradewind.simulate.costs import Costs

    given = {name: value for name, value in flags.items() if value is not None}
    said = dict(setting(change) for change in changes or ())
    for key in _PLACES & said.keys():
        raise SettingsError(f"--set {key}: is no setting of the agent; the flags of `tradewind train --help` say where things go")
    for key in given.keys() & said.keys():
        raise SettingsError(f"--set {key}: --{key} says it too; say it once")
    said |= given
    if str(said.get("actions", "")).isdigit():
        said["actions"] = int(said["actions"])
    if isinstance(said.get("reward"), str) and ":" in said["reward"]:
        said["reward"] = load(said["reward"])
    if isinstance(said.get("costs"), dict):
        said["costs"] = Costs.from_dict(said["costs"])
    return said


@contextmanager
def watch(console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """A function to call with each line of a learning curve; in a terminal they are drawn as one that moves, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Drawn

    console = console or Console(stderr=True)
    columns = (TextColumn("practising"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    drawn = Drawn(*columns, console=console, transient=True, disable=not console.is_terminal)
    task, judged = None, ""

    def told(line: Progress) -> None:
        nonlocal task, judged
        if task is None:
            drawn.start()
            task = drawn.add_task("", total=line.steps)
        if line.evaluation is not None:
            m = line.evaluation.metrics
            judged = f" · Sharpe {m['sharpe']:.2f}, holding {m['hold_sharpe']:.2f}" if m else f" · return {line.evaluation.mean:.4g}"
        earned = "" if line.mean_return is None else f"reward {line.mean_return:.4g} · "
        drawn.update(task, completed=min(line.step, line.steps), description=f"{earned}{line.steps_per_second:,.0f} steps/s{judged}")

    try:
        yield told
    finally:
        if task is not None:
            drawn.stop()
