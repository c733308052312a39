"""Bars from an exchange into the store, through ccxt: page by page, closed bars alone, and from where the last call stopped.

Speed is that of the exchange's rate limit. It fails where an exchange keeps only a short history (Kraken: 720 bars): what is
not offered is not there, and the quality report of the store shows the gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import DAY, SECOND, Clock, SystemClock, format_time, parse_duration, parse_time
from tradewind.core.errors import ExchangeError, MissingExtra
from tradewind.core.market import FIELDS, Market
from tradewind.core.settings import choose, require
from tradewind.core.types import Array, Times
from tradewind.data.inspection import INVALID, row_masks
from tradewind.data.store import Store
from tradewind.data.table import Table

__all__ = ["Fetched", "fetch"]

PAGE: Final = 500
"""Bars asked for at once; nearly every exchange gives as many."""

MILLISECOND: Final = SECOND // 1_000
_LONGEST_WAIT: Final = 600.0

R = TypeVar("R")


@final
@dataclass(frozen=True)
class Fetched:
    """What one symbol's download did: bars that were new, bars refused because no market can have them, and up to when it is complete."""

    symbol: str
    new: int
    refused: int
    until: int

    def to_text(self) -> str:
        """One line for people."""
        bad = f", {self.refused} impossible bars refused" if self.refused else ""
        return f"{self.symbol}: {self.new} new bars{bad}, complete to {format_time(self.until)}"


def fetch(
    exchange: str | Any,
    symbols: Sequence[str] | str,
    timeframe: str,
    since: str | int,
    store: Store | str,
    *,
    progress: Callable[[Fetched], None] | None = None,
    clock: Clock | None = None,
    retries: int = 8,
) -> tuple[Fetched, ...]:
    """Download the closed bars of `symbols` from `since` (ISO time or UTC ns) to the present into `store`, and say what came.

    `exchange` is a ccxt name such as `binance`, or a ccxt exchange. A symbol that the store has is continued behind its last bar. Every
    page is stored as it comes, so a download that was killed goes on where it stopped. `progress` hears of every page. A failing call is
    tried `retries` times more with growing pauses, and never before the Retry-After that the exchange asked for.

    Perpetuals come with their funding rates. Raises MissingExtra without ccxt, SettingsError for an unknown exchange, symbol or
    timeframe, ExchangeError when the exchange refuses or stays away; what had come is stored.
    """
    start = parse_time(since) if isinstance(since, str) else since
    require(retries >= 0, f"retries is {retries}, a number from 0 up")
    session = _Session(_open(exchange), clock or SystemClock(), retries)
    client = session.client
    choose(timeframe, dict(client.timeframes or {}), f"timeframe of {client.id}")
    session.call("markets", client.load_markets)
    place = store if isinstance(store, Store) else Store(store)
    names = [symbols] if isinstance(symbols, str) else list(symbols)
    for symbol in names:
        choose(symbol, client.markets, f"symbol of {client.id}")
    return tuple(_fetch_symbol(session, symbol, timeframe, start, place, progress) for symbol in names)


@final
class _Session:
    """An exchange asked with patience."""

    def __init__(self, client: Any, clock: Clock, retries: int) -> None:
        self.client, self.clock, self.retries = client, clock, retries

    def call(self, what: str, ask: Callable[[], R]) -> R:
        """The answer to `ask`; waits and asks again while the fault may pass."""
        import ccxt

        for attempt in range(self.retries + 1):
            self.client.last_response_headers = None
            try:
                return ask()
            except ccxt.OperationFailed as error:
                if attempt == self.retries:
                    raise ExchangeError(
                        f"{self.client.id} did not give {what} in {attempt + 1} tries ({_reason(error)}); "
                        "what had come is stored: the same command goes on from there"
                    ) from error
                self.clock.sleep(max(min(2.0**attempt, 60.0), self._asked_wait()))
            except ccxt.BaseError as error:
                raise ExchangeError(f"{self.client.id} refused {what}: {_reason(error)}") from error
        raise AssertionError("the loop either returns or raises")

    def now(self) -> int:
        """UTC ns by the exchange's own clock, where it has one: ours may be wrong, and an open bar must not pass for a closed one."""
        if self.client.has.get("fetchTime"):
            return int(self.call("its time", self.client.fetch_time)) * MILLISECOND
        return self.clock.now()

    def _asked_wait(self) -> float:
        """Seconds that the last answer asked us to stay away, from its Retry-After header."""
        headers = {str(name).lower(): value for name, value in (self.client.last_response_headers or {}).items()}
        text = str(headers.get("retry-after", "")).strip()
        if text.isdigit():
            return min(float(text), _LONGEST_WAIT)
        try:
            moment = parsedate_to_datetime(text).timestamp()
        except (TypeError, ValueError):
            return 0.0
        return min(max(0.0, moment - self.clock.now() / SECOND), _LONGEST_WAIT)


