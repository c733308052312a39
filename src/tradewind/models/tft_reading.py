"""Reading a Temporal Fusion Transformer: what it selected, where it looked, and what each input added to its answer.

Papers: Lim, Arik, Loeff and Pfister 2021, https://arxiv.org/abs/1912.09363, section 7 (selection and attention weights); Sundararajan, Taly
and Yan 2017, https://arxiv.org/abs/1703.01365 (integrated gradients). Costs one forward pass a row for weights, hundreds for
contributions. Weights fail to say in which direction an input moves the answer; contributions do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tradewind.core.types import Array
from tradewind.models.gradients import as_one_number
from tradewind.models.rows import Task
from tradewind.nets.attribution import Attribution, integrated_gradients
from tradewind.nets.device import reproducible
from tradewind.nets.tft import Histories, History, Sequences, TemporalFusionTransformer

__all__ = ["Interpretation", "attribute", "interpret"]

TOGETHER: Final = 64


@final
@dataclass(frozen=True, eq=False)
class Interpretation:
    """The weights behind n answers, at the rows `time` and `symbol` (n,) of the panel; along the last axis they sum to one.

    `static` (n, 1): of the symbol, the only static input. `encoder` (n, input): selection weights of the inputs, by `inputs`, averaged
    over the bars of the window. `decoder` (n, step, known): those of what is known of each of the `horizons` ahead, by `known`. `attention`
    (n, step, lag + step): where each step looked, the bars of the window from the oldest to the newest, then the steps ahead themselves.
    """

    time: NDArray[np.int64]
    symbol: NDArray[np.int64]
    inputs: tuple[str, ...]
    known: tuple[str, ...]
    horizons: tuple[int, ...]
    static: Array
    encoder: Array
    decoder: Array
    attention: Array

    @property
    def window(self) -> int:
        """Bars of the window, which are the first positions of the attention."""
        return int(self.attention.shape[2]) - len(self.horizons)

    def selected(self) -> dict[str, dict[str, float]]:
        """Mean selection weights over all rows and steps: `static`, `encoder` and `decoder`, each by name, the largest first."""
        parts = {"static": (("symbol",), self.static), "encoder": (self.inputs, self.encoder), "decoder": (self.known, self.decoder)}
        return {part: _ranked(names, weights) for part, (names, weights) in parts.items()}

    def attended(self) -> Array:
        """(step, lag): the mean attention of each step to the bars of the window, from the oldest to the newest."""
        return np.asarray(self.attention[:, :, : self.window].mean(axis=0))


def interpret(
    net: TemporalFusionTransformer, histories: Histories, inputs: tuple[str, ...], known: tuple[str, ...], horizons: tuple[int, ...]
) -> Interpretation:
    """The weights of `net`, in eval mode on the CPU, behind its answers to all of `histories`."""
    net.eval()
    encoder, decoder, attention = [], [], []
    with reproducible(None), torch.inference_mode():
        for first in range(0, len(histories), TOGETHER):
            which = torch.arange(first, min(first + TOGETHER, len(histories)))
            history = histories.gather(which)
            assert isinstance(history, History), "histories share their bars unless told otherwise"
            reading = net.read(history)
            encoder.append(reading.bars[history.place].mean(dim=1))
            decoder.append(reading.steps)
            attention.append(reading.attention)
    steps, found = len(horizons), histories.windows
    return Interpretation(
        found.time,
        found.symbol,
        inputs,
        known,
        horizons,
        np.ones((len(found), 1)),
        _joined(encoder, (0, len(inputs))),
        _joined(decoder, (0, steps, len(known))),
        _joined(attention, (0, steps, found.size + steps)),
    )


def attribute(net: TemporalFusionTransformer, histories: Histories, step: int, task: Task, levels: tuple[float, ...]) -> Attribution:
    """Integrated gradients of the one number that the answer at `step` comes down to, in the unit of the net, for all of `histories`.

    The first of its values is what each number of the windows added, (n, lag, input). The baseline is a window of training means with
    the same symbol and the same calendar ahead, so these add nothing.
    """
    net.eval()
    nothing = np.zeros(0)
    parts = [Attribution((np.zeros((0, histories.windows.size, histories.windows.rows.shape[1])),), nothing, nothing, nothing, ())]
    with reproducible(None):
        for number in range(len(histories)):
            alone = replace(histories, shared=False).gather(torch.tensor([number]))
            assert isinstance(alone, Sequences), "histories that are not shared stand alone"

            def one(windows: Tensor, symbol: Tensor = alone.symbol, future: Tensor = alone.future) -> Tensor:
                n = len(windows)
                outputs = net(Sequences(windows, symbol.expand(n), future.expand(n, -1, -1)))
                return as_one_number(outputs if task.classes else outputs[:, step], task, levels)

            parts.append(integrated_gradients(one, [alone.windows]))
    values = (np.concatenate([part.values[0] for part in parts]),)
    base, total, gap = (np.concatenate([getattr(part, name) for part in parts]) for name in ("base", "total", "gap"))
    return Attribution(values, base, total, gap, tuple(steps for part in parts for steps in part.steps))


def _ranked(names: tuple[str, ...], weights: Array) -> dict[str, float]:
    mean = weights.reshape(-1, len(names)).mean(axis=0)
    return {names[place]: float(mean[place]) for place in np.argsort(-mean, kind="stable")}


def _joined(parts: list[Tensor], empty: tuple[int, ...]) -> Array:
    return torch.cat(parts).double().numpy() if parts else np.zeros(empty)
