"""The verdict: each label, each reason, and how often each is right on returns whose truth is known."""

import math

import numpy as np
import pytest

from tradewind import stats
from tradewind.core.errors import DataError, SettingsError
from tradewind.evaluate.verdict import judge

YEAR = 365.0


def series(sharpe: float, years: float, seed: int, tails: float = 5.0) -> np.ndarray:
    """Daily fat-tailed returns of an annual Sharpe ratio in expectation."""
    n = int(years * YEAR)
    shocks = np.random.default_rng(seed).standard_t(tails, n) / math.sqrt(tails / (tails - 2))
    return 0.01 * (shocks + sharpe / math.sqrt(YEAR))


def test_a_great_record_is_an_edge_and_says_why():
    own = series(4.0, 6, 0)
    verdict = judge(own, series(0.0, 6, 1), YEAR, trials=10, variance_of_trials=1 / len(own))
    assert verdict.label == "edge"
    assert any("Deflated Sharpe" in r and "best of 10 trials" in r for r in verdict.reasons)
    assert verdict.numbers["sharpe"] == pytest.approx(stats.sharpe(own, YEAR))
    assert verdict.numbers["sharpe_low"] < verdict.numbers["sharpe"] < verdict.numbers["sharpe_high"]


def test_the_deflated_sharpe_is_the_papers_at_the_variance_of_luck():
    own = series(2.0, 4, 3)
    x = judge(own, series(0.0, 4, 4), YEAR, trials=20, variance_of_trials=0.002).numbers
    moments = (stats.skewness(own), stats.kurtosis(own))
    n = x["effective_bars"]
    assert x["deflated_sharpe"] == pytest.approx(stats.deflated_sharpe(stats.sharpe(own), n, 20, 1 / (n - 1), *moments))
    assert x["deflated_sharpe_observed"] == pytest.approx(stats.deflated_sharpe(stats.sharpe(own), len(own), 20, 0.002, *moments))


def test_a_long_record_of_nothing_is_no_edge():
    verdict = judge(series(-0.2, 12, 0), series(0.5, 12, 1), YEAR, trials=10)
    assert verdict.label == "no edge" and "ruled out" in verdict.reasons[0]


def test_worse_than_hold_is_no_edge():
    hold = series(4.0, 6, 1)
    verdict = judge(hold + series(1.0, 6, 2) * 2, hold, YEAR, trials=10)
    assert verdict.label == "no edge" and "Hold was better" in " ".join(verdict.reasons)


def test_a_short_record_cannot_tell_and_says_how_long_it_would_take():
    own = series(0.0, 1.5, 2)
    own += own.std(ddof=1) * 1.5 / math.sqrt(YEAR) - own.mean()
    verdict = judge(own, series(0.0, 1.5, 1), YEAR, trials=10)
    assert verdict.label == "cannot tell" and "years of record" in verdict.reasons[-1]
    needed = verdict.numbers["min_track_record"]
    assert needed > 1.5
    # Reading the same bars again and again until the length that was asked for makes the deflated Sharpe sure.
    longer = np.tile(own, math.ceil(needed / 1.5) + 1)
    assert judge(longer, np.zeros_like(longer), YEAR, trials=10).numbers["deflated_sharpe"] >= 0.95


def test_a_short_losing_record_cannot_become_sure_by_waiting():
    own = series(0.0, 0.5, 2)
    own -= own.mean() + 1e-5
    verdict = judge(own, np.zeros_like(own), YEAR)
    assert verdict.label == "cannot tell" and "not positive" in verdict.reasons[-1]
    assert verdict.numbers["min_track_record"] == math.inf


def test_the_more_was_tried_the_less_a_record_proves():
    own, hold = series(2.2, 4, 5), np.zeros(int(4 * YEAR))
    labels = [judge(own, hold, YEAR, trials=n).label for n in (1, 10, 100, 100_000)]
    assert labels[0] == "edge" and labels[-1] == "cannot tell"
    assert labels == sorted(labels, key=["edge", "cannot tell"].index)
    assert judge(own, hold, YEAR, trials=1).numbers["trials_counted"] == 5


