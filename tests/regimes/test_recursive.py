"""What the hidden Markov model, the jump model and the change-point detector share: causal, the same bar by bar, data as state."""

from __future__ import annotations

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State
from tradewind.regimes import detector

DETECTORS = {
    "hmm": {"starts": 2, "sweeps": 20, "inputs": ["return", "range"]},
    "jump": {"starts": 2, "states": 3, "features": ["mean_3", "sortino_8"]},
    "bocpd": {"runs": 12, "recent": 3},
}
by_name = pytest.mark.parametrize("name", DETECTORS)


def made(name):
    return detector(name, **DETECTORS[name])


@pytest.fixture(scope="module")
def market():
    return tw.synthetic.gappy(bars=500, symbols=3, seed=5, missing=0.1, outages=2).market


@pytest.fixture(scope="module")
def fitted(market):
    return {name: made(name).fit(market[:300]) for name in DETECTORS}


def same(a, b):
    return np.array_equal(a, b, equal_nan=True)


@by_name
def test_probabilities_are_there_for_every_bar_after_the_warm_up_and_nowhere_else(name, market, fitted):
    found = fitted[name].filter(market).probabilities
    assert found.shape == (len(market), 3, len(fitted[name].names))
    for s in range(3):
        there = np.flatnonzero(~np.isnan(market.close[:, s]))
        answered = ~np.isnan(found[:, s]).any(axis=1)
        assert np.array_equal(np.flatnonzero(answered), there[fitted[name].warmup :])
        assert np.allclose(found[answered, s].sum(axis=1), 1.0, rtol=0, atol=1e-12)
        assert (found[answered, s] >= 0).all()


@by_name
def test_a_watch_answers_as_the_batch_does_to_the_bit(name, market, fitted):
    watch = fitted[name].watch(market.symbols)
    rows = [watch.update(market[t : t + 1]) for t in range(len(market))]
    assert same(np.array(rows), fitted[name].filter(market).probabilities)


@by_name
def test_no_later_bar_changes_an_answer(name, market, fitted):
    assert same(fitted[name].filter(market[:410]).probabilities, fitted[name].filter(market).probabilities[:410])


@by_name
def test_a_missing_bar_leaves_the_memory_alone(name, market, fitted):
    """A symbol is answered as if the bars that it lacks had never been."""
    symbol = market.symbols[1]
    alone = market.select([symbol])
    assert len(alone) < len(market)
    there = ~np.isnan(market.close[:, 1])
    assert same(fitted[name].filter(alone).probabilities[:, 0], fitted[name].filter(market).probabilities[there, 1])


@by_name
def test_parameters_are_a_symbol_s_own(name, market, fitted):
    symbol = market.symbols[2]
    alone = made(name).fit(market[:300].select([symbol])).parameters(symbol)
    together = fitted[name].parameters(symbol)
    assert alone.keys() == together.keys()
    assert all(same(alone[key], together[key]) for key in alone)


@by_name
def test_a_saved_filter_and_a_saved_watch_go_on_to_the_bit(name, market, fitted, tmp_path):
    save_state(tmp_path / "filter", fitted[name].state())
    other = detector(name).restore(load_state(tmp_path / "filter"))
    assert other.state() == fitted[name].state()
    assert same(other.filter(market).probabilities, fitted[name].filter(market).probabilities)
    watch = fitted[name].watch(market.symbols)
    for t in range(200):
        watch.update(market[t : t + 1])
    save_state(tmp_path / "watch", watch.state())
    again = other.watch(market.symbols).restore(load_state(tmp_path / "watch"))
    for t in range(200, 260):
        assert same(again.update(market[t : t + 1]), watch.update(market[t : t + 1]))


@by_name
def test_the_same_seed_learns_the_same_and_no_state_is_shared(name, market, fitted):
    assert made(name).fit(market[:300]).state() == fitted[name].state()
    before = fitted[name].state()
    for array in fitted[name].state().arrays.values():
        array[:] = 7.0
    assert fitted[name].state() == before


@by_name
def test_one_that_has_learned_nothing_says_so(name, market):
    for ask in (lambda: made(name).filter(market), lambda: made(name).watch(market.symbols), lambda: made(name).parameters("x")):
        with pytest.raises(NotFitted, match="call fit"):
            ask()
    empty = made(name).restore(made(name).state())
    with pytest.raises(NotFitted):
        empty.filter(market)


@by_name
def test_symbols_that_were_not_learned(name, market, fitted):
    with pytest.raises(DataError, match="OTHER was not in the training part"):
        fitted[name].watch((*market.symbols, "OTHER"))
    with pytest.raises(DataError, match="no symbol has bars enough"):
        made(name).fit(market[:5])


