"""Gaussian hidden Markov model: a few hidden states, each with a mean and a volatility of returns, and a matrix of moves between them.

Papers: Baum et al. 1970, https://doi.org/10.1214/aoms/1177697196 (expectation and maximisation); Hamilton 1989,
https://doi.org/10.2307/1912559 (regimes of markets, filtered); Alizadeh, Brandt and Diebold 2002, https://doi.org/10.1111/1540-6261.00454
(the log range of a bar is nearly normal). Cost: O(states^2) a bar to filter; starts * 20 + at most `sweeps` passes of that to fit.
Fails where a state lasts only as long as an outlier: fat tails make a second state of single bars, for which the jump model has a price;
and where the training part saw one regime only, which it then splits in two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.errors import SettingsError
from tradewind.core.limits import number, whole
from tradewind.core.market import Market
from tradewind.core.seeds import generator
from tradewind.core.settings import choose, require
from tradewind.core.types import Array
from tradewind.regimes import hmm_kernels as kernels
from tradewind.regimes.recursive import Advance, Parameters, Recursive, state_names

__all__ = ["Gaussian", "HiddenMarkov", "expectation_maximisation", "stationary"]

KINDS: Final = {"return": kernels.RETURN, "range": kernels.RANGE}

_TRIAL: Final = 20
"""Sweeps that every start gets before the best of them goes on alone (the small EM of Biernacki et al. 2003)."""

_LEAST_BARS: Final = 20
"""Returns a state that a fit asks for."""

_NARROWEST: Final = 0.01
"""The least deviation of a state, in deviations of all bars: the likelihood has no bound where a state may shrink to one value."""


@final
@dataclass(frozen=True, eq=False)
class Gaussian:
    """A hidden Markov model in numbers: `means` and `deviations` (state, input), `transition` (state, state) rows summing to one, and the
    law of the first bar `start` (state,)."""

    means: Array
    deviations: Array
    transition: Array
    start: Array

    def filtered(self, x: ArrayLike) -> tuple[Array, float]:
        """The state's probabilities (time, state) after each row of x (time, input), and the log likelihood of all rows."""
        rows = np.asarray(x, dtype=np.float64)
        filtered, _, likelihood = kernels.forward(kernels.densities(rows, self.means, self.deviations), self.transition, self.start)
        return filtered, likelihood

    def improved(self, x: Array, least: float = 0.0) -> tuple[Gaussian, float]:
        """The model after one sweep of Baum and Welch over x (time, input), no deviation under `least`, and the log likelihood before it,
        below which that of the improved model never is."""
        *better, likelihood = kernels.sweep(x, self.means, self.deviations, self.transition, self.start, least)
        return Gaussian(*better), likelihood

    def ordered(self) -> Gaussian:
        """The same model with its states in the order of the first input's deviation."""
        order = np.argsort(self.deviations[:, 0], kind="stable")
        return Gaussian(self.means[order], self.deviations[order], self.transition[np.ix_(order, order)], self.start[order])


def stationary(transition: ArrayLike) -> Array:
    """(state,) the law that moves by `transition` (state, state) leave as it is; that nearest to equal shares where there are several."""
    matrix = np.asarray(transition, dtype=np.float64)
    states = len(matrix)
    equations = np.vstack([matrix.T - np.eye(states), np.ones(states)])
    law, *_ = np.linalg.lstsq(equations, np.append(np.zeros(states), 1.0), rcond=None)
    law = np.maximum(law, 0.0)
    return np.asarray(law / law.sum())


def expectation_maximisation(x: Array, states: int, starts: int, sweeps: int, tolerance: float, seed: int) -> Gaussian:
    """The model of `states` states that makes x (time, input) likeliest, as far as EM finds it: every start gets a few sweeps, the best of
    them goes on until a sweep gains less than `tolerance` of log likelihood. Inputs should have a deviation near 1.
    """
    best, highest = None, -np.inf
    for trial in range(starts):
        model = _start(x, states, generator(seed, "hmm", trial))
        for _ in range(_TRIAL):
            model, likelihood = model.improved(x, _NARROWEST)
        if best is None or likelihood > highest:
            best, highest = model, likelihood
    assert best is not None
    for _ in range(sweeps):
        best, likelihood = best.improved(x, _NARROWEST)
        if likelihood - highest < tolerance:
            break
        highest = likelihood
    return best.ordered()


def _start(x: Array, states: int, random: np.random.Generator) -> Gaussian:
    """Bars sorted into states by how wildly the last few of them moved, over a random memory and with random shares."""
    decay = 0.5 ** (1.0 / np.exp(random.uniform(np.log(2.0), np.log(60.0))))
    wildness = kernels.wildness(x[:, 0], decay)
    shares = np.cumsum(random.dirichlet(np.full(states, 4.0)))[:-1]
    group = np.searchsorted(np.quantile(wildness, shares), wildness)
    means, deviations = np.zeros((states, x.shape[1])), np.ones((states, x.shape[1]))
    for i in range(states):
        members = x[group == i]
        if len(members) > 1:
            means[i], deviations[i] = members.mean(axis=0), np.maximum(members.std(axis=0), 0.1)
    # States are tried that last from five bars to five hundred.
    stay = 1.0 - np.exp(random.uniform(np.log(0.002), np.log(0.2)))
    transition = np.full((states, states), (1.0 - stay) / (states - 1))
    np.fill_diagonal(transition, stay)
    return Gaussian(means, deviations, transition, np.full(states, 1.0 / states))