def test_following_hold_is_no_proof():
    hold = series(3.0, 6, 0)
    verdict = judge(hold * 0.5 + series(0.0, 6, 1) * 0.05, hold, YEAR, trials=5)
    assert verdict.label == "cannot tell" and "Not surely better than hold" in verdict.reasons[0]
    assert not any("years of record" in r for r in verdict.reasons), "its own Sharpe ratio is sure: length is not what it lacks"
    assert judge(hold, hold, YEAR).label == "no edge"


def test_never_trading_is_no_edge():
    verdict = judge(np.zeros(500), series(0.0, 500 / YEAR, 0), YEAR, trials=3)
    assert verdict.label == "no edge" and verdict.reasons == ("It never traded, so it earned nothing.",)


def test_one_lucky_trade_in_an_idle_record_is_no_edge():
    own = np.zeros(2000)
    own[1000] = 0.5
    assert judge(own, np.zeros(2000), YEAR).label != "edge"


def test_too_few_bars_cannot_tell():
    assert judge(series(9.0, 0.1, 0), np.zeros(36), YEAR).label == "cannot tell"


def test_autocorrelation_makes_bars_worth_less():
    smooth = np.convolve(series(2.0, 6, 0), np.ones(6) / 6, mode="same")
    x = judge(smooth, np.zeros_like(smooth), YEAR).numbers
    assert x["effective_bars"] < 0.4 * len(smooth)


def test_alternatives_bring_overfitting_and_the_search_into_the_verdict():
    years = 4
    own, hold = series(3.5, years, 0), series(0.0, years, 1)
    others = np.column_stack([series(0.0, years, 10 + k) for k in range(9)])
    verdict = judge(own, hold, YEAR, trials=10, alternatives=others, seed=1)
    assert verdict.label == "edge" and verdict.numbers["pbo"] < 0.1
    assert any("overfitting" in r for r in verdict.reasons)
    assert math.isnan(judge(own, hold, YEAR, trials=10, alternatives=others[:, :3]).numbers["pbo"])


def test_overfitting_alone_denies_an_edge():
    """Ten rows that each live in their own tenth of the record: choosing the best of one half chooses a dead one in the other."""
    n, own = 4000, series(3.5, 4000 / YEAR, 0)
    rows = np.zeros((n, 10))
    for k in range(10):
        rows[k * 400 : (k + 1) * 400, k] = series(40.0, 400 / YEAR, 20 + k)
    rows -= 0.0004
    own[:] = rows[:, 0] + 0.0002
    verdict = judge(own, np.zeros(n), YEAR, trials=11, alternatives=rows[:, 1:])
    assert verdict.numbers["pbo"] > 0.8 and verdict.label != "edge"


def test_same_seed_same_verdict():
    own, hold = series(1.0, 3, 0), series(0.0, 3, 1)
    assert judge(own, hold, YEAR, seed=4) == judge(own, hold, YEAR, seed=4)
    assert judge(own, hold, YEAR, seed=4).numbers != judge(own, hold, YEAR, seed=5).numbers


def test_bad_input_is_named():
    with pytest.raises(DataError, match=r"hold \(9,\)"):
        judge(np.zeros(10), np.zeros(9), YEAR)
    with pytest.raises(DataError, match="returns hold NaN or infinite values, first at bar 3"):
        judge([0.0, 0.1, 0.2, math.nan], np.zeros(4), YEAR)
    with pytest.raises(SettingsError, match="periods_per_year"):
        judge(series(1.0, 1, 0), np.zeros(365), 0.0)


@pytest.mark.slow
def test_noise_is_hardly_ever_called_an_edge_even_when_rows_are_judged_one_by_one():
    """200 families of ten noise rows, row k judged when k trials are counted: the order most favourable to a false find."""
    families = 0
    for family in range(200):
        rows = [series(0.0, 2, 1000 * family + k, tails=3.0) for k in range(11)]
        families += any(judge(rows[k], rows[10], YEAR, trials=k + 1, seed=family).label == "edge" for k in range(10))
    assert families <= 10


@pytest.mark.slow
def test_a_sharpe_ratio_of_four_over_three_years_is_found():
    found = sum(judge(series(4.0, 3, k), series(0.0, 3, 500 + k), YEAR, trials=10, seed=k).label == "edge" for k in range(60))
    assert found >= 48
