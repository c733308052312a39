"""The jump model against brute force over all paths, against k-means, and against the truth of the two-state market."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind as tw
from tradewind.regimes import detector
from tradewind.regimes import jump_kernels as kernels
from tradewind.regimes.jump import DOWNSIDE, KINDS, LOCAL, coordinate_descent


def cost_of(path, loss, penalty):
    return loss[np.arange(len(path)), path].sum() + penalty * np.count_nonzero(np.diff(path))


@given(seed=st.integers(0, 10**6), states=st.integers(2, 3), bars=st.integers(1, 12), penalty=st.sampled_from([0.0, 0.3, 1.0, 50.0]))
@settings(max_examples=20, deadline=None)
def test_the_dynamic_program_finds_the_cheapest_of_all_paths(seed, states, bars, penalty):
    bars = bars if states == 2 else min(bars, 8)
    loss = np.random.default_rng(seed).exponential(size=(bars, states))
    path, cost = kernels.dynamic_program(loss, penalty)
    least = min(cost_of(np.array(other), loss, penalty) for other in itertools.product(range(states), repeat=bars))
    assert cost == pytest.approx(least, rel=1e-12)
    assert cost_of(path, loss, penalty) == pytest.approx(least, rel=1e-12)


@given(seed=st.integers(0, 10**6), states=st.integers(2, 4))
@settings(max_examples=15, deadline=None)
def test_without_a_penalty_it_is_k_means(seed, states):
    cluster = pytest.importorskip("sklearn.cluster")
    random = np.random.default_rng(seed)
    scores = random.normal(size=(120, 2)) + 4.0 * random.integers(0, 2, (120, 1))
    begin = scores[random.choice(120, states, replace=False)]
    centroids, path, objective = coordinate_descent(scores, begin, 0.0)
    other = cluster.KMeans(states, init=begin, n_init=1, algorithm="lloyd", tol=0.0, max_iter=300).fit(scores)
    assert np.array_equal(path, other.labels_)
    assert np.allclose(centroids, other.cluster_centers_)
    assert objective == pytest.approx(other.inertia_ / 2, rel=1e-9)


@given(seed=st.integers(0, 10**6), penalty=st.sampled_from([0.0, 2.0, 20.0]))
@settings(max_examples=15, deadline=None)
def test_the_descent_ends_where_neither_path_nor_centroids_can_improve(seed, penalty):
    random = np.random.default_rng(seed)
    scores = random.normal(size=(90, 3)) + 2.0 * (np.arange(90) // 30 % 2)[:, None]
    begin = scores[random.choice(90, 2, replace=False)]
    centroids, path, objective = coordinate_descent(scores, begin, penalty)
    assert objective <= kernels.dynamic_program(kernels.losses(scores, begin), penalty)[1] + 1e-9
    assert objective == pytest.approx(cost_of(path, kernels.losses(scores, centroids), penalty), rel=1e-12)
    assert np.array_equal(kernels.dynamic_program(kernels.losses(scores, centroids), penalty)[0], path)
    for i in range(2):
        if (path == i).any():
            assert np.allclose(centroids[i], scores[path == i].mean(axis=0))


def test_a_state_that_loses_all_its_rows_keeps_its_centroid():
    scores = np.array([[0.0], [0.1], [0.2]])
    centroids, path, _ = coordinate_descent(scores, np.array([[0.0], [9.0]]), 1.0)
    assert np.array_equal(path, [0, 0, 0])
    assert np.allclose(centroids, [[0.1], [9.0]])


def test_half_squared_distances():
    assert np.array_equal(kernels.losses(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0], [1.0, 5.0]])), [[2.5, 4.5]])


def weighted(values, half_life):
    """Exponentially weighted mean by its definition: every bar's weight halves in `half_life` bars, the weights sum to one."""
    out = []
    for t in range(len(values)):
        weights = 0.5 ** ((t - np.arange(t + 1)) / half_life)
        out.append((weights * values[: t + 1]).sum() / weights.sum())
    return np.array(out)


