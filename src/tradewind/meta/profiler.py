"""What gradients cost: the time of each layer forward and backward, and the memory that it keeps for the way back.

Source: hooks of torch on the leaves of a model, https://docs.pytorch.org/docs/stable/autograd.html#saved-tensors-hooks-doc. Costs some
microseconds a layer, which small layers pay for by looking slower than they are. Fails for layers that write over their inputs, and under
the transforms of torch.func, which take no such hooks: there a whole computation can be timed, not its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, final

import torch
from torch import Tensor, nn

from tradewind.core.clock import SystemClock
from tradewind.core.errors import SettingsError

__all__ = ["GradientProfiler", "LayerCost", "Measured"]


@final
@dataclass(frozen=True)
class LayerCost:
    """`forward` and `backward` in seconds, `kept` in bytes: what the layer keeps of its inputs and answers for the way back."""

    kind: str
    forward: float
    backward: float
    kept: int


@final
@dataclass(frozen=True)
class Measured:
    """One computation: `seconds`, and on a GPU the `peak` of memory in bytes above what was there before (None elsewhere)."""

    seconds: float
    peak: int | None
    result: Any


@final
class GradientProfiler:
    """Times gradient computations, and the layers of a model one by one."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._clock = SystemClock()

    def profile_gradient_computation(self, compute: Callable[..., Any], *arguments: Any) -> Measured:
        """Call `compute(*arguments)` once, such as `learner.meta_train_step(tasks)`, and say what it took and answered."""
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        began = self._clock.monotonic()
        result = compute(*arguments)
        if gpu:
            torch.cuda.synchronize()
        self.seconds.append(self._clock.monotonic() - began)
        return Measured(self.seconds[-1], torch.cuda.max_memory_allocated() - before if gpu else None, result)

    def get_profiling_summary(self) -> dict[str, float]:
        """Count, total, mean, median and longest of the computations so far, in seconds. Raises SettingsError where there was none."""
        if not self.seconds:
            raise SettingsError("nothing was profiled yet; call profile_gradient_computation first")
        total = sum(self.seconds)
        return {
            "count": float(len(self.seconds)),
            "total": total,
            "mean": total / len(self.seconds),
            "median": median(self.seconds),
            "longest": max(self.seconds),
        }

    def profile_layers(self, model: nn.Module, data: Tensor, loss: Callable[[Tensor], Tensor]) -> dict[str, LayerCost]:
        """One pass of `data` (sample, ...) forward and of `loss(outputs)` back, by the name of each leaf of the model that was called.

        A layer that is called more than once is counted in sum. The gradients that were in the model are left as they were.
        """
        costs = _Costs(self._clock)
        inputs = data.clone().requires_grad_() if data.is_floating_point() else data
        with costs.watching(model):
            value = loss(model(inputs))
            weights = [weight for weight in model.parameters() if weight.requires_grad]
            torch.autograd.grad(value, [inputs, *weights] if inputs.requires_grad else weights, allow_unused=True)
        kinds = {name: type(layer).__name__ for name, layer in model.named_modules()}
        return {
            name: LayerCost(kinds[name], forward, costs.backward.get(name, 0.0), costs.kept[name])
            for name, forward in costs.forward.items()
        }


@final
class _Costs:
    """Sums by the layer's name, while its hooks are on."""

    def __init__(self, clock: SystemClock) -> None:
        self.forward: dict[str, float] = {}
        self.backward: dict[str, float] = {}
        self.kept: dict[str, int] = {}
        self._clock, self._began, self._inside = clock, 0.0, ""
        self._own: set[int] = set()

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        # A weight that is kept for the way back is there anyway.
        self._own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
        hooks = []
        for name, layer in model.named_modules():
            if not list(layer.children()):
                hooks.append(layer.register_forward_pre_hook(partial(self._enter, name)))
                hooks.append(layer.register_forward_hook(partial(self._leave, name)))
                hooks.append(layer.register_full_backward_pre_hook(partial(self._turn, name)))
                hooks.append(layer.register_full_backward_hook(partial(self._return, name)))
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: kept):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, name: str, *_: Any) -> None:
        self._inside, self._began = name, self._clock.monotonic()
        self.kept.setdefault(name, 0)

    def _leave(self, name: str, *_: Any) -> None:
        self.forward[name] = self.forward.get(name, 0.0) + self._clock.monotonic() - self._began
        self._inside = ""

    def _turn(self, name: str, *_: Any) -> None:
        self._began = self._clock.monotonic()

    def _return(self, name: str, *_: Any) -> None:
        self.backward[name] = self.backward.get(name, 0.0) + self._clock.monotonic() - self._began

    def _keep(self, tensor: Tensor) -> Tensor:
        if self._inside and tensor.untyped_storage().data_ptr() not in self._own:
            self.kept[self._inside] += tensor.numel() * tensor.element_size()
        return tensor
