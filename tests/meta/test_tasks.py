"""What a task may be, and what is said about one that may not; losses and accuracy by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.meta.learners import classes, numbers
from torch import Tensor

from tradewind.core.errors import DataError, SettingsError
from tradewind.meta.tasks import KEYS, LossName, accuracy, check_answers, check_loss, check_support, check_tasks, sample_losses


def test_good_tasks_pass() -> None:
    check_tasks(classes(3), "cross_entropy", 3)
    check_tasks(numbers(3), "mse")
    noted = {**classes(1)[0], "symbol": torch.tensor(4)}
    check_tasks([noted], "cross_entropy")


def changed(key: str, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    task = {name: part.clone() for name, part in classes(1)[0].items()}
    task[key] = change(task[key])
    return task


def poisoned(value: float) -> Callable[[Tensor], Tensor]:
    def change(part: Tensor) -> Tensor:
        part[2, 1] = value
        return part

    return change


@pytest.mark.parametrize(
    ("key", "change", "says"),
    [
        ("support_data", lambda part: part[:-1], r"task 1: support: data \(6, 4\) and labels \(7,\)"),
        ("query_labels", lambda part: part[:-1], r"task 1: query: data \(9, 4\) and labels \(8,\)"),
        ("support_data", lambda part: part[:, :3], r"a sample has shape \(3,\) in the support and \(4,\) in the query"),
        ("support_data", lambda part: part[:, 0], r"data \(7,\)"),
        ("support_data", poisoned(math.nan), r"task 1: support: sample 2, input \[1\] is nan"),
        ("query_data", poisoned(-math.inf), r"task 1: query: sample 2, input \[1\] is -inf"),
        ("support_labels", torch.zeros_like, "all 7 labels are class 0; one class teaches nothing"),
        ("support_labels", lambda part: part + 1, "label 3 is beyond the 3 classes that the model answers"),
        ("support_labels", lambda part: part - 1, "int64 classes"),
        ("query_labels", lambda part: part.float(), r"labels are torch\.float32"),
    ],
)
def test_a_task_that_cannot_be_learned_is_refused_by_name(key: str, change: Callable[[Tensor], Tensor], says: str) -> None:
    with pytest.raises(DataError, match=says):
        check_tasks([classes(1)[0], changed(key, change)], "cross_entropy", 3)


@pytest.mark.parametrize("key", KEYS)
def test_a_task_that_lacks_a_part_is_refused(key: str) -> None:
    task = {name: part for name, part in classes(1)[0].items() if name != key}
    with pytest.raises(DataError, match=f"task 0 lacks {key}"):
        check_tasks([task], "cross_entropy")


def test_no_task_and_no_sample_are_refused() -> None:
    with pytest.raises(DataError, match="a batch of tasks is empty"):
        check_tasks([], "mse")
    with pytest.raises(DataError, match="one or more"):
        check_support(torch.zeros(0, 2), torch.zeros(0), "mse")


@pytest.mark.parametrize("labels", [torch.tensor([0, 1]), torch.tensor([0.0, math.nan]), torch.tensor([0.0, math.inf])])
def test_numbers_to_be_learned_are_finite_floats(labels: Tensor) -> None:
    with pytest.raises(DataError, match="finite floats"):
        check_support(torch.ones(2, 1), labels, "mse")


def test_another_loss_is_refused() -> None:
    with pytest.raises(SettingsError, match="'hinge' is none of cross_entropy, mse"):
        check_loss("hinge")


def test_losses_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    expected = [-math.log(math.exp(2) / (math.exp(2) + 2)), math.log(3)]
    assert sample_losses(logits, torch.tensor([0, 2]), "cross_entropy").tolist() == pytest.approx(expected)
    outputs, labels = torch.tensor([[1.0, 2.0], [0.0, 4.0]]), torch.tensor([[0.0, 2.0], [3.0, 3.0]])
    assert sample_losses(outputs, labels, "mse").tolist() == pytest.approx([0.5, 5.0])
    assert sample_losses(outputs[:, :1], labels[:, 0], "mse").tolist() == pytest.approx([1.0, 9.0])


@given(hits=st.lists(st.booleans(), min_size=1, max_size=20))
def test_accuracy_is_the_share_of_hits(hits: list[bool]) -> None:
    labels = torch.arange(len(hits)) % 3
    logits = torch.zeros(len(hits), 3)
    logits[torch.arange(len(hits)), (labels + torch.tensor([0 if hit else 1 for hit in hits])) % 3] = 1.0
    assert accuracy(logits, labels) == pytest.approx(sum(hits) / len(hits))


@pytest.mark.parametrize(
    ("outputs", "labels", "loss"), [((2, 3), torch.tensor([0, 3]), "cross_entropy"), ((2, 3), torch.tensor([0.0, 1.0]), "mse")]
)
def test_answers_that_do_not_fit_are_refused(outputs: tuple[int, ...], labels: Tensor, loss: LossName) -> None:
    with pytest.raises(DataError):
        check_answers(torch.zeros(outputs), labels, loss)
