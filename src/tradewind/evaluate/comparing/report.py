"""A comparison on paper: one self-contained page, the numbers as JSON, a table for a terminal and one in Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np

from tradewind.core.clock import format_time
from tradewind.core.files import write_json, write_text
from tradewind.core.market import Market
from tradewind.evaluate.comparing.comparison import Comparison, Entry
from tradewind.evaluate.comparing.scores import HIGHER_IS_BETTER, Score
from tradewind.evaluate.identity import package_digest
from tradewind.evaluate.manifest import git_state, versions
from tradewind.evaluate.pages.calibration_charts import calibration_chart
from tradewind.evaluate.pages.charts import Axis, over_time
from tradewind.evaluate.pages.report import number, percent
from tradewind.evaluate.pages.style import COLOURS, SHEET, highlights
from tradewind.evaluate.result import finite, measure
from tradewind.stats.scores import calibration, quantile_calibration

__all__ = ["columns", "headline", "lines", "markdown", "render", "show", "write_all"]

WIDTH: Final = 160
_SHARES: Final = ("accuracy", "precision", "recall", "F1", "coverage", "R2")
_RETURNS: Final = ("MAE", "RMSE", "CRPS", "quantile loss")
_UNTOLD: Final = ("precision", "recall", "RMSE")
"""On the page and in the JSON, but not in a terminal, where there is no room."""


def write_all(result: Comparison, market: Market) -> None:
    """Write `compare.html` and `compare.json` into the comparison's folder; `market` is all of its bars."""
    write_text(result.folder / "compare.html", render(result))
    write_json(result.folder / "compare.json", _told(result, market))


def _told(result: Comparison, market: Market) -> dict[str, Any]:
    """Everything but the arrays, with the settings and versions that it takes to do it again; no clock, so equal runs give equal bytes."""
    settings = result.settings
    data = {
        "source": list(settings.data) or settings.market, "symbols": list(market.symbols), "timeframe": market.timeframe,
        "calendar": market.calendar, "bars": len(market), "digest": market.digest,
    }  # fmt: skip
    hold = measure(result.hold, settings.seed)
    return {
        "id": result.id, "settings": settings.to_dict(), "data": data, "versions": versions(),
        "source": package_digest(), "git": git_state(),
        "from": format_time(int(result.market.open_time[0])), "to": format_time(int(result.market.known[-1])), "bars": len(result.market),
        "cells": result.cells, "commonest class": finite({"share": result.frequent})["share"], "reference": result.reference,
        "trials": result.trials.to_dict(), "hold": finite(hold), "refused": dict(result.refused),
        "rows": {row.name: _row(row) for row in result.rows},
        "pairs": {
            row.name: finite({other.name: float(p) for other, p in zip(result.rows, line, strict=True)})
            for row, line in zip(result.rows, result.pairs, strict=True)
        },
    }  # fmt: skip


def _row(row: Entry) -> dict[str, Any]:
    verdict = row.typical.verdict
    return {
        "question": row.forecasts[0].question.to_dict(),
        "policy": row.results[0].settings["policy"],
        "fits": row.forecasts[0].fits,
        "answered": row.answered,
        "scores": {name: finite(vars(score)) for name, score in row.scores.items()},
        **finite({"p_reference": row.p_reference}),
        "verdicts": list(row.labels),
        "typical": {"seed": row.typical.seed, "reasons": list(verdict.reasons), "numbers": finite(verdict.numbers)},
        "accounts": {str(result.seed): finite(result.metrics) for result in row.results},
    }


# -- words --------------------------------------------------------------------------------------------------------------
def _form(name: str, value: float) -> str:
    """A score as people read it, in the unit that `_titled` names: shares in per cent, errors of returns in basis points."""
    unit = _unit(name)
    if unit == "bps":
        return number(1e4 * value, 1)
    if unit == "%":
        return number(100.0 * value, 2 if name == "R2" else 1)
    return number(value, {"net Sharpe": 2, "IC": 3}.get(name, 4))


