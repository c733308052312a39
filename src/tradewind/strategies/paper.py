"""Members that each trade a paper account of their own: what strategies over other strategies stand on.

A member sees the portfolio that it chose itself, never that of the whole, so it decides as it would alone. Costs: those of the members and
one account each. Fails with SettingsError for members that are taught by outcomes, which nobody here delivers.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from tradewind.core.errors import StateError
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.protocols import Strategy
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.types import Array, State, Targets, View
from tradewind.strategies.registry import strategy

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["Paper", "member", "positions"]


def member(given: Any, whose: str | None) -> Strategy:
    """A strategy from its name, a pair of its name and settings, or a strategy, of which a copy is taken.

    `whose` says in the error who wants it and delivers no outcomes; None delivers them. Raises SettingsError for what is no strategy and,
    where none are delivered, for one that learns from outcomes.
    """
    if isinstance(given, str):
        made = strategy(given)
    elif isinstance(given, list | tuple) and len(given) == 2 and isinstance(given[0], str) and isinstance(given[1], Mapping):
        made = strategy(given[0], **given[1])
    else:
        require(isinstance(given, Strategy), f"the member {given!r} is no strategy; give a name, (name, settings), or a strategy")
        made = copy.deepcopy(given)
    require(whose is None or not getattr(made, "horizon", 0), f"{type(made).__name__} learns from outcomes, which {whose} does not deliver")
    return made


def positions(wanted: Array, held: Array) -> Array:
    """What each member stands for: what it wants, and where it keeps, NaN, what its account holds."""
    return np.where(np.isnan(wanted), held, wanted)


@final
class Paper:
    """`members` at work, each with an account under `costs` (settings of `tradewind.Costs`) that begins flat, `history` bars before the
    first decision that is asked for.

    `warmup` is the longest of the members'. `state` holds the members and, once they have decided, the accounts.
    """

    def __init__(self, members: Sequence[Strategy], costs: Mapping[str, Any] | None, history: int) -> None:
        from tradewind.simulate.costs import Costs

        whole(0, history=history)
        self.members, self.history = tuple(members), history
        self.costs = Costs.from_dict(costs or {})
        self._accounts: list[Book] = []
        # The bars (UTC ns) that the accounts last lived through and that the members were first asked at; -1 before there are any.
        self._last, self._opened = -1, -1

    @property
    def warmup(self) -> int:
        """Bars before all members decide."""
        return max(each.warmup for each in self.members)

    @property
    def opening(self) -> bool:
        """Whether the last decision was the first of the accounts' life, so that what a member keeps was never said."""
        return self._last == self._opened

    def fit(self, market: Market) -> tuple[Strategy, ...]:
        """Fit every member on the bars of `market`, begin with new accounts, and give the members as they are now."""
        self.members = tuple(each.fit(market) for each in self.members)
        self._accounts, self._last, self._opened = [], -1, -1
        return self.members

    def reseed(self, seed: int) -> None:
        """Give every member a seed of its own."""
        for number, each in enumerate(self.members):
            reseed = getattr(each, "reseed", None)
            if reseed is not None:
                reseed(derive(seed, "member", number))

    def decide(self, view: View) -> tuple[Array, Array]:
        """(member, symbol) twice: what each wants after the last bar of `view`, NaN keeps, and what its account held at that close."""
        self._follow(view.market)
        wanted, held = [], []
        for each, account in zip(self.members, self._accounts, strict=True):
            portfolio = account.portfolio()
            target = each.decide(View(view.market, view.now, portfolio)).weights
            account.submit(target)
            wanted.append(target)
            held.append(portfolio.weights)
        return np.array(wanted), np.array(held)

    def decide_all(self, market: Market, first: int) -> tuple[Array, Array]:
        """(member, time, symbol) twice: the same for every bar from `first` on."""
        past = [self._trade(each, market, max(0, first - self.history)) for each in self.members]
        return np.array([wanted for _, wanted, _ in past]), np.array([held for _, _, held in past])

    def state(self) -> State:
        """The members, the accounts, and where they stand."""
        own = State({"last": self._last, "opened": self._opened, "members": len(self.members), "accounts": len(self._accounts)})
        for number, each in enumerate(self.members):
            own = own.nest(f"member{number}", each.state())
        for number, account in enumerate(self._accounts):
            own = own.nest(f"account{number}", account.state())
        return own

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError when it is of other members."""
        from tradewind.simulate.account import Book

        if state.values.get("members") != len(self.members):
            raise StateError(
                f"this state is of {state.values.get('members', 'no')} members, not of {len(self.members)}; restore it into the same ones"
            )
        self.members = tuple(each.restore(state.child(f"member{number}")) for number, each in enumerate(self.members))
        self._last, self._opened = int(state.values["last"]), int(state.values["opened"])
        saved = [state.child(f"account{number}") for number in range(int(state.values["accounts"]))]
        self._accounts = [Book(each.values["symbols"], self.costs).restore(each) for each in saved]
        return self

    def _follow(self, market: Market) -> None:
        """Bring the accounts to the last close of `market`: on by one bar, or anew when it does not continue what they lived through."""
        now, row = int(market.open_time[-1]), len(market) - 1
        if now == self._last and self._lived(market.close[row]):
            return
        if not (row > 0 and int(market.open_time[row - 1]) == self._last and self._lived(market.close[row - 1])):
            self._accounts = [self._trade(each, market[:row], max(0, row - self.history))[0] for each in self.members]
            self._opened = now
        for account in self._accounts:
            account.advance(market[row:], np.full((1, len(market.symbols)), np.nan))
        self._last = now

    def _lived(self, close: Array) -> bool:
        return bool((np.isnan(close) | (close == self._accounts[0].closes)).all())

    def _trade(self, each: Strategy, market: Market, begin: int) -> tuple[Book, Targets, Array]:
        """What a member does alone from bar `begin` on: its account at the end, its targets, and the weights it held, (time, symbol)."""
        from tradewind.engine import Backtest, targets
        from tradewind.simulate.account import Book

        account, held = Book(market.symbols, self.costs), np.zeros(market.close.shape)
        wanted = targets(each, market, account, begin)
        lived = market[begin:]
        record = account.advance(lived, wanted[begin:])
        held[begin:] = Backtest(lived, self.costs, 1.0, wanted[begin:], record).weights
        return account, wanted, held
