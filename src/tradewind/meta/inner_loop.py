"""The inner loop: some steps of gradient descent on a task's support, as a pure function of the weights it starts from.

Papers: Finn, Abbeel, Levine 2017, https://arxiv.org/abs/1703.03400 (differentiating through the steps); Li et al. 2017,
https://arxiv.org/abs/1707.09835 (a rate for each weight). Costs one forward and one backward pass of the support a step and, where the
steps are differentiated through, the memory of all of them. Fails where descent with that rate diverges: within the trained steps
nothing stops it, beyond them `guarded_weights` does.

While adapting, a model is in evaluation mode: dropout is off, and batch norm uses its running statistics, which only supports ever move
(`observe`), so that no answer of a query depends on the other queries.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias, cast, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from tradewind.core.errors import SettingsError
from tradewind.core.settings import require, suggest
from tradewind.meta.tasks import LossName, Task, sample_losses

__all__ = [
    "Answer",
    "Batched",
    "Forward",
    "Rates",
    "Weights",
    "adapted_names",
    "adapting",
    "fast_weights",
    "forward_of",
    "guarded_weights",
    "observe",
    "stacked",
    "with_weights",
]

Weights: TypeAlias = Mapping[str, Tensor]
"""What the inner loop moves, by name: the parameters of a model, or any other tensors."""
Forward: TypeAlias = Callable[[Weights, Tensor], Tensor]
"""(weights, inputs (sample, ...)) -> logits or numbers (sample, ...)."""
Rates: TypeAlias = float | Weights
"""The inner learning rate: one for all weights, or tensors by the name of the weight."""
Answer: TypeAlias = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""(support data, support labels, query data) of one task -> outputs for the query, one tensor for each step that counts."""


# -- the steps ------------------------------------------------------------------------------------------------------------
def fast_weights(
    forward: Forward,
    weights: Weights,
    data: Tensor,
    labels: Tensor,
    loss: LossName,
    rates: Rates,
    steps: int = 1,
    first_order: bool = False,
) -> Weights:
    """The weights after `steps` of gradient descent on the mean loss of a support (sample, ...), differentiable in `weights` and `rates`.

    `first_order` takes the gradients for constants. Source: Finn et al. 2017, equation 1. Under `torch.no_grad` nothing is recorded.
    """

    def support_loss(now: Weights) -> Tensor:
        return sample_losses(forward(now, data), labels, loss).mean()

    for _ in range(steps):
        if first_order:
            with torch.no_grad():
                slopes = grad(support_loss)(dict(weights))
        else:
            slopes = grad(support_loss)(dict(weights))
        weights = _descend(weights, slopes, rates)
    return weights


def guarded_weights(
    forward: Forward, weights: Weights, data: Tensor, labels: Tensor, loss: LossName, rates: Rates, steps: int, trained: int
) -> Weights:
    """`fast_weights` for an adaptation whose learner was meta-trained with `trained` steps; nothing is recorded for a gradient.

    A step beyond those is kept only while the support loss goes on falling; the first that does not lower it is undone and ends it.
    """

    def support_loss(now: Weights) -> Tensor:
        return sample_losses(forward(now, data), labels, loss).mean()

    with torch.no_grad():
        weights = fast_weights(forward, weights, data, labels, loss, rates, min(steps, trained))
        for _ in range(steps - trained):
            slopes, before = grad_and_value(support_loss)(dict(weights))
            candidate = _descend(weights, slopes, rates)
            if not bool(support_loss(candidate) < before):  # so written that a loss that is no number ends it too
                break
            weights = candidate
    return weights


def _descend(weights: Weights, slopes: Weights, rates: Rates) -> Weights:
    if isinstance(rates, Mapping):
        return {name: weight - rates[name] * slopes[name] for name, weight in weights.items()}
    return {name: weight - rates * slopes[name] for name, weight in weights.items()}


# -- models as functions of their weights ---------------------------------------------------------------------------------
def forward_of(model: nn.Module) -> Forward:
    """`model` as a function of some of its parameters; those not given, and the buffers, are its own. Shared weights stay shared."""

    def forward(weights: Weights, data: Tensor) -> Tensor:
        return cast(Tensor, functional_call(model, dict(weights), (data,)))

    return forward


