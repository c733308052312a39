"""Splits: counts of the literature, and that no training label looks at a bar that a test label looks at."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.types import Labels
from tradewind.evaluate.splits import CombinatorialPurged, PurgedKFold, WalkForward, label_ends


def test_walk_forward_by_hand():
    folds = [(f.train, f.test) for f in WalkForward(252, 21, 21).split(252 + 21 + 5)]
    assert folds == [(slice(0, 252), slice(252, 273)), (slice(21, 273), slice(273, 278))]
    anchored = list(WalkForward(10, 5, anchored=True, embargo=2).split(20))
    assert [tuple(f) for f in anchored] == [(slice(0, 8), slice(10, 15)), (slice(0, 13), slice(15, 20))]


@given(st.integers(1, 60), st.integers(1, 30), st.integers(2, 300), st.booleans(), st.integers(0, 10))
def test_every_bar_after_the_first_training_part_is_tested_once(train, test, bars, anchored, embargo):
    if bars <= train or embargo >= train:
        return
    walk = WalkForward(train, test, anchored=anchored, embargo=embargo)
    tested = np.concatenate([np.arange(bars)[f.test] for f in walk.split(bars)])
    assert tested.tolist() == list(range(train, bars)) and walk.count(bars) == -(-(bars - train) // test)
    for f in walk.split(bars):
        assert f.train.stop == f.test.start - embargo and f.train.stop > f.train.start >= 0
        assert f.train.start == 0 or not anchored
        assert anchored or f.train.stop - f.train.start == train - embargo


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"train": 0, "test": 1}, "train is 0"),
        ({"train": 1, "test": 0}, "test is 0"),
        ({"train": 1, "test": 1, "step": 0}, "step is 0"),
        ({"train": 5, "test": 1, "embargo": 5}, "embargo is 5"),
    ],
)
def test_impossible_windows(given_, message):
    with pytest.raises(SettingsError, match=message):
        WalkForward(**given_)


def test_history_too_short():
    with pytest.raises(SettingsError, match="nothing is left to test"):
        list(WalkForward(100, 10).split(100))


def test_six_groups_by_two_make_fifteen_splits_and_five_paths():
    cross = CombinatorialPurged(6, 2)
    assert cross.split_count == 15 and cross.path_count == 5
    assert len(list(cross.split(np.arange(60)))) == 15 and cross.paths().shape == (5, 6)


@given(st.integers(3, 7), st.integers(1, 4))
def test_paths_use_every_test_once_and_assemble_rows_in_order(groups, tested):
    if tested >= groups:
        return
    cross = CombinatorialPurged(groups, tested)
    splits = list(cross.split(np.arange(50)))
    assert len(splits) == comb(groups, tested)
    used = {(int(split), group) for path in cross.paths() for group, split in enumerate(path)}
    assert used == {(i, group) for i, (_, _, chosen) in enumerate(splits) for group in chosen}
    # Each split answers "1000 * split + row" in its test rows and NaN elsewhere: no NaN may remain, and rows keep their place.
    forecasts = []
    for i, (_, rows, _) in enumerate(splits):
        answer = np.full(50, np.nan)
        answer[rows] = 1000 * i + rows
        forecasts.append(answer)
    assembled = cross.assemble(forecasts)
    assert assembled.shape == (cross.path_count, 50) and (assembled % 1000 == np.arange(50)).all()


@given(st.lists(st.integers(0, 12), min_size=12, max_size=80), st.integers(2, 6), st.integers(1, 3), st.integers(0, 8))
@settings(max_examples=150)
def test_no_training_label_meets_a_test_label(lengths, groups, tested, embargo):
    if tested >= groups:
        return
    n = len(lengths)
    end = np.minimum(np.arange(n) + lengths, n - 1)
    for train, test, _ in CombinatorialPurged(groups, tested, embargo).split(end):
        assert not set(train) & set(test)
        bars = {b for t in test for b in range(t, end[t] + 1)}
        held = bars | {b for t in test for b in range(t, min(end[t] + embargo, n - 1) + 1)}
        clean = [t for t in range(n) if t not in held and not bars & set(range(t, end[t] + 1))]
        # Exactly the rows that are clean: nothing that leaks is kept, and nothing that does not is thrown away.
        assert train.tolist() == clean


def test_k_fold_tests_every_row_once():
    folds = list(PurgedKFold(4, embargo=1).split(np.minimum(np.arange(41) + 2, 40)))
    assert np.concatenate([test for _, test in folds]).tolist() == list(range(41))
    train, test = folds[1]
    assert test.tolist() == list(range(10, 20)) or len(test) in (10, 11)
    # Two rows before look into the test, two after are looked at by it, one more is embargoed.
    assert set(range(41)) - set(train) - set(test) == {test[0] - 2, test[0] - 1, test[-1] + 1, test[-1] + 2, test[-1] + 3}


def test_ends_of_a_panel_are_the_latest_of_its_symbols():
    end = np.array([[2, -1], [3, 4], [-1, -1], [4, -1], [-1, -1]])
    assert label_ends(end).tolist() == [2, 4, 2, 4, 4]
    values = np.where(end < 0, np.nan, 1.0)
    assert label_ends(Labels(values, end, end, values, (1.0,))).tolist() == [2, 4, 2, 4, 4]


def test_bad_ends_are_named():
    with pytest.raises(DataError, match="label of row 3 ends at row 1"):
        label_ends(np.array([0, 1, 2, 1]))
    with pytest.raises(DataError, match="row numbers"):
        label_ends(np.array([0.5]))
    with pytest.raises(SettingsError, match="cannot be cut into 6 groups"):
        list(CombinatorialPurged(6, 2).split(np.arange(5)))
    with pytest.raises(DataError, match="for each of 15 splits"):
        CombinatorialPurged(6, 2).assemble([np.zeros(3)])
    for given_ in ({"groups": 1}, {"groups": 4, "test_groups": 4}, {"embargo": -1}):
        with pytest.raises(SettingsError):
            CombinatorialPurged(**given_)
    with pytest.raises(SettingsError):
        PurgedKFold(1)
