"""Expert weights by name: `make` for a stream, `run` for a history.

Each rule stands beside its paper and its bound in a file of its own: hedge, adahedge, fixed_share, boa, expert_gradient, expert_newton,
leader. `run` is the loop over `update`, so a stream and a history agree to the bit.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError
from tradewind.core.settings import build, choose
from tradewind.core.types import Array
from tradewind.ensemble.experts import ExpertWeights, among

__all__ = ["among", "make", "names", "run"]

_HOMES: Final = {
    "hedge": "hedge:Hedge",
    "adahedge": "adahedge:AdaHedge",
    "fixed-share": "fixed_share:FixedShare",
    "boa": "boa:BOA",
    "eg": "expert_gradient:ExpertGradient",
    "ons": "expert_newton:ExpertNewton",
    "follow-the-leader": "leader:FollowTheLeader",
}


def names() -> list[str]:
    """Every rule there is."""
    return list(_HOMES)


def make(name: str, experts: int, **settings: Any) -> ExpertWeights:
    """The rule called `name` over `experts` (a number of them), before its first round; `settings` are the rule's own.

    Raises SettingsError, naming the nearest known word, for an unknown name or setting.
    """
    module, _, rule = choose(name, _HOMES, "rule of expert weights").partition(":")
    made = build(getattr(importlib.import_module(f"tradewind.ensemble.{module}"), rule), {**settings, "experts": experts}, name)
    assert isinstance(made, ExpertWeights)  # what _HOMES says; for the type checker
    return made


def run(name: str, losses: ArrayLike, awake: ArrayLike | None = None, **settings: Any) -> Array:
    """(time, expert) weights of the rule called `name`: row t is held during round t and comes from the losses before it; row 0 is even.

    `losses` (time, expert), the lower the better; `awake` (time, expert) bool: who takes part, all where None, but for those whose loss is
    NaN. A row gives sleepers nothing and sums to one over those awake, to 0 where nobody is. Raises SettingsError for an unknown name or
    setting, DataError for other shapes or infinite losses.
    """
    table = np.asarray(losses, dtype=np.float64)
    if table.ndim != 2:
        raise DataError(f"losses have shape {table.shape}; they are (time, expert)")
    if awake is not None and np.shape(awake) != table.shape:
        raise DataError(f"awake has shape {np.shape(awake)}, losses {table.shape}; both are (time, expert)")
    takes_part = ~np.isnan(table) & (True if awake is None else np.asarray(awake, dtype=np.bool_))
    rule = make(name, table.shape[1], **settings)
    held = np.empty(table.shape)
    for t, row in enumerate(table):
        held[t] = among(rule.weights, takes_part[t])
        rule.update(row, takes_part[t])
    return held