def columns(result: Comparison) -> list[str]:
    """The names of the scores that any row has, in the order of the table; the net Sharpe ratio is the last."""
    found = dict.fromkeys(name for row in result.rows for name in row.scores if name != "net Sharpe")
    return [*found, "net Sharpe"]


def _titled(name: str) -> str:
    """A score's name with its unit, and what is better."""
    unit = f", {_unit(name)}" if _unit(name) else ""
    arrow = "" if name.startswith("coverage") else " ↑" if name in HIGHER_IS_BETTER else " ↓"
    return f"{name}{unit}{arrow}"


def _unit(name: str) -> str:
    stem = name.partition(" of ")[0]
    return "bps" if stem in _RETURNS else "%" if stem in _SHARES else ""


def headline(result: Comparison) -> str:
    """What came out of it in two sentences: who forecasts better than the reference, and whose forecasts are worth their costs."""
    better = [row.name for row in result.rows if row.p_reference < 0.05 and row.name not in (result.reference, "no-change", "base-rate")]
    earning = [row.name for row in result.rows if row.typical.verdict.label == "edge"]
    first = f"{', '.join(better)}: better than {result.reference} (p < .05, each tested alone)." if better else (
        f"No forecaster is better than {result.reference} by more than chance."
    )  # fmt: skip
    second = f" After costs an edge: {', '.join(earning)}." if earning else " None has an edge after costs."
    return first + second


def _about(result: Comparison) -> str:
    """The bars, the label and what was judged, in a sentence."""
    settings, market = result.settings, result.market
    chosen = f" {json.dumps(dict(settings.label_settings))}" if settings.label_settings else ""
    commonest = "" if math.isnan(result.frequent) else f"; the commonest class came in {percent(result.frequent)} of them"
    return (
        f"{', '.join(market.symbols)}, {len(market)} bars of {market.timeframe} out of sample, {format_time(int(market.open_time[0]))} to "
        f"{format_time(int(market.known[-1]))} UTC; label {settings.label}{chosen}, features {settings.features}; judged on {result.cells} "
        f"answers that every row gave{commonest}"
    )


def lines(result: Comparison, names: Sequence[str]) -> list[tuple[str, list[tuple[str, str]], tuple[str, str, str]]]:
    """Each row as text: its name, (value, interval and seeds) of each score in `names`, and (p, deflated Sharpe, verdict)."""
    told = []
    for row in result.rows:
        cells = [_cell(name, row.scores[name]) if name in row.scores else ("–", "") for name in names]
        deflated = number(row.typical.verdict.numbers.get("deflated_sharpe", math.nan), 3)
        told.append((row.name, cells, (number(row.p_reference, 3), deflated, _verdict(row.labels))))
    hold = measure(result.hold, result.settings.seed)
    sharpe = (number(hold["sharpe"]), f"{number(hold['sharpe_low'])} to {number(hold['sharpe_high'])}")
    told.append(("hold", [*((("–", "")) for _ in names[:-1]), sharpe], ("–", "–", "")))
    return told


def _cell(name: str, score: Score) -> tuple[str, str]:
    if not math.isfinite(score.value):
        return "∞" if score.value > 0 else "–", ""
    beside = f"{_form(name, score.low)} to {_form(name, score.high)}"
    if score.greatest > score.least:
        beside += f"; seeds {_form(name, score.least)} to {_form(name, score.greatest)}"
    return _form(name, score.value), beside


def _verdict(labels: Sequence[str]) -> str:
    """Each verdict once, with its number of seeds where they differ."""
    found = {label: labels.count(label) for label in dict.fromkeys(labels)}
    return next(iter(found)) if len(found) == 1 else ", ".join(f"{label} ({count})" for label, count in found.items())


