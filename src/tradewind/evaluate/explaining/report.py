"""An explanation for people: the same sections as text for a terminal and as one page that fetches nothing and holds no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final, final

import numpy as np

from tradewind.core.clock import format_time
from tradewind.core.files import write_text
from tradewind.evaluate.explaining.charts import bar_chart, heat_map
from tradewind.evaluate.explaining.explain import Explanation
from tradewind.evaluate.explaining.importance import Overview
from tradewind.evaluate.pages.report import number, percent
from tradewind.evaluate.pages.style import SHEET, highlights
from tradewind.strategies.reason import share

__all__ = ["Section", "decision_sections", "overview_sections", "page", "text", "write_page"]

TOP: Final = 12
"""Features in the text and in charts; the page and the JSON have a table of all."""


@final
@dataclass(frozen=True)
class Section:
    """A part of an explanation: sentences, a table whose first column names its rows, and, in the page alone, a chart as SVG text.

    `shown`: rows of the table that the text has.
    """

    title: str
    words: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    chart: str = ""
    shown: int = TOP


def text(title: str, sections: Sequence[Section]) -> str:
    """The sections as plain text."""
    parts = [title]
    for section in sections:
        parts += ["", section.title, *(f"  {sentence}" for sentence in section.words), *_columns(section)]
    return "\n".join(parts)


def page(title: str, sections: Sequence[Section]) -> str:
    """The sections as one HTML page in the style of reports."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{SHEET}{highlights()}</style></head><body>"
    )
    return f"{head}<h1>{escape(title)}</h1>\n" + "\n".join(map(_html, sections)) + "</body></html>\n"


def write_page(title: str, sections: Sequence[Section], path: str | Path) -> Path:
    """Write `page` to a file. Raises DataError when it cannot be written."""
    return write_text(path, page(title, sections))


def decision_sections(told: Explanation) -> tuple[str, list[Section]]:
    """The title and the sections of one decision."""
    title = f"Why {told.row} decided as it did on {told.symbol} after the bar of {format_time(told.bar)}"
    sections = [_decision(told), _thought(told), _forecast(told), *_contributed(told), *_weighed(told), _followed(told)]
    if told.notes:
        sections.append(Section("Not as it was when the run was made", told.notes))
    return title, [section for section in sections if section.words or section.rows]


def overview_sections(told: Overview) -> tuple[str, list[Section]]:
    """The title and the sections of a row's test parts."""
    sections = []
    if told.explained:
        sizes, leans = told.size.sum(axis=0), told.lean.sum(axis=0)
        order = [told.names.index(name) for name in told.ranking()]
        words = (
            f"Mean size of what each input added to {told.explained} answers in {told.folds} folds, as {told.unit}, by {told.method}.",
        )
        rows = tuple((told.names[i], _signed(sizes[i])[1:], _signed(leans[i])) for i in order)
        chart = bar_chart({told.names[i]: float(sizes[i]) for i in order[:TOP]}, lambda value: f"{value:.4g}")
        sections.append(Section("Contributions", words, ("", "mean size", "mean"), rows, chart))
        if len(told.size) > 1:
            lagged = heat_map(told.size[:, order[:TOP]], [told.names[i] for i in order[:TOP]], lambda value: f"{value:.3g}")
            sections.append(Section("Contributions by lag", ("Mean size; the bar itself is on the right.",), chart=lagged))
    elif told.silence:
        sections.append(Section("Contributions", (f"There are none: {told.silence}.",)))
    if told.importance is not None:
        sections.append(_permuted(told))
    if told.notes:
        sections.append(Section("Not as it was when the run was made", told.notes))
    return f"What {told.row} leant on in run {told.run}", sections


