"""A reinforcement-learning agent as a strategy: it practises trading on the training part, and its best self by a later part decides.

Papers: Moody, Saffell 2001, "Learning to trade via direct reinforcement", https://doi.org/10.1109/72.935097 (an agent that sees its own
position and is paid net of costs); Zhang, Zohren, Roberts 2020, https://arxiv.org/abs/1911.10107 (deep agents on futures). Costs, on one
core, five to twenty seconds a fit with the presets and some fifty microseconds a decision. Fails as every learner does where the training
part is short or the market has changed; and an agent that practises on the same few thousand bars again and again learns them by heart,
which is why a later part chooses its best moment, and a part later still says how far to trust it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, cast, final

import numpy as np

from tradewind.core.errors import NotFitted, StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.market import Market
from tradewind.core.seeds import derive
from tradewind.core.settings import build, require
from tradewind.core.spaces import Choice, Real, Space, Whole
from tradewind.core.types import Array, State, Target, Targets, View
from tradewind.rl import registry
from tradewind.rl.grounds import COSTS, Course, Grounds
from tradewind.rl.learning import Learning
from tradewind.rl.pipeline import load
from tradewind.rl.trader import Sight, Trader
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies import plain
from tradewind.strategies.base import Strategy
from tradewind.strategies.reason import Reason, share

__all__ = ["SPACES", "AgentStrategy", "TrainedAgent"]

_COMMON: Final[Space] = {
    "window": Choice((1, 2, 4)),
    "steps": Whole(20_000, 200_000, log=True),
    "length": Choice((32, 64, 128)),
    "agent": {"learning_rate": Real(1e-4, 3e-3, log=True), "discount": Choice((0.9, 0.95, 0.99))},
}
SPACES: Final[dict[str, Space]] = dict.fromkeys(("ppo", "double-dqn", "d3qn", "twin-d3qn", "rainbow"), _COMMON)
EVALUATIONS: Final = 10
"""How often in a fit the agent is judged on the later part."""


@final
class AgentStrategy(Strategy):
    """An agent that practises on the training part in `lanes` environments at once, for `steps` steps, in episodes of `length` bars.

    `algorithm`: a name (`tradewind.rl.agents()` lists them), or your own `my_module:make`, under settings of its config, `agent`.
    `features`, `window`, `actions` and `positions`: what it sees and may do, see `tradewind.rl.trader.Sight`; it also sees its position.
    `reward` and `costs`: what it practises for; every symbol has an equal share of equity. The last `validation` of the training bars is
    not practised on: its first half chooses the best of ten moments of the agent, its second half teaches how often a conviction is right.
    `train_limit`: only the last so many bars of a training part are used. `refit_every`: folds of a walk-forward between two fits.

    A training part too short for one episode in each of these teaches nothing: then every decision is NaN, which keeps what is held. After
    `fit`, `learning` tells the course of it. Raises SettingsError for settings that cannot be, NotFitted when it has to decide before
    `fit`, and DataError when it is asked about bars of another length than it was fitted on.
    """

    def __init__(
        self,
        algorithm: str = "ppo",
        agent: Mapping[str, Any] | None = None,
        features: str | Sequence[Any] = "relative",
        window: int = 1,
        actions: str | int = 3,
        positions: Sequence[float] = (-1.0, 1.0),
        reward: Any = "log-return",
        costs: Mapping[str, Any] | Costs | None = None,
        steps: int = 50_000,
        lanes: int = 64,
        length: int = 64,
        validation: float = 0.3,
        train_limit: int | None = None,
        refit_every: int = 1,
        seed: int = 0,
    ) -> None:
        whole(steps=steps, refit_every=refit_every, train_limit=1 if train_limit is None else train_limit)
        fraction(validation=validation)
        paid = costs if isinstance(costs, Costs) else Costs.from_dict({**COSTS.to_dict(), **(costs or {})})
        seen = features if isinstance(features, str) else tuple(features)
        self.sight = build(
            Sight, {"features": seen, "window": window, "actions": actions, "positions": positions, "band": paid.min_trade}, ""
        )
        self.course = Course(reward, paid, lanes, length)
        self.algorithm, self.agent = algorithm, dict(agent or {})
        self.steps, self.validation, self.train_limit, self.refit_every, self.seed = steps, validation, train_limit, refit_every, seed
        self.warmup, self.fitted = self.sight.warmup, False
        self.learning: Learning | None = None
        self._trader: Trader | None = None
        # Built now only to hear at once about settings that cannot be.
        self._new_agent()

    @property
    def trader(self) -> Trader | None:
        """The agent with its eyes; None before `fit` and where there was nothing to learn."""
        return self._trader

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, market: Market) -> Self:
        if self.train_limit is not None:
            market = market[-self.train_limit :]
        self.fitted, self.learning, self._trader = True, None, None
        held_back = int(len(market) * self.validation)
        taught, judged = len(market) - held_back, len(market) - held_back // 2
        grounds = Grounds(market, self.sight, self.course, taught)
        if all(grounds.steps(*part) > 0 for part in ((0, taught), (taught, judged), (judged, len(market)))):
            made, (contest, episodes) = self._new_agent(), grounds.contest(taught, judged)
            every = max(1, self.steps // EVALUATIONS)
            self.learning = made.learn(
                grounds.practice(derive(self.seed, "practice")), self.steps, seed=derive(self.seed, "agent"),
                evaluate=contest, evaluate_every=every, episodes=episodes,
            )  # fmt: skip
            self._trader = grounds.trader(made).calibrate(market, Book(market.symbols, self.course.costs), judged)
        return self

    def decide(self, view: View) -> Target:
        trader = self._asked()
        if trader is None:
            return Target(np.full(len(view.market.symbols), np.nan))
        return Target(trader.decide(view.market, view.portfolio.weights))

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        trader = self._asked()
        if trader is None:
            return np.full(market.close.shape, np.nan)
        return trader.decide_all(market, Book(market.symbols) if book is None else book, start)

    def confidence(self, view: View) -> Array:
        """(symbol,) the probability that the position which `decide(view)` leads to earns more, from the open that fills it to the next
        one, than the trade into it costs; NaN where it holds none and where it learned nothing.
        """
        trader = self._asked()
        if trader is None:
            return np.full(len(view.market.symbols), np.nan)
        return trader.answer(view.market, view.portfolio.weights).confidence

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`."""
        trader = self._asked()
        if trader is None:
            return Reason(("Its training part was too short to practise on: it learned nothing and keeps what is held.",))
        return _reason(trader, view, symbol)

    def state(self) -> State:
        """The agent with its eyes, the seed, and the settings, which the object that restores it must share."""
        own = plain.to_state("AgentStrategy", {"fitted": self.fitted, "seed": self.seed, "settings": self._settings()})
        return own if self._trader is None else own.nest("trader", self._trader.state())

    def restore(self, state: State) -> Self:
        """Become the strategy that `state` describes. Raises StateError when it was saved under other settings."""
        saved = plain.from_state("AgentStrategy", state)
        other = [name for name, value in self._settings().items() if saved["settings"].get(name) != value]
        if other:
            raise StateError(f"this state was saved under other settings of {other}: {[saved['settings'].get(name) for name in other]}")
        self.fitted, self.seed, self.learning, self._trader = bool(saved["fitted"]), int(saved["seed"]), None, None
        if "trader" in state.values:
            self._trader = Trader.from_state(state.child("trader"), self._new_agent(), self.sight)
        return self

    def _new_agent(self) -> Any:
        # Nets of this size are faster on the processor that walks the bars.
        place = {"device": "cpu"} if "device" in registry.configurable(self.algorithm) else {}
        return registry.agent(self.algorithm, **{**place, **self.agent})

    def _asked(self) -> Trader | None:
        if not self.fitted:
            raise NotFitted(f"the agent {self.algorithm!r} was asked to decide before fit(market)")
        return self._trader

    def _settings(self) -> dict[str, Any]:
        return {"algorithm": self.algorithm, "agent": plain.outline(self.agent), "sight": self.sight.values()}


