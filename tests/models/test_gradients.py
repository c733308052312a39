from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradewind.core.errors import DataError
from tradewind.models.registry import forecaster

from .lessons import labels, lesson

TINY: dict[str, dict[str, Any]] = {
    "mlp": {"preset": "quick", "epochs": 2},
    "lstm": {"preset": "quick", "window": 5, "epochs": 1},
    "transformer": {"preset": "quick", "window": 5, "epochs": 1},
    "price-action-transformer": {"window": 4, "width": 16, "layers": 1, "feedforward": 32, "epochs": 6, "learning_rate": 0.005},
}


@pytest.mark.parametrize("classes", [(), (-1.0, 1.0), (-1.0, 0.0, 1.0)])
@pytest.mark.parametrize("name", TINY)
def test_contributions_add_up_to_the_forecast(name: str, classes: tuple[float, ...]) -> None:
    X, y = lesson(160, classes=classes)
    model = forecaster(name, **TINY[name]).fit(X, y)
    said = model.predict(X)
    answered = np.argwhere(np.isfinite(said.score()))[[3, -1]]
    parts = model.contributions(X, answered)  # type: ignore[attr-defined]
    assert parts.values.shape == parts.inputs.shape == (2, model.sizes.window, 4) and parts.names == X.names  # type: ignore[attr-defined]
    at = tuple(answered.T)
    truth = said.mean[at] if said.probabilities is None else np.log(said.probabilities[at][:, -1] / said.probabilities[at][:, 0])  # type: ignore[index]
    size = max(1e-12, float(np.abs(truth).max()))
    assert parts.total == pytest.approx(truth, abs=1e-4 * size)
    assert parts.base + parts.values.sum(axis=(1, 2)) == pytest.approx(parts.total, abs=5e-3 * size)
    assert parts.unit == ("log-odds" if classes else "return") and parts.method == "integrated gradients"
    assert parts.inputs[:, -1] == pytest.approx(X.values[at], abs=1e-5)


def test_the_column_that_tells_the_answer_counts_most() -> None:
    X, y = lesson(400, classes=())
    model = forecaster("mlp", preset="quick", epochs=20).fit(X, y)
    rows = np.argwhere(np.isfinite(model.predict(X).score()))[::20]
    size = np.abs(model.contributions(X, rows).values).sum(axis=(0, 1))  # type: ignore[attr-defined]
    assert size.argmax() == 0 and size[0] > 3 * size[1:].max()


def test_quantiles_are_explained_by_their_mean() -> None:
    X, y = lesson(200, classes=())
    model = forecaster("mlp", preset="quick", epochs=2, quantiles=(0.1, 0.5, 0.9)).fit(X, y)
    rows = np.argwhere(np.isfinite(model.predict(X).score()))[:3]
    parts = model.contributions(X, rows)  # type: ignore[attr-defined]
    assert parts.total == pytest.approx(model.predict(X).score()[tuple(rows.T)], rel=1e-4)


def test_rows_without_a_window_and_nets_that_are_not_there() -> None:
    X, y = lesson(160, classes=(-1.0, 1.0))
    model = forecaster("lstm", **TINY["lstm"]).fit(X, y)
    with pytest.raises(DataError, match="row 0 of S1 has no whole window of 5 rows"):
        model.contributions(X, np.array([[0, 1]]))  # type: ignore[attr-defined]
    settled = forecaster("lstm", **TINY["lstm"]).fit(X, labels(np.ones((160, 2)), (-1.0, 1.0)))
    with pytest.raises(DataError, match="class 1 alone"):
        settled.contributions(X, np.array([[100, 0]]))  # type: ignore[attr-defined]
