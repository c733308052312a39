"""`Strategy`: the public abstract class to inherit from. Only `decide` must be written; every other method has a sound default."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from tradewind.core.market import Market
from tradewind.core.types import Outcome, State, Target, Targets, View
from tradewind.strategies import plain

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["Strategy"]


class Strategy(ABC):
    """Says what it wants to hold, not what to order.

    `warmup`: closed bars needed before the first decision. `refit_every`: folds of a walk-forward between two fits. `horizon`: bars
    after a decision at which its `Outcome` is delivered to `learn`; 0 for none. `benchmark`: it looks for no edge, others are read beside
    it. `remembers`: its answers depend on the bar that it was first asked at, as those of one with paper accounts do, so that a strategy
    above it has to ask it bar by bar. Each may be set on the class or on the object.

    Example: `class Mine(tw.Strategy)` with `warmup = 21` and
    `def decide(self, view): c = view.market.close; return tw.Target(np.sign(c[-1] / c[-21] - 1.0))`.
    """

    warmup: int = 1
    refit_every: int = 1
    horizon: int = 0
    benchmark: bool = False
    remembers: bool = False

    @abstractmethod
    def decide(self, view: View) -> Target:
        """The weights (symbol,) wanted after the last closed bar of `view.market`: fractions of equity, NaN keeps what is held."""

    def fit(self, market: Market) -> Self:
        """Learn from the bars of a training part. The default learns nothing."""
        return self

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        """The decisions for every bar of a history, (time, symbol), NaN in rows before `start` and before `warmup`.

        `book` is the account before bar `start`; it is not changed. The default is the loop over `decide`; write it to be fast, and
        let `tradewind.checks.check_strategy` prove that it still gives the same answers.
        """
        from tradewind.engine import walk

        return walk(self, market, book, start)

    def learn(self, outcome: Outcome) -> None:  # noqa: B027 - a hook: most strategies learn in fit alone
        """Take in the answer to an earlier decision, as soon as it is known. The default ignores it."""

    def reseed(self, seed: int) -> None:  # noqa: B027 - a hook: most strategies draw no random numbers
        """Use `seed` for every random number drawn from now on. The default draws none."""

    def state(self) -> State:
        """All that was set or learned, as data: the attributes whose names do not begin with an underscore.

        They may be numbers, strings, None, lists, tuples, dicts and numpy arrays. Raises StateError for any other, naming it.
        An underscore marks a cache: it is not saved, and the object must answer the same without it.
        """
        return plain.to_state(type(self).__qualname__, {name: value for name, value in vars(self).items() if not name.startswith("_")})

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError when another class saved it."""
        attributes = plain.from_state(type(self).__qualname__, state)
        # What is not in the state was not there when it was saved; caches stay, since they must not matter.
        for name in [name for name in vars(self) if not name.startswith("_") and name not in attributes]:
            del self.__dict__[name]
        self.__dict__.update(attributes)
        return self
