"""Tasks of five kinds: nothing of the future in them, apart in time and symbols, the same for the same seed, and told when they cannot."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from tests.meta.markets import disturbed, related

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.market import Market
from tradewind.data import read, synthetic
from tradewind.features import compute, feature
from tradewind.meta.crypto_tasks import TASK_TYPES, CryptoTaskConfig, CryptoTaskDistribution
from tradewind.meta.task_parts import SPLITS
from tradewind.meta.tasks import check_tasks

FEATURES = ["return_1", "rsi_7", "volatility_10"]
SMALL: dict[str, Any] = {
    "features": FEATURES,
    "num_support": 2,
    "num_query": 5,
    "horizon": 4,
    "volatility_span": 20,
    "band_window": 20,
    "band": 1.0,
    "cost_bps": 1.0,
    "max_assets_in_portfolio": 2,
    "rebalancing_frequencies": ("daily",),
    "held_out": 0.34,
    "lookback": 100,
}
MARKET = related()


def distribution(kind: str, market: Market = MARKET, **settings: Any) -> CryptoTaskDistribution:
    return CryptoTaskDistribution(CryptoTaskConfig(task_type=kind, **(SMALL | settings)), market)


def equal(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# -- nothing of the future ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", TASK_TYPES)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_no_label_of_the_support_reaches_a_query(kind: str, data: st.DataObject) -> None:
    shots, horizon = data.draw(st.integers(1, 3), "shots"), data.draw(st.integers(3, 6), "horizon")
    spacing = data.draw(st.sampled_from([None, 1, 3, 7]), "spacing")
    split, balanced = data.draw(st.sampled_from(SPLITS), "split"), data.draw(st.booleans(), "balanced")
    market = related(1500, seed=data.draw(st.integers(1, 3), "market"), missing=data.draw(st.sampled_from([0.0, 0.05]), "missing"))
    shots = shots if balanced or kind == "portfolio_optimization" else shots + 5
    window, seed = data.draw(st.integers(1, 3), "window"), data.draw(st.integers(0, 9), "seed")
    chosen = {"num_support": shots, "horizon": horizon, "spacing": spacing, "split": split, "balanced": balanced, "window": window}
    try:
        tasks = distribution(kind, market, **chosen, num_query=3, lookback=150, seed=seed)
    except DataError as error:
        assert "no place in" in str(error)
        reject()  # these few bars have no room for it
    for index in range(5):
        task = tasks.task(index)
        check_tasks([task], tasks.loss, tasks.ways or None)
        assert int(task["support_known"].max()) < int(task["query_times"].min())
        assert bool((task["support_times"] < task["support_known"]).all()) and bool((task["query_times"] < task["query_known"]).all())
        assert bool((task["query_times"].diff() > 0).all()) and bool((task["support_times"].diff() > 0).all())
        if tasks.ways and balanced:
            assert torch.bincount(task["support_labels"], minlength=tasks.ways).tolist() == [shots] * tasks.ways
        else:
            assert len(task["support_labels"]) == shots
        if spacing is None:
            # No two labels share a bar.
            for part in ("support", "query"):
                assert bool((task[f"{part}_known"][:-1] <= task[f"{part}_times"][1:]).all())


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_bars_after_a_task_change_nothing_in_it(kind: str) -> None:
    tasks = distribution(kind, split="test")
    for place in range(len(tasks.series)):
        for anchor in tasks.anchors(place)[:: max(1, len(tasks.anchors(place)) // 3)].tolist():
            query = tasks.series[place].cut(anchor, tasks._demand)[1]
            after = int(tasks.series[place].ends[query].max()) + 1
            if after < len(MARKET):
                other = distribution(kind, disturbed(MARKET, after), split="test")
                assert equal(tasks.task_at(place, anchor), other.task_at(place, anchor))


@pytest.mark.parametrize("kind", [kind for kind in TASK_TYPES if kind != "arbitrage"])
def test_bars_of_the_query_change_nothing_in_the_support(kind: str) -> None:
    tasks = distribution(kind, split="test")
    anchor = int(tasks.anchors(0)[len(tasks.anchors(0)) // 2])
    first = int(tasks.series[0].rows[anchor])
    other = distribution(kind, disturbed(MARKET, first), split="test").task_at(0, anchor)
    task = tasks.task_at(0, anchor)
    for key in (key for key in task if key.startswith("support")):
        assert torch.equal(task[key], other[key]), key
    assert not torch.equal(task["query_data"], other["query_data"])


def test_bars_of_the_query_change_nothing_in_the_support_of_a_trade() -> None:
    """Which later bars are opportunities depends on prices, so the same anchor is found by its time."""
    tasks = distribution("arbitrage", split="test")
    anchor = int(tasks.anchors(0)[len(tasks.anchors(0)) // 2])
    first = int(tasks.series[0].rows[anchor])
    other = distribution("arbitrage", disturbed(MARKET, first + 1), split="test")
    assert other.series[0].rows[: anchor + 1].tolist() == tasks.series[0].rows[: anchor + 1].tolist()
    mine, theirs = (one.series[0].cut(anchor, tasks._demand)[0] for one in (tasks, other))
    assert mine.tolist() == theirs.tolist()
    assert np.array_equal(tasks.series[0].labels[mine], other.series[0].labels[theirs])
    assert np.array_equal(tasks.series[0].inputs(mine), other.series[0].inputs(theirs))


def test_training_tasks_know_the_later_training_bars_by_the_scale_of_inputs_alone() -> None:
    tasks = distribution("price_direction")
    anchor = int(tasks.anchors(0)[10])
    query = tasks.series[0].cut(anchor, tasks._demand)[1]
    other = distribution("price_direction", disturbed(MARKET, int(tasks.series[0].ends[query].max()) + 1))
    for key in ("support_labels", "query_labels", "support_times", "query_known", "query_returns"):
        assert torch.equal(tasks.task_at(0, anchor)[key], other.task_at(0, anchor)[key])
    raw = [one.task_at(0, anchor)["support_data"].numpy() * one.scaler.deviation + one.scaler.mean for one in (tasks, other)]
    assert not np.array_equal(tasks.scaler.mean, other.scaler.mean)
    np.testing.assert_allclose(raw[0], raw[1], rtol=2e-5, atol=1e-6)


def test_the_scaler_is_that_of_the_training_part() -> None:
    tasks = distribution("price_direction", split="test")
    learned = distribution("price_direction", disturbed(MARKET, int(len(MARKET) * 0.6)), split="test")
    assert np.array_equal(tasks.scaler.mean, learned.scaler.mean) and np.array_equal(tasks.scaler.deviation, learned.scaler.deviation)
    task, X = tasks.task(0), compute(MARKET, FEATURES)
    rows = np.searchsorted(MARKET.known, task["query_times"].numpy())
    expected = (X.values[rows, int(task["columns"][0])] - tasks.scaler.mean) / tasks.scaler.deviation
    assert np.array_equal(task["query_data"].numpy(), expected.astype(np.float32))


# -- apart ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", TASK_TYPES)
def test_parts_are_apart_in_time_and_symbols(kind: str) -> None:
    spans, symbols = [], []
    for split in SPLITS:
        tasks = distribution(kind, split=split, seed=SPLITS.index(split))
        assert tasks.by_symbol
        drawn = [tasks.task(i) for i in range(20)]
        spans.append((min(int(t["support_times"][0]) for t in drawn), max(int(t["query_known"].max()) for t in drawn)))
        symbols.append(set(tasks.symbols))
        assert {tasks.market.symbols[int(c)] for t in drawn for c in t["columns"]} <= set(tasks.symbols)
    assert spans[0][1] < spans[1][0] and spans[1][1] < spans[2][0]
    assert not symbols[0] & symbols[1] and not symbols[0] & symbols[2] and not symbols[1] & symbols[2]
    assert set.union(*symbols) == set(MARKET.symbols)


def test_with_too_few_symbols_parts_are_apart_in_time_alone() -> None:
    four = MARKET.select(MARKET.symbols[:4])
    for split in SPLITS:
        tasks = distribution("price_direction", four, split=split)
        assert not tasks.by_symbol and tasks.symbols == four.symbols
    # Baskets of 3 out of 6 symbols cannot be apart; baskets of 2 can.
    assert not distribution("portfolio_optimization", max_assets_in_portfolio=3).by_symbol
    assert distribution("portfolio_optimization", max_assets_in_portfolio=2).by_symbol


# -- the same, and drawn ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", TASK_TYPES)
def test_same_seed_same_tasks(kind: str) -> None:
    one, other = distribution(kind), distribution(kind)
    batch = one.sample_batch(6)
    other.task(3)
    assert all(equal(a, b) for a, b in zip(batch, [other.sample_task() for _ in range(6)], strict=True))
    assert equal(batch[4], other.task(4)) and one.drawn == 6
    assert one.identity == other.identity != distribution(kind, seed=2).identity
    assert any(not equal(a, distribution(kind, seed=2).task(i)) for i, a in enumerate(batch))
    for task in batch:
        assert task["support_data"].dtype == torch.float32 and task["support_data"].shape[1:] == one.shape
        assert task["query_data"].shape == (5, *one.shape) and len(task["query_returns"]) == 5
        assert 0.0 <= one.get_task_difficulty(task) <= 1.0


def test_identity_sees_the_function_behind_a_feature() -> None:
    def made(factor: float) -> CryptoTaskDistribution:
        change = feature(inputs=("close",), warmup=1, name="change")(lambda close: factor * np.append(0.0, np.diff(close) ** 3))
        return distribution("price_direction", features=[change, "rsi_7"])

    assert made(1.0).identity == made(1.0).identity
    plus = feature(inputs=("close",), name="change")(lambda close: np.sqrt(close))
    assert distribution("price_direction", features=[plus, "rsi_7"]).identity != made(1.0).identity


def test_other_shots_of_the_same_distribution() -> None:
    tasks = distribution("price_direction")
    tasks.sample_task()
    five = tasks.with_shots(5, 7)
    assert five.drawn == 0 and tasks.drawn == 1 and len(tasks.task(0)["support_labels"]) == 6
    assert equal(five.task(2), distribution("price_direction", num_support=5, num_query=7).task(2))


def test_windows_end_at_the_row_of_the_sample() -> None:
    one, three = distribution("arbitrage", spacing=1), distribution("arbitrage", spacing=1, window=3)
    assert three.shape == (3, one.shape[0])
    task = three.task(0)
    single = dict(zip(one.series[0].times.tolist(), one.series[0].inputs(np.arange(len(one.series[0].rows))), strict=True))
    series = next(s for s in three.series if s.panels[-1][1] == tuple(task["columns"].tolist()))
    if series.symbols == one.series[0].symbols:
        for moment, data in zip(task["query_times"].tolist(), task["query_data"].numpy(), strict=True):
            assert moment not in single or np.array_equal(data[-1], single[moment])
    flat = distribution("price_direction", window=3).task(0)
    assert np.array_equal(
        flat["query_data"][0, -1].numpy(),
        ((compute(MARKET, FEATURES).values - (d := distribution("price_direction")).scaler.mean) / d.scaler.deviation).astype(np.float32)[
            np.searchsorted(MARKET.known, int(flat["query_times"][0])), int(flat["columns"][0])
        ],
    )


def test_inputs_tell_of_labels_where_something_is_planted_and_not_in_noise() -> None:
    def accuracy(market: Market) -> float:
        tasks = CryptoTaskDistribution(
            CryptoTaskConfig(
                num_classes=2,
                horizon=1,
                num_support=10,
                num_query=20,
                held_out=0.0,
                features=["ema_distance_200", "return_1"],
                split="test",
            ),
            market,
        )
        drawn = [tasks.task(i) for i in range(150)]
        X, y = (torch.cat([t[f"support_{what}"] for t in drawn]).double() for what in ("data", "labels"))
        weights = torch.linalg.lstsq(torch.cat([X, torch.ones(len(X), 1)], 1), 2 * y[:, None] - 1).solution
        Q, q = torch.cat([t["query_data"] for t in drawn]).double(), torch.cat([t["query_labels"] for t in drawn])
        return float(((torch.cat([Q, torch.ones(len(Q), 1)], 1) @ weights)[:, 0].gt(0) == q.bool()).double().mean())

    # A mean with a fifth of the variance is right in .5 + asin(sqrt(.2)) / pi = 65 % of the bars.
    assert 0.60 < accuracy(synthetic.planted(r2=0.2, bars=6000, symbols=2).market) < 0.70
    assert 0.45 < accuracy(synthetic.noise(bars=6000, symbols=2).market) < 0.55


# -- told when they cannot be ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"task_type": "price_directions"}, "did you mean 'price_direction'"),
        ({"num_classes": 4}, "price_direction has 2 to 3 classes"),
        ({"task_type": "arbitrage", "num_classes": 3}, "arbitrage has 2 classes"),
        ({"task_type": "market_regime", "num_classes": 5}, "3 to 4 classes"),
        ({"task_type": "portfolio_optimization", "num_classes": 3}, "labels of portfolio_optimization are numbers"),
        ({"num_support": 0}, "num_support is 0"),
        ({"num_query": 2.5}, "num_query is 2.5"),
        ({"balanced": False, "num_support": 1}, "give at least 2"),
        ({"split": "tests"}, "did you mean 'test'"),
        ({"parts": (0.6, 0.2, 0.3)}, "sum to 1.1"),
        ({"parts": (0.6, 0.4)}, "three shares"),
        ({"held_out": 0.5}, "held_out is 0.5"),
        ({"embargo": -1}, "embargo is -1"),
        ({"spacing": 0}, "spacing is 0"),
        ({"lookback": 0}, "lookback is 0"),
        ({"horizon": 0}, "horizon is 0"),
        ({"risk_measure": "vol"}, "unknown risk_measure"),
        ({"rebalancing_frequencies": ["monthly"]}, "unknown rebalancing frequency"),
        ({"rebalancing_frequencies": []}, "rebalancing_frequencies are empty"),
        ({"min_correlation": 2.0}, "min_correlation is 2.0"),
        ({"band": 0.0}, "band is 0.0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words.replace("(", r"\(")):
        CryptoTaskConfig(**settings)


def test_markets_that_cannot_be() -> None:
    with pytest.raises(DataError, match="no bars"):
        distribution("price_direction", MARKET[:0])
    with pytest.raises(SettingsError, match="unknown symbol 'COIN-9'"):
        distribution("price_direction", trading_pairs=["COIN-9"])
    with pytest.raises(SettingsError, match="trading_pairs is empty"):
        distribution("price_direction", trading_pairs=[])
    with pytest.raises(DataError, match=r"60 bars leave none to the (train|validation|test) part"):
        distribution("price_direction", MARKET[:60])
    with pytest.raises(DataError, match=r"no place in the test part has 40 shots of each of 3 classes.*COIN"):
        distribution("price_direction", num_support=40, split="test")
    with pytest.raises(DataError, match="a task of arbitrage needs 2"):
        distribution("arbitrage", trading_pairs=["COIN-1"])
    with pytest.raises(DataError, match="correlate by"):
        distribution("arbitrage", synthetic.noise(bars=1500, symbols=3).market)
    silent = replace(MARKET, volume=np.full_like(MARKET.volume, np.nan))
    with pytest.raises(DataError, match=r"volume_ratio_20.*no volume; choose other features, such as 'relative-price'"):
        distribution("price_direction", silent, features="relative")
    with pytest.raises(DataError, match="no place"):
        distribution("price_direction", synthetic.flat(bars=1000, symbols=1).market)
    with pytest.raises(DataError, match="cannot be parted in 3 classes"):
        distribution("risk_assessment", synthetic.flat(bars=1000, symbols=1).market)


def test_classification_is_another_word_for_direction() -> None:
    config = CryptoTaskConfig(task_type="classification", trading_pairs=["COIN-1", "COIN-3"], num_classes=3, num_support=5, num_query=15)
    assert config.task_type == "price_direction" and config.ways == 3
    tasks = CryptoTaskDistribution(replace(config, features=FEATURES), MARKET)
    assert tasks.market.symbols == ("COIN-1", "COIN-3") and tasks.classes == ("down", "flat", "up") and tasks.outputs == 3


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_real_markets(kind: str) -> None:
    path = Path(os.environ.get("TRADEWIND_DEV_DATA", ""), "binance_spot_1h_10coins_to_2024-06.parquet")
    if "TRADEWIND_DEV_DATA" not in os.environ or not path.is_file():
        pytest.skip("set TRADEWIND_DEV_DATA to the folder of the development data")
    market = read(path)[-12_000:].select(("BTCUSDT", "ETHUSDT", "LTCUSDT", "ADAUSDT"))
    tasks = CryptoTaskDistribution(CryptoTaskConfig(task_type=kind, split="test", num_support=2), market)
    batch = tasks.sample_batch(20)
    check_tasks(batch, tasks.loss, tasks.ways or None)
    assert all(int(t["support_known"].max()) < int(t["query_times"].min()) for t in batch)
