"""The page of a market's regimes: the price with the regimes behind it, their probabilities as areas, timeframes side by side, and a table.

Nothing is fetched and there is no clock in it. Costs O(bars), and some hundred kilobytes a symbol whatever the number of bars: they are
gathered into columns, each the mean of its bars. Fails to show a spell much shorter than a column; the table counts them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import format_time
from tradewind.core.files import write_text
from tradewind.core.types import Array, Times
from tradewind.evaluate.pages.charts import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Axis, across_time, over_time, time_ticks
from tradewind.evaluate.pages.report import number, percent
from tradewind.evaluate.pages.style import SHEET
from tradewind.evaluate.regime_reading import RegimeReading, Stay
from tradewind.regimes.stability import ALERT, STABLE, RegimeInfo

__all__ = ["called", "render", "write"]

COLUMNS: Final = 240
ROW: Final = 26
AREAS: Final = 170
GAP: Final = 6.0
"""Without bars for longer than this, in the chart's units, nothing is drawn."""
LOOKS: Final = {
    "trending_bull": 0, "bull": 0, "trend_up": 0, "trending_bear": 1, "bear": 1, "trend_down": 1, "high_volatility_range": 2,
    "high_volatility": 2, "turbulent": 2, "low_volatility_range": 3, "low_volatility": 3, "sideways": 3, "calm": 3, "breakout": 4,
    "changed": 4, "reversal": 5, "mean_reversion": 5, "normal": 5, "crisis": 6,
}  # fmt: skip
"""The colour of each regime by its name; others take the next in turn."""
OTHERS: Final = (3, 5, 0, 4, 2, 1, 6)
ABOUT: Final = {
    "trending_bull": "rises by more standard errors than chance would",
    "trending_bear": "falls by more standard errors than chance would",
    "high_volatility_range": "no trend, and wilder than its own long past",
    "low_volatility_range": "no trend, no wilder than its own long past",
    "breakout": "has left a narrow channel and stays outside",
    "reversal": "a trend that has turned",
    "crisis": "far under its high, falling, and wild",
}
LIGHT: Final = ("#16a34a", "#dc2626", "#f59e0b", "#7ba7d9", "#8b5cf6", "#14b8a6", "#1f2937")
DARK: Final = ("#4ade80", "#f87171", "#fbbf24", "#5b86bd", "#a78bfa", "#2dd4bf", "#f3f4f6")


def write(reading: RegimeReading, path: str | Path) -> Path:
    """Render `reading` into the file `path`. Raises DataError when it cannot be written."""
    return write_text(path, render(reading))


def render(reading: RegimeReading) -> str:
    """The whole page as HTML text."""
    symbols = reading.market.symbols
    title = f"Regimes of {', '.join(symbols) if len(symbols) < 4 else f'{len(symbols)} symbols'}"
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{SHEET}{_looks()}</style></head><body>"
    )
    sections = [f"<h1>{escape(title)}</h1><p class='faint'>{_about(reading)}</p>", _overview(reading)]
    sections += [_symbol(reading, column) for column, name in enumerate(reading.market.symbols) if name in reading.now]
    return head + "\n".join([*sections, _notes(reading)]) + "</body></html>\n"


def called(regime: str) -> str:
    """A regime's name in words."""
    return regime.replace("_", " ")


# -- words ---------------------------------------------------------------------------------------------------------------
def _about(reading: RegimeReading) -> str:
    market = reading.market
    span = f"{format_time(int(market.open_time[0]))} to {format_time(int(market.known[-1]))} UTC"
    told = "".join(f", {name} {value}" for name, value in reading.settings.items())
    learned = "; nothing is fitted"
    if reading.fitted_on:
        learned = f"; fitted on the first {percent(reading.trained, 0)} of all bars, {reading.fitted_on} of them, none of which is shown"
    return escape(f"{len(market)} bars of {market.timeframe} · {span}") + f"<br>Detector: {escape(reading.detector + told + learned)}."


def _lead(info: RegimeInfo, agreement: float) -> str:
    held = f"since {format_time(info.since)}, {info.bars} {'bar' if info.bars == 1 else 'bars'}"
    state = "stable" if info.stable else "alert" if info.alert else "wavering"
    parts = [held, f"stability {info.regime_stability:.2f}: {state}"]
    parts += [] if math.isnan(agreement) else [f"{percent(agreement, 0)} of the timeframes agree"]
    look = _colours((info.current_regime,))[0]
    return (
        f'<div class="lead r{look}"><strong>{escape(called(info.current_regime))}</strong>, '
        f'{percent(info.probabilities[info.current_regime], 0)}<br><span class="faint">{escape(" · ".join(parts))}</span></div>'
    )


