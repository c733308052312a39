"""Charts of calibration as SVG text: what forecasts said beside what came true, for probabilities and for quantiles.

Source: reliability diagrams, Murphy & Winkler (1977) https://doi.org/10.2307/2346866. Costs O(points). Fails to tell chance from error by
itself: a point stands for so many rows as its circle is large, and neighbouring rows may have seen the same bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from tradewind.evaluate.pages.charts import nice_ticks
from tradewind.stats.scores import Calibration

__all__ = ["calibration_chart"]

WIDTH: Final = 446
LEFT: Final = 72
TOP: Final = 18
SIDE: Final = 360
BOTTOM: Final = 52
LEAST: Final = 1.5
MOST: Final = 6.0
"""Radii of a circle for no rows, and for all rows of its curve."""


def calibration_chart(curves: Mapping[str, Calibration], x: str = "forecast", y: str = "came true", first: int = 0) -> str:
    """A square of `curves` by name, each from `stats.calibration` or `stats.quantile_calibration`, with the line where both axes agree.

    The area of a circle is the share of its curve's rows; pointing at it tells the numbers. `x` and `y` name the axes. Colours are
    those of the page's style sheet from number `first` on, so that a chart without hold's row can agree with the keys beside it.
    """
    drawn = [(k, name, curve) for k, (name, curve) in enumerate(curves.items(), first) if len(curve.forecast)]
    if not drawn:
        return '<p class="faint">Nothing to draw.</p>'
    parts = [f'<svg viewBox="0 0 {WIDTH} {TOP + SIDE + BOTTOM}" role="img" aria-label="{escape(", ".join(curves))}">']
    for value in nice_ticks(0.0, 1.0):
        at, up, edge = _across(value), _down(value), LEFT + SIDE
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{edge}" y1="{up:.1f}" y2="{up:.1f}"/>')
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{TOP + SIDE}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">{value:g}</text>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{TOP + SIDE + 20}" text-anchor="middle">{value:g}</text>')
    middle = TOP + SIDE / 2
    parts.append(f'<text class="tick" x="{_across(0.5):.1f}" y="{TOP + SIDE + 43}" text-anchor="middle">{escape(x)}</text>')
    parts.append(f'<text class="tick" x="18" y="{middle}" text-anchor="middle" transform="rotate(-90 18 {middle})">{escape(y)}</text>')
    parts.append(f'<line class="across" x1="{_across(0)}" x2="{_across(1)}" y1="{_down(0)}" y2="{_down(1)}"/>')
    parts.extend(_curve(k, name, curve, x, y) for k, name, curve in drawn)
    return "".join(parts) + "</svg>"


def _curve(k: int, name: str, curve: Calibration, x: str, y: str) -> str:
    points = list(zip(curve.forecast.tolist(), curve.observed.tolist(), curve.rows.tolist(), strict=True))
    path = "L".join(f"{_across(said):.1f} {_down(came):.1f}" for said, came, _ in points)
    parts = [f'<path class="line c{k}" d="M{path}"><title>{escape(name)}</title></path>']
    for said, came, rows in points:
        # Areas, not radii, are read as amounts.
        radius = (LEAST**2 + (MOST**2 - LEAST**2) * rows / curve.rows.sum()) ** 0.5
        told = escape(f"{name}: {x} {said:.3f}, {y} {came:.3f}, {rows} rows")
        place = f'cx="{_across(said):.1f}" cy="{_down(came):.1f}" r="{radius:.1f}"'
        parts.append(f'<circle class="line c{k}" {place}><title>{told}</title></circle>')
    return "".join(parts)


def _across(share: float) -> float:
    return LEFT + SIDE * share


def _down(share: float) -> float:
    return TOP + SIDE * (1.0 - share)
