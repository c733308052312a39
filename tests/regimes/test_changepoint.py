"""Change points against closed forms, against brute force over all segmentations, and in the flow of the Nile."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import tradewind as tw
from tradewind.core.errors import DataError, SettingsError
from tradewind.regimes import detector
from tradewind.regimes.changepoint import run_lengths

# fmt: off
NILE = (
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799, 958, 1140,
    1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969,
    831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759,
    781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890,
    744, 749, 838, 1050, 918, 986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
)
# fmt: on
"""Annual flow at Aswan, 1871 to 1970, in 10^8 m^3 (Cobb 1978)."""

priors = st.fixed_dictionaries(
    {"mean": st.floats(-1, 1), "strength": st.floats(0.1, 5), "shape": st.floats(1.1, 4), "scale": st.floats(0.3, 3)}
)


def marginal(x, mean, strength, shape, scale):
    """Log density of all of x under one normal whose mean and variance have the prior: Murphy 2007, equation 95 ff., in closed form."""
    n = len(x)
    centre = x.mean()
    strength_n, shape_n = strength + n, shape + n / 2
    scale_n = scale + 0.5 * ((x - centre) ** 2).sum() + 0.5 * strength * n * (centre - mean) ** 2 / strength_n
    constant = math.lgamma(shape_n) - math.lgamma(shape) + 0.5 * math.log(strength / strength_n) - n / 2 * math.log(2 * math.pi)
    return constant + shape * math.log(scale) - shape_n * math.log(scale_n)


@given(seed=st.integers(0, 10**6), prior=priors, n=st.integers(1, 300))
@settings(max_examples=25, deadline=None)
def test_hazard_zero_is_the_conjugate_predictive(seed, prior, n):
    x = np.random.default_rng(seed).normal(0.5, 2.0, n)
    found = run_lengths(x, 0.0, **prior)
    assert found.log_evidence.sum() == pytest.approx(marginal(x, **prior), rel=1e-9, abs=1e-9)
    assert np.array_equal(found.likeliest, np.arange(1, n + 1))
    assert np.allclose(found.expected, np.arange(1, n + 1))


def test_hazard_zero_predicts_by_student_s_t():
    x = np.random.default_rng(3).normal(1.0, 0.5, 40)
    mean, strength, shape, scale = 0.2, 2.0, 1.5, 0.7
    found = run_lengths(x, 0.0, mean, strength, shape, scale)
    for value, log_density in zip(x, found.log_evidence, strict=True):
        law = stats.t(2 * shape, loc=mean, scale=math.sqrt(scale * (strength + 1) / (shape * strength)))
        assert log_density == pytest.approx(law.logpdf(value), rel=1e-9)
        scale += 0.5 * strength * (value - mean) ** 2 / (strength + 1)
        mean, strength, shape = (strength * mean + value) / (strength + 1), strength + 1, shape + 0.5


@given(seed=st.integers(0, 10**6), prior=priors, hazard=st.floats(0.01, 0.9), n=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_every_segmentation_counts(seed, prior, hazard, n):
    random = np.random.default_rng(seed)
    x = random.normal(0.0, 1.0, n) * random.choice([0.5, 4.0], n)
    recent = 2
    found = run_lengths(x, hazard, **prior, recent=recent)
    for t in range(1, n + 1):
        run, weight = [], []
        for begins in itertools.product((False, True), repeat=t - 1):
            edges = [0, *(i + 1 for i, begin in enumerate(begins) if begin), t]
            parts = [x[a:b] for a, b in itertools.pairwise(edges)]
            changes = sum(begins)
            chance = changes * math.log(hazard) + (t - 1 - changes) * math.log1p(-hazard)
            run.append(len(parts[-1]))
            weight.append(chance + sum(marginal(part, **prior) for part in parts))
        evidence = np.logaddexp.reduce(weight)
        law = np.exp(np.array(weight) - evidence)
        assert found.log_evidence[:t].sum() == pytest.approx(evidence, rel=1e-8, abs=1e-8)
        assert found.expected[t - 1] == pytest.approx(law @ np.array(run), rel=1e-8)
        assert found.changed[t - 1] == pytest.approx(law[np.array(run) <= recent].sum(), abs=1e-8)


@pytest.mark.parametrize("prior", [(1000, 1, 1, 1e4), (1000, 1, 2, 2e4), (900, 0.1, 1, 1e4)])
@pytest.mark.parametrize("hazard", [1 / 50, 1 / 250])
def test_the_nile_changed_after_1898(prior, hazard):
    found = run_lengths(NILE, hazard, *prior)
    began = np.arange(1871, 1971) - found.likeliest + 1
    assert (began[:28] == 1871).all()
    assert (began[-60:] == 1899).all()
    told = 1871 + int(np.flatnonzero(began == 1899)[0])
    assert 1900 <= told <= 1905


@pytest.mark.parametrize("shape", [1.5, 2.0, 5.0, 50.0])
def test_turbulent_is_the_probability_of_a_variance_above_the_level(shape):
    """Against the exact inverse-gamma law: Wilson and Hilferty's cube root is within half a per cent of it."""
    worst = 0.0
    for level in (0.05, 0.3, 0.7, 1.0, 1.5, 4.0):
        x = np.zeros(4)
        found = run_lengths(x, 0.0, 0.0, 1.0, shape, shape, recent=1, variance=level)
        # Zeros leave the scale as it is; each adds a half to the shape.
        exact = stats.invgamma(shape + 2.0, scale=shape).sf(level)
        worst = max(worst, abs(found.turbulent[-1] - exact))
        assert found.turbulent[0] == 0.0 and found.changed[0] == 1.0
    assert worst < 0.005


