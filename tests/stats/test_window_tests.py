"""Window tests: each look is the test that it says, at the rows that it says; a new reference after a drift."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.errors import SettingsError
from tradewind.stats.distances import kolmogorov_smirnov, psi, psi_p_value
from tradewind.stats.window_tests import WindowTest


@pytest.mark.parametrize("test", ["ks", "psi"])
def test_looks_are_the_tests_of_the_windows(test: str) -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([random.standard_normal(420), 0.6 + random.standard_normal(400)])
    signals = WindowTest(test, reference=200, recent=60, every=10).signals(values)
    for t in range(259, int(np.flatnonzero(signals == 2)[0]) + 1):
        first, newest = values[:200], values[t - 59 : t + 1]
        if test == "ks":
            chance = kolmogorov_smirnov(first, newest).p_value
        else:
            chance = psi_p_value(psi(first, newest, 5), 200, 60, 5)
        looked = (t - 199) % 10 == 0
        assert signals[t] == (2 if chance <= 0.001 else int(chance <= 0.01)) * looked


@pytest.mark.parametrize("test", ["ks", "psi"])
def test_the_newest_values_begin_the_next_reference(test: str) -> None:
    random = np.random.default_rng(4)
    values = np.concatenate([random.standard_normal(400), 3.0 + random.standard_normal(1500)])
    found = WindowTest(test).detect(values)
    # One drift while the window fills, at most one more for a reference that began with values of both sides.
    assert 400 <= found[0] < 500 and len(found) <= 2


def test_a_constant_stream_never_drifts_and_a_widened_one_does() -> None:
    random = np.random.default_rng(2)
    for test in ("ks", "psi"):
        assert not len(WindowTest(test).detect(np.ones(2000)))
        values = np.concatenate([random.standard_normal(1000), 3.0 * random.standard_normal(300)])
        assert 1000 <= WindowTest(test).detect(values)[-1] < 1120


def test_faults() -> None:
    with pytest.raises(SettingsError, match="'ks' or 'psi'"):
        WindowTest("chi")
    with pytest.raises(SettingsError, match="cannot begin"):
        WindowTest(reference=50, recent=100)
    with pytest.raises(SettingsError, match="makes no 500 bins"):
        WindowTest(bins=500)
    with pytest.raises(SettingsError, match="a warning comes before"):
        WindowTest(alpha=0.1)
