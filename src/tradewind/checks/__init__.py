"""Checks of strategies, forecasters and features, for your own too: no future is seen, answers repeat, restarts change nothing.

`check_strategy(mine)` returns the names of the checks that passed and raises CheckFailed at the first that did not; `run_all(mine)`
goes through all of them, one result at a time; `tradewind check my_module:Mine` prints them.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from tradewind.checks.conduct import (
    contract,
    same_answer_twice,
    same_seed_same_fit,
    save_and_restore,
    survives_odd_markets,
    touches_nothing_else,
)
from tradewind.checks.examination import Check, Result, examine
from tradewind.checks.features import FEATURE_CHECKS, FeatureSubject
from tradewind.checks.forecasters import FORECASTER_CHECKS, ForecasterSubject
from tradewind.checks.foresight import batch_equals_stream, fit_sees_no_future, future_garbage, prefix
from tradewind.checks.merit import finds_a_planted_edge, honest_on_noise, warmup_is_true
from tradewind.checks.subject import StrategySubject
from tradewind.core.errors import CheckFailed, SettingsError
from tradewind.core.market import Market
from tradewind.core.settings import choose, load

__all__ = [
    "CheckFailed",
    "Result",
    "check",
    "check_feature",
    "check_forecaster",
    "check_strategy",
    "feature_checks",
    "forecaster_checks",
    "kind_of",
    "load",
    "run_all",
    "strategy_checks",
]

S = TypeVar("S")
STRATEGY_CHECKS: tuple[Check[StrategySubject], ...] = tuple(
    Check(function)
    for function in (
        contract,
        same_seed_same_fit,
        fit_sees_no_future,
        prefix,
        future_garbage,
        batch_equals_stream,
        same_answer_twice,
        save_and_restore,
        touches_nothing_else,
        survives_odd_markets,
        warmup_is_true,
        finds_a_planted_edge,
        honest_on_noise,
    )
)


def strategy_checks() -> dict[str, str]:
    """The checks of a strategy, in order: name and promise."""
    return {entry.name: entry.promise for entry in STRATEGY_CHECKS}


def forecaster_checks() -> dict[str, str]:
    """The checks of a forecaster, in order: name and promise."""
    return {entry.name: entry.promise for entry in FORECASTER_CHECKS}


def feature_checks() -> dict[str, str]:
    """The checks of a feature, in order: name and promise."""
    return {entry.name: entry.promise for entry in FEATURE_CHECKS}


def check_strategy(strategy: Any, market: Market | None = None, seed: int = 0) -> tuple[str, ...]:
    """The names of the checks that `strategy`, an object or a class that needs no settings, passed: all of `strategy_checks()`.

    `market`: bars to ask it on in place of the checks' own untidy ones; its last few hundred are used. `seed` draws the markets and cuts.
    The object is copied and stays as it is. Raises CheckFailed, with `.check`, `.bar` and advice, at the first broken promise.
    """
    return _all_passed(examine(STRATEGY_CHECKS, StrategySubject(_object(strategy), market, seed)))


def check_forecaster(forecaster: Any, seed: int = 0) -> tuple[str, ...]:
    """The names of the checks that `forecaster`, an object or a class that needs no settings, passed: all of `forecaster_checks()`.

    It is asked about classes and about returns, whichever it can learn. Raises CheckFailed at the first broken promise.
    """
    return _all_passed(examine(FORECASTER_CHECKS, ForecasterSubject(_object(forecaster), seed)))


def check_feature(feature: Any, market: Market | None = None, seed: int = 0) -> tuple[str, ...]:
    """The names of the checks that `feature` passed: all of `feature_checks()`.

    `feature`: a name such as `rsi_14`, a function decorated with `tradewind.features.feature`, or a list of both. Raises CheckFailed, where
    `.bar` is the row, at the first broken promise.
    """
    return _all_passed(examine(FEATURE_CHECKS, FeatureSubject(feature, market, seed)))


def check(subject: Any, seed: int = 0) -> tuple[str, ...]:
    """`check_strategy`, `check_forecaster` or `check_feature`, by what `subject` is. Raises CheckFailed at the first broken promise."""
    return _all_passed(run_all(subject, seed=seed))


def run_all(subject: Any, market: Market | None = None, seed: int = 0, only: Collection[str] = ()) -> Iterator[Result]:
    """Every check that applies to `subject`, one result at a time as it is found, the failed ones among them.

    `only`: names of checks to leave it at. Raises SettingsError when `subject` is neither a strategy, a forecaster nor a feature, and for
    an unknown name, before the first result.
    """
    kind = kind_of(subject)
    if kind == "strategy":
        return examine(_chosen(STRATEGY_CHECKS, only), StrategySubject(_object(subject), market, seed))
    if kind == "forecaster":
        return examine(_chosen(FORECASTER_CHECKS, only), ForecasterSubject(_object(subject), seed))
    return examine(_chosen(FEATURE_CHECKS, only), FeatureSubject(subject, market, seed))


def _chosen(checks: tuple[Check[S], ...], only: Collection[str]) -> list[Check[S]]:
    table = {entry.name: entry for entry in checks}
    return [choose(name, table, "check") for name in only] if only else list(checks)


def kind_of(subject: Any) -> str:
    """`strategy`, `forecaster` or `feature`. Raises SettingsError for anything else, saying what makes the difference."""
    if hasattr(subject, "decide"):
        return "strategy"
    if hasattr(subject, "predict"):
        return "forecaster"
    if isinstance(subject, str | list | tuple) or (hasattr(subject, "warmup") and hasattr(subject, "inputs")):
        return "feature"
    raise SettingsError(
        f"{subject!r} is neither a strategy (it has no decide), nor a forecaster (no predict), nor a feature (not made by "
        "@tradewind.features.feature)"
    )


def _object(subject: Any) -> Any:
    """An object of `subject` where it is a class."""
    if not inspect.isclass(subject):
        return subject
    try:
        return subject()
    except TypeError as error:
        raise SettingsError(f"{subject.__name__} cannot be made without settings ({error}); hand over an object of it") from error


def _all_passed(results: Iterator[Result]) -> tuple[str, ...]:
    names = []
    for result in results:
        result.raise_if_failed()
        names.append(result.check)
    return tuple(names)
