"""Charts as SVG text: lines over time, lines over a number, and a shaded table; no script, no network, colours from the page's style sheet.

Costs O(points): a line is thinned to the lowest and highest value of each of 500 columns, so that no spike is lost. Fails, visibly, with
more than a dozen lines in one chart: dash patterns keep them apart, but no reader does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.types import Array, Times

__all__ = [
    "BOTTOM",
    "LEFT",
    "RIGHT",
    "TOP",
    "WIDTH",
    "Axis",
    "across_time",
    "line_chart",
    "month_table",
    "nice_ticks",
    "over_time",
    "time_ticks",
]

WIDTH: Final = 760
LEFT: Final = 58
RIGHT: Final = 8
TOP: Final = 8
BOTTOM: Final = 26
COLUMNS: Final = 500
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@final
@dataclass(frozen=True)
class Axis:
    """The look of a chart: how values are written, whether it is logarithmic, a value to draw a line at, and how many dates go below."""

    form: Callable[[float], str]
    log: bool = False
    across: float | None = None
    dates: int = 7


def over_time(
    times: Times, series: Mapping[str, Array], axis: Axis, height: int = 260, colours: Sequence[int] | None = None, behind: str = ""
) -> str:
    """A chart of `series`, each (time,), over `times` (time,) UTC ns; NaN leaves a gap. `colours` are numbers of the style sheet.

    `behind`: SVG drawn before the lines, placed by `across_time` of the same times.
    """
    ticks = time_ticks(times, axis.dates)
    return line_chart(times.astype(np.float64), series, axis, ticks, height, colours, behind)


def across_time(times: Times) -> Callable[[Array], Array]:
    """Where moments (UTC ns, as floats) lie across a chart over `times`, in its units."""
    return _scale(float(times[0]), float(times[-1]), LEFT, WIDTH - RIGHT, False)


def line_chart(
    x: Array,
    series: Mapping[str, Array],
    axis: Axis,
    ticks: Sequence[tuple[float, str]],
    height: int = 260,
    colours: Sequence[int] | None = None,
    behind: str = "",
) -> str:
    """A chart of `series`, each (point,), over `x` (point,) ascending, with `ticks` (position, label) below; `behind` is drawn first.

    A sentence that says so where there is nothing to draw.
    """
    low, high = _range(series.values(), axis)
    if len(x) == 0 or math.isnan(low):
        return '<p class="faint">Nothing to draw.</p>'
    scale_x = _scale(float(x[0]), float(x[-1]), LEFT, WIDTH - RIGHT, False)
    scale_y = _scale(low, high, height - BOTTOM, TOP, axis.log)
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(", ".join(series))}">', behind]
    for value in nice_ticks(low, high, axis.log):
        y = float(scale_y(np.array([value]))[0])
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(axis.form(value))}</text>')
    for position, label in ticks:
        at = float(scale_x(np.array([position]))[0])
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{height - 8}" text-anchor="middle">{escape(label)}</text>')
    if axis.across is not None and low <= axis.across <= high:
        y = float(scale_y(np.array([axis.across]))[0])
        parts.append(f'<line class="across" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for number, (name, values) in enumerate(series.items()):
        colour = number if colours is None else colours[number]
        path = _path(x, values, scale_x, scale_y)
        parts.append(f'<path class="line c{colour}" d="{path}"><title>{escape(name)}</title></path>')
    return "".join(parts) + "</svg>"


def month_table(returns: Mapping[int, Mapping[int, float]], form: Callable[[float], str]) -> str:
    """A shaded table of returns, {year: {month: return}}, with the year's compounded return at the end of each row."""
    head = "".join(f"<th>{month}</th>" for month in MONTHS)
    strongest = max((abs(value) for row in returns.values() for value in row.values()), default=0.0) or 1.0
    lines = []
    for year, row in sorted(returns.items()):
        cells = "".join(_shaded(row.get(month), strongest, form) for month in range(1, 13))
        whole = math.prod(1.0 + value for value in row.values()) - 1.0
        lines.append(f'<tr><th scope="row">{year}</th>{cells}<td class="sum">{form(whole)}</td></tr>')
    body = "".join(lines)
    return (
        f'<div class="scroll"><table class="months"><thead><tr><th></th>{head}<th>Year</th></tr></thead><tbody>{body}</tbody></table></div>'
    )


