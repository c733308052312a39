"""Coverage of conformal intervals, the size of positions by interval, and what following costs; one JSON line a measurement.

    python bench/conformal.py [--seeds 10] [--alpha 0.1]

`switch`: noise that becomes three times as wide half-way, between the fit and the rows that are counted. `coverage`: markets, a ridge
fitted on the first half and followed through the second; `worst_block` is the lowest coverage of any 500 bars. `coins`: three coins of
$TRADEWIND_DEV_DATA, where that is set. `policy`: walk-forward net of the default costs, 90 % intervals of the Sharpe ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import tradewind as tw
from tradewind.core.clock import HOUR, SystemClock
from tradewind.core.market import Market
from tradewind.core.types import Array, Features, Forecast, Labels
from tradewind.evaluate.walk_forward import walk_forward
from tradewind.features import compute
from tradewind.labels import horizon_return
from tradewind.models.conformal import METHODS
from tradewind.models.registry import forecaster

CLOCK = SystemClock()
BLOCK = 500


def tell(**line: Any) -> None:
    """One measurement, numbers to four digits."""
    print(json.dumps({name: round(value, 4) if isinstance(value, float) else value for name, value in line.items()}), flush=True)


def switching(seed: int, factor: float, rows: int = 3000, symbols: int = 2, horizon: int = 6) -> tuple[Features, Labels]:
    """One column that is half of the answer; the other half is noise, `factor` times as wide in the second half of the rows."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((rows, symbols, 2))
    noise = 0.01 * random.standard_normal((rows, symbols))
    noise[rows // 2 :] *= factor
    open_time = HOUR * np.arange(rows, dtype=np.int64)
    known = np.repeat((open_time + (1 + horizon) * HOUR)[:, None], symbols, axis=1)
    end = np.repeat(np.minimum(np.arange(rows) + horizon, rows - 1)[:, None], symbols, axis=1)
    X = Features(("signal", "other"), values, 0, open_time, open_time + HOUR, tuple(f"S{i}" for i in range(symbols)))
    return X, Labels(0.01 * values[:, :, 0] + noise, known, end, np.ones((rows, symbols)), (), horizon)


def inside(forecast: Forecast, y: Labels) -> Array:
    """(time, symbol): 1 where the answer lies in the interval, 0 where it does not, NaN where either is missing."""
    assert forecast.quantiles is not None
    low, high = forecast.quantiles[..., 0], forecast.quantiles[..., -1]
    there = ~np.isnan(y.values) & ~np.isnan(low)
    return np.where(there, ((y.values >= low) & (y.values <= high)).astype(np.float64), np.nan)


def switch(seeds: int, alpha: float) -> None:
    """Coverage before nothing happens and after the noise has widened."""
    for factor in (1.0, 3.0):
        for method in METHODS:
            whole, early = [], []
            for seed in range(seeds):
                X, y = switching(seed, factor)
                model = forecaster("conformal", method=method, alpha=alpha).fit(X[:1200], y[:1200].known_by(int(X.known[1199])))
                found = inside(model.follow(X, y), y)[1500:2990]  # type: ignore[attr-defined]
                whole.append(float(found.mean()))
                early.append(float(found[:250].mean()))
            low, high = min(whole), max(whole)
            tell(
                what="switch",
                factor=factor,
                method=method,
                coverage=float(np.mean(whole)),
                least=low,
                most=high,
                first_250=float(np.mean(early)),
            )


def markets() -> dict[str, tuple[Market, int]]:
    """The markets by name, each with the horizon of its label in bars."""
    found = {
        "btc-15m": (tw.data.sample("btc-15m"), 24),
        "btc-1d": (tw.data.sample("btc-1d"), 5),
        "us-daily": (tw.data.sample("us-daily"), 5),
    }
    folder = os.environ.get("TRADEWIND_DEV_DATA")
    if folder:
        coins = tw.data.read(Path(folder) / "binance_spot_1h_10coins_to_2024-06.parquet")
        found["coins"] = (coins.select(coins.symbols[:3])[-20_000:], 24)
    return found


def coverage(name: str, market: Market, horizon: int, alpha: float) -> None:
    """A ridge on the first half, followed through the second."""
    X, y = compute(market, wanted(market)), horizon_return(market, horizon)
    half = len(market) // 2
    known = y[:half].known_by(int(X.known[half - 1]))
    for method in METHODS:
        model = forecaster("conformal", method=method, alpha=alpha).fit(X[:half], known)
        began = CLOCK.monotonic()
        forecast = model.follow(X[half:], y[half:])  # type: ignore[attr-defined]
        seconds = CLOCK.monotonic() - began
        found = inside(forecast, y[half:])
        blocks = [float(np.nanmean(found[k : k + BLOCK])) for k in range(0, max(1, len(found) - BLOCK + 1), BLOCK)]
        width = np.diff(forecast.quantiles, axis=2)[~np.isnan(found)]
        tell(
            what="coverage", market=name, method=method, rows=int((~np.isnan(found)).sum()), coverage=float(np.nanmean(found)),
            worst_block=min(blocks), median_width=float(np.median(width)), infinite=float(np.isinf(width).mean()), seconds=seconds,
        )  # fmt: skip


def policy(name: str, market: Market, horizon: int) -> None:
    """Positions by the mean alone and by mean over width: the same threshold, and gains that cap at about the same moves."""
    for chosen in ({"size": "linear", "gain": 0.5}, {"size": "interval", "gain": 5.0}):
        strategy = tw.strategy(
            "forecast", forecaster="conformal", features=wanted(market), label="horizon-return", label_settings={"horizon": horizon},
            policy={"threshold": 1.0, **chosen},
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            metrics = walk_forward(strategy, market, ledger=Path(folder) / "ledger").metrics
        names = ("sharpe", "sharpe_low", "sharpe_high", "net_return", "max_drawdown", "turnover")
        tell(what="policy", market=name, size=chosen["size"], **{key: float(metrics[key]) for key in names})


def wanted(market: Market) -> str:
    """The features that the market has inputs for."""
    return "relative-price" if np.isnan(market.volume).all() else "relative"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--alpha", type=float, default=0.1)
    asked = parser.parse_args()
    switch(asked.seeds, asked.alpha)
    for name, (market, horizon) in markets().items():
        coverage(name, market, horizon, asked.alpha)
        policy(name, market, horizon)


if __name__ == "__main__":
    main()
