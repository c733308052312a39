"""The ledger: every configuration that is evaluated on a market counts as a trial, so that the best of many is not taken for skill.

Sources: Bailey & López de Prado (2014), "The Deflated Sharpe Ratio", https://ssrn.com/abstract=2460551; overlap of markets by bottom-k
sketches, Cohen & Kaplan (2007), https://doi.org/10.1145/1281100.1281133. Costs one hash a bar and one small transaction an evaluation.
Fails when data are altered on the way (another price source for the same hours shares no bar with the first), and when two markets share
so small a part that no sketched bar lies in it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import Clock, SystemClock
from tradewind.core.errors import Corrupt, DataError
from tradewind.core.files import sha256
from tradewind.core.market import Market
from tradewind.core.types import Array
from tradewind.stats.metrics import kurtosis, sharpe, skewness

__all__ = ["Ledger", "Trials", "default_path", "sketch"]

SKETCH: Final = 1024
"""Bars in a sketch: a market that shares a hundredth of its bars with another is missed in fewer than one case in twenty thousand."""

_PATIENCE: Final = 60.0
"""Seconds that a writer waits for another one."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS markets (digest TEXT PRIMARY KEY, sketch BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
    configuration TEXT NOT NULL, market TEXT NOT NULL REFERENCES markets (digest), name TEXT NOT NULL,
    sharpe REAL NOT NULL, n INTEGER NOT NULL, skew REAL, kurtosis REAL, periods_per_year REAL NOT NULL, noted INTEGER NOT NULL,
    PRIMARY KEY (configuration, market));
"""


@final
@dataclass(frozen=True)
class Trials:
    """How many configurations were evaluated on a market or on data that overlap it, and the variance of their Sharpe ratios per period."""

    count: int
    variance: float

    def to_dict(self) -> dict[str, float | int]:
        """Plain numbers, for manifests."""
        return asdict(self)


@final
class Ledger:
    """The book of trials: an SQLite file, `:memory:`, or by default `$TRADEWIND_LEDGER`, else the user's state folder.

    Several processes may write at once. Raises DataError when the file cannot be opened or written and Corrupt when it is no ledger.
    """

    def __init__(self, path: str | Path | None = None, clock: Clock | None = None) -> None:
        self.path = str(default_path() if path is None else path)
        self._clock = clock or SystemClock()
        try:
            if self.path != ":memory:":
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise DataError(
                f"{self.path}: the ledger of trials cannot be opened: {error}; set TRADEWIND_LEDGER to a writable file"
            ) from None
        with self._guarded():
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)

    def note(self, configuration: str, name: str, market: Market, returns: Array) -> None:
        """Count one evaluation: `configuration` is its digest, `name` for people, `returns` (time,) net and per bar of `market`.

        The same configuration on the same market counts once, with its latest numbers.
        """
        ratio = sharpe(returns)
        shape = (skewness(returns), kurtosis(returns))
        numbers = [float(x) if np.isfinite(x) else None for x in shape]
        row = (configuration, market.digest, name, float(ratio) if np.isfinite(ratio) else 0.0, len(returns), *numbers)
        with self._guarded(), self._transaction():
            self._connection.execute("INSERT OR IGNORE INTO markets VALUES (?, ?)", (market.digest, sketch(market).tobytes()))
            self._connection.execute(
                "INSERT OR REPLACE INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, market.periods_per_year, self._clock.now())
            )

    def trials(self, market: Market) -> Trials:
        """The trials on `market` and on every market that shares a sketched bar with it; at least one counts.

        Sharpe ratios of other bar lengths are brought to this market's by the root of the bars a year.
        """
        mine = sketch(market)
        with self._guarded():
            known = self._connection.execute("SELECT digest, sketch FROM markets").fetchall()
            shared = {name for name, blob in known if name == market.digest or _overlap(mine, np.frombuffer(blob, dtype=np.uint64))}
            rows = self._connection.execute("SELECT market, sharpe, periods_per_year FROM trials ORDER BY configuration, market").fetchall()
        ratios = [ratio * np.sqrt(periods / market.periods_per_year) for name, ratio, periods in rows if name in shared]
        return Trials(max(1, len(ratios)), float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0)

    def rows(self) -> list[dict[str, Any]]:
        """Every trial, oldest first."""
        names = ("configuration", "market", "name", "sharpe", "n", "skew", "kurtosis", "periods_per_year", "noted")
        with self._guarded():
            found = self._connection.execute(f"SELECT {', '.join(names)} FROM trials ORDER BY noted, configuration").fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE takes the write lock at once: two writers wait for each other instead of failing half-way.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise DataError(f"{self.path}: the ledger of trials cannot be used: {error}; set TRADEWIND_LEDGER to a writable file") from None
        except sqlite3.DatabaseError as error:
            raise Corrupt(f"{self.path}: is no ledger of trials: {error}; move it away or set TRADEWIND_LEDGER to another file") from None


def default_path() -> Path:
    """`$TRADEWIND_LEDGER`, else `tradewind/ledger.sqlite` in `$XDG_STATE_HOME` or `~/.local/state`."""
    chosen = os.environ.get("TRADEWIND_LEDGER")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tradewind" / "ledger.sqlite"


def sketch(market: Market) -> NDArray[np.uint64]:
    """(k,) the smallest hashes of (symbol, close time, close) over its bars, ascending, at most SKETCH of them.

    Close times make a market and its resampled form overlap: their bars end on the same prices.
    """
    ends = (market.open_time + market.step).view(np.uint64)
    parts = []
    for column, symbol in enumerate(market.symbols):
        present = ~np.isnan(market.close[:, column])
        salt = np.uint64(int(sha256(symbol.encode())[:16], 16))
        prices = np.ascontiguousarray(market.close[present, column]).view(np.uint64)
        parts.append(_scramble(_scramble(ends[present] ^ salt) ^ prices))
    hashes = np.unique(np.concatenate(parts))
    return hashes[:SKETCH]


def _overlap(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> bool:
    return bool(np.isin(one, other, assume_unique=True).any())


def _scramble(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014): every bit of the input reaches every bit of the output."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
