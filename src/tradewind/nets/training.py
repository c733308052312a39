"""The one training loop of every net: AdamW, gradient accumulation and clipping, early stopping, and the best epoch's weights back.

Paper: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101 (AdamW). Costs three forward passes a sample and epoch, and a fourth
where a loss that is no mean is accumulated. One thread by default: small nets on two threads of a shared machine run slower, not
faster. Where memory runs out the batch is halved, as often as it takes, and the step taken again in more passes, with the same gradient.
Fails, with an error, where the loss stops being a number.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, final

import torch
from torch import Tensor, nn

from tradewind.core.clock import SystemClock
from tradewind.core.settings import require
from tradewind.core.types import State
from tradewind.nets import checkpoint
from tradewind.nets.course import Course, Diverged, Epoch, TrainingSettings
from tradewind.nets.device import DeviceReport, choose_device, report_device, reproducible, supports_bfloat16
from tradewind.nets.losses import Loss, Mean

__all__ = ["Diverged", "Epoch", "Examples", "Inputs", "Training", "TrainingSettings", "train"]


class Inputs(Protocol):
    """What a net reads: samples by number, on some device. `gather` gives the one argument of the net: a tensor or a tuple of them."""

    def gather(self, which: Tensor) -> Any: ...

    def to(self, device: torch.device) -> Self: ...


@final
@dataclass(frozen=True, eq=False)
class Examples:
    """`inputs` with `targets` (sample, ...) and positive `weights` (sample,), float32."""

    inputs: Inputs
    targets: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> Examples:
        """The same examples on another device."""
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device), weights=self.weights.to(device))


@final
@dataclass(frozen=True)
class Training:
    """What happened: the history, the epoch whose weights the net now has, why it stopped, on what, and how fast.

    `batch` and `accumulate` are those it ended with, and `notes` says why they are not those of the settings. `kept` are the weights of
    the best epochs as data, the best first.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    stopped: Literal["epochs", "patience", "time"]
    device: DeviceReport
    seconds: float
    samples_per_second: float
    batch: int
    accumulate: int
    notes: tuple[str, ...] = ()
    kept: tuple[tuple[Epoch, State], ...] = ()


