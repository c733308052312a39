"""What gradients cost: layers that sleep are seen to sleep, and what is kept is counted in bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tradewind.core.clock import SystemClock
from tradewind.core.errors import SettingsError
from tradewind.meta.profiler import GradientProfiler
from tradewind.meta.protonet import ProtoNetConfig, PrototypicalNetworks
from tradewind.meta.synthetic_tasks import RegimeTasks


class Slow(torch.autograd.Function):
    """Sleeps forward and backward."""

    @staticmethod
    def forward(context: object, data: Tensor, forward: float, backward: float) -> Tensor:
        context.backward = backward  # type: ignore[attr-defined]
        SystemClock().sleep(forward)
        return data.clone()

    @staticmethod
    def backward(context: object, slope: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        SystemClock().sleep(context.backward)  # type: ignore[attr-defined]
        return slope, None, None


class Sleeper(nn.Module):
    """A layer of known cost."""

    def __init__(self, forward: float, backward: float) -> None:
        super().__init__()
        self.times = forward, backward

    def forward(self, data: Tensor) -> Tensor:
        answer: Tensor = Slow.apply(data, *self.times)
        return answer


def test_the_layer_that_takes_the_time_is_found() -> None:
    model = nn.Sequential(nn.Linear(4, 8), Sleeper(0.03, 0.06), nn.Linear(8, 1))
    costs = GradientProfiler().profile_layers(model, torch.randn(5, 4), lambda outputs: outputs.square().mean())
    assert list(costs) == ["0", "1", "2"]
    assert costs["1"].kind == "Sleeper"
    assert costs["1"].forward >= 0.03 and costs["1"].backward >= 0.06
    assert max(costs["0"].forward, costs["2"].forward) < 0.03
    assert max(costs["0"].backward, costs["2"].backward) < 0.06


def test_what_is_kept_for_the_way_back_is_counted_in_bytes() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    costs = GradientProfiler().profile_layers(model, torch.randn(5, 4), lambda outputs: outputs.sum())
    # A linear layer keeps its inputs, a tanh its answers, four bytes each; the weights are there anyway.
    assert {name: cost.kept for name, cost in costs.items()} == {"0": 5 * 4 * 4, "1": 5 * 8 * 4, "2": 5 * 8 * 4}


def test_profiling_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    model(torch.ones(1, 4)).sum().backward()
    before = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    GradientProfiler().profile_layers(model, torch.randn(5, 4), lambda outputs: outputs.sum())
    assert all(torch.equal(weight.grad, was) for weight, was in zip(model.parameters(), before, strict=True))  # type: ignore[arg-type]
    assert not any(layer._forward_hooks or layer._backward_hooks or layer._forward_pre_hooks for layer in model.modules())


def test_a_meta_iteration_is_timed_and_answers() -> None:
    learner = PrototypicalNetworks(4, ProtoNetConfig(embedding_dim=8, hidden=8))
    tasks = RegimeTasks().sample_batch(np.random.default_rng(0), 2)
    profiler = GradientProfiler()
    with pytest.raises(SettingsError, match="nothing was profiled yet"):
        profiler.get_profiling_summary()
    for _ in range(3):
        measured = profiler.profile_gradient_computation(learner.meta_train_step, tasks)
    assert learner.iterations == 3 and "meta_loss" in measured.result
    assert measured.peak is None or measured.peak >= 0
    summary = profiler.get_profiling_summary()
    assert summary["count"] == 3 and 0 < summary["median"] <= summary["longest"] <= summary["total"]
