"""Prototypical networks: a class is the mean of its samples' embeddings, and a new sample is of the class whose mean is nearest.

Paper: Snell, Swersky, Zemel 2017, https://arxiv.org/abs/1703.05175. With squared Euclid, the default, this is a linear classifier of the
embedding with weights 2c and biases -|c|^2; the cosine, which the paper found worse, is there to be compared. Adapting is one pass over the
support and costs no gradient; a meta-iteration costs one pass forward and back over all samples of the batch. Fails where a class is no
cloud: two regimes that share a label have a mean between them, where nothing is; and the embedding itself never adapts.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.limits import number, whole
from tradewind.core.settings import require
from tradewind.core.spaces import Choice, Real, Space
from tradewind.meta.base import MetaLearner
from tradewind.meta.embedding import check_embedding, class_logits, count_classes, drawing, embed_queries, embed_supports, embedding
from tradewind.meta.tasks import Task, accuracy

__all__ = ["SPACES", "ProtoNetConfig", "PrototypeClassifier", "PrototypicalNetworks", "prototype_logits", "prototypes"]

Distance = Literal["squared_euclidean", "cosine"]
SPACES: Final[Space] = {
    "outer_lr": Real(1e-4, 1e-2, log=True),
    "embedding_dim": Choice((32, 64, 128, 256)),
    "distance": Choice(("squared_euclidean", "cosine")),
}


@final
@dataclass(frozen=True)
class ProtoNetConfig:
    """`embedding_dim`, `hidden`, `layers` and `seed` are those of the perceptron that is made where no net is given.

    Logits are minus `distance` over `temperature`; cosine distances end at 2, so they want one well below 1. `num_classes` None answers
    as many classes as a support shows. `outer_lr` and `clip` (0: none) are those of meta-training. Raises SettingsError.
    """

    embedding_dim: int = 128
    hidden: int = 128
    layers: int = 2
    distance: Distance = "squared_euclidean"
    temperature: float = 1.0
    num_classes: int | None = None
    outer_lr: float = 0.001
    clip: float = 10.0
    seed: int = 0
    loss: Literal["cross_entropy"] = "cross_entropy"
    num_inner_steps: ClassVar[int] = 0
    """Nothing is stepped: any number of adaptation steps gives the same model."""

    def __post_init__(self) -> None:
        check_embedding(self)
        number(temperature=self.temperature)
        require(self.distance in ("squared_euclidean", "cosine"), f"distance {self.distance!r} is none of squared_euclidean, cosine")
        require(
            self.loss == "cross_entropy", "prototypes are of classes, so protonet takes no loss but cross_entropy; use matching for mse"
        )
        if self.num_classes is not None:
            whole(least=2, num_classes=self.num_classes)


@final
class PrototypicalNetworks(MetaLearner):
    """Learns an embedding in which classes are clouds. `model` is any net (sample, ...) -> (sample, width), or a number of inputs.

    `ways`, or else `num_classes`, is how many classes are answered; those that a support lacks get a probability of about 1e-4.
    """

    name = "protonet"

    def __init__(self, model: nn.Module | int, config: ProtoNetConfig | None = None, ways: int | None = None) -> None:
        config = config or ProtoNetConfig()
        super().__init__(embedding(model, config), config, config.num_classes if ways is None else ways)

    def learned(self) -> nn.Module:
        return self.model

    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        supports = embed_supports(self.model, [task["support_data"] for task in tasks], learning=True)
        with drawing(self.config.seed, self.iterations):
            queries = embed_queries(self.model, [task["query_data"] for task in tasks])
        losses, hits = [], []
        for task, support, query in zip(tasks, supports, queries, strict=True):
            labels, answers = task["support_labels"], task["query_labels"]
            means, present = prototypes(support, labels, count_classes(self.ways, labels, answers))
            logits = prototype_logits(query, means, present, self.config.distance, self.config.temperature)
            losses.append(functional.cross_entropy(logits, answers))
            hits.append(accuracy(logits, answers))
        loss = torch.stack(losses).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return {"meta_loss": float(loss.detach()), "accuracy": sum(hits) / len(hits)}

    @torch.no_grad()
    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        (embedded,) = embed_supports(self.model, [support_data])
        means, present = prototypes(embedded, support_labels, count_classes(self.ways, support_labels))
        return PrototypeClassifier(copy.deepcopy(self.model), means, present, self.config.distance, self.config.temperature)


@final
class PrototypeClassifier(nn.Module):
    """A net and the prototypes (class, width) of one task: (sample, ...) -> (sample, class) logits."""

    prototypes: Tensor
    present: Tensor

    def __init__(self, net: nn.Module, means: Tensor, present: Tensor, distance: Distance, temperature: float) -> None:
        super().__init__()
        self.net, self.distance, self.temperature = net, distance, temperature
        self.register_buffer("prototypes", means)
        self.register_buffer("present", present)

    def forward(self, data: Tensor) -> Tensor:
        return prototype_logits(self.net(data), self.prototypes, self.present, self.distance, self.temperature)


def prototypes(embedded: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """(class, width) means of `embedded` (sample, width) by label, and (class,) which have any; classes may have any number of samples."""
    members = functional.one_hot(labels, classes).to(embedded.dtype)
    counts = members.sum(dim=0)
    return members.T @ embedded / counts.clamp_min(1.0)[:, None], counts > 0


def prototype_logits(embedded: Tensor, means: Tensor, present: Tensor, distance: Distance, temperature: float) -> Tensor:
    """(sample, class): minus the distance of `embedded` (sample, width) from each prototype (class, width), over the temperature."""
    if distance == "cosine":
        apart = 1.0 - functional.cosine_similarity(embedded[:, None], means[None], dim=2)
    else:
        apart = (embedded[:, None] - means[None]).square().sum(dim=2)
    return class_logits(-apart / temperature, present)