def _overview(reading: RegimeReading) -> str:
    if len(reading.market.symbols) < 2:
        return ""
    rows = []
    for column, symbol in enumerate(reading.market.symbols):
        info = reading.now.get(symbol)
        if info is None:
            rows.append(f'<tr><th scope="row">{escape(symbol)}</th><td class="text" colspan="5">no regime yet</td></tr>')
            continue
        look = _colours((info.current_regime,))[0]
        agreement = "" if reading.cross is None else f"<td>{percent(_newest(reading.cross.agreement[:, column]))}</td>"
        rows.append(
            f'<tr><th scope="row">{escape(symbol)}</th><td class="text"><i class="swatch r{look}"></i>{escape(called(info.current_regime))}'
            f"</td><td>{percent(info.probabilities[info.current_regime])}</td><td>{format_time(info.since)}</td>"
            f"<td>{info.regime_stability:.2f}</td>{agreement}</tr>"
        )
    names = ("Probability", "Since", "Stability", *(() if reading.cross is None else ("Agreement",)))
    return "<h2>Now</h2>" + _framed(names, rows, '<th scope="row">Regime</th>')


def _notes(reading: RegimeReading) -> str:
    per = max(1, math.ceil(len(reading.market) / COLUMNS))
    gathered = f"Each column of the charts is the mean of {per} bars; a reading of fewer bars shows shorter spells. " if per > 1 else ""
    return (
        f'<p class="faint small">{gathered}Probabilities are filtered: each is from bars up to its own and is never changed by later ones. '
        "Stability is the geometric mean of how sure the detector is and of how long it has said the same: stable from "
        f"{STABLE:g} on, alert under {ALERT:g}. What came after a regime is description of these bars, not a forecast. Bars: sha256 "
        f"{reading.market.digest[:16]}.</p>"
    )


# -- a symbol ------------------------------------------------------------------------------------------------------------
def _symbol(reading: RegimeReading, column: int) -> str:
    symbol, cross = reading.market.symbols[column], reading.cross
    heading = f"<h2>{escape(symbol)}</h2>" if len(reading.market.symbols) > 1 else ""
    grid = _Grid.over(reading.market.open_time)
    agreement = math.nan if cross is None else _newest(cross.agreement[:, column])
    mixed = grid.mean(reading.regimes.probabilities[:, column])
    close = reading.market.close[:, column]
    steady = {"stability": grid.mean(reading.stability[:, column, None])[:, 0]}
    if cross is not None:
        steady["agreement of the timeframes"] = grid.mean(cross.agreement[:, column, None])[:, 0]
    price = over_time(
        reading.market.open_time, {"close": close}, Axis(_price, log=_wide(close)), 300, [9], grid.bands(mixed, reading.regimes.names, 300)
    )
    parts = [
        f"{heading}{_lead(reading.now[symbol], agreement)}",
        f'<figure>{_keys(reading.regimes.names)}<div class="scroll">{price}{grid.areas(mixed, reading.regimes.names)}</div></figure>',
    ]
    if cross is not None:
        strips = {name: cross.probabilities[:, column, place] for place, name in enumerate(cross.timeframes)}
        drawn = grid.strips({**strips, "together": cross.consensus.probabilities[:, column]}, cross.names)
        parts.append(f'<h3>Timeframes side by side</h3><figure>{_keys(cross.names)}<div class="scroll">{drawn}</div></figure>')
    sure = over_time(grid.times, steady, Axis(lambda value: f"{value:.1f}", across=ALERT), 130, [1, 2])
    key = '<svg viewBox="0 0 26 8"><path class="line c{k}" d="M0 4L26 4"/></svg>'
    keys = "".join(f"<li>{key.format(k=place + 1)}{escape(name)}</li>" for place, name in enumerate(steady))
    parts.append(f'<figure><ul class="keys">{keys}</ul><div class="scroll">{sure}</div></figure>')
    return "".join([*parts, _table(reading, reading.stays[symbol], reading.now[symbol])])