@final
class HiddenMarkov(Recursive):
    """Filtered probabilities of `states` hidden states, calm ones first; never smoothed.

    `inputs`: what bars are told by, of `return` (simple, close to close) and `range` (the log of ln(high / low)), independent within a
    state. `starts` seeded starts of EM, then up to `sweeps` more from the best of them, until one gains less than `tolerance`. `means`
    and `deviations` (state, input) or (state,), and `transition` (state, state), may be given in place of a fit, all three; they then rule
    every symbol, and `states` follows from them. A watch begins with the stationary law. Raises SettingsError for settings that cannot be.
    """

    name: ClassVar[str] = "hmm"

    def __init__(
        self,
        states: int = 2,
        inputs: Sequence[str] = ("return",),
        starts: int = 10,
        sweeps: int = 500,
        tolerance: float = 1e-3,
        seed: int = 0,
        means: Sequence[Any] | None = None,
        deviations: Sequence[Any] | None = None,
        transition: Sequence[Sequence[float]] | None = None,
    ) -> None:
        whole(least=2, states=states)
        whole(starts=starts, sweeps=sweeps)
        number(tolerance=tolerance)
        whole(least=0, seed=seed)
        require(len(inputs) > 0 and len(set(inputs)) == len(inputs), f"inputs are {inputs!r}; name return, range or both, each once")
        for kind in inputs:
            choose(kind, KINDS, "input")
        self.inputs, self.starts, self.sweeps, self.tolerance, self.seed = tuple(inputs), starts, sweeps, tolerance, seed
        known = [part is not None for part in (means, deviations, transition)]
        require(all(known) or not any(known), "means, deviations and transition are given together, or fitted together")
        self._fixed = _model(means, deviations, transition, len(inputs)) if all(known) else None
        self.states = len(self._fixed.start) if self._fixed else states
        self.names = state_names(self.states)
        self._kinds = np.array([KINDS[kind] for kind in inputs], dtype=np.int64)

    def settings(self) -> dict[str, Any]:
        names = ("states", "inputs", "starts", "sweeps", "tolerance", "seed")
        made = {name: getattr(self, name) for name in names} | {"inputs": list(self.inputs)}
        if self._fixed:
            made |= {name: getattr(self._fixed, name).tolist() for name in ("means", "deviations", "transition")}
        return made

    def log_likelihood(self, market: Market) -> Array:
        """(symbol,) log likelihood of each symbol's bars under its model, per bar the sum over inputs; NaN for a symbol without a model or
        without two bars. Raises NotFitted before `fit`."""
        found = np.full(len(market.symbols), np.nan)
        for column, symbol in enumerate(market.symbols):
            model = Gaussian(**self.parameters(symbol))
            bars = market.select([symbol])
            if len(bars) > 1 and np.isfinite(model.means).all():
                found[column] = model.filtered(self._told(bars))[1]
        return found

    def _given(self) -> Parameters | None:
        return {name: array[None] for name, array in vars(self._fixed).items()} if self._fixed else None

    def _learn(self, bars: Market) -> Parameters | None:
        x = self._told(bars)
        if len(x) < _LEAST_BARS * self.states:
            return None
        centre, scale = x.mean(axis=0), x.std(axis=0)
        # A market that never moves has no scale; any will do for values that are all the same.
        scale = np.where(scale > 1e-12 * np.maximum(np.abs(centre), 1.0), scale, 1.0)
        model = expectation_maximisation((x - centre) / scale, self.states, self.starts, self.sweeps, self.tolerance, self.seed)
        law = stationary(model.transition)
        return vars(Gaussian(centre + scale * model.means, scale * model.deviations, model.transition, law))

    def _begin(self, parameters: Parameters) -> tuple[Array, Advance]:
        start = parameters["start"]
        memory = np.column_stack([np.full(len(start), np.nan), start])
        return memory, partial(_advance, self._kinds, parameters["means"], parameters["deviations"], parameters["transition"])

    def _told(self, bars: Market) -> Array:
        return kernels.inputs(bars.close[:, 0], bars.high[:, 0], bars.low[:, 0], self._kinds)


def _advance(kinds: NDArray[np.int64], means: Array, deviations: Array, transition: Array, market: Market, memory: Array) -> Array:
    return kernels.filter_bars(market.close, market.high, market.low, kinds, means, deviations, transition, memory)


def _model(means: Any, deviations: Any, transition: Any, inputs: int) -> Gaussian:
    """The model that settings give, checked and in the order of volatility."""
    centre, spread, moves = (np.array(part, dtype=np.float64) for part in (means, deviations, transition))
    states = len(moves)
    try:
        centre, spread = centre.reshape(states, inputs), spread.reshape(states, inputs)
    except ValueError as error:
        raise SettingsError(f"means {centre.shape} and deviations {spread.shape} are (state, input) = {(states, inputs)}") from error
    require(states >= 2 and moves.shape == (states, states), f"transition has shape {moves.shape}; it is (state, state), two at least")
    lawful = bool((moves >= 0).all() and np.allclose(moves.sum(axis=1), 1.0, rtol=0, atol=1e-9))
    require(lawful, f"transition is {moves.tolist()}; each row holds probabilities that sum to one")
    require(bool((spread > 0).all() and np.isfinite(spread).all()), f"deviations are {spread.tolist()}, all of them positive")
    require(bool(np.isfinite(centre).all()), f"means are {centre.tolist()}, all of them finite")
    return Gaussian(centre, spread, moves, stationary(moves)).ordered()
