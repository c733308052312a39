"""The report: one self-contained page, the verdict first and in words, then the numbers, the curves, and where they come from.

Nothing is fetched: styles and charts stand in the page. It holds no clock, so the same run gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from tradewind.core.clock import format_time
from tradewind.core.files import write_text
from tradewind.core.types import Array
from tradewind.engine import Backtest, backtest
from tradewind.evaluate.pages.charts import Axis, line_chart, month_table, over_time
from tradewind.evaluate.pages.style import COLOURS, SHEET, highlights
from tradewind.evaluate.verdict import Verdict
from tradewind.stats.metrics import drawdown, monthly_returns, rolling_sharpe, sharpe

__all__ = ["Page", "Row", "headline", "number", "percent", "render", "share", "write"]

MULTIPLES: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Of fees and slippage, in the chart of cost sensitivity."""


@final
@dataclass(frozen=True, eq=False)
class Row:
    """One strategy in a report: its account, numbers and verdict (None for hold, which the others are read beside)."""

    name: str
    account: Backtest
    metrics: Mapping[str, float]
    verdict: Verdict | None = None
    refits: str = ""


@final
@dataclass(frozen=True, eq=False)
class Page:
    """A report: `rows` over the same bars, hold first; `windows` (first, last) row of each test part; `notes` on the data's quality;
    `sections`: HTML by heading, which stands after the curves."""

    title: str
    rows: Sequence[Row]
    windows: Sequence[tuple[int, int]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)

    @property
    def account(self) -> Backtest:
        """Any row's account: market and costs are those of all."""
        return self.rows[0].account


def write(page: Page, path: str | Path) -> Path:
    """Render `page` into the file `path`. Raises DataError when it cannot be written."""
    return write_text(path, render(page))


def render(page: Page) -> str:
    """The whole page as HTML text."""
    market, costs = page.account.market, page.account.costs
    span = f"{format_time(int(market.open_time[0]))} to {format_time(int(market.known[-1]))} UTC"
    about = f"{', '.join(market.symbols)} · {len(market)} bars of {market.timeframe} out of sample · {span}"
    paid = f"Fees {costs.fee_bps:g} bps, slippage {costs.slippage_bps:g} bps, filled {costs.latency} bar(s) after the decision."
    sections = (
        f"<h1>{escape(page.title)}</h1><p class='faint'>{escape(about)}<br>{escape(paid)}</p>",
        _lead(page.rows), _table(page.rows), _reasons(page.rows), _curves(page),
        *(f"<h2>{escape(title)}</h2>{content}" for title, content in page.sections.items()),
        _positions(page.rows), _months(page.rows), _sensitivity(page.rows), _folds(page), _origin(page),
    )  # fmt: skip
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{SHEET}{highlights()}</style></head><body>"
    )
    return head + "\n".join(sections) + "</body></html>\n"


def headline(rows: Sequence[Row]) -> str:
    """The verdict in one sentence."""
    judged = [(row.name, row.verdict.label) for row in rows if row.verdict is not None and row.name != "hold"]
    found = [name for name, label in judged if label == "edge"]
    unsure = [name for name, label in judged if label == "cannot tell"]
    if found:
        return f"{_listed(found)}: an edge over buy-and-hold that luck does not explain."
    if unsure:
        rest = "; the others have none" if len(unsure) < len(judged) else ""
        return f"No edge is shown. This record cannot tell about {_listed(unsure)}{rest}."
    return "No edge: nothing here beats buy-and-hold and luck." if judged else "Nothing was judged."


def _lead(rows: Sequence[Row]) -> str:
    hold = rows[0].metrics
    beside = f"Buy-and-hold over the same bars: {percent(hold['net_return'])}, Sharpe {number(hold['sharpe'])}."
    return f'<div class="lead"><strong>{escape(headline(rows))}</strong><br><span class="faint">{beside}</span></div>'


