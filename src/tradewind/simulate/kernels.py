"""THE accounting kernel: how an account lives through bars; backtest, engine, walk-forward and sweep all run the functions here.

A target is filled at the open `latency` bars after the close it was decided at; see `docs/architecture.md`, Accounting. An account whose
equity is not above zero, at an open or at a close, is closed out at the prices of that moment without cost and trades nothing more; what
it then owes stays as it is. Cost: O(bars x symbols), nothing is allocated per bar. Fails when: bars are so coarse that the open
is no price one could have had, or trades so large that they would have moved the market: fills know no volume.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tradewind.core.compiled import kernel
from tradewind.core.types import Array

__all__ = ["CASH", "CLOSE", "COUNT", "EQUITY", "HELD", "MARK", "VARIANCE", "live_through"]

# Rows of `holdings` (5, symbol): what an account remembers of each symbol from bar to bar.
HELD: Final = 0
CLOSE: Final = 1
MARK: Final = 2
VARIANCE: Final = 3
COUNT: Final = 4
# Entries of `money` (2,).
CASH: Final = 0
EQUITY: Final = 1
# Entries of `rates`, see Costs.rates.
FEE: Final = 0
SLIPPAGE: Final = 1
SLIPPAGE_VOLATILITY: Final = 2
SMOOTHING: Final = 3
LEVERAGE: Final = 4
LEAST: Final = 5
# Rows of `flows` (4, time).
FEES: Final = 0
SLIPPED: Final = 1
FUNDED: Final = 2
TRADED: Final = 3


@kernel
def _pay_funding(rates: Array, holdings: Array) -> float:
    """What the account pays over this open on the quantities it holds, at the last mark price."""
    paid = 0.0
    for s in range(rates.shape[0]):
        if holdings[HELD, s] != 0.0 and not np.isnan(rates[s]):
            paid += holdings[HELD, s] * holdings[MARK, s] * rates[s]
    return paid


@kernel
def _trade(opens: Array, target: Array, equity: float, rates: Array, holdings: Array, flows: Array, t: int) -> float:
    """Fill `target` at `opens`, write the flows of bar t, and return what the fills add to cash."""
    gross = 0.0
    for s in range(target.shape[0]):
        if not np.isnan(target[s]):
            gross += abs(target[s])
    scale = rates[LEVERAGE] / gross if gross > rates[LEVERAGE] else 1.0
    change, fees, slipped, traded = 0.0, 0.0, 0.0, 0.0
    for s in range(target.shape[0]):
        if np.isnan(target[s]) or np.isnan(opens[s]):
            continue
        wanted = target[s] * scale * equity / opens[s]
        bought = wanted - holdings[HELD, s]
        notional = abs(bought) * opens[s]
        if bought == 0.0 or notional < rates[LEAST] * equity:
            continue
        slippage = notional * (rates[SLIPPAGE] + rates[SLIPPAGE_VOLATILITY] * np.sqrt(holdings[VARIANCE, s]))
        fee = notional * rates[FEE]
        holdings[HELD, s] = wanted
        change -= bought * opens[s] + slippage + fee
        fees += fee
        slipped += slippage
        traded += notional
    flows[FEES, t], flows[SLIPPED, t], flows[TRADED, t] = fees, slipped, traded / equity
    return change


@kernel
def _worth(prices: Array, holdings: Array) -> float:
    """What the holdings are worth at `prices`, a missing price standing at the last close."""
    worth = 0.0
    for s in range(prices.shape[0]):
        if holdings[HELD, s] != 0.0:
            worth += holdings[HELD, s] * (holdings[CLOSE, s] if np.isnan(prices[s]) else prices[s])
    return worth


@kernel
def _remember(closes: Array, marks: Array, smoothing: float, holdings: Array) -> None:
    """Take over the last close and mark of each symbol that has a bar, and its variance up to this close."""
    for s in range(closes.shape[0]):
        if np.isnan(closes[s]):
            continue
        if holdings[COUNT, s] > 0.0:
            change = closes[s] / holdings[CLOSE, s] - 1.0
            # A plain mean until the smoothing has enough bars: the first returns then do not outweigh the rest.
            weight = max(1.0 / holdings[COUNT, s], smoothing)
            holdings[VARIANCE, s] += weight * (change * change - holdings[VARIANCE, s])
        holdings[COUNT, s] += 1.0
        holdings[CLOSE, s] = closes[s]
        has_mark = marks.shape[0] > 0 and not np.isnan(marks[s])
        holdings[MARK, s] = marks[s] if has_mark else closes[s]


@kernel
def _keep_inside(desired: Array, band: Array, equity: float, holdings: Array, decided: Array) -> None:
    """Write what to want at this close: `desired` where it is at least `band` away from the weight held, else NaN."""
    for s in range(desired.shape[0]):
        held = 0.0
        if holdings[HELD, s] != 0.0:
            held = holdings[HELD, s] * holdings[CLOSE, s] / equity
        decided[s] = np.nan if abs(desired[s] - held) < band[s] else desired[s]


@kernel
def live_through(
    opens: Array, closes: Array, funding: Array, marks: Array,
    targets: Array, pending: Array, band: Array,
    rates: Array, money: Array, holdings: Array,
    equity: Array, cash: Array, quantities: Array, flows: Array, decided: Array,
) -> None:  # fmt: skip
    """Live through bars, all arrays (time, symbol): the account in `money` and `holdings` is moved on, the last five arrays are written.

    `funding` and `marks` have no rows where the market has none. `pending` (latency, symbol): targets decided before the first bar,
    oldest first. With `band` (time, symbol) not empty, `targets` are only desired: what is wanted is decided at each close by the
    distance to the weight held, and written to `decided`.
    """
    latency = pending.shape[0]
    banded = band.shape[0] > 0
    for t in range(opens.shape[0]):
        funded = _pay_funding(funding[t], holdings) if funding.shape[0] > 0 else 0.0
        money[CASH] -= funded
        flows[FUNDED, t] = funded
        before = money[CASH] + _worth(opens[t], holdings)
        flows[FEES, t], flows[SLIPPED, t], flows[TRADED, t] = 0.0, 0.0, 0.0
        if before <= 0.0:
            money[CASH] = before
            holdings[HELD] = 0.0
        elif t < latency:
            money[CASH] += _trade(opens[t], pending[t], before, rates, holdings, flows, t)
        elif banded:
            money[CASH] += _trade(opens[t], decided[t - latency], before, rates, holdings, flows, t)
        else:
            money[CASH] += _trade(opens[t], targets[t - latency], before, rates, holdings, flows, t)
        _remember(closes[t], marks[t] if marks.shape[0] > 0 else closes[t], rates[SMOOTHING], holdings)
        money[EQUITY] = money[CASH] + _worth(closes[t], holdings)
        if money[EQUITY] <= 0.0:
            money[CASH] = money[EQUITY]
            holdings[HELD] = 0.0
        if banded:
            _keep_inside(targets[t], band[t], money[EQUITY], holdings, decided[t])
        equity[t], cash[t] = money[EQUITY], money[CASH]
        quantities[t] = holdings[HELD]