def _table(reading: RegimeReading, rows: Sequence[Stay], info: RegimeInfo) -> str:
    lines = []
    for stay, look in zip(rows, _colours(reading.regimes.names), strict=True):
        about = f'<span class="beside">{ABOUT[stay.regime]}</span>' if stay.regime in ABOUT else ""
        after = f"{_basis_points(stay.mean)}<span class='beside'>± {_basis_points(stay.error, sign=False)}</span>"
        wild = _basis_points(stay.volatility, sign=False)
        lines.append(
            f'<tr><th scope="row"><i class="swatch r{look}"></i>{escape(called(stay.regime))}{about}</th>'
            f"<td>{percent(info.probabilities[stay.regime])}</td><td>{percent(stay.share)}</td><td>{stay.spells}</td>"
            f"<td>{number(stay.mean_spell, 1)}</td><td>{stay.longest}</td><td>{after}</td><td>{wild}</td></tr>"
        )
    names = ("Now", "Share of bars", "Spells", "Mean spell, bars", "Longest", "Return of the next bar", "Its deviation")
    return _framed(names, lines)


def _framed(names: Sequence[str], rows: Sequence[str], first: str = "") -> str:
    head = first + "".join(f"<th>{name}</th>" for name in names)
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _keys(names: Sequence[str]) -> str:
    entries = zip(names, _colours(names), strict=True)
    keys = "".join(f'<li class="q{look}"><i class="swatch r{look}"></i>{escape(called(name))}</li>' for name, look in entries)
    return f'<ul class="keys">{keys}</ul>'


# -- drawing -------------------------------------------------------------------------------------------------------------
@final
@dataclass(frozen=True, eq=False)
class _Grid:
    """Bars gathered into columns: `starts` (column,) the first row of each, `times` (column,) its moment, `left` and `right` (column,) its
    place across; it ends where the next begins, or with its last bar where a gap follows that can be seen.
    """

    starts: NDArray[np.int64]
    times: Times
    left: Array
    right: Array
    ticks: Sequence[tuple[float, str]]

    @classmethod
    def over(cls, times: Times) -> _Grid:
        place = across_time(times)
        pauses = np.flatnonzero(np.diff(place(times.astype(np.float64))) > max(GAP, 2.0 * (WIDTH - RIGHT - LEFT) / len(times))) + 1
        even = np.linspace(0, len(times), min(len(times), COLUMNS), endpoint=False).astype(np.int64)
        starts = np.unique(np.append(even, pauses))
        left = place(times[starts].astype(np.float64))
        last = place(times[np.append(starts[1:], len(times)) - 1].astype(np.float64))
        paused = np.isin(np.append(starts[1:], -1), pauses)
        right = np.where(paused, last, np.append(left[1:], WIDTH - RIGHT))
        ticks = [(float(place(np.array([at]))[0]), label) for at, label in time_ticks(times, 7)]
        return cls(starts, times[starts], left, right, ticks)

    def mean(self, values: Array) -> Array:
        """(column, any) the mean of the rows (time, any) that have numbers; NaN where none has."""
        there: NDArray[np.bool_] = np.asarray(~np.isnan(values).any(axis=1))
        total = np.add.reduceat(np.where(there[:, None], values, 0.0), self.starts, axis=0)
        count = np.add.reduceat(there.astype(np.float64), self.starts)
        return np.asarray(np.where(count[:, None] > 0, total / np.maximum(count, 1.0)[:, None], np.nan))

    def bands(self, mixed: Array, names: Sequence[str], height: int, top: float = TOP, deep: float | None = None) -> str:
        """A rectangle for each run of columns with the same most probable regime, of `mixed` (column, regime)."""
        known: NDArray[np.bool_] = np.asarray(~np.isnan(mixed).any(axis=1))
        most = np.where(known, np.where(known[:, None], mixed, 0.0).argmax(axis=1), -1)
        runs = np.flatnonzero(np.append(True, (most[1:] != most[:-1]) | (self.left[1:] > self.right[:-1])))
        looks, depth = _colours(names), height - BOTTOM - top if deep is None else deep
        parts = []
        for first, last in zip(runs.tolist(), [*runs[1:].tolist(), len(most)], strict=True):
            if most[first] >= 0:
                x, width = self.left[first], self.right[last - 1] - self.left[first]
                told = escape(f"{called(names[most[first]])} from {format_time(int(self.times[first]))}")
                parts.append(
                    f'<rect class="band r{looks[most[first]]}" x="{x:.1f}" y="{top:.1f}" width="{max(width, 0.2):.1f}" '
                    f'height="{depth:.1f}"><title>{told}</title></rect>'
                )
        return "".join(parts)

    def areas(self, mixed: Array, names: Sequence[str]) -> str:
        """The probabilities of `mixed` (column, regime), stacked; a gap where there are none."""
        floor, room = AREAS - BOTTOM, AREAS - BOTTOM - TOP
        upper = np.cumsum(mixed, axis=1)
        lower = upper - mixed
        known = np.flatnonzero(~np.isnan(upper).any(axis=1))
        apart = (np.diff(known) > 1) | (self.left[known[1:]] > self.right[known[:-1]])
        pieces = np.split(known, np.flatnonzero(apart) + 1) if len(known) else []
        parts = [f'<svg viewBox="0 0 {WIDTH} {AREAS}" role="img" aria-label="probabilities of {escape(", ".join(map(called, names)))}">']
        for place, look in enumerate(_colours(names)):
            path = "".join(self._ribbon(piece, lower[:, place], upper[:, place], floor, room) for piece in pieces)
            parts.append(f'<path class="area r{look}" d="{path}"><title>{escape(called(names[place]))}</title></path>')
        for value in (0.0, 0.5, 1.0):
            y = floor - value * room
            parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{percent(value, 0)}</text>')
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        return "".join(parts) + self._dates(AREAS) + "</svg>"

    def _ribbon(self, piece: NDArray[np.int64], lower: Array, upper: Array, floor: float, room: float) -> str:
        # Each column keeps its value to its right edge, so that a single one has a width too.
        x = np.repeat(np.append(self.left[piece], self.right[piece[-1]]), 2)[1:-1]
        above, below = (np.repeat(floor - room * values[piece], 2) for values in (upper, lower))
        points = [*zip(x.tolist(), above.tolist(), strict=True), *zip(x[::-1].tolist(), below[::-1].tolist(), strict=True)]
        return "M" + "L".join(f"{at:.1f} {y:.1f}" for at, y in points) + "Z"

    def strips(self, layers: dict[str, Array], names: Sequence[str]) -> str:
        """A strip of bands for each of `layers`, (time, regime)."""
        height = ROW * len(layers) + BOTTOM
        parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="regimes by timeframe: {escape(", ".join(layers))}">']
        for row, (name, values) in enumerate(layers.items()):
            y = ROW * row
            parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + ROW / 2 + 4:.1f}" text-anchor="end">{escape(name)}</text>')
            parts.append(f'<g class="strip">{self.bands(self.mean(values), names, height, y + 3, ROW - 6)}</g>')
        return "".join(parts) + self._dates(height) + "</svg>"

    def _dates(self, height: int) -> str:
        return "".join(
            f'<text class="tick" x="{at:.1f}" y="{height - 8}" text-anchor="middle">{escape(label)}</text>' for at, label in self.ticks
        )


