"""The course of a training: its settings, the epochs so far, the weights worth keeping, the learning rate, and when to stop.

Source: early stopping as in Prechelt 1998, https://doi.org/10.1007/3-540-49430-8_3; the learning rate falls on a plateau, as in He et al.
2016, https://arxiv.org/abs/1512.03385, and can rise over the first steps, as in Vaswani et al. 2017, https://arxiv.org/abs/1706.03762,
section 5.3. Costs a copy of the weights for each epoch that is kept. Early stopping fails, and keeps a lucky
epoch, where the validation part is too small to tell epochs apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

import torch
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import require
from tradewind.core.types import State
from tradewind.nets import checkpoint
from tradewind.nets.device import DEVICES
from tradewind.nets.losses import Loss

__all__ = ["Course", "Diverged", "Epoch", "Kept", "TrainingSettings"]

EVALUATION_BATCH: Final = 64


class Diverged(SettingsError):
    """The loss is no finite number any more: `part` is training or validation, in epoch `epoch`."""

    def __init__(self, part: str, epoch: int, loss: float, learning_rate: float, cause: str = "") -> None:
        mend = f"lower learning_rate ({learning_rate:g}) or check the inputs"
        super().__init__(f"the {part} loss is {loss} in epoch {epoch}; {mend}" + (f"; {cause}" if cause else ""))
        self.part, self.epoch, self.loss, self.learning_rate = part, epoch, loss, learning_rate

    def because(self, cause: str) -> Diverged:
        """The same error with a word on what may have caused it."""
        return Diverged(self.part, self.epoch, self.loss, self.learning_rate, cause)


@final
@dataclass(frozen=True)
class TrainingSettings:
    """How to train. `batch` samples a backward pass, `accumulate` passes a step, gradients clipped to the norm `clip` (0: not clipped).

    Training stops after `epochs`, after `patience` epochs in a row without a lower validation loss, or after the first epoch that
    ends later than `max_seconds` (0: no limit; with one, results depend on the machine's speed). After every `plateau` epochs in a row
    without a lower one (0: never) the learning rate is multiplied by `plateau_factor`. The weights of the `keep` best epochs are kept.
    `bfloat16` runs the net in bfloat16 with float32 weights; `auto` does so where the device has it. `device` is auto, cpu or cuda.
    `threads` is for the CPU. `shuffle` mixes the order of the samples, in blocks of `block` consecutive ones. The learning rate rises in
    equal parts over the first `warmup` steps (0: it does not rise).
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
    plateau: int = 0
    plateau_factor: float = 0.5
    keep: int = 1
    block: int = 1
    warmup: int = 0

    def __post_init__(self) -> None:
        whole(epochs=self.epochs, patience=self.patience, batch=self.batch, accumulate=self.accumulate, threads=self.threads)
        whole(keep=self.keep, block=self.block)
        whole(0, plateau=self.plateau, warmup=self.warmup)
        number(learning_rate=self.learning_rate)
        number(False, weight_decay=self.weight_decay, clip=self.clip, max_seconds=self.max_seconds)
        fraction(plateau_factor=self.plateau_factor)
        require(self.device in DEVICES, f"device {self.device!r} is none of {', '.join(DEVICES)}")
        require(self.bfloat16 in (True, False, "auto"), f"bfloat16 is {self.bfloat16!r}; it is true, false or 'auto'")
        require(isinstance(self.shuffle, bool), f"shuffle is {self.shuffle!r}; it is true or false")


@final
@dataclass(frozen=True)
class Epoch:
    """One line of the history: the losses over all samples; `validation_loss` is None where nothing was held back."""

    epoch: int
    training_loss: float
    validation_loss: float | None


@final
@dataclass(frozen=True, eq=False)
class Kept:
    """The weights of an epoch that is among the best so far."""

    line: Epoch
    weights: Mapping[str, Tensor]

    @property
    def rank(self) -> tuple[float, int]:
        """Lower is better: by validation loss, the earlier of equals first; without one the last epoch is the best."""
        loss = self.line.validation_loss
        return (0.0, -self.line.epoch) if loss is None else (loss, self.line.epoch)


@final
@dataclass(eq=False)
class Course:
    """A training between two epochs: what it goes by, and what changes from epoch to epoch and a checkpoint therefore holds.

    `batch`, `accumulate` and `evaluation_batch` are those in use, smaller and more than the settings' where memory ran out.
    """

    net: nn.Module
    loss: Loss
    settings: TrainingSettings
    half: bool
    optimiser: torch.optim.Optimizer
    order: torch.Generator
    batch: int
    accumulate: int
    evaluation_batch: int
    notes: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)

    @classmethod
    def begin(cls, net: nn.Module, loss: Loss, settings: TrainingSettings, half: bool, seed: int) -> Course:
        """A training before its first epoch."""
        # The fused kernel takes one pass over a weight where the plain one takes ten.
        optimiser = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
        order = torch.Generator().manual_seed(seed)
        largest = max(EVALUATION_BATCH, settings.batch)
        return cls(net, loss, settings, half, optimiser, order, settings.batch, settings.accumulate, largest)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights would be taken now; 0 before the first."""
        return self.kept[0].line.epoch if self.kept else 0

    def note(self, line: Epoch) -> None:
        """Write the epoch down, and keep its weights when they are among the best. Raises Diverged for a loss that is no number."""
        for part, loss in (("training", line.training_loss), ("validation", line.validation_loss)):
            if loss is not None and not math.isfinite(loss):
                raise Diverged(part, line.epoch, loss, self.learning_rate())
        self.history.append(line)
        ranked = sorted([*self.kept, Kept(line, self.net.state_dict())], key=lambda kept: kept.rank)[: self.settings.keep]
        self.kept = [Kept(line, _copied(kept.weights)) if kept.line is line else kept for kept in ranked]

    def verdict(self, seconds: float) -> Literal["epochs", "patience", "time"] | None:
        """Why to stop after the epochs so far, if at all."""
        done, settings = len(self.history), self.settings
        if done >= settings.epochs:
            return "epochs"
        if done - self.best_epoch >= settings.patience:
            return "patience"
        return "time" if 0 < settings.max_seconds <= seconds else None

    def learning_rate(self) -> float:
        """The learning rate of the next epoch, warm-up aside, read from the history alone: a training that goes on has the same."""
        rate, waited, lowest = self.settings.learning_rate, 0, math.inf
        for line in self.history if self.settings.plateau else ():
            loss = line.training_loss if line.validation_loss is None else line.validation_loss
            waited = 0 if loss < lowest else waited + 1
            lowest = min(loss, lowest)
            if waited == self.settings.plateau:
                rate, waited = rate * self.settings.plateau_factor, 0
        return rate

    def warmth(self, step: int, steps: int) -> float:
        """The share of the learning rate that step `step` of the next epoch's `steps` takes, counted from 0, by the epochs before it."""
        done = len(self.history) * steps + step + 1
        return 1.0 if done >= self.settings.warmup else done / self.settings.warmup

    def samples(self, n: int) -> Tensor:
        """(n,): the numbers of all samples in the order of the next epoch."""
        if not self.settings.shuffle:
            return torch.arange(n)
        block = self.settings.block
        starts = torch.randperm(-(-n // block), generator=self.order) * block
        numbers = (starts[:, None] + torch.arange(block)).flatten()
        return numbers[numbers < n]

    def shrink(self) -> bool:
        """Half the batch, twice the passes a step, and a note on it; False when the batch is a single sample already."""
        if self.batch == 1:
            return False
        self.batch, self.accumulate = self.batch // 2, self.accumulate * 2
        self.notes.append(f"out of memory: went on with batch {self.batch} and accumulate {self.accumulate}, the same samples a step")
        return True

    def shrink_evaluation(self) -> bool:
        """Half the batch in which losses are measured, which changes no loss; False when it is a single sample already."""
        if self.evaluation_batch == 1:
            return False
        self.evaluation_batch //= 2
        self.notes.append(f"out of memory: went on with {self.evaluation_batch} samples at a time in the validation")
        return True

    def put_away(self) -> State:
        """Everything that the next epoch depends on, as data."""
        values: dict[str, Any] = {"kept": [kept.line.epoch for kept in self.kept], "history": [_line(line) for line in self.history]}
        weights = {f"{kept.line.epoch}/{name}": tensor for kept in self.kept for name, tensor in kept.weights.items()}
        return checkpoint.pack(self.net, self.optimiser, weights, self.order, values)

    def take_back(self, state: State) -> None:
        """Stand where the training stood that `put_away` wrote. Raises StateError when it is of another net."""
        weights, values = checkpoint.unpack(state, self.net, self.optimiser, self.order)
        lines: Sequence[Sequence[Any]] = values["history"]
        self.history = [Epoch(int(epoch), float(training), validation) for epoch, training, validation in lines]
        parts: dict[int, dict[str, Tensor]] = {int(epoch): {} for epoch in values["kept"]}
        for key, tensor in weights.items():
            epoch, _, name = key.partition("/")
            parts[int(epoch)][name] = tensor
        self.kept = [Kept(self.history[epoch - 1], part) for epoch, part in parts.items()]


def _line(line: Epoch) -> list[float | None]:
    return [line.epoch, line.training_loss, line.validation_loss]


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
