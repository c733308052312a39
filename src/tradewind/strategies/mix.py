"""Mix: the mean of several strategies, each trading a paper account of its own.

Source: DeMiguel, Garlappi, Uppal, "Optimal versus naive diversification", Review of Financial Studies 22 (2009),
https://doi.org/10.1093/rfs/hhm075: equal weights are hard to beat out of sample. Costs: those of the members, and one account each.
Fails: when most members are wrong in the same way; it never learns which of them is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from tradewind.core.errors import StateError
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, State, Target, Targets, View
from tradewind.strategies.base import Strategy
from tradewind.strategies.paper import Paper, member, positions

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

    remembers = True

    def __init__(
        self,
        members: Sequence[Any] = ("momentum-mix", "logistic"),
        costs: Mapping[str, Any] | None = None,
        history: int = 1000,
        refit_every: int = 1,
    ) -> None:
        require(
            isinstance(members, list | tuple) and len(members) > 0,
            f"members is {members!r}; give at least one, such as ('momentum', 'logistic')",
        )
        made = [member(each, "a mix") for each in members]
        require(not any(isinstance(each, Mix) for each in made), "a member is itself a mix; list its members instead")
        self._paper = Paper(made, costs, history)
        self.members, self.costs, self.history, self.refit_every = self._paper.members, self._paper.costs, history, refit_every
        self.warmup = self._paper.warmup

    def fit(self, market: Market) -> Self:
        self.members = self._paper.fit(market)
        self.warmup = self._paper.warmup
        return self

    def reseed(self, seed: int) -> None:
        self._paper.reseed(seed)

    def decide(self, view: View) -> Target:
        wanted, held = self._paper.decide(view)
        mean = _mean if self._paper.opening else mix_targets
        return Target(mean([*wanted], [*held]))

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        first = max(start, self.warmup - 1)
        if first >= len(market):
            return np.full(market.close.shape, np.nan)
        wanted, held = self._paper.decide_all(market, first)
        mixed = mix_targets([*wanted], [*held])
        mixed[first] = _mean([*wanted[:, first]], [*held[:, first]])
        mixed[:first] = np.nan
        return mixed

    def state(self) -> State:
        return State({"class": "Mix", "warmup": self.warmup}).nest("paper", self._paper.state())

    def restore(self, state: State) -> Self:
        if state.values.get("class") != "Mix":
            raise StateError("this is no state of a mix; restore it into what saved it")
        self.members = self._paper.restore(state.child("paper")).members
        self.warmup = int(state.values["warmup"])
        return self


def _mean(wanted: Sequence[Array], held: Sequence[Array]) -> Array:
    total = np.zeros(np.shape(wanted[0]))
    for target, holding in zip(wanted, held, strict=True):
        total += positions(target, holding)
    return total / len(wanted)
