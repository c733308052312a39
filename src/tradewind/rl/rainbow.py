"""Rainbow: six improvements of DQN in one agent, each of which can be switched off: with all of them off it is DQN.

Paper: Hessel et al. 2018, https://arxiv.org/abs/1710.02298. Its parts: double (van Hasselt et al. 2016), dueling (Wang et al. 2016),
prioritised replay (Schaul et al. 2016), several steps (Sutton 1988), distributional (Bellemare et al. 2017), noisy nets (Fortunato et al.
2018). Costs about twice what D3QN does. Fails where returns leave the support from `v_min` to `v_max`; in a support that is much wider
than they are; and in runs of few updates of the older net. A new net's distribution is as wide as the support and narrows by discount **
n_step with each update of the older net, no faster; while it is wide, actions hardly differ, and weights that carry more noise than that
are turned off for good: at +-10, with updates every 250, four fifths of the streams of a 64-64 net died, and half of its gain with them.

Departures from the paper: noise is held for some steps, for which see `hold`; the two streams have a hidden layer's width between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, cast, final

import torch
from torch import Tensor, nn

from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import require
from tradewind.nets.noisy import SIGMA, attach, draw, redraw, silence
from tradewind.nets.q_network import QNetwork
from tradewind.rl.categorical import at_edge, categorical_cross_entropy, categorical_mean, categorical_target
from tradewind.rl.prioritised import PrioritisedReplay
from tradewind.rl.replay import Batch, Replay, UniformReplay
from tradewind.rl.targets import double_q_target, temporal_difference_loss
from tradewind.rl.value_learner import ValueConfig, ValueLearner

__all__ = ["Rainbow", "RainbowConfig"]


@final
@dataclass(frozen=True)
class RainbowConfig(ValueConfig):
    """The settings that all value learners share, and Rainbow's parts.

    `double`, `dueling`, `prioritised` and `noisy` are switches; `n_step` 1 and `atoms` 1 switch off the other two. Priorities are
    surprise ** `alpha`, and their correction grows from `beta` to 1 over the run. `sigma` is the first deviation of the noise.

    No action is drawn blindly: noise alone explores. Each environment keeps its own for `hold` steps on average, so that what is tried
    hangs together, as in Plappert et al. 2018, https://arxiv.org/abs/1706.01905, who keep theirs for an episode, and in Fortunato's A3C,
    who keeps it for a rollout; their DQN draws it anew before each action, which is `hold` 1 and in Acrobot never met the goal. Without
    noise set `epsilon_start` and `epsilon_end`.

    The distribution stands on `atoms` values from `v_min` to `v_max`, in the unit of learning: with `normalise_rewards` the standard
    deviation of the discounted sum of rewards, in which -5 to 5 holds what trading returns and the 100 that 500 steps of 1 are worth, 4
    units; without it the environment's own unit, and the two must hold every discounted return. What lies beyond counts as the outermost
    value: the agent cannot tell good from better there; `at_edge` in the log says how much of the distribution stands there.
    Raises SettingsError.
    """

    n_step: int = 3
    target_every: int = 50
    epsilon_start: float = 0.0
    epsilon_end: float = 0.0
    double: bool = True
    dueling: bool = True
    prioritised: bool = True
    alpha: float = 0.5
    beta: float = 0.4
    atoms: int = 51
    v_min: float = -5.0
    v_max: float = 5.0
    noisy: bool = True
    sigma: float = SIGMA
    hold: int = 50

    def __post_init__(self) -> None:
        self.validate()
        whole(atoms=self.atoms, hold=self.hold)
        fraction(zero=True, one=True, alpha=self.alpha, beta=self.beta)
        number(sigma=self.sigma)
        for part in ("double", "dueling", "prioritised", "noisy"):
            require(isinstance(getattr(self, part), bool), f"{part} is {getattr(self, part)!r}; it is true or false")
        ends = f"v_min is {self.v_min!r} and v_max {self.v_max!r}; they are finite numbers, the first below the second"
        require(-math.inf < self.v_min < self.v_max < math.inf, ends)
        require(self.noisy or self.epsilon_end > 0, "without noise nothing new is tried in the end; set epsilon_start and epsilon_end")


@final
class Rainbow(ValueLearner):
    """One critic of distributions, and an older copy of it."""

    name: ClassVar[str] = "rainbow"
    config: RainbowConfig

    def critics(self, inputs: int, actions: int) -> nn.ModuleDict:
        """A net as the config wants it."""
        config = self.config
        self.support = torch.linspace(config.v_min, config.v_max, config.atoms, device=self.device)
        sigma = config.sigma if config.noisy else None
        return nn.ModuleDict({"critic": QNetwork(inputs, actions, config.hidden, config.dueling, config.atoms, sigma)})

    def memory(self, inputs: int) -> Replay:
        """A replay by priority, or a uniform one."""
        if not self.config.prioritised:
            return UniformReplay(self.config.capacity, inputs, self.device)
        return PrioritisedReplay(self.config.capacity, inputs, self.device, self.config.alpha)

    def values(self, nets: nn.ModuleDict, observations: Tensor) -> Tensor:
        """(batch, action) the means of the distributions; while learning each row has noise of its own for a while, else there is none."""
        critic = cast(QNetwork, nets["critic"])
        if self.nets.training and critic.noisy:
            self.kept["noise"] = self._held(critic, len(observations))
            attach(critic.noisy, self.kept["noise"])
        else:
            silence(critic.noisy)
        return self._means(critic(observations))

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy against the projected r + discount * Z'(s', argmax E Z(s', .)); the KL divergence is the surprise.

        Without a distribution, the loss of Double DQN and the absolute error.
        """
        with torch.no_grad():
            judge = self._answers(self.targets, batch.following)
            chooser = self._answers(self.nets, batch.following) if self.config.double else judge
        answers = self._answers(self.nets, batch.observations)
        weights = None if batch.weights is None else batch.weights ** (self.config.beta + (1.0 - self.config.beta) * self.progress)
        if self.config.atoms == 1:
            # Where the older net chooses for itself, this is the plain maximum of DQN.
            target = double_q_target(batch.returns, batch.discounts, judge, chooser)
            return temporal_difference_loss(answers, batch.actions, target, weights)
        rows, best = torch.arange(len(answers), device=answers.device), self._means(chooser).argmax(dim=1)
        led_to = torch.softmax(judge[rows, best].float(), dim=1)
        likely = categorical_target(batch.returns, batch.discounts, led_to, self.support)
        losses = categorical_cross_entropy(likely, answers[rows, batch.actions].float())
        self.notes["at_edge"] = at_edge(likely)
        surprise = (losses.detach() + torch.xlogy(likely, likely).sum(dim=1)).clamp_(min=0.0)
        return (losses if weights is None else weights * losses).mean(), surprise

    def _answers(self, nets: nn.ModuleDict, observations: Tensor) -> Tensor:
        """What the critic of `nets` answers under new noise, the same for all rows."""
        critic = cast(QNetwork, nets["critic"])
        redraw(critic.noisy)
        return cast(Tensor, critic(observations))

    def _held(self, critic: QNetwork, rows: int) -> Tensor:
        """The noise of the step before, but for rows whose time is over, which comes with a chance of 1 in `hold`."""
        noise = self.kept.get("noise")
        if noise is None or len(noise) != rows:
            return draw(critic.noisy, rows)
        over = (torch.rand(rows, device=noise.device) * self.config.hold < 1.0).nonzero()[:, 0]
        return noise.index_copy(0, over, draw(critic.noisy, len(over)))

    def _means(self, answers: Tensor) -> Tensor:
        return answers if self.config.atoms == 1 else categorical_mean(answers.float(), self.support)