@final
class TrainedAgent(Strategy):
    """An agent that was trained beforehand, by `tradewind train --agent` into the folder `path`, or by yourself: a `trader`.

    `fit` leaves it as it is: in a walk-forward it has seen what it was trained on, whatever fold that lies in. Raises what
    `tradewind.rl.pipeline.load` raises, and SettingsError unless one of the two is given.
    """

    def __init__(self, path: str | None = None, trader: Trader | None = None) -> None:
        require((path is None) != (trader is None), "a trained agent is the path of its folder, or a trader")
        self._trader = load(path) if path is not None else cast(Trader, trader)
        self.path, self.warmup = path, self._trader.sight.warmup

    @property
    def trader(self) -> Trader:
        """The agent with its eyes."""
        return self._trader

    def decide(self, view: View) -> Target:
        return Target(self._trader.decide(view.market, view.portfolio.weights))

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        return self._trader.decide_all(market, Book(market.symbols) if book is None else book, start)

    def confidence(self, view: View) -> Array:
        """(symbol,) as that of `AgentStrategy`."""
        return self._trader.answer(view.market, view.portfolio.weights).confidence

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`."""
        return _reason(self._trader, view, symbol)

    def state(self) -> State:
        """The agent with its eyes."""
        return plain.to_state("TrainedAgent", {}).nest("trader", self._trader.state())

    def restore(self, state: State) -> Self:
        """Become the strategy that `state` describes. Raises StateError when its agent is of another build."""
        plain.from_state("TrainedAgent", state)
        self._trader = Trader.from_state(state.child("trader"), self._trader.agent, self._trader.sight)
        return self


def _reason(trader: Trader, view: View, symbol: int) -> Reason:
    answer = trader.answer(view.market, view.portfolio.weights)
    if not answer.shown[symbol]:
        return Reason(("An input is missing in its window at this bar, where the agent has never been: what is held is kept.",))
    position, target = float(answer.position[symbol]), float(answer.target[symbol])
    held = float(view.portfolio.weights[symbol])
    values = {"position": position, "held": held, "target": target, "confidence": float(answer.confidence[symbol])}
    values["conviction"] = float(answer.convictions[symbol])
    kept = np.isnan(target)
    words = [
        f"Holding {share(held)}, the agent {'keeps' if kept else 'wants'} {share(held if kept else target)}: position {position:+.3f}."
    ]
    if np.isnan(answer.confidence[symbol]):
        words.append("It holds next to nothing, so there is nothing to be right or wrong about.")
    else:
        told = trader.calibrated
        source = "by its conviction" if told.slope else "the base rate, since conviction told no more"
        words.append(
            f"Its conviction is {answer.convictions[symbol]:.3f}; such positions earned more than they cost over their next bar with a "
            f"probability of {answer.confidence[symbol]:.1%} ({source}, {told.count} decisions)."
        )
    return Reason(tuple(words), values)
