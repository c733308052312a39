from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.market import Market
from tradewind.core.types import Array, State
from tradewind.simulate.account import Book, Record, walk_band
from tradewind.simulate.costs import Costs

from .reference import NO, Reference, market, random_market, random_targets, table

FREE = Costs.zero()
FIELDS = ("equity", "quantities", "cash", "fees", "slippage", "funding", "traded")


def live(bars: Market, targets: object, costs: Costs = FREE, capital: float = 100.0) -> Record:
    return Book(bars.symbols, costs, capital).advance(bars, targets)


def same(a: Record, b: Record) -> None:
    for name in FIELDS:
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


# -- candles, and what was worked out by hand --------------------------------------------------------------------------
def test_bought_at_the_next_open_and_sold_at_the_one_after() -> None:
    bars = table([[10], [20], [25], [30]], [[10], [22], [24], [33]])
    record = live(bars, [1, 0, NO, NO])
    assert record.quantities[:, 0].tolist() == [0, 5, 0, 0]  # 100 / 20, and sold at 25
    assert record.equity.tolist() == [100, 110, 125, 125]
    assert record.cash.tolist() == [100, 0, 125, 125]
    assert record.traded == pytest.approx([0, 1, 1, 0])


def test_a_gap_through_the_open_fills_there_and_not_at_the_close_it_was_decided_at() -> None:
    bars = table([[10], [8], [16]], [[10], [8], [16]])
    assert live(bars, [1, NO, NO]).equity.tolist() == [100, 100, 200]
    assert live(bars, [-1, NO, NO]).equity.tolist()[:2] == [100, 100]


def test_the_fee_is_a_share_of_what_changes_hands() -> None:
    bars = table([[10], [10], [20]], [[10], [10], [20]])
    record = live(bars, [0.5, 0, NO], Costs(fee_bps=100, slippage_bps=0))
    # Buys 5 at 10 and pays .50; sells them at 20 and pays 1.
    assert record.quantities[:, 0].tolist() == [0, 5, 0]
    assert record.fees == pytest.approx([0, 0.5, 1.0])
    assert record.cash == pytest.approx([100, 49.5, 148.5])
    assert record.equity == pytest.approx([100, 99.5, 148.5])


def test_slippage_makes_buying_dearer_and_selling_cheaper() -> None:
    bars = table([[10], [10], [10]], [[10], [10], [10]])
    record = live(bars, [0.5, 0, NO], Costs(fee_bps=0, slippage_bps=100))
    assert record.cash == pytest.approx([100, 100 - 5 * 10.1, 100 - 5 * 10.1 + 5 * 9.9])
    assert record.slippage == pytest.approx([0, 0.5, 0.5])
    short = live(bars, [-0.5, 0, NO], Costs(fee_bps=0, slippage_bps=100))
    assert short.cash == pytest.approx([100, 100 + 5 * 9.9, 100 + 5 * 9.9 - 5 * 10.1])


def test_latency_two_fills_two_opens_later() -> None:
    bars = table([[10], [20], [40], [50]], [[10], [20], [40], [80]])
    record = live(bars, [1, 0, NO, NO], Costs.zero(latency=2))
    assert record.quantities[:, 0].tolist() == [0, 0, 2.5, 0]
    assert record.equity.tolist() == [100, 100, 100, 125]


def test_the_last_targets_have_no_open_and_are_not_filled() -> None:
    bars = table([[10], [10], [10]], [[10], [10], [10]])
    for latency in (1, 2, 3, 4):
        targets = np.zeros(3)
        targets[max(0, 3 - latency) :] = 1
        assert not live(bars, targets, Costs.zero(latency=latency)).quantities.any()


def test_a_short_position_earns_when_the_price_falls() -> None:
    bars = table([[10], [10], [8]], [[10], [9], [8]])
    record = live(bars, [-1, NO, NO])
    assert record.quantities[:, 0].tolist() == [0, -10, -10]
    assert record.cash.tolist() == [100, 200, 200]
    assert record.equity.tolist() == [100, 110, 120]


