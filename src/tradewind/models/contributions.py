"""What each input added to a model's answer: the shape in which every kind of model explains a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tradewind.core.types import Array

__all__ = ["Contributions"]


@final
@dataclass(frozen=True, eq=False)
class Contributions:
    """Additive parts of a model's raw answers for n rows: `base` + the sum of `values` over lags and features is `total`.

    `values` (n, lag, feature): what each input added, the latest row last; one lag for models that look at a single row. `base` (n,): the
    answer to nothing in particular, and `total` (n,), both in `unit`: a return, a probability, or log-odds of the highest class against
    the lowest. `names` (feature,) and `inputs` (n, lag, feature), as the model was given them. `method` says how it was computed.
    Forecasters that can explain themselves have `contributions(X: Features, rows) -> Contributions`, where `rows` is a (n, 2) array of
    (time, symbol) positions in X that can be answered.
    """

    values: Array
    base: Array
    total: Array
    inputs: Array
    names: tuple[str, ...]
    unit: str
    method: str