def test_features_are_their_definitions():
    close = np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.02, 80)))
    returns = close[1:] / close[:-1] - 1.0
    life = 7
    mean, fall = weighted(returns, life), np.sqrt(weighted(np.minimum(returns, 0.0) ** 2, life))
    expected = {
        "return": returns,
        "change": np.abs(np.diff(returns, prepend=0.0)),
        "mean": mean,
        "deviation": np.sqrt(weighted(returns**2, life) - mean**2),
        "downside": fall,
        "sortino": np.divide(mean, fall, out=np.zeros(79), where=fall > 0),
    }
    rows = kernels.feature_rows(close, np.array(list(KINDS.values())), np.full(len(KINDS), 0.5 ** (1 / life)))
    for name, column in zip(KINDS, rows.T, strict=True):
        assert np.allclose(column, expected[name], rtol=1e-9, atol=1e-8), name


def test_the_online_state_is_where_the_cheapest_path_up_to_each_bar_ends():
    market = tw.synthetic.switching(bars=400, seed=2).market
    model = detector("jump", penalty=4.0).fit(market)
    learned, regimes = model.parameters(market.symbols[0]), model.filter(market)
    kinds = np.array([KINDS[name.partition("_")[0]] for name in LOCAL])
    decays = np.array([0.5 ** (1 / int(name.partition("_")[2] or 1)) for name in LOCAL])
    rows = kernels.feature_rows(market.close[:, 0], kinds, decays)[model.warmup - 1 :]
    loss = kernels.losses(np.clip((rows - learned["centre"]) / learned["scale"], -3, 3), learned["centroids"])
    for t in (1, 2, 50, 200, len(loss)):
        path, cost = kernels.dynamic_program(loss[:t], 4.0)
        bar = model.warmup + t - 1
        assert regimes.current[bar, 0] == path[-1]
        # The softmin: the log odds of the states are the difference of the cheapest paths that end in each.
        other = loss[:t].copy()
        other[-1, path[-1]] = 1e9
        odds = np.diff(np.log(regimes.probabilities[bar, 0]))[0]
        assert abs(odds) == pytest.approx(kernels.dynamic_program(other, 4.0)[1] - cost, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_authors_own_library_agrees_on_centroids_and_online_states(seed):
    reference = pytest.importorskip("jumpmodels.jump", reason="jumpmodels is the oracle of this test")
    market = tw.synthetic.switching(bars=1000, seed=seed).market
    close = market.close[:, 0]
    model = detector("jump", features=("deviation_5", "sortino_20")).fit(market)
    learned = model.parameters(market.symbols[0])
    decays = 0.5 ** (1 / np.array([5.0, 20.0]))
    rows = kernels.feature_rows(close, np.array([KINDS["deviation"], KINDS["sortino"]]), decays)[model.warmup - 1 :]
    scores = np.clip((rows - learned["centre"]) / learned["scale"], -kernels.CLIP, kernels.CLIP)
    returns = (close[1:] / close[:-1] - 1.0)[model.warmup - 1 :]
    other = reference.JumpModel(2, jump_penalty=10.0, random_state=0).fit(scores, returns, sort_by="vol")
    assert np.allclose(other.centers_, learned["centroids"], atol=1e-9)
    assert np.array_equal(np.asarray(other.predict_online(scores)), model.filter(market).current[model.warmup :, 0])


def test_a_high_price_leaves_fewer_jumps():
    market = tw.synthetic.switching(bars=2000, seed=3).market
    jumps = []
    for penalty in (0.0, 1.0, 10.0, 100.0):
        current = detector("jump", penalty=penalty).fit(market).filter(market).current[10:, 0]
        jumps.append(np.count_nonzero(np.diff(current)))
    assert sorted(jumps, reverse=True) == jumps
    assert jumps[0] > 10 * jumps[-1]


def test_answers_begin_after_the_longest_half_life():
    market = tw.synthetic.switching(bars=300, seed=4).market
    model = detector("jump", features=DOWNSIDE).fit(market)
    answered = ~np.isnan(model.filter(market).probabilities[:, 0, 0])
    assert model.warmup == 60
    assert not answered[:60].any() and answered[60:].all()


def test_calm_comes_first():
    market = tw.synthetic.switching(bars=3000, seed=7)
    model = detector("jump").fit(market.market)
    current = model.filter(market.market).current[10:, 0]
    truth = market.oracle.states[10:]
    assert model.names == ("calm", "turbulent")
    assert (current == truth).mean() > 0.9
