"""The abstract class: what a model of one's own gets for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.lessons import lesson

from tradewind.core.errors import StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.protocols import Forecaster as Contract
from tradewind.core.types import Features, Forecast, Labels
from tradewind.models.base import Forecaster


class Average(Forecaster):
    def __init__(self) -> None:
        self.means, self.codes, self.note, self.table = np.zeros(0), (0.0,), None, {"a": [1, 2.5, "b"]}

    def fit(self, X: Features, y: Labels) -> Average:
        self.means, self.codes = np.nanmean(y.values, axis=0), y.classes
        return self

    def predict(self, X: Features) -> Forecast:
        return Forecast(mean=np.tile(self.means, (len(X), 1)))


def test_plain_attributes_are_saved_and_restored(tmp_path: Path) -> None:
    X, y = lesson()
    model = Average().fit(X, y)
    save_state(tmp_path / "state", model.state())
    reborn = Average().restore(load_state(tmp_path / "state"))
    assert isinstance(reborn, Contract) and reborn.codes == (-1.0, 0.0, 1.0) and reborn.table == {"a": [1, 2.5, "b"]}
    np.testing.assert_array_equal(reborn.predict(X).mean, model.predict(X).mean)
    reborn.means[0] = 9.0
    assert model.means[0] != 9.0 and model.window == 1
    assert model.reseed(3) is None


@pytest.mark.parametrize("value", [object(), {1: 2}, [lambda: 0], np.array([object()])], ids=["object", "int key", "function", "objects"])
def test_what_is_not_data_is_refused_by_name(value: Any) -> None:
    model = Average()
    model.note = value
    with pytest.raises(StateError, match=r"Average\.note is a .* write state\(\) and restore\(\)"):
        model.state()


def test_the_class_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Forecaster()  # type: ignore[abstract]