def train(
    net: nn.Module,
    examples: Examples,
    validation: Examples | None,
    loss: Loss,
    settings: TrainingSettings,
    seed: int,
    progress: Callable[[Epoch], None] | None = None,
    save: Callable[[State], None] | None = None,
    resume: State | None = None,
) -> Training:
    """Train `net` in place and leave it in eval mode on the CPU, with the weights of the epoch of lowest validation loss.

    `loss` is one of nets/losses, or another with its two methods. Without `validation` nothing stops early and the last weights stay.
    `progress` hears every epoch. `save` gets a State after every epoch; given back as `resume`, the training goes on as if it had never
    stopped. A CUDA device that is absent or fails is replaced by the CPU, and the report says so. Same seed, settings and device: same
    weights. Raises Diverged, a SettingsError, when the loss is no number any more; StateError when `resume` is of another net.
    """
    require(len(examples) > 0, "there is no example to train on")
    device, fallback = choose_device(settings.device)
    spare = copy.deepcopy(net) if device.type != "cpu" else net

    def attempt(place: torch.device, reason: str) -> Training:
        half = supports_bfloat16(place) if settings.bfloat16 == "auto" else bool(settings.bfloat16)
        with reproducible(seed, settings.threads):
            course = Course.begin(net.to(place), loss, settings, half, seed)
            if resume is not None:
                course.take_back(resume)
            return _run(course, examples.to(place), validation and validation.to(place), reason, progress, save)

    try:
        return attempt(device, fallback)
    except RuntimeError as error:
        # Out of memory at a batch of one, a lost device, a kernel that is missing: torch raises RuntimeError for all of them.
        if device.type == "cpu":
            raise
        # What is on a lost device cannot be read back: the net takes over all that its spare on the CPU is made of.
        vars(net).update(vars(spare))
        return attempt(torch.device("cpu"), f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    finally:
        net.to("cpu").eval()


def _run(
    course: Course,
    examples: Examples,
    validation: Examples | None,
    fallback: str,
    progress: Callable[[Epoch], None] | None,
    save: Callable[[State], None] | None,
) -> Training:
    settings, clock = course.settings, SystemClock()
    began, before = clock.monotonic(), len(course.history)
    stopped = course.verdict(0.0)
    while stopped is None:
        training_loss = _pass(course, examples)
        validation_loss = None if validation is None else _evaluate(course, validation)
        course.note(Epoch(len(course.history) + 1, training_loss, validation_loss))
        if progress is not None:
            progress(course.history[-1])
        if save is not None:
            save(course.put_away())
        stopped = course.verdict(clock.monotonic() - began)
    course.net.load_state_dict(course.kept[0].weights)
    seconds = clock.monotonic() - began
    speed = len(examples) * (len(course.history) - before) / seconds if seconds > 0 else 0.0
    report = report_device(examples.targets.device, settings.threads, course.half, fallback)
    kept = tuple((kept.line, checkpoint.weights(kept.weights)) for kept in course.kept)
    told = tuple(course.history), course.best_epoch, stopped, report, seconds, speed, course.batch, course.accumulate
    return Training(*told, tuple(course.notes), kept)


def _pass(course: Course, examples: Examples) -> float:
    """One epoch of steps; the loss over all of it."""
    course.net.train()
    rate = course.learning_rate()
    order = course.samples(len(examples)).to(examples.targets.device)
    steps = torch.split(order, course.settings.batch * course.settings.accumulate)
    sums: Tensor | None = None
    for step, together in enumerate(steps):
        for group in course.optimiser.param_groups:
            group["lr"] = rate * course.warmth(step, len(steps))
        terms = _with_memory(course.shrink, lambda which=together: _backward(course, examples, which))  # type: ignore[misc]
        if course.settings.clip:
            nn.utils.clip_grad_norm_(course.net.parameters(), course.settings.clip)
        course.optimiser.step()
        sums = terms if sums is None else sums + terms
    assert sums is not None, "train() has refused to learn from nothing"
    return float(course.loss.value(sums))


def _backward(course: Course, examples: Examples, group: Tensor) -> Tensor:
    """Leave the gradient of the loss over the samples `group` in the net; the terms (k,), float64."""
    course.optimiser.zero_grad(set_to_none=True)
    parts = torch.split(group, course.batch)
    if len(parts) == 1:
        terms = _terms(course, examples, group)
        torch.autograd.backward(course.loss.value(terms))
        return terms.detach().double()
    slope, found = _slope(course, examples, parts), []
    for which in parts:
        terms = _terms(course, examples, which)
        torch.autograd.backward(terms @ slope)
        found.append(terms.detach().double())
    return torch.stack(found).sum(dim=0)


def _slope(course: Course, examples: Examples, parts: tuple[Tensor, ...]) -> Tensor:
    """(k,): how the loss over all `parts` changes with the terms: their gradients, weighted by it, add up to that of the loss."""
    if isinstance(course.loss, Mean):
        return course.loss.slope(examples.weights[torch.cat(parts)])
    # A first pass finds the sums; forked, so that the second one drops out the same units.
    with torch.no_grad(), torch.random.fork_rng(range(torch.cuda.device_count())):
        sums = torch.stack([_terms(course, examples, which) for which in parts]).sum(dim=0)
    sums.requires_grad_()
    (slope,) = torch.autograd.grad(course.loss.value(sums), sums)
    return slope


@torch.no_grad()
def _evaluate(course: Course, examples: Examples) -> float:
    course.net.eval()

    def over_all() -> Tensor:
        numbers = torch.arange(len(examples), device=examples.targets.device)
        parts = torch.split(numbers, course.evaluation_batch)
        return torch.stack([_terms(course, examples, which).double() for which in parts]).sum(dim=0)

    return float(course.loss.value(_with_memory(course.shrink_evaluation, over_all)))


def _terms(course: Course, examples: Examples, which: Tensor) -> Tensor:
    with torch.autocast(which.device.type, torch.bfloat16, enabled=course.half):
        outputs = course.net(examples.inputs.gather(which))
    return course.loss.terms(outputs.float(), examples.targets[which], examples.weights[which])


def _with_memory(shrink: Callable[[], bool], work: Callable[[], Tensor]) -> Tensor:
    """The result of `work`, done again as often as memory runs out after `shrink`, which says whether there was anything to shrink."""
    while True:
        try:
            return work()
        except RuntimeError as error:
            if not _out_of_memory(error) or not shrink():
                raise
        # Out of the handler, whose error keeps every tensor of the attempt alive.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _out_of_memory(error: RuntimeError) -> bool:
    # The CPU's allocator has no error class of its own.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