@pytest.mark.parametrize("listed", [280, 299, 300])
@by_name
def test_a_symbol_with_too_few_bars_is_never_answered_and_harms_no_other(name, market, fitted, listed):
    closed = {field: getattr(market, field).copy() for field in ("open", "high", "low", "close", "volume")}
    for array in closed.values():
        array[:listed, 0] = np.nan
    late = tw.Market(market.symbols, market.timeframe, market.open_time, market.known, **closed)[:300]
    model = made(name).fit(late)
    found = model.filter(market).probabilities
    assert np.isnan(found[:, 0]).all()
    assert same(found[:, 1:], fitted[name].filter(market).probabilities[:, 1:])
    assert same(made(name).restore(model.state()).filter(market).probabilities, found)


@by_name
def test_a_market_that_never_moves_is_answered(name):
    flat = tw.synthetic.flat(bars=200).market
    found = made(name).fit(flat).filter(flat).probabilities[made(name).warmup :]
    assert np.isfinite(found).all()
    assert np.allclose(found.sum(axis=2), 1.0)


@by_name
def test_a_crash_to_a_thousandth_leaves_finite_answers(name, market, fitted):
    quiet = market.select([market.symbols[0]])
    scale = np.where(np.arange(len(quiet)) < 400, 1.0, 1e-3)[:, None]
    broken = {field: getattr(quiet, field) * scale for field in ("open", "high", "low", "close")}
    crash = tw.Market(quiet.symbols, quiet.timeframe, quiet.open_time, quiet.known, volume=quiet.volume, **broken)
    found = fitted[name].filter(crash).probabilities[fitted[name].warmup :]
    assert np.isfinite(found).all()


@by_name
def test_states_and_bars_of_others_are_refused(name, market, fitted):
    with pytest.raises(StateError, match="this state is of 'rules'"):
        made(name).restore(State({"filter": "rules", "settings": {}}))
    watch = fitted[name].watch(market.symbols)
    with pytest.raises(DataError, match="one bar of them at a time"):
        watch.update(market[:2])
    with pytest.raises(DataError, match="one bar of them at a time"):
        watch.update(market.select(market.symbols[:2])[:1])
    with pytest.raises(StateError, match="no state of a watch"):
        watch.restore(fitted[name].watch(market.symbols[:2]).state())
    with pytest.raises(StateError, match="numbers a symbol"):
        watch.restore(State(watch.state().values, {"memory": np.zeros((3, 1))}))


@by_name
def test_unknown_settings_say_what_was_meant(name):
    word = {"hmm": "state", "jump": "penalti", "bocpd": "hazzard"}[name]
    with pytest.raises(SettingsError, match="did you mean"):
        detector(name, **{word: 1})


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("hmm", {"states": 1}, "states is 1"),
        ("hmm", {"tolerance": 0}, "tolerance is 0"),
        ("hmm", {"inputs": ()}, "inputs are"),
        ("hmm", {"inputs": ("return", "return")}, "each once"),
        ("hmm", {"inputs": ("returns",)}, "did you mean 'return'"),
        ("hmm", {"means": (0, 0)}, "given together"),
        ("hmm", {"means": (0, 0), "deviations": (1, 2), "transition": ((0.9, 0.2), (0.1, 0.9))}, "sum to one"),
        ("hmm", {"means": (0, 0), "deviations": (1, 0), "transition": ((0.9, 0.1), (0.1, 0.9))}, "all of them positive"),
        ("hmm", {"means": (0, np.nan), "deviations": (1, 2), "transition": ((0.9, 0.1), (0.1, 0.9))}, "all of them finite"),
        ("hmm", {"means": (0, 0, 0), "deviations": (1, 2), "transition": ((0.9, 0.1), (0.1, 0.9))}, "are .state, input."),
        ("hmm", {"means": (0, 0), "deviations": (1, 2), "transition": ((0.9, 0.1),)}, "are .state, input."),
        ("jump", {"penalty": -1}, "penalty is -1"),
        ("jump", {"features": ()}, "features are empty"),
        ("jump", {"features": ("sortno_20",)}, "did you mean 'sortino'"),
        ("jump", {"features": ("mean",)}, "lacks its half-life"),
        ("jump", {"features": ("mean_0",)}, "lacks its half-life"),
        ("jump", {"features": ("change_5",)}, "has no half-life"),
        ("bocpd", {"hazard": 1.0}, "hazard is 1.0"),
        ("bocpd", {"runs": 0}, "runs is 0"),
        ("bocpd", {"shape": 1.0}, "shape is 1.0"),
    ],
)
def test_settings_that_cannot_be(name, settings, message):
    with pytest.raises(SettingsError, match=message):
        detector(name, **settings)
