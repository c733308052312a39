"""Tasks and nets that the tests of several meta-learners share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tradewind.meta.tasks import Task

INPUTS, CLASSES = 4, 3


def classes(n: int, seed: int = 0, support: int = 7, query: int = 9, dtype: torch.dtype = torch.float64) -> list[Task]:
    """Tasks of three classes, each told from four inputs by a linear rule of its own; every support has at least two of them."""
    generator = torch.Generator().manual_seed(seed)
    made: list[Task] = []
    for _ in range(n):
        rule = torch.randn(INPUTS, CLASSES, generator=generator, dtype=torch.float64)
        data = torch.randn(support + query, INPUTS, generator=generator, dtype=torch.float64)
        labels = (data @ rule).argmax(dim=1)
        labels[:2] = torch.tensor([0, 1])
        made.append(
            {
                "support_data": data[:support].to(dtype),
                "support_labels": labels[:support],
                "query_data": data[support:].to(dtype),
                "query_labels": labels[support:],
            }
        )
    return made


def numbers(n: int, inputs: int = 1, seed: int = 0, support: int = 5, query: int = 6) -> list[Task]:
    """Tasks of one number in float64, linear in the inputs with a slope of its own and some noise."""
    generator = torch.Generator().manual_seed(seed)
    made: list[Task] = []
    for _ in range(n):
        rule = torch.randn(inputs, generator=generator, dtype=torch.float64)
        data = torch.randn(support + query, inputs, generator=generator, dtype=torch.float64)
        labels = data @ rule + 0.1 * torch.randn(len(data), generator=generator, dtype=torch.float64)
        made.append(
            {
                "support_data": data[:support],
                "support_labels": labels[:support],
                "query_data": data[support:],
                "query_labels": labels[support:],
            }
        )
    return made


def stack(*activations: nn.Module, hidden: int = 12, outputs: int = CLASSES, inputs: int = INPUTS, seed: int = 0) -> nn.Sequential:
    """A plain stack of linear layers in float64 with these activations between them, the same weights for the same seed."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    width = inputs
    for activation in activations:
        layers += [nn.Linear(width, hidden), activation]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, outputs)).double()


def slopes(model: nn.Module) -> Tensor:
    """All gradients of a model, one after the other."""
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def windows(tasks: list[Task], width: int = 2) -> list[Task]:
    """The same tasks, each sample's inputs in rows: (sample, row, width)."""
    return [{key: part.reshape(len(part), -1, width) if "data" in key else part for key, part in task.items()} for task in tasks]
