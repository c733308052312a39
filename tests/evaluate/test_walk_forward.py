from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind as tw
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.files import load_state
from tradewind.core.seeds import derive
from tradewind.engine import targets as decide_targets
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.walk_forward import walk_forward, windows
from tradewind.simulate.account import Book

from .small import Bare, Learner, Mine, market

COSTS = tw.Costs(fee_bps=10, slippage_bps=2)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(":memory:")


@pytest.fixture(autouse=True)
def _fresh_learner() -> None:
    Learner.fits, Learner.seen = 0, ()


@pytest.mark.parametrize("latency", [1, 3])
@pytest.mark.parametrize("strategy", [Mine(), Learner(), Bare(), tw.strategy("hold"), tw.strategy("momentum", lookback=5)])
def test_stitched_equity_is_that_of_the_targets_traded_in_one_go(strategy: object, latency: int, ledger: Ledger) -> None:
    costs = tw.Costs(fee_bps=10, slippage_bps=2, slippage_volatility=0.1, latency=latency)
    result = walk_forward(strategy, market(240, 2, gaps=True), train=60, test=17, costs=costs, ledger=ledger)
    again = tw.backtest(result.targets, result.market, costs=costs)
    assert np.array_equal(result.equity, again.equity) and np.array_equal(result.returns, again.returns)
    assert len(result.folds) == 11 and len(result.equity) == 180 and np.ptp(result.equity) > 0


def test_each_fold_is_what_a_reader_of_the_contract_would_do_by_hand(ledger: Ledger) -> None:
    bars = market(130, 2, seed=4)
    result = walk_forward(Learner(), bars, train=50, test=20, embargo=3, costs=COSTS, seed=9, ledger=ledger)
    book, joined = Book(bars.symbols, COSTS), []
    for k, start in enumerate((50, 70, 90, 110)):
        mine = Learner()
        mine.reseed(derive(9, "fold", k))
        mine.fit(bars[start - 50 : start - 3])
        stop = min(start + 20, 130)
        part = decide_targets(mine, bars[:stop], book, start=start)[start:stop]
        book.advance(bars[start:stop], part)
        joined.append(part)
    assert np.array_equal(result.targets, np.concatenate(joined), equal_nan=True)
    assert result.equity[-1] == book.equity


def test_nothing_after_the_embargo_is_ever_fitted_on(ledger: Ledger) -> None:
    bars = market(200)
    result = walk_forward(Learner(), bars, train=80, test=30, embargo=5, ledger=ledger)
    for (_, last), fold in zip(Learner.seen, result.folds, strict=True):
        assert last == bars.open_time[fold.test[0] - 6]
    assert [fold.train for fold in result.folds] == [(0, 75), (30, 105), (60, 135), (90, 165)]
    assert [fold.test for fold in result.folds] == [(80, 110), (110, 140), (140, 170), (170, 200)]


@given(cut=st.integers(70, 198), scale=st.floats(0.5, 2.0))
@settings(max_examples=25, deadline=None)
def test_what_comes_later_changes_no_earlier_target(cut: int, scale: float) -> None:
    whole = market(200)
    other = market(200)
    changed = {name: np.where(np.arange(200)[:, None] >= cut, getattr(other, name) * scale, getattr(whole, name)) for name in _PRICES}
    garbled = tw.Market(whole.symbols, "1h", whole.open_time, whole.known, volume=whole.volume, **changed)
    one, two = (walk_forward(Learner(), bars, train=60, test=20, ledger=Ledger(":memory:")).targets for bars in (whole, garbled))
    assert np.array_equal(one[: cut - 60], two[: cut - 60], equal_nan=True)


_PRICES = ("open", "high", "low", "close")


def test_anchored_trains_on_everything_before(ledger: Ledger) -> None:
    result = walk_forward(Learner(), market(200), train=80, test=40, anchored=True, ledger=ledger)
    assert [fold.train for fold in result.folds] == [(0, 79), (0, 119), (0, 159)]


def test_refits_only_every_so_many_folds_and_says_so(ledger: Ledger) -> None:
    result = walk_forward(Learner(refit_every=3), market(240), train=60, test=30, ledger=ledger)
    assert Learner.fits == 2 and [fold.fitted for fold in result.folds] == [True, False, False, True, False, False]
    assert result.refits == "2 in 6 folds"
    assert walk_forward(Mine(), market(240), train=60, test=30, ledger=ledger).refits == "never"


