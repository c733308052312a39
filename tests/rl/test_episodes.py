"""Where episodes begin and end."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rl.trading import features_of, line, small
from tests.simulate.reference import market, random_market

from tradewind.core.errors import DataError
from tradewind.core.types import Array
from tradewind.rl import kernels
from tradewind.rl.episodes import Episodes
from tradewind.rl.trading_vector_env import TradingVectorEnv


def holed(*missing: tuple[int, int], bars: int = 20, symbols: int = 2) -> Array:
    """Usable bars (time, symbol), but for some."""
    usable = np.ones((bars, symbols), bool)
    for row, column in missing:
        usable[row, column] = False
    return usable


FLAT = market(np.full((20, 2), 100.0), np.full((20, 2), 100.0))


def test_stretches_end_at_holes_and_begin_when_the_window_is_full() -> None:
    usable = holed((5, 0), (6, 0), (18, 0), (3, 1), (17, 1))
    assert Episodes.of(FLAT, usable, 1, None, None).stretches.tolist() == [[0, 0, 4], [0, 7, 17], [1, 0, 2], [1, 4, 16], [1, 18, 19]]
    assert Episodes.of(FLAT, usable, 3, None, None).stretches.tolist() == [[0, 2, 4], [0, 9, 17], [1, 6, 16]]


def test_starts_leave_room_for_the_whole_episode() -> None:
    episodes = Episodes.of(FLAT, holed((5, 0), (3, 1), (17, 1)), 2, 10, None)
    assert episodes.starts.tolist() == [7, 8, 9, 5, 6]
    assert episodes.drawn.tolist() == [0, 1]
    assert [episodes.last(0, bar) for bar in (6, 7, 9, 10)] == [-1, 17, 19, -1]


def test_a_symbol_without_room_is_never_drawn() -> None:
    usable = holed(*((row, 0) for row in range(0, 20, 4)))
    assert Episodes.of(FLAT, usable, 1, 10, None).drawn.tolist() == [1]


def test_no_room_at_all_says_how_much_there_is() -> None:
    with pytest.raises(DataError, match=r"an episode of 19 steps needs 21 unbroken bars .* \(20 bars\) has 20"):
        Episodes.of(FLAT, holed(), 2, 19, None)
    with pytest.raises(DataError, match="has 0; shorten"):
        Episodes.of(FLAT, ~holed(), 1, None, None)


@given(seed=st.integers(0, 10**6), window=st.integers(1, 4), length=st.one_of(st.none(), st.integers(1, 6)))
@settings(deadline=None, max_examples=40)
def test_no_episode_crosses_a_missing_bar(seed: int, window: int, length: int | None) -> None:
    bars = random_market(seed, bars=120, symbols=2, missing=0.08)
    env = TradingVectorEnv(bars, 8, features=features_of(bars), window=window, length=length, seed=seed)
    there = ~np.isnan(bars.close)
    env.reset()
    before = [env.locate(i) for i in range(8)]
    for _ in range(25):
        seen, _, _, truncated, infos = env.step(np.zeros((8, 1)))
        assert np.isfinite(seen).all()
        for lane in range(8):
            symbol, bar, _ = before[lane]
            column = bars.symbols.index(symbol)
            assert there[bar - window + 1 : bar + 2, column].all()
            if not truncated[lane]:
                assert env.locate(lane)[:2] == (symbol, bar + 1)
        if truncated.any():
            assert np.isfinite(infos["final_obs"]).all()
        before = [env.locate(i) for i in range(8)]


def test_symbols_are_drawn_first_and_then_regimes_and_then_bars() -> None:
    bars = random_market(1, bars=400, symbols=2, missing=0.0)
    regimes = np.full((400, 2), -1)
    # Symbol A: regime 0 nearly always and regime 7 for ten bars; symbol B: one regime, for a third of the time.
    regimes[:, 0] = 0
    regimes[50:60, 0] = 7
    regimes[100:230, 1] = 3
    env = TradingVectorEnv(bars, 512, features=features_of(bars), length=20, regimes=regimes)
    drawn: Counter[tuple[str, int]] = Counter()
    for seed in range(8):
        env.reset(seed=seed)
        for lane in range(512):
            symbol, bar, _ = env.locate(lane)
            drawn[symbol, int(regimes[bar, bars.symbols.index(symbol)])] += 1
    assert set(drawn) == {("A", 0), ("A", 7), ("B", 3)}
    expected = {("A", 0): 1024, ("A", 7): 1024, ("B", 3): 2048}
    assert all(abs(drawn[cell] - count) < 5 * np.sqrt(count) for cell, count in expected.items())


def test_every_start_is_drawn_as_often_as_every_other() -> None:
    bars = random_market(1, bars=60, symbols=1, missing=0.0)
    env = TradingVectorEnv(bars, 4096, features=features_of(bars), length=10)
    starts = np.array([env.locate(i)[1] for i in range(4096)])
    counts = np.bincount(starts, minlength=60)
    assert (counts[50:] == 0).all()
    expected = 4096 / 50
    # Chi squared of 49 degrees of freedom: beyond 85 once in a thousand.
    assert ((counts[:50] - expected) ** 2 / expected).sum() < 85


def test_starts_are_drawn_by_splitmix64() -> None:
    """The first words of the stream of 1234567, as published with the generator."""
    stream = np.array([1234567], np.uint64)
    for word in (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431):
        assert kernels._below(stream, 0, 1_000_000_007) == int((word >> 11) / 2**53 * 1_000_000_007)


def test_whole_stretches_are_taken_in_turn() -> None:
    prices = np.full((12, 2), 100.0)
    prices[[4, 9], [0, 1]] = np.nan
    bars = market(prices, prices)
    env = small(bars, 3, length=None)
    begun = [env.reset(seed=0)[0][:, :2].tolist()]
    for _ in range(30):
        _, _, _, truncated, _ = env.step(np.zeros((3, 1)))
        if truncated[0]:
            begun.append(env.observe()[:1, :2].tolist())
    # A 0 to 3, A 5 to 11, B 0 to 8, B 10 to 11; lane 0 takes every third of them, round and round.
    assert begun[0] == [[0, 0], [5, 0], [0, 100]]
    assert begun[1:5] == [[[10, 100]], [[0, 100]], [[5, 0]], [[0, 0]]]


def test_the_whole_of_an_unbroken_market_is_one_episode() -> None:
    env = small(line(*np.linspace(100, 130, 25)), length=None, window=3)
    env.reset()
    ended = [bool(env.step(np.zeros((1, 1)))[3][0]) for _ in range(22)]
    assert ended == [False] * 21 + [True]


def test_regimes_that_do_not_fit_are_refused() -> None:
    bars = random_market(1, bars=40, symbols=2, missing=0.0)
    for regimes in (np.zeros((40, 3), int), np.zeros((39, 2), int), np.zeros((40, 2))):
        with pytest.raises(DataError, match=r"expected \(time, symbol\) = \(40, 2\) whole numbers|expected whole numbers"):
            TradingVectorEnv(bars, 2, features=features_of(bars), length=5, regimes=regimes)
    with pytest.raises(DataError, match="no start lies in any regime"):
        TradingVectorEnv(bars, 2, features=features_of(bars), length=5, regimes=np.full((40, 2), -1))