def _open(exchange: str | Any) -> Any:
    try:
        import ccxt
    except ImportError:
        raise MissingExtra("ccxt", "exchange") from None
    if not isinstance(exchange, str):
        return exchange
    choose(exchange, dict.fromkeys(ccxt.exchanges), "exchange")
    return getattr(ccxt, exchange)({"enableRateLimit": True, "timeout": 20_000})


def _fetch_symbol(
    session: _Session, symbol: str, timeframe: str, start: int, store: Store, progress: Callable[[Fetched], None] | None
) -> Fetched:
    step = parse_duration(timeframe)
    stored = store.last(symbol, timeframe)
    cursor = start if stored is None else max(start, stored + step)
    end = session.now()
    done = Fetched(symbol, 0, 0, cursor)
    while cursor + step <= end:
        bars, refused = _page(session, symbol, timeframe, cursor, end)
        if bars is None:
            # Nothing in this window: an outage, or the time before listing.
            cursor = min(cursor + PAGE * step, end // step * step)
            new = 0
        else:
            new = store.write(bars)
            cursor = int(bars.open_time[-1]) + step
        done = Fetched(symbol, done.new + new, done.refused + refused, cursor)
        if progress is not None:
            progress(done)
    return done


def _page(session: _Session, symbol: str, timeframe: str, cursor: int, end: int) -> tuple[Market | None, int]:
    """The closed and possible bars of one page as a Market, None when there are none; and how many impossible ones were refused."""
    client, step = session.client, parse_duration(timeframe)
    answer = session.call(f"bars of {symbol}", partial(client.fetch_ohlcv, symbol, timeframe, cursor // MILLISECOND, PAGE))
    rows = np.array([[np.nan if cell is None else cell for cell in row[:6]] for row in answer], dtype=np.float64).reshape(-1, 6)
    times = rows[:, 0].astype(np.int64) * MILLISECOND
    order = np.argsort(times, kind="stable")
    order = order[(times[order] >= cursor) & (times[order] + step <= end)]
    rows, times = rows[order], times[order]
    again = np.concatenate([[False], np.diff(times) == 0]) if len(times) else np.zeros(0, dtype=bool)
    for index in np.flatnonzero(again):
        if not np.array_equal(rows[index], rows[index - 1], equal_nan=True):
            raise ExchangeError(f"{client.id} gave two different bars of {symbol} at {format_time(times[index])}; ask again later")
    rows, times = rows[~again], times[~again]
    possible = _possible(client.id, symbol, rows, times, step)
    refused = int((~possible).sum())
    rows, times = rows[possible], times[possible]
    if not len(times):
        return None, refused
    funding = _funding(session, symbol, times, step) if client.markets[symbol].get("swap") else None
    opens, highs, lows, closes, volume = (rows[:, [i]] for i in range(1, 6))
    return Market((symbol,), timeframe, times, times + step, opens, highs, lows, closes, volume, funding), refused


def _possible(source: str, symbol: str, rows: Array, times: Times, step: int) -> NDArray[np.bool_]:
    count = len(times)
    values = {name: rows[:, i + 1] for i, name in enumerate(FIELDS)}
    table = Table(source, np.arange(1, count + 1), (symbol,), np.zeros(count, np.int64), times, values, np.zeros(count, dtype=bool))
    if not count:
        return np.zeros(0, dtype=bool)
    masks = row_masks(table, step)
    return np.asarray(~np.logical_or.reduce([masks[kind] for kind in (*INVALID, "off-grid")]))


def _funding(session: _Session, symbol: str, times: Times, step: int) -> Array:
    """(time, 1): the sum of the rates settled within each bar, which for bars of up to a funding interval is the one at its open."""
    client = session.client
    if not client.has.get("fetchFundingRateHistory"):
        raise ExchangeError(
            f"{client.id} gives no funding rates, without which {symbol} cannot be traded in a simulation; use another exchange"
        )
    rates = np.full(len(times), np.nan)
    cursor, end = int(times[0]), int(times[-1]) + step
    while cursor < end:
        answer = session.call(f"funding of {symbol}", partial(client.fetch_funding_rate_history, symbol, cursor // MILLISECOND, PAGE))
        settled = sorted((int(entry["timestamp"]) * MILLISECOND, float(entry["fundingRate"])) for entry in answer)
        settled = [(moment, rate) for moment, rate in settled if moment >= cursor]
        if not settled:
            break
        for moment, rate in settled:
            row = int(np.searchsorted(times, moment, side="right")) - 1
            if row >= 0 and moment < times[row] + step:
                rates[row] = rate if np.isnan(rates[row]) else rates[row] + rate
        cursor = settled[-1][0] + MILLISECOND
    if end - times[0] >= DAY and np.isnan(rates).all():
        raise ExchangeError(
            f"{client.id} has no funding rates of {symbol} from {format_time(times[0])} to {format_time(end)}; begin where it has some"
        )
    return rates[:, None]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
