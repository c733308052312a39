"""Rainbow: six improvements of DQN in one agent, each of which can be switched off: with all of them off it is DQN.

Paper: Hessel et al. 2018, https://arxiv.org/abs/1710.02298. Its parts: double (van Hasselt et al. 2016), dueling (Wang et al. 2016),
prioritised replay (Schaul et al. 2016), several steps (Sutton 1988), distributional (Bellemare et al. 2017), noisy nets (Fortunato et al.
2018). Costs about twice what D3QN does. Fails where returns leave the support from `v_min` to `v_max`, and where rewards are so rare that
noise never meets one: in Acrobot, whose goal random actions do not reach either, it found nothing in 80,000 steps, and within 16,000
without its noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, cast, final

import torch
from torch import Tensor, nn

from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import require
from tradewind.nets.noisy import SIGMA, redraw, silence
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

    `double`, `dueling`, `prioritised` and `noisy` are switches; `n_step` 1 and `atoms` 1 switch off the other two. Actions are drawn
    blindly over the first `exploration` of the run alone, which the paper does not do: a new net's noise is faint, and in a small task it
    may never try enough. Without noise go on with it: set `epsilon_end`. Priorities are surprise ** `alpha`, and their correction grows
    from `beta` to 1 over the run. `sigma` is the first deviation of the noise.

    The distribution stands on `atoms` values from `v_min` to `v_max`, in the unit of learning: with `normalise_rewards` the standard
    deviation of the discounted sum of rewards, in which returns of -10 to 10 are ample for trading and for tasks that count steps; without
    it the environment's own unit, and the two must hold every discounted return. What lies beyond counts as the outermost value:
    the agent cannot tell good from better there; `at_edge` in the log says how much of the distribution stands there.
    Raises SettingsError.
    """

    n_step: int = 3
    epsilon_end: float = 0.0
    exploration: float = 0.1
    double: bool = True
    dueling: bool = True
    prioritised: bool = True
    alpha: float = 0.5
    beta: float = 0.4
    atoms: int = 51
    v_min: float = -10.0
    v_max: float = 10.0
    noisy: bool = True
    sigma: float = SIGMA

    def __post_init__(self) -> None:
        self.validate()
        whole(atoms=self.atoms)
        fraction(zero=True, one=True, alpha=self.alpha, beta=self.beta)
        number(sigma=self.sigma)
        for part in ("double", "dueling", "prioritised", "noisy"):
            require(isinstance(getattr(self, part), bool), f"{part} is {getattr(self, part)!r}; it is true or false")
        ends = f"v_min is {self.v_min!r} and v_max {self.v_max!r}; they are finite numbers, the first below the second"
        require(-math.inf < self.v_min < self.v_max < math.inf, ends)
        require(self.noisy or self.epsilon_end > 0, "without noise nothing new is tried in the end; set epsilon_end, such as .05")


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
        """(batch, action) the means of the distributions; while learning each row has noise of its own, else there is none."""
        critic = cast(QNetwork, nets["critic"])
        if self.nets.training:
            redraw(critic.noisy, len(observations))
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

    def _means(self, answers: Tensor) -> Tensor:
        return answers if self.config.atoms == 1 else categorical_mean(answers.float(), self.support)
