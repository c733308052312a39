"""How strong a planted mean has to be for its R^2, and how somebody who knows it trades it best under costs.

Sources: the no-trade band under proportional costs, Davis & Norman (1990), https://doi.org/10.1287/moor.15.4.676; moments by control
variates, Glasserman (2003), section 4.1. Costs a second for each new market of these, and nothing for one that was made before.
Fails to know the best of all rules: it is the best of a family, a share of the mean inside a band of one width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

import numpy as np

from tradewind.core.clock import DAY, HOUR
from tradewind.core.seeds import generator
from tradewind.core.settings import choose, require
from tradewind.core.types import Array, Times
from tradewind.data import synthetic_paths as paths

__all__ = ["SPAN", "Plan", "plan"]

SPAN: Final = 200
"""Bars of the exponential average that the mean is made of; the column is ema_distance_200."""

_CALIBRATION_BARS: Final = 1 << 18
_EPOCH_WEEKDAY: Final = 3
"""The first of January 1970 was a Thursday; a week begins on Monday."""
_GAINS: Final = tuple(2.0**k for k in range(-2, 8))
_WIDTHS: Final = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)


@final
@dataclass(frozen=True)
class Plan:
    """A planted mean and the rule that trades it best: `gain` is the position a unit of mean asks for, `width` the band around it.

    `strength` of the mean per unit of its signal; `sharpe` per bar that the rule earns, net, in expectation; `signals` are its columns.
    """

    signals: tuple[str, ...]
    knows: str
    volatility: float
    strength: float
    gain: float
    width: float
    sharpe: float

    def waves(self, open_time: Times) -> Array:
        """(time,) what the sign of the signal is multiplied with at each bar, of mean square 1; empty where the mean is linear."""
        return _waves(open_time, self.signals)

    def path(self, shocks: Array, waves: Array) -> tuple[Array, Array]:
        """Log closes (time + 1,) and the mean of the bar after each (time,) that `shocks` (time,) give."""
        return paths.average_drift(shocks, waves, self.strength, self.volatility, SPAN)


@lru_cache(maxsize=64)
def plan(r2: float, form: str, volatility: float, step: int, cost: float) -> Plan:
    """The mean of `form` with `r2` in bars of `step` ns and `volatility`, and the rule that trades it best at `cost` a unit of turnover.

    Raises SettingsError for an unknown form, an r2 outside of 0 to .2, and bars for which the form has no cycle.
    """
    require(0 <= r2 <= 0.2, f"planted: r2 is {r2}, a share of the variance from 0 to .2")
    columns = choose(form, _FORMS, "form of what is planted")(step)
    shocks = generator(0, "planted", "signal").standard_normal(_CALIBRATION_BARS)
    waves = _waves(step * np.arange(_CALIBRATION_BARS, dtype=np.int64), columns)
    strength = _strength(r2, volatility) if len(waves) else _reversion(r2, volatility, shocks)
    logs, mean = paths.average_drift(shocks, waves, strength, volatility, SPAN)
    gain, width, sharpe = _best_rule(np.expm1(np.diff(logs)), mean, volatility, cost)
    knows = f"the mean of the next bar, made of {' and '.join(columns)}, and the best no-trade band around it"
    return Plan(columns, knows, volatility, strength, gain, width, sharpe)


def _linear(step: int) -> tuple[str, ...]:
    return (f"ema_distance_{SPAN}",)


def _nonlinear(step: int) -> tuple[str, ...]:
    # The square of a sine has the mean one half exactly where the cycle has three phases or more.
    require(step <= 8 * HOUR or step == DAY, "planted: the nonlinear form needs bars of up to 8 hours, or of a day, for its cycle")
    return ("hour_sine" if step < DAY else "weekday_sine", f"ema_distance_{SPAN}")


_FORMS: Final[dict[str, Callable[[int], tuple[str, ...]]]] = {"linear": _linear, "nonlinear": _nonlinear}


def _waves(open_time: Times, columns: tuple[str, ...]) -> Array:
    if columns[0] == "hour_sine":
        return np.asarray(math.sqrt(2.0) * np.sin(2.0 * np.pi * (open_time // HOUR % 24) / 24.0))
    if columns[0] == "weekday_sine":
        return np.asarray(math.sqrt(2.0) * np.sin(2.0 * np.pi * ((open_time // DAY + _EPOCH_WEEKDAY) % 7) / 7.0))
    return np.empty(0)


def _strength(r2: float, volatility: float) -> float:
    """The root mean square of a mean with `r2`: r2 = s / (s + (1 + s) v), s its mean square and v the variance around it, exactly.

    Simple returns around a mean m are lognormal, so their variance is (1 + m)^2 (exp(volatility^2) - 1).
    """
    around = math.expm1(volatility**2)
    return math.sqrt(r2 * around / (1.0 - r2 * (1.0 + around)))


def _reversion(r2: float, volatility: float, shocks: Array) -> float:
    """The (negative) multiple of the distance from the average at which the mean has `r2`, by bisection.

    The distance is close to an autoregression whose variance is known: only what lies between the two is sampled, which leaves an error
    of about a thousandth of r2.
    """
    wanted, decay = _strength(r2, volatility), 1.0 - 2.0 / (SPAN + 1.0)
    low, high = 0.0, 1.0
    for _ in range(40 if r2 > 0 else 0):
        middle = (low + high) / 2.0
        _, mean = paths.average_drift(shocks, np.empty(0), -middle, volatility, SPAN)
        kept = decay * (1.0 - middle)
        twin = decay * volatility * paths.autoregression(shocks, kept)[SPAN:] / kept
        exact = (decay * volatility) ** 2 / (1.0 - kept**2)
        size = middle**2 * (exact - float(np.mean(twin**2))) + float(np.var(mean[SPAN:]))
        low, high = (middle, high) if size < wanted**2 else (low, middle)
    return -low


def _best_rule(returns: Array, mean: Array, volatility: float, cost: float) -> tuple[float, float, float]:
    """(gain, width, Sharpe ratio per bar) of the band rule that earns most; the rule that holds nothing where every other loses."""
    expected = np.concatenate([[0.0], mean[:-1]])[:, None]
    best = (0.0, 0.0, 0.0)
    size = float(np.sqrt(np.mean(mean**2)))
    for gain in _GAINS if size > 0 else ():
        for width in _WIDTHS:
            net, foreseen = paths.hold(returns[:, None], expected, paths.band(mean, gain / size, width)[:, None], cost)
            deviation = float(net.std())
            worth = float(foreseen.mean()) / deviation if deviation > 0 else 0.0
            best = max(best, (gain / size, width, worth), key=lambda rule: rule[2])
    return best
