from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradewind.core.errors import DataError
from tradewind.models.registry import forecaster

from .lessons import lesson

MEMBERS = ("logistic", "random-forest", "base-rate")
SMALL: dict[str, Any] = {"member_settings": {"random-forest": {"trees": 10}}}


def _truth(model: Any, X: Any, rows: np.ndarray[Any, Any], unit: str) -> np.ndarray[Any, Any]:
    said, at = model.predict(X), tuple(rows.T)
    if said.probabilities is None:
        return np.asarray(said.mean[at])
    high, low = said.probabilities[at][:, -1], said.probabilities[at][:, 0]
    return np.asarray(high - low if unit == "probability" else np.log(high / low))


@pytest.mark.parametrize("classes", [(-1.0, 1.0), (-1.0, 0.0, 1.0)])
@pytest.mark.parametrize("name", ["stacking", "voting"])
def test_members_add_up_to_the_answer(name: str, classes: tuple[float, ...]) -> None:
    X, y = lesson(300, classes=classes)
    model: Any = forecaster(name, members=MEMBERS, **SMALL).fit(X, y)
    rows = np.argwhere(np.isfinite(model.predict(X).score()))[::10]
    parts = model.contributions(X, rows)
    assert parts.total == pytest.approx(_truth(model, X, rows, parts.unit), abs=1e-9)
    assert parts.base + parts.values.sum(axis=(1, 2)) == pytest.approx(parts.total, abs=1e-9)
    assert parts.values.shape == (len(rows), 1, len(parts.names)) and all(any(each.startswith(m) for m in MEMBERS) for each in parts.names)
    size = np.abs(parts.values).sum(axis=(0, 1))
    assert size[[k for k, each in enumerate(parts.names) if each.startswith("base-rate")]].sum() < 0.1 * size.sum()


@pytest.mark.parametrize("name", ["stacking", "voting"])
def test_returns_are_taken_apart_too(name: str) -> None:
    X, y = lesson(300, classes=())
    model: Any = forecaster(name, members=("ridge", "base-rate")).fit(X, y)
    rows = np.argwhere(np.isfinite(model.predict(X).score()))[:5]
    parts = model.contributions(X, rows)
    assert parts.unit == "return" and parts.total == pytest.approx(_truth(model, X, rows, "return"), abs=1e-12)
    assert parts.base + parts.values.sum(axis=(1, 2)) == pytest.approx(parts.total, abs=1e-12)


def test_who_is_not_heard_adds_nothing_and_an_abstention_has_no_parts() -> None:
    X, y = lesson(300, classes=(-1.0, 1.0))
    model: Any = forecaster("voting", members=MEMBERS, rule="unanimous", **SMALL).fit(X, y)
    rows = np.argwhere(np.isfinite(model.predict(X).score()))
    parts, said = model.contributions(X, rows), model.predict(X).probabilities[tuple(rows.T)]
    silent = (said == 0.5).all(axis=1)
    assert 0 < silent.sum() < len(rows)
    assert np.all(parts.values[silent] == 0.0) and np.all(parts.base == 0.0) and np.all(np.abs(parts.values[~silent]).sum(axis=2) > 0.0)


@pytest.mark.parametrize("name", ["stacking", "voting"])
def test_rows_that_a_member_does_not_answer_are_refused(name: str) -> None:
    X, y = lesson(300, classes=(-1.0, 1.0))
    model: Any = forecaster(name, members=MEMBERS, **SMALL).fit(X, y)
    with pytest.raises(DataError, match="row 0 of S1"):
        model.contributions(X, np.array([[0, 1]]))


def test_a_stack_without_a_head_says_so() -> None:
    X, y = lesson(300, classes=(-1.0, 1.0))
    model: Any = forecaster("stacking", members=MEMBERS, folds=1, embargo=10_000, **SMALL).fit(X, y)
    with pytest.raises(DataError, match="plain mean"):
        model.contributions(X, np.array([[50, 0]]))
