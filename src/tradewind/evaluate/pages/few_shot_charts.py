"""The page of a few-shot benchmark: every model's answers by shots and steps with their intervals, how fast they learn, and who is ahead.

Nothing is fetched and there is no clock in it. Costs O(models x cells). Intervals of two models that overlap say little, since both saw the
same tasks: the paired test stands below them. Fails to show what a mean hides: an episode is seldom like its mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from tradewind.core.errors import DataError
from tradewind.core.files import write_text
from tradewind.evaluate.pages.charts import Axis, line_chart, nice_ticks
from tradewind.evaluate.pages.report import number
from tradewind.evaluate.pages.style import COLOURS, SHEET, highlights

__all__ = ["render", "write"]

Value: TypeAlias = tuple[float, float, float]
"""Mean, and both ends of its interval; NaN where there is none."""

WIDTH: Final = 760
LEFT: Final = 190
RIGHT: Final = 14
ROW: Final = 32
BOTTOM: Final = 34
NAMES: Final = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "loss": "Loss",
    "net_return": "Net return a decision",
    "sharpe": "Sharpe ratio a decision",
    "hit_rate": "Hit rate",
    "turnover": "Traded a decision",
    "adaptation_seconds": "Seconds to adapt",
}


def write(
    results: Mapping[str, Any], path: str | Path, title: str = "Few-shot benchmark", significance: Mapping[str, Any] | None = None
) -> Path:
    """Render into the file `path` what `FewShotBenchmark.run_benchmark` and, where given, `get_statistical_significance` returned.

    Both may have been through JSON, with null for what is no number. Raises DataError when the file cannot be written.
    """
    return write_text(path, render(results, title, significance))


def render(results: Mapping[str, Any], title: str, significance: Mapping[str, Any] | None = None) -> str:
    """The whole page as HTML text. Raises DataError for results without a model."""
    if not results.get("individual_results"):
        raise DataError("there are no results to draw; run the benchmark first")
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{SHEET}{highlights()}</style></head><body>"
    )
    metrics = _metrics(results)
    sections = [f"<h1>{escape(title)}</h1><p class='faint'>{_asked(results)}</p>", _lead(significance)]
    sections += [_intervals(results, metric) for metric in metrics if metric in (metrics[0], "net_return")]
    sections += [_speed(results, metrics[0], 0), _speed(results, metrics[0], 1), _table(results, metrics), _compared(significance)]
    return head + "\n".join(sections) + "</body></html>\n"


def _asked(results: Mapping[str, Any]) -> str:
    blocks = f"{results['blocks']} blocks of time" if results["blocked_by_time"] else "each a draw of its own"
    kind = str(results["task_type"]).replace("_", " ")
    told = f"{kind}: {results['episodes']:,} episodes, {blocks}; intervals at {results['config']['confidence']:.0%}"
    left_out = "".join(f". {shots} shots: {why}" for shots, why in results["left_out"].items())
    return escape(told + left_out)


def _lead(significance: Mapping[str, Any] | None) -> str:
    if significance is None:
        return ""
    compared = significance["comparisons"]
    ahead = sorted({one["better"] for one in compared if one["better"] == one["first"]})
    behind = sorted({one["first"] for one in compared if one["better"] == one["second"]})
    against = {one["second"] for one in compared}
    other = f" of {escape(next(iter(against)))}" if len(against) == 1 else " of another"
    words = f"Somewhere ahead{other}: {escape(', '.join(ahead))}." if ahead else f"Nobody is ahead{other}."
    rest = f"Behind: {escape(', '.join(behind))}. " if behind else ""
    rest += f"{len(compared)} comparisons, {escape(significance['test'])}; level {significance['level']:.2f}."
    return f'<div class="lead"><strong>{words}</strong><br><span class="faint">{rest}</span></div>'


# -- what was measured -------------------------------------------------------------------------------------------------
def _cells(results: Mapping[str, Any]) -> list[str]:
    """Cells by shots, then steps, whatever order they came in."""
    first = next(iter(results["individual_results"].values()))
    return sorted(first["aggregated_results"], key=_numbers)


def _numbers(cell: str) -> tuple[int, int]:
    shots, *_, steps = (int(found) for found in re.findall(r"\d+", cell))
    return shots, steps


def _metrics(results: Mapping[str, Any]) -> list[str]:
    first = next(iter(results["individual_results"].values()))
    told = next(iter(first["aggregated_results"].values()))
    return [name for name in NAMES if name in told]


def _value(results: Mapping[str, Any], model: str, cell: str, metric: str) -> Value:
    told = results["individual_results"][model]["aggregated_results"][cell].get(metric)
    if told is None:
        return math.nan, math.nan, math.nan
    mean, low, high = (math.nan if part is None else float(part) for part in (told["mean"], *told["interval"]))
    return mean, low, high


# -- charts --------------------------------------------------------------------------------------------------------------
def _intervals(results: Mapping[str, Any], metric: str) -> str:
    """A panel for each cell: a row for each model with its mean and interval, all on one scale."""
    models, cells = list(results["individual_results"]), _cells(results)
    values = {cell: {model: _value(results, model, cell, metric) for model in models} for cell in cells}
    ends = [part for by_model in values.values() for value in by_model.values() for part in value if math.isfinite(part)]
    if not ends:
        return ""
    room = 0.03 * (max(ends) - min(ends)) or max(abs(max(ends)) * 0.1, 1e-6)
    low, high = min(ends) - room, max(ends) + room
    panels = "".join(
        f"<figure><figcaption>{_called(cell)}</figcaption>{_panel(by_model, metric, low, high)}</figure>"
        for cell, by_model in values.items()
    )
    line = "The line is the base rate. " if "base rate" in models else ""
    note = f'<p class="faint small">{line}Dots are means over episodes, whiskers intervals that know that episodes overlap.</p>'
    return f'<h2>{NAMES[metric]}</h2>{note}<div class="small-charts">{panels}</div>'


def _panel(by_model: Mapping[str, Value], metric: str, low: float, high: float) -> str:
    height = ROW * len(by_model) + BOTTOM

    def across(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - RIGHT - LEFT)

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{NAMES[metric]} of {escape(", ".join(by_model))}">']
    for value in nice_ticks(low, high, wanted=4):
        at = across(value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height - BOTTOM}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{height - 8}" text-anchor="middle">{_form(metric, value)}</text>')
    floor = by_model.get("base rate", (math.nan,))[0]
    if math.isfinite(floor):
        parts.append(f'<line class="across" x1="{across(floor):.1f}" x2="{across(floor):.1f}" y1="0" y2="{height - BOTTOM}"/>')
    for row, (model, (mean, least, most)) in enumerate(by_model.items()):
        y = ROW * (row + 0.5)
        parts.append(f'<text class="tick" x="{LEFT - 10}" y="{y + 6:.1f}" text-anchor="end">{escape(model)}</text>')
        if not math.isfinite(mean):
            continue
        told = escape(f"{model}: {_full(metric, (mean, least, most))}")
        whisker = f"M{across(least):.1f} {y:.1f}L{across(most):.1f} {y:.1f}" if math.isfinite(least) else ""
        dot = f'<circle class="line c1" cx="{across(mean):.1f}" cy="{y:.1f}" r="5"/>'
        parts.append(f'<g><title>{told}</title><path class="line c1" d="{whisker}"/>{dot}</g>')
    return "".join(parts) + "</svg>"


def _speed(results: Mapping[str, Any], metric: str, axis: int) -> str:
    """Lines by shots (axis 0) at the most steps, or by steps (axis 1) at the most shots; nothing where there is a single number of them."""
    cells = _cells(results)
    most = max(_numbers(cell)[1 - axis] for cell in cells)
    chosen = sorted((cell for cell in cells if _numbers(cell)[1 - axis] == most), key=lambda cell: _numbers(cell)[axis])
    models = list(results["individual_results"])
    if len(chosen) < 2:
        return ""
    x = np.array([_numbers(cell)[axis] for cell in chosen], dtype=np.float64)
    series = {model: np.array([_value(results, model, cell, metric)[0] for cell in chosen]) for model in models}
    chart = line_chart(x, series, Axis(lambda value: _form(metric, value)), [(at, f"{at:g}") for at in x.tolist()], 300, _colours(models))
    line = '<svg viewBox="0 0 26 8"><path class="line c{k}" d="M0 4L26 4"/></svg>'
    keys = "".join(f'<li class="k{k}">{line.format(k=k)}{escape(model)}</li>' for k, model in zip(_colours(models), models, strict=True))
    what, held = (("shots", f"{most} steps"), ("steps", f"{most} shots"))[axis]
    title = f"{NAMES[metric]} by {what}, {held}"
    return f'<h2>{title}</h2><figure><ul class="keys">{keys}</ul><div class="scroll">{chart}</div></figure>'


def _colours(models: Sequence[str]) -> list[int]:
    """Grey, the style sheet's first, for the base rate; the others in turn."""
    others = [model for model in models if model != "base rate"]
    return [0 if model == "base rate" else 1 + others.index(model) % (COLOURS - 1) for model in models]