def test_targets_over_the_leverage_cap_are_scaled_to_it_and_nan_counts_as_zero() -> None:
    bars = table([[10, 20, 5]] * 3, [[10, 20, 5]] * 3)
    record = live(bars, [[3, -1, NO], [0.5, 0.5, NO], [NO, NO, NO]])
    assert record.quantities[1].tolist() == [7.5, -1.25, 0]
    assert record.quantities[2].tolist() == [5, 2.5, 0]
    twice = live(bars, [[3, -1, NO], [NO] * 3, [NO] * 3], Costs(fee_bps=0, slippage_bps=0, max_leverage=2))
    assert twice.quantities[1].tolist() == [15, -2.5, 0]
    one = live(table([[10]] * 2, [[10]] * 2), [-7, NO])
    assert one.quantities[1, 0] == -10


def test_trades_under_the_least_are_left_out() -> None:
    bars = table([[10], [10], [10], [10]], [[10], [10], [10], [10]])
    costs = Costs(fee_bps=0, slippage_bps=0, min_trade=0.1)
    assert live(bars, [0.5, 0.55, 0.65, NO], costs).quantities[:, 0].tolist() == [0, 5, 5, 6.5]
    # Going flat is a trade like any other.
    assert live(bars, [0.1, 0.0, 0.02, NO], costs).quantities[:, 0].tolist() == [0, 1, 0, 0]
    assert live(bars, [0.3, 0.29, 0.25, NO], costs).quantities[:, 0].tolist() == [0, 3, 3, 3]


def test_nan_keeps_the_quantity_and_not_the_weight() -> None:
    bars = table([[10], [10], [20], [40]], [[10], [10], [20], [40]])
    assert live(bars, [0.5, NO, NO, NO]).quantities[:, 0].tolist() == [0, 5, 5, 5]
    # Wanting the weight again sells half of what was gained: 150 of equity at 20, then 225 at 40.
    assert live(bars, [0.5, 0.5, 0.5, NO]).quantities[:, 0].tolist() == [0, 5, 3.75, 2.8125]


def test_a_missing_bar_trades_nothing_and_stands_at_the_last_close() -> None:
    bars = table([[10, 10], [NO, 10], [10, 20], [12, 20]], [[10, 10], [NO, 10], [11, 20], [12, 20]])
    record = live(bars, [[0.5, 0.5], [0.5, NO], [NO, NO], [NO, NO]])
    assert record.quantities.tolist() == [[0, 0], [0, 5], [7.5, 5], [7.5, 5]]  # A's first target fell on its missing bar and is gone
    assert record.equity == pytest.approx([100, 100, 75 + 7.5 * 11 - 75 + 75, 7.5 * 12 + 100 - 25])
    gone = table([[10], [10], [NO], [20]], [[10], [14], [NO], [20]])
    assert live(gone, [1, 0, NO, NO]).equity.tolist() == [100, 140, 140, 200]


def test_funding_is_paid_over_the_open_at_the_last_mark_price() -> None:
    bars = table([[10], [10], [10], [10]], [[10], [12], [10], [10]], funding=[[NO], [0.01], [0.01], [-0.02]])
    record = live(bars, [1, NO, NO, NO])
    # Nothing is held at the first settlement; 10 units at the close of 12; 10 units at 10 and the rate is received.
    assert record.funding == pytest.approx([0, 0, 1.2, -2.0])
    assert record.equity == pytest.approx([100, 120, 98.8, 100.8])
    marked = table([[10]] * 3, [[10], [12], [10]], [[NO], [NO], [0.01]], [[10], [11], [10]])
    assert live(marked, [1, NO, NO]).funding == pytest.approx([0, 0, 1.1])
    assert live(marked, [-1, NO, NO]).funding == pytest.approx([0, 0, -1.1])
    unmarked = table([[10]] * 3, [[10], [12], [10]], [[NO], [NO], [0.01]], [[10], [NO], [10]])
    assert live(unmarked, [1, NO, NO]).funding == pytest.approx([0, 0, 1.2])


