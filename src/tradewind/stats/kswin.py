"""KSWIN: compares the newest values of a window with as many drawn from its older part, by the two-sample Kolmogorov-Smirnov test.

Paper: Raab, Heusinger & Schleif (2020), Reactive Soft Prototype Computing for Concept Drift Streams,
https://doi.org/10.1016/j.neucom.2019.11.111; the exact p-value for samples of one size, Gnedenko & Korolyuk (1951), as in Hodges (1958),
https://doi.org/10.1007/BF02589501. With the same draws it tells the same drifts as River's, but keeps the newest values after one, as the
paper says, where River begins with an empty window.
Cost: O(recent log recent) a value and `window` numbers. Fails by its own eagerness: it tests at every value, so that `alpha` is the chance
of a false alarm at one look and never of the stream (`docs/drift.md` has how many come); autocorrelation makes it worse; and a change
slower than the window never stands out in it.
"""

from __future__ import annotations

import math
from typing import ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.errors import SettingsError
from tradewind.core.limits import fraction, whole
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.stats.detector import ChangeDetector, Memory

__all__ = ["Kswin", "critical_steps"]


def critical_steps(size: int, alpha: float) -> int:
    """The least h such that two samples of `size` values of one law lie h / size apart or more with a chance of at most `alpha`; size + 1
    where there is none. P = 2 sum over k >= 1 of (-1)^(k-1) C(2 size, size - k h) / C(2 size, size). Gnedenko & Korolyuk (1951).
    """
    paths = math.comb(2 * size, size)
    for h in range(1, size + 1):
        outside = 2 * sum((-1) ** (k - 1) * math.comb(2 * size, size - k * h) for k in range(1, size // h + 1))
        if outside / paths <= alpha:
            return h
    return size + 1


@final
class Kswin(ChangeDetector):
    """Tells a changed distribution, of mean, variance or shape. `alpha`: chance of a false alarm at a look; `warning_alpha`: of a warning.

    `window`: values kept. `recent`: the newest of them, compared with as many drawn by `seed` from the others. Raises SettingsError where
    `recent` is so small that no difference reaches `alpha`.
    """

    name: ClassVar[str] = "kswin"

    def __init__(self, alpha: float = 0.005, warning_alpha: float = 0.02, window: int = 100, recent: int = 30, seed: int = 0) -> None:
        fraction(alpha=alpha, warning_alpha=warning_alpha)
        whole(2, recent=recent, window=window)
        require(warning_alpha >= alpha, f"warning_alpha {warning_alpha:g} is under alpha {alpha:g}; a warning comes before the drift")
        require(window >= 2 * recent, f"a window of {window} has no {recent} older values beside the newest {recent}; make it longer")
        self.steps: Final = critical_steps(recent, alpha)
        self.warning_steps: Final = critical_steps(recent, warning_alpha)
        if self.steps > recent:
            raise SettingsError(f"two samples of {recent} never differ with a p-value of {alpha:g}; make recent larger")
        super().__init__(alpha=alpha, warning_alpha=warning_alpha, window=window, recent=recent, seed=seed)

    def _fresh(self) -> Memory:
        return {
            "window": np.zeros(self.settings["window"]),
            "held": np.zeros(1, dtype=np.int64),
            "draws": np.array([derive(self.settings["seed"], "kswin")], dtype=np.uint64),
        }

    def _live(self, series: Array, memory: Memory) -> NDArray[np.int8]:
        limits = np.array([self.settings["recent"], self.steps, self.warning_steps], dtype=np.int64)
        return _walk(series, limits, memory["window"], memory["held"], memory["draws"])


@kernel
def _draw(number: int, places: NDArray[np.int64], draws: NDArray[np.uint64]) -> None:
    """Bring `number` places, drawn without repetition, to the front of `places` (Fisher & Yates, on Steele's splitmix64)."""
    for k in range(number):
        draws[0] += np.uint64(0x9E3779B97F4A7C15)
        z = draws[0]
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        # 53 bits make a fraction below one.
        other = k + int(np.float64(z >> np.uint64(11)) * 2.0**-53 * (len(places) - k))
        places[k], places[other] = places[other], places[k]


@kernel
def _steps_apart(first: Array, second: Array) -> int:
    """The largest difference between the numbers of values up to x in two sorted samples of one size."""
    size, i, j, most = len(first), 0, 0, 0
    while i < size and j < size:
        x = min(first[i], second[j])
        while i < size and first[i] == x:
            i += 1
        while j < size and second[j] == x:
            j += 1
        most = max(most, abs(i - j))
    return most


@kernel
def _walk(series: Array, limits: NDArray[np.int64], window: Array, held: NDArray[np.int64], draws: NDArray[np.uint64]) -> NDArray[np.int8]:
    """Signals of `series`; `limits` are the newest values, and the steps of a drift and of a warning. The window lies oldest first."""
    recent, length = limits[0], len(window)
    signals = np.zeros(len(series), dtype=np.int8)
    for t in range(len(series)):
        if np.isnan(series[t]):
            continue
        if held[0] == length:
            window[:-1] = window[1:].copy()
            held[0] -= 1
        window[held[0]] = series[t]
        held[0] += 1
        if held[0] < length:
            continue
        places = np.arange(length - recent)
        _draw(recent, places, draws)
        steps = _steps_apart(np.sort(window[places[:recent]]), np.sort(window[length - recent :]))
        if steps >= limits[1]:
            signals[t] = 2
            window[:recent] = window[length - recent :].copy()
            held[0] = recent
        elif steps >= limits[2]:
            signals[t] = 1
    return signals
