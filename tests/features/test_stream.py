"""Stream and Live give the numbers of the batch to the bit, whatever the bars, the cuts and the restarts."""

from __future__ import annotations

import copy
import gc
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind as tw
from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.market import Market
from tradewind.core.types import State
from tradewind.features.catalog import resolve
from tradewind.features.program import Program

from .conftest import FIELDS, build_market
from .test_batch import EVERYTHING


@tw.features.feature(inputs=("close", "open_time"), warmup=3)
def slope(close: np.ndarray, open_time: np.ndarray) -> np.ndarray:
    """Return over three bars, per hour."""
    out = np.full(len(close), np.nan)
    out[3:] = (close[3:] / close[:-3] - 1.0) / ((open_time[3:] - open_time[:-3]) / 3.6e12)
    return out


MIXED = ["rsi_14", slope, "adx_14", "signal_rsi_divergence_14"]


def bar(market: Market, t: int, s: int = 0) -> tuple[float, ...]:
    return (int(market.open_time[t]), *(float(getattr(market, name)[t, s]) for name in FIELDS))


@pytest.mark.parametrize("names", [EVERYTHING, MIXED], ids=["built-in", "with a user's"])
def test_stream_is_batch_to_the_bit(names: list[object]) -> None:
    market = build_market(700, symbols=2, seed=7, gaps=0.15)
    X = tw.features.compute(market, names)
    for s in range(2):
        stream = tw.features.Stream(names)
        assert stream.names == X.names
        assert stream.warmup == X.warmup
        rows = np.array([stream.update(*bar(market, t, s)) for t in range(len(market))])
        np.testing.assert_array_equal(rows, X.values[:, s])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), block=st.integers(1, 70), bars=st.integers(1, 400), gaps=st.sampled_from([0.0, 0.3]))
def test_blocks_change_nothing(seed: int, block: int, bars: int, gaps: float) -> None:
    market = build_market(bars, seed=seed, gaps=gaps)
    chosen = [item for item in resolve(EVERYTHING) if not isinstance(item, tw.features.Feature)]
    out = np.empty((bars, 1, len(chosen)))
    panels = (market.open, market.high, market.low, market.close, market.volume)
    Program(chosen, 1).link(market.open_time, panels, out, block).step()
    np.testing.assert_array_equal(out, tw.features.compute(market, EVERYTHING).values)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 300), max_size=12), keep=st.integers(1, 20))
def test_live_is_the_end_of_the_batch(seed: int, cuts: list[int], keep: int) -> None:
    market = build_market(300, symbols=2, seed=seed, gaps=0.1)
    X = tw.features.compute(market, MIXED)
    live = tw.features.Live(MIXED, keep=keep)
    # Sorted cuts are a market that grows by leaps, the repeated one asks twice, and the first again is another past.
    for end in [*sorted(cuts), *sorted(cuts)[-1:], *cuts[:1], 299, 300]:
        count = 1 + end % keep
        rows, wanted = live.rows(market[:end], count), X[:end][-min(count, end) :]
        np.testing.assert_array_equal(rows.values, wanted.values)
        np.testing.assert_array_equal(rows.open_time, wanted.open_time)
        assert rows.warmup == wanted.warmup


def test_live_bar_by_bar_with_a_long_memory() -> None:
    market = build_market(250, symbols=3, seed=3, gaps=0.1)
    X = tw.features.compute(market, "s0")
    live = tw.features.Live("s0", keep=7)
    for end in range(1, 251):
        np.testing.assert_array_equal(live.rows(market[:end], 7).values, X[:end][-7:].values)


def test_live_starts_over_for_another_past() -> None:
    first, second = build_market(80, seed=1), build_market(90, seed=2)
    live = tw.features.Live("rsi_7", keep=3)
    live.rows(first, 3)
    np.testing.assert_array_equal(live.rows(second, 3).values, tw.features.compute(second, "rsi_7")[-3:].values)
    both = build_market(90, symbols=2, seed=2)
    np.testing.assert_array_equal(live.rows(both, 3).values, tw.features.compute(both, "rsi_7")[-3:].values)
    with pytest.raises(SettingsError, match="keep=4"):
        live.rows(both, 4)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, 299), seed=st.integers(0, 1000))
def test_restoring_at_any_bar_changes_nothing(cut: int, seed: int) -> None:
    market = build_market(300, seed=seed)
    stream, reborn = tw.features.Stream([*EVERYTHING, slope]), tw.features.Stream([*EVERYTHING, slope])
    for t in range(cut):
        stream.update(*bar(market, t))
    reborn.restore(stream.state())
    for t in range(cut, min(cut + 60, 300)):
        np.testing.assert_array_equal(reborn.update(*bar(market, t)), stream.update(*bar(market, t)))
    assert reborn.state() == stream.state()


def test_state_survives_the_disk_and_refuses_other_features(tmp_path) -> None:
    market = build_market(100)
    stream = tw.features.Stream(MIXED)
    for t in range(60):
        stream.update(*bar(market, t))
    save_state(tmp_path / "state", stream.state())
    reborn = tw.features.Stream(MIXED).restore(load_state(tmp_path / "state"))
    np.testing.assert_array_equal(reborn.update(*bar(market, 60)), stream.update(*bar(market, 60)))
    with pytest.raises(StateError, match="rsi_9"):
        tw.features.Stream("rsi_9").restore(stream.state())
    broken = State(stream.state().values, {})
    with pytest.raises(StateError, match="missing"):
        tw.features.Stream(MIXED).restore(broken)


def test_a_copy_goes_its_own_way() -> None:
    market = build_market(120)
    stream = tw.features.Stream("standard")
    for t in range(100):
        stream.update(*bar(market, t))
    twin = copy.deepcopy(stream)
    ours = [stream.update(*bar(market, t)) for t in range(100, 120)]
    np.testing.assert_array_equal([twin.update(*bar(market, t)) for t in range(100, 120)], ours)


def test_bars_must_move_forward() -> None:
    market = build_market(3)
    stream = tw.features.Stream("rsi_2")
    stream.update(*bar(market, 1))
    before = stream.state()
    for t in (0, 1):
        with pytest.raises(DataError, match="not later than the last"):
            stream.update(*bar(market, t))
    assert stream.state() == before


def test_rows_are_the_callers_own() -> None:
    market = build_market(40)
    stream = tw.features.Stream("return_1")
    rows = [stream.update(*bar(market, t)) for t in range(40)]
    np.testing.assert_array_equal(np.array(rows)[1:, 0], np.diff(market.close[:, 0]) / market.close[:-1, 0])


def test_nothing_is_held_on_to(walk: Callable[..., Market]) -> None:
    """numba's generators keep their arrays alive unless they end; `Linked` makes them end."""
    market = walk(50)
    chosen = resolve("s0")
    panels = (market.open, market.high, market.low, market.close, market.volume)
    out = np.empty((50, 1, 27))
    held = sys.getrefcount(out)
    for _ in range(5):
        linked = Program(chosen, 1).link(market.open_time, panels, out)
        linked.step()
        del linked
    gc.collect()
    assert sys.getrefcount(out) == held