def _permuted(told: Overview) -> Section:
    found = told.importance
    assert found is not None, "asked before"
    (low, high), order = found.interval, np.argsort(-found.mean, kind="stable")
    skill = "better" if found.loss < told.usual else "NO BETTER"
    words = (
        f"How much the loss of {found.loss:.6g} {found.unit} over {found.rows} test rows rises when an input is shuffled in blocks of "
        f"{found.block} rows, {found.increase.shape[1]} times; below zero the answers were better without it.",
        f"Saying what was usual in training has a loss of {told.usual:.6g}: the model is {skill} than that.",
        "Chance: how often a shuffled input did at least as well as the true one, which counts among them.",
    )
    rows = tuple(
        (found.names[i], _signed(found.mean[i]), f"{_signed(low[i])} to {_signed(high[i])}", number(float(found.chance[i]))) for i in order
    )
    chosen = order[:TOP]
    chart = bar_chart(
        {found.names[i]: float(found.mean[i]) for i in chosen}, lambda value: _signed(value),
        {found.names[i]: (float(low[i]), float(high[i])) for i in chosen},
    )  # fmt: skip
    return Section("Permutation importance", words, ("", "rise of the loss", "nine of ten within", "chance"), rows, chart)


def _decision(told: Explanation) -> Section:
    wanted = "keeps what it holds" if math.isnan(told.recorded) else f"asks for {share(told.recorded)}"
    same = (
        "Taken again from the files of the run, the decision is the one on record, to the bit."
        if told.same
        else f"TAKEN AGAIN IT IS ANOTHER: {_weight(told.recomputed)}, not {_weight(told.recorded)} as on record; this explains the former."
    )
    trained = " to ".join(format_time(moment) for moment in told.trained)
    fitted = f"Fold {told.fold + 1}" + (f", by what was fitted in fold {told.fitted + 1}" if told.fitted != told.fold else "")
    first = f"At {format_time(told.known)} UTC, when the bar was known, it {wanted}."
    return Section("Decision", (first, f"{fitted}; trained on bars that open {trained}.", same))


def _thought(told: Explanation) -> Section:
    if told.reason is None:
        return Section("How it came about", ("The strategy offers no explanation beyond its target.",))
    rows = tuple((name, "keeps" if math.isnan(value) else f"{value:,.6g}") for name, value in told.reason.values.items())
    return Section("How it came about", told.reason.words, ("", "value"), rows, shown=len(rows))


def _forecast(told: Explanation) -> Section:
    said = told.forecast()
    form = percent if any(name.startswith("class") for name in said) else (lambda value: f"{100 * value:+.3f} %")
    rows = tuple((name, form(value), form(told.base[name]) if name in told.base else "") for name, value in said.items())
    return Section("Forecast", (), ("", "forecast", "usual in training"), rows, shown=len(rows))


def _contributed(told: Explanation) -> list[Section]:
    if told.answer is None:
        return []
    inputs, added, parts = told.inputs(), told.contributions(), told.answer.parts
    if parts is None:
        order = sorted(inputs, key=lambda name: -abs(inputs[name][1]))
        words = (f"Contributions: none, {told.answer.silence}. The inputs farthest from what was usual in training come first.",)
        plain = tuple((name, f"{inputs[name][0]:.6g}", f"{inputs[name][1]:+.2f}") for name in order)
        return [Section("What it knew", words, ("", "value", "standard score"), plain)]
    meaning = "log-odds of the highest class against the lowest" if parts.unit == "log-odds" else parts.unit
    words = (
        f"By {parts.method}, as {meaning}: {_signed(float(parts.base[0]))} for nothing in particular, {_signed(sum(added.values()))} from "
        f"the inputs, {_signed(float(parts.total[0]))} in all.",
    )
    known = {name: (f"{value:.6g}", f"{score:+.2f}") for name, (value, score) in inputs.items()}
    # The members of a stack are no inputs of the strategy: they have a contribution and no value here.
    rows = tuple((name, *known.get(name, ("", "")), _signed(value)) for name, value in added.items())
    top = list(added)[:TOP]
    chart = bar_chart({name: added[name] for name in top}, _signed)
    sections = [Section("What it knew, and what that added", words, ("", "value", "standard score", "added"), rows, chart)]
    if parts.values.shape[1] > 1:
        columns = [parts.names.index(name) for name in top]
        lagged = heat_map(parts.values[0][:, columns], top, _signed)
        later = parts.values[0].sum(axis=1)
        strongest = int(np.abs(later).argmax())
        back = f"{len(later) - 1 - strongest} rows before the bar" if strongest < len(later) - 1 else "at the bar itself"
        sections.append(Section("By lag", (f"The row that added most, {_signed(float(later[strongest]))}, is {back}.",), chart=lagged))
    return sections


