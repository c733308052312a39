"""Downloads from an exchange on the loopback: pages, faults, killing in the middle, and never an open bar."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ccxt", reason="the extra 'exchange' is not installed")

from tradewind.core.clock import SimulatedClock
from tradewind.core.errors import ExchangeError, MissingExtra, SettingsError
from tradewind.data.exchange import Fetched, fetch
from tradewind.data.store import Store

from .loopback import HOUR, START, Exchange, serve

SINCE = "2021-01-01"


def _download(exchange: Exchange, store: Store, clock: SimulatedClock | None = None, **settings: object) -> tuple[Fetched, ...]:
    return fetch(exchange.client(), "BTC/USDT", "1h", SINCE, store, clock=clock or SimulatedClock(), **settings)  # type: ignore[arg-type]


def test_every_closed_bar_comes_once_and_the_open_one_does_not(tmp_path: Path) -> None:
    with serve(Exchange()) as exchange:
        heard: list[Fetched] = []
        (done,) = _download(exchange, Store(tmp_path), progress=heard.append)
    market = Store(tmp_path).read("BTC/USDT")
    assert done.new == len(market) == 1_200
    assert market.open_time[0] == START * 1_000_000
    assert market.open_time[-1] == (START + 1_199 * HOUR) * 1_000_000
    assert market.close[5, 0] == pytest.approx(float(exchange.candle(5)[4]))
    assert [page.new for page in heard] == [500, 1_000, 1_200]


@pytest.mark.parametrize("faults", [["429"], ["500", "503"], ["drop", "drop"], ["fine", "429", "500", "drop", "fine"]])
def test_faults_are_waited_out(tmp_path: Path, faults: list[str]) -> None:
    clock = SimulatedClock()
    with serve(Exchange(faults=list(faults))) as exchange:
        _download(exchange, Store(tmp_path), clock)
        assert not exchange.faults
    assert len(Store(tmp_path).read()) == 1_200
    assert clock.monotonic() >= (7.0 if "429" in faults else 1.0)


def test_an_exchange_that_stays_away_is_told_in_one_line(tmp_path: Path) -> None:
    with serve(Exchange(faults=["fine"] + ["500"] * 9)) as exchange, pytest.raises(ExchangeError, match="4 tries") as caught:
        _download(exchange, Store(tmp_path), retries=3)
    assert "\n" not in str(caught.value)
    assert len(Store(tmp_path).read()) == 500  # what had come is stored


def test_disorder_and_repetition_change_nothing(tmp_path: Path) -> None:
    with serve(Exchange(shuffled=True)) as exchange:
        _download(exchange, Store(tmp_path / "a"))
    with serve(Exchange()) as exchange:
        _download(exchange, Store(tmp_path / "b"))
    assert Store(tmp_path / "a").read().digest == Store(tmp_path / "b").read().digest


def test_killed_in_the_middle_it_goes_on_to_the_same_store(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(page: Fetched) -> None:
        raise Killed

    with serve(Exchange()) as exchange:
        with pytest.raises(Killed):
            _download(exchange, Store(tmp_path / "a"), progress=kill)
        before = len(exchange.requests)
        (done,) = _download(exchange, Store(tmp_path / "a"))
        again = [query for path, query in exchange.requests[before:] if path.endswith("klines")]
        assert int(again[0]["startTime"]) == START + 500 * HOUR  # not from the beginning
        assert done.new == 700
        _download(exchange, Store(tmp_path / "b"))
        assert _download(exchange, Store(tmp_path / "b"))[0].new == 0
    assert Store(tmp_path / "a").read().digest == Store(tmp_path / "b").read().digest
    assert {p.name for p in (tmp_path / "a").rglob("*.parquet")} == {p.name for p in (tmp_path / "b").rglob("*.parquet")}


def test_an_outage_longer_than_a_page_is_a_gap(tmp_path: Path) -> None:
    with serve(Exchange(missing=range(100, 1_100))) as exchange:
        (done,) = _download(exchange, Store(tmp_path))
    assert done.new == len(Store(tmp_path).read()) == 200


def test_impossible_bars_are_refused_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Exchange.candle

    def candle(self: Exchange, i: int) -> list[object]:
        bar = honest(self, i)
        return [*bar[:3], str(1e9), *bar[4:]] if i == 7 else bar

    monkeypatch.setattr(Exchange, "candle", candle)
    with serve(Exchange()) as exchange:
        (done,) = _download(exchange, Store(tmp_path))
    assert (done.new, done.refused) == (1_199, 1)
    assert "1 impossible" in done.to_text()


def test_a_perpetual_comes_with_its_funding(tmp_path: Path) -> None:
    with serve(Exchange()) as exchange:
        fetch(exchange.client(), ["BTC/USDT:USDT"], "1h", SINCE, Store(tmp_path), clock=SimulatedClock())
    market = Store(tmp_path).read()
    assert market.funding_rate is not None
    paid = np.flatnonzero(~np.isnan(market.funding_rate[:, 0]))
    np.testing.assert_array_equal(paid, np.arange(0, 1_200, 8))
    np.testing.assert_allclose(market.funding_rate[paid, 0], paid * 1e-6, atol=1e-12)


def test_settings_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="did you mean 'binance'"):
        fetch("binanse", "BTC/USDT", "1h", SINCE, Store(tmp_path))
    with serve(Exchange()) as exchange:
        with pytest.raises(SettingsError, match="timeframe of binance"):
            fetch(exchange.client(), "BTC/USDT", "7h", SINCE, Store(tmp_path))
        with pytest.raises(SettingsError, match="symbol of binance"):
            fetch(exchange.client(), "BTC/USTD", "1h", SINCE, Store(tmp_path))
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(MissingExtra, match=r"tradewind\[exchange\]"):
        fetch("binance", "BTC/USDT", "1h", SINCE, Store(tmp_path))
    assert not list(tmp_path.iterdir())
