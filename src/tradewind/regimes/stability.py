"""How stable the regime is, from 0 to 1, and what there is to say about it now: `regime_info`.

Two things make a regime stable: that its detector is sure of it, and that it has been the same for a while. With p the probabilities over K
regimes, certainty = 1 - H(p) / log K, where H is Shannon's entropy (1948, https://doi.org/10.1002/j.1538-7305.1948.tb01338.x), and
persistence = the exponential mean, over `span` bars, of whether each bar's most probable regime was today's. Stability is their geometric
mean: 0 at a coin toss among all regimes, 1 when the same regime has been certain for long. The definition is this house's own; from .7 on
a regime counts as stable, under .3 there is an alert.

Costs O(K) a bar. Fails to warn before a switch: it falls with the first bars of the new regime, as the detector does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.settings import choose, require
from tradewind.core.types import Array, State
from tradewind.regimes.base import Regimes

__all__ = ["RegimeInfo", "StabilityWatch", "regime_info", "stabilities"]

SPAN: Final = 20
STABLE: Final = 0.7
ALERT: Final = 0.3


@final
@dataclass(frozen=True)
class RegimeInfo:
    """What there is to say about a symbol's regime at its last bar.

    `probabilities` by name; `since`: open_time (UTC ns) of the first bar of the unbroken run of this regime, and `bars` how many bars of
    the symbol that is; `stable` and `alert`: whether the stability reaches the one threshold, or is under the other.
    """

    symbol: str
    current_regime: str
    probabilities: Mapping[str, float]
    regime_stability: float
    since: int
    bars: int
    stable: bool
    alert: bool


def stabilities(regimes: Regimes, span: int = SPAN) -> Array:
    """(time, symbol) the stability of each bar's regime, from bars up to it; NaN where there is no regime.

    `span`: bars of the symbol, 2 or more, else SettingsError. A missing bar leaves the memory alone.
    """
    whole(2, span=span)
    memory = _blank(len(regimes.symbols), len(regimes.names))
    out = np.empty(regimes.probabilities.shape[:2])
    _sweep(memory, np.ascontiguousarray(regimes.probabilities), float(span), out)
    return out


@final
class StabilityWatch:
    """The same bar by bar, to the bit."""

    def __init__(self, symbols: tuple[str, ...], names: tuple[str, ...], span: int = SPAN) -> None:
        whole(2, span=span)
        self._span = span
        self._memory = _blank(len(symbols), len(names))

    def update(self, probabilities: Array) -> Array:
        """(symbol,) the stability after a bar with these probabilities (symbol, regime). Raises DataError for another shape."""
        symbols, names = len(self._memory), self._memory.shape[1] - 1
        if probabilities.shape != (symbols, names):
            raise DataError(f"probabilities have shape {probabilities.shape}, expected (symbol, regime) = {(symbols, names)}")
        out = np.empty((1, symbols))
        _sweep(self._memory, np.ascontiguousarray(probabilities[None]), float(self._span), out)
        row: Array = out[0]
        return row

    def state(self) -> State:
        """What the bars so far have left."""
        return State({"span": self._span}, {"memory": self._memory.copy()})

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError for that of another span, or of other symbols or regimes."""
        memory = state.arrays.get("memory")
        if state.values.get("span") != self._span or memory is None or memory.shape != self._memory.shape:
            raise StateError(f"this state is not of a stability over {self._span} bars of {self._memory.shape} symbols and regimes")
        self._memory = memory.copy()
        return self


def regime_info(
    regimes: Regimes, symbol: str | None = None, span: int = SPAN, threshold: float = STABLE, alert: float = ALERT
) -> RegimeInfo:
    """What there is to say at the last bar of `symbol`, which may be left out where there is only one.

    Raises SettingsError for an unknown symbol and for an alert above the threshold, DataError where the symbol has no regime yet.
    """
    fraction(one=True, threshold=threshold)
    fraction(zero=True, one=True, alert=alert)
    require(alert <= threshold, f"alert {alert} is above the threshold {threshold}; a regime cannot be stable and alarming at once")
    if symbol is None:
        require(len(regimes.symbols) == 1, f"there are {len(regimes.symbols)} symbols; name one of {', '.join(regimes.symbols)}")
        symbol = regimes.symbols[0]
    column = regimes.symbols.index(choose(symbol, {name: name for name in regimes.symbols}, "symbol"))
    current = regimes.current[:, column]
    rows = np.flatnonzero(current >= 0)
    if len(rows) == 0:
        raise DataError(f"{symbol} has no regime in these {len(regimes)} bars; the filter has to be warm, give it more of them")
    last = int(rows[-1])
    others = np.flatnonzero(current[rows] != current[last])
    first = int(others[-1]) + 1 if len(others) else 0
    steady = float(stabilities(regimes, span)[last, column])
    return RegimeInfo(
        symbol,
        regimes.names[current[last]],
        dict(zip(regimes.names, regimes.probabilities[last, column].tolist(), strict=True)),
        steady,
        int(regimes.open_time[rows[first]]),
        len(rows) - first,
        steady >= threshold,
        steady < alert,
    )


def _blank(symbols: int, names: int) -> Array:
    """(symbol, 1 + regime): how many bars were seen, and how large a part of the recent ones each regime was the most probable in."""
    return np.zeros((symbols, 1 + names))


@kernel
def _sweep(memory: Array, probabilities: Array, span: float, out: Array) -> None:
    for s in range(probabilities.shape[1]):
        for t in range(probabilities.shape[0]):
            out[t, s] = _step(memory[s], probabilities[t, s], span)


@kernel
def _step(memory: Array, probabilities: Array, span: float) -> float:
    """The stability of one bar of one symbol; NaN, and nothing is remembered, without probabilities."""
    names = len(probabilities)
    current, entropy = 0, 0.0
    for k in range(names):
        if math.isnan(probabilities[k]):
            return np.nan
        if probabilities[k] > probabilities[current]:
            current = k
        if probabilities[k] > 0.0:
            entropy -= probabilities[k] * math.log(probabilities[k])
    memory[0] += 1.0
    rate = max(1.0 / memory[0], 2.0 / (span + 1.0))
    for k in range(names):
        memory[1 + k] += rate * ((1.0 if k == current else 0.0) - memory[1 + k])
    certainty = max(1.0 - entropy / math.log(float(names)), 0.0) if names > 1 else 1.0
    return math.sqrt(certainty * memory[1 + current])