def test_funding_comes_before_the_trade_and_lowers_what_is_traded_with() -> None:
    bars = table([[10], [10], [10]], [[10], [10], [10]], funding=[[NO], [NO], [0.1]])
    record = live(bars, [1, 0.5, NO])
    assert record.quantities[:, 0].tolist() == [0, 10, 4.5]  # half of 90


def test_volatility_slippage_uses_closes_before_the_fill() -> None:
    costs = Costs(fee_bps=0, slippage_bps=10, slippage_volatility=0.5, volatility_bars=3)
    bars = table([[10]] * 4, [[10], [11], [11], [20]])
    record = live(bars, [NO, 0, 1, NO], costs)
    # Squares .01 and 0: a mean over two of .005.
    assert record.slippage[3] == pytest.approx(100 * (0.001 + 0.5 * np.sqrt(0.005)))
    later = live(bars, [NO, 1, NO, NO], costs)
    assert later.slippage[2] == pytest.approx(100 * (0.001 + 0.5 * 0.1))
    first = live(bars, [1, NO, NO, NO], costs)
    assert first.slippage[1] == pytest.approx(100 * 0.001)


def test_ruin_at_a_close_ends_the_account() -> None:
    bars = table([[10], [10], [5], [5]], [[10], [25], [5], [5]])
    record = live(bars, [-1, -1, -1, -1], Costs(max_leverage=1, fee_bps=0, slippage_bps=0))
    assert record.equity.tolist() == [100, -50, -50, -50]
    assert record.quantities[:, 0].tolist() == [0, -10, 0, 0]
    assert record.cash.tolist() == [100, 200, -50, -50]
    assert record.traded.tolist() == [0, 1, 0, 0]


def test_ruin_at_an_open_ends_the_account_before_it_trades() -> None:
    bars = table([[10], [10], [20], [10]], [[10], [10], [10], [10]])
    record = live(bars, [-1, 0.5, 1, 1])
    assert record.equity.tolist() == [100, 100, 0, 0]
    assert record.quantities[:, 0].tolist() == [0, -10, 0, 0]
    assert record.traded.tolist() == [0, 1, 0, 0]


def test_a_ruined_account_is_ruined_for_good_however_it_is_cut() -> None:
    for symbols, funding in ((1, False), (1, True), (2, False)):
        bars = random_market(3, 80, symbols, funding=funding, volatility=0.2)
        targets = np.full((80, symbols), -3.0 / symbols)
        costs = Costs(max_leverage=3, slippage_volatility=0.01)
        whole = live(bars, targets, costs)
        fell = int(np.argmax(whole.equity <= 0))
        assert 0 < fell < 60
        assert (whole.equity[fell:] == whole.equity[fell]).all()
        assert not whole.quantities[fell + 1 :].any()
        assert not whole.fees[fell + 1 :].any()
        book = Book(bars.symbols, costs, 100.0)
        same(Record.join([book.advance(bars[t : t + 1], targets[t : t + 1]) for t in range(80)]), whole)
        assert not book.portfolio().weights.any()


