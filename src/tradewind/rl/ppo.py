"""Proximal policy optimisation: a few passes over fresh experience, each held near the policy that gathered it by a clipped ratio.

Paper: Schulman, Wolski, Dhariwal, Radford, Klimov 2017, https://arxiv.org/abs/1707.06347; the details that make it work are those of Huang
et al. 2022, https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/, the 13 of the core and those of continuous control.
Costs one forward pass a step, and `epochs` times three to learn from it: at nets of 256-256-128 and 10 epochs that is 13 million
multiplications and additions a step. Fails where rewards are rare (it explores by chance alone) and where `learning_rate` or `epochs` let
the policy leave the ratio's reach: `clipped` then goes above a third, and a `target_kl` stops it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar, Final, Literal, Self, cast, final

import torch
from torch import Tensor, nn

from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import require
from tradewind.core.spaces import Choice, Real, Space, Whole
from tradewind.core.types import State
from tradewind.nets.actor_critic import ACTIVATIONS, ActorCritic
from tradewind.nets.checkpoint import load_net, load_optimiser, net_state, optimiser_state
from tradewind.nets.device import supports_bfloat16
from tradewind.rl.base import Agent
from tradewind.rl.lanes import Lanes, Transition
from tradewind.rl.normalise import RewardScale
from tradewind.rl.policies import Categorical, Gaussian, Policy
from tradewind.rl.returns import generalised_advantages
from tradewind.rl.spaces import Spaces

__all__ = ["PPO", "SPACES", "Experience", "Losses", "PPOConfig", "ppo_losses"]

SPACES: Final[Space] = {
    "learning_rate": Real(3e-5, 3e-3, log=True),
    "epochs": Whole(3, 20),
    "clip": Choice((0.1, 0.2, 0.3)),
    "gae_lambda": Choice((0.8, 0.9, 0.95, 0.98)),
    "entropy_weight": Real(1e-5, 3e-2, log=True),
}
LEAST: Final = 1e-8


@final
@dataclass(frozen=True)
class PPOConfig:
    """`rollout` steps, over all lanes together, are gathered and then learned from `epochs` times in batches of `batch`.

    Each lane gives `rollout // lanes` of them, one at least. `gae_lambda` and `discount` weigh what follows a step, `clip` bounds the ratio
    of policies, `value_clip` the step of a value (None: not), `entropy_weight` rewards doubt, `target_kl` ends the epochs early (None:
    never), `anneal` lets the learning rate fall to 0 over the run, `max_gradient` is the longest gradient. `deviation` is how far
    continuous actions stray at first, in a range of [-1, 1]. `bfloat16` "auto" is on where the processor has it. Raises SettingsError.
    """

    hidden: tuple[int, ...] = (256, 256, 128)
    activation: Literal["tanh", "relu"] = "tanh"
    learning_rate: float = 3e-4
    anneal: bool = True
    rollout: int = 16_384
    batch: int = 64
    epochs: int = 10
    discount: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    value_clip: float | None = None
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    target_kl: float | None = None
    max_gradient: float = 0.5
    deviation: float = 1.0
    normalise_observations: bool = True
    normalise_rewards: bool = True
    bfloat16: bool | Literal["auto"] = False
    device: str = "auto"
    threads: int = 1

    def __post_init__(self) -> None:
        whole(rollout=self.rollout, batch=self.batch, epochs=self.epochs, threads=self.threads)
        number(learning_rate=self.learning_rate, clip=self.clip, max_gradient=self.max_gradient, deviation=self.deviation)
        number(positive=False, value_weight=self.value_weight, entropy_weight=self.entropy_weight)
        fraction(zero=True, one=True, discount=self.discount, gae_lambda=self.gae_lambda)
        for name in ("value_clip", "target_kl"):
            if getattr(self, name) is not None:
                number(**{name: getattr(self, name)})
        require(self.activation in ACTIVATIONS, f"activation {self.activation!r} is none of {', '.join(ACTIVATIONS)}")
        require(len(self.hidden) > 0, "hidden is empty; name the width of one hidden layer at least, such as (256, 256, 128)")
        for width in self.hidden:
            whole(hidden=width)
        require(self.bfloat16 in (True, False, "auto"), f"bfloat16 is {self.bfloat16!r}; it is True, False or 'auto'")
        require(self.batch <= self.rollout, f"batch {self.batch} is more than the rollout {self.rollout} that it is taken from")


@final
@dataclass(frozen=True, eq=False)
class Experience:
    """Steps to learn from, the first axis the same in all: `observations` normalised, `actions` as drawn, and (sample,) the rest.

    `log_probabilities` and `values` are those of the policy that acted; `returns` are what the values should have been.
    """

    observations: Tensor
    actions: Tensor
    log_probabilities: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def __len__(self) -> int:
        return len(self.returns)

    def shuffled(self, batch: int) -> Iterator[Experience]:
        """All of it once, in random order, `batch` at a time, the last what is left: gathered once, cut without a copy."""
        order = torch.randperm(len(self), device=self.returns.device)
        mixed = [getattr(self, field.name).index_select(0, order) for field in fields(self)]
        for parts in zip(*(tensor.split(batch) for tensor in mixed), strict=True):
            yield Experience(*parts)


@final
@dataclass(frozen=True, eq=False)
class Losses:
    """Scalars of one batch: what is minimised, `total`, its parts, and how far the policy has moved: `kl`, and the share `clipped`."""

    total: Tensor
    policy: Tensor
    value: Tensor
    entropy: Tensor
    kl: Tensor
    clipped: Tensor


def ppo_losses(policy: Policy, values: Tensor, batch: Experience, config: PPOConfig) -> Losses:
    """The clipped surrogate loss of a `batch` for what the nets now say of it: `policy` and `values` (sample,).

    Source: Schulman et al. 2017, equations 7 and 9; `kl` is the third estimate of http://joschu.net/blog/kl-approx.html.
    """
    advantages = batch.advantages
    if len(batch) > 1:  # the deviation of a single advantage is not a number
        advantages = (advantages - advantages.mean()) / (advantages.std() + LEAST)
    log_ratio = policy.log_probability(batch.actions) - batch.log_probabilities
    ratio = log_ratio.exp()
    near = ratio.clamp(1.0 - config.clip, 1.0 + config.clip)
    of_policy = -torch.minimum(advantages * ratio, advantages * near).mean()
    told = values
    if config.value_clip is not None:
        told = batch.values + (values - batch.values).clamp(-config.value_clip, config.value_clip)
    of_value = nn.functional.mse_loss(told, batch.returns)
    entropy = policy.entropy().mean()
    total = of_policy + config.value_weight * of_value - config.entropy_weight * entropy
    with torch.no_grad():
        kl = (ratio - 1.0 - log_ratio).mean()
        clipped = ((ratio - 1.0).abs() > config.clip).float().mean()
    return Losses(total, of_policy.detach(), of_value.detach(), entropy.detach(), kl, clipped)


@final
class PPO(Agent):
    """Learns a stochastic policy and a value; acts by the mode. Discrete and continuous actions."""

    name: ClassVar[str] = "ppo"
    config: PPOConfig

    def __init__(self, config: PPOConfig | None = None) -> None:
        super().__init__(config or PPOConfig())
        self.half = supports_bfloat16(self.device) if self.config.bfloat16 == "auto" else self.config.bfloat16

    # -- acting ----------------------------------------------------------------------------------------------------------
    def build(self, spaces: Spaces) -> nn.ModuleDict:
        deviation = None if spaces.discrete else self.config.deviation
        return nn.ModuleDict({"net": ActorCritic(spaces.inputs, spaces.actions, self.config.hidden, self.config.activation, deviation)})

    def choose(self, observations: Tensor, deterministic: bool) -> Tensor:
        policy = self.policy(self.net.actor(observations))
        return policy.mode() if deterministic else policy.sample()

    def convictions(self, observations: Tensor) -> Tensor:
        """Choices: the logarithm of how many times likelier the best is than the second. Continuous: deviations from doing nothing."""
        return self.policy(self.net.actor(observations)).conviction()

    @property
    def net(self) -> ActorCritic:
        """Actor and critic."""
        return cast(ActorCritic, self.nets["net"])

    def policy(self, said: Tensor) -> Policy:
        """The policy of what the actor said (batch, actions)."""
        deviation = self.net.log_deviation
        return Categorical(said) if deviation is None else Gaussian(said, deviation)

    # -- learning ----------------------------------------------------------------------------------------------------------
    def begin(self, lanes: Lanes, steps: int, seed: int) -> None:
        self.steps = steps
        # One kernel for all weights; the epsilon of Huang et al.
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=self.config.learning_rate, eps=1e-5, fused=True)
        self.scale = RewardScale(lanes.size, self.config.discount).to(self.device)
        self.rollout = _Rollout.empty(max(1, self.config.rollout // lanes.size), lanes, self.device)

    def advance(self, lanes: Lanes) -> dict[str, float]:
        """Gather one rollout and learn from it."""
        left = max(0.0, 1.0 - lanes.steps / self.steps) if self.config.anneal else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * left
        with torch.no_grad():
            experience = self._gather(lanes)
        told = self._improve(experience) if len(experience) else {}
        return {**told, "learning_rate": self.config.learning_rate * left}

    def put_away(self) -> State:
        return State().nest("optimiser", optimiser_state(self.optimiser)).nest("scale", net_state(self.scale))

    def take_back(self, state: State) -> None:
        load_optimiser(self.optimiser, state.child("optimiser"))
        load_net(self.scale, state.child("scale"))

    def _gather(self, lanes: Lanes) -> Experience:
        """Act for a whole rollout under one policy, while the normalisation follows what is seen."""
        rollout, config = self.rollout, self.config
        actor, critic = self.net.actor.reader(self.half), self.net.critic.reader(self.half)
        for t in range(rollout.length):
            self.norm.update(lanes.observations)
            seen = self.norm(lanes.observations)
            policy, values = self.policy(actor(seen)), critic(seen).squeeze(-1)
            actions = policy.sample()
            step = lanes.step(actions)
            rewards = step.rewards
            if config.normalise_rewards:
                self.scale.update(rewards, step.ended)
                rewards = self.scale(rewards)
            rollout.write(t, seen, policy.log_probability(actions), values, rewards, step)
            # Only a cut by the clock is worth a second look at where it led; asking a GPU whether there is one makes it wait.
            if self.device.type != "cpu" or bool(step.truncated.any()):
                rollout.following[t] = critic(self.norm(step.following)).squeeze(-1)
        last = critic(self.norm(lanes.observations)).squeeze(-1)
        return rollout.experience(last, config.discount, config.gae_lambda)

    def _improve(self, experience: Experience) -> dict[str, float]:
        """The epochs over one rollout; the means of its losses."""
        config, sums, batches = self.config, torch.zeros(5, device=self.device), 0
        parameters = list(self.net.parameters())
        for epoch in range(config.epochs):
            for batch in experience.shuffled(config.batch):
                said, values = self.net(batch.observations, self.half)
                losses = ppo_losses(self.policy(said), values, batch, config)
                sums += torch.stack([losses.policy, losses.value, losses.entropy, losses.kl, losses.clipped])
                batches += 1
                if config.target_kl is not None and float(losses.kl) > 1.5 * config.target_kl:
                    return self._told(experience, sums / batches, epoch)
                self.optimiser.zero_grad()
                losses.total.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(parameters, config.max_gradient)
                self.optimiser.step()
        return self._told(experience, sums / batches, config.epochs)

    def _told(self, experience: Experience, means: Tensor, epochs: int) -> dict[str, float]:
        names = ("policy_loss", "value_loss", "entropy", "kl", "clipped")
        told = dict(zip(names, means.tolist(), strict=True)) | {"epochs": float(epochs)}
        spread = experience.returns.var(correction=0)
        told["explained"] = float(1.0 - (experience.returns - experience.values).var(correction=0) / spread) if float(spread) > 0 else 0.0
        if self.net.log_deviation is not None:
            told["deviation"] = float(self.net.log_deviation.detach().exp().mean())
        return told


@final
@dataclass(frozen=True, eq=False)
class _Rollout:
    """Room for one rollout, (time, lane, ...), allocated once: `following` are the values of where cut episodes led."""

    observations: Tensor
    actions: Tensor
    log_probabilities: Tensor
    values: Tensor
    following: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    counted: Tensor

    @classmethod
    def empty(cls, length: int, lanes: Lanes, device: torch.device) -> Self:
        """Room for `length` steps of all lanes."""
        shape, spaces = (length, lanes.size), lanes.spaces
        observations = torch.zeros(*shape, spaces.inputs, device=device)
        actions = torch.zeros(shape, dtype=torch.int64, device=device)
        if not spaces.discrete:
            actions = torch.zeros(*shape, spaces.actions, device=device)
        numbers = (torch.zeros(shape, device=device) for _ in range(4))
        flags = (torch.zeros(shape, dtype=torch.bool, device=device) for _ in range(3))
        return cls(observations, actions, *numbers, *flags)

    @property
    def length(self) -> int:
        """Steps of each lane."""
        return len(self.rewards)

    def write(self, t: int, seen: Tensor, log_probabilities: Tensor, values: Tensor, rewards: Tensor, step: Transition) -> None:
        """Write down step `t` of all lanes."""
        self.observations[t], self.actions[t], self.rewards[t] = seen, step.actions, rewards
        self.log_probabilities[t], self.values[t] = log_probabilities, values
        self.terminated[t], self.truncated[t], self.counted[t] = step.terminated, step.truncated, step.counted

    def experience(self, last: Tensor, discount: float, gae_lambda: float) -> Experience:
        """What there is to learn, flat; `last` (lane,) are the values of what the lanes show now."""
        following = torch.where(self.truncated, self.following, torch.cat([self.values[1:], last[None]]))
        ended = self.terminated | self.truncated
        advantages = generalised_advantages(self.rewards, self.values, following, self.terminated, ended, discount, gae_lambda)
        whole_rollout = (self.observations, self.actions, self.log_probabilities, self.values, advantages, advantages + self.values)
        flat = [tensor.flatten(0, 1) for tensor in whole_rollout]
        if not bool(self.counted.all()):
            rows = self.counted.flatten().nonzero()[:, 0]
            flat = [tensor.index_select(0, rows) for tensor in flat]
        return Experience(*flat)
