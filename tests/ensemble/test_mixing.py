"""Water-filling under a cap, and what members together stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tradewind.core.types import Array
from tradewind.ensemble.mixing import agreement, capped, mixed, standing

SHARES = st.integers(1, 8).flatmap(lambda n: arrays(np.float64, n, elements=st.floats(0.0, 1.0)))


def test_golden() -> None:
    everybody = np.ones(4, dtype=bool)
    np.testing.assert_allclose(capped(np.array([0.7, 0.2, 0.1, 0.0]), everybody, 0.4), [0.4, 0.4, 0.2, 0.0])
    np.testing.assert_allclose(capped(np.array([0.7, 0.15, 0.15, 0.0]), everybody, 0.5), [0.5, 0.25, 0.25, 0.0])
    np.testing.assert_allclose(capped(np.array([0.9, 0.1, 0.0, 0.0]), np.array([False, True, True, True]), 0.4), [0.0, 0.4, 0.3, 0.3])
    np.testing.assert_allclose(capped(np.array([1.0, 0.0, 0.0]), np.ones(3, dtype=bool), 0.4), [0.4, 0.3, 0.3])
    np.testing.assert_allclose(capped(np.array([1.0, 2e-311, 0.0]), np.ones(3, dtype=bool), 0.75), [0.75, 0.25, 0.0])


@settings(max_examples=1000)
@given(SHARES, st.data())
def test_capped_weights_are_weights_under_the_cap_in_the_same_order(weights: Array, data: st.DataObject) -> None:
    awake = data.draw(arrays(np.bool_, len(weights)))
    count = int(awake.sum())
    cap = data.draw(st.floats(1.0 / count, 1.0)) if count else 0.5
    found = capped(weights, awake, cap)
    assert (found >= 0).all() and (found[~awake] == 0).all()
    assert found.max(initial=0.0) <= cap * (1 + 1e-12)
    assert found.sum() == pytest.approx(1.0 if count else 0.0, abs=1e-9)
    order = np.argsort(weights[awake], kind="stable")
    assert (np.diff(found[awake][order]) >= -1e-12).all()


@given(SHARES)
def test_a_cap_of_one_changes_nothing_but_the_scale(weights: Array) -> None:
    found = capped(weights, np.ones(len(weights), dtype=bool), 1.0)
    wanted = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_who_keeps_stands_for_what_it_holds() -> None:
    wanted = np.array([[0.5, np.nan], [np.nan, -1.0]])
    held = np.array([[0.1, 0.2], [0.3, 0.4]])
    np.testing.assert_array_equal(standing(wanted, held), [[0.5, 0.2], [0.3, -1.0]])
    np.testing.assert_allclose(mixed(np.array([0.25, 0.75]), standing(wanted, held)), [0.35, -0.7])


def test_opposite_positions_cancel() -> None:
    assert mixed(np.array([0.5, 0.5]), np.array([[1.0], [-1.0]])) == pytest.approx([0.0])


def test_agreement_counts_the_weight_behind_the_direction() -> None:
    weights = np.array([0.5, 0.3, 0.2])
    positions = np.array([[1.0], [1.0], [-1.0]])
    assert agreement(weights, positions, mixed(weights, positions)) == pytest.approx(0.8)
    assert agreement(weights, np.ones((3, 1)), np.ones(1)) == pytest.approx(1.0)
    two = np.array([[1.0, -0.5], [1.0, 0.0], [-1.0, 0.0]])
    # .6 of the first symbol, behind which .8 stand, and -.25 of the second, behind which .5 do.
    assert agreement(weights, two, mixed(weights, two)) == pytest.approx((0.6 * 0.8 + 0.25 * 0.5) / 0.85)
    flat = np.array([[0.0], [0.0], [0.4]])
    assert agreement(np.array([0.7, 0.3, 0.0]), flat, np.zeros(1)) == pytest.approx(1.0)