# -- against the slow account ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("latency", [1, 2, 3])
@pytest.mark.parametrize("symbols", [1, 3])
@pytest.mark.parametrize("funding", [False, True])
@pytest.mark.parametrize("settings", [{}, {"max_leverage": 2.5, "min_trade": 0.15}, {"slippage_volatility": 0.3, "volatility_bars": 10}])
def test_agrees_with_the_slow_account(latency: int, symbols: int, funding: bool, settings: dict[str, Any]) -> None:
    costs = Costs(latency=latency, **settings)
    for seed in range(3):
        bars = random_market(seed, 120, symbols, funding=funding)
        targets = random_targets(seed + 50, 120, symbols, size=1.5)
        expected = Reference(symbols, costs, 100.0).live(bars, targets)
        record = live(bars, targets, costs)
        for name in FIELDS:
            np.testing.assert_allclose(getattr(record, name), expected[name], rtol=1e-12, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("funding", [False, True])
def test_agrees_with_the_slow_account_through_ruin(funding: bool) -> None:
    ruined = 0
    for seed in range(10):
        bars = random_market(seed, 60, 2, funding=funding, volatility=0.15)
        targets = random_targets(seed, 60, 2, size=4)
        costs = Costs(max_leverage=4)
        slow = Reference(2, costs, 100.0)
        expected = slow.live(bars, targets)
        record = live(bars, targets, costs)
        for name in FIELDS:
            np.testing.assert_allclose(getattr(record, name), expected[name], rtol=1e-10, atol=1e-9, err_msg=name)
        ruined += slow.ruined
    assert ruined >= 3


# -- what must hold on every market ------------------------------------------------------------------------------------
cases = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 3), st.booleans(), st.integers(1, 4))
costings = st.builds(
    Costs,
    fee_bps=st.floats(0, 50),
    slippage_bps=st.floats(0, 50),
    slippage_volatility=st.sampled_from([0.0, 0.2]),
    latency=st.integers(1, 4),
    max_leverage=st.floats(0.2, 3),
    min_trade=st.sampled_from([0.0, 0.05]),
)


def last_closes(bars: Market) -> Array:
    closes = np.array(bars.close)
    for t in range(1, len(closes)):
        closes[t] = np.where(np.isnan(closes[t]), closes[t - 1], closes[t])
    return closes


@settings(max_examples=60, deadline=None)
@given(cases, costings)
def test_identity_and_decomposition(case: tuple[int, int, int, bool, int], costs: Costs) -> None:
    seed, n, symbols, funding, _ = case
    bars = random_market(seed, n, symbols, funding=funding)
    record = live(bars, random_targets(seed, n, symbols, 2.0), costs)
    closes, held = last_closes(bars), record.quantities
    worth = np.where(held != 0, held * closes, 0).sum(axis=1)
    assert np.abs(record.equity - (record.cash + worth)).max() <= 1e-9
    opens = np.where(np.isnan(bars.open), closes, bars.open)
    before, previous = np.vstack([np.zeros((1, symbols)), held[:-1]]), np.vstack([closes[:1], closes[:-1]])
    gained = np.where(before != 0, before * (opens - previous), 0) + np.where(held != 0, held * (closes - opens), 0)
    change = np.diff(record.equity, prepend=100.0)
    alive = np.append(True, record.equity[:-1] > 0)
    paid = record.fees + record.slippage + record.funding
    assert np.abs(change - (gained.sum(axis=1) - paid))[alive].max() <= 1e-9
    assert not change[~alive].any()


@settings(max_examples=60, deadline=None)
@given(cases, costings, st.lists(st.integers(0, 40), max_size=5), st.booleans())
def test_any_cutting_gives_the_same_bits(case: tuple[int, int, int, bool, int], costs: Costs, cuts: list[int], saved: bool) -> None:
    seed, n, symbols, funding, _ = case
    bars, targets = random_market(seed, n, symbols, funding=funding), random_targets(seed, n, symbols, 2.0)
    book = Book(bars.symbols, costs, 100.0)
    edges = sorted({0, n, *(c for c in cuts if c < n)})
    parts = []
    for begin, end in pairwise(edges):
        parts.append(book.advance(bars[begin:end], targets[begin:end]))
        if saved:
            book = Book(bars.symbols, costs).restore(book.state())
    other = Book(bars.symbols, costs, 100.0)
    same(Record.join(parts), other.advance(bars, targets))
    assert book.state() == other.state()