def _weighed(told: Explanation) -> list[Section]:
    """What the net selected and where it looked, for nets that weigh their inputs themselves."""
    found = told.interpretation()
    if found is None:
        return []
    from tradewind.evaluate.pages.tft_charts import attention_chart, selection_chart

    selected, attended = found.selected(), found.attended()
    rows = tuple((name, part, percent(weight)) for part, weights in selected.items() for name, weight in weights.items())
    words = ("How much of each input the net let through; this says how far it looked at it, not in which direction it moved the answer.",)
    farthest = found.window - 1 - int(attended.mean(axis=0).argmax())
    looked = f"It looked most at the bar {farthest} rows before." if farthest else "It looked most at the bar itself."
    chosen, looks = selection_chart(selected["encoder"], TOP), attention_chart(found)
    return [Section("Selection weights", words, ("", "of the", "weight"), rows, chosen), Section("Attention", (looked,), chart=looks)]


def _followed(told: Explanation) -> Section:
    words = []
    if told.order is None:
        kept = math.isnan(told.recorded)
        words.append("It kept what it held, so no order followed." if kept else "No bar of the symbol followed in time to fill an order.")
    elif told.order.quantity == 0.0:
        words.append(f"At the open of {format_time(told.order.filled)} it held that already: no trade.")
    else:
        filled, verb = told.order, "bought" if told.order.quantity > 0 else "sold"
        words.append(
            f"At the open of {format_time(filled.filled)} it {verb} {abs(filled.quantity):.6g} units for each 1 of starting capital at "
            f"{filled.price:,.6g}: {percent(filled.notional)} of equity, a fee of {percent(filled.fee, 4)}, slippage of "
            f"{percent(filled.slippage, 4)}."
        )
    after = told.aftermath
    if after is None:
        words.append("The record ends there.")
    else:
        reach = f"the {after.horizon} bars that the label looks ahead, to" if after.horizon else "the bars to the next fill, to"
        words.append(
            f"Over {reach} {format_time(after.until)}, the price moved {percent(after.move, 3)} from that open; the "
            f"symbol earned {percent(after.earned, 3)} of equity, by what was held of it all the while."
        )
        if math.isfinite(after.answer):
            words.append(f"What had been asked about came out as {after.answer:+.6g}.")
    return Section("What followed", tuple(words))


def _columns(section: Section) -> list[str]:
    if not section.rows:
        return []
    lines = [section.head, *section.rows[: section.shown]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(section.head))]
    told = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    left = len(section.rows) - section.shown
    return [*(f"  {line}".rstrip() for line in told), *([f"  and {left} more"] if left > 0 else [])]


def _html(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", *(f"<p>{escape(sentence)}</p>" for sentence in section.words)]
    if section.chart:
        parts.append(f'<figure><div class="scroll">{section.chart}</div></figure>')
    if section.rows:
        head = "".join(f"<th>{escape(name)}</th>" for name in section.head)
        lines = "".join(
            f'<tr><th scope="row">{escape(line[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in line[1:]) + "</tr>"
            for line in section.rows
        )
        table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
        parts.append(f"<details open><summary>Numbers</summary>{table}</details>")
    return "".join(parts)


def _signed(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value:+.4g}".replace("-", "−")


def _weight(target: float) -> str:
    return "keeping" if math.isnan(target) else share(target)
