"""`Conduct`: what an ensemble did over some bars and why: its account, its trust in each member, and the regimes it acted under.

`conduct` lets a combiner decide at each bar of some evidence and trades what it wants, as the ensemble itself would: the same band, the
same account. Costs a step of the combiner a bar and one pass of the accounting kernel. Fails to be out of sample by itself: that is up to
the bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.market import Market
from tradewind.core.types import Array, State
from tradewind.engine import Backtest, backtest
from tradewind.ensemble.combiner import Combiner, Evidence
from tradewind.simulate.account import Book, walk_band
from tradewind.simulate.costs import Costs

__all__ = ["Conduct", "conduct", "pack", "parts_of", "unpack"]

_FIELDS: Final = ("returns", "wanted", "held", "awake", "regime", "moved")


@final
@dataclass(frozen=True, eq=False)
class Conduct:
    """The `account` of an ensemble, and what it went by at each close, all (time, ...) of its bars.

    `members`, `regimes`: names. `trust` (time, member): weights decided at the close, zeros when flat. `earned` (time, member): net returns
    of the members' paper accounts over the bar. `probabilities` (time, regime): NaN where the filter is not warm. `confidence`,
    `agreement`, `stability` (time,): see `Decision`. `windows`: (first, last) row of each fold.
    """

    account: Backtest
    members: tuple[str, ...]
    regimes: tuple[str, ...]
    trust: Array
    earned: Array
    awake: NDArray[np.bool_]
    probabilities: Array
    confidence: Array
    agreement: Array
    stability: Array
    windows: tuple[tuple[int, int], ...]

    @property
    def market(self) -> Market:
        """The bars."""
        return self.account.market

    @property
    def costs(self) -> Costs:
        """What trading cost."""
        return self.account.costs

    @property
    def returns(self) -> Array:
        """(time,) simple net return of each bar."""
        return self.account.returns


def conduct(combiner: Combiner, evidence: Sequence[Evidence], market: Market, costs: Costs, folds: int = 1) -> Conduct:
    """What `combiner` does at the bars of `market`, told `evidence` about each, in a new account under `costs`. The combiner learns.

    `folds`: into how many consecutive parts the bars are cut, as alike in length as can be.
    """
    decisions = [combiner.step(each) for each in evidence]
    desired = np.array([each.target for each in decisions]).reshape(market.close.shape)
    # As in `Ensemble`: the first decision is said in full.
    band = np.full(desired.shape, combiner.config.width(len(market.symbols)))
    band[:1] = 0.0
    wanted = walk_band(market, desired, band, Book(market.symbols, costs))
    told = {
        "trust": [each.weights for each in decisions],
        "earned": [each.returns for each in evidence],
        "awake": [each.awake for each in evidence],
        "probabilities": [each.regime for each in evidence],
        **{name: [getattr(each, name) for each in decisions] for name in ("confidence", "agreement", "stability")},
    }
    arrays: dict[str, Any] = {name: np.array(rows) for name, rows in told.items()}
    return Conduct(
        backtest(wanted, market, costs), combiner.members, combiner.regimes, **arrays, windows=parts_of(len(market), folds)
    )  # fmt: skip


def parts_of(n: int, parts: int) -> tuple[tuple[int, int], ...]:
    """(first, last) rows of `parts` consecutive parts of `n` rows; as many as there are rows where those are fewer."""
    edges = np.linspace(0, n, min(parts, max(n, 1)) + 1).round().astype(int)
    return tuple((int(first), int(last)) for first, last in pairwise(edges))


def pack(evidence: Sequence[Evidence]) -> State:
    """`evidence`, at least one bar of it, as data."""
    first = evidence[0]
    return State({}, {name: np.array([getattr(each, name) for each in evidence]) for name in _FIELDS if getattr(first, name) is not None})


def unpack(state: State) -> list[Evidence]:
    """The evidence that `pack` made data of. Raises StateError for something else."""
    missing = [name for name in _FIELDS[:-1] if name not in state.arrays]
    if missing:
        raise StateError(f"this is no evidence: it lacks {', '.join(missing)}; delete it, and it is gathered again")
    columns = {name: state.arrays[name] for name in _FIELDS if name in state.arrays}
    return [Evidence(**{name: column[t] for name, column in columns.items()}) for t in range(len(columns["returns"]))]
