"""Window tests: the newest values against those that came first, by Kolmogorov-Smirnov or by the population stability index.

Paper: Kifer, Ben-David & Gehrke (2004), Detecting Change in Data Streams, https://doi.org/10.1016/B978-012088469-8.50019-X (a reference
window that stays and a current one that slides); the tests are those of `stats/distances`.
Cost: O(window log window) at every `every`-th value, `reference` + `recent` numbers. Fails where the first values are not typical of what
follows, and where values are autocorrelated: a look then has fewer of them than it believes. `alpha` is of one look; looks overlap and go
on, so that over a long enough stream one of them errs.
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.stats.detector import DRIFT, WARNING, ChangeDetector, Memory
from tradewind.stats.distances import bin_shares, index_of_shares, kolmogorov_smirnov, psi_edges, psi_p_value

__all__ = ["WindowTest"]


@final
class WindowTest(ChangeDetector):
    """Tells any change of the distribution: the newest `recent` values against the first `reference`, at every `every`-th value.

    `test`: `ks`, or `psi` over `bins` bins that held equal shares at first (some 20 recent values a bin, or its law is too sure of itself).
    `alpha`: chance of a false alarm at one look; `warning_alpha`: of a warning. After a drift the newest values begin a new reference.
    """

    name: ClassVar[str] = "windows"

    def __init__(
        self,
        test: Literal["ks", "psi"] = "ks",
        alpha: float = 0.001,
        warning_alpha: float = 0.01,
        reference: int = 300,
        recent: int = 100,
        every: int = 20,
        bins: int = 5,
    ) -> None:
        require(test in ("ks", "psi"), f"test is {test!r}; it is 'ks' or 'psi'")
        fraction(alpha=alpha, warning_alpha=warning_alpha)
        require(warning_alpha >= alpha, f"warning_alpha {warning_alpha:g} is under alpha {alpha:g}; a warning comes before the drift")
        whole(every=every)
        whole(2, reference=reference, recent=recent, bins=bins)
        require(reference >= bins, f"a reference of {reference} values makes no {bins} bins; make it longer")
        require(reference >= recent, f"a reference of {reference} values cannot begin with the newest {recent}; make it longer")
        super().__init__(test=test, alpha=alpha, warning_alpha=warning_alpha, reference=reference, recent=recent, every=every, bins=bins)

    def _fresh(self) -> Memory:
        first, newest = np.zeros(self.settings["reference"]), np.zeros(self.settings["recent"])
        return {"first": first, "newest": newest, "seen": np.zeros(1, dtype=np.int64)}

    def _live(self, series: Array, memory: Memory) -> NDArray[np.int8]:
        first, newest, seen = memory["first"], memory["newest"], memory["seen"]
        signals = np.zeros(len(series), dtype=np.int8)
        for t in np.flatnonzero(~np.isnan(series)):
            place = int(seen[0])
            seen[0] += 1
            if place < len(first):
                first[place] = series[t]
                continue
            # A ring: the tests sort, so that it does not matter where it begins.
            beyond = place - len(first)
            newest[beyond % len(newest)] = series[t]
            if beyond + 1 < len(newest) or (beyond + 1) % self.settings["every"]:
                continue
            chance = self._chance(first, newest)
            if chance <= self.settings["alpha"]:
                signals[t] = DRIFT
                first[: len(newest)] = newest
                seen[0] = len(newest)
            elif chance <= self.settings["warning_alpha"]:
                signals[t] = WARNING
        return signals

    def _chance(self, first: Array, newest: Array) -> float:
        """Of parts that lie so far from each other under one law."""
        if self.settings["test"] == "ks":
            return kolmogorov_smirnov(first, newest).p_value
        edges = psi_edges(first, self.settings["bins"])
        if not len(edges):
            return 1.0
        index = index_of_shares(bin_shares(first, edges), bin_shares(newest, edges))
        return psi_p_value(index, len(first), len(newest), len(edges) + 1)
