"""The hidden Markov model against brute force over all paths, against hmmlearn, and against the truth of the two-state market."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind as tw
from tradewind.data.synthetic import REGIME_MEAN, REGIME_STAY, REGIME_VOLATILITY
from tradewind.regimes import detector, hmm, hmm_kernels
from tradewind.regimes.hmm import Gaussian, stationary

TRUE = ((REGIME_STAY[0], 1 - REGIME_STAY[0]), (1 - REGIME_STAY[1], REGIME_STAY[1]))


def random_model(seed, states, inputs=1):
    random = np.random.default_rng(seed)
    moves = random.dirichlet(np.ones(states), states)
    return Gaussian(
        random.normal(size=(states, inputs)), random.uniform(0.2, 3, (states, inputs)), moves, random.dirichlet(np.ones(states))
    )


def told(**changes):
    return detector("hmm", **{"means": REGIME_MEAN, "deviations": REGIME_VOLATILITY, "transition": TRUE, **changes})


def by_paths(model, x):
    """Likelihood of all rows, and the law of the state after the last, as sums over every path of states."""
    density = np.exp(-0.5 * ((x[:, None] - model.means) / model.deviations) ** 2) / (model.deviations * np.sqrt(2 * np.pi))
    density = density.prod(axis=2)
    ends = np.zeros(len(model.start))
    for path in itertools.product(range(len(model.start)), repeat=len(x)):
        chance = model.start[path[0]] * density[0, path[0]]
        for t in range(1, len(x)):
            chance *= model.transition[path[t - 1], path[t]] * density[t, path[t]]
        ends[path[-1]] += chance
    return np.log(ends.sum()), ends / ends.sum()


@given(seed=st.integers(0, 10**6), states=st.integers(2, 3), inputs=st.integers(1, 2), bars=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_likelihood_and_filter_are_sums_over_all_paths(seed, states, inputs, bars):
    model, x = random_model(seed, states, inputs), np.random.default_rng(seed + 1).normal(size=(bars, inputs))
    filtered, likelihood = model.filtered(x)
    expected, law = by_paths(model, x)
    assert likelihood == pytest.approx(expected, rel=1e-10, abs=1e-10)
    assert np.allclose(filtered[-1], law, rtol=1e-9, atol=1e-12)


def oracle_model(model):
    hmmlearn = pytest.importorskip("hmmlearn.hmm", reason="hmmlearn is the oracle of this test")
    other = hmmlearn.GaussianHMM(
        len(model.start), "diag", n_iter=1, init_params="", params="stmc", covars_prior=0.0, covars_weight=1.0, min_covar=0.0
    )
    other.startprob_, other.transmat_, other.means_, other.covars_ = model.start, model.transition, model.means, model.deviations**2
    return other


@pytest.mark.parametrize("seed", range(3))
def test_hmmlearn_agrees_on_likelihood_and_on_a_sweep(seed):
    model, x = random_model(seed, 2 + seed % 2, 2), np.random.default_rng(seed).normal(size=(400, 2))
    other = oracle_model(model)
    assert model.filtered(x)[1] == pytest.approx(other.score(x), rel=1e-10)
    better, before = model.improved(x)
    other.fit(x)
    assert before == pytest.approx(other.monitor_.history[0], rel=1e-10)
    assert np.allclose(better.start, other.startprob_, atol=1e-9)
    assert np.allclose(better.transition, other.transmat_, atol=1e-9)
    assert np.allclose(better.means, other.means_, atol=1e-9)
    assert np.allclose(better.deviations**2, other.covars_.diagonal(axis1=1, axis2=2), atol=1e-9)


@given(seed=st.integers(0, 10**6), states=st.integers(2, 4), least=st.sampled_from([0.0, 0.5]))
@settings(max_examples=20, deadline=None)
def test_no_sweep_lowers_the_likelihood(seed, states, least):
    random = np.random.default_rng(seed)
    x = random.standard_t(3, (80, 1)) * random.choice([0.3, 2.0], (80, 1))
    model = random_model(seed, states)
    model = Gaussian(model.means, np.maximum(model.deviations, least), model.transition, model.start)
    likelihoods = []
    for _ in range(15):
        model, likelihood = model.improved(x, least)
        likelihoods.append(likelihood)
    assert (np.diff(likelihoods) >= -1e-8 * np.abs(likelihoods[:-1])).all()
    assert (model.deviations >= least).all()


def test_a_state_that_nothing_can_come_from_is_no_trouble():
    """Impossible moves and densities beyond any float: probabilities stay a law, the likelihood is very low or minus infinity."""
    model = Gaussian(np.array([[0.0], [5.0]]), np.array([[1e-3], [1.0]]), np.eye(2), np.array([1.0, 0.0]))
    filtered, likelihood = model.filtered(np.array([[0.0], [5.0], [0.0]]))
    assert np.array_equal(filtered, [[1, 0], [1, 0], [1, 0]])
    assert -1e8 < likelihood < -1e7
    filtered, likelihood = model.filtered(np.array([[1e200]]))
    assert np.array_equal(filtered, [[1, 0]])
    assert likelihood == -np.inf


def test_golden_stationary_laws():
    assert np.allclose(stationary([[0.9, 0.1], [0.2, 0.8]]), [2 / 3, 1 / 3])
    assert np.allclose(stationary(np.eye(3)), 1 / 3)
    assert np.allclose(stationary([[0.5, 0.5, 0], [0.25, 0.5, 0.25], [0, 0.5, 0.5]]), [0.25, 0.5, 0.25])
    assert np.allclose(stationary([[1.0, 0.0], [0.5, 0.5]]), [1, 0])


def test_the_told_filter_is_the_one_that_the_market_s_oracle_trades_by():
    """An independent filter in logs stands behind the oracle's targets: long while it expects the next bar to rise."""
    made = tw.synthetic.switching(bars=3000, seed=8)
    ahead = told().filter(made.market).probabilities[:, 0] @ np.array(TRUE)
    expects = np.sign(ahead @ np.array(REGIME_MEAN))
    direction = made.oracle.targets[:, 0].copy()
    for t in range(1, len(direction)):
        direction[t] = direction[t - 1] if np.isnan(direction[t]) else direction[t]
    # The market's first return belongs to its second bar for a filter of closes; what is believed of it is soon forgotten.
    assert np.array_equal(expects[50:], direction[50:])


