"""Small lessons with an answer in the first column, gaps in the inputs and answers, and settings that fit in no time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradewind.core.clock import MINUTE
from tradewind.core.protocols import Forecaster
from tradewind.core.types import Features, Forecast, Labels
from tradewind.models.registry import forecaster

STEP = 15 * MINUTE
SMALL: dict[str, dict[str, Any]] = {
    "random-forest": {"trees": 20},
    **{name: {"trees": 60, "learning_rate": 0.1} for name in ("lightgbm", "xgboost", "catboost")},
    "stacking": {"folds": 2, "member_settings": {"random-forest": {"trees": 10}, "lightgbm": {"trees": 30, "learning_rate": 0.1}}},
    "voting": {
        "members": ("logistic", "random-forest", ("lightgbm", {"trees": 30, "learning_rate": 0.1})),
        "member_settings": {"random-forest": {"trees": 10}},
    },
    "regime-specific": {"regimes": ("x1", "x2"), "least": 30},
    "price-action-transformer": {
        "window": 4,
        "width": 16,
        "layers": 1,
        "feedforward": 32,
        "epochs": 6,
        "learning_rate": 0.005,
        "dropout": 0.05,
        "validation": 0.2,
        # A lesson of a few hundred steps would be over before the guide's two thousand to warm up.
        "warmup": 0,
    },
    "mlp": {"hidden": 16, "epochs": 6, "learning_rate": 0.005, "dropout": 0.05},
    "lstm": {"window": 4, "hidden": 8, "layers": 1, "epochs": 6, "learning_rate": 0.01, "dropout": 0.05},
    "transformer": {"window": 4, "width": 16, "layers": 1, "feedforward": 32, "epochs": 6, "learning_rate": 0.005, "dropout": 0.05},
    "tft": {
        "window": 4,
        "hidden": 8,
        "layers": 1,
        "heads": 2,
        "embedding": 4,
        "epochs": 6,
        "batch": 32,
        "learning_rate": 0.01,
        "dropout": 0.05,
    },
}


NETS = ("mlp", "lstm", "transformer", "price-action-transformer", "tft")
"""Forecasters that train a net."""


def small(name: str, **settings: Any) -> Forecaster:
    if name == "catboost":
        pytest.importorskip("catboost", reason="the extra catboost is not installed")
    return forecaster(name, **{**SMALL.get(name, {}), **settings})


def lesson(
    n: int = 400, symbols: int = 2, columns: int = 4, classes: tuple[float, ...] = (-1.0, 0.0, 1.0), noise: float = 0.3, seed: int = 0
) -> tuple[Features, Labels]:
    """The answer to row t is the sign (or a hundredth) of its first column plus noise; it is known one row later."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((n, symbols, columns))
    latent = values[:, :, 0] + noise * random.standard_normal((n, symbols))
    if classes:
        answer = np.sign(latent) if 0.0 not in classes else np.where(np.abs(latent) < 0.4, 0.0, np.sign(latent))
    else:
        answer = latent * 0.01
    values[:3] = np.nan
    values[random.uniform(size=(n, symbols)) < 0.03] = np.nan
    answer[-1] = np.nan
    return features(values), labels(answer, classes)


def features(values: np.ndarray[Any, Any], warmup: int = 3) -> Features:
    n, symbols, columns = values.shape
    open_time = np.arange(n, dtype=np.int64) * STEP
    names = tuple(f"x{i}" for i in range(columns))
    return Features(names, values, warmup, open_time, open_time + STEP, tuple(f"S{i}" for i in range(symbols)))


def labels(values: np.ndarray[Any, Any], classes: tuple[float, ...] = (), weights: np.ndarray[Any, Any] | None = None) -> Labels:
    n, symbols = values.shape
    known = np.repeat((np.arange(n, dtype=np.int64) * STEP + 2 * STEP)[:, None], symbols, axis=1)
    end = np.repeat(np.minimum(np.arange(n) + 1, n - 1)[:, None], symbols, axis=1)
    return Labels(values, known, end, np.ones((n, symbols)) if weights is None else weights, classes, 1)


def numbers(forecast: Forecast) -> np.ndarray[Any, Any]:
    """Probabilities, or the mean with a last axis of one."""
    if forecast.probabilities is not None:
        return forecast.probabilities
    assert forecast.mean is not None
    return forecast.mean[:, :, None]
