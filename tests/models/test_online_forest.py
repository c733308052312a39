"""The adaptive random forest beside River's, to the row where nothing is drawn, and what it does when the rule changes."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.models.online_forest import Change, ForestConfig, OnlineForest
from tradewind.stats.adwin import Adwin

NEVER = 1e-300
PLAIN: dict[str, Any] = {"trees": 1, "columns": 1.0, "resampling": 0.0}
"""One tree of all columns that learns each row once: nothing is drawn."""


def flipping(rows: int = 4000, columns: int = 4, noise: float = 0.05, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The class is whether the first two columns add up to something positive; in the second half it is the other way round."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((rows, columns))
    y = (X[:, 0] + X[:, 1] > 0) ^ (random.random(rows) < noise)
    y[rows // 2 :] ^= True
    return X, y.astype(np.int64)


def right(answers: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(answers.argmax(axis=1) == y)


def reachable(forest: OnlineForest) -> int:
    """Nodes that lie under a root."""
    trees, found = forest._trees, 0
    waiting = [int(root) for root in trees.roots.ravel() if root >= 0]
    while waiting:
        node = waiting.pop()
        found += 1
        if trees.links[node, 0] >= 0:
            waiting += [int(trees.links[node, 1]), int(trees.links[node, 2])]
    return found


# -- beside River -----------------------------------------------------------------------------------------------------------
def rows_of(stream: Any) -> tuple[np.ndarray, np.ndarray]:
    rows = list(stream)
    names = sorted(rows[0][0])
    return np.array([[float(row[name]) for name in names] for row, _ in rows]), np.array([int(answer) for _, answer in rows])


def test_one_hoeffding_tree_has_rivers_accuracy_on_phishing() -> None:
    datasets = pytest.importorskip("river.datasets", reason="river, the oracle, is not installed")
    X, y = rows_of(datasets.Phishing())
    tree = OnlineForest(9, 2, ForestConfig(**PLAIN, grace=200, delta=1e-7, depth=900, warning=NEVER, drift=NEVER))
    # River does not count the first row, which nobody can answer.
    assert right(tree.prequential(X, y), y)[1:].mean() == 0.8799039231385108


def test_without_draws_it_is_rivers_forest_to_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    river = pytest.importorskip("river.forest.adaptive_random_forest", reason="river, the oracle, is not installed")
    synth = pytest.importorskip("river.datasets.synth")
    monkeypatch.setattr(river, "poisson", lambda rate, rng: 1)
    rows = [*synth.SEA(variant=0, seed=1).take(1500), *((x, not y) for x, y in synth.SEA(variant=1, seed=3).take(1500))]
    peer = river.ARFClassifier(n_models=1, max_features=None, max_depth=10, seed=1)
    theirs, counts = [], [(0, 0)]
    for x, y in rows:
        theirs.append(peer.predict_proba_one(x).get(True, 0.0))
        peer.learn_one(x, y)
        counts.append((peer.n_warnings_detected(), peer.n_drifts_detected()))
    own = OnlineForest(3, 2, ForestConfig(**PLAIN))
    answers = np.nan_to_num(own.prequential(*rows_of(rows)))
    np.testing.assert_allclose(answers[:, 1], theirs, rtol=0, atol=1e-12)
    steps = np.diff(np.array(counts), axis=0)
    found = [(row, bool(drift)) for row in range(len(rows)) for drift in (0, 1) if steps[row, drift]]
    assert found == [(change.row, change.drift) for change in own.changes]
    assert any(drift for _, drift in found)


def test_with_draws_it_is_as_accurate_as_rivers() -> None:
    forest = pytest.importorskip("river.forest", reason="river, the oracle, is not installed")
    datasets = pytest.importorskip("river.datasets")
    rows = list(datasets.Phishing())
    peer = forest.ARFClassifier(max_depth=10, seed=0)
    hits = 0
    for x, y in rows:
        hits += peer.predict_one(x) == y
        peer.learn_one(x, y)
    X, y = rows_of(rows)
    own = [right(OnlineForest(9, 2, seed=seed).prequential(X, y), y)[1:].mean() for seed in range(8)]
    # Over seeds River's own accuracy here varies by .007; see bench/adaptation.py for intervals.
    assert abs(np.mean(own) - hits / (len(rows) - 1)) < 0.02


# -- its parts, by hand -------------------------------------------------------------------------------------------------------
def test_a_leaf_answers_by_naive_bayes() -> None:
    random = np.random.default_rng(1)
    y = random.integers(0, 2, 40)
    X = random.standard_normal((40, 2)) + 2.0 * y[:, None]
    tree = OnlineForest(2, 2, ForestConfig(**PLAIN, grace=1e9)).learn(X, y)
    asked = np.array([[0.3, 1.2], [2.5, 0.1]])
    densities = np.ones((2, 2))
    for code in (0, 1):
        part = X[y == code]
        mean, deviation = part.mean(axis=0), part.std(axis=0, ddof=1)
        each = np.exp(-0.5 * ((asked - mean) / deviation) ** 2) / (deviation * math.sqrt(math.tau))
        densities[:, code] = (y == code).mean() * each.prod(axis=1)
    np.testing.assert_allclose(tree.predict(asked), densities / densities.sum(axis=1, keepdims=True), rtol=1e-12)


def test_a_leaf_by_majority_answers_with_the_shares_of_the_classes() -> None:
    y = np.array([0, 2, 2, 1, 2, 0, 2, 2])
    tree = OnlineForest(3, 3, ForestConfig(**PLAIN, leaf="majority")).learn(np.random.default_rng(0).standard_normal((8, 3)), y)
    np.testing.assert_allclose(tree.predict(np.zeros((1, 3))), [[2 / 8, 1 / 8, 5 / 8]])


def test_it_splits_where_the_classes_part() -> None:
    X = np.random.default_rng(2).uniform(-1, 1, (600, 3))
    y = (X[:, 1] > 0.2).astype(np.int64)
    tree = OnlineForest(3, 2, ForestConfig(**PLAIN, warning=NEVER, drift=NEVER)).learn(X, y)
    trees, root = tree._trees, int(tree._trees.roots[0, 0])
    assert trees.links[root, 0] == 1 and abs(trees.facts[root, 0] - 0.2) < 0.1
    assert right(tree.predict(X), y).mean() > 0.9


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_trees_stop_growing_at_their_depth(depth: int) -> None:
    X = np.random.default_rng(3).uniform(-1, 1, (6000, 3))
    y = (np.sin(9 * X).sum(axis=1) > 0).astype(np.int64)
    forest = OnlineForest(3, 2, ForestConfig(trees=3, depth=depth, warning=NEVER, drift=NEVER)).learn(X, y)
    reached = forest._trees.links[forest._trees.links[:, 0] >= 0, 3].max() + 1
    assert reached == depth and forest.nodes <= 3 * (2 ** (depth + 1) - 1)


def test_a_tree_learns_a_row_six_times_on_average() -> None:
    y = np.random.default_rng(4).integers(0, 2, 5000)
    forest = OnlineForest(1, 2, ForestConfig(trees=4, grace=1e9, warning=NEVER, drift=NEVER)).learn(np.zeros((5000, 1)), y)
    counts = forest._trees.counts[forest._trees.roots[0]].sum(axis=1) / 5000
    # A Poisson mean of 6 over 5000 rows errs by .035.
    assert (np.abs(counts - 6.0) < 0.18).all() and len(set(counts)) == 4


def test_leaves_observe_different_columns() -> None:
    forest = OnlineForest(16, 2, ForestConfig(trees=40))
    chosen = forest._trees.chosen[forest._trees.roots[0]]
    assert chosen.shape == (40, 4) and all(len(set(row)) == 4 for row in chosen.tolist())
    assert set(chosen.ravel()) == set(range(16))


def test_its_detector_is_adwin_on_the_errors() -> None:
    X, y = flipping()
    tree = OnlineForest(4, 2, ForestConfig(**PLAIN, warning=NEVER))
    wrong = ~right(np.nan_to_num(tree.prequential(X, y)), y)
    # A tree that has seen nothing is wrong, whatever the class.
    began = [0, *(change.row + 1 for change in tree.changes)]
    wrong[began[:-1] if began[-1] == len(y) else began] = True
    detector, found = Adwin(delta=0.001), []
    for row, bit in enumerate(wrong):
        detector.update(float(bit))
        if detector.drift:
            found.append(row)
    assert found == [change.row for change in tree.changes] and len(found) >= 1


# -- drift --------------------------------------------------------------------------------------------------------------------
def test_it_recovers_when_the_rule_turns_round() -> None:
    X, y = flipping()
    deaf = ForestConfig(warning=NEVER, drift=NEVER)
    heard, unheard = (right(OnlineForest(4, 2, config).prequential(X, y), y) for config in (None, deaf))
    assert heard[1500:2000].mean() > 0.85 and unheard[1500:2000].mean() > 0.85
    assert heard[3500:].mean() > 0.85 and heard[2000:].mean() > unheard[2000:].mean() + 0.1


def test_changes_tell_which_tree_when_and_how_good_it_was() -> None:
    X, y = flipping()
    forest = OnlineForest(4, 2).learn(X, y)
    soon = [change for change in forest.changes if change.drift and 2000 <= change.row < 2100]
    assert len({change.tree for change in soon}) >= 8
    # A tree's record counts the rows since the rule turned too.
    assert all(0.6 < change.accuracy < 0.9 for change in soon)
    assert isinstance(forest.changes[0], Change) and [c.row for c in forest.changes] == sorted(c.row for c in forest.changes)
    assert (forest.accuracy > 0.8).all()


def test_a_warning_without_a_drift_leaves_the_tree_in_place() -> None:
    X, y = flipping()
    forest = OnlineForest(4, 2, ForestConfig(drift=NEVER)).learn(X, y)
    assert forest.changes and not any(change.drift for change in forest.changes)
    assert (forest._trees.record[:, 1] == len(y)).all() and (forest._trees.roots[1] >= 0).any()


def test_nodes_of_exchanged_trees_are_used_again() -> None:
    random = np.random.default_rng(5)
    forest = OnlineForest(3, 2, ForestConfig(trees=4))
    for part in range(8):
        X = random.standard_normal((600, 3))
        forest.learn(X, ((X[:, part % 3] > 0) ^ bool(part % 2)).astype(np.int64))
    assert sum(change.drift for change in forest.changes) > 8
    assert forest.nodes == reachable(forest)
    free = forest._trees.free[: forest._trees.heads[0]]
    assert len(set(free.tolist())) == len(free)


# -- the same however it is asked -----------------------------------------------------------------------------------------------
@given(cuts=st.lists(st.integers(0, 900), max_size=5))
@settings(max_examples=15, deadline=None)
def test_cutting_the_rows_changes_no_bit(cuts: list[int]) -> None:
    X, y = flipping(900)
    whole, parts = OnlineForest(4, 2, ForestConfig(trees=3), seed=7), OnlineForest(4, 2, ForestConfig(trees=3), seed=7)
    whole.learn(X, y)
    edges = [0, *sorted(cuts), 900]
    for begin, end in itertools.pairwise(edges):
        parts.learn(X[begin:end], y[begin:end])
    assert parts.predict(X).tobytes() == whole.predict(X).tobytes() and parts.changes == whole.changes


def test_prequential_is_predict_then_learn() -> None:
    X, y = flipping(300)
    one, other = OnlineForest(4, 2), OnlineForest(4, 2)
    answers = one.prequential(X, y)
    for row in range(300):
        assert other.predict(X[row : row + 1]).tobytes() == answers[row].tobytes()
        other.learn(X[row : row + 1], y[row : row + 1])
    assert one.state() == other.state()


def test_a_restored_forest_goes_on_to_the_bit(tmp_path: Path) -> None:
    X, y = flipping()
    whole = OnlineForest(4, 2, seed=3)
    whole.learn(X[:2200], y[:2200])
    save_state(tmp_path / "state", whole.state())
    reborn = OnlineForest(4, 2, seed=99).restore(load_state(tmp_path / "state"))
    assert reborn.state() == whole.state()
    for forest in (whole, reborn):
        forest.learn(X[2200:], y[2200:])
    assert reborn.state() == whole.state() and reborn.rows == 4000


def test_seeds_make_other_forests_of_the_same_rows() -> None:
    X, y = flipping(500)
    one, same, other = (OnlineForest(4, 2, seed=seed).learn(X, y).predict(X) for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes() != other.tobytes()


def test_a_row_of_weight_zero_teaches_nothing_and_one_of_two_twice() -> None:
    X, y = flipping(40)
    plain = ForestConfig(**PLAIN, grace=1e9)
    none = OnlineForest(4, 2, plain).learn(X, y, np.zeros(40))
    assert np.isnan(none.predict(X)).all()
    double = OnlineForest(4, 2, plain).learn(X, y, np.full(40, 2.0))
    assert double._trees.counts.sum() == 80.0


def test_inputs_beyond_all_bounds_spoil_no_answer() -> None:
    X, y = flipping(2000)
    X[300], X[301], X[700] = 1.7e308, -1.7e308, 1e200
    answers = OnlineForest(4, 2).prequential(X, y)[1:]
    assert np.isfinite(answers).all() and right(answers, y[1:])[800:1000].mean() > 0.7


def test_probabilities_sum_to_one_and_a_class_not_seen_has_none() -> None:
    X, y = flipping(500)
    answers = OnlineForest(4, 3).learn(X, y).predict(X)
    np.testing.assert_allclose(answers.sum(axis=1), 1.0, rtol=1e-12)
    assert (answers[:, 2] == 0.0).all()


# -- faults ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trees": 0}, "trees is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"columns": 1.5}, "columns is 1.5"),
        ({"resampling": -1.0}, "resampling is -1.0"),
        ({"grace": 0.0}, "grace is 0.0"),
        ({"delta": 1.0}, "delta is 1.0"),
        ({"drift": 0.0}, "drift is 0.0"),
        ({"leaf": "bayes"}, "leaf is 'bayes'"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ForestConfig(**change)


def test_rows_that_cannot_be_learned() -> None:
    forest = OnlineForest(2, 2)
    with pytest.raises(DataError, match=r"\(n, 2\) finite numbers"):
        forest.predict(np.zeros((3, 4)))
    with pytest.raises(DataError, match="finite"):
        forest.learn(np.array([[0.0, np.nan]]), np.array([0]))
    with pytest.raises(DataError, match="classes 0 to 1"):
        forest.learn(np.zeros((1, 2)), np.array([2]))
    with pytest.raises(DataError, match="each of 2 rows"):
        forest.learn(np.zeros((2, 2)), np.array([0]))
    with pytest.raises(DataError, match="weights"):
        forest.learn(np.zeros((2, 2)), np.array([0, 1]), np.array([1.0, -1.0]))
    assert forest.rows == 0 and np.isnan(forest.predict(np.zeros((1, 2)))).all() and np.isnan(forest.accuracy).all()


def test_a_state_of_another_forest_is_refused() -> None:
    state = OnlineForest(4, 2).state()
    for other in (OnlineForest(5, 2), OnlineForest(4, 3), OnlineForest(4, 2, ForestConfig(trees=9))):
        with pytest.raises(StateError, match="other columns, classes or trees"):
            other.restore(state)
    with pytest.raises(StateError, match="no adaptive forest"):
        OnlineForest(4, 2).restore(type(state)())
