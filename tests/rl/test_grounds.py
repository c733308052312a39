"""Grounds: parts of one market, each learned from alone, with features that are warm and bars that lack one left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.market import Market
from tradewind.data import synthetic
from tradewind.features import Standardiser, compute
from tradewind.rl.grounds import Course, Grounds
from tradewind.rl.trader import Sight

SEEN = ("return_1", "ema_distance_10")


def bars(n: int = 120, symbols: int = 2, seed: int = 1) -> Market:
    return synthetic.noise(bars=n, symbols=symbols, seed=seed).market


def holed(market: Market, *cells: tuple[int, int]) -> Market:
    panels = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for panel in panels.values():
        for t, s in cells:
            panel[t, s] = np.nan
    return replace(market, **panels)


def test_the_scaler_knows_the_part_that_is_learned_from_alone() -> None:
    market = bars()
    grounds = Grounds(market, Sight(SEEN), Course(), 80)
    alone = Standardiser().fit(compute(market[:80], SEEN))
    assert grounds.scaler.state() == alone.state()


@pytest.mark.parametrize("window", [1, 4])
def test_a_part_is_played_from_its_first_bar_to_its_last(window: int) -> None:
    market, sight = bars(), Sight(SEEN, window)
    env, episodes = Grounds(market, sight, Course(lanes=3), 60).contest(60, 90)
    assert (episodes, env.num_envs) == (2, 2)
    env.reset(seed=0)
    first = [env.locate(lane)[2] for lane in range(2)]
    # From the close of bar 60 to that of bar 89 are 29 steps, and the features were warm at the first of them.
    ends = [env.step(np.ones(2, dtype=np.int64))[3].all() for _ in range(29)]
    assert ends == [False] * 28 + [True] and len(set(first)) == 1
    assert first[0][:13] == str(np.datetime64(int(market.open_time[60]), "ns"))[:13].replace("T", first[0][10])


def test_what_the_environment_shows_is_the_scaled_window() -> None:
    market, sight = bars(), Sight(SEEN, 3)
    grounds = Grounds(market, sight, Course(), 60)
    env, _ = grounds.contest(60, 90)
    shown, _ = env.reset(seed=0)
    told = grounds.scaler.transform(compute(market, SEEN)).values[58:61].astype(np.float32)
    for lane in range(2):
        symbol = market.symbols.index(env.locate(lane)[0])
        np.testing.assert_array_equal(shown[lane], [*told[:, symbol].ravel(), 0.0])


def test_steps_are_counted_between_holes() -> None:
    market = holed(bars(), (70, 0), (80, 1), (81, 1))
    grounds = Grounds(market, Sight(SEEN), Course(), 60)
    # Of symbol 0: bars 60 to 69 and 71 to 99; of symbol 1: 60 to 79 and 82 to 99.
    assert grounds.steps(60, 100) == 9 + 28 + 19 + 17
    assert grounds.contest(60, 100)[1] == 4
    assert Grounds(market, Sight(SEEN, 5), Course(), 60).steps(60, 100) == 9 + 24 + 19 + 13


def test_bars_that_lack_a_feature_are_left_out() -> None:
    market = bars(symbols=1)
    volume = market.volume.copy()
    volume[70:75] = np.nan
    market = replace(market, volume=volume)
    lacking = ~np.isfinite(compute(market, ("volume_ratio_5",)).values[:, 0, 0])
    assert lacking[70:75].all()
    grounds = Grounds(market, Sight(("volume_ratio_5",)), Course(length=4), 60)
    assert grounds.steps(60, 120) == 9 + (120 - int(np.flatnonzero(lacking)[-1]) - 2)
    env, _ = grounds.contest(60, 120)
    env.reset(seed=0)
    for _ in range(40):
        shown, *_ = env.step(np.ones(env.num_envs, dtype=np.int64))
        assert np.isfinite(shown).all()


def test_episodes_are_shorter_where_the_market_is_full_of_holes() -> None:
    whole = Grounds(bars(200, 1), Sight(SEEN), Course(length=64), 150).practice(0)
    assert whole.arena.episodes.length == 64
    full = holed(bars(200, 1), *((t, 0) for t in range(20, 150, 11)))
    assert Grounds(full, Sight(SEEN), Course(length=64), 150).practice(0).arena.episodes.length == 9


def test_a_part_without_room_is_an_error() -> None:
    with pytest.raises(DataError, match="no two in a row"):
        Grounds(bars(), Sight(SEEN), Course(), 60).contest(60, 61)


def test_a_market_without_volume_says_which_features_need_one() -> None:
    market = replace(bars(), volume=np.full((120, 2), np.nan))
    with pytest.raises(DataError, match="'volume_ratio_20'"):
        Grounds(market, Sight("relative"), Course(), 60)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, "window is 0"),
        ({"positions": (1.0, -1.0)}, "positions is"),
        ({"positions": 3}, "positions is 3"),
        ({"actions": 1}, "actions is 1"),
        ({"actions": "continous"}, "did you mean 'continuous'"),
        ({"band": -1.0}, "band is -1"),
        ({"features": ("rsi",) * 2}, "asked for twice"),
    ],
)
def test_impossible_sights_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Sight(**{"features": SEEN, **settings})


@pytest.mark.parametrize("settings", [{"lanes": 0}, {"length": 0}])
def test_impossible_courses_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="at least 1"):
        Course(**settings)
