"""A task of few-shot learning: a handful of samples to learn from, and later ones to answer, as tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from tradewind.core.errors import DataError
from tradewind.core.settings import require

__all__ = ["KEYS", "LossName", "Task", "accuracy", "check_answers", "check_loss", "check_support", "check_tasks", "sample_losses"]

Task: TypeAlias = Mapping[str, Tensor]
"""`support_data` (sample, ...), `support_labels` (sample,), `query_data` (query, ...), `query_labels` (query,): float inputs; labels are
int64 classes from 0 where the loss is `cross_entropy`, floats (sample,) or (sample, output) where it is `mse`. Other keys are notes."""
LossName: TypeAlias = Literal["cross_entropy", "mse"]
KEYS: Final = ("support_data", "support_labels", "query_data", "query_labels")


def check_loss(loss: str) -> None:
    """Raise SettingsError for another loss than the two there are."""
    require(loss in ("cross_entropy", "mse"), f"loss {loss!r} is none of cross_entropy, mse")


def check_tasks(tasks: Sequence[Task], loss: LossName, ways: int | None = None) -> None:
    """Raise DataError, naming the task and what is wrong with it, unless every task can be learned; a model knows `ways` classes."""
    if len(tasks) == 0:
        raise DataError("a batch of tasks is empty; give a list of at least one task")
    for number, task in enumerate(tasks):
        lacking = [key for key in KEYS if key not in task]
        if lacking:
            raise DataError(f"task {number} lacks {', '.join(lacking)}; a task is a dict of {', '.join(KEYS)}")
        check_support(task["support_data"], task["support_labels"], loss, ways, f"task {number}: support")
        _check_part(task["query_data"], task["query_labels"], loss, ways, f"task {number}: query")
        if task["support_data"].shape[1:] != task["query_data"].shape[1:]:
            shapes = f"{tuple(task['support_data'].shape[1:])} in the support and {tuple(task['query_data'].shape[1:])} in the query"
            raise DataError(f"task {number}: a sample has shape {shapes}; they must be the same")


def check_support(data: Tensor, labels: Tensor, loss: LossName, ways: int | None = None, what: str = "support") -> None:
    """Raise DataError unless these samples can be learned from: shapes that match, finite numbers, and at least two classes."""
    _check_part(data, labels, loss, ways, what)
    if loss == "cross_entropy" and len(labels) and int(labels.min()) == int(labels.max()):
        raise DataError(
            f"{what}: all {len(labels)} labels are class {int(labels[0])}; one class teaches nothing, give samples of two or more"
        )


def _check_part(data: Tensor, labels: Tensor, loss: LossName, ways: int | None, what: str) -> None:
    if data.dim() < 2 or len(data) == 0 or len(data) != len(labels):
        raise DataError(
            f"{what}: data {tuple(data.shape)} and labels {tuple(labels.shape)}; expected (sample, ...) and (sample,), one or more"
        )
    if not _finite(data):
        sample, *place = (int(i) for i in torch.nonzero(~torch.isfinite(data))[0])
        raise DataError(f"{what}: sample {sample}, input {place} is {float(data[(sample, *place)])}; leave out or mend that sample")
    if loss == "mse":
        if not labels.is_floating_point() or not _finite(labels):
            raise DataError(f"{what}: labels are {labels.dtype}, all of them finite floats for the loss mse")
        return
    if labels.dim() != 1 or labels.dtype != torch.int64 or int(labels.min()) < 0:
        raise DataError(
            f"{what}: labels are {labels.dtype} {tuple(labels.shape)}; for cross_entropy they are int64 classes (sample,) from 0"
        )
    if ways is not None and int(labels.max()) >= ways:
        raise DataError(f"{what}: label {int(labels.max())} is beyond the {ways} classes that the model answers; raise its outputs")


def check_answers(outputs: Tensor, labels: Tensor, loss: LossName) -> None:
    """Raise DataError where labels (sample, ...) are of a class that the logits (sample, class) do not have, or of other numbers."""
    if loss == "cross_entropy" and int(labels.max()) >= outputs.shape[1]:
        raise DataError(f"a query has class {int(labels.max())}, {outputs.shape[1]} classes are answered; say by `ways` how many there are")
    if loss == "mse" and outputs.numel() != labels.numel():
        raise DataError(f"the model answers {tuple(outputs.shape)} and the labels are {tuple(labels.shape)}; build it for as many outputs")


def _finite(values: Tensor) -> bool:
    # A sum tells for a fifth of the price, and every task of every batch is asked; one that overflowed has to be looked at.
    return math.isfinite(float(values.sum())) or bool(torch.isfinite(values).all())


def sample_losses(outputs: Tensor, labels: Tensor, loss: LossName) -> Tensor:
    """(sample,) the loss of each answer: cross-entropy of logits (sample, class), or the squared error, averaged over outputs.

    Raises DataError for labels that the outputs do not fit.
    """
    if loss == "cross_entropy":
        try:
            return functional.cross_entropy(outputs, labels, reduction="none")
        except IndexError as error:
            raise DataError(f"a model that answers {outputs.shape[1]} classes was given others: {error}; raise its outputs") from error
    check_answers(outputs, labels, loss)
    return (outputs - labels.reshape(outputs.shape)).square().reshape(len(outputs), -1).mean(dim=1)


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """The share of logits (sample, class) whose largest is at the label."""
    return float((outputs.argmax(dim=1) == labels).double().mean())