def test_few_hypotheses_do_nearly_as_well_as_all_of_them():
    random = np.random.default_rng(5)
    x = random.standard_normal(3000) * np.repeat(random.choice([0.5, 1.0, 3.0], 15), 200)
    every = run_lengths(x, 0.005, 0.0, 10.0, 2.0, 1.0, runs=3000)
    few = run_lengths(x, 0.005, 0.0, 10.0, 2.0, 1.0, runs=100)
    assert np.abs(few.changed - every.changed).mean() < 0.002
    assert np.abs(few.turbulent - every.turbulent).mean() < 0.01
    assert few.log_evidence.sum() == pytest.approx(every.log_evidence.sum(), abs=5.0)
    assert np.isfinite(run_lengths(x, 0.005, 0.0, 10.0, 2.0, 1.0, runs=1).log_evidence).all()


def test_a_jump_of_volatility_is_told_at_once_and_then_called_turbulent():
    random = np.random.default_rng(9)
    returns = random.standard_normal(600) * np.where(np.arange(600) < 300, 0.005, 0.03)
    close = 100.0 * np.cumprod(np.append(1.0, 1.0 + returns))
    time = np.arange(601, dtype=np.int64) * 86_400_000_000_000
    prices = close[:, None]
    market = tw.Market(("X",), "1d", time, time + time[1], prices, prices, prices, prices, np.ones_like(prices))
    model = detector("bocpd").fit(market)
    found = model.filter(market).probabilities[:, 0]
    assert model.names == ("calm", "turbulent", "changed")
    assert found[250:300, 0].min() > 0.9
    assert found[301:310, 2].max() > 0.9
    # A chance outlier may look like yet another change for a few bars.
    assert (found[330:].argmax(axis=1) == 1).mean() > 0.95
    lengths = model.run_lengths(market)
    assert abs(600 - lengths.likeliest[-1, 0] - 300) <= 2
    assert np.array_equal(lengths.changed[:, 0], found[:, 2], equal_nan=True)
    assert np.isnan(lengths.expected[: model.warmup]).all()


def test_a_value_of_a_new_scale_begins_a_run_even_where_densities_underflow():
    x = np.append(np.random.default_rng(1).normal(0, 1e-4, 50), 1e6)
    assert run_lengths(x, 0.01, 0.0, 1.0, 2.0, 1e-8).likeliest[-1] == 1
    kept = run_lengths(x, 0.0, 0.0, 1.0, 2.0, 1e-8)
    assert kept.likeliest[-1] == 51
    assert np.isfinite(kept.log_evidence).all()


def test_values_and_settings_that_cannot_be():
    with pytest.raises(DataError, match="finite"):
        run_lengths([1.0, np.nan], 0.1, 0, 1, 1, 1)
    with pytest.raises(DataError, match=r"\(time,\)"):
        run_lengths(np.zeros((2, 2)), 0.1, 0, 1, 1, 1)
    with pytest.raises(DataError, match="1e100"):
        run_lengths([1.0, 1e200], 0.1, 0, 1, 1, 1)
    for changes in ({"hazard": -0.1}, {"strength": 0}, {"scale": -1}, {"variance": 0.0}):
        with pytest.raises(SettingsError, match=next(iter(changes))):
            run_lengths([1.0], **{"hazard": 0.1, "mean": 0, "strength": 1, "shape": 1, "scale": 1, **changes})
