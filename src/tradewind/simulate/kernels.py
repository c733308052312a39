"""THE accounting kernel: how an account lives through bars; backtest, engine, walk-forward, bands and sweep all run `live_through`.

Row t of `due` is filled at the open of bar t; see `docs/architecture.md`, Accounting. An account whose equity is not above zero, at an open
or at a close, is closed out at the prices of that moment without cost and trades nothing more; what it then owes stays as it is.
Cost: O(bars x symbols), nothing is allocated. Fails when the open is no price one could have had, or the trades are so
large that they would have moved it: fills know no volume.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array

__all__ = [
    "BAR_CLOSE",
    "BAR_FUNDING",
    "BAR_MARK",
    "BAR_OPEN",
    "BAR_SLIP",
    "CASH",
    "CLOSE",
    "EQUITY",
    "FEES",
    "FUNDED",
    "HELD",
    "MARK",
    "SLIPPED",
    "TRADED",
    "live_one_bar",
    "live_through",
    "summarise",
    "tell_flows",
]

# Entries of `money` (6,), and rows of `holdings` (3, symbol): all that an account carries from bar to bar. A close of 0 is none yet.
CASH: Final = 0
EQUITY: Final = 1
ALL_FEES: Final = 2
ALL_SLIPPED: Final = 3
ALL_FUNDED: Final = 4
ALL_TRADED: Final = 5
HELD: Final = 0
CLOSE: Final = 1
MARK: Final = 2
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
# Bars that `summarise` works through at a time.
BLOCK: Final = 1024
# Columns of `bars` (symbol, time, 5 or more), what `live_one_bar` reads of a market: all of one bar side by side in memory. BAR_MARK is the
# mark price at the close before, which is what this bar's funding is paid on.
BAR_OPEN: Final = 0
BAR_CLOSE: Final = 1
BAR_MARK: Final = 2
BAR_FUNDING: Final = 3
BAR_SLIP: Final = 4


@inline_kernel
def _capped(target: float, rates: Array) -> float:
    """The weight that the leverage cap leaves of `target`, where one symbol is all there is."""
    return target * (rates[LEVERAGE] / abs(target)) if abs(target) > rates[LEVERAGE] else target


@inline_kernel
def _notional(target: float, value: float, before: float, rates: Array) -> float:
    """What is traded to get from `value` to the weight `target` of `before`; 0 where that is less than the least trade."""
    notional = abs(target * before - value)
    return notional if notional >= rates[LEAST] * before else 0.0


@inline_kernel
def _filled(purse: float, value: float, before: float, price: float, target: float, cost: float) -> tuple[float, float]:
    """Cash and quantity after a fill at `price` that moves what is held from `value` to the weight `target` of `before`."""
    return (purse + (value - target * before)) - cost, before * (target / price)


@kernel
def live_through(
    opens: Array, closes: Array, funding: Array, marks: Array, slips: Array,
    due: Array, desired: Array, band: Array, stop: Array, rates: Array, money: Array, holdings: Array,
    equity: Array, cash: Array, quantities: Array, decided: Array,
) -> None:  # fmt: skip
    """Live through bars: move the account in `money` and `holdings` on, and write `equity`, `cash` (time,), `quantities` (time, symbol).

    Panels are (time, symbol). `funding`, `marks` and `slips` have no rows where there are none; slippage is then rates[SLIPPAGE].
    With `band` not empty, what is wanted is decided at each close by the distance of `desired` to the weight held, short of it by `stop`
    (time, symbol), and written to `decided`, which may share its memory with later rows of `due`. A bar that ends in ruin shows the
    quantities that ruined it.
    """
    if opens.shape[1] == 1 and funding.shape[0] + marks.shape[0] + band.shape[0] == 0:
        _live_with_one(opens, closes, slips, due, rates, money, holdings, equity, cash, quantities)
        return
    for t in range(opens.shape[0]):
        if funding.shape[0] > 0:
            funded = _funding(funding, t, holdings)
            money[CASH] -= funded
            money[ALL_FUNDED] += funded
        before = money[CASH] + _worth(opens, t, holdings)
        if before > 0.0:
            _fill(opens, slips, due, t, before, rates, money, holdings)
        else:
            _close_out(before, money, holdings)
        _remember(closes, marks, t, holdings)
        money[EQUITY] = money[CASH] + _worth(closes, t, holdings)
        equity[t], cash[t] = money[EQUITY], money[CASH]
        for s in range(opens.shape[1]):
            quantities[t, s] = holdings[HELD, s]
        if not money[EQUITY] > 0.0:
            _close_out(money[EQUITY], money, holdings)
        if band.shape[0] > 0:
            _decide(desired, band, stop, t, money[EQUITY], holdings, decided)


@kernel
def _live_with_one(
    opens: Array, closes: Array, slips: Array, due: Array, rates: Array, money: Array, holdings: Array,
    equity: Array, cash: Array, quantities: Array,
) -> None:  # fmt: skip
    """The same for one symbol without funding, to the bit, with the account in registers: four nanoseconds a bar instead of twenty."""
    n, purse, held, last, t = opens.shape[0], money[CASH], holdings[HELD, 0], holdings[CLOSE, 0], 0
    slip, fees, slipped, traded = rates[SLIPPAGE], money[ALL_FEES], money[ALL_SLIPPED], money[ALL_TRADED]
    while t < n:
        price, target = opens[t, 0], due[t, 0]
        if not np.isnan(price):
            value = held * price
            before = purse + value
            # Leaving the loop, where a conditional assignment would do, keeps the account's fate off the path from bar to bar.
            if not before > 0.0:
                purse = before
                break
            if not np.isnan(target):
                target = _capped(target, rates)
                notional = _notional(target, value, before, rates)
                if notional > 0.0:
                    if slips.shape[0] > 0:
                        slip = slips[t, 0]
                    purse, held = _filled(purse, value, before, price, target, notional * (rates[FEE] + slip))
                    fees += notional * rates[FEE]
                    slipped += notional * slip
                    traded += notional / before
            last = closes[t, 0]
        worth = purse + held * last
        equity[t], cash[t], quantities[t, 0] = worth, purse, held
        t += 1
        if not worth > 0.0:
            purse = worth
            break
    if not purse + held * last > 0.0 or t < n:
        held = 0.0
    for ruined in range(t, n):
        equity[ruined], cash[ruined], quantities[ruined, 0] = purse, purse, 0.0
        last = last if np.isnan(closes[ruined, 0]) else closes[ruined, 0]
    money[CASH], money[EQUITY] = purse, purse + held * last
    money[ALL_FEES], money[ALL_SLIPPED], money[ALL_TRADED] = fees, slipped, traded
    holdings[HELD, 0], holdings[CLOSE, 0], holdings[MARK, 0] = held, last, last


@kernel
def live_one_bar(
    bars: Array, symbols: NDArray[np.int64], rows: NDArray[np.int64], due: Array, rates: Array, purses: Array, helds: Array,
    equity: Array, traded: Array,
) -> None:  # fmt: skip
    """Let many accounts of one symbol each live through one bar each, to the bit as `live_through` does.

    Lane i lives through row `rows[i]` of symbol `symbols[i]` in `bars` (symbol, time, 5 or more) with the target `due[i]` (NaN keeps). No
    number is missing there: BAR_MARK is a close, BAR_FUNDING 0 and BAR_SLIP the plain slippage where a market has none.
    Moves `purses` and `helds` (lane,) on and writes `equity` at the close and `traded`, the fill's notional over the equity before it.
    """
    for i in range(symbols.shape[0]):
        s, t, purse, held, target = symbols[i], rows[i], purses[i], helds[i], due[i]
        price, notional = bars[s, t, BAR_OPEN], 0.0
        purse -= held * bars[s, t, BAR_MARK] * bars[s, t, BAR_FUNDING]
        value = held * price
        before = purse + value
        if not before > 0.0:
            purse, held = before, 0.0
        elif not np.isnan(target):
            target = _capped(target, rates)
            notional = _notional(target, value, before, rates)
            if notional > 0.0:
                purse, held = _filled(purse, value, before, price, target, notional * (rates[FEE] + bars[s, t, BAR_SLIP]))
        worth = purse + held * bars[s, t, BAR_CLOSE]
        if not worth > 0.0:
            purse, held = worth, 0.0
        purses[i], helds[i], equity[i] = purse, held, worth
        traded[i] = notional / before if notional > 0.0 else 0.0


@kernel
def _fill(opens: Array, slips: Array, due: Array, t: int, before: float, rates: Array, money: Array, holdings: Array) -> None:
    """Trade to the targets due at this open with `before` the equity at it."""
    gross = 0.0
    for s in range(opens.shape[1]):
        if not np.isnan(due[t, s]):
            gross += abs(due[t, s])
    scale = rates[LEVERAGE] / gross if gross > rates[LEVERAGE] else 1.0
    for s in range(opens.shape[1]):
        price, target = opens[t, s], due[t, s] * scale
        if np.isnan(price) or np.isnan(target):
            continue
        value = holdings[HELD, s] * price
        notional = _notional(target, value, before, rates)
        if notional > 0.0:
            slip = slips[t, s] if slips.shape[0] > 0 else rates[SLIPPAGE]
            cost = notional * (rates[FEE] + slip)
            money[CASH], holdings[HELD, s] = _filled(money[CASH], value, before, price, target, cost)
            money[ALL_FEES] += notional * rates[FEE]
            money[ALL_SLIPPED] += notional * slip
            money[ALL_TRADED] += notional / before


@kernel
def _funding(funding: Array, t: int, holdings: Array) -> float:
    """What is paid over this open on the quantities held, at the last mark price."""
    paid = 0.0
    for s in range(funding.shape[1]):
        if not np.isnan(funding[t, s]):
            paid += holdings[HELD, s] * holdings[MARK, s] * funding[t, s]
    return paid


@kernel
def _worth(prices: Array, t: int, holdings: Array) -> float:
    """What is held at these prices, a missing one standing at the last close."""
    worth = 0.0
    for s in range(prices.shape[1]):
        worth += holdings[HELD, s] * (holdings[CLOSE, s] if np.isnan(prices[t, s]) else prices[t, s])
    return worth


@kernel
def _remember(closes: Array, marks: Array, t: int, holdings: Array) -> None:
    """Take over the close and mark of each symbol that has a bar; the close stands in for a mark that is missing."""
    for s in range(closes.shape[1]):
        if not np.isnan(closes[t, s]):
            holdings[CLOSE, s] = closes[t, s]
            marked = marks.shape[0] > 0 and not np.isnan(marks[t, s])
            holdings[MARK, s] = marks[t, s] if marked else closes[t, s]


@kernel
def _close_out(worth: float, money: Array, holdings: Array) -> None:
    """End the account: everything is turned into cash at the prices it was just marked at."""
    money[CASH] = worth
    for s in range(holdings.shape[1]):
        holdings[HELD, s] = 0.0


@kernel
def _decide(desired: Array, band: Array, stop: Array, t: int, equity: float, holdings: Array, decided: Array) -> None:
    """Write what to want at this close: `desired`, short of it by `stop`, where it is `band` or more from the weight held, else NaN."""
    for s in range(desired.shape[1]):
        weight = holdings[HELD, s] * holdings[CLOSE, s] / equity if equity > 0.0 else 0.0
        gap = desired[t, s] - weight
        decided[t, s] = np.nan if abs(gap) < band[t, s] else desired[t, s] - np.copysign(stop[t, s], gap)


@kernel
def tell_flows(
    opens: Array, closes: Array, funding: Array, marks: Array, slips: Array, rates: Array, purse: float, holdings: Array,
    equity: Array, cash: Array, quantities: Array, flows: Array,
) -> None:  # fmt: skip
    """Write what `live_through` paid and traded in each bar into `flows` (4, time), from the quantities it wrote.

    `purse` and `holdings` are the account before the first bar; `holdings` is moved on. Apart, because most callers want equity alone.
    """
    for t in range(opens.shape[0]):
        funded, slipped, traded = 0.0, 0.0, 0.0
        if funding.shape[0] > 0:
            funded = _funding(funding, t, holdings)
        before = (purse - funded) + _worth(opens, t, holdings)
        for s in range(opens.shape[1]):
            if before > 0.0 and quantities[t, s] != holdings[HELD, s]:
                notional = abs(quantities[t, s] - holdings[HELD, s]) * opens[t, s]
                slipped += notional * (slips[t, s] if slips.shape[0] > 0 else rates[SLIPPAGE])
                traded += notional
        flows[FEES, t], flows[SLIPPED, t], flows[FUNDED, t] = traded * rates[FEE], slipped, funded
        flows[TRADED, t] = traded / before if traded > 0.0 else 0.0
        _remember(closes, marks, t, holdings)
        purse = cash[t]
        for s in range(opens.shape[1]):
            holdings[HELD, s] = quantities[t, s] if equity[t] > 0.0 else 0.0


@kernel
def summarise(
    opens: Array, closes: Array, funding: Array, marks: Array, slips: Array, targets: Array, latency: int, rates: Array,
    summary: Array, curve: Array,
) -> int:  # fmt: skip
    """Let one series of `targets` (time, symbol) live on capital 1; write `summary` (8,), in the order of `Sweep`, and the equity `curve`.

    `curve` is (time,), or (0,) where it is not wanted. Works in blocks that fit the cache. Returns the bar of an infinite target, or -1.
    """
    n, width = opens.shape
    nothing = np.empty((0, width))
    due, quantities, equity, cash = np.empty((BLOCK, width)), np.empty((BLOCK, width)), np.empty(BLOCK), np.empty(BLOCK)
    money, holdings = np.zeros(6), np.zeros((3, width))
    money[CASH] = money[EQUITY] = last = peak = 1.0
    total, squares, fall = 0.0, 0.0, 0.0
    for begin in range(0, n, BLOCK):
        stop = min(begin + BLOCK, n)
        for t in range(begin, stop):
            for s in range(width):
                due[t - begin, s] = targets[t - latency, s] if t >= latency else np.nan
                if abs(due[t - begin, s]) == np.inf:
                    return t - latency
        live_through(
            opens[begin:stop], closes[begin:stop], funding[begin:stop], marks[begin:stop], slips[begin:stop],
            due, nothing, nothing, nothing, rates, money, holdings, equity, cash, quantities, nothing,
        )  # fmt: skip
        for t in range(stop - begin):
            change = equity[t] / last - 1.0 if last > 0.0 else 0.0
            last = equity[t]
            total += change
            squares += change * change
            peak = max(peak, last)
            if peak - last > fall * peak:
                fall = (peak - last) / peak
        if curve.shape[0] > 0:
            curve[begin:stop] = equity[: stop - begin]
    for t in range(max(0, n - latency), n):
        for s in range(width):
            if abs(targets[t, s]) == np.inf:
                return t
    mean = total / (n - 1)
    summary[0], summary[1], summary[2] = last, mean, np.sqrt(max(squares - mean * total, 0.0) / (n - 2))
    summary[3], summary[4:] = fall, money[ALL_FEES:]
    return -1