# -- tables --------------------------------------------------------------------------------------------------------------
def _table(results: Mapping[str, Any], metrics: Sequence[str]) -> str:
    parts: list[str] = []
    for cell in _cells(results):
        head = "".join(f"<th>{NAMES[metric]}</th>" for metric in metrics)
        rows = "".join(
            f'<tr><th scope="row">{escape(model)}</th>'
            + "".join(_cell(metric, _value(results, model, cell, metric)) for metric in metrics)
            + "</tr>"
            for model in results["individual_results"]
        )
        table = f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        parts.append(f"<details{' open' if not parts else ''}><summary>{_called(cell)}</summary>{table}</details>")
    return f"<h2>Numbers</h2>{''.join(parts)}"


def _cell(metric: str, value: Value) -> str:
    mean, low, high = value
    beside = f'<span class="beside">{_form(metric, low)} to {_form(metric, high)}</span>' if math.isfinite(low) else ""
    return f"<td>{_form(metric, mean)}{beside}</td>"


def _compared(significance: Mapping[str, Any] | None) -> str:
    told = [one for one in (significance or {"comparisons": ()})["comparisons"] if one["better"] is not None]
    if significance is None or not told:
        return ""
    metric = significance["metric"]
    rows = "".join(
        f'<tr><td class="text">{_called(one["cell"])}</td><td class="text">{escape(one["first"])}</td>'
        f'<td class="text">{escape(one["second"])}</td><td>{_form(metric, one["difference"])}</td><td>{one["p_holm"]:.3f}</td>'
        f'<td>{one["blocks"]}</td><td class="text">{escape(one["better"])}</td></tr>'
        for one in told
    )
    words, numbers = '<th scope="row">{}</th>', "<th>{}</th>"
    columns = ((words, ("Cell", "First", "Second")), (numbers, ("Difference", "p (Holm)", "Blocks")), (words, ("Ahead",)))
    head = "".join(form.format(column) for form, group in columns for column in group)
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<h2>Differences beyond chance</h2>{table}"


def _called(cell: str) -> str:
    shots, steps = _numbers(cell)
    return f"{shots} shot{'s' if shots > 1 else ''}, {steps} step{'s' if steps != 1 else ''}"


def _full(metric: str, value: Value) -> str:
    mean, low, high = value
    return _form(metric, mean) + (f" ({_form(metric, low)} to {_form(metric, high)})" if math.isfinite(low) else "")


def _form(metric: str, value: float | None) -> str:
    """Shares in per cent, returns in basis points, seconds in milliseconds, all else as it is."""
    if value is None or not math.isfinite(value):
        return number(math.nan)
    scale, digits, unit = {
        "accuracy": (100.0, 1, " %"),
        "balanced_accuracy": (100.0, 1, " %"),
        "hit_rate": (100.0, 1, " %"),
        "net_return": (1e4, 1, " bp"),
        "adaptation_seconds": (1e3, 1, " ms"),
    }.get(metric, (1.0, 3, ""))
    return number(scale * value, digits) + unit
