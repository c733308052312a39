"""The simulated venue: takes targets and fills them at the opens to come, through the one accounting kernel."""

from __future__ import annotations

from typing import final

import numpy as np

from tradewind.core.market import Market
from tradewind.core.types import Portfolio, Target
from tradewind.simulate.account import Book, Record

__all__ = ["SimulatedVenue"]


@final
class SimulatedVenue:
    """Where a simulated strategy trades: `book` is its account and lives on here, so hand in a copy to keep the original."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._keep = np.full((1, len(book.symbols)), np.nan)

    def advance(self, bar: Market) -> Record:
        """Let one more bar happen: funding is paid, targets that are due fill at its open, the account is marked at its close."""
        return self.book.advance(bar, self._keep)

    def submit(self, target: Target) -> None:
        """Want `target` as of the last close; it fills `latency` opens later. A second one before the next bar replaces the first."""
        self.book.submit(target.weights)

    def portfolio(self) -> Portfolio:
        """The account at the last close."""
        return self.book.portfolio()
