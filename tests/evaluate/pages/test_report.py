from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import tradewind as tw
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.pages.report import Page, Row, headline, number, percent, render, share
from tradewind.evaluate.result import Result, measure
from tradewind.evaluate.verdict import Verdict
from tradewind.evaluate.walk_forward import walk_forward

from ..small import Mine, market

VOID = {"meta", "br", "line", "path", "col"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def result() -> Result:
    return walk_forward(Mine(), market(24 * 90, 2, gaps=True), costs=tw.Costs(), ledger=Ledger(":memory:"))


@pytest.fixture(scope="module")
def page(result: Result) -> Page:
    return Page("Two coins", result.report_rows(), result.windows, {"seed": 0}, {"data": "abc"}, "fine")


def test_the_page_is_well_formed_and_asks_the_network_for_nothing(page: Page) -> None:
    text, parser = render(page), Balanced()
    parser.feed(text)
    assert parser.open == [] and {"svg", "table", "details", "figure"} <= parser.seen
    assert not re.search(r"https?://|<script|<link|<iframe|<img|@import|url\(|\bsrc=|\bhref=", text)
    assert not re.search(r'd="[^"]*(nan|inf)', text)


def test_every_section_is_there_with_the_verdict_first(page: Page) -> None:
    text = render(page)
    sections = ["lead", "table", "Why", "Equity", "Drawdown", "Rolling Sharpe", "Positions", "Returns by month", "Cost sensitivity"]
    places = [text.index(f"<h2>{name}</h2>" if name[0].isupper() else name, text.index("<body>")) for name in sections]
    assert places == sorted(places)
    for word in ("Test parts", "Quality of the data", "Settings", "Provenance"):
        assert f"<h2>{word}</h2>" in text
    assert text.count('<tr><th scope="row">8</th>') == 1  # eight folds


def test_each_number_stands_under_its_name(result: Result, page: Page) -> None:
    table = re.search(r"<table>.*?</table>", render(page))
    assert table is not None
    heads = re.findall(r"<th>(.*?)</th>", table[0])[1:]
    cells = [re.sub(r"<[^>]*>", " ", cell).split() for cell in re.findall(r"<td>(.*?)</td>", table[0].split("<tr>")[-1])]
    shown = dict(zip(heads, cells, strict=True))
    assert " ".join(shown["Verdict"]) == result.verdict.label and shown["Net return"][0] == percent(result.metrics["net_return"]).split()[0]
    assert shown["Sharpe, 90 % interval"][0] == number(result.metrics["sharpe"]) and shown["Refits"] == ["never"]
    assert shown["Drawdown"][0] == percent(result.metrics["max_drawdown"]).split()[0]
    assert shown["Deflated Sharpe"] == [number(result.verdict.numbers["deflated_sharpe"], 3)]


def test_equal_runs_give_equal_pages(page: Page) -> None:
    assert render(page) == render(page)


def test_text_from_outside_is_escaped(page: Page) -> None:
    evil = "<script>alert('x')</script>"
    verdict = Verdict("no edge", (evil,), {})
    rows = (page.rows[0], replace(page.rows[1], name=evil, verdict=verdict, refits=evil))
    text = render(replace(page, title=evil, rows=rows, settings={evil: evil}, notes=evil))
    assert "<script" not in text and text.count("&lt;script&gt;") > 6


def test_cost_sensitivity_at_one_is_the_recorded_sharpe_and_falls(result: Result) -> None:
    from tradewind.evaluate.pages.report import MULTIPLES, _sharpe_at

    drawn = [_sharpe_at(result.account, multiple) for multiple in MULTIPLES]
    assert drawn[MULTIPLES.index(1.0)] == result.metrics["sharpe"]
    assert all(np.diff(drawn) < 0)


def _row(name: str, label: str | None) -> Row:
    account = tw.backtest(np.zeros(50), market(50))
    return Row(name, account, measure(account), None if label is None else Verdict(label, ("because",), {}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("edge", "no edge", "cannot tell"), "a: an edge"),
        (("edge", "edge", "no edge"), "a and b: an edge"),
        (("no edge", "cannot tell", "no edge"), "No edge is shown. This record cannot tell about b; the others have none."),
        (("cannot tell", "cannot tell", "cannot tell"), "cannot tell about a, b and c."),
        (("no edge", "no edge", "no edge"), "No edge: nothing here"),
    ],
)
def test_the_headline_says_what_was_found(labels: tuple[str, ...], words: str) -> None:
    rows = [_row("hold", None), *(_row(name, label) for name, label in zip("abc", labels, strict=True))]
    assert words in headline(rows)


def test_an_account_that_never_traded_can_be_reported() -> None:
    text = render(Page("idle", (_row("hold", None), _row("idle", "no edge"))))
    assert "–" in text and "Test parts" not in text


def test_a_ruined_account_can_be_reported() -> None:
    bars = market(300)
    jump = np.where(np.arange(300) < 150, 1.0, 3.0)[:, None]
    tripled = replace(bars, **{name: getattr(bars, name) * jump for name in ("open", "high", "low", "close")})
    account = tw.backtest(np.full(300, -1.0), tripled)
    assert account.equity[-1] <= 0
    row = Row("short", account, measure(account), Verdict("no edge", ("ruined",), {}))
    assert "nan" not in re.sub(r"<pre>.*?</pre>", "", render(Page("ruin", (row,)))).lower()


def test_numbers_read_well() -> None:
    assert percent(-0.1234) == "−12.3 %" and percent(float("nan")) == "–" and number(-1.005, 1) == "−1.0" and share(47.3) == "> 999 %"
