"""Meta-learning as self-contained pages: how meta-training went, what each step of adapting brings, and how gradients flow.

Nothing is fetched and there is no clock in it, so equal numbers give equal bytes. Costs O(numbers drawn). Fails to show that a difference
is luck: a curve is one run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np

from tradewind.core.files import write_text
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.evaluate.pages.charts import Axis, line_chart, nice_ticks
from tradewind.evaluate.pages.style import COLOURS, SHEET, highlights

if TYPE_CHECKING:
    from tradewind.meta.gradients import GradientFlow

__all__ = ["Visualizer", "adaptation_page", "flow_page", "training_page"]

SMOOTHED: Final = 50
"""A history is drawn with the mean of as many entries up to each, where it is twice as long."""
WIDTH: Final = 760
LEFT: Final = 230
ROW: Final = 20


@final
class Visualizer:
    """Writes pages into the folder `save_dir`, which is made when it is needed. Raises DataError where they cannot be written."""

    def __init__(self, save_dir: str | Path = ".") -> None:
        self.save_dir = Path(save_dir)

    def plot_training_progress(self, history: Mapping[str, Sequence[float]], name: str = "training_progress") -> Path:
        """`name`.html with a chart of each history by name, such as `MetaLearningMetrics.metrics_history`; its path."""
        return write_text(self._place(name), training_page(history))

    def plot_adaptation(self, curves: Mapping[str, Sequence[float]], unit: str = "accuracy", name: str = "adaptation") -> Path:
        """`name`.html with a line for each learner: `unit` on the query after 0, 1, 2 ... steps of adapting; its path."""
        return write_text(self._place(name), adaptation_page(curves, unit))

    def plot_gradient_flow(self, flow: Mapping[str, GradientFlow], name: str = "gradient_flow") -> Path:
        """`name`.html with a bar for each parameter of `GradientInspection.analyze_gradient_flow`; its path."""
        return write_text(self._place(name), flow_page(flow))

    def _place(self, name: str) -> Path:
        require(bool(name) and Path(name).name == name, f"{name!r} is no name of a page; give one without a folder and without .html")
        return self.save_dir / f"{name}.html"


def training_page(history: Mapping[str, Sequence[float]]) -> str:
    """A page with a chart of each history; those without a finite number are named and not drawn."""
    figures, empty = [], []
    for name, told in history.items():
        values = np.asarray(told, dtype=np.float64)
        if not np.isfinite(values).any():
            empty.append(name)
            continue
        figures.append(f"<figure><figcaption>{escape(name)}: {_last(values)}</figcaption>{_history(values)}</figure>")
    rest = f'<p class="faint">Nothing to draw of {escape(", ".join(empty))}.</p>' if empty else ""
    body = f'<div class="small-charts">{"".join(figures)}</div>' if figures else '<p class="faint">Nothing was tracked yet.</p>'
    note = (
        f"Each number as it was told, and the mean of the newest {SMOOTHED}."
        if any(len(h) >= 2 * SMOOTHED for h in history.values())
        else ""
    )
    return _page("Meta-training", note, body + rest)


def adaptation_page(curves: Mapping[str, Sequence[float]], unit: str) -> str:
    """A page with one chart of all curves over the number of steps; a shorter one ends earlier."""
    longest = max((len(curve) for curve in curves.values()), default=0)
    if longest == 0:
        return _page("Adapting", "", '<p class="faint">Nothing was adapted yet.</p>')
    steps = np.arange(longest, dtype=np.float64)
    lines = {
        name: np.pad(np.asarray(curve, dtype=np.float64), (0, longest - len(curve)), constant_values=np.nan)
        for name, curve in curves.items()
    }
    colours = [1 + place % (COLOURS - 1) for place in range(len(lines))]
    chart = line_chart(steps, lines, Axis(_short), _whole_ticks(longest), 300, colours)
    line = '<svg viewBox="0 0 26 8"><path class="line c{k}" d="M0 4L26 4"/></svg>'
    keys = "".join(f'<li class="k{k}">{line.format(k=k)}{escape(name)}</li>' for k, name in zip(colours, lines, strict=True))
    note = f"{unit[:1].upper()}{unit[1:]} on the query after so many steps on the support."
    return _page("Adapting", note, f'<figure><ul class="keys">{keys}</ul><div class="scroll">{chart}</div></figure>')


def flow_page(flow: Mapping[str, GradientFlow]) -> str:
    """A page with the root mean square of each parameter's gradient, on a logarithmic scale of eight decades below the largest."""
    sizes = {name: one.root_mean_square for name, one in flow.items()}
    largest = max((size for size in sizes.values() if math.isfinite(size)), default=0.0)
    if largest == 0.0:
        return _page("Gradient flow", "", '<p class="faint">Every gradient is zero or no number.</p>')
    parts = [f'<svg viewBox="0 0 {WIDTH} {ROW * len(sizes) + 8}" role="img" aria-label="gradient flow">']
    for place, (name, size) in enumerate(sizes.items()):
        y = 4 + ROW * place
        share = 1.0 + math.log10(size / largest) / 8.0 if math.isfinite(size) and size > 0 else 0.0
        long = max(share, 0.0) * (WIDTH - LEFT - 130)
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y + 3}" width="{long:.1f}" height="{ROW - 6}" fill="var(--c1)"/>')
        parts.append(f'<text class="tick" x="{LEFT + long + 6:.1f}" y="{y + 14}">{size:.2e}, {flow[name].zeros:.0%} zero</text>')
    note = "Root mean square of each parameter's gradient, from the inputs down to the outputs; a decade is an eighth of the width."
    return _page("Gradient flow", note, f'<div class="scroll">{"".join(parts)}</svg></div>')


def _page(title: str, note: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{SHEET}{highlights()}</style></head><body><h1>{title}</h1>"
        f'<p class="faint">{escape(note)}</p>{body}</body></html>\n'
    )


def _history(values: Array) -> str:
    steps = np.arange(1, len(values) + 1, dtype=np.float64)
    ticks = (
        [(value, f"{value:,.0f}") for value in nice_ticks(1.0, float(len(values)), wanted=3) if value <= 0.94 * len(values)]
        if len(values) > 1
        else []
    )
    if len(values) < 2 * SMOOTHED:
        return line_chart(steps, {"told": values}, Axis(_short), ticks, 190, (1,))
    return line_chart(steps, {"told": values, "mean": _running(values)}, Axis(_short), ticks, 190, (0, 1))


def _running(values: Array) -> Array:
    """The mean of the newest SMOOTHED finite entries at each; NaN until there are as many entries."""
    finite = np.isfinite(values)
    sums, counts = (np.concatenate([[0.0], np.cumsum(part)]) for part in (np.where(finite, values, 0.0), finite.astype(np.float64)))
    told, counted = (part[SMOOTHED:] - part[:-SMOOTHED] for part in (sums, counts))
    means = np.divide(told, counted, out=np.full(len(told), np.nan), where=counted > 0)
    return np.concatenate([np.full(SMOOTHED - 1, np.nan), means])


def _last(values: Array) -> str:
    recent = values[-SMOOTHED:]
    return (
        f"{_short(float(np.nanmean(np.where(np.isfinite(recent), recent, np.nan))))} over the last {len(recent)}"
        if np.isfinite(recent).any()
        else "no number lately"
    )


def _whole_ticks(n: int) -> list[tuple[float, str]]:
    step = max(1, math.ceil(n / 12))
    return [(float(value), str(value)) for value in range(0, n, step)]


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
