"""The performance predictor: a small net that sees a member's recent past and the regime and predicts its next window of returns.

For each member the same net, x -> tanh(x A + a) b + c, with x the twenty numbers of `member_history`, the member's standing in the regime
of now, the regime's probabilities and three numbers about the market. It learns y, the member's lead over the mean of all over the next
`window` bars, in units of the members' usual distance over such a window, by squared error with weight decay (Adam, whole batch, seeded).
Every `every` bars it goes on from where it was for a few steps, on questions whose window is over: nothing is learned before it is known.

What it predicts tilts the regime's weights w: gate_i ~ w_i exp(y_i / (temperature * spread)), the spread being the usual size of its
answers, since a shrunken answer says who, not how surely. Whether that is worth anything is not for the net to say: see `gate`.

Sources: stacking by covariates, feature-weighted ensembles, Sill et al. (2009), https://arxiv.org/abs/0911.0460; Adam, Kingma & Ba (2015),
https://arxiv.org/abs/1412.6980. Costs about 30 microseconds a bar and some ten milliseconds a training. Fails where the past of a strategy
says nothing about its future, which is the rule in markets: then it predicts noise, and the gate stays closed.
"""

from __future__ import annotations

import math
from typing import Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.errors import StateError
from tradewind.core.seeds import generator
from tradewind.core.types import Array, State
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.member_history import CHANNELS, HISTORY_NAMES, MARKET_NAMES, describe_market, describe_members

__all__ = ["Predictor"]

HIDDEN: Final = 16
STEPS: Final = 20
RATE: Final = 0.01
DECAY: Final = 1e-3
QUESTIONS: Final = 5
"""Questions kept of each window: windows that overlap more than that say the same again."""
_SMOOTH: Final = (0.9, 0.999)
_CLIP: Final = 4.0
_ARRAYS: Final = ("window", "moves", "before", "asked", "answers", "begun", "total", "apart", "usual", "net", "momentum", "counts")


@kernel
def _centre(values: Array, awake: NDArray[np.bool_]) -> float:
    """Take from the `values` (member,) of those awake, one at least, their mean, put 0 for the others, and return the mean square."""
    total, squares, count = 0.0, 0.0, 0
    for i in range(len(values)):
        if awake[i]:
            total += values[i]
            count += 1
    for i in range(len(values)):
        values[i] = values[i] - total / count if awake[i] else 0.0
        squares += values[i] ** 2
    return squares / count


@kernel
def _live(
    earned: Array, lived: NDArray[np.bool_], positions: Array, move: float,
    window: Array, moves: Array, before: Array, total: Array, begun: Array, apart: Array,
) -> None:  # fmt: skip
    """One bar into what is remembered; the question of one who did not live it is lost."""
    window[:-1], moves[:-1] = window[1:].copy(), moves[1:].copy()
    moves[-1] = move
    for i in range(len(earned)):
        net, gross, traded = 0.0, 0.0, 0.0
        for s in range(positions.shape[1]):
            net += positions[i, s]
            gross += abs(positions[i, s])
            traded += abs(positions[i, s] - before[i, s])
            before[i, s] = positions[i, s]
        window[-1, i, 0], window[-1, i, 1], window[-1, i, 2], window[-1, i, 3] = earned[i], net, gross, traded
        total[i] += earned[i]
        if not lived[i]:
            begun[:, i] = np.nan
    if lived.any():
        squares = _centre(earned.copy(), lived)
        apart[0] += (squares - apart[0]) / len(window)
        apart[1] += (1.0 - apart[1]) / len(window)


