"""Episodes of a walk: supports are known at the bar, lie before the query, show both classes, and are the same from any history."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies.markets import gappy, panel

from tradewind.core.arrays import Array
from tradewind.core.errors import SettingsError
from tradewind.core.market import Market
from tradewind.meta import registry
from tradewind.meta.episodes import REACH, Adapted, Episodes, Shots, shown


def inputs(market: Market) -> Array:
    """The close and the number of the bar: a sample shows which one it is."""
    numbers = np.where(np.isnan(market.close), np.nan, (market.open_time // market.step % 1000)[:, None].astype(float))
    return np.stack([market.close, numbers], axis=2)


def episodes(market: Market, **settings: object) -> Episodes:
    return Episodes(inputs(market), market, Shots(**settings))


def test_the_support_is_the_latest_samples_whose_labels_are_known() -> None:
    close = 100.0 + np.array([0, 1, 0, 2, 5, 3, 2, 4, 3, 5, 4, 6], dtype=float)
    support = episodes(panel(close), support=4, horizon=2).support(9, 0)
    assert support is not None
    # The label of bar 7 is known at the close of bar 9.
    assert support.rows.tolist() == [4, 5, 6, 7]
    np.testing.assert_array_equal(support.inputs[:, 0], close[4:8].astype(np.float32))
    assert support.labels.tolist() == [0, 1, 1, 1]


def test_one_class_makes_room_for_the_latest_sample_of_the_other() -> None:
    close = np.array([10, 9, 10, 9, 10, 11, 12, 13, 14, 15], dtype=float)
    shots = episodes(panel(close), support=4)
    support = shots.support(9, 0)
    assert support is not None
    # The bars 5 to 8 rose, and so did 4; bar 2 fell, and it takes the place of bar 5.
    assert support.rows.tolist() == [2, 6, 7, 8]
    assert support.labels.tolist() == [0, 1, 1, 1]
    rising = episodes(panel(np.arange(10.0, 40.0)), support=4)
    assert all(rising.support(moment, 0) is None for moment in range(30))
    numbers = episodes(panel(np.arange(10.0, 40.0)), support=4, target="return").support(20, 0)
    assert numbers is not None and numbers.rows.tolist() == [16, 17, 18, 19]


def test_returns_are_in_units_of_the_supports_own_size() -> None:
    market = panel(100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(3).standard_t(3, 90))))
    found = episodes(market, support=6, target="return")
    support, task = found.support(50, 0), found.task(50, 0)
    assert support is not None and task is not None
    moves = market.close[1:, 0] / market.close[:-1, 0] - 1.0
    unit = np.sqrt(np.mean(moves[support.rows] ** 2))
    assert support.unit == pytest.approx(unit)
    np.testing.assert_allclose(support.labels[:, 0], moves[support.rows] / unit, rtol=1e-5)
    np.testing.assert_allclose(task["query_labels"][:, 0], np.clip(moves[50:70] / unit, -5, 5), rtol=1e-5)


def test_a_market_that_does_not_move_teaches_nothing() -> None:
    for target in ("direction", "return"):
        still = episodes(panel(np.full(60, 50.0)), target=target, support=5, query=5)
        assert len(still.beginnings()) > 0
        assert all(still.task(int(moment), int(symbol)) is None for moment, symbol in still.beginnings())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    horizon=st.integers(1, 4),
    support=st.integers(2, 8),
    every=st.integers(1, 6),
    target=st.sampled_from(["direction", "return"]),
)
def test_nothing_of_a_support_is_unknown_when_the_query_begins(seed: int, horizon: int, support: int, every: int, target: str) -> None:
    market = gappy(140, 2, seed=seed)
    found = episodes(market, horizon=horizon, support=support, query=5, every=every, target=target)
    beginnings = found.beginnings()
    assert len(beginnings) > 0
    for moment, symbol in beginnings[:: max(1, len(beginnings) // 12)].tolist():
        task, shot = found.task(moment, symbol), found.support(moment, symbol)
        if task is None or shot is None:
            continue
        assert len(shot.rows) == support and (np.diff(shot.rows) > 0).all()
        assert shot.rows[0] > moment - REACH * support - horizon
        # A support made from the bars up to the moment alone is the same.
        again = episodes(market[: moment + 1], horizon=horizon, support=support, every=every, target=target).support(moment, symbol)
        assert again is not None and again.key == shot.key and again.unit == shot.unit
        present = np.flatnonzero(~np.isnan(market.close[:, symbol]))
        ends = present[np.searchsorted(present, shot.rows) + horizon]
        assert ends.max() <= moment
        asked = present[np.searchsorted(present, moment) :][:5]
        np.testing.assert_array_equal(task["query_data"][:, 1].numpy(), inputs(market)[asked, symbol, 1].astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), every=st.integers(1, 7), cut=st.integers(60, 139))
def test_the_last_rows_give_the_answer_of_the_whole_history(seed: int, every: int, cut: int) -> None:
    market = gappy(140, 2, seed=seed)[:cut]
    shots = Shots(support=5, every=every, horizon=2)
    whole, tail = Episodes(inputs(market), market, shots), market[-shots.reach :]
    short = Episodes(inputs(tail), tail, shots)
    for symbol in (0, 1):
        one, two = whole.support(int(whole.moments[-1]), symbol), short.support(int(short.moments[-1]), symbol)
        assert (one is None) == (two is None)
        assert one is None or two is None or one.key == two.key


def test_periods_follow_the_clock_whatever_bar_a_history_begins_with() -> None:
    market = panel(100.0 + np.arange(30) % 4)
    first = int(market.open_time[0] // market.step)
    moments = episodes(market, every=4).moments
    for row in range(30):
        begin = row - (first + row) % 4
        assert moments[row] == max(0, begin)


def test_a_context_is_of_supports_that_were_known() -> None:
    market = gappy(200, 3)
    found = episodes(market, support=5, query=5)
    beginnings = found.beginnings()
    past = beginnings[beginnings[:, 0] <= 100]
    context = found.context(past, 6, np.random.default_rng(1))
    assert context is not None and len(context.inputs) == len(context.labels) <= 30
    numbers = (market.open_time // market.step % 1000)[:101]
    assert np.isin(context.inputs[:, 1], numbers.astype(np.float32)).all()
    support = found.support(120, 0)
    assert support is not None
    data, labels = shown(context, support)
    assert len(data) == len(labels) == len(context.inputs) + 5
    np.testing.assert_array_equal(data[-5:].numpy(), support.inputs)
    assert found.context(past, 0, np.random.default_rng(1)) is None
    assert found.context(past[:0], 6, np.random.default_rng(1)) is None


def test_one_adaptation_serves_a_period_and_the_answers_are_those_of_single_rows() -> None:
    market = gappy(150, 2)
    found = episodes(market, support=5, every=6)
    learner = registry.learner("maml", registry.perceptron("maml", 2, 2, (4,)), 2)
    adapted = Adapted(learner)
    counted = []
    plain = learner.few_shot_adapt
    learner.few_shot_adapt = lambda *given: counted.append(1) or plain(*given)  # type: ignore[method-assign]
    whole = adapted.answer(found, 60, 2)
    assert len(counted) <= 2 * (60 // 6 + 2)
    assert np.isnan(whole.outputs[:60]).all() and np.isfinite(whole.outputs[60:]).any()
    alone = Adapted(learner).answer(found, len(market) - 1, 2)
    np.testing.assert_array_equal(alone.outputs[-1], whole.outputs[-1])
    assert np.isnan(whole.outputs[60:][~found.usable[60:]]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"target": "risk"}, "target is 'risk'"),
        ({"support": 1}, "support is 1"),
        ({"horizon": 0}, "horizon is 0"),
        ({"every": 0}, "every is 0"),
        ({"query": 0}, "query is 0"),
    ],
)
def test_shots_that_cannot_be_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Shots(**wrong)  # type: ignore[arg-type]