def _colours(names: Sequence[str]) -> list[int]:
    return [LOOKS.get(name, OTHERS[place % len(OTHERS)]) for place, name in enumerate(names)]


def _looks() -> str:
    """The colours of regimes, light and dark, and the fading of the others while a key is pointed at."""
    light = "".join(f"--r{look}: {colour};" for look, colour in enumerate(LIGHT))
    dark = "".join(f"--r{look}: {colour};" for look, colour in enumerate(DARK))
    rules = [
        f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}",
        ".band { opacity: .3; } .strip .band { opacity: .85; } .area { opacity: .8; }",
        ".swatch { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin-right: .45rem; }",
        "th .beside { margin-left: 1.25rem; } .c9 { stroke: var(--ink); stroke-width: 1.3; } .c1 { stroke: var(--c1); }",
        ".c2 { stroke: var(--c2); } td:empty::after { content: '—'; }",
    ]
    for look in range(len(LIGHT)):
        rules.append(f".r{look} {{ fill: var(--r{look}); }} .swatch.r{look} {{ background: var(--r{look}); }}")
        rules.append(f".lead.r{look} {{ border-left-color: var(--r{look}); }}")
        rules.append(f"figure:has(.q{look}:hover) :is(.band, .area):not(.r{look}) {{ opacity: .06; }}")
    return "\n".join(rules)


def _newest(values: Array) -> float:
    """The last number of `values` (time,); NaN where there is none."""
    there = values[~np.isnan(values)]
    return float(there[-1]) if len(there) else math.nan


def _wide(close: Array) -> bool:
    """Whether prices span so much that only a logarithmic axis shows them all."""
    there = close[~np.isnan(close)]
    return len(there) > 0 and bool(there.max() / there.min() >= 8.0)


def _price(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _basis_points(value: float, sign: bool = True) -> str:
    return "" if math.isnan(value) else f"{1e4 * value:{'+' if sign else ''}.1f} bp".replace("-", "−")
