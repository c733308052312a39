"""Buy and hold: the row that every other row is read beside.

Source: Sharpe, "The arithmetic of active management", Financial Analysts Journal 47 (1991), https://doi.org/10.2469/faj.v47.n1.7: before
costs, the average of all who trade is this. Costs: one trade a symbol. Fails: in falling markets, and once what rose most is most of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from tradewind.core.market import Market
from tradewind.core.types import Target, Targets, View
from tradewind.strategies.base import Strategy
from tradewind.strategies.reason import Reason, share

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["DEBT", "Hold"]

_STEP: Final = 4096
DEBT: Final = 0.05
"""Of equity: what funding and fees may have cost beyond the cash before a part of everything is sold to pay them."""


@final
class Hold(Strategy):
    """Split the cash equally among the symbols that are not held yet, buy each at its first bar, and keep it.

    It never borrows: a symbol that is listed later is bought with the cash that waited for it, and once the account owes more than
    `DEBT` of its equity (funding of perpetuals does that) a part of every position is sold.
    """

    benchmark = True

    def decide(self, view: View) -> Target:
        held, equity = view.portfolio.weights, view.portfolio.equity
        cash = view.portfolio.cash / equity if equity > 0.0 else 0.0
        if cash < -DEBT:
            return Target(np.where(held > 0.0, held / held.sum(), np.nan))
        waiting = held == 0.0
        wanted = waiting & ~np.isnan(view.market.close[-1]) & (cash > 0.0)
        return Target(np.where(wanted, cash / max(1, waiting.sum()), np.nan))

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`."""
        target, held = float(self.decide(view).weights[symbol]), float(view.portfolio.weights[symbol])
        if np.isnan(target):
            words = f"It holds {share(held)} and keeps that." if held else "The symbol has no bar to buy at yet."
        elif held:
            words = (
                f"The account owes more than {DEBT:.0%} of its equity, so every position is scaled down: {share(held)} to {share(target)}."
            )
        else:
            words = f"It does not hold the symbol yet and has cash for {share(target)}."
        return Reason((words,), {"held": held, "target": target})

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        from tradewind.engine import walk
        from tradewind.simulate.account import Book

        targets = np.full(market.close.shape, np.nan)
        account = Book(market.symbols) if book is None else book.copy()
        listed = ~np.isnan(market.close)
        t = start
        while t < len(market):
            # Only a symbol that is not held yet, or a debt, asks for a decision; the bars until the next such one pass in one step.
            step = slice(t, min(t + _STEP, len(market)))
            ahead = account.copy()
            record = ahead.advance(market[step], targets[step])
            asks = listed[step, account.quantities == 0.0].any(axis=1) | (record.cash < -DEBT * record.equity)
            asks &= record.equity > 0.0
            if not asks.any():
                account, t = ahead, step.stop
                continue
            pause = t + int(np.argmax(asks))
            account.advance(market[t:pause], targets[t:pause])
            targets[pause] = walk(self, market[pause : pause + 1], account)[0]
            account.advance(market[pause : pause + 1], targets[pause : pause + 1])
            t = pause + 1
        return targets
