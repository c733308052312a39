"""Every cheating feature is caught by the checks that are meant for it, and the honest one that looks alike passes."""

from __future__ import annotations

import pytest

from tradewind import checks
from tradewind.features import Feature

from . import features


@pytest.mark.parametrize("cheat", features.CAUGHT_BY, ids=lambda cheat: cheat.name)
def test_each_cheat_is_caught(cheat: Feature) -> None:
    meant = features.CAUGHT_BY[cheat]
    results = list(checks.run_all(cheat, only=meant))
    assert [result.check for result in results if not result.passed] == list(meant)
    assert all(len(result.message) > 20 for result in results)
    with pytest.raises(checks.CheckFailed):
        checks.check_feature(cheat)


def test_a_look_ahead_names_the_row_and_the_mend() -> None:
    result = next(checks.run_all(features.shifted, only=["prefix"]))
    assert result.bar is not None
    assert f"shifted at bar {result.bar} (" in result.message
    assert "shift(-1)" in result.message


@pytest.mark.parametrize("seed", range(3))
def test_the_honest_one_passes(seed: int) -> None:
    assert checks.check_feature(features.honest, seed=seed) == tuple(checks.feature_checks())


def test_a_list_with_one_cheat_is_caught() -> None:
    with pytest.raises(checks.CheckFailed, match="shifted"):
        checks.check_feature(["rsi_14", features.honest, features.shifted])
