"""Shapley values by their definition, and as the package shap computes them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.models.tree_shap import shapley

Tree = dict[str, np.ndarray[Any, Any]]


def random_tree(random: np.random.Generator, columns: int, depth: int) -> Tree:
    """A tree whose splits repeat columns on a path as real ones do; covers add up, values are of the leaves."""
    nodes: list[list[float]] = []

    def grow(level: int, cover: float) -> int:
        me = len(nodes)
        nodes.append([me, me, 0, 0.0, random.normal(), cover])
        if level < depth and random.uniform() < 0.85:
            nodes[me][2:4] = [int(random.integers(columns)), random.normal()]
            part = random.uniform(0.05, 0.95)
            nodes[me][0] = grow(level + 1, cover * part)
            nodes[me][1] = grow(level + 1, cover * (1 - part))
        return me

    grow(0, 100.0)
    table = np.array(nodes)
    whole = {name: table[:, place].astype(np.int64) for place, name in enumerate(("left", "right", "column"))}
    return {"roots": np.zeros(1, dtype=np.int64), **whole, "threshold": table[:, 3], "value": table[:, 4], "cover": table[:, 5]}


def told(tree: Tree, row: np.ndarray[Any, Any], known: set[int], node: int = 0) -> float:
    """The tree's answer where only the columns `known` are told: both ways of other splits, by their share of the rows."""
    left, right, column = int(tree["left"][node]), int(tree["right"][node]), int(tree["column"][node])
    if left == node:
        return float(tree["value"][node])
    if column in known:
        return told(tree, row, known, left if row[column] <= tree["threshold"][node] else right)
    ways = [tree["cover"][side] * told(tree, row, known, side) for side in (left, right)]
    return float(sum(ways) / tree["cover"][node])


def by_definition(tree: Tree, row: np.ndarray[Any, Any]) -> list[float]:
    n = len(row)
    added = [0.0] * n
    for column in range(n):
        others = [other for other in range(n) if other != column]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - 1 - size) / math.factorial(n)
            for group in itertools.combinations(others, size):
                added[column] += weight * (told(tree, row, {*group, column}) - told(tree, row, set(group)))
    return added


def asked(tree: Tree, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return shapley(rows.astype(np.float32), tree, tree["threshold"], tree["value"], tree["cover"])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), columns=st.integers(1, 5), depth=st.integers(0, 7))
def test_equal_to_the_definition(seed: int, columns: int, depth: int) -> None:
    random = np.random.default_rng(seed)
    tree, rows = random_tree(random, columns, depth), random.standard_normal((3, columns)).astype(np.float32)
    np.testing.assert_allclose(asked(tree, rows), [by_definition(tree, row) for row in rows], rtol=0, atol=1e-10)


def test_one_split_by_hand() -> None:
    # A quarter of the rows go left and are answered 8, the others 0: the mean is 2.
    tree: Tree = {
        "roots": np.array([0]),
        "left": np.array([1, 1, 2]),
        "right": np.array([2, 1, 2]),
        "column": np.array([1, 0, 0]),
        "threshold": np.array([0.5, 0.0, 0.0]),
        "value": np.array([2.0, 8.0, 0.0]),
        "cover": np.array([4.0, 1.0, 3.0]),
    }
    np.testing.assert_allclose(asked(tree, np.array([[9.0, 0.5], [9.0, 0.6]])), [[0.0, 6.0], [0.0, -2.0]])


@pytest.mark.parametrize("regression", [False, True])
def test_equal_to_the_package(regression: bool) -> None:
    shap = pytest.importorskip("shap", reason="the package shap is not installed")
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    random = np.random.default_rng(1)
    X = random.standard_normal((400, 5)).astype(np.float32)
    y = X[:, 0] * X[:, 1] + X[:, 2]
    grower = RandomForestRegressor if regression else RandomForestClassifier
    model = grower(n_estimators=12, max_depth=7, random_state=0).fit(X, y if regression else y > 0)
    expected = shap.TreeExplainer(model).shap_values(X[:20], check_additivity=False)
    from tradewind.models.forest import _packed

    trees = _packed([estimator.tree_ for estimator in model.estimators_])
    given_ = shapley(X[:20], trees, trees["threshold"], np.ascontiguousarray(trees["value"][:, -1]), trees["cover"])
    np.testing.assert_allclose(given_, expected if regression else expected[:, :, 1], rtol=0, atol=1e-9)