def show(result: Comparison) -> None:
    """Print the table in a terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(WIDTH, Console().width))
    names = [name for name in columns(result) if name not in _UNTOLD]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    for title in (*map(_titled, names), f"p against {result.reference}", "deflated", "verdict"):
        table.add_column(title, justify="left" if title == "verdict" else "right")
    for name, cells, (p, deflated, verdict) in lines(result, names):
        table.add_row(name, *(f"{value}\n[dim]{beside.replace('; ', chr(10))}[/dim]" for value, beside in cells), p, deflated, verdict)
    console.print(f"{_about(result)}.", highlight=False)
    console.print(table)
    for row, reason in result.refused.items():
        console.print(f"{row} did not answer: {reason}", highlight=False, markup=False)
    console.print(headline(result), highlight=False)


def markdown(result: Comparison) -> str:
    """The table for a document, the intervals beside the values."""
    names = columns(result)
    titles = ["", *map(_titled, names), f"p against {result.reference}", "deflated Sharpe", "verdict"]
    text = [f"{_about(result)}.", "", f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for name, cells, rest in lines(result, names):
        words = [f"{value} ({beside})" if beside else value for value, beside in cells]
        text.append(f"| {' | '.join([name, *words, *rest])} |")
    text += ["", headline(result)]
    text += [f"{row} did not answer: {reason}" for row, reason in result.refused.items()]
    return "\n".join(text) + "\n"


# -- the page -----------------------------------------------------------------------------------------------------------
def render(result: Comparison) -> str:
    """The whole page as HTML text."""
    title = f"{len(result.rows)} forecasters on {', '.join(result.market.symbols)}"
    costs = result.settings.bars.costs
    paid = (
        f"Traded alike by one policy: fees {costs.fee_bps:g} bps, slippage {costs.slippage_bps:g} bps, filled {costs.latency} bar(s) later."
    )
    sections = (
        f"<h1>{escape(title)}</h1><p class='faint'>{escape(_about(result))}.<br>{escape(paid)}</p>",
        f'<div class="lead"><strong>{escape(headline(result))}</strong></div>',
        _table(result), _refusals(result.refused), _matrix(result), _calibrations(result), _curves(result),
        _reasons(result), _origin(result),
    )  # fmt: skip
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{SHEET}{highlights()}</style></head><body>"
    )
    return head + "\n".join(section for section in sections if section) + "</body></html>\n"


def _table(result: Comparison) -> str:
    names = columns(result)
    titles = (*map(_titled, names), f"p against {result.reference}", "Deflated Sharpe", "Verdict", "Answered")
    head = "".join(f"<th>{escape(name)}</th>" for name in titles)
    answered = {row.name: percent(row.answered) for row in result.rows}
    body = []
    for name, cells, rest in lines(result, names):
        shown = [f'{value}<span class="beside">{beside.replace("; ", "<br>")}</span>' for value, beside in cells]
        body.append(
            f'<tr><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{cell}</td>" for cell in (*shown, *rest, answered.get(name, "")))
            + "</tr>"
        )
    test = "Brier score" if result.truth.labels.classes else "squared error"
    note = (
        "Beneath each value its 90 % interval from a stationary bootstrap of whole bars, and the least and greatest over the seeds of what "
        "draws random numbers; with several seeds value and interval are those of the mean. p: one-sided Diebold-Mariano test of the "
        f"{test} against {result.reference}, each row tested alone. Verdict and deflated Sharpe ratio (of the seed with the median Sharpe "
        f"ratio) count all {result.trials.count} trials in the ledger."
    )
    table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll">{table}</div><p class="faint small">{escape(note)}</p>'


def _refusals(refused: Mapping[str, str]) -> str:
    items = "".join(f"<li>{escape(row)}: {escape(reason)}</li>" for row, reason in refused.items())
    return f"<h2>Did not answer</h2><ul>{items}</ul>" if items else ""


def _matrix(result: Comparison) -> str:
    """Who is better than whom."""
    head = "".join(f"<th>{escape(row.name)}</th>" for row in result.rows)
    body = []
    for row, values in zip(result.rows, result.pairs, strict=True):
        cells = "".join(
            "<td></td>" if math.isnan(p) else f'<td{_shade(float(p))}>{number(float(p), 3)}</td>' for p in values
        )  # fmt: skip
        body.append(f'<tr><th scope="row">{escape(row.name)}</th>{cells}</tr>')
    note = "One-sided p of the Diebold-Mariano test that the row forecasts better than the column; under .05 in green, over .95 in red."
    table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<h2>Pair by pair</h2><div class="scroll">{table}</div><p class="faint small">{note}</p>'


def _shade(p: float) -> str:
    if 0.05 <= p <= 0.95:
        return ""
    return f' class="{"gain" if p < 0.5 else "loss"}" style="--strength:{1.0 - min(p, 1.0 - p) / 0.05:.2f}"'


def _calibrations(result: Comparison) -> str:
    """What forecasts said beside what came: of the highest class, or of each quantile, under the first seed."""
    truth = result.truth
    came = truth.labels.values[truth.judged]
    curves = {}
    for row in result.rows:
        forecast = row.forecasts[0].forecast
        if truth.labels.classes and forecast.probabilities is not None:
            up = (came == truth.labels.classes[-1]).astype(np.float64)
            curves[row.name] = calibration(up, forecast.probabilities[truth.judged][:, -1])
        elif not truth.labels.classes and forecast.quantiles is not None:
            curves[row.name] = quantile_calibration(came, forecast.quantiles[truth.judged], forecast.levels)
    if not curves:
        return ""
    told = "Probability of the highest class" if truth.labels.classes else "Level of the quantile"
    parts = [
        f"<figure><figcaption>{escape(name)}</figcaption>{calibration_chart({name: curve}, first=1 + k % (COLOURS - 1))}</figure>"
        for k, (name, curve) in enumerate(curves.items())
    ]
    note = f"{told} beside the share that came true or lay below; the area of a circle is the share of the answers."
    return f'<h2>Calibration</h2><p class="faint small">{note}</p><div class="small-charts">{"".join(parts)}</div>'


def _curves(result: Comparison) -> str:
    """The accounts of the judged seeds, those with the highest Sharpe ratios first, as many as have a colour."""
    ranked = sorted((row for row in result.rows if row.typical.returns.any()), key=lambda row: -row.typical.metrics["sharpe"])
    accounts = {"hold": result.hold} | {row.name: row.typical.account for row in ranked[: COLOURS - 1]}
    series = {name: account.equity / account.capital for name, account in accounts.items()}
    log = all((curve > 0).all() for curve in series.values())
    items = "".join(
        f'<li class="k{k}"><svg viewBox="0 0 26 8"><path class="line c{k}" d="M0 4L26 4"/></svg>{escape(name)}</li>'
        for k, name in enumerate(series)
    )
    chart = over_time(result.market.open_time, series, Axis(lambda v: f"{v:g}", log=log, across=1.0))
    caption = f"Growth of 1 after costs{', logarithmic' if log else ''}."
    return (
        f'<h2>Traded</h2><figure><ul class="keys">{items}</ul><div class="scroll">{chart}</div>'
        f'<figcaption class="small">{caption}</figcaption></figure>'
    )


def _reasons(result: Comparison) -> str:
    parts = []
    for row in result.rows:
        items = "".join(f"<li>{escape(reason)}</li>" for reason in row.typical.verdict.reasons)
        parts.append(f"<details><summary>{escape(row.name)}: <strong>{_verdict(row.labels)}</strong></summary><ul>{items}</ul></details>")
    return "<h2>Why</h2>" + "".join(parts)


def _origin(result: Comparison) -> str:
    told = {**result.settings.to_dict(), "data": [str(name).rpartition("/")[2] for name in result.settings.data]}
    asked = {row.name: {"settings": dict(row.forecasts[0].question.settings), "fits": row.forecasts[0].fits} for row in result.rows}
    provenance = {"id": result.id, "data": result.market.digest, "trials": result.trials.to_dict(), "versions": versions(), "asked": asked}
    return "".join(
        f"<h2>{title}</h2><pre>{escape(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True, default=str))}</pre>"
        for title, content in (("Settings", told), ("Provenance", provenance))
    )
