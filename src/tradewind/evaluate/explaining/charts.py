"""Charts of an explanation as SVG text: signed bars, and a shaded map of features by lag; colours from the page's style sheet.

Costs one rectangle a number. Fails, visibly, with more than some forty features, whose names then crowd each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

from tradewind.core.types import Array

__all__ = ["bar_chart", "heat_map"]

WIDTH: Final = 760
NAMES: Final = 190
VALUES: Final = 90
LINE: Final = 20


def bar_chart(values: Mapping[str, float], form: Callable[[float], str], ends: Mapping[str, tuple[float, float]] | None = None) -> str:
    """Horizontal bars from zero, right and green above it, left and red below; `ends`: an interval for each, drawn as a line."""
    spread = [*values.values(), *(end for pair in (ends or {}).values() for end in pair), 0.0]
    low, high = (edge(value for value in spread if math.isfinite(value)) for edge in (min, max))
    unit = (WIDTH - NAMES - VALUES) / ((high - low) or 1.0)
    height = LINE * len(values) + 6
    zero = NAMES - low * unit
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(", ".join(values))}">']
    for k, (name, value) in enumerate(values.items()):
        top = LINE * k + 4
        width = abs(value) * unit if math.isfinite(value) else 0.0
        left, colour = (zero, "gain") if value >= 0 else (zero - width, "loss")
        parts.append(f'<text class="tick" x="{NAMES - 6}" y="{top + 12}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{LINE - 6}" style="fill: rgba(var(--{colour}), .75)"/>')
        if ends is not None and all(map(math.isfinite, ends[name])):
            first, last = (zero + end * unit for end in ends[name])
            parts.append(f'<path class="line c10" d="M{first:.1f} {top + LINE / 2 - 3:.1f}L{last:.1f} {top + LINE / 2 - 3:.1f}"/>')
        parts.append(f'<text class="tick" x="{WIDTH - 4}" y="{top + 12}" text-anchor="end">{escape(form(value))}</text>')
    parts.append(f'<line class="across" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{height}"/></svg>')
    return "".join(parts)


def heat_map(values: Array, rows: Sequence[str], form: Callable[[float], str]) -> str:
    """`values` (lag, feature) as a shaded map, a line for each of `rows` (feature,); time runs to the right, up to the bar itself."""
    lags = len(values)
    strongest = float(np.abs(values).max()) or 1.0
    width, height = (WIDTH - NAMES - 8) / lags, LINE * len(rows) + 26
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(", ".join(rows))} by lag">']
    for k, name in enumerate(rows):
        top = LINE * k
        parts.append(f'<text class="tick" x="{NAMES - 6}" y="{top + 14}" text-anchor="end">{escape(name)}</text>')
        for lag, value in enumerate(values[:, k].tolist()):
            colour = "gain" if value >= 0 else "loss"
            title = f"{escape(name)}, {lags - 1 - lag} rows before: {escape(form(value))}"
            parts.append(
                f'<rect x="{NAMES + lag * width:.1f}" y="{top}" width="{width:.2f}" height="{LINE - 1}" '
                f'style="fill: rgba(var(--{colour}), {abs(value) / strongest:.3f})"><title>{title}</title></rect>'
            )
    for lag in sorted({0, lags // 2, lags - 1}):
        parts.append(
            f'<text class="tick" x="{NAMES + (lag + 0.5) * width:.1f}" y="{height - 8}" text-anchor="middle">{lag + 1 - lags or 0}</text>'
        )
    return "".join(parts) + "</svg>"
