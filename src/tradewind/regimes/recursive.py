"""`Recursive`: filters whose whole past is one row of numbers a symbol, so that a bar costs the same however long the history is.

A subclass learns parameters from the bars of one symbol and moves memories forward through bars; everything else is the same for all: each
symbol has parameters of its own, `filter` is the recursion over all bars, a watch the same over one. Costs two copies of the memories a
state. Fails, with an error, for a symbol that was not in the training part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final, Self, TypeAlias, final

import numpy as np

from tradewind.core.catalogue import tuples
from tradewind.core.errors import DataError, NotFitted, StateError
from tradewind.core.market import Market
from tradewind.core.types import Array, State
from tradewind.regimes.base import RegimeFilter, Regimes

__all__ = ["Advance", "MemoryWatch", "Parameters", "Recursive", "state_names"]

Advance: TypeAlias = Callable[[Market, Array], Array]
"""Bars and the memories (symbol, slot) before them to probabilities (time, symbol, regime); the memories are moved in place."""

Parameters: TypeAlias = Mapping[str, Array]
"""What was learned, by name; each array is (symbol, ...), all NaN for a symbol that had too few bars."""

_COMMON: Final = {2: ("calm", "turbulent"), 3: ("calm", "normal", "turbulent")}


def state_names(states: int) -> tuple[str, ...]:
    """What `states` states in the order of their volatility are called: calm, turbulent; calm, normal, turbulent; else state_0, ..."""
    return _COMMON.get(states, tuple(f"state_{i}" for i in range(states)))


@final
class MemoryWatch:
    """A recursion at work, bar by bar: `advance` over the memories of `symbols`, which begin as `memory` (symbol, slot)."""

    def __init__(self, kind: str, symbols: tuple[str, ...], memory: Array, advance: Advance) -> None:
        self.kind, self.symbols = kind, symbols
        self._memory, self._advance = memory, advance

    def update(self, market: Market) -> Array:
        """(symbol, regime) probabilities after the one bar of `market`. Raises DataError for other symbols or another number of bars."""
        if len(market) != 1 or market.symbols != self.symbols:
            raise DataError(
                f"a watch over {list(self.symbols)} is given one bar of them at a time, not {len(market)} of {list(market.symbols)}"
            )
        return np.asarray(self._advance(market, self._memory)[0])

    def state(self) -> State:
        """The memories, as data."""
        return State({"watch": self.kind, "symbols": list(self.symbols)}, {"memory": self._memory.copy()})

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError for that of another filter, other symbols or other settings."""
        memory = state.arrays.get("memory")
        if state.values.get("watch") != self.kind or tuple(state.values.get("symbols", ())) != self.symbols:
            raise StateError(f"this is no state of a watch by {self.kind!r} over {list(self.symbols)}; restore it where it was made")
        if memory is None or memory.shape != self._memory.shape:
            raise StateError(
                f"the watch by {self.kind!r} remembers {self._memory.shape[1]} numbers a symbol under its settings, others here"
            )
        self._memory[:] = memory
        return self


class Recursive(RegimeFilter, ABC):
    """A filter of returns with parameters for each symbol by itself. A symbol with too few bars in the training part is never answered."""

    _symbols: tuple[str, ...] | None = None
    _parameters: Parameters

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The keywords that make such a filter again, as JSON-able data."""

    @abstractmethod
    def _given(self) -> Parameters | None:
        """Parameters that the settings give for every symbol, each (1, ...); None where they are to be fitted."""

    @abstractmethod
    def _learn(self, bars: Market) -> Parameters | None:
        """Parameters from the bars of one symbol, none missing, each without the symbol's axis; None where there are too few."""

    @abstractmethod
    def _begin(self, parameters: Parameters) -> tuple[Array, Advance]:
        """The memories (symbol, slot) before the first bar, and what moves them, for symbols with these `parameters`."""

    def fit(self, market: Market) -> Self:
        """Learn each symbol's parameters from its own bars; nothing where they were given. Raises DataError where no symbol has enough."""
        if self._given() is not None:
            return self
        learned = [self._learn(market.select([symbol])) for symbol in market.symbols]
        example = next((found for found in learned if found is not None), None)
        if example is None:
            raise DataError(f"{self.name}: no symbol has bars enough among these {len(market)}; fit it on a longer part")
        nothing = {name: np.full_like(array, np.nan) for name, array in example.items()}
        self._parameters = {name: np.stack([(found or nothing)[name] for found in learned]) for name in example}
        self._symbols = market.symbols
        return self

    def filter(self, market: Market) -> Regimes:
        """The regimes of every bar, from bars up to it. Raises NotFitted before `fit`, DataError for symbols that it was not fitted on."""
        memory, advance = self._begin(self._of(market.symbols))
        return Regimes(self.names, advance(market, memory), market.open_time, market.known, market.symbols)

    def watch(self, symbols: tuple[str, ...]) -> MemoryWatch:
        """A watch over `symbols`. Raises NotFitted before `fit`, DataError for symbols that it was not fitted on."""
        return MemoryWatch(self.name, tuple(symbols), *self._begin(self._of(tuple(symbols))))

    def parameters(self, symbol: str) -> dict[str, Array]:
        """What rules the filter of `symbol`, by name. Raises NotFitted before `fit`, DataError for a symbol that it was not fitted on."""
        return {name: array[0].copy() for name, array in self._of((symbol,)).items()}

    def state(self) -> State:
        """Settings and parameters, as data."""
        fitted = self._symbols is not None
        arrays = {name: array.copy() for name, array in self._parameters.items()} if fitted else {}
        return State({"filter": self.name, "settings": self.settings(), "symbols": list(self._symbols or ())}, arrays)

    def restore(self, state: State) -> Self:
        """Become what `state` describes, settings included. Raises StateError for a state of another kind."""
        if state.values.get("filter") != self.name:
            raise StateError(f"this state is of {state.values.get('filter')!r}, not of the regime filter {self.name!r}")
        made = type(self)(**tuples(state.values["settings"]))
        made._symbols = tuple(state.values["symbols"]) or None
        made._parameters = {name: array.copy() for name, array in state.arrays.items()}
        vars(self).clear()
        vars(self).update(vars(made))
        return self

    def _of(self, symbols: tuple[str, ...]) -> Parameters:
        given = self._given()
        if given is not None:
            return {name: np.repeat(array, len(symbols), axis=0) for name, array in given.items()}
        if self._symbols is None:
            raise NotFitted(f"the regime filter {self.name!r} has learned nothing; call fit with the bars of the training part first")
        for symbol in symbols:
            if symbol not in self._symbols:
                raise DataError(
                    f"{self.name}: {symbol} was not in the training part, which had {list(self._symbols)}; fit it with {symbol}"
                )
        rows = [self._symbols.index(symbol) for symbol in symbols]
        return {name: array[rows] for name, array in self._parameters.items()}
