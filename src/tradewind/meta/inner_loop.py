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
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from tradewind.core.errors import SettingsError
from tradewind.core.settings import require, suggest
from tradewind.meta.tasks import LossName, Task, accuracy, sample_losses

__all__ = [
    "Forward",
    "Rates",
    "Unrolled",
    "Weights",
    "abreast",
    "adapted_names",
    "adapting",
    "descend_query",
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
    tasks: int = 1,
) -> Weights:
    """The weights after `steps` of gradient descent on the mean loss of a support (sample, ...), differentiable in `weights` and `rates`.

    `first_order` takes the gradients for constants. Source: Finn et al. 2017, equation 1. Under `torch.no_grad` nothing is recorded.
    `tasks` of equally many samples may learn side by side, where `weights` holds those of each and `forward` puts their samples in a row:
    each descends the mean loss of its own.
    """
    recorded = torch.is_grad_enabled() and not first_order
    for _ in range(steps):
        _, slopes = _loss_and_slopes(forward, weights, data, labels, loss, tasks, recorded)
        weights = _descend(weights, slopes, rates)
    return weights


def guarded_weights(
    forward: Forward, weights: Weights, data: Tensor, labels: Tensor, loss: LossName, rates: Rates, steps: int, trained: int
) -> Weights:
    """`fast_weights` for an adaptation whose learner was meta-trained with `trained` steps; nothing is recorded for a gradient.

    A step beyond those is kept only while the support loss goes on falling; the first that does not lower it is undone and ends it.
    """
    with torch.no_grad():
        weights = fast_weights(forward, weights, data, labels, loss, rates, min(steps, trained))
        for _ in range(steps - trained):
            before, slopes = _loss_and_slopes(forward, weights, data, labels, loss, 1, False)
            candidate = _descend(weights, slopes, rates)
            after = sample_losses(forward(candidate, data), labels, loss).mean()
            if not bool(after < before):  # so written that a loss that is no number ends it too
                break
            weights = candidate
    return weights


def _loss_and_slopes(
    forward: Forward, weights: Weights, data: Tensor, labels: Tensor, loss: LossName, tasks: int, recorded: bool
) -> tuple[Tensor, Weights]:
    # Autograd rather than torch.func.grad: the same numbers, and a third of the time goes without its wrappers.
    leaves = {name: weight if recorded and weight.requires_grad else weight.detach().requires_grad_() for name, weight in weights.items()}
    with torch.enable_grad():
        value = sample_losses(forward(leaves, data), labels, loss).mean() * tasks
        slopes = torch.autograd.grad(value, list(leaves.values()), create_graph=recorded, materialize_grads=True)
    return value.detach(), dict(zip(leaves, slopes, strict=True))


def _descend(weights: Weights, slopes: Weights, rates: Rates) -> Weights:
    if isinstance(rates, Mapping):
        return {name: weight - rates[name] * slopes[name] for name, weight in weights.items()}
    return {name: weight - rates * slopes[name] for name, weight in weights.items()}


