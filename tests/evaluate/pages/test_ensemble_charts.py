from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import tradewind as tw
from evaluate.small import market
from tradewind.core.clock import HOUR
from tradewind.engine import backtest
from tradewind.evaluate.ensemble_row import EnsembleRow, ensemble_row
from tradewind.evaluate.pages.ensemble_charts import columns, ensemble_figures, regime_chart, shares_chart

NAMES = ("momentum", "rsi-reversal", "bollinger-reversal")
TIMES = 450_000 * HOUR + HOUR * np.arange(1000, dtype=np.int64)


def areas(svg: str) -> list[np.ndarray]:
    """The corners of each filled area."""
    found = re.findall(r'<path d="M([^"]*)Z" fill="var', svg)
    return [np.array([[float(x) for x in corner.split()] for corner in path.split("L")]) for path in found]


def test_columns_are_means_that_leave_out_what_is_missing() -> None:
    values = np.stack([np.arange(1000.0), np.full(1000, np.nan)], axis=1)
    values[:2, 0] = np.nan
    middle, averaged = columns(TIMES, values)
    assert len(middle) == 250 and np.isnan(averaged[:, 1]).all()
    np.testing.assert_allclose(averaged[:3, 0], [2.5, 5.5, 9.5])
    few, same = columns(TIMES[:3], values[:3, :1])
    np.testing.assert_array_equal(few, TIMES[:3].astype(float))
    np.testing.assert_array_equal(same[2:], [[2.0]])


def test_areas_stack_to_the_top_and_do_not_overlap() -> None:
    rise = np.linspace(0.0, 1.0, 1000)
    lower, upper = areas(shares_chart(TIMES, {"up": rise, "rest": 1.0 - rise}))
    top = upper[len(upper) // 2 :][::-1, 1]
    np.testing.assert_allclose(top, top[0])
    np.testing.assert_array_equal(lower[len(lower) // 2 :], upper[: len(upper) // 2][::-1])
    assert lower[:, 0].max() <= 760 and (np.diff(lower[: len(lower) // 2, 0]) > 0).all()


def test_a_regime_is_a_stretch_of_the_strip_and_a_missing_one_is_a_gap() -> None:
    probabilities = np.zeros((1000, 2))
    probabilities[:400, 0], probabilities[400:, 1] = 1.0, 1.0
    probabilities[800:] = np.nan
    svg = regime_chart(TIMES, np.linspace(1, 2, 1000), probabilities, ("calm_water", "storm"))
    found = [(float(x), float(width)) for x, width in re.findall(r'<rect x="([\d.]+)" y="0" width="([\d.]+)"', svg)]
    assert len(found) == 2 and "calm water" in svg and "<title>storm</title>" in svg
    assert found[0][0] + found[0][1] == pytest.approx(found[1][0], abs=0.11)
    assert found[1][0] + found[1][1] < 760 * 0.85


def small_row(**changes: object) -> EnsembleRow:
    bars = market(500, symbols=2)
    accounts = {name: backtest(tw.strategy(name).decide_all(bars[200:]), bars[200:]) for name in NAMES}
    return ensemble_row(tw.ensemble.preset("balanced", **changes), bars, accounts)


def test_the_three_figures_of_a_row() -> None:
    made = small_row()
    times = made.market.open_time
    drawn = ensemble_figures(made.found, times, np.ones(300), np.zeros(300))
    assert drawn.count("<figure>") == 3 and all(name in drawn for name in (*NAMES, "trending bull", "confidence", "net exposure"))
    without = small_row(regime=None)
    assert ensemble_figures(without.found, times, np.ones(300), np.zeros(300)).count("<figure>") == 2


def test_many_members_are_drawn_as_ten_and_the_rest() -> None:
    made = small_row(regime=None)
    shares = np.full((300, 14), 1 / 14) + np.linspace(0.01, -0.01, 14)
    many = replace(made.found, members=tuple(f"m{k}" for k in range(14)), weights=shares)
    drawn = ensemble_figures(many, made.market.open_time, np.ones(300), np.zeros(300))
    assert "4 others" in drawn and ">m9<" in drawn and ">m10<" not in drawn and len(areas(drawn)) == 11


@pytest.mark.parametrize("bars", [0, 1])
def test_nothing_to_draw(bars: int) -> None:
    assert "Nothing to draw" in shares_chart(TIMES[:bars], {"one": np.ones(bars)})
    assert "Nothing to draw" in regime_chart(TIMES[:bars], np.ones(bars), np.ones((bars, 1)), ("a",))