COLUMNS: Final = (
    "Verdict",
    "Net return",
    "Sharpe, 90 % interval",
    "Drawdown",
    "Turnover a year",
    "Cost share",
    "Deflated Sharpe",
    "Refits",
)


def _table(rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    lines = []
    for row in rows:
        m = row.metrics
        label = "" if row.verdict is None else f'<span class="label {row.verdict.label.replace(" ", "-")}">{row.verdict.label}</span>'
        deflated = math.nan if row.verdict is None else row.verdict.numbers.get("deflated_sharpe", math.nan)
        cells = (
            label,
            percent(m["net_return"]),
            f'{number(m["sharpe"])}<span class="beside">{number(m["sharpe_low"])} to {number(m["sharpe_high"])}</span>',
            percent(m["max_drawdown"]), f"{number(m['turnover'], 1)} ×", share(m["cost_share"]),
            number(deflated, 3), escape(row.refits),
        )  # fmt: skip
        lines.append(f'<tr><th scope="row">{escape(row.name)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    note = (
        "Every bar is out of sample and after costs. Turnover is traded value over equity; cost share is what fees, slippage and funding "
        "took of the earnings before them, empty where nothing was earned. The deflated Sharpe ratio is the chance that the true one is "
        "above what luck gives the best of all trials the ledger counted."
    )
    table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="scroll">{table}</div><p class="faint small">{note}</p>'


def _reasons(rows: Sequence[Row]) -> str:
    parts = []
    for row in rows:
        if row.verdict is not None:
            items = "".join(f"<li>{escape(reason)}</li>" for reason in row.verdict.reasons)
            parts.append(f"<details><summary>{escape(row.name)}: <strong>{row.verdict.label}</strong></summary><ul>{items}</ul></details>")
    return "<h2>Why</h2>" + "".join(parts)


def _curves(page: Page) -> str:
    market, rows = page.account.market, page.rows
    equity = {row.name: row.account.equity / row.account.capital for row in rows}
    log = all((curve > 0).all() for curve in equity.values())
    # A year where the record has eight of them, else an eighth of it: shorter windows show noise alone.
    window = min(market.bars("365d"), max(2, len(market) // 8))
    rolled = {row.name: rolling_sharpe(row.account.returns, window, market.periods_per_year) for row in rows}
    under = {name: drawdown(np.concatenate([[1.0], curve]))[1:] for name, curve in equity.items()}
    keys = _keys(list(equity))
    charts = (
        ("Equity", f"Growth of 1{', logarithmic' if log else ''}.", equity, Axis(lambda v: f"{v:g}", log=log, across=1.0)),
        ("Drawdown", "Below the highest equity so far.", under, Axis(lambda v: percent(v, 0), across=0.0)),
        ("Rolling Sharpe", f"Annual, of the last {window} bars.", rolled, Axis(lambda v: f"{v:g}", across=0.0)),
    )
    return "".join(
        f'<h2>{name}</h2><figure>{keys}<div class="scroll">{over_time(market.open_time, series, axis)}</div>'
        f"<figcaption class='small'>{caption}</figcaption></figure>"
        for name, caption, series, axis in charts
    )


def _positions(rows: Sequence[Row]) -> str:
    parts = []
    for number_, row in enumerate(rows):
        net = {row.name: row.account.weights.sum(axis=1)}
        chart = over_time(
            row.account.market.open_time, net, Axis(lambda v: f"{v:g}", across=0.0, dates=3), height=190, colours=(number_ % COLOURS,)
        )
        parts.append(f"<figure><figcaption>{escape(row.name)}</figcaption>{chart}</figure>")
    note = "Net exposure at each close: the sum of signed weights of all symbols, as held."
    return f'<h2>Positions</h2><p class="faint small">{note}</p><div class="small-charts">{"".join(parts)}</div>'


def _months(rows: Sequence[Row]) -> str:
    parts = []
    for number_, row in enumerate(rows):
        table = month_table(monthly_returns(row.account.returns, row.account.market.open_time), lambda v: percent(v, 1))
        parts.append(f"<details{' open' if number_ < 2 else ''}><summary>{escape(row.name)}</summary>{table}</details>")
    return "<h2>Returns by month</h2>" + "".join(parts)


def _sensitivity(rows: Sequence[Row]) -> str:
    """Net Sharpe ratio of the recorded targets under dearer and cheaper trading."""
    series = {row.name: np.array([_sharpe_at(row.account, multiple) for multiple in MULTIPLES]) for row in rows}
    ticks = [(multiple, f"{multiple:g}×") for multiple in MULTIPLES]
    chart = line_chart(np.array(MULTIPLES), series, Axis(lambda v: f"{v:g}", across=0.0), ticks)
    note = (
        "Net Sharpe ratio a year if fees and slippage were so many times those assumed. The recorded targets are traded again: a strategy "
        "that minds its costs might have decided otherwise."
    )
    figure = f'{_keys(list(series))}<div class="scroll">{chart}</div><figcaption class="small">{note}</figcaption>'
    return f"<h2>Cost sensitivity</h2><figure>{figure}</figure>"


def _sharpe_at(account: Backtest, multiple: float) -> float:
    costs = account.costs
    dearer = dataclasses.replace(
        costs, fee_bps=min(9_999.0, costs.fee_bps * multiple), slippage_bps=min(9_999.0, costs.slippage_bps * multiple),
        slippage_volatility=costs.slippage_volatility * multiple,
    )  # fmt: skip
    again = backtest(account.targets, account.market, dearer, account.capital)
    return float(sharpe(again.returns, account.market.periods_per_year))


def _folds(page: Page) -> str:
    if not page.windows:
        return ""
    market = page.account.market
    head = "<thead><tr><th>Fold</th><th>Test from</th><th>to</th><th>Bars</th>"
    head += "".join(f"<th>{escape(row.name)}</th>" for row in page.rows) + "</tr></thead>"
    lines = []
    for k, (first, last) in enumerate(page.windows):
        gained = "".join(f"<td>{percent(_compounded(row.account.returns[first:last]))}</td>" for row in page.rows)
        dates = f"<td>{format_time(int(market.open_time[first]))}</td><td>{format_time(int(market.known[last - 1]))}</td>"
        lines.append(f'<tr><th scope="row">{k + 1}</th>{dates}<td>{last - first}</td>{gained}</tr>')
    return f'<h2>Test parts</h2><div class="scroll"><table>{head}<tbody>{"".join(lines)}</tbody></table></div>'


def _origin(page: Page) -> str:
    parts = []
    if page.notes:
        parts.append(f"<h2>Quality of the data</h2><pre>{escape(page.notes)}</pre>")
    for title, content in (("Settings", page.settings), ("Provenance", page.provenance)):
        if content:
            parts.append(
                f"<h2>{title}</h2><pre>{escape(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True, default=str))}</pre>"
            )
    return "".join(parts)


def _keys(names: Sequence[str]) -> str:
    line = '<svg viewBox="0 0 26 8"><path class="line c{k}" d="M0 4L26 4"/></svg>'
    items = "".join(f'<li class="k{k % COLOURS}">{line.format(k=k % COLOURS)}{escape(name)}</li>' for k, name in enumerate(names))
    return f'<ul class="keys">{items}</ul>'


def _compounded(returns: Array) -> float:
    return float(np.prod(1.0 + returns) - 1.0)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def percent(value: float, digits: int = 1) -> str:
    """`12.3 %`, with a true minus sign; a dash for NaN."""
    return "–" if not math.isfinite(value) else f"{100 * value:.{digits}f} %".replace("-", "−")


def number(value: float, digits: int = 2) -> str:
    """`1.23`, with a true minus sign; a dash for NaN."""
    return "–" if not math.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")


def share(value: float) -> str:
    """A share in per cent, cut off where it is too large to mean anything."""
    return "> 999 %" if value > 9.99 else percent(value)
