"""The public face: every name is there, loads on first use, and importing the package costs next to nothing."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tradewind as tw
from tradewind import checks

HEAVY = {
    "numpy",
    "numba",
    "polars",
    "pyarrow",
    "duckdb",
    "lightgbm",
    "xgboost",
    "catboost",
    "optuna",
    "mlflow",
    "torch",
    "sklearn",
    "scipy",
    "ccxt",
    "plotly",
    "rich",
    "typer",
    "pandas",
}
WANTED_SECONDS = 0.4
# fmt: off
PUBLIC = [
    "CompareSettings", "Costs", "Features", "Forecast", "Forecaster", "Labels", "Market", "Outcome",
    "Portfolio", "State", "Strategy", "Target", "TradewindError", "View", "backtest",
    "checks", "compare", "data", "ensemble", "evaluate", "explain", "features", "forecaster", "forecasters", "labels",
    "meta", "portfolio", "regimes", "rl",
    "stats", "strategies", "strategy", "sweep", "synthetic", "tune", "walk_forward", "__version__",
]
# fmt: on


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_the_public_names_are_these() -> None:
    assert sorted(PUBLIC) == sorted(tw.__all__) == sorted(dir(tw))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(tw, name) is getattr(tw, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'markets'"):
        tw.markets  # noqa: B018


def test_every_name_of_every_all_is_there() -> None:
    for entry in pkgutil.walk_packages(tw.__path__, "tradewind."):
        if entry.name.endswith("__main__"):
            continue
        module = importlib.import_module(entry.name)
        for name in getattr(module, "__all__", ()):
            assert hasattr(module, name), f"{entry.name} lists {name} and does not have it"


def test_strategies_is_both_a_package_and_a_list() -> None:
    assert "momentum" in tw.strategies()
    assert tw.strategies.registry.names() == tw.strategies()


def test_importing_loads_nothing_heavy() -> None:
    loaded = set(run("import sys, tradewind; print(*{name.partition('.')[0] for name in sys.modules})").split())
    assert not loaded & HEAVY


def seconds_to_import(program: str) -> float:
    """Seconds that imports take, as `-X importtime` tells them one by one; the least of three runs."""
    runs = []
    for _ in range(3):
        command = [sys.executable, "-X", "importtime", "-c", program]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        runs.append(sum(int(own) for own in re.findall(r"import time:\s+(\d+) \|", said)) / 1e6)
    return min(runs)


def test_importing_is_quick() -> None:
    assert seconds_to_import("import tradewind") < WANTED_SECONDS


def test_help_is_quick() -> None:
    program = "import sys; sys.argv = ['tradewind', '--help']; from tradewind.cli import main; main()"
    assert seconds_to_import(program) < WANTED_SECONDS


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(tw.__file__).parent / "py.typed").exists()


def test_checks_list_what_they_promise() -> None:
    for table in (checks.strategy_checks(), checks.forecaster_checks(), checks.feature_checks()):
        assert len(table) >= 8
        assert all(len(promise) > 20 and promise.endswith(".") for promise in table.values())
