"""The detector of regimes that a strategy carries: fitted with it, asked in a batch or bar by bar, saved with it.

Costs what the detector costs; bar by bar one update each. Fails, with SettingsError, for regimes that the detector does not tell.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Self, final

from tradewind.core.market import Market
from tradewind.core.settings import choose, require
from tradewind.core.types import Array, State
from tradewind.regimes.base import RegimeFilter
from tradewind.regimes.live import Live
from tradewind.regimes.registry import detector as by_name

__all__ = ["Detecting"]


@final
class Detecting:
    """`detector` (a name, built with `settings`, or a `RegimeFilter`, of which a copy is taken) at work inside a strategy.

    `known`: the regimes that the strategy's settings speak of; each has to be one of the detector's, here or, where it finds its names in
    `fit`, then. Raises SettingsError otherwise.
    """

    def __init__(self, detector: str | RegimeFilter, settings: Mapping[str, Any] | None, known: Iterable[str]) -> None:
        named = isinstance(detector, str)
        require(named or not settings, "detector_settings go with a detector's name, not with an object")
        if not named:
            require(
                isinstance(detector, RegimeFilter), f"detector is {detector!r}; give a name, or an object of tradewind.regimes.RegimeFilter"
            )
        self.filter = by_name(detector, **(settings or {})) if isinstance(detector, str) else copy.deepcopy(detector)
        self._known = tuple(known)
        self._live = Live(self.filter)
        self._check()

    @property
    def names(self) -> tuple[str, ...]:
        """What the regimes are called."""
        return self.filter.names

    @property
    def warmup(self) -> int:
        """Bars before the first answer."""
        return self.filter.warmup

    def fit(self, market: Market) -> None:
        """Let the detector learn from the bars of a training part."""
        self.filter = self.filter.fit(market)
        self._live = Live(self.filter)
        self._check()

    def all(self, market: Market) -> Array:
        """(time, symbol, regime) probabilities after each bar, NaN as in `Regimes`."""
        return self.filter.filter(market).probabilities

    def follow(self, market: Market) -> tuple[Array, bool]:
        """The rows of `all` that are new since the last call, and whether they are all there are; see `Live`."""
        return self._live.follow(market)

    @property
    def row(self) -> Array:
        """(symbol, regime) the newest probabilities that `follow` has come to."""
        return self._live.row

    def state(self) -> State:
        """The detector's."""
        return self.filter.state()

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError when it is of another detector."""
        self.filter = self.filter.restore(state)
        self._live = Live(self.filter)
        return self

    def _check(self) -> None:
        if self.names:
            for regime in self._known:
                choose(regime, dict.fromkeys(self.names), "regime")
