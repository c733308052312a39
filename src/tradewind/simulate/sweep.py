"""Many target series on one market at once: a parameter sweep, spread over threads, without copies of the targets.

Each series lives through the same accounting kernel as a backtest, a thousand bars at a time, so that beside the targets only its summary
takes memory. Costs some 7 ns for a bar of one symbol and 10 ns a symbol for several. Fails when the best of many is taken for a finding:
count every series as a trial (`tradewind.stats.deflated_sharpe`).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.errors import DataError
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.simulate.account import panels
from tradewind.simulate.costs import Costs
from tradewind.simulate.kernels import summarise

__all__ = ["Sweep", "sweep"]


@final
@dataclass(frozen=True, eq=False)
class Sweep:
    """What became of each series on a capital of 1; all (series,) float64.

    `final_equity`; `mean` and `std` (n - 1 degrees of freedom) of the simple returns per bar, without the first bar, which has none;
    `max_drawdown` as a positive fraction; `fees`, `slippage`, `funding` paid in all; `turnover`: notional of all fills, each
    over the equity before it. `equity` (series, time) where it was asked for, else None.
    """

    final_equity: Array
    mean: Array
    std: Array
    max_drawdown: Array
    fees: Array
    slippage: Array
    funding: Array
    turnover: Array
    equity: Array | None = None

    def __len__(self) -> int:
        return len(self.final_equity)

    def sharpe(self, periods_per_year: float) -> Array:
        """(series,) annual Sharpe ratio over a riskless rate of zero; NaN for a series whose returns never vary."""
        ratio = np.full(len(self), np.nan)
        np.divide(self.mean, self.std, out=ratio, where=self.std > 0)
        return np.asarray(ratio * np.sqrt(periods_per_year))


def sweep(targets: ArrayLike, market: Market, costs: Costs | None = None, threads: int | None = None, equity: bool = False) -> Sweep:
    """Live through `market` once for each series of `targets`, (series, time, symbol), or (series, time) where there is one symbol.

    float64 and float32 are read where they are when contiguous; anything else is converted first. `threads`: as many as the process may
    use by default; the number changes no bit. `equity`: keep the curves too, 8 bytes a series and bar. Raises DataError, naming
    series and bar, for targets that do not fit or are infinite.
    """
    series = _series(targets, market)
    account = costs if costs is not None else Costs()
    workers = threads if threads is not None else _free_cores()
    require(isinstance(workers, int) and workers >= 1, f"threads is {threads!r}; it is a whole number, at least 1")
    rates = account.rates()
    prices = panels(market, rates, np.zeros((3, len(market.symbols))))
    count = len(series)
    summary = np.empty((count, 8))
    curves = np.empty((count, len(market) if equity else 0))

    def live(some: range) -> None:
        for i in some:
            wrong = summarise(*prices, series[i], account.latency, rates, summary[i], curves[i])
            if wrong >= 0:
                raise DataError(f"series {i}, bar {wrong}: a target is infinite; a target is a finite weight, or NaN to keep")

    # The kernel lets go of the interpreter, so plain threads share the work; a few parts each even out what some take longer.
    part = max(1, -(-count // (8 * workers)))
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(live, (range(i, min(i + part, count)) for i in range(0, count, part))):
            pass
    final_equity, mean, std, max_drawdown, fees, slippage, funding, turnover = np.ascontiguousarray(summary.T)
    return Sweep(final_equity, mean, std, max_drawdown, fees, slippage, funding, turnover, curves if equity else None)


def _free_cores() -> int:
    # A container may grant fewer cores than the machine has; only some systems say so.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _series(targets: ArrayLike, market: Market) -> NDArray[np.float64] | NDArray[np.float32]:
    """(series, time, symbol), read-only and contiguous."""
    given = np.asarray(targets)
    if given.dtype not in (np.float32, np.float64):
        try:
            given = given.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"targets are not an array of numbers: {error}") from None
    if given.ndim == 2 and len(market.symbols) == 1:
        given = given[:, :, None]
    if given.ndim != 3 or given.shape[1:] != market.close.shape:
        expected = "(series, time, symbol) = (any, {}, {})".format(*market.close.shape)
        raise DataError(f"targets have shape {np.shape(targets)}, expected {expected}; one row for each bar of the market")
    # One numba signature for each width of float: always contiguous, always read-only.
    series = np.ascontiguousarray(given).view()
    series.flags.writeable = False
    return series
