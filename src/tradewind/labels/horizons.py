"""Returns over several horizons at once, which a forecaster of whole paths is taught.

Every horizon is measured from the close at which the decision is made, as in labels/returns. Source: the multi-horizon target of Lim, Arik,
Loeff and Pfister 2021, https://arxiv.org/abs/1912.09363, with returns in place of levels. Cost: one gather a symbol and horizon.
Fails to use the newest bars: a row has an answer only when its longest horizon is known, although the short ones are known sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Labels
from tradewind.labels.returns import horizon_return

__all__ = ["multi_horizon"]


def multi_horizon(market: Market, horizons: Sequence[int] = (1, 5, 15, 60), horizon: int | None = None) -> Labels:
    """Simple returns from the close of t to the close of the symbol's h-th later bar, for each h of `horizons` (bars, ascending).

    `ahead` (time, symbol, step) has all of them; `values` is the one over `horizon`, which must be among them: the longest where it is
    None, since it is the move that has to pay for the costs. `known` and `end` are those of the longest, and a row without that one has
    no answer at all. Raises SettingsError for horizons that cannot be.
    """
    require(isinstance(horizons, Sequence) and len(horizons) > 0, f"horizons are {horizons!r}; they are numbers of bars such as (1, 5, 15)")
    for bars in horizons:
        whole(horizons=bars)
    require(all(a < b for a, b in pairwise(horizons)), f"horizons are {tuple(horizons)}; each must be longer than the one before")
    asked = horizons[-1] if horizon is None else horizon
    require(asked in horizons, f"horizon is {asked!r}; it is one of the horizons {tuple(horizons)}")
    each = [horizon_return(market, bars) for bars in horizons]
    longest = each[-1]
    ahead = np.where(np.isnan(longest.values)[:, :, None], np.nan, np.stack([one.values for one in each], axis=2))
    values = ahead[:, :, list(horizons).index(asked)]
    return Labels(values, longest.known, longest.end, longest.weights, (), asked, ahead, tuple(horizons))
