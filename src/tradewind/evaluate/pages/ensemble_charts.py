"""Whom an ensemble trusted, in which regime, and what it decided, as SVG text for the report: stacked weights, a price over a strip of
regimes, and lines.

Source: the stacked river of weights after Byron, Wattenberg, "Stacked graphs: geometry and aesthetics", IEEE Transactions on Visualization
and Computer Graphics 14 (2008), https://doi.org/10.1109/TVCG.2008.166. Costs O(bars): all is averaged into 250 columns. Fails to show
what lasts less than a column; with more than ten members the least trusted are drawn as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.types import Array, Times
from tradewind.ensemble.combine import Combined
from tradewind.evaluate.pages.charts import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Axis, line_chart, time_ticks

__all__ = ["columns", "ensemble_figures", "regime_chart", "shares_chart"]

SPANS: Final = 250
MOST: Final = 10
"""Colours of the style sheet that are not hold's."""
HEIGHT: Final = 240
STRIP: Final = 14


def ensemble_figures(found: Combined, times: Times, price: Array, exposure: Array) -> str:
    """Three figures with captions, over `times` (time,) UTC ns: the weights of the members, the regimes under `price` (time,), and lines
    of confidence, agreement and net `exposure` (time,)."""
    ranked = np.argsort(-found.weights.mean(axis=0), kind="stable")
    shares = {found.members[k]: found.weights[:, k] for k in ranked[:MOST]}
    if len(ranked) > MOST:
        shares[f"{len(ranked) - MOST} others"] = found.weights[:, ranked[MOST:]].sum(axis=1)
    lines = {"confidence": found.confidence, "agreement": found.agreement, "net exposure": exposure}
    trusted = "Trust in each member, stacked; what is missing to the top is nobody's: too few were at work."
    figures = [(trusted, shares_chart(times, shares))]
    if found.regimes:
        under = "The most probable regime, under what buy-and-hold was worth."
        figures.append((under, regime_chart(times, price, found.probabilities, found.regimes)))
    middle, averaged = columns(times, np.stack(list(lines.values()), axis=1))
    numbers = tuple(range(1, len(lines) + 1))
    drawn = {name: averaged[:, k] for k, name in enumerate(lines)}
    chart = line_chart(middle, drawn, Axis(lambda v: f"{v:g}", across=0.0), time_ticks(times, 7), colours=numbers)
    figures.append(("How sure it was of a gain, how far the members agreed, and what it held.", f"{_keys(drawn)}{chart}"))
    return "".join(f"<figure><figcaption class='small'>{escape(caption)}</figcaption>{chart}</figure>" for caption, chart in figures)


def columns(times: Times, values: Array) -> tuple[Array, Array]:
    """At most SPANS times (span,), and the means (span, series) of `values` (time, series) around them; NaN where all of a span are."""
    parts = np.array_split(np.arange(len(times)), min(SPANS, len(times)))
    middle = np.array([float(times[rows[len(rows) // 2]]) for rows in parts])
    there = ~np.isnan(values)
    total = np.array([np.where(there[rows], values[rows], 0.0).sum(axis=0) for rows in parts])
    count = np.array([there[rows].sum(axis=0) for rows in parts])
    return middle, np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def shares_chart(times: Times, shares: Mapping[str, Array]) -> str:
    """Areas of `shares`, each (time,), stacked in their order from below, over `times` (time,) UTC ns; they add up to at most 1."""
    if not shares or len(times) < 2:
        return '<p class="faint">Nothing to draw.</p>'
    middle, averaged = columns(times, np.stack(list(shares.values()), axis=1))
    edges = np.concatenate([np.zeros((len(middle), 1)), np.nan_to_num(averaged).cumsum(axis=1)], axis=1)
    x, y = _across(middle), (HEIGHT - BOTTOM) - np.clip(edges, 0.0, 1.0) * (HEIGHT - BOTTOM - TOP)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(", ".join(shares))}">']
    for k, name in enumerate(shares):
        along = [f"{at:.1f} {down:.1f}" for at, down in zip(x, y[:, k], strict=True)]
        back = [f"{at:.1f} {down:.1f}" for at, down in zip(x[::-1], y[::-1, k + 1], strict=True)]
        path = f"M{'L'.join(along + back)}Z"
        parts.append(f'<path d="{path}" fill="var(--c{_colour(k)})" fill-opacity=".75"><title>{escape(name)}</title></path>')
    for share in (0.0, 0.5, 1.0):
        down = HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{down + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    return f"{_keys(shares, filled=True)}{''.join(parts)}{_dates(times, middle)}</svg>"


def regime_chart(times: Times, price: Array, probabilities: Array, names: Sequence[str]) -> str:
    """A line of `price` (time,) over a strip coloured by the most probable regime of each span, from `probabilities` (time, regime)."""
    if len(times) < 2:
        return '<p class="faint">Nothing to draw.</p>'
    middle, averaged = columns(times, np.concatenate([price[:, None], probabilities], axis=1))
    line, regimes = averaged[:, 0], averaged[:, 1:]
    known: NDArray[np.bool_] = np.asarray(~np.isnan(regimes).any(axis=1))
    current = np.where(known, np.where(known[:, None], regimes, 0.0).argmax(axis=1), -1)
    keys = _keys(dict.fromkeys(name.replace("_", " ") for name in names), filled=True)
    axis = Axis(lambda v: f"{v:g}", log=bool(np.nanmin(line) > 0))
    chart = line_chart(middle, {"price": line}, axis, time_ticks(times, 7), HEIGHT, (0,))
    strip = [f'<svg viewBox="0 0 {WIDTH} {STRIP}" role="img" aria-label="regimes">']
    x = _across(middle)
    half = (x[1] - x[0]) / 2 if len(x) > 1 else 1.0
    for begin, end in _runs(current):
        if current[begin] >= 0:
            left, right = x[begin] - half, x[end - 1] + half
            strip.append(
                f'<rect x="{left:.1f}" y="0" width="{right - left:.1f}" height="{STRIP}" fill="var(--c{_colour(int(current[begin]))})">'
                f"<title>{escape(names[int(current[begin])])}</title></rect>"
            )
    return f"{keys}{chart}{''.join(strip)}</svg>"


def _runs(codes: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(begin, end) of each run of equal codes."""
    cuts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return list(pairwise(cuts))


def _across(moments: Array) -> Array:
    span = float(moments[-1] - moments[0]) or 1.0
    return np.asarray(LEFT + (moments - moments[0]) / span * (WIDTH - RIGHT - LEFT))


def _dates(times: Times, middle: Array) -> str:
    span = float(middle[-1] - middle[0]) or 1.0
    ticks = [(LEFT + (at - middle[0]) / span * (WIDTH - RIGHT - LEFT), label) for at, label in time_ticks(times, 7)]
    return "".join(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(label)}</text>' for x, label in ticks)


def _keys(names: Mapping[str, object], filled: bool = False) -> str:
    """What each colour stands for: of areas where `filled`, else of lines."""
    area, line = '<rect width="26" height="8" fill="var(--c{k})"/>', '<path class="line c{k}" d="M0 4L26 4"/>'
    marks = ((area if filled else line).format(k=_colour(k)) for k in range(len(names)))
    items = "".join(f'<li><svg viewBox="0 0 26 8">{mark}</svg>{escape(name)}</li>' for mark, name in zip(marks, names, strict=True))
    return f'<ul class="keys">{items}</ul>'


def _colour(number: int) -> int:
    return 1 + number % MOST
