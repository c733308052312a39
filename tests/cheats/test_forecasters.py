"""Every cheating forecaster is caught by the checks that are meant for it, and the honest one that looks alike passes."""

from __future__ import annotations

import pytest

from tradewind import checks

from . import forecasters


@pytest.mark.parametrize("cheat", forecasters.CAUGHT_BY, ids=lambda cheat: cheat.__name__)
def test_each_cheat_is_caught(cheat: type) -> None:
    meant = forecasters.CAUGHT_BY[cheat]
    results = list(checks.run_all(cheat(), only=meant))
    assert [result.check for result in results if not result.passed] == list(meant), results
    assert all(len(result.message) > 20 for result in results)
    with pytest.raises(checks.CheckFailed):
        checks.check_forecaster(cheat)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("honest", [forecasters.Least, forecasters.Follows], ids=lambda honest: honest.__name__)
def test_the_honest_ones_pass(honest: type, seed: int) -> None:
    assert checks.check_forecaster(honest, seed=seed) == tuple(checks.forecaster_checks())
