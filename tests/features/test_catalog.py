"""Names resolve by pattern; what is no feature is an error that helps."""

from __future__ import annotations

import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.features.catalog import SETS, resolve


def test_sets_are_what_they_say() -> None:
    assert tw.features.sets() == sorted(SETS)
    assert len(tw.features.names("standard")) >= 35
    assert len(SETS["s0"]) == 27
    assert set(SETS["s0"]) <= set(SETS["standard"])
    price_action = "open high low close volume rsi_14 atr_14 ema_50 ema_200 bb_middle bb_upper bb_lower bb_width bb_percent"
    assert SETS["price-action"] == tuple(price_action.split())
    assert not {"open", "high", "low", "close", "volume", "obv", "ema_50", "atr_14"} & set(SETS["relative"])
    for name in SETS:
        assert tw.features.names(name) == SETS[name]


def test_sets_and_names_add_up() -> None:
    assert tw.features.names("relative+regime") == SETS["relative"] + SETS["regime"]
    assert tw.features.names(["rsi_9+ema_12", "obv"]) == ("rsi_9", "ema_12", "obv")
    for wrong, words in (
        ("relative+rsi_7", "asked for twice"),
        ("regime+", "unknown feature ''"),
        ("relative+regim", "did you mean 'regime'"),
    ):
        with pytest.raises(SettingsError, match=words):
            resolve(wrong)


@pytest.mark.parametrize(
    ("name", "warmup"),
    [
        ("rsi_9", 9),
        ("ema_12", 11),
        ("return_96", 96),
        ("macd_5_35_5", 38),
        ("adx_7", 13),
        ("plus_di_7", 7),
        ("stoch_d_10_5", 13),
        ("obv", 0),
        ("volatility_20", 20),
        ("volume_std_20", 19),
        ("bb_upper", 19),
        ("atr", 14),
        ("hour_sine", 0),
        ("signal_ema_cross_5_20", 19),
        ("regime_crisis", 80),
        ("regime_trending_bull_5_15_50_5", 20),
    ],
)
def test_any_number_resolves(name: str, warmup: int) -> None:
    (item,) = resolve(name)
    assert item.name == name
    assert item.warmup == warmup


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rsi14", "did you mean 'rsi_14'"),
        ("return_5d", "did you mean 'return_5'"),
        ("standart", "did you mean 'standard'"),
        ("rsi_1", "at least 2"),
        ("rsi_14_3", "takes at most 1"),
        ("macd_26_12_9", "smaller than the second"),
        ("ema_0", "at least 1"),
        ("signal_rsi_reversal_14_60_70", "50 lie between"),
        ("bb_upper_1", "at least 2"),
        ("", "unknown feature"),
        ("rsi_-3", "unknown feature"),
        ("ema_9999999", "unknown feature"),
    ],
)
def test_errors_help(name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        tw.features.names(name)


def test_lists_are_checked() -> None:
    assert tw.features.names(["price-action", "rsi_7"])[-1] == "rsi_7"
    with pytest.raises(SettingsError, match="twice"):
        tw.features.names(["rsi_14", "rsi_14"])
    with pytest.raises(SettingsError, match="no features asked for"):
        tw.features.names([])
    with pytest.raises(SettingsError, match="is no feature"):
        tw.features.names([len])  # type: ignore[list-item]


def test_every_stem_describes_itself() -> None:
    for stem in tw.features.names():
        assert tw.features.describe(stem).startswith(f"{stem}: ")


def test_alone_or_together_is_the_same(walk) -> None:
    """Features that share a kernel call, or a lane of one, have the numbers they have alone."""
    market = walk(120)
    together = [*(f"rsi_{n}" for n in range(2, 10)), "bb_width_20", "bb_upper_20", "stoch_k", "williams_r_14"]
    X = tw.features.compute(market, together)
    for i, name in enumerate(together):
        alone = tw.features.compute(market, name).values[:, 0, 0]
        assert alone.tobytes() == X.values[:, 0, i].copy().tobytes(), name
