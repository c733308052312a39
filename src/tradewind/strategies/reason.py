"""Why a strategy wants what it wants: the shape in which every kind of strategy that can say so does.

A strategy offers it as `explain(view, symbol) -> Reason`, beside `decide(view)` and from the same numbers. It is asked only by those who
want to know, so `decide` pays nothing for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np

from tradewind.core.protocols import Forecaster
from tradewind.core.types import Features, Forecast, Portfolio
from tradewind.models.contributions import Contributions
from tradewind.strategies.policy import Policy, edge

__all__ = ["Answer", "Reason", "policy_reason", "share", "side"]


@final
@dataclass(frozen=True, eq=False)
class Answer:
    """What a forecaster was asked and what it said: inputs `X` whose last row is the bar's, the `forecast` of them, and the fitted `model`.

    `parts`: what each input added to the answer of the symbol asked for; None where the model cannot tell, and `silence` says why.
    """

    X: Features
    forecast: Forecast
    model: Forecaster
    parts: Contributions | None = None
    silence: str = ""


@final
@dataclass(frozen=True, eq=False)
class Reason:
    """How the target of one symbol came about: `words`, sentences in the order of thought, and the `values` that they speak of, by name.

    `answer`: the forecast that was acted on, for strategies that act on one.
    """

    words: tuple[str, ...]
    values: Mapping[str, float] = field(default_factory=dict)
    answer: Answer | None = None


def policy_reason(policy: Policy, forecast: Forecast, portfolio: Portfolio, symbol: int, answer: Answer | None = None) -> Reason:
    """How `policy` makes a target for one symbol (a column) out of the last row of `forecast` and what is held."""
    size = float(edge(forecast, policy.cost)[-1, symbol])
    wanted = float(policy.desired(forecast)[-1, symbol])
    target = float(policy.decide(forecast, portfolio).weights[symbol])
    held, band = float(portfolio.weights[symbol]), policy.band / len(portfolio.weights)
    values = {"edge": size, "threshold": policy.threshold, "wanted": wanted, "held": held, "band": band, "target": target}
    if math.isnan(wanted):
        return Reason(("An input is missing at this bar, so there is no forecast: what is held is kept.",), values, answer)
    unit = "of the scale from sure fall to sure rise" if forecast.probabilities is not None else "times the cost of a round trip"
    first = f"The edge is {size:+.4f} {unit}"
    if abs(size) <= policy.threshold:
        first += f", not beyond the threshold of {policy.threshold:g}: nothing is worth holding."
    elif wanted == 0.0:
        why = "nothing may be held in that direction" if policy.long_only and size < 0 else "the interval around it has no end"
        first += f", beyond the threshold of {policy.threshold:g}, but {why}."
    else:
        first += f", beyond the threshold of {policy.threshold:g}: {share(wanted)} is wanted."
    distance = abs(wanted - held)
    if math.isnan(target):
        second = f"It held {share(held)}; {distance:.4f} of equity away is inside the band of {band:g}, so it keeps that."
    else:
        second = f"It held {share(held)}; {distance:.4f} of equity away is not inside the band of {band:g}, so it asks for {share(target)}."
    return Reason((first, second), values, answer)


def share(weight: float) -> str:
    """A weight in words: `+0.2500 of equity`, `nothing`."""
    return "nothing" if weight == 0.0 else f"{weight:+.4f} of equity"


def side(signal: float) -> str:
    """`long`, `short` or `flat`, by the sign of a signal."""
    return {1.0: "long", -1.0: "short"}.get(float(np.sign(signal)), "flat")
