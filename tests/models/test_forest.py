"""The trees as arrays answer as scikit-learn's do, to the bit."""

from __future__ import annotations

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