# -- models as functions of their weights ---------------------------------------------------------------------------------
def forward_of(model: nn.Module) -> Forward:
    """`model` as a function of some of its parameters; those not given, and the buffers, are its own. Shared weights stay shared."""

    # Each place of each module once: told to tie weights itself, torch (2.13) leaves a module that is used twice with the wrong ones.
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    places = {
        f"{prefix}.{place}".removeprefix("."): names[id(parameter)]
        for prefix, module in model.named_modules()
        for place, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
    }

    def forward(weights: Weights, data: Tensor) -> Tensor:
        given = {place: weights[name] for place, name in places.items() if name in weights}
        return cast(Tensor, functional_call(model, given, (data,), tie_weights=False))

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
    # The memo hands the copy its new parameters, wherever in the model they are used, without copying the old ones first. It has the empty
    # dicts of hooks too, over a dozen a module, on which deepcopy would spend most of its time.
    held = (value for module in model.modules() for value in vars(module).values())
    memo: dict[int, object] = {id(value): value.copy() for value in held if isinstance(value, dict) and not value}
    memo |= {id(own[name]): nn.Parameter(tensor.detach().clone(), own[name].requires_grad) for name, tensor in weights.items()}
    return copy.deepcopy(model, memo)


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
class Unrolled:
    """The inner loop of any module, its steps unrolled so that they can be differentiated through; `names` are the parameters it moves.

    Tasks of equal shapes go side by side through `torch.func.vmap`, or one by one for a model that cannot be asked so: recurrent nets, and
    those whose way depends on numbers. Which of the two is found out at the first batch and kept.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self.model, self.names = model, tuple(names)
        self.side_by_side = True

    def query_outputs(
        self, group: Mapping[str, Tensor], loss: LossName, rates: Rates, steps: int, first_order: bool = False, every: bool = False
    ) -> tuple[Tensor, ...]:
        """Outputs (task * query, ...) for a group after the last step, or after `every` one; differentiable in weights and rates."""
        forward, start, tasks = forward_of(self.model), self._start(), len(group["query_data"])

        def answers(ask: Forward, weights: Weights, data: Tensor, labels: Tensor, query: Tensor, count: int) -> tuple[Tensor, ...]:
            outputs = []
            for _ in range(steps if every else 1):
                weights = fast_weights(ask, weights, data, labels, loss, rates, 1 if every else steps, first_order, count)
                outputs.append(ask(weights, query))
            return tuple(outputs)

        def one_by_one() -> tuple[Tensor, ...]:
            alone = [answers(forward, start, *task, 1) for task in zip(*inputs, strict=True)]
            return tuple(torch.cat(outputs) for outputs in zip(*alone, strict=True))

        inputs = group["support_data"], group["support_labels"], group["query_data"]
        if not self.side_by_side or tasks == 1:
            return one_by_one()
        many = {name: weight.expand(tasks, *weight.shape) for name, weight in start.items()}
        try:
            return answers(abreast(forward), many, inputs[0], inputs[1].flatten(0, 1), inputs[2], tasks)
        except RuntimeError:
            outputs = one_by_one()  # raises again what is wrong with the model itself
            self.side_by_side = False
            return outputs

    def adapted(self, data: Tensor, labels: Tensor, loss: LossName, rates: Rates, steps: int, trained: int) -> Weights:
        """The weights of one task's own after `steps`, those beyond the `trained` ones guarded."""
        with adapting(self.model):
            return guarded_weights(forward_of(self.model), self._start(), data, labels, loss, rates, steps, trained)

    def _start(self) -> Weights:
        return {name: self.model.get_parameter(name) for name in self.names}


def abreast(forward: Forward) -> Forward:
    """`forward` for tasks side by side: (weights (task, ...), data (task, sample, ...)) -> (task * sample, ...)."""

    def many(weights: Weights, data: Tensor) -> Tensor:
        return vmap(forward)(dict(weights), data).flatten(0, 1)

    return many


def descend_query(
    outputs: Sequence[Tensor], labels: Tensor, loss: LossName, share: float, step_weights: Sequence[float] = (1.0,)
) -> dict[str, float]:
    """Leave in all that `outputs` (task * query, ...) come from the gradient of their loss times `share`, the group's share of the batch.

    One tensor of outputs for each step that counts, `step_weights` say how much. Tells, times the share too, the `meta_loss`, the
    `query_loss` of the last of them and, for classes, its `accuracy`.
    """
    labels = labels.flatten(0, 1)
    losses = [sample_losses(one, labels, loss).mean() for one in outputs]
    total = torch.stack([weight * one for weight, one in zip(step_weights, losses, strict=True)]).sum() * share
    torch.autograd.backward(total)
    told = {"meta_loss": float(total.detach()), "query_loss": float(losses[-1].detach()) * share}
    return told | ({"accuracy": accuracy(outputs[-1], labels) * share} if loss == "cross_entropy" else {})
