"""Statistical jump model: clusters of return features, with a price on every jump from one cluster to another.

Papers: Nystrup, Lindström and Madsen 2020, https://doi.org/10.1016/j.eswa.2020.113307 (the model, its coordinate descent, its online
answer, LOCAL features); Shu, Yu and Mulvey 2024, https://arxiv.org/abs/2402.05272 (DOWNSIDE features). Cost: O(features * states) a bar
to filter, and starts * a dozen passes of the same to fit. Fails where regimes are shorter than the price makes worth while; it answers late
by the features' half-lives; and its probabilities are too sure of themselves, because features of neighbouring bars are nearly the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.limits import number, whole
from tradewind.core.market import Market
from tradewind.core.seeds import generator
from tradewind.core.settings import choose, require
from tradewind.core.types import Array
from tradewind.regimes import jump_kernels as kernels
from tradewind.regimes.recursive import Advance, Parameters, Recursive, state_names

__all__ = ["DOWNSIDE", "KINDS", "LOCAL", "JumpModel", "coordinate_descent"]

KINDS: Final = {
    "return": kernels.RETURN,
    "change": kernels.CHANGE,
    "mean": kernels.MEAN,
    "deviation": kernels.DEVIATION,
    "downside": kernels.DOWNSIDE,
    "sortino": kernels.SORTINO,
}
"""Features: `return` and `change` (its distance from the return before) as they are, the others with a half-life in bars, `mean_5`."""

LOCAL: Final = ("return", "change", "mean_2", "deviation_2", "mean_5", "deviation_5")
"""The features of Nystrup et al. 2020 that see no later bar; half-lives have the mean age of their windows of 6 and 14 bars."""

DOWNSIDE: Final = ("downside_10", "sortino_20", "sortino_60")
"""The features of Shu et al. 2024, made for falls that begin slowly and last for months."""

_LEAST_BARS: Final = 20
"""Rows of features a state that a fit asks for."""

_PASSES: Final = 300
"""Passes of the coordinate descent at most; it stops by itself, as a rule after ten or so, when no bar changes its state."""


def coordinate_descent(scores: Array, centroids: Array, penalty: float) -> tuple[Array, NDArray[np.int64], float]:
    """From `centroids` (state, feature): the best path of states (time,) given the centroids, then the best centroids given the path, until
    the path stays. Answers centroids, path and the objective: half the squared distances of `scores` (time, feature), and `penalty` a jump.

    The objective never rises. A state that loses all its rows keeps its centroid. With penalty 0 this is Lloyd's k-means.
    """
    path, objective = kernels.dynamic_program(kernels.losses(scores, centroids), penalty)
    for _ in range(_PASSES):
        centroids = np.array([scores[path == i].mean(axis=0) if (path == i).any() else row for i, row in enumerate(centroids)])
        before, (path, objective) = path, kernels.dynamic_program(kernels.losses(scores, centroids), penalty)
        if np.array_equal(path, before):
            break
    return centroids, path, objective


def _scattered(scores: Array, states: int, random: np.random.Generator) -> Array:
    """Rows to begin from, each drawn by its squared distance from those drawn before (k-means++, Arthur and Vassilvitskii 2007)."""
    chosen = [scores[random.integers(len(scores))]]
    for _ in range(states - 1):
        distance = np.min([((scores - row) ** 2).sum(axis=1) for row in chosen], axis=0)
        total = distance.sum()
        row = np.searchsorted(np.cumsum(distance), random.random() * total) if total > 0 else random.integers(len(scores))
        chosen.append(scores[min(int(row), len(scores) - 1)])
    return np.array(chosen)


@final
class JumpModel(Recursive):
    """Which of `states` clusters each bar is in, calm ones first, when every jump costs `penalty` (half squared deviations of features).

    `features` of simple returns, of KINDS: LOCAL or DOWNSIDE, or others, such as `deviation_20`; standardised by the training part and cut
    off at three deviations. `starts` seeded starts. Online a bar's state is where the cheapest path up to it ends, and the probabilities
    are the softmin of the costs of the cheapest paths that end in each state: exp(-cost) is the likelihood of a path when features are
    normal around their centroids with deviation 1. Answers begin once the longest half-life has passed. The default penalty was
    the better of 10 and 50 on thirty paths of `tw.synthetic.switching`. Raises SettingsError for settings that cannot be.
    """

    name: ClassVar[str] = "jump"

    def __init__(self, states: int = 2, penalty: float = 10.0, features: Sequence[str] = LOCAL, starts: int = 10, seed: int = 0) -> None:
        whole(least=2, states=states)
        whole(starts=starts)
        whole(least=0, seed=seed)
        number(positive=False, penalty=penalty)
        require(len(features) > 0, "features are empty; a jump model needs one at least, such as deviation_5")
        self.states, self.penalty, self.features, self.starts, self.seed = states, float(penalty), tuple(features), starts, seed
        self.names = state_names(states)
        kinds, lives = zip(*(_declared(feature) for feature in features), strict=True)
        # The change needs the return before the first one told.
        self.warmup = max(2, *lives)
        self._kinds = np.array(kinds, dtype=np.int64)
        self._decays = 0.5 ** (1.0 / np.array(lives, dtype=np.float64))

    def settings(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("states", "penalty", "starts", "seed")}
        return plain | {"features": list(self.features)}

    def _given(self) -> Parameters | None:
        return None

    def _learn(self, bars: Market) -> Parameters | None:
        close = bars.close[:, 0]
        rows = kernels.feature_rows(close, self._kinds, self._decays)[self.warmup - 1 :]
        if len(rows) < _LEAST_BARS * self.states:
            return None
        centre, scale = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(scale > 1e-12 * np.maximum(np.abs(centre), 1e-6), scale, 1.0)
        scores = np.clip((rows - centre) / scale, -kernels.CLIP, kernels.CLIP)
        found = [
            coordinate_descent(scores, _scattered(scores, self.states, generator(self.seed, "jump", start)), self.penalty)
            for start in range(self.starts)
        ]
        centroids, path, _ = min(found, key=lambda one: one[2])
        returns = (close[1:] / close[:-1] - 1.0)[self.warmup - 1 :]
        # A state without a bar has no volatility and comes last.
        volatility = [returns[path == i].std() if (path == i).any() else np.inf for i in range(self.states)]
        return {"centre": centre, "scale": scale, "centroids": centroids[np.argsort(volatility, kind="stable")]}

    def _begin(self, parameters: Parameters) -> tuple[Array, Advance]:
        memory = np.zeros((len(parameters["centre"]), 3 + self.states + 4 * len(self._kinds)))
        memory[:, 0] = np.nan
        learned = (parameters["centre"], parameters["scale"], parameters["centroids"])
        return memory, partial(_advance, (self._kinds, self._decays), learned, (self.penalty, self.warmup))


def _declared(feature: str) -> tuple[int, int]:
    """Kind and half-life of a feature by its name; 1 bar where it has none."""
    name, _, life = feature.partition("_")
    kind = choose(name, KINDS, "feature of the jump model")
    if kind in (kernels.RETURN, kernels.CHANGE):
        require(not life, f"{feature!r} is one of the bar itself and has no half-life; write {name}")
        return kind, 1
    require(life.isdigit() and int(life) >= 1, f"{feature!r} lacks its half-life, a whole number of bars; write {name}_5")
    return kind, int(life)


def _advance(
    features: tuple[NDArray[np.int64], Array], learned: tuple[Array, Array, Array], limits: tuple[float, int], market: Market, memory: Array
) -> Array:
    return kernels.filter_bars(market.close, *features, *learned, *limits, memory)
