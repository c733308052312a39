"""The one training loop of every net: AdamW, gradient accumulation and clipping, early stopping, and the best epoch's weights back.

Paper: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101 (AdamW); early stopping as in Prechelt 1998,
https://doi.org/10.1007/3-540-49430-8_3. Costs three forward passes a sample and epoch. One thread by default: small nets on two threads of
a shared machine run slower, not faster. Fails, with an error, where the loss stops being a number.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.clock import SystemClock
from tradewind.core.errors import SettingsError
from tradewind.core.limits import number, whole
from tradewind.core.settings import choose, require
from tradewind.core.types import State
from tradewind.nets import checkpoint
from tradewind.nets.device import DEVICES, DeviceReport, choose_device, report_device, reproducible, supports_bfloat16

__all__ = ["LOSSES", "Epoch", "Examples", "Inputs", "Training", "TrainingSettings", "train"]

EVALUATION_BATCH: Final = 64


@final
@dataclass(frozen=True)
class TrainingSettings:
    """How to train. `batch` samples a backward pass, `accumulate` passes a step, gradients clipped to the norm `clip` (0: not clipped).

    Training stops after `epochs`, after `patience` epochs in a row without a lower validation loss, or after the first epoch that
    ends later than `max_seconds` (0: no limit; with one, results depend on the machine's speed). `bfloat16` runs the net in bfloat16
    with float32 weights; `auto` does so where the device has it. `device` is auto, cpu or cuda. `threads` is for the CPU.
    """

    epochs: int = 100
    patience: int = 5
    batch: int = 32
    accumulate: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    bfloat16: bool | Literal["auto"] = False
    max_seconds: float = 0.0
    device: str = "auto"
    threads: int = 1
    shuffle: bool = True

    def __post_init__(self) -> None:
        whole(epochs=self.epochs, patience=self.patience, batch=self.batch, accumulate=self.accumulate, threads=self.threads)
        number(learning_rate=self.learning_rate)
        number(False, weight_decay=self.weight_decay, clip=self.clip, max_seconds=self.max_seconds)
        require(self.device in DEVICES, f"device {self.device!r} is none of {', '.join(DEVICES)}")
        require(self.bfloat16 in (True, False, "auto"), f"bfloat16 is {self.bfloat16!r}; it is true, false or 'auto'")


class Inputs(Protocol):
    """What a net reads: samples by number, on some device."""

    def gather(self, which: Tensor) -> Tensor: ...

    def to(self, device: torch.device) -> Self: ...


@final
@dataclass(frozen=True, eq=False)
class Examples:
    """`inputs` with a `targets` (sample,) and positive `weights` (sample,) each, float32."""

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
class Epoch:
    """One line of the history: weighted mean losses; `validation_loss` is None where nothing was held back."""

    epoch: int
    training_loss: float
    validation_loss: float | None


@final
@dataclass(frozen=True)
class Training:
    """What happened: the history, the epoch whose weights the net now has, why it stopped, on what, and how fast."""

    history: tuple[Epoch, ...]
    best_epoch: int
    stopped: Literal["epochs", "patience", "time"]
    device: DeviceReport
    seconds: float
    samples_per_second: float


Measure = Callable[[Tensor, Tensor], Tensor]


@final
@dataclass(eq=False)
class _Course:
    """A training between two epochs: what it goes by, and what changes from epoch to epoch and a checkpoint therefore holds."""

    net: nn.Module
    measure: Measure
    settings: TrainingSettings
    half: bool
    optimiser: torch.optim.Optimizer
    order: torch.Generator
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)


def _two_classes(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(outputs[:, 0], targets, reduction="none")


def _classes(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets.long(), reduction="none")


def _return(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs[:, 0] - targets) ** 2


LOSSES: Final[dict[str, Measure]] = {"two-classes": _two_classes, "classes": _classes, "return": _return}
"""Loss of each sample from logits or means (sample, output) and targets (sample,): class positions, or returns."""


def train(
    net: nn.Module,
    examples: Examples,
    validation: Examples | None,
    loss: str,
    settings: TrainingSettings,
    seed: int,
    progress: Callable[[Epoch], None] | None = None,
    save: Callable[[State], None] | None = None,
    resume: State | None = None,
) -> Training:
    """Train `net` in place and leave it in eval mode on the CPU, with the weights of the epoch of lowest validation loss.

    `loss` is one of LOSSES. Without `validation` nothing stops early and the last weights stay. `progress` hears every epoch. `save`
    gets a State after every epoch; given back as `resume`, the training goes on as if it had never stopped. A CUDA device that is absent
    or fails is replaced by the CPU, and the report says so. Same seed, settings and device: same weights. Raises SettingsError when
    the loss is no number any more, and for an unknown loss; StateError when `resume` is of another net.
    """
    measure = choose(loss, LOSSES, "loss")
    require(len(examples) > 0, "there is no example to train on")
    device, fallback = choose_device(settings.device)
    spare = copy.deepcopy(net) if device.type != "cpu" else net

    def attempt(place: torch.device, reason: str) -> Training:
        with reproducible(seed, settings.threads):
            course = _begin(net.to(place), measure, settings, seed, place)
            if resume is not None:
                _take_back(course, resume)
            return _run(course, examples.to(place), validation and validation.to(place), reason, progress, save)

    try:
        return attempt(device, fallback)
    except RuntimeError as error:
        # Out of memory, a lost device, a kernel that is missing: torch raises RuntimeError for all of them.
        if device.type == "cpu":
            raise
        # What is on a lost device cannot be read back: the net takes over all that its spare on the CPU is made of.
        vars(net).update(vars(spare))
        return attempt(torch.device("cpu"), f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    finally:
        net.to("cpu").eval()


def _begin(net: nn.Module, measure: Measure, settings: TrainingSettings, seed: int, device: torch.device) -> _Course:
    half = supports_bfloat16(device) if settings.bfloat16 == "auto" else bool(settings.bfloat16)
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return _Course(net, measure, settings, half, optimiser, torch.Generator().manual_seed(seed))


def _run(
    course: _Course,
    examples: Examples,
    validation: Examples | None,
    fallback: str,
    progress: Callable[[Epoch], None] | None,
    save: Callable[[State], None] | None,
) -> Training:
    settings, clock = course.settings, SystemClock()
    began, before = clock.monotonic(), len(course.history)
    stopped = _verdict(course, 0.0)
    while stopped is None:
        training_loss = _pass(course, examples)
        validation_loss = None if validation is None else _evaluate(course, validation)
        _note(course, Epoch(len(course.history) + 1, training_loss, validation_loss))
        if progress is not None:
            progress(course.history[-1])
        if save is not None:
            save(_put_away(course))
        stopped = _verdict(course, clock.monotonic() - began)
    course.net.load_state_dict(course.best)
    seconds = clock.monotonic() - began
    speed = len(examples) * (len(course.history) - before) / seconds if seconds > 0 else 0.0
    report = report_device(examples.targets.device, settings.threads, course.half, fallback)
    return Training(tuple(course.history), course.best_epoch, stopped, report, seconds, speed)


def _pass(course: _Course, examples: Examples) -> float:
    """One epoch of steps; its weighted mean loss."""
    net, settings, device = course.net.train(), course.settings, examples.targets.device
    n = len(examples)
    order = torch.randperm(n, generator=course.order) if settings.shuffle else torch.arange(n)
    summed = torch.zeros((), dtype=torch.float64, device=device)
    for group in torch.split(order.to(device), settings.batch * settings.accumulate):
        total = examples.weights[group].sum()
        course.optimiser.zero_grad(set_to_none=True)
        for which in torch.split(group, settings.batch):
            loss = _summed_loss(course, examples, which)
            torch.autograd.backward(loss / total)
            summed += loss.detach().double()
        if settings.clip:
            nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        course.optimiser.step()
    return float(summed / examples.weights.double().sum())


@torch.no_grad()
def _evaluate(course: _Course, examples: Examples) -> float:
    course.net.eval()
    device = examples.targets.device
    summed = torch.zeros((), dtype=torch.float64, device=device)
    for which in torch.split(torch.arange(len(examples), device=device), EVALUATION_BATCH):
        summed += _summed_loss(course, examples, which).double()
    return float(summed / examples.weights.double().sum())


def _summed_loss(course: _Course, examples: Examples, which: Tensor) -> Tensor:
    with torch.autocast(which.device.type, torch.bfloat16, enabled=course.half):
        outputs = course.net(examples.inputs.gather(which))
    return (course.measure(outputs.float(), examples.targets[which]) * examples.weights[which]).sum()


def _note(course: _Course, epoch: Epoch) -> None:
    """Write the epoch down, and keep its weights when they are the best so far (or the last, with nothing to judge them by)."""
    for part, loss in (("training", epoch.training_loss), ("validation", epoch.validation_loss)):
        if loss is not None and not math.isfinite(loss):
            rate = course.settings.learning_rate
            raise SettingsError(f"the {part} loss is {loss} in epoch {epoch.epoch}; lower learning_rate ({rate:g}) or check the inputs")
    lowest = course.history[course.best_epoch - 1].validation_loss if course.best_epoch else None
    course.history.append(epoch)
    if epoch.validation_loss is None or lowest is None or epoch.validation_loss < lowest:
        course.best_epoch = epoch.epoch
        course.best = {name: tensor.detach().clone() for name, tensor in course.net.state_dict().items()}


def _verdict(course: _Course, seconds: float) -> Literal["epochs", "patience", "time"] | None:
    """Why to stop after the epochs so far, if at all."""
    done, settings = len(course.history), course.settings
    if done >= settings.epochs:
        return "epochs"
    if done - course.best_epoch >= settings.patience:
        return "patience"
    return "time" if 0 < settings.max_seconds <= seconds else None


def _put_away(course: _Course) -> State:
    history = [[line.epoch, line.training_loss, line.validation_loss] for line in course.history]
    values: dict[str, Any] = {"best_epoch": course.best_epoch, "history": history}
    return checkpoint.pack(course.net, course.optimiser, course.best, course.order, values)


def _take_back(course: _Course, state: State) -> None:
    course.best, values = checkpoint.unpack(state, course.net, course.optimiser, course.order)
    course.best_epoch = int(values["best_epoch"])
    lines: Sequence[Sequence[Any]] = values["history"]
    course.history = [Epoch(int(epoch), float(training), validation) for epoch, training, validation in lines]