@final
class Predictor:
    """Predicts for `members` (a number of them) on `symbols` under `regimes` (numbers) by the settings of `config`."""

    def __init__(self, members: int, symbols: int, regimes: int, config: EnsembleConfig) -> None:
        self.width, self.every = config.performance_prediction_window, config.meta_training_frequency
        self.features, self.stride = config.agent_history_features, max(1, config.performance_prediction_window // QUESTIONS)
        self.inputs = self.features + 1 + regimes + len(MARKET_NAMES)
        kept = max(2, config.meta_lookback // self.stride)
        self._window, self._moves = np.zeros((self.width, members, len(CHANNELS))), np.zeros(self.width)
        self._before, self._total = np.zeros((members, symbols)), np.zeros(members)
        # Questions in a ring: what was seen, the sum of returns when it was asked, and the answer, NaN until it is known.
        self._asked = np.zeros((kept, members, self.inputs))
        self._begun, self._answers = np.full((kept, members), np.nan), np.full((kept, members), np.nan)
        # Exponential means over a window, each with its weight: squared distance between members, squared answers.
        self._apart, self._usual = np.zeros(2), np.zeros(2)
        self._net = np.zeros(self.inputs * HIDDEN + 2 * HIDDEN + 1)
        drawn = generator(config.seed, "ensemble", "predictor").standard_normal((self.inputs, HIDDEN)) / self.inputs**0.5
        self._net[: drawn.size] = drawn.ravel()
        self._momentum = np.zeros((2, len(self._net)))
        # Bars lived, and steps of Adam.
        self._counts = np.zeros(2, dtype=np.int64)
        self._about, self._market = np.empty((members, len(HISTORY_NAMES))), np.empty(len(MARKET_NAMES))

    @property
    def trained(self) -> bool:
        """Whether it has learned anything yet."""
        return bool(self._counts[1] > 0)

    def live(self, earned: Array, lived: NDArray[np.bool_], positions: Array, move: float) -> None:
        """Take in a bar: net returns `earned` (member,) of those who `lived` it, 0 of the others, the `positions` (member, symbol) that
        they stand for at its close, and the mean `move` of the symbols over it. Answers the question whose window is over, and trains in
        time.
        """
        _live(earned, lived, positions, move, self._window, self._moves, self._before, self._total, self._begun, self._apart)
        self._counts[0] += 1
        bars = int(self._counts[0])
        if bars > self.width and (bars - self.width) % self.stride == 0:
            self._settle((bars - self.width) // self.stride % len(self._asked))
        if bars % self.every == 0:
            self._train()

    def predict(self, regime: Array, standing: Array, awake: NDArray[np.bool_]) -> Array:
        """(member,) predicted lead over the next window, over the usual size of the answers; 0 for who is not `awake` (member,).

        `standing` (member,): the members' scores in the `regime` (regime,) of now, whose NaN count as 0. Asks the question, to learn from
        its answer, when one is due.
        """
        seen = self._see(regime, standing)
        bars = int(self._counts[0])
        if bars % self.stride == 0:
            slot = bars // self.stride % len(self._asked)
            self._asked[slot], self._answers[slot] = seen, np.nan
            self._begun[slot] = np.where(awake, self._total, np.nan)
        if not self.trained or not awake.any():
            return np.zeros(len(awake))
        lead, _ = _forward(self._net, seen)
        mean_square = _centre(lead, awake)
        self._usual[0] += (mean_square - self._usual[0]) / self.width
        self._usual[1] += (1.0 - self._usual[1]) / self.width
        usual = math.sqrt(self._usual[0] / self._usual[1])
        return lead / usual if usual > 0 else lead

    def interrupt(self) -> None:
        """The bars to come do not follow those lived through: questions whose window is not over are never answered."""
        self._begun[:] = np.nan

    def _see(self, regime: Array, standing: Array) -> Array:
        """(member, input) what the net reads now."""
        describe_members(self._window, self._about)
        describe_market(self._moves, self._market)
        seen, n = np.empty((len(standing), self.inputs)), self.features
        seen[:, :n] = self._about[:, :n]
        seen[:, n] = np.minimum(np.maximum(standing, -_CLIP), _CLIP)
        seen[:, n + 1 : n + 1 + len(regime)] = np.where(np.isnan(regime), 0.0, regime)
        seen[:, n + 1 + len(regime) :] = self._market
        return seen

    def _settle(self, slot: int) -> None:
        """The window of the question in `slot` is over: its answer is known."""
        gained = self._total - self._begun[slot]
        there = np.isfinite(gained)
        scale = float(np.sqrt(self._apart[0] / self._apart[1] * self.width)) if self._apart[0] > 0 else 0.0
        if there.sum() < 2 or scale == 0:
            return
        self._answers[slot] = np.clip((gained - gained[there].mean()) / scale, -_CLIP, _CLIP)

    def _train(self) -> None:
        """A few steps of Adam over every question that has an answer."""
        known = np.isfinite(self._answers)
        seen, answers = self._asked[known], self._answers[known]
        if len(answers) < 2 * self.inputs:
            return
        for _ in range(STEPS):
            self._counts[1] += 1
            slope = _slope(self._net, seen, answers)
            for moment, decay, value in zip(self._momentum, _SMOOTH, (slope, slope * slope), strict=True):
                moment += (1.0 - decay) * (value - moment)
            first, second = (m / (1.0 - d ** int(self._counts[1])) for m, d in zip(self._momentum, _SMOOTH, strict=True))
            self._net -= RATE * first / (np.sqrt(second) + 1e-8)

    def state(self) -> State:
        """All that was seen and learned, as data."""
        return State({}, {name: getattr(self, f"_{name}").copy() for name in _ARRAYS})

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError where it is of other sizes."""
        for name in _ARRAYS:
            saved, mine = state.arrays.get(name), getattr(self, f"_{name}")
            if saved is None or saved.shape != mine.shape or saved.dtype != mine.dtype:
                found = "nothing" if saved is None else f"{saved.dtype} {saved.shape}"
                raise StateError(f"predictor: {name} is {found}, expected {mine.dtype} {mine.shape}; restore it under the config it had")
        for name in _ARRAYS:
            setattr(self, f"_{name}", state.arrays[name].copy())
        return self


def _parts(net: Array, inputs: int) -> tuple[Array, Array, Array]:
    """Views of the flat `net`: A (input, hidden), a (hidden,), b (hidden,); c is its last number."""
    end = inputs * HIDDEN
    return net[:end].reshape(inputs, HIDDEN), net[end : end + HIDDEN], net[end + HIDDEN : end + 2 * HIDDEN]


def _forward(net: Array, seen: Array) -> tuple[Array, Array]:
    """The answers (row,) and the hidden layer (row, hidden)."""
    spread, shift, out = _parts(net, seen.shape[1])
    hidden = np.tanh(seen @ spread + shift)
    return hidden @ out + net[-1], hidden


def _slope(net: Array, seen: Array, answers: Array) -> Array:
    """The gradient of half the mean squared error and of the weight decay, flat like `net`."""
    said, hidden = _forward(net, seen)
    _, _, out = _parts(net, seen.shape[1])
    error = (said - answers) / len(answers)
    back = np.outer(error, out) * (1.0 - hidden * hidden)
    slope = np.concatenate([(seen.T @ back).ravel(), back.sum(axis=0), error @ hidden, [error.sum()]])
    return slope + DECAY * net
