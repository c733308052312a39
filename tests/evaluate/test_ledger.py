from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind as tw
from tradewind.core.clock import HOUR
from tradewind.core.errors import Corrupt, DataError
from tradewind.evaluate.ledger import SKETCH, Ledger, default_path, sketch

from .small import FIRST, market

RETURNS = np.array([0.01, -0.02, 0.03, 0.0])


def test_the_same_configuration_on_the_same_market_counts_once() -> None:
    ledger, bars = Ledger(":memory:"), market()
    for configuration in ("a", "b", "a", "a"):
        ledger.note(configuration, "name", bars, RETURNS)
    assert ledger.trials(bars).count == 2 and len(ledger.rows()) == 2
    assert ledger.trials(market(seed=1)).count == 1  # the trial that asks counts, though none is noted


def test_variance_is_that_of_the_noted_sharpes() -> None:
    ledger, bars = Ledger(":memory:"), market()
    noted = [RETURNS, RETURNS + 0.01, RETURNS * -1.0]
    for number, returns in enumerate(noted):
        ledger.note(str(number), "x", bars, returns)
    expected = np.var([series.mean() / series.std(ddof=1) for series in noted], ddof=1)
    assert ledger.trials(bars).variance == pytest.approx(expected, rel=1e-12)


def test_sharpes_of_other_bar_lengths_are_brought_to_the_same_year() -> None:
    ledger, hourly = Ledger(":memory:"), market(400)
    slow = tw.data.resample(hourly, "4h")
    ledger.note("a", "x", hourly, RETURNS)
    ledger.note("b", "x", slow, RETURNS)
    ratio = tw.stats.sharpe(RETURNS)
    assert ledger.trials(hourly).variance == pytest.approx(np.var([ratio, ratio / 2], ddof=1))
    assert ledger.trials(slow).variance == pytest.approx(np.var([2 * ratio, ratio], ddof=1))


@given(start=st.integers(0, 900), length=st.integers(60, 400))
@settings(max_examples=40, deadline=None)
def test_any_slice_overlaps_its_market_and_a_disjoint_one_does_not(start: int, length: int) -> None:
    bars, ledger = market(1000), Ledger(":memory:")
    ledger.note("whole", "x", bars, RETURNS)
    part = bars[start : start + length]
    assert ledger.trials(part).count == 1
    ledger.note("part", "x", part, RETURNS)
    assert ledger.trials(part).count == 2 and ledger.trials(bars).count == 2
    apart = market(1000, first=FIRST + 5_000 * HOUR)
    ledger.note("apart", "x", apart, RETURNS)
    assert ledger.trials(part).count == 2 and ledger.trials(apart).count == 1


def test_a_small_part_of_a_long_history_is_recognised() -> None:
    bars, ledger = market(40_000), Ledger(":memory:")
    ledger.note("a", "x", bars, RETURNS)
    ledger.note("b", "x", bars[20_000:21_000], RETURNS)
    assert len(sketch(bars)) == SKETCH and ledger.trials(bars).count == 2


def test_resampled_data_and_chosen_symbols_overlap() -> None:
    bars, ledger = market(500, 3), Ledger(":memory:")
    ledger.note("fast", "x", bars, RETURNS)
    ledger.note("slow", "x", tw.data.resample(bars, "2h"), RETURNS)
    ledger.note("one", "x", bars.select(["S1"]), RETURNS)
    assert ledger.trials(bars).count == 3


def test_it_lasts_and_writes_nothing_when_only_asked(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.note("a", "momentum", market(), RETURNS)
    with Ledger(path) as ledger:
        assert [row["name"] for row in ledger.rows()] == ["momentum"] and ledger.rows()[0]["n"] == 4
        assert ledger.trials(market()).count == 1


def _write_many(path: str, writer: int) -> None:
    with Ledger(path) as ledger:
        for number in range(25):
            ledger.note(f"{writer}-{number}", "x", market(50), RETURNS)


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.sqlite")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(path, k)) for k in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with Ledger(path) as ledger:
        assert ledger.trials(market(50)).count == 75


def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at " * 40)
    with pytest.raises(Corrupt, match=r"ledger\.sqlite.*no ledger"):
        Ledger(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="TRADEWIND_LEDGER"):
        Ledger(tmp_path / "file" / "ledger.sqlite")
    with pytest.raises(DataError, match="cannot be"):
        Ledger(tmp_path)


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRADEWIND_LEDGER", str(tmp_path / "mine.sqlite"))
    assert default_path() == tmp_path / "mine.sqlite"
    monkeypatch.delenv("TRADEWIND_LEDGER")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "tradewind" / "ledger.sqlite"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_path() == Path.home() / ".local" / "state" / "tradewind" / "ledger.sqlite"