@settings(max_examples=30, deadline=None)
@given(cases, costings)
def test_targets_of_zero_or_nan_leave_the_equity_alone(case: tuple[int, int, int, bool, int], costs: Costs) -> None:
    seed, n, symbols, funding, _ = case
    bars = random_market(seed, n, symbols, funding=funding)
    for value in (0.0, NO):
        record = live(bars, np.full((n, symbols), value), costs)
        assert (record.equity == 100.0).all()
        assert not record.quantities.any()
        assert not record.fees.any()


@settings(max_examples=30, deadline=None)
@given(cases, costings)
def test_capital_scales_everything(case: tuple[int, int, int, bool, int], costs: Costs) -> None:
    seed, n, symbols, funding, _ = case
    bars, targets = random_market(seed, n, symbols, funding=funding), random_targets(seed, n, symbols)
    small, large = live(bars, targets, costs, 1.0), live(bars, targets, costs, 1024.0)
    for name in FIELDS[:-1]:
        # A power of two scales without rounding, so nothing may differ but numbers too small to be whole.
        np.testing.assert_allclose(getattr(large, name), 1024.0 * getattr(small, name), rtol=0, atol=1e-300)
    np.testing.assert_allclose(large.traded, small.traded, rtol=0, atol=1e-300)


@settings(max_examples=30, deadline=None)
@given(cases, st.sampled_from(["fee_bps", "slippage_bps", "slippage_volatility"]))
def test_dearer_trading_never_pays(case: tuple[int, int, int, bool, int], name: str) -> None:
    seed, n, symbols, _, latency = case
    bars, targets = random_market(seed, n, symbols), random_targets(seed, n, symbols)
    # Long only and unlevered: then equity is a product of factors, each of which falls with the cost.
    targets = np.abs(targets) / symbols
    ends = [
        live(bars, targets, Costs(**{"fee_bps": 5, "slippage_bps": 1, "latency": latency, name: cost})).equity[-1] for cost in (2, 4, 8)
    ]
    assert ends[0] >= ends[1] >= ends[2]


def test_one_symbol_alone_is_one_among_symbols_that_are_left_alone() -> None:
    alone = random_market(4, 300, 1)
    for costs in (Costs(), Costs(max_leverage=0.4, min_trade=0.1, latency=2), Costs(slippage_volatility=0.3)):
        targets = random_targets(4, 300, 1)
        pair = market(*(np.hstack([panel, np.full((300, 1), 7.0)]) for panel in (alone.open, alone.close)))
        together = live(pair, np.hstack([targets, np.full((300, 1), NO)]), costs)
        record = live(alone, targets, costs)
        assert record.equity.tobytes() == together.equity.tobytes()
        assert record.fees.tobytes() == together.fees.tobytes()


# -- the book ----------------------------------------------------------------------------------------------------------
def test_submitting_after_the_bar_is_advancing_with_the_target() -> None:
    bars, targets, costs = random_market(1, 60, 2), random_targets(1, 60, 2), Costs(latency=2)
    a, b = Book(bars.symbols, costs), Book(bars.symbols, costs)
    for t in range(60):
        a.advance(bars[t : t + 1], targets[t : t + 1])
        b.advance(bars[t : t + 1], np.full((1, 2), NO))
        b.submit(np.array([5.0, 5.0]))
        b.submit(targets[t])  # the last word counts
    assert a.state() == b.state()
    assert a.pending.shape == (2, 2)


@settings(max_examples=40, deadline=None)
@given(cases, costings)
def test_walking_is_advancing_seeing_and_submitting(case: tuple[int, int, int, bool, int], costs: Costs) -> None:
    seed, n, symbols, funding, _ = case
    bars, drawn = random_market(seed, n, symbols, funding=funding), random_targets(seed, n, symbols, 2.0)
    walked, asked = Book(bars.symbols, costs), Book(bars.symbols, costs)

    def decide(t: int, weights: Array) -> Array:
        return drawn[t] - 0.5 * weights

    found, expected = walked.walk(bars, decide), np.full_like(drawn, NO)
    for t in range(n):
        asked.advance(bars[t : t + 1], np.full((1, symbols), NO))
        expected[t] = decide(t, asked.portfolio().weights)
        asked.submit(expected[t])
    np.testing.assert_array_equal(found, expected)
    assert walked.state() == asked.state()


