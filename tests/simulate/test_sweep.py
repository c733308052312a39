from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.errors import DataError, SettingsError
from tradewind.engine import backtest
from tradewind.simulate.costs import Costs
from tradewind.simulate.sweep import Sweep, sweep

from .reference import NO, random_market, random_targets, table

FIELDS = ("final_equity", "mean", "std", "max_drawdown", "fees", "slippage", "funding", "turnover")


@pytest.mark.parametrize("symbols", [1, 3])
@pytest.mark.parametrize("funding", [False, True])
def test_each_series_is_a_backtest_of_its_own(symbols: int, funding: bool) -> None:
    bars = random_market(1, 2_500, symbols, funding=funding, volatility=0.005)
    costs = Costs(latency=2, slippage_volatility=0.1, max_leverage=1.5)
    targets = np.stack([random_targets(seed, 2_500, symbols) for seed in range(5)])
    result = sweep(targets, bars, costs, equity=True)
    assert result.equity is not None
    for i, series in enumerate(targets):
        alone = backtest(series, bars, costs)
        assert result.equity[i].tobytes() == alone.equity.tobytes()
        returns = alone.returns[1:]
        expected = {
            "final_equity": alone.equity[-1],
            "mean": returns.mean(),
            "std": returns.std(ddof=1),
            "max_drawdown": (1 - alone.equity / np.maximum.accumulate(alone.equity)).max(),
            "fees": alone.fees.sum(),
            "slippage": alone.slippage.sum(),
            "funding": alone.funding.sum(),
            "turnover": alone.turnover.sum(),
        }
        for name in FIELDS:
            assert getattr(result, name)[i] == pytest.approx(expected[name], rel=1e-9, abs=1e-15), name
        assert result.sharpe(8760)[i] == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(8760), rel=1e-9)


def test_threads_and_layout_change_no_bit() -> None:
    bars = random_market(2, 1_300, 1)
    targets = np.stack([random_targets(seed, 1_300, 1)[:, 0] for seed in range(9)])
    one = sweep(targets, bars, threads=1)
    readonly = targets.copy()
    readonly.flags.writeable = False
    for other in (
        sweep(targets, bars, threads=3),
        sweep(targets[:, :, None], bars),
        sweep(np.asfortranarray(targets), bars),
        sweep(readonly, bars),
    ):
        for name in FIELDS:
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert one.equity is None
    assert len(one) == 9


def test_float32_is_read_as_it_is_and_whole_numbers_are_taken() -> None:
    bars = random_market(3, 200, 1)
    targets = np.stack([random_targets(seed, 200, 1)[:, 0] for seed in range(3)]).astype(np.float32)
    np.testing.assert_array_equal(sweep(targets, bars).final_equity, sweep(targets.astype(np.float64), bars).final_equity)
    whole = np.ones((2, 200), dtype=int)
    np.testing.assert_array_equal(sweep(whole, bars).final_equity, sweep(whole.astype(float), bars).final_equity)


def test_a_ruined_series_keeps_its_debt_and_stops() -> None:
    bars = table([[10], [10], [5], [5]], [[10], [25], [5], [5]])
    result = sweep([[-1, -1, -1, -1], [0, 0, 0, 0]], bars, Costs.zero())
    assert result.final_equity.tolist() == [-0.5, 1.0]
    assert result.max_drawdown.tolist() == [1.5, 0.0]
    assert result.turnover.tolist() == [1.0, 0.0]
    assert result.mean.tolist() == pytest.approx([-0.5, 0.0])
    assert np.isnan(result.sharpe(365)[1])


def test_no_series_and_few_bars() -> None:
    bars = random_market(4, 3, 1, missing=0)
    assert len(sweep(np.empty((0, 3)), bars)) == 0
    single = sweep(np.ones((2, 1)), bars[:1])
    assert single.final_equity.tolist() == [1.0, 1.0]
    assert np.isnan(single.mean).all()


def test_what_does_not_fit_is_refused() -> None:
    bars = random_market(5, 20, 2)
    for shape in ((3, 20), (3, 19, 2), (20, 2), (3, 20, 2, 1)):
        with pytest.raises(DataError, match=r"expected \(series, time, symbol\) = \(any, 20, 2\)"):
            sweep(np.zeros(shape), bars)
    with pytest.raises(DataError, match="not an array of numbers"):
        sweep(np.full((2, 20, 2), "buy"), bars)
    with pytest.raises(SettingsError, match="threads"):
        sweep(np.zeros((1, 20, 2)), bars, threads=0)
    for bar in (0, 7, 18, 19):
        targets = np.full((4, 20, 2), NO)
        targets[2, bar, 1] = -np.inf
        with pytest.raises(DataError, match=f"series 2, bar {bar}:"):
            sweep(targets, bars, Costs(latency=2))


def test_the_sharpe_ratio_of_returns_that_never_vary_is_unknown() -> None:
    flat = Sweep(*(np.zeros(2) for _ in FIELDS))
    assert np.isnan(flat.sharpe(365)).all()
