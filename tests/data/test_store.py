"""The store: what was written is what is read, appending twice is appending once, and damage is always told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tradewind.core.clock import HOUR
from tradewind.core.errors import Corrupt, DataError, SettingsError
from tradewind.data import sample
from tradewind.data.resampling import resample
from tradewind.data.store import Store
from tradewind.data.synthetic import gappy, noise


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert not store.path.exists()
    btc, us, holes = sample("btc-15m"), sample("us-daily"), gappy(bars=2_000, symbols=3).market
    assert [store.write(market) for market in (btc, us, holes)] == [8_684, 10_062, int((~np.isnan(holes.close)).sum())]
    assert store.read(timeframe="15m").digest == btc.digest
    assert store.read(timeframe="1d").digest == us.digest
    assert store.read(timeframe="1h").digest == holes.digest
    assert store.read("NASDAQ", "1d", "2001-01-01", "2002-01-01").digest == us.select(["NASDAQ"]).between("2001-01-01", "2002-01-01").digest
    assert store.last("BTC/USD", "15m") == btc.open_time[-1]
    assert store.last("BTC/USD", "1h") is None


def test_known_funding_and_marks_come_back(tmp_path: Path) -> None:
    market = noise(bars=100).market
    funding = np.where(np.arange(100)[:, None] % 8 == 0, 1e-4, np.nan)
    market = replace(market, known=market.known + HOUR // 2, funding_rate=funding, mark_close=market.close * 1.001)
    Store(tmp_path).write(market)
    assert Store(tmp_path).read().digest == market.digest


def test_writing_twice_is_writing_once(tmp_path: Path) -> None:
    market = gappy(bars=3_000, symbols=2).market
    Store(tmp_path / "a").write(market)
    b = Store(tmp_path / "b")
    for start, end in ((1_500, 3_000), (0, 1_600), (700, 2_000), (0, 3_000)):
        b.write(market[start:end])
    assert b.write(market) == 0
    assert b.read().digest == market.digest
    names = [sorted(p.relative_to(root).as_posix() for p in root.rglob("*.parquet")) for root in (tmp_path / "a", tmp_path / "b")]
    assert names[0] == names[1]  # equal to the byte, since each part is named after its content; and no replaced part is left


def test_a_contradicting_bar_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    market = noise(bars=100).market
    store = Store(tmp_path)
    store.write(market[:60])
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    volume = market.volume.copy()
    volume[55] += 1
    with pytest.raises(DataError, match="NOISE-1 at 2001-01-03 07:00:00 is stored with close"):
        store.write(replace(market, volume=volume))
    with pytest.raises(DataError, match="calendar"):
        store.write(replace(market, calendar="24/5"))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_no_flipped_bit_is_read_silently(tmp_path: Path) -> None:
    market = noise(bars=400).market
    store = Store(tmp_path)
    store.write(market)
    random = np.random.default_rng(3)
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert len(files) == 2
    for path in files:
        whole = path.read_bytes()
        for place in random.choice(len(whole), 250, replace=False):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(random.integers(8))
            path.write_bytes(bytes(flipped))
            with pytest.raises(Corrupt, match=path.name):
                store.read()
            with pytest.raises(Corrupt, match=path.name):
                store.query("select count(*) from bars")
        path.write_bytes(whole)
    assert store.read().digest == market.digest


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_truncated_part_is_told(length: int, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(noise(bars=400).market)
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(Corrupt, match=path.name):
        store.read()
    path.unlink()
    with pytest.raises(DataError, match=path.name):
        store.read()


def test_killed_between_part_and_manifest_the_store_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = noise(bars=400).market
    store = Store(tmp_path)
    store.write(market[:200])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tradewind.data.store.write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            store.write(market)
    assert store.read().digest == market[:200].digest
    assert store.write(market) == 200
    assert store.read().digest == market.digest


def test_duckdb_answers_over_all_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(sample("us-daily"))
    store.write(resample(sample("us-daily"), "1w"))
    answer = store.query("select symbol, count(*) as bars, max(close) as top from bars where timeframe = '1d' group by all order by symbol")
    assert answer["bars"].to_list() == [5_031, 5_031]
    np.testing.assert_allclose(answer["top"].to_numpy(), sample("us-daily").close.max(axis=0)[::-1])
    assert store.query("select min(open_time) as t from bars")["t"][0].isoformat() == "1999-01-04T00:00:00+00:00"
    with pytest.raises(DataError, match="query failed") as caught:
        store.query("select nothing from bars")
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(DataError, match="empty store"):
        store.read()
    with pytest.raises(DataError, match="empty store"):
        store.query("select 1")
    store.write(sample("btc-15m"))
    with pytest.raises(SettingsError, match="did you mean 'BTC/USD'"):
        store.read("BTC/USDT")
    with pytest.raises(SettingsError, match="timeframe"):
        store.read(timeframe="4h")
    with pytest.raises(DataError, match="no bars from 2025"):
        store.read(start="2025-01-01")
    store.write(sample("btc-1d"))
    with pytest.raises(DataError, match="say which"):
        store.read()


@pytest.mark.parametrize("symbol", ["../../etc/x", "..", "A/B:C", "a b%2F", "ü"])
def test_a_symbol_cannot_leave_the_folder(symbol: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.write(replace(noise(bars=50).market, symbols=(symbol,)))
    assert store.read().symbols == (symbol,)
    assert [p.name for p in tmp_path.iterdir()] == ["store"]
    assert all(len(p.relative_to(store.path).parts) == 3 for p in store.path.rglob("*.parquet"))