def test_the_portfolio_is_the_account_at_the_last_close() -> None:
    bars = table([[10, 4], [10, NO]], [[10, 4], [20, NO]])
    book = Book(bars.symbols, FREE, 100.0)
    assert np.isnan(book.closes).all()
    book.advance(bars, [[0.5, 0.5], [NO, NO]])
    seen = book.portfolio()
    assert seen.weights.tolist() == [100 / 150, 0]
    assert (seen.quantities.tolist(), seen.cash, seen.equity) == ([5, 0], 50, 150)
    assert book.closes.tolist() == [20, 4]
    assert book.bars == 2


def test_a_copy_lives_on_its_own() -> None:
    bars = random_market(2, 30, 2)
    book = Book(bars.symbols, Costs(slippage_volatility=0.1), 5.0)
    book.advance(bars[:10], random_targets(2, 10, 2))
    before, twin = book.state(), book.copy()
    twin.advance(bars[10:], random_targets(3, 20, 2))
    assert book.state() == before
    assert twin.state() != before


def test_the_state_survives_a_file(tmp_path: Any) -> None:
    bars = random_market(2, 30, 2)
    book = Book(bars.symbols, Costs(latency=2), 5.0)
    book.advance(bars[:10], random_targets(2, 10, 2))
    back = Book(bars.symbols, Costs(latency=2)).restore(load_state(save_state(tmp_path / "book", book.state())))
    same(back.advance(bars[10:], random_targets(3, 20, 2)), book.advance(bars[10:], random_targets(3, 20, 2)))
    assert back.capital == 5.0


def test_states_that_do_not_fit_are_refused() -> None:
    state = Book(("A", "B"), Costs(latency=2)).state()
    with pytest.raises(StateError, match="no state of a book"):
        Book(("A", "C"), Costs(latency=2)).restore(state)
    with pytest.raises(StateError, match="pending"):
        Book(("A", "B"), Costs(latency=3)).restore(state)
    with pytest.raises(StateError, match="money"):
        Book(("A", "B"), Costs(latency=2)).restore(State(state.values, {}))


@pytest.mark.parametrize("capital", [0, -1, NO, float("inf")])
def test_capital_is_positive(capital: float) -> None:
    with pytest.raises(SettingsError, match="capital"):
        Book(("A",), FREE, capital)


def test_targets_that_do_not_fit_are_refused_and_leave_the_book_alone() -> None:
    bars = random_market(0, 5, 2, missing=0)
    book = Book(bars.symbols, FREE)
    before = book.state()
    wrong: list[tuple[object, str]] = [
        (np.zeros((4, 2)), r"\(4, 2\)"),
        (np.zeros(5), r"\(5,\)"),
        (np.zeros((5, 2, 1)), r"\(5, 2, 1\)"),
        ([["buy", "sell"]] * 5, "not an array of numbers"),
        (np.vstack([np.zeros((3, 2)), [[0, np.inf]], np.zeros((1, 2))]), "bar 3: the target of B is inf"),
        (np.vstack([np.full((4, 2), NO), [[-np.inf, NO]]]), "bar 4: the target of A is -inf"),
    ]
    for targets, message in wrong:
        with pytest.raises(DataError, match=message):
            book.advance(bars, targets)
    for row in ([0.0], [np.inf, 0.0]):
        with pytest.raises(DataError, match="no row of finite weights"):
            book.submit(row)
    with pytest.raises(DataError, match="give the book the market's"):
        Book(("A", "C"), FREE).advance(bars, np.zeros((5, 2)))
    assert book.state() == before


def test_no_bars_change_nothing() -> None:
    bars = random_market(0, 5, 2)
    book = Book(bars.symbols, FREE)
    before = book.state()
    assert len(book.advance(bars[:0], np.empty((0, 2)))) == 0
    assert book.state() == before


