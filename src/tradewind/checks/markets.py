"""The markets that the checks ask questions on: untidy ones, ruined futures, planted edges, and noise.

Each is a few hundred to a few thousand bars drawn from a seed, so that nobody can have seen it before. Costs milliseconds; fails to
be real: passing here says that an object is honest, never that it earns money.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from tradewind.core.clock import HOUR, parse_time
from tradewind.core.market import Market
from tradewind.core.seeds import generator
from tradewind.core.types import Array

__all__ = ["PLANTED", "RUINS", "detached", "flat", "from_returns", "gaps", "noise", "planted", "ruined", "tidy", "untidy"]

SYMBOLS: Final = ("ALFA", "BRAVO", "CHARLIE")
_START: Final = parse_time("2021-03-01")


def from_returns(returns: Array, random: np.random.Generator) -> Market:
    """Complete hourly bars whose close-to-close log returns are `returns` (time, symbol); ranges and volumes are drawn from `random`."""
    n, symbols = returns.shape
    close = 100.0 * np.exp(np.cumsum(returns, axis=0))
    scale = np.std(returns, axis=0) + 1e-6
    before = np.vstack([np.full(symbols, 100.0), close[:-1]])
    opening = before * np.exp(0.05 * scale * random.standard_normal(returns.shape))
    high = np.maximum(opening, close) * np.exp(0.4 * scale * random.exponential(size=returns.shape))
    low = np.minimum(opening, close) * np.exp(-0.4 * scale * random.exponential(size=returns.shape))
    volume = 1000.0 * random.lognormal(sigma=0.5, size=returns.shape)
    open_time = _START + HOUR * np.arange(n, dtype=np.int64)
    return Market(SYMBOLS[:symbols], "1h", open_time, open_time + HOUR, opening, high, low, close, volume)


def noise(bars: int, seed: int, symbols: int = 3, *names: str) -> Market:
    """Complete bars of fair games: fat-tailed log returns with volatility that clusters, correlated between symbols."""
    random = generator(seed, "checks", "noise", *names)
    common = random.standard_t(5, (bars, 1))
    own = random.standard_t(5, (bars, symbols))
    volatility = 0.006 * np.exp(0.5 * np.sin(np.arange(bars) / 37.0 + random.uniform(0, 6)))
    return from_returns(volatility[:, None] * (0.5 * common + 0.8 * own), random)


def tidy(bars: int, seed: int, *names: str) -> Market:
    """Complete bars of a market that trends and turns: every symbol has every bar."""
    random = generator(seed, "checks", "tidy", *names)
    drift = 0.15 * np.sign(np.sin(np.arange(bars)[:, None] / np.array([23.0, 41.0, 67.0]) + random.uniform(0, 6, 3)))
    return from_returns(0.006 * (drift + random.standard_normal((bars, len(SYMBOLS)))), random)


def untidy(bars: int, seed: int, *names: str) -> Market:
    """`bars` bars of three symbols as real feeds deliver them.

    The exchange is down three times (times that are absent for all), 4 % of each symbol's bars are missing, two symbols have an outage
    of their own, one is listed late, and one has bars without a volume.
    """
    random = generator(seed, "checks", "untidy", *names)
    outages = [(0.35, 9), (0.62, 2), (0.8, 27)]
    total = bars + sum(length for _, length in outages)
    whole = tidy(total, seed, "untidy", *names)
    there = np.ones(total, dtype=bool)
    for place, length in outages:
        first = int(place * bars)
        there[first : first + length] = False
    absent = random.uniform(size=(total, len(SYMBOLS))) < 0.04
    absent[: bars // 20, 2] = True
    for symbol, place in ((1, 0.5), (2, 0.7)):
        first = int(place * total)
        absent[first : first + 14, symbol] = True
    absent[absent.all(axis=1), 0] = False
    panels: dict[str, Any] = {
        name: np.where(absent, np.nan, getattr(whole, name))[there] for name in ("open", "high", "low", "close", "volume")
    }
    panels["volume"][random.uniform(size=panels["volume"].shape) < 0.01] = 0.0
    return replace(whole, open_time=whole.open_time[there], known=whole.known[there], **panels)


def flat(bars: int) -> Market:
    """Bars whose price never moves and whose volume is zero."""
    price = np.full((bars, len(SYMBOLS)), 50.0)
    open_time = _START + HOUR * np.arange(bars, dtype=np.int64)
    return Market(SYMBOLS, "1h", open_time, open_time + HOUR, price, price, price, price, np.zeros_like(price))


def gaps(market: Market) -> list[int]:
    """The bars right after a gap: the first after a time that is absent, and a symbol's first after bars that it lacks."""
    late = np.flatnonzero(np.diff(market.open_time) > market.step) + 1
    there = ~np.isnan(market.close)
    back = np.flatnonzero((there[1:] & ~there[:-1]).any(axis=1)) + 1
    return sorted({int(bar) for bar in (*late, *back)})


