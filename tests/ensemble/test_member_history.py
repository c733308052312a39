"""Twenty numbers about a member's past against plain numpy, and what they are blind to."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.types import Array
from tradewind.ensemble.config import HISTORY_FEATURES
from tradewind.ensemble.member_history import CHANNELS, HISTORY_NAMES, MARKET_NAMES, describe_market, describe_members


def described(window: Array) -> dict[str, Array]:
    out = np.full((window.shape[1], len(HISTORY_NAMES)), np.nan)
    describe_members(window, out)
    return dict(zip(HISTORY_NAMES, out.T, strict=True))


def drawn(seed: int = 0, bars: int = 50, members: int = 4) -> Array:
    return np.random.default_rng(seed).normal(0.001, 0.01, (bars, members, len(CHANNELS)))


def test_there_are_twenty() -> None:
    assert len(HISTORY_NAMES) == HISTORY_FEATURES == 20


def test_against_numpy() -> None:
    window = drawn()
    found, returns = described(window), window[:, :, 0]
    deviation, common = returns.std(axis=0), returns.mean(axis=1)
    for name, bars in (("sum_tenth", 5), ("sum_fifth", 10), ("sum_half", 25), ("sum_all", 50)):
        np.testing.assert_allclose(found[name], returns[-bars:].sum(axis=0) / deviation / np.sqrt(bars))
    distance = np.sqrt(((returns - common[:, None]) ** 2).mean(axis=0))
    np.testing.assert_allclose(found["lead"], (returns - common[:, None]).sum(axis=0) / distance / np.sqrt(50))
    np.testing.assert_allclose(found["lead_fifth"], (returns - common[:, None])[-10:].sum(axis=0) / distance / np.sqrt(10))
    order = found["lead"].argsort().argsort()
    np.testing.assert_allclose(found["rank"], order / 3 - 0.5)
    level = np.vstack([np.zeros(4), returns.cumsum(axis=0)])
    np.testing.assert_allclose(found["drawdown"], (level[-1] - level.max(axis=0)) / deviation / np.sqrt(50), atol=1e-12)
    np.testing.assert_allclose(found["since_peak"], (50 - level.argmax(axis=0)) / 50)
    np.testing.assert_allclose(found["volatility_fifth"], np.sqrt((returns[-10:] ** 2).mean(axis=0)) / deviation)
    np.testing.assert_allclose(found["downside"], np.sqrt((np.minimum(returns, 0) ** 2).mean(axis=0)) / deviation)
    np.testing.assert_allclose(found["share_of_gains"], (returns > 0).mean(axis=0) - 0.5)
    apart = returns - returns.mean(axis=0)
    np.testing.assert_allclose(found["autocorrelation"], (apart[1:] * apart[:-1]).sum(axis=0) / 50 / deviation**2)
    np.testing.assert_allclose(found["skewness"], (apart**3).mean(axis=0) / deviation**3)
    np.testing.assert_allclose(found["best"], returns.max(axis=0) / deviation)
    np.testing.assert_allclose(found["worst"], returns.min(axis=0) / deviation)
    np.testing.assert_allclose(found["correlation"], [np.corrcoef(returns[:, i], common)[0, 1] for i in range(4)])
    for name, channel in (("net_exposure", 1), ("gross_exposure", 2), ("turnover", 3)):
        np.testing.assert_allclose(found[name], window[:, :, channel].mean(axis=0))


def test_returns_on_another_scale_look_the_same() -> None:
    window = drawn(1)
    louder = window.copy()
    louder[:, :, 0] *= 137.0
    for name, values in described(window).items():
        np.testing.assert_allclose(described(louder)[name], values, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("bars", [2, 3, 50])
def test_a_member_that_did_nothing_is_zero_and_no_number_is_wild(bars: int) -> None:
    window = drawn(2, bars)
    window[:, 0] = 0.0
    window[-1, 1, 0] = 1e6
    found = described(window)
    assert all(np.isfinite(values).all() and (np.abs(values) <= 5.0).all() for values in found.values())
    alone = described(np.zeros((bars, 1, len(CHANNELS))))
    assert all(values[0] == 0.0 for name, values in alone.items() if name not in ("share_of_gains", "since_peak"))


def test_the_market() -> None:
    moves = np.random.default_rng(3).normal(0.0, 0.02, 50)
    out = np.empty(len(MARKET_NAMES))
    describe_market(moves, out)
    deviation = np.sqrt((moves**2).mean())
    wanted = [
        moves[-10:].sum() / deviation / np.sqrt(10),
        moves.sum() / deviation / np.sqrt(50),
        np.sqrt((moves[-10:] ** 2).mean()) / deviation,
    ]
    np.testing.assert_allclose(out, wanted)
    describe_market(np.zeros(50), out)
    assert (out == 0).all()
