"""The page of regimes: what its head says, that bands and areas lie where the bars are, and that it needs nothing from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluate.small import market
from tests.strategies.told import Told, telling

import tradewind as tw
from tradewind.core.clock import HOUR
from tradewind.core.market import Market
from tradewind.evaluate.pages.regime_charts import COLUMNS, called, render, write
from tradewind.evaluate.regime_reading import RegimeReading, read
from tradewind.regimes.registry import CATALOGUE

FAST = {"fast": 5, "slow": 15, "memory": 50, "hold": 5}


@pytest.fixture(autouse=True)
def _told() -> object:
    tw.regimes.register("told", Told)
    yield
    CATALOGUE.entries.pop("told")


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)))


def switching(bars: int = 40) -> Market:
    """Bull in the first half, bear in the second; the second half is what is shown."""
    first = market(2 * bars)
    bull = np.repeat([0.5, 1.0, 0.0], [bars, bars // 2, bars - bars // 2])[:, None]
    return telling(first, bull)


def bands(page: str) -> list[tuple[str, float, float]]:
    """Look, left edge and width of the bands behind the price."""
    chart = page[page.index("<svg viewBox", page.index("<figure>")) :]
    chart = chart[: chart.index("</svg>")]
    found = re.findall(r'<rect class="band (r\d)" x="([\d.]+)" y="8.0" width="([\d.]+)"', chart)
    return [(look, float(x), float(width)) for look, x, width in found]


def test_the_head_says_what_is_now_and_what_was_fitted() -> None:
    told = words(render(read(switching(), "told")))
    assert "Regimes of S0" in told and "40 bars of 1h" in told
    assert "Detector: told; fitted on the first 50 % of all bars, 40 of them, none of which is shown." in told
    assert "bear , 100 %" in told and "stability" in told
    rules = words(render(read(market(120), "rules", FAST)))
    assert "Detector: rules, fast 5, slow 15, memory 50, hold 5; nothing is fitted." in rules
    for regime in tw.regimes.SEVEN:
        assert called(regime) in rules


def test_bands_lie_behind_the_bars_of_their_regime() -> None:
    page = render(read(switching(), "told"))
    one, two = bands(page)
    # The chart is 694 wide from 58 on; 39 steps between 40 bars. Twenty bars in the mean of two is a half: a tie, which goes to the
    # first, so bear begins one bar later.
    step = 694 / 39
    assert one == ("r0", 58.0, pytest.approx(21 * step, abs=0.2)) and two[0] == "r1"
    assert two[1] == pytest.approx(58 + 21 * step, abs=0.2) and two[1] + two[2] == pytest.approx(752, abs=0.2)


def test_nothing_is_drawn_where_there_are_no_bars() -> None:
    bars = switching()
    times = bars.open_time + HOUR * np.where(np.arange(80) >= 50, 40, 0)
    page = render(read(replace(bars, open_time=times, known=times + HOUR), "told"))
    one, two, _ = bands(page)
    step = 694 / 79
    assert one[1] + one[2] == pytest.approx(58 + 9 * step, abs=0.2) and two[1] == pytest.approx(58 + 50 * step, abs=0.2)
    area = re.search(r'<path class="area r0" d="([^"]+)"', page)
    assert area is not None and area[1].count("M") == 2


def test_areas_stack_to_one() -> None:
    page = render(read(telling(market(300)), "told"))
    upper = {}
    for look, path in re.findall(r'<path class="area (r\d)" d="([^"]+)"', page):
        points = [tuple(map(float, point.split())) for point in re.findall(r"[\d.]+ [\d.]+", path)]
        upper[look] = points
    # 170 high, 26 below and 8 above: one lies at 8, nothing at 144.
    assert max(y for _, y in upper["r0"]) == 144.0 and min(y for _, y in upper["r1"]) == 8.0
    n = len(upper["r0"]) // 2
    assert upper["r0"][:n] == upper["r1"][n:][::-1]


def test_many_bars_are_gathered_and_said_to_be() -> None:
    page = render(read(market(3 * COLUMNS), "rules", FAST))
    assert "Each column of the charts is the mean of 3 bars;" in words(page)
    assert page.count('class="band') <= COLUMNS and len(page) < 400_000
    assert "Each column" not in words(render(read(market(COLUMNS // 2), "rules", FAST)))


def test_timeframes_have_a_strip_each_and_symbols_a_table() -> None:
    page = render(read(market(600, symbols=2, gaps=True), "rules", FAST, timeframes=("4h",)))
    told = words(page)
    assert told.count("Timeframes side by side") == 2 and "of the timeframes agree" in told
    for name in ("1h", "4h", "together"):
        assert page.count(f'text-anchor="end">{name}</text>') == 2
    assert "Regime Probability Since Stability Agreement" in told
    assert [*re.findall(r"<h2>(S\d)</h2>", page)] == ["S0", "S1"]


def test_a_symbol_without_a_regime_is_named() -> None:
    bars = market(60, symbols=2)
    late = {
        name: np.where((np.arange(60)[:, None] < 55) & np.array([[False, True]]), np.nan, getattr(bars, name))
        for name in ("open", "high", "low", "close", "volume")
    }
    page = render(read(replace(bars, **late), "rules", FAST))
    assert "S1 no regime yet" in words(page) and "<h2>S1</h2>" not in page


def test_foreign_names_are_escaped_and_have_colours_of_their_own() -> None:
    reading = read(switching(), "told")
    strange = replace(reading, detector="<b>", regimes=replace(reading.regimes, names=("a<1>", "b_2")), stays={"S0": ()})
    strange = replace(
        strange,
        now={"S0": replace(reading.now["S0"], current_regime="a<1>", probabilities={"a<1>": 1.0, "b_2": 0.0})},
        stays=_renamed(reading),
    )
    page = render(strange)
    assert "<b>" not in page and "a&lt;1&gt;" in page and "b 2" in page
    assert {look for look, _, _ in bands(page)} == {"r3", "r5"}


def _renamed(reading: RegimeReading) -> dict[str, object]:
    names = ("a<1>", "b_2")
    return {"S0": tuple(replace(stay, regime=name) for stay, name in zip(reading.stays["S0"], names, strict=True))}


def test_the_page_fetches_nothing_and_is_the_same_twice(tmp_path: Path) -> None:
    reading = read(market(200), "rules", FAST, timeframes=("4h",))
    page = write(reading, tmp_path / "regimes.html").read_text()
    assert page == render(reading)
    assert not re.search(r"(src|href)=|@import|url\(|<script", page)
    assert page.count("<svg") == page.count("</svg>") and "nan" not in page
