"""The bundled real markets: small parquet files beside this module, whose provenance and licences stand in their folder's README."""

from __future__ import annotations

from importlib.resources import as_file, files

from tradewind.core.files import read_json
from tradewind.core.market import Market
from tradewind.core.settings import choose
from tradewind.data.parquet import read_parquet

__all__ = ["sample"]


def sample(name: str = "btc-15m") -> Market:
    """A bundled market: `btc-15m` (BTC/USD, 24/7), `btc-1d` (BTC/USD), or `us-daily` (SP500 and NASDAQ on the us-equity calendar).

    Raises SettingsError for another name and Corrupt when a file is not the one that was bundled (its sha256 is checked).
    """
    with as_file(files("tradewind.data") / "sample") as folder:
        samples = read_json(folder / "provenance.json")["samples"]
        entry = choose(name, samples, "sample")
        frame = read_parquet(folder / f"{name}.parquet", entry["sha256"])
    return Market.from_frame(frame, timeframe=entry["timeframe"], calendar=entry["calendar"])
