"""SPA against arch, and by its size and power."""

import numpy as np
import pytest

from tradewind import stats
from tradewind.core.errors import DataError


@pytest.mark.parametrize("drift", [0.0, 0.03, 0.05])
def test_p_value_agrees_with_arch(drift):
    SPA = pytest.importorskip("arch.bootstrap").SPA
    random = np.random.default_rng(11)
    panel, benchmark = random.standard_normal((1500, 6)), random.standard_normal(1500)
    panel[:, 2] += drift
    other = SPA(-benchmark, -panel, block_size=4, reps=4000, seed=1)
    other.compute()
    assert stats.spa(panel, benchmark, draws=4000, block=4.0) == pytest.approx(float(other.pvalues["consistent"]), abs=0.035)


def test_noise_is_rejected_about_as_often_as_it_should_be():
    random = np.random.default_rng(2)
    p = [stats.spa(random.standard_normal((400, 8)), np.zeros(400), draws=300, seed=k) for k in range(200)]
    assert np.mean(np.array(p) <= 0.05) <= 0.10
    assert np.mean(np.array(p) <= 0.5) >= 0.25


def test_a_true_edge_is_found_beside_hopeless_models():
    random = np.random.default_rng(3)
    panel = random.standard_normal((2000, 20))
    panel[:, 0] += 0.12
    alone = stats.spa(panel[:, :1], np.zeros(2000))
    panel[:, 1:] -= 5.0
    assert stats.spa(panel, np.zeros(2000)) == pytest.approx(alone, abs=0.01)
    assert alone < 0.01


def test_models_that_are_the_benchmark_prove_nothing():
    benchmark = np.random.default_rng(0).standard_normal(100)
    assert stats.spa(np.column_stack([benchmark, benchmark]), benchmark) == 1.0
    assert stats.spa(np.zeros((100, 2)), np.zeros(100)) == 1.0


def test_a_single_model_may_come_as_a_vector():
    x = np.random.default_rng(0).standard_normal(100) + 1.0
    assert stats.spa(x, np.zeros(100)) == stats.spa(x[:, None], np.zeros(100)) < 0.01


def test_bad_input_is_named():
    with pytest.raises(DataError, match=r"benchmark \(9,\)"):
        stats.spa(np.zeros((10, 2)), np.zeros(9))
    with pytest.raises(DataError, match="NaN"):
        stats.spa(np.full((10, 2), np.nan), np.zeros(10))