def test_a_long_path_gives_the_parameters_back():
    market = tw.synthetic.switching(bars=12_000, seed=4).market
    found = detector("hmm").fit(market).parameters(market.symbols[0])
    assert np.allclose(found["deviations"][:, 0], REGIME_VOLATILITY, rtol=0.05)
    assert np.allclose(found["means"][:, 0], REGIME_MEAN, atol=0.0008)
    assert np.allclose(found["transition"].diagonal(), REGIME_STAY, atol=0.004)
    assert np.allclose(found["start"] @ found["transition"], found["start"])


def test_states_come_in_the_order_of_their_volatility_however_they_are_given():
    turned = told(means=REGIME_MEAN[::-1], deviations=REGIME_VOLATILITY[::-1], transition=(TRUE[1][::-1], TRUE[0][::-1]))
    market = tw.synthetic.switching(bars=300, seed=1).market
    assert turned.names == ("calm", "turbulent")
    # Both solve for the stationary law by themselves, which rounds otherwise.
    assert np.allclose(turned.filter(market).probabilities, told().filter(market).probabilities, rtol=0, atol=1e-12, equal_nan=True)
    assert detector("hmm", states=3).names == ("calm", "normal", "turbulent")
    assert detector("hmm", states=4).names == ("state_0", "state_1", "state_2", "state_3")


