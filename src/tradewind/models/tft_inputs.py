"""What the Temporal Fusion Transformer reads beside windows of rows: whose they are, and the calendar of the steps ahead.

Paper: Lim, Arik, Loeff and Pfister 2021, https://arxiv.org/abs/1912.09363, section 3 (observed and known inputs). The calendar ahead
comes from the features' own kernel, at open_time + h bars. Costs a sort of (row, step) moments. Fails in markets that close: the h-th
bar to come is then taken to open h bar lengths later, which may be a night.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np
import torch

from tradewind.core.clock import SECOND as NANOSECONDS
from tradewind.core.errors import StateError
from tradewind.core.types import Array, Features, State, Times
from tradewind.features.catalog import CALENDAR, Indicated, resolve
from tradewind.features.kernels.rows import ROWS, SECOND
from tradewind.features.scale import Standardiser
from tradewind.models.rows import finite_rows
from tradewind.models.windowed import FARTHEST, as_tensor
from tradewind.nets.tft import Histories
from tradewind.nets.windows import Windows

__all__ = ["Ahead"]


@final
@dataclass(frozen=True, eq=False)
class Ahead:
    """What a fit has settled beside the windows: the `symbols`, the steps ahead in bars, the length of a `bar` in ns.

    The columns of the calendar are known of the steps ahead; beside them a step knows how far it is.
    """

    symbols: tuple[str, ...]
    horizons: tuple[int, ...]
    bar: int

    @classmethod
    def of(cls, X: Features, horizons: tuple[int, ...]) -> Self:
        """For the symbols and the usual bar length of `X`; of a single row the time until it was known."""
        between = np.diff(X.open_time)
        bar = np.median(between) if len(between) else X.known[0] - X.open_time[0]
        return cls(X.symbols, horizons, int(bar))

    def known(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """What is known of a step ahead, given the columns of the inputs: `distance`, and the calendar's columns among them."""
        return ("distance", *(name for name in names if name in CALENDAR))

    def histories(self, X: Features, found: Windows, scaler: Standardiser) -> Histories:
        """The windows `found` in `X`, with their symbols and what is known of the steps ahead on the scale of the inputs."""
        numbers = np.array([self.symbols.index(name) if name in self.symbols else len(self.symbols) for name in X.symbols])
        owner = numbers[np.nonzero(finite_rows(X).T)[0]]
        later = X.open_time[found.time, None] + np.asarray(self.horizons) * self.bar
        moments, place = np.unique(later, return_inverse=True)
        ahead = place.reshape(later.shape)
        distance = np.asarray(self.horizons) / self.horizons[-1]
        calendar = _calendar(moments, self.known(X.names)[1:], scaler)
        return Histories(found, torch.from_numpy(owner), as_tensor(distance), as_tensor(calendar), torch.from_numpy(ahead))

    def state(self) -> State:
        """As plain data."""
        return State({"symbols": list(self.symbols), "horizons": list(self.horizons), "bar": self.bar})

    @classmethod
    def restore(cls, state: State) -> Self:
        """From `state`. Raises StateError when it is of something else."""
        if not {"symbols", "horizons", "bar"} <= state.values.keys():
            raise StateError("this state holds no Temporal Fusion Transformer; restore it into the forecaster that saved it")
        return cls(tuple(state.values["symbols"]), tuple(int(bars) for bars in state.values["horizons"]), int(state.values["bar"]))


def _calendar(moments: Times, names: tuple[str, ...], scaler: Standardiser) -> Array:
    """(moment, name): columns of the calendar at `moments` (moment,) UTC ns, from the features' own kernel, as standard scores."""
    if not names or not len(moments):
        return np.empty((len(moments), len(names)))
    bars = np.zeros((ROWS, len(moments)))
    bars[SECOND] = moments / NANOSECONDS
    columns = np.empty((len(moments), len(names)))
    for place, chosen in enumerate(resolve(names)):
        assert isinstance(chosen, Indicated), "the calendar is built in"
        out = np.empty((chosen.outputs, len(moments)))
        chosen.kernel(np.zeros(chosen.state), bars, chosen.parameters, out)
        columns[:, place] = out[chosen.output]
    scaled = [scaler.names.index(name) for name in names]
    return np.asarray(np.clip((columns - scaler.mean[scaled]) / scaler.deviation[scaled], -FARTHEST, FARTHEST))
