"""What a Temporal Fusion Transformer selected and where it looked, as SVG text for the report's page: bars, and lines over the window.

Source: figures 4 and 5 of Lim, Arik, Loeff and Pfister 2021, https://arxiv.org/abs/1912.09363. Costs O(inputs + horizons * window). Fails
to show every one of many horizons: six of them are drawn, evenly taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

import numpy as np

from tradewind.evaluate.pages.charts import Axis, line_chart
from tradewind.models.tft_reading import Interpretation

__all__ = ["attention_chart", "selection_chart", "weights_figures"]

WIDTH: Final = 760
LEFT: Final = 190
ROW: Final = 20
MOST_LINES: Final = 6


def weights_figures(read: Interpretation, most: int = 20) -> str:
    """Three figures with captions: inputs and known inputs by mean selection weight, `most` of each, and the mean attention."""
    if not len(read.time):
        return '<p class="faint">Nothing to draw.</p>'
    selected = read.selected()
    n = f"mean of {len(read.time)} forecast{'s' if len(read.time) != 1 else ''}"
    figures = [
        (f"How much of each input passes into the window's encoding, {n}.", selection_chart(selected["encoder"], most)),
        (f"How much of what is known ahead passes into the steps' encoding, {n}.", selection_chart(selected["decoder"], most)),
        (f"Where each horizon looks: attention to the bars of the window, {n}.", attention_chart(read)),
    ]
    return "".join(f"<figure><figcaption>{escape(caption)}</figcaption>{chart}</figure>" for caption, chart in figures)


def selection_chart(weights: Mapping[str, float], most: int = 20) -> str:
    """Horizontal bars of the `most` largest `weights` by name, the largest first; the others are summed in a last bar."""
    ranked = sorted(weights.items(), key=lambda item: -item[1])
    shown = dict(ranked[:most])
    if len(ranked) > most:
        shown[f"{len(ranked) - most} others"] = sum(weight for _, weight in ranked[most:])
    if not shown:
        return '<p class="faint">Nothing to draw.</p>'
    height, longest = ROW * len(shown) + 8, max(shown.values()) or 1.0
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="selection weights">']
    for place, (name, weight) in enumerate(shown.items()):
        y, long = 4 + ROW * place, (WIDTH - LEFT - 60) * weight / longest
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y + 3}" width="{long:.1f}" height="{ROW - 6}" fill="var(--c1)"/>')
        parts.append(f'<text class="tick" x="{LEFT + long + 6:.1f}" y="{y + 14}">{weight:.1%}</text>')
    return "".join(parts) + "</svg>"


def attention_chart(read: Interpretation) -> str:
    """Lines of the mean attention to the bars of the window, one a horizon; with many horizons six of them, evenly taken."""
    attended = read.attended()
    lines = np.unique(np.linspace(0, len(read.horizons) - 1, min(MOST_LINES, len(read.horizons))).round().astype(int))
    series = {f"{read.horizons[step]} bar{'s' if read.horizons[step] != 1 else ''} ahead": attended[step] for step in lines}
    lags = np.arange(1 - read.window, 1, dtype=np.float64)
    step = max(1, round(read.window / 6))
    ticks = [(float(lag), "now" if lag == 0 else f"{int(lag)}") for lag in lags if lag % step == 0]
    numbers = tuple(range(1, len(series) + 1))
    keys = "".join(
        f'<li class="k{number}"><svg viewBox="0 0 26 8"><path class="line c{number}" d="M0 4L26 4"/></svg>{escape(name)}</li>'
        for number, name in zip(numbers, series, strict=True)
    )
    chart = line_chart(lags, series, Axis(lambda share: f"{share:.1%}"), ticks, colours=numbers)
    return f'{chart}<ul class="keys">{keys}</ul>'
