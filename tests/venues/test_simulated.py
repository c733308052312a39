from __future__ import annotations

import numpy as np

from simulate.reference import table
from tradewind.core.types import Target
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.venues.simulated import SimulatedVenue


def test_a_target_fills_at_the_next_open() -> None:
    bars = table([[10], [20], [25]], [[10], [22], [30]])
    venue = SimulatedVenue(Book(bars.symbols, Costs.zero(), 100.0))
    assert venue.advance(bars[:1]).equity.tolist() == [100]
    venue.submit(Target(np.array([-1.0])))
    venue.submit(Target(np.array([1.0])))  # takes the place of the first
    record = venue.advance(bars[1:2])
    assert (record.quantities[0, 0], record.traded[0]) == (5, 1)
    seen = venue.portfolio()
    assert (seen.weights.tolist(), seen.equity) == ([1.0], 110)
    # Without another word what is held is kept.
    assert venue.advance(bars[2:]).equity.tolist() == [150]


def test_latency_makes_targets_wait_in_order() -> None:
    bars = table([[10]] * 5, [[10]] * 5)
    venue = SimulatedVenue(Book(bars.symbols, Costs.zero(latency=2), 100.0))
    held = []
    for t, weight in enumerate((0.1, 0.2, 0.3, 0.4, 0.5)):
        held.append(float(venue.advance(bars[t : t + 1]).quantities[0, 0]))
        venue.submit(Target(np.array([weight])))
    np.testing.assert_allclose(held, [0, 0, 1, 2, 3])
    np.testing.assert_allclose(venue.book.pending[:, 0], [0.4, 0.5])
