"""Labelled paths: each regime moves as it was written down, and the labels are where it does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tradewind.core.errors import SettingsError
from tradewind.data import quality, synthetic
from tradewind.data.synthetic_regimes import LEAST, MEAN, NEXT, Paths, labelled, sharpe
from tradewind.regimes import SEVEN

UNIT = 0.01
BULL, BEAR, WILD, CALM, BREAKOUT, REVERSAL, CRISIS = range(7)


@pytest.fixture(scope="module")
def long() -> Paths:
    return labelled(400_000, 1, UNIT, seed=3)


def runs(states: np.ndarray) -> list[tuple[int, int, int]]:
    """(regime, first bar, bars) of every spell that was seen from beginning to end."""
    edges = np.flatnonzero(np.diff(states)) + 1
    return [(int(states[a]), int(a), int(b - a)) for a, b in itertools.pairwise(edges)]


def test_the_tables_are_those_of_a_chain() -> None:
    assert len(LEAST) == len(MEAN) == len(NEXT) == len(SEVEN)
    np.testing.assert_allclose(np.sum(NEXT, axis=1), 1.0)
    assert all(row[k] == 0 for k, row in enumerate(NEXT))


def test_stays(long: Paths) -> None:
    spells = runs(long.states)
    for regime in range(7):
        lengths = [bars for state, _, bars in spells if state == regime]
        assert min(lengths) >= LEAST[regime]
        assert np.mean(lengths) == pytest.approx(MEAN[regime], rel=4 / len(lengths) ** 0.5)


def test_who_follows_whom(long: Paths) -> None:
    order = [(a, b) for (a, _, _), (b, _, _) in zip(runs(long.states)[:-1], runs(long.states)[1:], strict=True)]
    for old in range(4):
        followers = [b for a, b in order if a == old]
        for new in range(7):
            share = followers.count(new) / len(followers)
            assert share == pytest.approx(NEXT[old][new], abs=0.06)
    assert {a for a, b in order if b == BREAKOUT} == {WILD, CALM}
    assert {a for a, b in order if b == REVERSAL} == {BULL, BEAR}


@pytest.mark.parametrize(("regime", "mean", "volatility"), [(BULL, 0.25, 1.0), (BEAR, -0.25, 1.0), (WILD, 0.0, 2.0), (CALM, 0.0, 0.5)])
def test_trends_drift_and_ranges_do_not(long: Paths, regime: int, mean: float, volatility: float) -> None:
    steps = np.diff(long.logs[:, 0])[long.states == regime] / UNIT
    assert steps.mean() == pytest.approx(mean, abs=4 * volatility / len(steps) ** 0.5)
    rough = volatility if regime in (BULL, BEAR) else volatility * (1 + 0.15**2 / (1 - 0.85**2)) ** 0.5
    assert steps.std() == pytest.approx(rough, rel=0.02)


def test_ranges_stay_about_where_they_began(long: Paths) -> None:
    for regime, volatility in ((WILD, 2.0), (CALM, 0.5)):
        away = [
            (long.logs[start + 1 : start + bars + 1, 0] - long.logs[start, 0]) / UNIT
            for state, start, bars in runs(long.states)
            if state == regime
        ]
        # The stationary deviation of x' = .85 x + e.
        assert np.concatenate([part[30:] for part in away]).std() == pytest.approx(volatility / (1 - 0.85**2) ** 0.5, rel=0.05)


def test_a_breakout_jumps_out_of_its_range_and_goes_on(long: Paths) -> None:
    spells, ups, onward = runs(long.states), 0, []
    for (_, before, bars), (state, start, _) in itertools.pairwise(spells):
        if state != BREAKOUT:
            continue
        lived = long.logs[before : before + bars + 1, 0]
        edge = 3 * long.volatility[before, 0]
        first = long.logs[start + 1, 0]
        up = first > lived.max()
        ups += up
        assert first == pytest.approx(lived.max() + edge if up else lived.min() - edge)
        onward.append((1 if up else -1) * (long.logs[start + LEAST[BREAKOUT], 0] - first))
    assert 0.4 < ups / len(onward) < 0.6
    assert np.mean(onward) / UNIT == pytest.approx(0.4 * 1.5 * 9, rel=0.25)


def test_a_reversal_goes_against_the_trend_that_it_ends(long: Paths) -> None:
    spells = runs(long.states)
    moves = {BULL: [], BEAR: []}
    after = {BULL: [], BEAR: []}
    for (old, _, _), (state, start, bars), (new, _, _) in zip(spells[:-2], spells[1:-1], spells[2:], strict=True):
        if state == REVERSAL:
            moves[old].append((long.logs[start + bars, 0] - long.logs[start, 0]) / UNIT / bars)
            after[old].append(new)
    assert np.mean(moves[BULL]) == pytest.approx(-0.5, abs=0.1)
    assert np.mean(moves[BEAR]) == pytest.approx(0.5, abs=0.1)
    assert BULL not in after[BULL]
    assert BEAR not in after[BEAR]
    assert after[BULL].count(BEAR) / len(after[BULL]) == pytest.approx(0.6, abs=0.1)


def test_a_crisis_falls_and_its_volatility_explodes(long: Paths) -> None:
    for state, start, bars in runs(long.states):
        if state == CRISIS:
            lived = long.volatility[start : start + bars, 0] / UNIT
            np.testing.assert_allclose(lived, np.minimum(1.5 * 1.04 ** np.arange(bars), 3.5))
    steps = np.diff(long.logs[:, 0])[long.states == CRISIS] / long.volatility[long.states == CRISIS, 0]
    assert steps.mean() == pytest.approx(-0.4, abs=0.05)


def test_the_mean_is_that_of_the_next_bar_while_the_regime_lasts(long: Paths) -> None:
    lasts = long.states[1:] == long.states[:-1]
    ahead, mean = np.diff(long.logs[:, 0])[1:][lasts], long.mean[:-1, 0][lasts]
    slope, start = np.polyfit(mean, ahead, 1)
    assert slope == pytest.approx(1.0, abs=0.04)
    assert start == pytest.approx(0.0, abs=0.03 * UNIT)


def test_symbols_share_the_regime_and_nothing_else() -> None:
    made = synthetic.regimes(3_000, symbols=2, seed=8)
    assert made.oracle.states is not None
    assert made.oracle.states.shape == (3_000,)
    returns = np.diff(np.log(made.market.close), axis=0)[made.oracle.states[1:] == WILD]
    assert abs(np.corrcoef(returns.T)[0, 1]) < 0.15


@pytest.mark.parametrize("timeframe", ["15m", "1h", "1d", "1w"])
def test_they_are_sound_bars(timeframe: str) -> None:
    made = synthetic.regimes(1_000, timeframe=timeframe, seed=2, symbols=2)
    assert quality(made.market).ok
    assert made.market.symbols == ("REGIMES-1", "REGIMES-2")
    assert made.oracle.targets.shape == made.market.close.shape


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one, two, other = (synthetic.regimes(400, seed=seed) for seed in (5, 5, 6))
    assert one.market.digest == two.market.digest
    assert one.market.digest != other.market.digest
    np.testing.assert_array_equal(one.oracle.states, two.oracle.states)


def test_the_oracle_earns_what_it_says() -> None:
    made = [synthetic.regimes(8_760, seed=seed).oracle for seed in range(12)]
    wanted = sharpe(1, UNIT * 1.0677, 0.0012) * 8_760**0.5
    assert made[0].sharpe == pytest.approx(wanted, rel=0.05)
    assert np.mean([one.realised for one in made]) == pytest.approx(made[0].sharpe, rel=0.15)
    with pytest.raises(SettingsError, match="bars"):
        synthetic.regimes(1)
