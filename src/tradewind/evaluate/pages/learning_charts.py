"""The learning curve of an agent as one self-contained page: what it earned, how it was judged, which moment was kept, and its losses.

Nothing is fetched and there is no clock in it. Costs O(lines of the curve). A single
point is said and not drawn. Fails to show that a run was unlucky: one seed is one curve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from tradewind.core.files import write_text
from tradewind.core.types import Array
from tradewind.evaluate.pages.charts import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Axis, line_chart, nice_ticks
from tradewind.evaluate.pages.report import number
from tradewind.evaluate.pages.style import COLOURS, SHEET, highlights
from tradewind.rl.curve import Progress
from tradewind.rl.evaluation import Evaluation
from tradewind.rl.learning import Learning

__all__ = ["render", "write"]

HEIGHT: Final = 260
SMALL: Final = 190


def write(learning: Learning, path: str | Path, title: str = "An agent learns", settings: Mapping[str, Any] | None = None) -> Path:
    """Render `learning` into the file `path`; `settings` are told at the end. Raises DataError when it cannot be written."""
    return write_text(path, render(learning, title, settings or {}))


def render(learning: Learning, title: str, settings: Mapping[str, Any]) -> str:
    """The whole page as HTML text."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{SHEET}{highlights()}</style></head><body>"
    )
    sections = (
        f"<h1>{escape(title)}</h1><p class='faint'>{_taken(learning)}</p>", _lead(learning), _judged(learning), _beside_hold(learning),
        _earned(learning), _told(learning), _settings(settings),
    )  # fmt: skip
    return head + "\n".join(sections) + "</body></html>\n"


def _taken(learning: Learning) -> str:
    speed = np.mean([line.steps_per_second for line in learning.history]) if learning.history else math.nan
    told = (
        f"{learning.steps:,} steps, {learning.episodes:,} episodes, {learning.seconds:,.0f} s; {speed:,.0f} steps a second while learning"
    )
    return f"{told}; gone on with from step {learning.resumed:,}" if learning.resumed else told


def _lead(learning: Learning) -> str:
    if learning.best is None:
        words, rest = "Nothing judged this agent.", "There was no environment to evaluate it on: the weights are the last ones."
    else:
        best = learning.best
        words = f"The weights are those after step {learning.best_step:,}."
        rest = f"They earned {_with_error(best)} an episode, the most of {len(_evaluations(learning))} evaluations."
        if "sharpe" in best.metrics:
            rest += f" Sharpe {number(best.metrics['sharpe'])} a year, beside {number(best.metrics['hold_sharpe'])} of holding."
        rest += " The best of several is flattered by luck; judge it on data that chose nothing."
    return f'<div class="lead"><strong>{words}</strong><br><span class="faint">{rest}</span></div>'


def _with_error(judged: Evaluation) -> str:
    error = judged.deviation / math.sqrt(len(judged.returns))
    return f"{judged.mean:.4g} (± {error:.2g}, {len(judged.returns)} episodes)"


def _evaluations(learning: Learning) -> list[tuple[int, Evaluation]]:
    return [(line.step, line.evaluation) for line in learning.history if line.evaluation is not None]


def _judged(learning: Learning) -> str:
    told = _evaluations(learning)
    if len(told) < 2:
        return ""
    x = np.array([step for step, _ in told], dtype=np.float64)
    mean = np.array([judged.mean for _, judged in told])
    error = np.array([judged.deviation / math.sqrt(len(judged.returns)) for _, judged in told])
    series = {"one standard error below": mean - error, "one standard error above": mean + error, "mean return": mean}
    note = "Undiscounted return of whole episodes in the environment apart, where the agent acts without exploring and learns nothing."
    return _figure("Evaluation", note, x, series, (0, 0, 1), learning.best_step)


def _beside_hold(learning: Learning) -> str:
    told = [(step, judged.metrics) for step, judged in _evaluations(learning) if "sharpe" in judged.metrics]
    if len(told) < 2:
        return ""
    x = np.array([step for step, _ in told], dtype=np.float64)
    series = {name: np.array([metrics[key] for _, metrics in told]) for name, key in (("hold", "hold_sharpe"), ("agent", "sharpe"))}
    note = "Sharpe ratio a year of the same evaluations, net of costs."
    return _figure("Sharpe ratio beside hold", note, x, series, (0, 1), learning.best_step)


