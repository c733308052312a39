"""Losses by hand, and that sums over batches are the loss over all."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import SettingsError
from tradewind.nets.losses import CLASSES, RETURN, TWO_CLASSES, Mean, quantiles


def _value(loss: Mean, outputs: object, targets: object, weights: object) -> float:
    tensors = [torch.tensor(part, dtype=torch.float32) for part in (outputs, targets, weights)]
    return float(loss.value(loss.terms(*tensors)))


def test_by_hand() -> None:
    assert _value(RETURN, [[1.0], [3.0]], [0.0, 1.0], [1.0, 3.0]) == pytest.approx((1 * 1 + 3 * 4) / 4)
    assert _value(TWO_CLASSES, [[0.0], [math.log(3)]], [1.0, 0.0], [1.0, 1.0]) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert _value(CLASSES, [[0.0, 0.0, math.log(2)]], [2.0], [5.0]) == pytest.approx(math.log(2))
    # Target 1 against quantiles 0 and 3 at .1 and .9: .1 * 1 and .1 * 2.
    assert _value(quantiles((0.1, 0.9)), [[0.0, 3.0]], [1.0], [2.0]) == pytest.approx((0.1 * 1 + 0.1 * 2) / 2)


def test_several_steps_ahead_count_alike() -> None:
    outputs = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0))
    targets, weights = torch.arange(15.0).reshape(5, 3), torch.arange(1.0, 6.0)
    loss = quantiles((0.25, 0.75))
    each = [float(loss.value(loss.terms(outputs[:, step], targets[:, step], weights))) for step in range(3)]
    assert float(loss.value(loss.terms(outputs, targets, weights))) == pytest.approx(np.mean(each), rel=1e-6)


@given(levels=st.lists(st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.6, 0.9]), min_size=1, unique=True).map(sorted), seed=st.integers(0, 50))
@settings(deadline=None, max_examples=25)
def test_the_pinball_loss_is_least_at_the_quantiles(levels: list[float], seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(199)
    loss, targets, weights = quantiles(tuple(levels)), torch.tensor(values, dtype=torch.float32), torch.ones(199)
    best = np.quantile(values, levels, method="inverted_cdf")
    at = [float(loss.value(loss.terms(torch.tensor(best + move, dtype=torch.float32).expand(199, -1), targets, weights)))
          for move in (0.0, -0.2, 0.2)]  # fmt: skip
    assert at[0] < at[1] and at[0] < at[2]


@pytest.mark.parametrize("levels", [(), (0.5, 0.5), (0.9, 0.1), (0.0, 0.5), (0.5, 1.0)], ids=str)
def test_levels_that_are_none_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError, match="quantile"):
        quantiles(levels)


def test_the_slope_is_that_of_the_value() -> None:
    weights, sums = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([4.0, 3.5], requires_grad=True)
    (found,) = torch.autograd.grad(RETURN.value(sums), sums)
    assert float(RETURN.slope(weights)[0]) == pytest.approx(float(found[0]))