def test_the_strategy_that_was_handed_over_stays_as_it_was(ledger: Ledger) -> None:
    mine = Learner()
    walk_forward(mine, market(), ledger=ledger)
    assert (mine.level, mine.noise, mine.seed) == (0.0, 0.0, 0)


def test_the_seed_decides(ledger: Ledger) -> None:
    first, same, other = (walk_forward(Learner(), market(), seed=seed, ledger=ledger).targets for seed in (1, 1, 2))
    assert np.array_equal(first, same, equal_nan=True) and not np.array_equal(first, other, equal_nan=True)


def test_windows_without_numbers_train_on_a_third_and_test_in_eight_parts() -> None:
    plan = windows(market(900))
    assert (plan.train, plan.test, plan.embargo, plan.count(900)) == (300, 75, 1, 8)
    assert windows(market(901)).count(901) == 8


def test_durations_are_bars_of_the_calendar() -> None:
    plan = windows(market(900), train="10d", test="36h", embargo="5h")
    assert (plan.train, plan.test, plan.embargo) == (240, 36, 5)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"train": 200, "test": 100}, "240 bars of 1h"),
        ({"train": "30d"}, "720 .* 240 bars"),
        ({"train": 0}, "train is 0.*240 bars"),
        ({"test": -3}, "test is -3"),
        ({"test": 2.5}, "test is 2.5"),
        ({"train": "thirty days"}, "no duration"),
        ({"train": 20, "test": 10, "step": 5}, "must be equal"),
        ({"train": 20, "test": 10, "step": 15}, "must be equal"),
        ({"train": 20, "embargo": 20}, "embargo 20 leaves nothing"),
        ({"embargo": -1}, "embargo is -1"),
        ({"costs": {"fee_bps": 1}}, "tradewind.Costs"),
        ({"capital": 0.0}, "capital"),
    ],
)
def test_impossible_settings_say_what_is_wrong(bad: dict[str, object], words: str, ledger: Ledger) -> None:
    with pytest.raises(SettingsError, match=words):
        walk_forward(Mine(), market(240), ledger=ledger, **bad)  # type: ignore[arg-type]
    assert ledger.rows() == []


def test_two_bars_are_not_enough(ledger: Ledger) -> None:
    with pytest.raises(SettingsError, match="2 bars"):
        walk_forward(Mine(), market(2), ledger=ledger)
    assert len(walk_forward(Bare(), market(3), ledger=ledger).equity) == 2


def test_what_is_no_strategy_is_refused(ledger: Ledger) -> None:
    with pytest.raises(SettingsError, match="no strategy"):
        walk_forward("momentum", market(), ledger=ledger)


def test_infinite_targets_name_the_bar(ledger: Ledger) -> None:
    class Wild(Bare):
        def decide_all(self, bars: tw.Market) -> np.ndarray:
            return np.full(bars.close.shape, np.inf)

    with pytest.raises(DataError, match=r"bar .* inf"):
        walk_forward(Wild(), market(), ledger=ledger)


# -- finished folds --------------------------------------------------------------------------------------------------


def test_finished_folds_are_read_and_give_the_same_result(tmp_path: Path, ledger: Ledger) -> None:
    plain = walk_forward(Learner(), market(), train=60, test=30, ledger=ledger)
    first = walk_forward(Learner(), market(), train=60, test=30, ledger=ledger, resume=tmp_path)
    fits = Learner.fits
    second = walk_forward(Learner(), market(), train=60, test=30, ledger=ledger, resume=tmp_path)
    assert Learner.fits == fits == 12
    for result in (first, second):
        assert result.to_dict() == plain.to_dict() and np.array_equal(result.equity, plain.equity)