def _earned(learning: Learning) -> str:
    told = [(line.step, line.mean_return) for line in learning.history if line.mean_return is not None]
    if len(told) < 2:
        return ""
    x, y = np.array(told, dtype=np.float64).T
    note = "Mean undiscounted return of the episodes that ended since the point before, exploring. It chooses nothing."
    return _figure("Return while learning", note, x, {"mean return": y}, (2,), None)


def _told(learning: Learning) -> str:
    """A small chart of each number that the agent told, losses first, and of the speed."""
    names = sorted({name for line in learning.history for name in line.metrics}, key=lambda name: ("loss" not in name, name))
    parts = [
        _small(name.replace("_", " "), learning.history, [line.metrics.get(name, math.nan) for line in learning.history]) for name in names
    ]
    parts.append(_small("steps a second", learning.history, [line.steps_per_second for line in learning.history]))
    note = "Losses and whatever else the agent told about itself, as means between two points."
    return (
        f'<h2>Inside</h2><p class="faint small">{note}</p><div class="small-charts">{"".join(parts)}</div>'
        if len(learning.history) > 1
        else ""
    )


def _small(name: str, history: Sequence[Progress], values: Sequence[float]) -> str:
    x = np.array([line.step for line in history], dtype=np.float64)
    chart = line_chart(x, {name: np.array(values)}, Axis(_short), _ticks(x, 3), SMALL, (1,))
    return f"<figure><figcaption>{escape(name)}</figcaption>{chart}</figure>"


def _figure(title: str, note: str, x: Array, series: Mapping[str, Array], colours: Sequence[int], best: int | None) -> str:
    chart = line_chart(x, series, Axis(_short, across=0.0), _ticks(x, 8), HEIGHT, colours)
    if best is not None:
        chart = chart.removesuffix("</svg>") + _mark(x, best) + "</svg>"
    shown = dict(zip(colours, series, strict=True)) if len(set(colours)) == len(colours) else {0: "one standard error", 1: "mean return"}
    line = '<svg viewBox="0 0 26 8"><path class="line c{k}" d="M0 4L26 4"/></svg>'
    keys = "".join(f'<li class="k{k % COLOURS}">{line.format(k=k % COLOURS)}{escape(name)}</li>' for k, name in shown.items())
    scroll = f'<ul class="keys">{keys}</ul><div class="scroll">{chart}</div>'
    return f"<h2>{title}</h2><figure>{scroll}<figcaption class='small'>{note}</figcaption></figure>"


def _mark(x: Array, best: int) -> str:
    """A line at the step whose weights were kept."""
    span = float(x[-1] - x[0]) or 1.0
    at = LEFT + (best - float(x[0])) / span * (WIDTH - RIGHT - LEFT)
    side, anchor = (-6, "end") if at > WIDTH / 2 else (6, "start")
    line = f'<line class="across" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
    return f'{line}<text class="tick" x="{at + side:.1f}" y="{HEIGHT - BOTTOM - 6}" text-anchor="{anchor}">kept: {best:,}</text>'


def _ticks(x: Array, wanted: int) -> list[tuple[float, str]]:
    """Round steps; none so near the right edge that its label would be cut off."""
    first, last = float(x[0]), float(x[-1])
    return (
        [(value, _short(value)) for value in nice_ticks(first, last, wanted=wanted) if value < last - 0.04 * (last - first)]
        if first < last
        else []
    )


def _short(value: float) -> str:
    """`250k` and `1.5M` of large numbers, `.005` of small ones, `2.5e-4` of tiny ones."""
    if 0.0 < abs(value) < 1e-3:
        digits, _, power = f"{value:.3e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}".replace("0.", ".", 1) if abs(value) < 1.0 else f"{value:g}"


def _settings(settings: Mapping[str, Any]) -> str:
    if not settings:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="text">{escape(str(value))}</td></tr>' for name, value in settings.items()
    )
    return f'<h2>Settings</h2><div class="scroll"><table><tbody>{rows}</tbody></table></div>'
