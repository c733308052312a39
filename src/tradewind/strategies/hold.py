"""Buy and hold: the row that every other row is read beside.

Source: Sharpe, "The arithmetic of active management", Financial Analysts Journal 47 (1991), https://doi.org/10.2469/faj.v47.n1.7: before
costs, the average of all who trade is this. Costs: one trade a symbol. Fails: in falling markets, and once what rose most is most of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from tradewind.core.market import Market
from tradewind.core.types import Target, Targets, View
from tradewind.strategies.base import Strategy

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["Hold"]


@final
class Hold(Strategy):
    """Buy an equal share of every symbol once it has a bar, and keep it."""

    benchmark = True

    def decide(self, view: View) -> Target:
        held = view.portfolio.weights
        wanted = (held == 0.0) & ~np.isnan(view.market.close[-1])
        return Target(np.where(wanted, 1.0 / len(held), np.nan))

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        from tradewind.engine import walk
        from tradewind.simulate.account import Book

        targets = np.full(market.close.shape, np.nan)
        account = Book(market.symbols) if book is None else book.copy()
        listed = ~np.isnan(market.close)
        t = start
        while t < len(market):
            # Only a bar of a symbol that is not held yet asks for a decision; the bars until the next such one pass in one step.
            unheld = account.quantities == 0.0
            asking = np.flatnonzero(listed[t:, unheld].any(axis=1))
            pause = t + (int(asking[0]) if len(asking) else len(market) - t)
            account.advance(market[t:pause], targets[t:pause])
            if pause == len(market):
                break
            targets[pause] = walk(self, market[pause : pause + 1], account)[0]
            account.advance(market[pause : pause + 1], targets[pause : pause + 1])
            t = pause + 1
        return targets