def adapted_names(model: nn.Module, only: str | Sequence[str] | None = None) -> tuple[str, ...]:
    """The parameters that the inner loop moves: all that learn, those of the last layer ("head"), or those called so or under such a name.

    Raises SettingsError for a name that is not there, and where nothing is left to adapt.
    """
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    require(bool(learning), "the model has no parameter that learns; set requires_grad on those to be adapted")
    if only is None:
        return tuple(learning)
    if only == "head":
        home = learning[-1].rpartition(".")[0]
        return tuple(name for name in learning if name.rpartition(".")[0] == home)
    wanted = (only,) if isinstance(only, str) else only
    under = {name: [known for known in learning if known == name or known.startswith(f"{name}.")] for name in wanted}
    for name, found in under.items():
        if not found:
            raise SettingsError(f"the model has no parameter {name!r} to adapt{suggest(name, learning)}")
    return tuple(known for known in learning if any(known in found for found in under.values()))


def with_weights(model: nn.Module, weights: Weights) -> nn.Module:
    """A copy of `model` with these weights in place of its own of those names; it shares no memory with either."""
    own = dict(model.named_parameters())
    # The memo hands the copy its new parameters, wherever in the model they are used, without copying the old ones first.
    memo = {id(own[name]): nn.Parameter(tensor.detach().clone(), own[name].requires_grad) for name, tensor in weights.items()}
    return copy.deepcopy(model, cast(dict[int, object], memo))


# -- modes ----------------------------------------------------------------------------------------------------------------
@contextmanager
def adapting(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and kernels that can be differentiated twice, for as long as tasks are adapted to; then all is as it was.

    Raises SettingsError for a batch norm without running statistics, which could not answer one query without the others.
    """
    modes = {module: module.training for module in model.modules()}
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise SettingsError(f"{name or 'the batch norm'} keeps no running statistics; build it with track_running_stats=True")
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        if any(isinstance(module, nn.RNNBase) for module in modes):
            # The fused recurrent kernels have no second derivative, and none at all in evaluation mode.
            fused: tuple[Any, ...] = (torch.backends.mkldnn, torch.backends.cudnn)
            for backend in fused:
                stack.callback(setattr, backend, "enabled", backend.enabled)
                backend.enabled = False
        try:
            model.eval()
            yield
        finally:
            for module, training in modes.items():
                module.training = training


@torch.no_grad()
def observe(model: nn.Module, tasks: Sequence[Task]) -> None:
    """Move the running statistics of the model's batch norms by the supports of a batch, once; a model without any is not asked.

    They are the only place from which statistics come: a query never moves one.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]
    data = torch.cat([task["support_data"] for task in tasks]) if norms else torch.empty(0)
    if len(data) < 2:  # nothing to normalise, or no variance to be had
        return
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        for norm in norms:
            norm.train()
        model(data)
    finally:
        for module, training in modes.items():
            module.training = training


# -- many tasks at once ----------------------------------------------------------------------------------------------------
def stacked(tasks: Sequence[Task]) -> list[dict[str, Tensor]]:
    """The tasks, those of equal shapes stacked into one of (task, sample, ...): a list of one entry where all are alike."""
    keys = ("support_data", "support_labels", "query_data", "query_labels")
    alike: dict[tuple[torch.Size, ...], list[Task]] = {}
    for task in tasks:
        alike.setdefault(tuple(task[key].shape for key in keys), []).append(task)
    return [{key: torch.stack([task[key] for task in group]) for key in keys} for group in alike.values()]


@final
class Batched:
    """Answers for all tasks of a stacked group: at once through `torch.func.vmap`, or one by one for a model that cannot be asked so.

    Which of the two is found out at the first group and kept: torch.func refuses recurrent nets, and models whose way depends on numbers.
    """

    def __init__(self) -> None:
        self.vectorised = True

    def __call__(self, answer: Answer, group: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """`answer` for each task: outputs (task, query, ...), one tensor for each step that counts."""
        inputs = group["support_data"], group["support_labels"], group["query_data"]
        if self.vectorised and len(inputs[0]) > 1:
            try:
                return vmap(answer)(*inputs)
            except RuntimeError:  # what is wrong with the model itself is raised again below
                self.vectorised = False
        answers = [answer(*task) for task in zip(*inputs, strict=True)]
        return tuple(torch.stack(outputs) for outputs in zip(*answers, strict=True))