def nice_ticks(low: float, high: float, log: bool = False, wanted: int = 5) -> list[float]:
    """Round values from `low` to `high`, about `wanted` of them; 1, 2 and 5 of each decade where a logarithmic axis spans enough."""
    if log and high / low >= 8.0:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        digits = (1, 2, 5) if high / low < 1e3 else (1,)
        candidates = [digit * 10.0**decade for decade in decades for digit in digits]
    else:
        raw = (high - low) / wanted
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(size * factor for factor in (1.0, 2.0, 5.0, 10.0) if size * factor >= raw * 0.999)
        candidates = [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return [value for value in candidates if low <= value <= high]


def _range(series: object, axis: Axis) -> tuple[float, float]:
    """The least and greatest finite value, a little apart; (nan, nan) when there is none."""
    values = np.concatenate([np.ravel(each) for each in series] or [np.empty(0)])  # type: ignore[attr-defined]
    values = values[np.isfinite(values) & ((values > 0) if axis.log else True)]
    if axis.across is not None and not axis.log:
        values = np.append(values, axis.across) if len(values) else values
    if len(values) == 0:
        return math.nan, math.nan
    low, high = float(values.min()), float(values.max())
    if axis.log:
        room = max((high / low) ** 0.04, 1.001)
        return low / room, high * room
    room = (high - low) * 0.04 or max(abs(high) * 0.1, 1e-3)
    return low - room, high + room


def _scale(low: float, high: float, first: float, last: float, log: bool) -> Callable[[Array], Array]:
    if log:
        low, high = math.log(low), math.log(high)
    span = (high - low) or 1.0

    def place(values: Array) -> Array:
        moved = np.log(np.where(values > 0, values, np.nan)) if log else values
        return np.asarray(first + (moved - low) / span * (last - first))

    return place


def _path(x: Array, values: Array, scale_x: Callable[[Array], Array], scale_y: Callable[[Array], Array]) -> str:
    kept = _thinned(values)
    across, down = scale_x(x[kept]), scale_y(values[kept])
    words, drawing = [], False
    for at, y in zip(across.tolist(), down.tolist(), strict=True):
        if not math.isfinite(y):
            drawing = False
            continue
        words.append(f"{'L' if drawing else 'M'}{at:.1f} {y:.1f}")
        drawing = True
    return "".join(words)


def _thinned(values: Array) -> NDArray[np.int64]:
    """Rows to draw: all of a short line, else the lowest, the highest and the first of each column of pixels, in order."""
    n = len(values)
    if n <= 3 * COLUMNS:
        return np.arange(n)
    kept = {0, n - 1}
    for rows in np.array_split(np.arange(n), COLUMNS):
        part = values[rows]
        kept.add(int(rows[0]))
        if not np.isnan(part).all():
            kept.update((int(rows[np.nanargmin(part)]), int(rows[np.nanargmax(part)])))
    return np.array(sorted(kept))


def time_ticks(times: Times, wanted: int) -> list[tuple[float, str]]:
    """About `wanted` round dates: days of a short span, else first days of months, of quarters or of years."""
    first, last = (np.datetime64(int(t), "ns") for t in (times[0], times[-1]))
    days = int((last - first) / np.timedelta64(1, "D"))
    if days < 11 * wanted:
        step = max(1, math.ceil(days / wanted))
        marks = np.arange(first.astype("datetime64[D]") + 1, last.astype("datetime64[D]") + 1, step)
    else:
        months = np.arange(first.astype("datetime64[M]") + 1, last.astype("datetime64[M]") + 1)
        step = next((s for s in (1, 2, 3, 6, 12) if len(months) <= (wanted + 1) * s), 12 * math.ceil(len(months) / (12 * wanted)))
        marks = months[months.astype(np.int64) % step == 0].astype("datetime64[M]" if step < 12 else "datetime64[Y]")
    return [(float(mark.astype("datetime64[ns]").astype(np.int64)), str(mark)) for mark in marks]


def _shaded(value: float | None, strongest: float, form: Callable[[float], str]) -> str:
    if value is None:
        return "<td></td>"
    kind = "gain" if value >= 0 else "loss"
    return f'<td class="{kind}" style="--strength:{min(1.0, abs(value) / strongest):.2f}">{form(value)}</td>'
