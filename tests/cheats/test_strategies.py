"""Every cheating strategy is caught by the checks that are meant for it, and the honest one that looks alike passes."""

from __future__ import annotations

from typing import Any

import pytest

from tradewind import checks

from . import strategies

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.mark.parametrize("cheat", strategies.CAUGHT_BY, ids=lambda cheat: cheat.__name__)
def test_each_cheat_is_caught(cheat: type) -> None:
    if cheat is strategies.RemembersInItsClass:
        strategies.RemembersInItsClass.seen.clear()
    meant = strategies.CAUGHT_BY[cheat]
    results = list(checks.run_all(cheat(), only=meant))
    assert [result.check for result in results if not result.passed] == list(meant)
    for result in results:
        assert len(result.message) > 20
        with pytest.raises(checks.CheckFailed, match=result.check) as caught:
            result.raise_if_failed()
        assert (caught.value.check, caught.value.bar) == (result.check, result.bar)


@pytest.mark.parametrize("cheat", [strategies.Shifted, strategies.BackFilled, strategies.NoRestore], ids=lambda cheat: cheat.__name__)
def test_the_public_function_raises_at_the_first_broken_promise(cheat: type) -> None:
    with pytest.raises(checks.CheckFailed) as first:
        checks.check_strategy(cheat)
    assert first.value.check == strategies.CAUGHT_BY[cheat][0]


@pytest.mark.parametrize("seed", range(3))
def test_the_honest_one_passes(seed: int) -> None:
    assert checks.check_strategy(strategies.Honest(), seed=seed) == tuple(checks.strategy_checks())


@pytest.mark.parametrize(
    "cheat",
    [strategies.Shifted, strategies.CentredWindow, strategies.WholeSampleScore, strategies.SlowBarOnOpenTime, strategies.PeeksAcross],
    ids=lambda cheat: cheat.__name__,
)
def test_a_look_ahead_names_bar_symbol_and_mend(cheat: Any) -> None:
    result = next(checks.run_all(cheat(), only=["prefix"]))
    assert result.bar is not None
    assert f"bar {result.bar} (" in result.message
    assert any(symbol in result.message for symbol in ("ALFA", "BRAVO", "CHARLIE"))
    assert "slower timeframe" in result.message
