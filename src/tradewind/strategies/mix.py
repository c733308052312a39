"""Mix: the mean of several strategies, each trading a paper account of its own.

Source: DeMiguel, Garlappi, Uppal, "Optimal versus naive diversification", Review of Financial Studies 22 (2009),
https://doi.org/10.1093/rfs/hhm075: equal weights are hard to beat out of sample. Costs: those of the members, and one account each.
Fails: when most members are wrong in the same way; it never learns which of them is better.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from tradewind.core.errors import StateError
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.protocols import Strategy as StrategyLike
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.types import Array, State, Target, Targets, View
from tradewind.strategies.base import Strategy
from tradewind.strategies.registry import strategy

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["Mix", "mix_targets"]


def mix_targets(targets: Sequence[Targets], held: Sequence[Array]) -> Targets:
    """(time, symbol): the mean of what several strategies want, one that keeps standing for what it holds.

    `targets`: of each strategy, (time, symbol), NaN keeps. `held`: of each, the weights (time, symbol) that its own account held at the
    same closes. NaN, keep, where all of them keep. Raises SettingsError when the two do not pair up.
    """
    require(len(targets) > 0 and len(targets) == len(held), f"{len(targets)} targets and {len(held)} held weights do not pair up")
    require(
        len({np.shape(each) for each in (*targets, *held)}) == 1,
        f"targets and held weights differ in shape: {[np.shape(t) for t in targets]}",
    )
    kept = np.logical_and.reduce([np.isnan(wanted) for wanted in targets])
    return np.where(kept, np.nan, _mean(targets, held))


@final
class Mix(Strategy):
    """The mean of what its members want.

    `members`: names, pairs of a name and its settings, or strategies. Each trades an account of its own under `costs` (settings of
    `tradewind.Costs`), so that it sees a portfolio it chose; a member that keeps counts with the weights it holds there. The accounts
    begin flat, `history` bars before the mix first decides, and in that first decision all members count, those that keep too.

    `warmup` is the longest of the members'. A member that is taught by outcomes (`horizon` > 0) is refused: a mix delivers none.
    """

    def __init__(
        self,
        members: Sequence[Any] = ("momentum-mix", "logistic"),
        costs: Mapping[str, Any] | None = None,
        history: int = 1000,
        refit_every: int = 1,
    ) -> None:
        from tradewind.simulate.costs import Costs

        require(
            isinstance(members, list | tuple) and len(members) > 0,
            f"members is {members!r}; give at least one, such as ('momentum', 'logistic')",
        )
        whole(0, history=history)
        self.members: tuple[StrategyLike, ...] = tuple(_member(each) for each in members)
        self.costs, self.history, self.refit_every = Costs.from_dict(costs or {}), history, refit_every
        self.warmup = max(member.warmup for member in self.members)
        self._accounts: list[Book] = []
        # The bars (UTC ns) that the accounts last lived through and that the mix first decided at; -1 before there are any.
        self._last, self._opened = -1, -1

    def fit(self, market: Market) -> Self:
        self.members = tuple(member.fit(market) for member in self.members)
        self.warmup = max(member.warmup for member in self.members)
        self._accounts, self._last, self._opened = [], -1, -1
        return self

    def reseed(self, seed: int) -> None:
        for number, member in enumerate(self.members):
            reseed = getattr(member, "reseed", None)
            if reseed is not None:
                reseed(derive(seed, "member", number))

    def decide(self, view: View) -> Target:
        self._follow(view.market)
        wanted, held = [], []
        for member, account in zip(self.members, self._accounts, strict=True):
            portfolio = account.portfolio()
            target = member.decide(View(view.market, view.now, portfolio)).weights
            account.submit(target)
            wanted.append(target)
            held.append(portfolio.weights)
        return Target((_mean if self._last == self._opened else mix_targets)(wanted, held))

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        first = max(start, self.warmup - 1)
        if first >= len(market):
            return np.full(market.close.shape, np.nan)
        past = [self._trade(member, market, max(0, first - self.history)) for member in self.members]
        wanted, held = [targets for _, targets, _ in past], [weights for _, _, weights in past]
        mixed = mix_targets(wanted, held)
        mixed[first] = _mean([each[first] for each in wanted], [each[first] for each in held])
        mixed[:first] = np.nan
        return mixed

    def state(self) -> State:
        own = State({"class": "Mix", "last": self._last, "opened": self._opened, "accounts": len(self._accounts), "warmup": self.warmup})
        for number, member in enumerate(self.members):
            own = own.nest(f"member{number}", member.state())
        for number, account in enumerate(self._accounts):
            own = own.nest(f"account{number}", account.state())
        return own

    def restore(self, state: State) -> Self:
        from tradewind.simulate.account import Book

        if (
            state.values.get("class") != "Mix"
            or f"member{len(self.members) - 1}" not in state.values
            or f"member{len(self.members)}" in state.values
        ):
            raise StateError(f"this is no state of a mix of {len(self.members)} members; restore it into a mix of the same members")
        self.members = tuple(member.restore(state.child(f"member{number}")) for number, member in enumerate(self.members))
        self._last, self._opened, self.warmup = (int(state.values[name]) for name in ("last", "opened", "warmup"))
        saved = [state.child(f"account{number}") for number in range(int(state.values["accounts"]))]
        self._accounts = [Book(each.values["symbols"], self.costs).restore(each) for each in saved]
        return self

    def _follow(self, market: Market) -> None:
        """Bring the accounts to the last close of `market`: on by one bar, or anew when it does not continue what they lived through."""
        now, row = int(market.open_time[-1]), len(market) - 1
        if now == self._last and self._lived(market.close[row]):
            return
        if not (row > 0 and int(market.open_time[row - 1]) == self._last and self._lived(market.close[row - 1])):
            self._accounts = [self._trade(member, market[:row], max(0, row - self.history))[0] for member in self.members]
            self._opened = now
        for account in self._accounts:
            account.advance(market[row:], np.full((1, len(market.symbols)), np.nan))
        self._last = now

    def _lived(self, close: Array) -> bool:
        return bool((np.isnan(close) | (close == self._accounts[0].closes)).all())

    def _trade(self, member: StrategyLike, market: Market, begin: int) -> tuple[Book, Targets, Array]:
        """What a member does alone from bar `begin` on: its account at the end, its targets, and the weights it held, (time, symbol)."""
        from tradewind.engine import Backtest, targets
        from tradewind.simulate.account import Book

        account, held = Book(market.symbols, self.costs), np.zeros(market.close.shape)
        wanted = targets(member, market, account, begin)
        lived = market[begin:]
        record = account.advance(lived, wanted[begin:])
        held[begin:] = Backtest(lived, self.costs, 1.0, wanted[begin:], record).weights
        return account, wanted, held


def _mean(wanted: Sequence[Array], held: Sequence[Array]) -> Array:
    total = np.zeros(np.shape(wanted[0]))
    for target, holding in zip(wanted, held, strict=True):
        total += np.where(np.isnan(target), holding, target)
    return total / len(wanted)


def _member(given: Any) -> StrategyLike:
    if isinstance(given, str):
        made = strategy(given)
    elif isinstance(given, list | tuple) and len(given) == 2 and isinstance(given[0], str) and isinstance(given[1], Mapping):
        made = strategy(given[0], **given[1])
    else:
        require(isinstance(given, StrategyLike), f"the member {given!r} is no strategy; give a name, (name, settings), or a strategy")
        made = copy.deepcopy(given)
    require(not isinstance(made, Mix), "a member is itself a mix; list its members instead")
    require(not getattr(made, "horizon", 0), f"{type(made).__name__} learns from outcomes, which a mix does not deliver")
    return made
