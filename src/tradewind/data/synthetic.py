"""Synthetic markets whose truth is known: planted edge, noise, switches, the seven regimes, flat, gappy; each comes with its oracle.

Prices are martingales but for what is planted. Costs about 50 ns a bar. They fail to be like real markets in every way not named
in their docstrings: what passes here is necessary for a strategy, never sufficient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import DAY, parse_duration, parse_time, timeframe_name
from tradewind.core.market import CALENDARS, Market
from tradewind.core.seeds import generator
from tradewind.core.settings import require
from tradewind.core.types import Array, Targets
from tradewind.data import synthetic_paths as paths
from tradewind.data import synthetic_regimes as labelled
from tradewind.data import synthetic_signals as signals
from tradewind.data import synthetic_switching as switches

__all__ = ["Oracle", "Synthetic", "flat", "gappy", "noise", "planted", "regimes", "switching", "three_regimes"]

VOLATILITY: Final = 1.0
"""Annual volatility of planted and noise markets: 100 %, that of a large alternative coin."""

REGIME_MEAN, REGIME_VOLATILITY, REGIME_STAY = switches.MEAN, switches.VOLATILITY, switches.STAY
"""The two-state model of monthly S&P 500 returns of Hardy (2001, https://doi.org/10.1080/10920277.2001.10595984), at 20 days a month."""

_START: Final = parse_time("2001-01-01")
"""A Monday, and long enough ago that a thousand weeks of bars have closed by now."""

_BASIS_POINT: Final = 1e-4
_CALIBRATION_BARS: Final = 1 << 18


@final
@dataclass(frozen=True, eq=False)
class Oracle:
    """What somebody who knows the truth, but not the future, would hold, and what that earns.

    `targets` (time, symbol): weights decided at each close from bars up to it; NaN keeps what is held.
    `sharpe`: annual Sharpe ratio net of costs that this earns in expectation; `realised`: the one it earned in these very bars.
    `knows`: in words. `parameters`: the truth in numbers. `states` (time,): the hidden regime of each bar, where there is one.
    `mean` (time, symbol): the true expected simple return of the next bar given everything up to each close, and `signals` the columns
    that it is made of, where something is planted.
    """

    targets: Targets
    sharpe: float
    realised: float
    knows: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    states: NDArray[np.int64] | None = None
    mean: Array | None = None
    signals: tuple[str, ...] = ()


@final
@dataclass(frozen=True, eq=False)
class Synthetic:
    """A synthetic market and its oracle."""

    market: Market
    oracle: Oracle


def planted(
    sharpe: float | None = None,
    bars: int = 20_000,
    timeframe: str = "1h",
    seed: int = 1,
    symbols: int = 1,
    fee_bps: float = 10.0,
    slippage_bps: float = 2.0,
    lookback: int | None = None,
    r2: float | None = None,
    form: str = "linear",
) -> Synthetic:
    """A market in which something is planted: momentum worth an annual net Sharpe ratio of `sharpe`, or a mean of the next bar with `r2`.

    `sharpe` (2 when neither is given): the next bar drifts by k volatilities in the direction of the last `lookback` (20) bars' return. k
    is calibrated so that the oracle, which is long or short by that very sign and pays `fee_bps` and `slippage_bps` when it turns, earns
    `sharpe` net of costs in expectation; sampling error remains, about 1 / sqrt(years). At `sharpe=0` the rule earns exactly its costs:
    there is something to predict and nothing to gain by it; `noise` has nothing to predict. Each of several symbols carries
    sharpe / sqrt(symbols).

    `r2`: the share of the variance of the next bar's simple return that its conditional mean has. `form` says what the mean is made of:
    `linear` is a multiple of the column ema_distance_200, towards the average; `nonlinear` is the sine of the hour (of the weekday in bars
    of a day) times the sign of ema_distance_200: away from the average for one half of the cycle, towards it for the other. No column
    alone tells anything of that, but a mean that lasts shows a little in past returns: a linear regression on the columns of `relative`
    finds a sixth of it at r2 = .05 and a twenty-fourth at .01. The oracle trades the mean inside the best no-trade band.

    Symbols are independent. Log returns are normal around the mean, volatility is constant. Raises SettingsError for both of `sharpe` and
    `r2`, an unknown form, and for a sharpe, r2, cost or count that cannot be.
    """
    step = _require_size(bars, timeframe, symbols)
    require(min(fee_bps, slippage_bps) >= 0, "planted: costs are basis points from 0 up")
    require(sharpe is None or r2 is None, "planted: give sharpe or r2, not both: each decides how much there is to gain")
    cost, volatility = (fee_bps + slippage_bps) * _BASIS_POINT, _per_bar(step)
    shocks = generator(seed, "planted", "shocks").standard_normal((symbols, bars)).T
    if r2 is None:
        worth = 2.0 if sharpe is None else sharpe
        reach = 20 if lookback is None else lookback
        require(form == "linear", f"planted: form is {form!r} of something planted by its r2; give r2 too")
        require(0 <= worth < 100, f"planted: sharpe is {worth}, an annual Sharpe ratio from 0 to 100")
        require(isinstance(reach, int) and reach >= 1, f"planted: lookback is {reach!r}, a positive number of bars")
        logs, oracle = _momentum(worth, reach, shocks, volatility, _periods(step), cost)
    else:
        require(lookback is None, "planted: lookback is that of the momentum planted by sharpe; r2 has no use for it")
        logs, oracle = _signal(r2, form, shocks, volatility, step, cost)
    market = _market("PLANTED", logs, np.full((bars, symbols), volatility), step, seed)
    known = {**oracle.parameters, "volatility": volatility, "fee_bps": fee_bps, "slippage_bps": slippage_bps}
    return Synthetic(market, replace(oracle, realised=_realised(market, oracle.targets, cost), parameters=known))


def noise(bars: int = 20_000, timeframe: str = "1h", seed: int = 1, symbols: int = 1) -> Synthetic:
    """A market without anything to predict but its volatility: simple returns are a martingale difference, clustered and fat-tailed.

    GARCH(1, 1) (Bollerslev 1986, https://doi.org/10.1016/0304-4076(86)90063-1) with Student-t shocks of 5 degrees of freedom; symmetric,
    so that no position, long or short, has an expected profit. The oracle holds nothing.
    """
    step = _require_size(bars, timeframe, symbols)
    logs, volatility = _noise_paths(bars, symbols, step, seed)
    return Synthetic(_market("NOISE", logs, volatility, step, seed), _idle(bars, symbols, "there is nothing to know"))


def switching(
    bars: int = 5_000, timeframe: str = "1d", seed: int = 1, symbols: int = 1, fee_bps: float = 10.0, slippage_bps: float = 2.0
) -> Synthetic:
    """A two-state Markov market: calm and rising, or turbulent and falling; `oracle.states` (time,) is 0 or 1 in each bar.

    Simple returns are normal with REGIME_MEAN and REGIME_VOLATILITY per bar whatever the timeframe; all symbols share the regime and
    have shocks of their own. The oracle knows the parameters but not the state: it filters the state from past returns (Hamilton
    1989, https://doi.org/10.2307/1912559), is long while it expects the next bar to rise and short while it expects a fall.
    """
    step = _require_size(bars, timeframe, symbols)
    cost = (fee_bps + slippage_bps) * _BASIS_POINT
    path = switches.two_states(bars, symbols, seed)
    market = _market("SWITCHING", path.logs, path.volatility, step, seed)
    long_run = switches.two_sharpe(symbols, cost) * _periods(step) ** 0.5
    parameters = {
        f"{name}_{state}": values[state]
        for name, values in (("mean", REGIME_MEAN), ("volatility", REGIME_VOLATILITY), ("stay", REGIME_STAY))
        for state in (0, 1)
    }
    knows = "the two regimes' means, volatilities and probabilities of staying, not which one rules"
    return Synthetic(market, Oracle(path.targets, long_run, _realised(market, path.targets, cost), knows, parameters, path.states))


def three_regimes(
    bars: int = 20_000, timeframe: str = "1h", seed: int = 1, symbols: int = 1, observable: bool = True, cost_bps: float = 12.0
) -> Synthetic:
    """Three regimes, `oracle.states` (time,) 0 to 2: a slow trend, a reversion, a fast trend, with volatilities 1 : 3 : 9 and mean stays of
    500 bars, or with `observable` false with the same volatility in all. What they are stands in `data/synthetic_switching.py`.

    All symbols share the regime and have shocks of their own. The oracle knows the regime of each bar, not when it ends, and holds what
    the rule that suits it does, paying `cost_bps` a unit of turnover.
    """
    step = _require_size(bars, timeframe, symbols)
    path = switches.three_regimes(bars, symbols, _per_bar(step), seed, observable)
    market = _market("THREE", path.logs, path.volatility, step, seed)
    worth = switches.three_sharpe(symbols, _per_bar(step), observable, cost_bps * _BASIS_POINT) * _periods(step) ** 0.5
    realised, knows = _realised(market, path.targets, cost_bps * _BASIS_POINT), "the regime of each bar, not when it ends"
    return Synthetic(market, Oracle(path.targets, worth, realised, knows, {}, path.states, np.expm1(path.mean)))


def regimes(
    bars: int = 20_000, timeframe: str = "1h", seed: int = 1, symbols: int = 1, fee_bps: float = 10.0, slippage_bps: float = 2.0
) -> Synthetic:
    """A market that goes through the seven regimes; `oracle.states` (time,) says which, by number in `tradewind.regimes.SEVEN`.

    How each regime moves stands in `data/synthetic_regimes.py`. All symbols share the regime and have shocks of their own. The oracle
    knows the regime of each bar, not when it ends: it holds the side on which the next bar is expected to go if the regime lasts.
    """
    step = _require_size(bars, timeframe, symbols)
    cost = (fee_bps + slippage_bps) * _BASIS_POINT
    path = labelled.labelled(bars, symbols, _per_bar(step), seed)
    targets = labelled.sides(path.mean)
    market = _market("REGIMES", path.logs, path.volatility, step, seed)
    long_run = labelled.sharpe(symbols, _per_bar(step), cost) * _periods(step) ** 0.5
    knows = "the regime of each bar and how it moves, not when it ends"
    realised = _realised(market, targets, cost)
    return Synthetic(market, Oracle(targets, long_run, realised, knows, {}, path.states))


def flat(bars: int = 1_000, timeframe: str = "1h", seed: int = 1, symbols: int = 1) -> Synthetic:
    """A market whose price never moves and in which nothing trades: open = high = low = close = 100, volume 0."""
    step = _require_size(bars, timeframe, symbols)
    prices = np.full((bars, symbols), 100.0)
    open_time = _START + step * np.arange(bars, dtype=np.int64)
    market = Market(
        _names("FLAT", symbols), timeframe_name(step), open_time, open_time + step, prices, prices, prices, prices, np.zeros_like(prices)
    )
    return Synthetic(market, _idle(bars, symbols, "the price never moves"))


def gappy(bars: int = 5_000, timeframe: str = "1h", seed: int = 1, symbols: int = 3, missing: float = 0.05, outages: int = 5) -> Synthetic:
    """A noise market with holes: each symbol lacks a share `missing` of its bars, and the whole market has `outages` of 2 to 48 bars.

    The price moves on behind a hole, so the bar after it opens away from the last close. Fewer than `bars` bars remain.
    """
    step = _require_size(bars, timeframe, symbols)
    require(0 <= missing <= 0.9, f"gappy: missing is {missing}, a share of bars from 0 to 0.9")
    require(outages >= 0, f"gappy: outages is {outages}, a number from 0 up")
    logs, volatility = _noise_paths(bars, symbols, step, seed)
    full = _market("GAPPY", logs, volatility, step, seed)
    random = generator(seed, "gappy", "holes")
    present = random.random((bars, symbols)) >= missing
    for start, length in zip(random.integers(1, max(2, bars - 48), outages), random.integers(2, 49, outages), strict=True):
        present[start : start + length] = False
    present[0] = present[-1] = True  # the first and last bar stay, so the span is the one asked for
    kept = present.any(axis=1)
    opens, highs, lows, closes, volume = (
        np.where(present, column, np.nan)[kept] for column in (full.open, full.high, full.low, full.close, full.volume)
    )
    market = Market(full.symbols, full.timeframe, full.open_time[kept], full.known[kept], opens, highs, lows, closes, volume)
    return Synthetic(market, _idle(len(market), symbols, "there is nothing to know"))


# -- how they are made --------------------------------------------------------------------------------------------------
def _require_size(bars: int, timeframe: str, symbols: int) -> int:
    require(isinstance(bars, int) and bars >= 2, f"bars is {bars!r}; a synthetic market has at least 2")
    require(isinstance(symbols, int) and symbols >= 1, f"symbols is {symbols!r}; a market has at least 1")
    step = parse_duration(timeframe)
    require(step <= 7 * DAY, f"timeframe is {timeframe!r}; synthetic bars are a week long at most")
    return step


def _periods(step: int) -> float:
    return CALENDARS["24/7"][0] * DAY / step


def _per_bar(step: int) -> float:
    return float(VOLATILITY / _periods(step) ** 0.5)


def _names(kind: str, symbols: int) -> tuple[str, ...]:
    return tuple(f"{kind}-{i + 1}" for i in range(symbols))


def _idle(bars: int, symbols: int, knows: str) -> Oracle:
    return Oracle(np.zeros((bars, symbols)), 0.0, 0.0, knows)


def _market(kind: str, logs: Array, volatility: Array, step: int, seed: int) -> Market:
    """Bars around the log closes `logs` (time + 1, symbol); each opens at the close before it.

    Highs and lows are the extremes of a Brownian bridge from open to close: P(max > m) = exp(-2 (m - a)(m - b) / variance).
    """
    random = generator(seed, kind, "bars")
    begin, change = logs[:-1], np.diff(logs, axis=0)
    reach = -2.0 * volatility**2 * np.log1p(-random.random((2, *change.shape)))
    up, down = (np.sqrt(change**2 + part) for part in reach)
    opens, closes = 100.0 * np.exp(begin), 100.0 * np.exp(logs[1:])
    # Rounding in exp may put an extreme a hair inside the body; a bar's high is by definition never under it.
    highs = np.maximum(100.0 * np.exp(begin + (change + up) / 2), np.maximum(opens, closes))
    lows = np.minimum(100.0 * np.exp(begin + (change - down) / 2), np.minimum(opens, closes))
    activity = np.abs(change) / volatility
    volume = np.round(1_000.0 * np.exp(0.5 * activity + 0.5 * random.standard_normal(change.shape)), 3)
    open_time = _START + step * np.arange(len(change), dtype=np.int64)
    return Market(_names(kind, change.shape[1]), timeframe_name(step), open_time, open_time + step, opens, highs, lows, closes, volume)


def _momentum(sharpe: float, lookback: int, shocks: Array, volatility: float, periods: float, cost: float) -> tuple[Array, Oracle]:
    """Log closes (time + 1, symbol), and who knows the momentum in them."""
    bars, symbols = shocks.shape
    drift = _calibrate(sharpe / symbols**0.5, lookback, volatility, periods, cost)
    logs, targets, mean = np.empty((bars + 1, symbols)), np.empty((bars, symbols)), np.empty((bars, symbols))
    for column in range(symbols):
        logs[:, column], targets[:, column] = paths.momentum(np.ascontiguousarray(shocks[:, column]), drift, volatility, lookback)
        mean[:, column] = drift * volatility * paths.carried(np.ascontiguousarray(targets[:, column]))
    knows = f"the next bar drifts in the direction of the return over the last {lookback} bars"
    numbers = {"lookback": lookback, "drift": drift * volatility}
    return logs, Oracle(targets / symbols, float(sharpe), 0.0, knows, numbers, mean=mean, signals=(f"return_{lookback}",))


def _signal(r2: float, form: str, shocks: Array, volatility: float, step: int, cost: float) -> tuple[Array, Oracle]:
    """Log closes (time + 1, symbol), and who knows the mean planted in them."""
    bars, symbols = shocks.shape
    plan = signals.plan(float(r2), form, volatility, step, cost)
    waves = plan.waves(_START + step * np.arange(bars, dtype=np.int64))
    logs, targets, mean = np.empty((bars + 1, symbols)), np.empty((bars, symbols)), np.empty((bars, symbols))
    for column in range(symbols):
        logs[:, column], mean[:, column] = plan.path(np.ascontiguousarray(shocks[:, column]), waves)
        targets[:, column] = paths.band(np.ascontiguousarray(mean[:, column]), plan.gain, plan.width)
    numbers = {"r2": r2, "strength": plan.strength, "gain": plan.gain, "band": plan.width}
    # Independent symbols with equal shares: the mean is that of one, the deviation that of one over the root of their number.
    worth = plan.sharpe * (_periods(step) * symbols) ** 0.5
    return logs, Oracle(targets / symbols, worth, 0.0, plan.knows, numbers, mean=mean, signals=plan.signals)


def _noise_paths(bars: int, symbols: int, step: int, seed: int) -> tuple[Array, Array]:
    shocks = generator(seed, "noise", "shocks").standard_t(5, (symbols, bars)) / (5 / 3) ** 0.5
    logs, volatility = np.empty((bars + 1, symbols)), np.empty((bars, symbols))
    for column in range(symbols):
        logs[:, column], volatility[:, column] = paths.garch(shocks[column], _per_bar(step))
    return logs, volatility


def _realised(market: Market, targets: Targets, cost: float) -> float:
    returns = market.close / market.open - 1.0
    net, _ = paths.hold(returns, returns, targets, cost)
    return float(_ratio(net, net) * market.periods_per_year**0.5)


def _ratio(mean_of: Array, deviation_of: Array) -> float:
    deviation = float(deviation_of.std(ddof=1))
    return float(mean_of.mean()) / deviation if deviation > 0 else 0.0


@lru_cache(maxsize=64)
def _calibrate(sharpe: float, lookback: int, volatility: float, periods: float, cost: float) -> float:
    """The drift k, in volatilities, at which the rule earns `sharpe` net in expectation: Newton steps on one long fixed simulation.

    The expected return of each bar is known, so only turning points are sampled: 30 years of hours give the Sharpe ratio to 0.02.
    """
    shocks = generator(0, "planted", "calibration").standard_normal(max(_CALIBRATION_BARS, 64 * lookback))
    drift = float(sharpe / periods**0.5)
    for _ in range(12):
        logs, targets = paths.momentum(shocks, drift, volatility, lookback)
        returns = np.expm1(np.diff(logs))[:, None]
        direction = paths.carried(targets)
        expected = drift * volatility * np.concatenate([[0.0], direction[:-1]])[:, None]
        net, foreseen = paths.hold(returns, expected, targets[:, None], cost)
        error = sharpe - _ratio(foreseen[lookback:], net[lookback:]) * periods**0.5
        drift += float(error / periods**0.5)
        if abs(error) < 1e-4:
            break
    return drift
