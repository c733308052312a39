"""Waves are waves, regimes flip the rule, and whoever does not adapt cannot know."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import SettingsError
from tradewind.core.seeds import generator
from tradewind.meta.synthetic_tasks import FREQUENCIES, SINUSOIDS, RegimeTasks, Sinusoids
from tradewind.meta.tasks import check_tasks


@given(seed=st.integers(0, 2**31), support=st.integers(4, 12), query=st.integers(1, 9))
def test_a_wave_lies_on_one_sine(seed: int, support: int, query: int) -> None:
    task = Sinusoids(support, query, frequency=(0.8, 0.8)).sample_task(generator(seed))
    check_tasks([task], "mse")
    assert task["support_data"].shape == task["support_labels"].shape == (support, 1)
    assert task["query_data"].shape == task["query_labels"].shape == (query, 1)
    x = torch.cat([task["support_data"], task["query_data"]]).double().numpy()[:, 0]
    y = torch.cat([task["support_labels"], task["query_labels"]]).double().numpy()[:, 0]
    basis = np.column_stack([np.sin(0.8 * x), np.cos(0.8 * x)])
    weights, *_ = np.linalg.lstsq(basis, y, rcond=None)
    assert np.abs(basis @ weights - y).max() < 1e-4
    assert 0.09 < math.hypot(*weights) < 5.01
    assert np.abs(x).max() <= 5


def test_spaced_inputs_are_a_grid_in_an_order_of_each_task() -> None:
    first, second = Sinusoids(3, 8, spaced=True).sample_batch(generator(1), 2)
    for task in (first, second):
        x = torch.cat([task["support_data"], task["query_data"]]).flatten().sort().values
        assert torch.allclose(x, torch.linspace(-5, 5, 11))
    assert not torch.equal(first["support_data"], second["support_data"])


def test_frequencies_differ_only_where_they_are_asked_to() -> None:
    assert SINUSOIDS.frequency == (1.0, 1.0)
    assert FREQUENCIES.frequency == (0.8, 1.2)


@pytest.mark.parametrize("tasks", [SINUSOIDS, FREQUENCIES, RegimeTasks()])
def test_the_same_seed_draws_the_same_tasks(tasks: Sinusoids | RegimeTasks) -> None:
    first, second, other = (tasks.sample_batch(generator(seed), 3) for seed in (5, 5, 6))
    for one, two in zip(first, second, strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(first[0]["support_data"], other[0]["support_data"])
    assert not torch.equal(first[0]["support_data"], first[1]["support_data"])


@given(seed=st.integers(0, 2**31), support=st.integers(2, 10))
def test_every_support_holds_both_classes(seed: int, support: int) -> None:
    tasks = RegimeTasks(support, 3).sample_batch(generator(seed), 8)
    check_tasks(tasks, "cross_entropy", ways=2)
    assert all(task["support_labels"].unique().tolist() == [0, 1] for task in tasks)


def test_labels_agree_with_rule_and_regime_as_often_as_told() -> None:
    source = RegimeTasks(10, 40, agreement=0.9)
    tasks = source.sample_batch(generator(1), 1_000)
    regimes = np.array([int(task["regime"]) for task in tasks])
    assert abs(regimes.mean()) < 0.1  # four standard errors of even coins are .13
    right = []
    for task, regime in zip(tasks, regimes, strict=True):
        answers = source.rule(task["query_data"].numpy())
        right.append((task["query_labels"].numpy() == (answers if regime == 1 else 1 - answers)).mean())
    assert abs(np.mean(right) - 0.9) < 0.006  # four standard errors over 40,000 labels


def test_over_all_regimes_the_bars_tell_nothing() -> None:
    source = RegimeTasks(10, 40)
    tasks = source.sample_batch(generator(2), 1_000)
    agreed = [(source.rule(task["query_data"].numpy()) == task["query_labels"].numpy()).mean() for task in tasks]
    assert abs(np.mean(agreed) - 0.5) < 0.06  # regimes come as whole tasks: the error is that of 1,000 coins of .8, not of 40,000 labels


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettingsError, match="amplitude is"):
        Sinusoids(amplitude=(5.0, 0.1))
    with pytest.raises(SettingsError, match="num_support"):
        RegimeTasks(num_support=1)
    with pytest.raises(SettingsError, match="agreement"):
        RegimeTasks(agreement=0.0)
    with pytest.raises(SettingsError, match="n is 0"):
        SINUSOIDS.sample_batch(generator(0), 0)