# -- the band ----------------------------------------------------------------------------------------------------------
def banded_bar_by_bar(bars: Market, desired: Array, band: Array, book: Book, start: int, edge: bool) -> Array:
    decided = np.full(desired.shape, NO)
    for t in range(start, len(bars)):
        book.advance(bars[t : t + 1], np.full((1, desired.shape[1]), NO))
        gap = desired[t] - book.portfolio().weights
        decided[t] = np.where(np.abs(gap) < band[t], NO, desired[t] - np.copysign(band[t] if edge else 0.0, gap))
        book.submit(decided[t])
    return decided


@settings(max_examples=40, deadline=None)
@given(cases, costings, st.integers(0, 10), st.booleans())
def test_a_band_walked_at_once_is_the_band_bar_by_bar(case: tuple[int, int, int, bool, int], costs: Costs, start: int, edge: bool) -> None:
    seed, n, symbols, funding, _ = case
    bars, desired = random_market(seed, n, symbols, funding=funding), random_targets(seed, n, symbols)
    band = np.abs(random_targets(seed + 1, n, symbols, 0.5))
    band[np.isnan(band)] = 0.2
    start = min(start, n)
    book = Book(bars.symbols, costs, 10.0)
    book.advance(bars[:start], random_targets(seed + 2, start, symbols))
    before = book.state()
    decided = walk_band(bars, desired, band, book, start, edge)
    assert book.state() == before
    np.testing.assert_array_equal(decided, banded_bar_by_bar(bars, desired, band, book.copy(), start, edge))
    assert np.isnan(decided[:start]).all()


@pytest.mark.parametrize("cut", [0, 1, 2, 17, 40])
def test_a_band_walked_in_two_parts_is_walked_in_one(cut: int) -> None:
    bars, desired = random_market(8, 40, 2), random_targets(8, 40, 2)
    book, whole = Book(bars.symbols, Costs(latency=3)), Book(bars.symbols, Costs(latency=3))
    band = np.full((40, 2), 0.2)
    parts = [book.keep_inside(bars[part], desired[part], band[part]) for part in (slice(0, cut), slice(cut, 40))]
    np.testing.assert_array_equal(np.concatenate(parts), whole.keep_inside(bars, desired, band))
    assert book.state() == whole.state()


def test_a_band_by_hand() -> None:
    bars = table([[10]] * 5, [[10], [10], [30], [10], [10]])
    # Half is held at the second close; at the third the weight is 15 / 20; within .1 it is kept.
    decided = walk_band(bars, [0.5, 0.55, 0.5, 0.62, 0.3], 0.1, Book(("A",), FREE))
    np.testing.assert_array_equal(decided[:, 0], [0.5, NO, 0.5, 0.62, 0.3])
    assert np.isnan(walk_band(bars, [NO, 0.05, 0.05, NO, 0.0], 0.1)).all()


def test_a_band_that_is_left_at_its_edge_by_hand() -> None:
    bars = table([[10]] * 4, [[10]] * 4)
    # From nothing to .5 less .1; .45 is within .1 of .4; .6 asks for .5; down to 0 stops at .1.
    decided = walk_band(bars, [0.5, 0.45, 0.6, 0.0], 0.1, Book(("A",), FREE), edge=True)
    np.testing.assert_allclose(decided[:, 0], [0.4, NO, 0.5, 0.1], atol=1e-15)


def test_a_band_of_zero_is_no_band() -> None:
    bars, desired = random_market(1, 50, 2), random_targets(1, 50, 2)
    np.testing.assert_array_equal(walk_band(bars, desired, 0.0), desired)


@pytest.mark.parametrize("band", [-0.1, NO])
def test_impossible_bands_are_refused(band: float) -> None:
    with pytest.raises(SettingsError, match="band"):
        walk_band(random_market(1, 5, 1), np.zeros(5), band)