def test_given_parameters_rule_every_symbol_and_survive_a_fit_and_a_state():
    market = tw.synthetic.switching(bars=300, seed=2, symbols=2).market
    expected = told().filter(market).probabilities
    assert np.array_equal(told().fit(market).filter(market).probabilities, expected, equal_nan=True)
    assert np.array_equal(detector("hmm").restore(told().state()).filter(market).probabilities, expected, equal_nan=True)
    assert told().states == 2 and told().settings()["deviations"] == [[v] for v in REGIME_VOLATILITY]


def test_log_likelihood_of_a_market_is_that_of_its_returns():
    market = tw.synthetic.switching(bars=200, seed=3, symbols=2).market
    found = told().log_likelihood(market)
    for s in range(2):
        returns = market.close[1:, s] / market.close[:-1, s] - 1.0
        model = Gaussian(*(np.array(v)[:, None] for v in (REGIME_MEAN, REGIME_VOLATILITY)), np.array(TRUE), stationary(TRUE))
        assert found[s] == pytest.approx(model.filtered(returns[:, None])[1], rel=1e-12)
    assert np.isnan(told().log_likelihood(market[:1])).all()


def test_inputs_are_returns_and_log_ranges():
    close, high, low = np.array([100.0, 102.0, 51.0]), np.array([101.0, 104.0, 51.0]), np.array([99.0, 100.0, 51.0])
    x = hmm_kernels.inputs(close, high, low, np.array([hmm_kernels.RETURN, hmm_kernels.RANGE]))
    # The last bar never moves: its log range is that of a hundredth of a basis point.
    assert np.allclose(x, [[0.02, np.log(np.log(1.04))], [-0.5, np.log(1e-6)]])


def test_the_range_of_bars_sharpens_the_answer():
    """Highs and lows of the market are those of a Brownian bridge, so that a bar's range tells its volatility better than its return."""
    made = tw.synthetic.switching(bars=3000, seed=6)
    right = {}
    for inputs in (("return",), ("return", "range")):
        model = detector("hmm", inputs=inputs, starts=3).fit(made.market[:1500])
        right[inputs] = (model.filter(made.market).current[1500:, 0] == made.oracle.states[1500:]).mean()
    assert right[("return", "range")] > right[("return",)] > 0.9


def test_em_finds_no_worse_than_the_truth_would_lead_it_to():
    market = tw.synthetic.switching(bars=1000, seed=12).market
    close = market.close[:, 0]
    x = (close[1:] / close[:-1] - 1.0)[:, None]
    centre, scale = x.mean(), x.std()
    scores = (x - centre) / scale
    guide = Gaussian(
        *((np.array(v)[:, None] - c) / scale for v, c in ((REGIME_MEAN, centre), (REGIME_VOLATILITY, 0.0))),
        np.array(TRUE),
        stationary(TRUE),
    )
    for _ in range(300):
        guide, _ = guide.improved(scores, 0.01)
    found = hmm.expectation_maximisation(scores, 2, starts=10, sweeps=300, tolerance=1e-6, seed=0)
    assert found.filtered(scores)[1] > guide.filtered(scores)[1] - 0.2


def test_the_causal_ceiling():
    """Sixty paths of 1,000 bars: a fit in the literature's way is within .03 of the filter that knows the truth, and not above it."""
    gaps = []
    for seed in range(1, 90):
        made = tw.synthetic.switching(bars=1000, seed=seed)
        truth = made.oracle.states[1:]
        if min((truth == 0).sum(), (truth == 1).sum()) < 20:
            continue
        best, own = (
            np.mean([(model.filter(made.market).current[1:, 0] == truth)[truth == state].mean() for state in (0, 1)])
            for model in (told(), detector("hmm").fit(made.market))
        )
        gaps.append(best - own)
    error = np.std(gaps) / len(gaps) ** 0.5
    assert len(gaps) > 50
    assert -2 * error < np.mean(gaps) < 0.03
