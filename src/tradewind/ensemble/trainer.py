"""`Trainer`: teaches an ensemble's weights in episodes, and says what that was worth on bars that no episode saw.

The newest `holdout` of the market is set aside. Members are fitted on the rest but for its newest part (the config's `holdback`), and an
episode is a random stretch of that part: bars that the members have not seen. In an episode weights begin even and the account new, as the
combiner begins anew on a market; what outlasts it is what is slow to learn, the members' records by regime and the net that predicts them.
Then the members are fitted on everything but the holdout, and the weights take one pass over that part in the order of time, which is what
`Ensemble.fit` gives them, and what the episodes taught on top; so the whole trades the holdout. Beside it stand the same members with
weights from the one pass alone, and with weights that were never taught anything.

Source: episodes over a fast and a slow learner after Schmidhuber (1987) and Finn, Abbeel & Levine (2017), https://arxiv.org/abs/1703.03400,
with records in the place of gradients. Costs three fits of each member, then a step of the combiner a bar of each episode. Fails to teach
more than one pass does where the stretch is short: episodes see the same bars again, and a record that is sure of them is not surer of
others.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

from tradewind.core.errors import DataError, StateError
from tradewind.core.files import canonical_json, load_state, save_state, write_json
from tradewind.core.limits import fraction, whole
from tradewind.core.market import Market
from tradewind.core.seeds import generator
from tradewind.core.settings import require
from tradewind.core.types import State
from tradewind.data.bundled import sample
from tradewind.ensemble.combiner import Combiner, Evidence
from tradewind.ensemble.conduct import Conduct, conduct, pack, unpack
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.ensemble import MEMBERS, Ensemble
from tradewind.ensemble.evaluation import evaluate
from tradewind.ensemble.life import Life
from tradewind.ensemble.presets import preset
from tradewind.rl.checkpoints import Checkpoints
from tradewind.stats.metrics import summary
from tradewind.strategies.registry import describe

__all__ = ["Episode", "Trainer", "Training"]

_JUDGED: Final = ("out_of_sample", "one_pass", "untrained")


@final
@dataclass(frozen=True)
class Episode:
    """One episode: its `number`, rows [start, stop) of the market, and what the ensemble did there, after costs.

    `sharpe` is annual, None where it is not defined; `confidence` and `agreement` are means over its bars.
    """

    number: int
    start: int
    stop: int
    net_return: float
    sharpe: float | None
    max_drawdown: float
    hit_rate: float | None
    confidence: float
    agreement: float


@final
@dataclass(frozen=True, eq=False)
class Training:
    """What a training came to. The best episode is a choice among `episodes` after the fact: selection, and no result.

    `out_of_sample`: the trained ensemble on the bars that no episode saw; that is the result. `one_pass` and `untrained`: the same members
    there, with weights taught by one pass in order, and by nothing.
    """

    episodes: tuple[Episode, ...]
    out_of_sample: Conduct
    one_pass: Conduct
    untrained: Conduct

    @property
    def best_episode(self) -> Episode:
        """The episode with the highest Sharpe ratio: selection, not a result."""
        return max(self.episodes, key=lambda episode: float("-inf") if episode.sharpe is None else episode.sharpe)

    @property
    def best_episode_sharpe(self) -> float | None:
        """Its annual Sharpe ratio: the luckiest of `episodes`, not what is to be expected."""
        return self.best_episode.sharpe

    @property
    def best_episode_return(self) -> float:
        """The net return of the best episode: selection, not a result."""
        return self.best_episode.net_return


@final
class Trainer:
    """Trains the ensemble of `members` under `config` (a preset's name or an EnsembleConfig) on `market`, and keeps all in `save_dir`.

    `market`: by default the bundled btc-15m. `members`, `costs`: as for the strategy `ensemble`. `holdout`: the newest share of the market,
    which no episode sees. `episode_bars`: bars of an episode, all there are where those are fewer. `folds`: parts in which the holdout is
    read. A trainer of the same settings on the same folder goes on where the last one stopped, to the bit; it refuses the folder of one of
    other settings.

    Raises SettingsError for what cannot be, and DataError where the market is too short.
    """

    def __init__(
        self,
        config: str | EnsembleConfig,
        save_dir: str | Path,
        *,
        market: Market | None = None,
        members: Sequence[Any] = MEMBERS,
        costs: Mapping[str, Any] | None = None,
        holdout: float = 0.25,
        episode_bars: int = 500,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        fraction(holdout=holdout)
        whole(2, episode_bars=episode_bars)
        whole(folds=folds)
        whole(0, seed=seed)
        self.config = preset(config) if isinstance(config, str) else config
        self.folder, self.market = Path(save_dir), sample() if market is None else market
        self.episode_bars, self.folds, self.seed = episode_bars, folds, seed
        self.trained = len(self.market) - round(len(self.market) * holdout)
        self._pristine = Ensemble(self.config, members, costs)
        self._pristine.reseed(seed)
        described = [describe(each) for each in self._pristine.members]
        told = {
            "config": self.config.to_dict(), "members": [[name, settings] for name, settings in described],
            "costs": self._pristine.costs.to_dict(), "market": self.market.digest, "trained": self.trained,
            "episode_bars": episode_bars, "seed": seed,
        }  # fmt: skip
        # As it will be read again: JSON knows no tuples.
        self._identity: dict[str, Any] = json.loads(canonical_json(told))
        self._checkpoints = Checkpoints(self.folder, self._identity)
        self._episodes: list[Episode] = []
        self._learned: State | None = None
        self._saved = -1

    # -- what is done once ----------------------------------------------------------------------------------------------
    @cached_property
    def _rehearsal(self) -> tuple[int, list[Evidence]]:
        """The first row that episodes may use, and the evidence from there to the end of the training part."""
        kept = self._kept("rehearsal")
        if kept is not None:
            return int(kept.values["first"]), unpack(kept)
        found = self._pristine.rehearsal(self.market[: self.trained])
        if found is None:
            raise DataError(
                f"the {self.trained} bars before the holdout are too few to fit the members and let them trade what they have not seen; "
                "give a longer market, or a smaller holdout"
            )
        life, first = found
        evidence = life.evidence(self.market[: self.trained], max(0, first - self.config.history), first)
        self._keep("rehearsal", State({"first": first}, pack(evidence).arrays))
        return first, evidence

    @cached_property
    def _fitted(self) -> Ensemble:
        """The ensemble as `fit` leaves it after the training part."""
        kept = self._kept("fitted")
        fresh = copy.deepcopy(self._pristine)
        if kept is not None:
            return fresh.restore(kept.child("ensemble"))
        fresh.fit(self.market[: self.trained])
        self._keep("fitted", State().nest("ensemble", fresh.state()))
        return fresh

    @cached_property
    def _exam(self) -> list[Evidence]:
        """The evidence of the holdout."""
        fitted, market = self._fitted, self.market
        named = dict(zip(fitted.names, fitted.members, strict=True))
        life = Life(fitted.config, named, market.symbols, market.periods_per_year, fitted.costs, fitted.regimes)
        return life.evidence(market, max(0, self.trained - self.config.history), self.trained)

    def _kept(self, what: str) -> State | None:
        place = self.folder / what
        if not (place / "manifest.json").exists():
            return None
        state = load_state(place)
        if state.values.get("identity") != self._identity:
            raise StateError(f"{place} is of a training with other settings; choose another folder, or delete this one")
        return state

    def _keep(self, what: str, state: State) -> None:
        save_state(self.folder / what, State({**state.values, "identity": self._identity}, state.arrays))

    # -- episodes -------------------------------------------------------------------------------------------------------
    def train(self, episodes: int = 100, save_interval: int = 20) -> Training:
        """Train until there have been so many `episodes`, those of an earlier call or a killed run included, then judge on the holdout.

        `save_interval`: episodes between checkpoints. Writes training.json and the trained ensemble's state into the folder.
        """
        whole(episodes=episodes, save_interval=save_interval)
        self._take_up()
        require(
            len(self._episodes) <= episodes,
            f"{self.folder} holds {len(self._episodes)} episodes, more than the {episodes} asked for; ask for more, or take another folder",
        )
        while len(self._episodes) < episodes:
            self.train_episode()
            if len(self._episodes) % save_interval == 0:
                self._checkpoint()
        self._checkpoint()
        return self._judged()

    def train_full_session(self, num_episodes: int = 100, save_interval: int = 20) -> Training:
        """`train` by the name that the system before this one had."""
        return self.train(num_episodes, save_interval)

    def train_episode(self, number: int | None = None) -> Episode:
        """Live through the next episode and learn from it. Raises SettingsError when `number` is given and is not that of the next."""
        self._take_up()
        following = len(self._episodes)
        require(
            number is None or number == following,
            f"episode {number} is asked for, and the next one is {following}; they are learned in order",
        )
        first, evidence = self._rehearsal
        bars = min(self.episode_bars, len(evidence))
        begin = int(generator(self.seed, "episode", following).integers(0, len(evidence) - bars + 1))
        combiner = self._new_combiner()
        if self._learned is not None:
            combiner.remember(self._learned)
        stretch = self.market[first + begin : first + begin + bars]
        done = conduct(combiner, evidence[begin : begin + bars], stretch, self._pristine.costs)
        self._learned = combiner.state()
        self._episodes.append(_told(following, first + begin, done))
        return self._episodes[-1]

    def _new_combiner(self) -> Combiner:
        market, own = self.market, self._pristine
        regimes = () if own.regimes is None else own.regimes.names
        return Combiner(own.config, own.names, market.symbols, regimes, market.periods_per_year, own.costs)

    # -- checkpoints ----------------------------------------------------------------------------------------------------
    def _take_up(self) -> None:
        """Go on where the folder's newest checkpoint stood, when nothing has been done yet."""
        if self._episodes or self._saved >= 0:
            return
        newest = self._checkpoints.newest()
        self._saved = 0
        if newest is not None:
            self._episodes = [Episode(**episode) for episode in newest.values["episodes"]]
            self._learned, self._saved = newest.child("learned"), len(self._episodes)

    def _checkpoint(self) -> None:
        if self._learned is not None and self._saved < len(self._episodes):
            told = State({"episodes": [asdict(episode) for episode in self._episodes]})
            self._checkpoints.save(len(self._episodes), told.nest("learned", self._learned))
            self._saved = len(self._episodes)

    # -- the end --------------------------------------------------------------------------------------------------------
    @property
    def ensemble(self) -> Ensemble:
        """The trained ensemble: members fitted on all but the holdout, weights that begin with what the episodes taught."""
        self._take_up()
        return copy.deepcopy(self._fitted).restore(self._fitted.state().nest("learned", self._taught().state()))

    def _taught(self, episodes: bool = True) -> Combiner:
        """A combiner that has learned in one pass, and then from the episodes where `episodes`."""
        combiner = self._new_combiner().restore(self._fitted.state().child("learned"))
        return combiner if self._learned is None or not episodes else combiner.remember(self._learned)

    def _judged(self) -> Training:
        trained, one_pass, untrained = self._taught(), self._taught(episodes=False), self._new_combiner()
        bars, costs = self.market[self.trained :], self._pristine.costs
        done = [conduct(combiner, self._exam, bars, costs, self.folds) for combiner in (trained, one_pass, untrained)]
        training = Training(tuple(self._episodes), *done)
        save_state(self.folder / "ensemble", self.ensemble.state())
        judged = {name: evaluate(each, seed=self.seed).to_dict() for name, each in zip(_JUDGED, done, strict=True)}
        told = {**self._identity, "episodes": [asdict(episode) for episode in training.episodes], **judged}
        write_json(self.folder / "training.json", told)
        return training


def _told(number: int, start: int, done: Conduct) -> Episode:
    numbers = summary(done.returns, done.market.periods_per_year)
    sharpe, hits = (None if math.isnan(numbers[name]) else numbers[name] for name in ("sharpe", "hit_rate"))
    confidence, agreement = float(done.confidence.mean()), float(done.agreement.mean())
    stop = start + len(done.market)
    return Episode(number, start, stop, numbers["net_return"], sharpe, numbers["max_drawdown"], hits, confidence, agreement)