def detached(market: Market) -> Market:
    """The same bars in memory of their own: nothing that came after them can be reached from it."""
    arrays: dict[str, Any] = {name: value.copy() for name, value in vars(market).items() if isinstance(value, np.ndarray)}
    return replace(market, **arrays)


RUINS: Final = ("other prices", "extreme prices", "another future of one symbol", "missing bars")
"""The kinds of future that `ruined` puts in place of the real one."""


def ruined(market: Market, cut: int, kind: str, random: np.random.Generator) -> Market:
    """`market` with the bars from `cut` on replaced by a future of `kind`, one of RUINS; the bars before are the same to the bit."""
    later, symbols = len(market) - cut, len(market.symbols)
    touched = np.ones(symbols, dtype=bool)
    if kind == "another future of one symbol":
        touched[:] = np.arange(symbols) == random.integers(symbols)
    factor = np.exp(np.cumsum(0.05 * random.standard_normal((later, symbols)), axis=0))
    if kind == "extreme prices":
        factor = 10.0 ** random.uniform(-5, 5, (later, symbols))
    panels = {}
    for name in ("open", "high", "low", "close"):
        panels[name] = getattr(market, name).copy()
        panels[name][cut:, touched] *= factor[:, touched]
    panels["volume"] = market.volume.copy()
    panels["volume"][cut:, touched] *= random.lognormal(sigma=2.0, size=(later, int(touched.sum())))
    if kind == "missing bars":
        lost = random.uniform(size=(later, symbols)) < 0.5
        # A time at which nobody has a bar is absent from a market, so somebody keeps each.
        lost &= np.cumsum(~lost & ~np.isnan(market.close[cut:]), axis=1)[:, -1:] > 0
        for panel in panels.values():
            panel[cut:][lost] = np.nan
    return replace(market, **panels)


def _trends(bars: int, random: np.random.Generator, length: int) -> Array:
    """Trends that last `length` bars in the mean, a quarter of a standard deviation a bar strong."""
    side = np.cumprod(np.where(random.uniform(size=(bars, 2)) < 1 / length, -1.0, 1.0), axis=0)
    return 0.006 * (0.25 * side + random.standard_normal((bars, 2)))


def _momentum(bars: int, random: np.random.Generator) -> Array:
    return _trends(bars, random, 400)


def _slow_momentum(bars: int, random: np.random.Generator) -> Array:
    return _trends(bars, random, 2500)


def _reversal(bars: int, random: np.random.Generator) -> Array:
    """Prices that fall back to where they came from: half a deviation from the mean is gone in 15 bars."""
    price = np.zeros((bars + 1, 2))
    for t, shock in enumerate(0.006 * random.standard_normal((bars, 2))):
        price[t + 1] = 0.955 * price[t] + shock
    return np.diff(price, axis=0)


def _waves(bars: int, random: np.random.Generator) -> Array:
    """Prices that swing with a period of some 60 bars around a level that hardly moves, smoothly enough to be seen turning."""
    phase = np.cumsum(2 * np.pi / 60 * np.exp(0.2 * random.standard_normal((bars + 1, 2))), axis=0)
    return np.diff(0.03 * np.sin(phase), axis=0) + 0.001 * random.standard_normal((bars, 2))


_FAMILY: Final = {"momentum": _momentum, "reversal": _reversal, "waves": _waves, "slow momentum": _slow_momentum}
PLANTED: Final = tuple(_FAMILY)
"""The kinds of edge that `planted` hides."""


def planted(kind: str, bars: int, seed: int) -> Market:
    """Complete bars of two symbols with a strong edge of `kind`, one of PLANTED, that past prices show."""
    random = generator(seed, "checks", "planted", kind)
    return from_returns(_FAMILY[kind](bars, random), random)
