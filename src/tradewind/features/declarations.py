"""Every built-in feature declared once: kernel, outputs, inputs, parameters, warm-up, state. A new one is an entry here and a kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np

from tradewind.core.types import Array
from tradewind.features.fractional import fractional_weights
from tradewind.features.kernels import cumulative, momentum, trend, volatility
from tradewind.features.kernels.rows import CHANGE, CLOSE, HIGH, LOW, OPEN, VOLUME
from tradewind.regimes import rules
from tradewind.regimes.mapping import SEVEN

__all__ = ["INDICATORS", "Indicator", "Kernel", "Numbers"]

Kernel: TypeAlias = Callable[[Array, Array, Array, Array], None]
Numbers: TypeAlias = tuple[int, ...]
"""The whole numbers of a name: `macd_12_26_9` has (12, 26, 9)."""


@final
@dataclass(frozen=True)
class Indicator:
    """A declaration. `outputs` name the rows of the kernel's answer ('' is scratch); `defaults` are the numbers of a bare name.

    The functions take the numbers of a name and tell: `warmups`, for each output the bars before its first value; `lookback`, how many
    earlier bars the kernel reads; `state`, how many slots it keeps; `parameters`, what it is given. Every number is at least `least`, and
    `valid`, or an error says `rule`. A kernel with several `lanes` takes that many parameter sets at once, and answers each in its row.
    """

    kernel: Kernel
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    about: str
    defaults: Numbers = ()
    warmups: Callable[[Numbers], Numbers] = lambda p: (0, 0)
    lookback: Callable[[Numbers], int] = lambda p: 1
    state: Callable[[Numbers], int] = lambda p: 0
    parameters: Callable[[Numbers], Any] = lambda p: p
    least: int = 1
    lanes: int = 1
    valid: Callable[[Numbers], bool] = lambda p: True
    rule: str = ""


def _window(p: Numbers) -> int:
    return p[0]


def _full_window(p: Numbers) -> Numbers:
    """A window over the bars themselves is full one bar sooner than a window over changes between them."""
    return (p[0] - 1,) * 5


def _changes(p: Numbers) -> Numbers:
    return (p[0], p[0])


def _ordered(p: Numbers) -> bool:
    return p[0] < p[1]


def _scaled(row: int, less: int) -> Callable[[Numbers], Any]:
    """Parameters of a deviation that divides by the window less `less`."""
    return lambda p: (p[0], row, (p[0] / (p[0] - less)) ** 0.5)


def _field(name: str, row: int) -> Indicator:
    return Indicator(trend.field, (name,), (name,), f"the bar's {name} as it is", parameters=lambda p: (row,))


def _circle(unit: int, phases: int, stem: str) -> Indicator:
    angle = 2.0 * np.pi * np.arange(phases) / phases
    table = np.concatenate([[unit, phases], np.sin(angle), np.cos(angle)])
    about = f"{stem.replace('_', ' ')} of open_time in UTC, as a point on a circle of {phases}"
    return Indicator(cumulative.circle, (f"{stem}_sine", f"{stem}_cosine"), ("open_time",), about, parameters=lambda p: table)


_C: Final = ("close",)
_V: Final = ("volume",)
_HLC: Final = ("high", "low", "close")
_ORDER: Final = "the first number must be smaller than the second"
_LEVELS: Final = "the period must be at least 2 and 50 lie between the levels, as 30 and 70"

_BARS: Final = (
    _field("open", OPEN),
    _field("high", HIGH),
    _field("low", LOW),
    _field("close", CLOSE),
    _field("volume", VOLUME),
    _circle(0, 24, "hour"),
    _circle(1, 7, "weekday"),
    _circle(2, 31, "day_of_month"),
    _circle(3, 12, "month"),
)

_TREND: Final = (
    Indicator(trend.simple_return, ("return",), _C, "simple return over a number of bars", (1,), _changes, _window),
    Indicator(trend.ema, ("ema",), _C, "exponential average, seeded with the plain mean", (50,), _full_window, state=lambda p: 2),
    Indicator(trend.ema_distance, ("ema_distance",), _C, "(close - ema) / ema", (50,), _full_window, state=lambda p: 2),
    Indicator(
        trend.macd,
        ("macd", "macd_signal", "macd_hist"),
        _C,
        "fast less slow average, the average of that, and their difference",
        (12, 26, 9),
        lambda p: (p[1] + p[2] - 2,) * 3,
        state=lambda p: 4,
        valid=_ordered,
        rule=_ORDER,
    ),
    Indicator(
        trend.directional,
        ("adx", "plus_di", "minus_di"),
        _HLC,
        "Wilder's directional movement, 0 to 100; both DI are 0 without range",
        (14,),
        lambda p: (2 * p[0] - 1, p[0], p[0]),
        state=lambda p: 5,
        least=2,
    ),
    Indicator(
        cumulative.fractional,
        ("fractional",),
        _C,
        "fractional difference of the close: order in percent, then width",
        (40, 100),
        lambda p: (p[1] - 1,),
        lambda p: p[1],
        parameters=lambda p: fractional_weights(p[0] / 100.0, p[1]),
    ),
)

_MOMENTUM: Final = (
    Indicator(
        momentum.rsi,
        ("rsi", "", "", "", "", ""),
        _C,
        "relative strength index, 0 to 100; 0 before any move",
        (14,),
        _changes,
        state=lambda p: 7,
        least=2,
        lanes=3,
    ),
    Indicator(
        momentum.stochastic,
        ("stoch_k", "stoch_d", "williams_r"),
        _HLC,
        "TA-Lib's STOCHF and WILLR; 0 without range",
        (14, 3),
        lambda p: (p[0] - 1, p[0] + p[1] - 2, p[0] - 1),
        _window,
        lambda p: p[1] - 1,
    ),
    Indicator(
        momentum.commodity_channel, ("cci", ""), _HLC, "commodity channel index; 0 without deviation", (20,), _full_window, _window, least=2
    ),
)

_SPREAD: Final = (
    Indicator(
        volatility.bollinger,
        ("bb_upper", "bb_middle", "bb_lower", "bb_width", "bb_percent"),
        _C,
        "bands of population deviations; width is (upper - lower) / middle; percent is .5 without width",
        (20, 2),
        _full_window,
        _window,
        valid=lambda p: p[0] > 1,
        rule="the window must be at least 2",
    ),
    Indicator(
        volatility.average_true_range,
        ("atr", "natr"),
        _HLC,
        "average true range in price, and in percent of the close",
        (14,),
        _changes,
        state=lambda p: 2,
    ),
    Indicator(
        volatility.deviation,
        ("volatility", ""),
        _C,
        "population deviation of one-bar simple returns",
        (20,),
        _changes,
        _window,
        parameters=_scaled(CHANGE, 0),
        least=2,
    ),
    Indicator(
        volatility.deviation,
        ("volatility_sample", ""),
        _C,
        "sample deviation of one-bar simple returns",
        (20,),
        _changes,
        _window,
        parameters=_scaled(CHANGE, 1),
        least=2,
    ),
    Indicator(
        volatility.deviation,
        ("volume_std_sample", ""),
        _V,
        "sample deviation of volume",
        (20,),
        _full_window,
        _window,
        parameters=_scaled(VOLUME, 1),
        least=2,
    ),
    Indicator(
        volatility.volume_average,
        ("volume_ratio", "volume_mean", "volume_std"),
        _V,
        "volume over its mean, 1 where there is none at all; mean; population deviation",
        (20,),
        _full_window,
        _window,
    ),
    Indicator(cumulative.on_balance_volume, ("obv",), ("close", "volume"), "on-balance volume since the first bar", state=lambda p: 2),
)

_SIGNALS: Final = (
    Indicator(
        trend.cross,
        ("signal_ema_cross",),
        _C,
        "rule: 1 while the fast average is over the slow one, -1 while under",
        (50, 200),
        lambda p: (p[1] - 1,),
        state=lambda p: 3,
        valid=_ordered,
        rule=_ORDER,
    ),
    Indicator(
        momentum.rsi_reversal,
        ("signal_rsi_reversal",),
        _C,
        "rule: long from RSI under 30, short from over 70, out at 50",
        (14, 30, 70),
        _changes,
        state=lambda p: 4,
        valid=lambda p: p[1] <= 50 <= p[2] <= 100 and p[0] > 1,
        rule=_LEVELS,
    ),
    Indicator(
        volatility.bollinger_reversal,
        ("signal_bollinger_reversal", ""),
        _C,
        "rule: long from under the bands, short from over, out at the middle",
        (20, 2),
        _full_window,
        _window,
        lambda p: 2,
        valid=lambda p: p[0] > 1,
        rule="the window must be at least 2",
    ),
    Indicator(
        momentum.rsi_divergence,
        ("signal_rsi_divergence",),
        _C,
        "rule: long on a low that RSI does not confirm, short mirrored, out at RSI 50",
        (14,),
        lambda p: (2 * p[0],),
        lambda p: p[0] + 1,
        lambda p: 4 + p[0],
        least=2,
    ),
)

_REGIMES: Final = (
    Indicator(
        rules.columns,
        tuple(f"regime_{name}" for name in SEVEN),
        ("open", "high", "low", "close"),
        "probability of the regime by rules, 0 to 1; numbers: fast, slow, long past, life of a breakout",
        rules.WINDOWS,
        lambda p: (p[0] + p[1],) * len(SEVEN),
        state=lambda p: rules.slots(p[0], p[1]),
        parameters=lambda p: rules.packed(*p),
        least=2,
        valid=lambda p: p[0] < p[1] < p[2],
        rule="the first three numbers must ascend",
    ),
)

INDICATORS: Final[tuple[Indicator, ...]] = (*_BARS, *_TREND, *_MOMENTUM, *_SPREAD, *_SIGNALS, *_REGIMES)
