"""Few-shot learning as a strategy: it learns to adapt on many episodes of the training bars, and adapts to the latest bars as it walks.

Papers: Finn, Abbeel, Levine 2017, https://arxiv.org/abs/1703.03400 (learning to adapt); Wood, Kessler, Roberts, Zohren 2023,
https://arxiv.org/abs/2310.10500 (why few shots suit markets: regimes change faster than a model is fitted again). Costs, on one core with
the defaults, some seconds a fit, a millisecond an adaptation and a third of one a bar in between. Fails where what holds in the last
`support` bars does not hold in the next ones: an adapted model then follows noise, and a jointly trained one is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import format_time
from tradewind.core.errors import NotFitted, StateError
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.seeds import derive, generator
from tradewind.core.settings import build, require
from tradewind.core.spaces import Choice, Real, Space, Whole
from tradewind.core.types import Array, Features, Forecast, State, Target, Targets, View
from tradewind.features import Live, Standardiser, compute
from tradewind.meta import registry
from tradewind.meta.base import MetaLearner
from tradewind.meta.episodes import CLASSES, Adapted, Answer, Context, Episodes, Shots
from tradewind.meta.tasks import Task
from tradewind.nets.device import reproducible
from tradewind.strategies import plain
from tradewind.strategies.base import Strategy
from tradewind.strategies.policy import SPACES as POLICY_SPACES
from tradewind.strategies.policy import Policy
from tradewind.strategies.reason import Reason, policy_reason

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["FEATURES", "SPACES", "FewShot"]

FEATURES: Final = (
    *("return_1", "return_5", "return_10", "return_20", "volatility_20"),
    *("rsi_14", "bb_percent_20", "ema_distance_50", "stoch_k"),
)
"""Nine columns without scale: few, since a handful of samples has to tell which of them matter."""
SPACES: Final[dict[str, Space]] = {
    "few-shot": {
        "support": Choice((5, 10, 20, 40)),
        "adapt_every": Choice((1, 5, 20)),
        "iterations": Whole(50, 1000, log=True),
        "learner": {"outer_lr": Real(3e-4, 1e-2, log=True)},
        "policy": POLICY_SPACES["classes"],
    }
}
RATES: Final[Mapping[str, Mapping[str, float]]] = {"maml": {"inner_lr": 0.1}, "reptile": {"inner_lr": 0.1}}
"""What inner rates are where `learner` gives none: inputs are of size 1 and steps few, so those of the papers lead nowhere."""
FARTHEST: Final = 5.0
"""Inputs beyond so many deviations are cut: one wild bar would otherwise outweigh the rest of a support."""


@final
class FewShot(Strategy):
    """Features + a meta-learner + Policy. A sample is a bar of one symbol; the symbols' names and number do not matter to it.

    `algorithm`: a name (`tradewind.meta.learners()` lists them) or your own `my_module:Mine`, around a perceptron with `hidden` layers,
    under `learner`, settings of its config. `features`: a set's name, or the names of columns. `target`: the `direction` or the `return`
    of the next `horizon` bars. `fit` takes `iterations` meta-steps on `batch` episodes each, drawn from all symbols of the training bars:
    `support` samples with known labels, then `query` samples to be answered. Before a support stand those of `context` past episodes of any
    symbol: what X-Trend attends to. When it decides these are of the training bars, and stay the same.

    When it decides, every `adapt_every` bars each symbol's model is adapted by `steps` (None: as many as were trained) on its latest
    `support` samples whose labels are known by then, and answers the bars until the next adaptation. Nothing of a symbol is remembered
    from `fit`, so the market that it decides on may have other symbols than the one it learned from, and more or fewer: a symbol that it
    has never seen is traded from its first `support` + `horizon` bars after the features' warm-up on.
    `policy`: settings of `Policy`. `train_limit`: only the last so many bars of a training part are learned from. `refit_every`: folds of
    a walk-forward between two fits.

    A training part without one episode teaches nothing: then every decision is NaN, which keeps what is held. After `fit`, `losses` has
    the meta-loss of every step. Raises SettingsError for settings that cannot be, NotFitted when it has to decide before `fit`.
    """

    def __init__(
        self,
        algorithm: str = "maml",
        learner: Mapping[str, Any] | None = None,
        features: str | Sequence[Any] = FEATURES,
        target: str = "direction",
        horizon: int = 1,
        support: int = 20,
        query: int = 20,
        adapt_every: int = 5,
        context: int = 0,
        steps: int | None = None,
        hidden: Sequence[int] = (32, 32),
        iterations: int = 300,
        batch: int = 16,
        policy: Mapping[str, Any] | None = None,
        train_limit: int | None = None,
        refit_every: int = 1,
        seed: int = 0,
    ) -> None:
        whole(iterations=iterations, batch=batch, refit_every=refit_every, train_limit=1 if train_limit is None else train_limit)
        whole(0, context=context, steps=0 if steps is None else steps)
        self.algorithm, self.learner, self.hidden = algorithm, dict(learner or {}), tuple(hidden)
        self.features = features if isinstance(features, str) else tuple(features)
        settings = {"target": target, "horizon": horizon, "support": support, "query": query, "every": adapt_every}
        self.shots = build(Shots, settings, "few-shot")
        self.policy = build(Policy, policy or {}, "policy")
        self.context, self.steps, self.iterations, self.batch = context, steps, iterations, batch
        self.train_limit, self.refit_every, self.seed = train_limit, refit_every, seed
        self.losses: tuple[float, ...] = ()
        self.fitted = False
        self._scaler = Standardiser()
        self._adapted: Adapted | None = None
        self._live = Live(self.features, keep=self.shots.reach)
        self.warmup = self._live.warmup + self.shots.first
        # Built now only to hear at once about settings that cannot be.
        self._new_learner()

    @property
    def meta_learner(self) -> MetaLearner | None:
        """What was meta-trained; None before `fit` and where there was nothing to learn."""
        return None if self._adapted is None else self._adapted.learner

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, market: Market) -> Self:
        if self.train_limit is not None:
            market = market[-self.train_limit :]
        X = compute(market, self.features)
        self._scaler = Standardiser().fit(X)
        episodes = self._episodes(X, market)
        beginnings = episodes.beginnings()
        random = generator(self.seed, "few-shot", "episodes")
        made, losses = self._new_learner(), []
        with reproducible(derive(self.seed, "few-shot", "training")):
            for _ in range(self.iterations if len(beginnings) else 0):
                tasks = self._tasks(episodes, beginnings, random)
                if tasks:
                    losses.append(made.meta_train_step(tasks)["meta_loss"])
        self.fitted, self.losses = True, tuple(losses)
        context = episodes.context(beginnings, self.context, random)
        self._adapted = Adapted(made, self.steps, context) if losses else None
        return self

    def decide(self, view: View) -> Target:
        if self._silent():
            return Target(np.full(len(view.market.symbols), np.nan))
        return self.policy.decide(self._latest(view.market)[1], view.portfolio)

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        first = max(start, self.warmup - 1)
        if self._silent() or first >= len(market):
            return np.full(market.close.shape, np.nan)
        begin = max(0, first + 1 - self.shots.reach)
        episodes = self._episodes(compute(market, self.features)[begin:], market[begin:])
        desired = np.full(market.close.shape, np.nan)
        desired[first:] = self.policy.desired(self._forecast(episodes, first - begin))[first - begin :]
        return self.policy.walk(desired, market, book, start)

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`: what it adapted on, what it answers, what follows."""
        if self._silent():
            return Reason(("Its training part had no episode to learn from: it learned nothing and keeps what is held.",))
        episodes, forecast = self._latest(view.market)
        acted = policy_reason(self.policy, forecast, view.portfolio, symbol)
        moment = int(episodes.moments[-1])
        support = episodes.support(moment, symbol)
        if support is None or np.isnan(acted.values["wanted"]):
            why = f"There are no {self.shots.support} samples with known labels, of both directions, shortly before this bar"
            return Reason((f"{why}, or an input is missing: what is held is kept.",), acted.values)
        rows = len(view.market) - len(episodes.usable) + np.array([moment, support.rows[0], support.rows[-1]])
        now, first, last = (format_time(int(time)) for time in view.market.open_time[rows])
        moves = episodes.returns[support.rows, symbol]
        up, answer = float((moves > 0).mean()), float(forecast.score()[-1, symbol])
        words = (
            f"At the bar of {now} it adapted on {len(moves)} samples from {first} to {last}, {up:.0%} of which went up; their returns "
            f"measure {support.unit:.3%}.",
            f"The adapted model answers {(answer + 1) / 2:.1%} for up."
            if self.shots.target == "direction"
            else f"The adapted model expects {answer:+.3%} over the next {self.shots.horizon} bars.",
        )
        return Reason(words + acted.words, {**acted.values, "answer": answer, "support_up": up, "support_unit": support.unit})

    def state(self) -> State:
        """The meta-learner, the scaler, the seed, and the settings, which the object that restores it must share."""
        kept = {"fitted": self.fitted, "seed": self.seed, "losses": self.losses, "settings": self._settings()}
        own = plain.to_state("FewShot", kept).nest("scaler", self._scaler.state())
        if self._adapted is None:
            return own
        context = self._adapted.context
        arrays = {} if context is None else {"inputs": context.inputs.copy(), "labels": context.labels.copy()}
        return own.nest("learner", self._adapted.learner.state()).nest("context", State({}, arrays))

    def restore(self, state: State) -> Self:
        """Become the strategy that `state` describes. Raises StateError when it was saved under other settings."""
        saved = plain.from_state("FewShot", state)
        other = [name for name, value in self._settings().items() if saved["settings"].get(name) != value]
        if other:
            raise StateError(f"this state was saved under other settings of {other}: {[saved['settings'].get(name) for name in other]}")
        self.fitted, self.seed, self.losses = bool(saved["fitted"]), int(saved["seed"]), tuple(saved["losses"])
        self._scaler = Standardiser().restore(state.child("scaler"))
        self._adapted = None
        if "learner" in state.values:
            arrays = state.child("context").arrays
            context = Context(arrays["inputs"].copy(), arrays["labels"].copy()) if arrays else None
            self._adapted = Adapted(self._new_learner().restore(state.child("learner")), self.steps, context)
        return self

    def _tasks(self, episodes: Episodes, beginnings: NDArray[np.int64], random: np.random.Generator) -> list[Task]:
        """A batch of episodes, each with a context of episodes whose labels were known when it began."""
        drawn, tasks = beginnings[random.integers(len(beginnings), size=self.batch)], []
        for moment, symbol in drawn.tolist():
            past = beginnings[beginnings[:, 0] <= moment] if self.context else beginnings[:0]
            task = episodes.task(moment, symbol, episodes.context(past, self.context, random))
            if task is not None:
                tasks.append(task)
        return tasks

    def _silent(self) -> bool:
        if not self.fitted:
            raise NotFitted("few-shot was asked to decide before fit(market)")
        return self._adapted is None

    def _episodes(self, X: Features, market: Market) -> Episodes:
        return Episodes(np.clip(self._scaler.transform(X).values, -FARTHEST, FARTHEST), market, self.shots)

    def _latest(self, market: Market) -> tuple[Episodes, Forecast]:
        """The last rows of `market`, and the forecast of the very last."""
        X = self._live.rows(market, self.shots.reach)
        episodes = self._episodes(X, market[len(market) - len(X) :])
        return episodes, self._forecast(episodes, len(X) - 1)

    def _forecast(self, episodes: Episodes, first: int) -> Forecast:
        assert self._adapted is not None, "_silent() has been asked before"
        return _forecast(self._adapted.answer(episodes, first, self._outputs), self.shots)

    @property
    def _outputs(self) -> int:
        return len(CLASSES) if self.shots.target == "direction" else 1

    def _new_learner(self) -> MetaLearner:
        known = registry.configurable(self.algorithm)
        classes = self.shots.target == "direction"
        loss = "cross_entropy" if classes else "mse"
        wanted = {
            "loss": loss,
            "num_outputs": self._outputs,
            "seed": derive(self.seed, "few-shot", "learner"),
            **RATES.get(self.algorithm, {}),
        }
        settings = {**{name: value for name, value in wanted.items() if name in known}, **self.learner}
        with reproducible(derive(self.seed, "few-shot", "weights")):
            model = registry.perceptron(self.algorithm, len(self._live.names), self._outputs, self.hidden, **settings)
            made = registry.learner(self.algorithm, model, len(CLASSES) if classes else None, **settings)
        told = f"the learner {self.algorithm!r} has the loss {made.config.loss!r}; the target {self.shots.target!r} takes {loss!r}"
        require(made.config.loss == loss, told)
        return made

    def _settings(self) -> dict[str, Any]:
        shots = {field.name: getattr(self.shots, field.name) for field in fields(self.shots)}
        chosen = {"algorithm": self.algorithm, "hidden": list(self.hidden), "context": self.context, "steps": self.steps, **shots}
        return {**chosen, "learner": plain.outline(self.learner), "features": list(self._live.names)}


def _forecast(answer: Answer, shots: Shots) -> Forecast:
    if shots.target == "return":
        return Forecast(mean=answer.outputs[:, :, 0] * answer.unit)
    return Forecast(probabilities=_softmax(answer.outputs), classes=CLASSES)


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=2, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=2, keepdims=True))
