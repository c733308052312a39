"""The trees as arrays answer as scikit-learn's do, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from tests.models.lessons import lesson, numbers

from tradewind.core.seeds import derive
from tradewind.models.forest import RandomForest
from tradewind.models.rows import training_rows


@pytest.mark.parametrize("classes", [(-1.0, 0.0, 1.0), (-1.0, 1.0), ()])
def test_equal_to_scikit_learn(classes: tuple[float, ...]) -> None:
    X, y = lesson(classes=classes)
    rows = training_rows(X, y)
    kind = RandomForestClassifier if classes else RandomForestRegressor
    model = kind(n_estimators=15, max_depth=5, min_samples_leaf=7, max_features=0.5, random_state=derive(3, "random-forest"))
    model.fit(rows.X, rows.y, sample_weight=rows.weights)
    expected = model.predict_proba(rows.X) if classes else model.predict(rows.X)[:, None]
    mine = RandomForest(trees=15, depth=5, leaf_rows=7, columns=0.5, seed=3).fit(X, y)
    given = numbers(mine.predict(X))[rows.time, rows.symbol]
    assert given.tobytes() == np.ascontiguousarray(expected).tobytes()
    other, _ = lesson(seed=9)
    expected = model.predict_proba(other.values[10:20, 0]) if classes else model.predict(other.values[10:20, 0])[:, None]
    kept = np.isfinite(other.values[10:20, 0]).all(axis=1)
    assert numbers(mine.predict(other[10:20]))[kept, 0].tobytes() == np.ascontiguousarray(expected[kept]).tobytes()


@pytest.mark.parametrize("classes", [(-1.0, 0.0, 1.0), (-1.0, 1.0), ()])
def test_contributions_add_up_to_the_answer(classes: tuple[float, ...]) -> None:
    X, y = lesson(classes=classes)
    model = RandomForest(trees=15, depth=6, leaf_rows=7).fit(X, y)
    given = numbers(model.predict(X))
    rows = np.argwhere(np.isfinite(given).all(axis=2))[::9]
    parts, answers = model.contributions(X, rows), given[rows[:, 0], rows[:, 1]]
    np.testing.assert_allclose(parts.base + parts.values.sum(axis=(1, 2)), parts.total, rtol=0, atol=1e-13)
    np.testing.assert_allclose(parts.total, answers[:, -1] - answers[:, 0] if classes else answers[:, 0], rtol=0, atol=1e-15)
    assert parts.unit == ("probability" if classes else "return") and parts.names == X.names
    assert np.abs(parts.values[:, 0]).mean(axis=0).argmax() == 0


def test_importance_is_that_of_scikit_learn() -> None:
    X, y = lesson(classes=())
    rows = training_rows(X, y)
    model = RandomForestRegressor(
        n_estimators=15, max_depth=5, min_samples_leaf=7, max_features=0.5, random_state=derive(3, "random-forest")
    )
    model.fit(rows.X, rows.y, sample_weight=rows.weights)
    mine = RandomForest(trees=15, depth=5, leaf_rows=7, columns=0.5, seed=3).fit(X, y)
    np.testing.assert_allclose(list(mine.importance().values()), model.feature_importances_, rtol=1e-12)
    again = RandomForest().restore(mine.state())
    assert again.importance() == mine.importance()


def test_one_class_or_one_value_has_nothing_to_explain() -> None:
    X, y = lesson()
    model = RandomForest(trees=3).fit(X, replace(y, values=np.where(np.isnan(y.values), np.nan, 1.0)))
    parts = model.contributions(X, np.argwhere(np.isfinite(X.values).all(axis=2))[:3])
    assert not parts.values.any() and not parts.total.any() and set(model.importance().values()) == {0.0}
