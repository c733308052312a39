from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tradewind as tw
from tradewind.core.clock import format_time
from tradewind.core.market import Market
from tradewind.core.types import Forecast, Portfolio, View
from tradewind.features import compute
from tradewind.strategies.policy import Policy
from tradewind.strategies.reason import Reason, policy_reason, share, side

from .markets import gappy

BARS = gappy(700, 2, 4, missing=0.1)


def _view(bars: Market, held: float = 0.0) -> View:
    n = len(bars.symbols)
    return View(bars, int(bars.known[-1]), Portfolio(np.full(n, held), np.zeros(n), 1.0 - n * held, 1.0))


def _listed(symbol: int) -> list[int]:
    return [int(t) for t in np.flatnonzero(~np.isnan(BARS.close[:, symbol])) if t > 450][::60]


@pytest.mark.parametrize(
    ("name", "compared"),
    [
        ("ema-cross", {"ema_50", "ema_200"}),
        ("rsi-reversal", {"rsi_14"}),
        ("rsi-divergence", {"rsi_14"}),
        ("bollinger-reversal", {"bb_lower_20", "bb_middle_20", "bb_upper_20"}),
    ],
)
def test_rules_tell_what_they_compare_as_it_is_and_since_when(name: str, compared: set[str]) -> None:
    rule: Any = tw.strategy(name)
    for t in _listed(1):
        view = _view(BARS[: t + 1])
        reason = rule.explain(view, 1)
        values = dict(reason.values)
        assert set(values) == {rule.signal, "close", *compared}
        X = compute(view.market, list(values))
        assert list(values.values()) == X.values[-1, 1].tolist()
        assert rule.decide(view).weights[1] == values[rule.signal] / 2
        path = X.values[np.isfinite(X.values[:, 1, 0]), 1, 0]
        run = len(path) - np.flatnonzero(np.append(True, np.diff(path) != 0))[-1]
        began = X.open_time[np.isfinite(X.values[:, 1, 0])][-run]
        assert format_time(int(began)) in reason.words[0] and side(values[rule.signal]) in reason.words[0]


def test_rules_that_may_not_go_short_say_so() -> None:
    rule: Any = tw.strategy("ema-cross", fast=5, slow=20, long_only=True)
    told = {rule.explain(_view(BARS[: t + 1]), 1).words[0] for t in range(60, len(BARS), 20)}
    assert any("may not go short" in words for words in told)


def test_momentum_names_its_two_closes() -> None:
    own: Any = tw.strategy("momentum", lookback=10)
    for t in _listed(0):
        view = _view(BARS[: t + 1])
        bars = view.market.close[:, 0][~np.isnan(view.market.close[:, 0])]
        values = own.explain(view, 0).values
        assert (values["close"], values["before"]) == (bars[-1], bars[-11])
        assert np.sign(values["change"]) / 2 == own.decide(view).weights[0]


def test_the_votes_of_momentum_mix_make_its_weight() -> None:
    own: Any = tw.strategy("momentum-mix", lookbacks=("1d", "3d", "5d"), volatility_window="4d").fit(BARS[:300])
    decided = 0
    for t in range(300, 420):
        view = _view(BARS[: t + 1])
        reason, target = own.explain(view, 0), own.decide(view).weights[0]
        if math.isnan(target):
            assert "keeps what is held" in reason.words[0] and not reason.values
            continue
        votes = np.mean([reason.values[f"return_{name}"] > 0 for name in own.lookbacks])
        scale = min(own.max_weight, own.volatility_target / reason.values["volatility"])
        assert target == pytest.approx(votes * scale / 2) and reason.values["target"] == target
        decided += 1
    assert decided >= 4


def test_hold_buys_keeps_and_pays_its_debts() -> None:
    own: Any = tw.strategy("hold")
    bars = BARS[: _listed(0)[0] + 1]
    assert "has cash for +0.5000 of equity" in own.explain(_view(bars), 0).words[0]
    assert "keeps that" in own.explain(_view(bars, 0.5), 0).words[0]
    assert "owes more than 5%" in own.explain(_view(bars, 0.6), 0).words[0]


def test_a_missing_bar_keeps() -> None:
    t = int(np.flatnonzero(np.isnan(BARS.close[300:, 1]))[0]) + 300
    view = _view(BARS[: t + 1], 0.5)
    for name in ("ema-cross", "momentum"):
        assert "what is held is kept" in tw.strategy(name).explain(view, 1).words[0]  # type: ignore[attr-defined]
    logistic: Any = tw.strategy("logistic").fit(BARS[:300])
    assert "no forecast" in logistic.explain(view, 1).words[0]
    assert logistic.explain(view, 1).answer.silence == "there is no answer to explain"


@given(up=st.floats(0.0, 1.0), held=st.floats(-0.5, 0.5), threshold=st.floats(0.0, 0.5), band=st.floats(0.0, 1.0), long_only=st.booleans())
def test_the_words_of_a_policy_are_its_deeds(up: float, held: float, threshold: float, band: float, long_only: bool) -> None:
    policy = Policy(threshold=threshold, band=band, long_only=long_only)
    forecast = Forecast(probabilities=np.array([[[1.0 - up, up], [0.5, 0.5]]]), classes=(-1.0, 1.0))
    portfolio = Portfolio(np.array([held, 0.0]), np.zeros(2), 1.0, 1.0)
    reason = policy_reason(policy, forecast, portfolio, 0)
    target, wanted = policy.decide(forecast, portfolio).weights[0], policy.desired(forecast)[0, 0]
    assert reason.values["edge"] == pytest.approx(2.0 * up - 1.0) and reason.values["wanted"] == wanted
    assert ("keeps that" in reason.words[1]) == math.isnan(target) and ("asks for" in reason.words[1]) != math.isnan(target)
    assert ("is wanted" in reason.words[0]) == (wanted != 0.0)
    assert ("nothing is worth holding" in reason.words[0]) == (abs(reason.values["edge"]) <= threshold)


def test_models_that_cannot_tell_are_quoted() -> None:
    told: Reason = tw.strategy("forecast", forecaster="base-rate").fit(BARS[:300]).explain(_view(BARS[: _listed(0)[0] + 1]), 0)  # type: ignore[attr-defined]
    assert told.answer is not None and told.answer.parts is None and told.answer.silence == "BaseRate cannot tell what its inputs added"


def test_shares_and_sides_in_words() -> None:
    assert (share(0.25), share(-1.0), share(0.0)) == ("+0.2500 of equity", "-1.0000 of equity", "nothing")
    assert [side(x) for x in (2.0, -0.1, 0.0)] == ["long", "short", "flat"]