@pytest.mark.parametrize(("every", "stop", "fits"), [(1, 3, 3), (2, 3, 1), (3, 4, 0), (2, 4, 1)])
def test_an_interrupted_walk_goes_on_with_the_fit_that_is_on_disk(tmp_path: Path, every: int, stop: int, fits: int, ledger: Ledger) -> None:
    class Stop(Exception):
        pass

    def interrupt(done: int, total: int) -> None:
        if done == stop:
            raise Stop

    whole = walk_forward(Learner(every), market(), train=60, test=30, ledger=ledger)
    with pytest.raises(Stop):
        walk_forward(Learner(every), market(), train=60, test=30, ledger=ledger, resume=tmp_path, progress=interrupt)
    Learner.fits = 0
    resumed = walk_forward(Learner(every), market(), train=60, test=30, ledger=ledger, resume=tmp_path)
    assert Learner.fits == fits
    assert resumed.to_dict() == whole.to_dict() and np.array_equal(resumed.targets, whole.targets, equal_nan=True)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"costs": tw.Costs(fee_bps=11)}, {"train": 61}, {"market": market(seed=1)}, {"lookback": 4}]
)
def test_folds_of_another_configuration_are_not_used(tmp_path: Path, change: dict[str, object], ledger: Ledger) -> None:
    asked = {"seed": 0, "costs": COSTS, "train": 60, "market": market(), "lookback": 3}

    def walked(wanted: dict[str, object], folder: Path | None) -> np.ndarray:
        rest = {name: value for name, value in wanted.items() if name not in ("market", "lookback")}
        mine = Learner(lookback=wanted["lookback"])  # type: ignore[arg-type]
        return walk_forward(mine, wanted["market"], test=30, ledger=ledger, resume=folder, **rest).targets  # type: ignore[arg-type]

    walked(asked, tmp_path)
    assert np.array_equal(walked(asked | change, tmp_path), walked(asked | change, None), equal_nan=True)


def test_a_damaged_fold_is_fitted_again(tmp_path: Path, ledger: Ledger) -> None:
    whole = walk_forward(Learner(), market(), train=60, test=30, ledger=ledger, resume=tmp_path)
    damaged = tmp_path / "0002" / "arrays.npz"
    damaged.write_bytes(damaged.read_bytes()[:-20] + bytes(20))
    Learner.fits = 0
    again = walk_forward(Learner(), market(), train=60, test=30, ledger=ledger, resume=tmp_path)
    assert Learner.fits == 4 and np.array_equal(again.targets, whole.targets, equal_nan=True)
    assert load_state(tmp_path / "0002").arrays["targets"].shape == (30, 1)


# -- what comes out --------------------------------------------------------------------------------------------------


def test_the_public_face(ledger: Ledger, tmp_path: Path) -> None:
    bars = market(24 * 60)
    r = tw.walk_forward(Mine(), bars, train="30d", test="7d", costs=tw.Costs(fee_bps=10, slippage_bps=2), seed=0, ledger=ledger)
    assert isinstance(r.metrics["sharpe"], float) and r.metrics["sharpe_low"] <= r.metrics["sharpe"] <= r.metrics["sharpe_high"]
    assert r.equity.shape == (24 * 30,) and r.targets.shape == (24 * 30, 1)
    assert r.verdict.label in ("edge", "no edge", "cannot tell") and r.verdict.reasons
    assert r.report(tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert r.metrics["net_return"] == pytest.approx(r.equity[-1] - 1.0)
    assert r.hold["net_return"] == pytest.approx(bars.close[-1, 0] / bars.open[721, 0] / (1 + 12e-4) - 1.0, abs=2e-4)


def test_hold_walked_forward_is_the_benchmark(ledger: Ledger) -> None:
    result = walk_forward(tw.strategy("hold"), market(300, 3), costs=COSTS, ledger=ledger)
    assert np.array_equal(result.equity, result.benchmark.equity) and result.verdict.label == "no edge"


def test_every_evaluation_is_a_trial(ledger: Ledger) -> None:
    bars = market()
    counts = [walk_forward(tw.strategy("momentum", lookback=k), bars, ledger=ledger).trials.count for k in (3, 5, 3, 7)]
    assert counts == [1, 2, 2, 3]
    assert walk_forward(Mine(), market(seed=5), ledger=ledger).trials.count == 1
    assert walk_forward(tw.strategy("momentum", lookback=3), bars, costs=COSTS, test=9, ledger=ledger).trials.count == 4


def test_progress_counts_folds(ledger: Ledger) -> None:
    told: list[tuple[int, int]] = []
    walk_forward(Mine(), market(), train=60, test=60, ledger=ledger, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
