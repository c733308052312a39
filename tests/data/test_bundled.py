"""The bundled markets are there, are the ones that were bundled, and are sound."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tradewind.data.bundled
from tradewind.core.errors import Corrupt, SettingsError
from tradewind.core.files import sha256
from tradewind.data import quality, sample

FOLDER = Path(tradewind.data.bundled.__file__).parent / "sample"


@pytest.mark.parametrize(
    ("name", "rows", "symbols", "timeframe", "calendar"),
    [
        ("btc-15m", 8_684, ("BTC/USD",), "15m", "24/7"),
        ("btc-1d", 661, ("BTC/USD",), "1d", "24/7"),
        ("us-daily", 5_031, ("SP500", "NASDAQ"), "1d", "us-equity"),
    ],
)
def test_each_sample(name: str, rows: int, symbols: tuple[str, ...], timeframe: str, calendar: str) -> None:
    market = sample(name)
    assert (len(market), market.symbols, market.timeframe, market.calendar) == (rows, symbols, timeframe, calendar)
    assert quality(market).ok
    assert not np.isnan(market.close).any()
    entry = json.loads((FOLDER / "provenance.json").read_text())["samples"][name]
    assert sha256((FOLDER / f"{name}.parquet").read_bytes()) == entry["sha256"]


def test_the_licences_are_there() -> None:
    text = (FOLDER / "README.md").read_text()
    assert "Copyright (c) 2026 Renzo Caceres Rossi" in text
    assert "Copyright (c) 2017 Kevin Sheppard" in text
    assert text.count("Permission is hereby granted, free of charge") == 2


def test_an_unknown_sample_and_a_changed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="did you mean 'btc-15m'"):
        sample("btc-15min")
    (tmp_path / "sample").mkdir()
    for path in FOLDER.iterdir():
        (tmp_path / "sample" / path.name).write_bytes(path.read_bytes())
    changed = tmp_path / "sample" / "btc-1d.parquet"
    data = bytearray(changed.read_bytes())
    data[5_000] ^= 1
    changed.write_bytes(bytes(data))
    monkeypatch.setattr(tradewind.data.bundled, "files", lambda _: tmp_path)
    with pytest.raises(Corrupt, match=r"btc-1d\.parquet"):
        sample("btc-1d")


def test_the_public_names_load_late() -> None:
    code = (
        "import sys, tradewind.data as data; assert not {'polars', 'pyarrow', 'duckdb', 'ccxt'} & set(sys.modules); "
        "assert set(dir(data)) == set(data.__all__); [getattr(data, name) for name in data.__all__]; assert callable(data.quality)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
