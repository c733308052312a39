"""Matching networks: a sample's answer is the mean of the support's labels, weighted by how much alike the embeddings are.

Paper: Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra 2016, https://arxiv.org/abs/1606.04080, with its full context embeddings
(appendix A): a bidirectional LSTM lets every support sample see the others, and an LSTM that reads the support `read_steps` times embeds a
query in its light. They see the order of the support, which in our tasks is that of time. Numbers are answered as classes are: a mean
weighted by the kernel. Adapting is one pass over the support and costs no gradient, but an answer costs as much as the support is long.
Fails where a support is large (the LSTM forgets, and is slow: leave `full_context` off) and for numbers outside those of the support.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.limits import number, whole
from tradewind.core.settings import require
from tradewind.core.spaces import Choice, Real, Space
from tradewind.meta.base import MetaLearner
from tradewind.meta.embedding import check_embedding, class_logits, count_classes, drawing, embed_queries, embed_supports, embedding
from tradewind.meta.tasks import LossName, Task, accuracy, check_loss, sample_losses
from tradewind.nets.device import reproducible

__all__ = ["SPACES", "MatchingClassifier", "MatchingConfig", "MatchingNetworks", "attention", "matched"]

SPACES: Final[Space] = {
    "outer_lr": Real(1e-4, 1e-2, log=True),
    "embedding_dim": Choice((32, 64, 128, 256)),
    "temperature": Real(0.03, 1.0, log=True),
}


@final
@dataclass(frozen=True)
class MatchingConfig:
    """`embedding_dim`, `hidden`, `layers` and `seed` are those of the perceptron that is made where no net is given.

    `full_context`: embed by the whole support, reading it `read_steps` times; a net that is given then answers `embedding_dim` numbers.
    Weights are the softmax of cosines over `temperature`: at 1, as in the paper, one sample of each of five classes can never be surer
    than 65 %. `num_classes` None answers as many classes as a support shows. Raises SettingsError.
    """

    embedding_dim: int = 128
    hidden: int = 128
    layers: int = 2
    full_context: bool = True
    read_steps: int = 3
    temperature: float = 0.1
    num_classes: int | None = None
    outer_lr: float = 0.001
    clip: float = 10.0
    seed: int = 0
    loss: LossName = "cross_entropy"
    num_inner_steps: ClassVar[int] = 0
    """Nothing is stepped: any number of adaptation steps gives the same model."""

    def __post_init__(self) -> None:
        check_embedding(self)
        check_loss(self.loss)
        whole(read_steps=self.read_steps)
        number(temperature=self.temperature)
        if self.num_classes is not None:
            whole(least=2, num_classes=self.num_classes)


@final
class MatchingNetworks(MetaLearner):
    """Learns to compare. `model` is any net (sample, ...) -> (sample, width), or a number of inputs a sample.

    `ways`, or else `num_classes`, is how many classes are answered; those that a support lacks get a probability of about 1e-4.
    """

    name = "matching"

    def __init__(self, model: nn.Module | int, config: MatchingConfig | None = None, ways: int | None = None) -> None:
        config = config or MatchingConfig()
        net = embedding(model, config)
        self.parts = nn.ModuleDict({"embedding": net})
        if config.full_context:
            with reproducible(config.seed):
                self.parts["context"] = _FullContext(config.embedding_dim, config.read_steps)
        self.parts.to(next(net.parameters(), torch.empty(0)).device)
        super().__init__(net, config, config.num_classes if ways is None else ways)

    def learned(self) -> nn.Module:
        return self.parts

    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        config = self.config
        supports = embed_supports(self.model, [task["support_data"] for task in tasks], learning=True)
        with drawing(self.config.seed, self.iterations):
            queries = embed_queries(self.model, [task["query_data"] for task in tasks])
        losses, hits = [], []
        for task, keys, asked in zip(tasks, *self._in_context(supports, queries), strict=True):
            labels, answers = task["support_labels"], task["query_labels"]
            classes = count_classes(self.ways, labels, answers) if config.loss == "cross_entropy" else None
            outputs = matched(asked, keys, labels, classes, config.temperature)
            losses.append(sample_losses(outputs, answers, config.loss).mean())
            if classes is not None:
                hits.append(accuracy(outputs, answers))
        loss = torch.stack(losses).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return {"meta_loss": float(loss.detach())} | ({"accuracy": sum(hits) / len(hits)} if hits else {})

    @torch.no_grad()
    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        (support,) = embed_supports(self.model, [support_data])
        classes = count_classes(self.ways, support_labels) if self.config.loss == "cross_entropy" else None
        context = self._context(support)
        keys = support if context is None else context.support(support[None])[0]
        reader = None if context is None else copy.deepcopy(context)
        return MatchingClassifier(copy.deepcopy(self.model), reader, keys, support_labels.clone(), classes, self.config.temperature)

    def _context(self, support: Tensor) -> _FullContext | None:
        if "context" not in self.parts:
            return None
        width = self.config.embedding_dim
        told = f"the net embeds samples as {tuple(support.shape[1:])}, embedding_dim is {width}; make them agree or set full_context=False"
        require(support.shape[1:] == (width,), told)
        return cast(_FullContext, self.parts["context"])

    def _in_context(self, supports: Sequence[Tensor], queries: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Tasks of equal sizes are read side by side: the steps of an LSTM are what takes the time."""
        context = self._context(supports[0])
        if context is None:
            return supports, queries
        alike = len({(len(support), len(query)) for support, query in zip(supports, queries, strict=True)}) == 1
        groups = [range(len(supports))] if alike else [range(one, one + 1) for one in range(len(supports))]
        keys, asked = [], []
        for group in groups:
            read = context.support(torch.stack([supports[one] for one in group]))
            keys += list(read)
            asked += list(context.query(torch.stack([queries[one] for one in group]), read))
        return keys, asked


@final
class MatchingClassifier(nn.Module):
    """A net and the embedded support of one task: (sample, ...) -> (sample, class) logits, or numbers of the shape of the labels."""

    keys: Tensor
    labels: Tensor

    def __init__(
        self, net: nn.Module, context: _FullContext | None, keys: Tensor, labels: Tensor, classes: int | None, temperature: float
    ) -> None:
        super().__init__()
        self.net, self.context, self.classes, self.temperature = net, context, classes, temperature
        self.register_buffer("keys", keys)
        self.register_buffer("labels", labels)

    def forward(self, data: Tensor) -> Tensor:
        asked: Tensor = self.net(data)
        if self.context is not None:
            asked = self.context.query(asked[None], self.keys[None])[0]
        return matched(asked, self.keys, self.labels, self.classes, self.temperature)


def attention(asked: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """(query, sample): the logarithm of how much each support sample says, a softmax of cosines of (query, width) and (sample, width)."""
    cosines = functional.normalize(asked, dim=1) @ functional.normalize(keys, dim=1).T
    return functional.log_softmax(cosines / temperature, dim=1)


def matched(asked: Tensor, keys: Tensor, labels: Tensor, classes: int | None, temperature: float) -> Tensor:
    """(query, class) logits whose softmax is the support's weight behind each class; without `classes` the weighted mean of labels."""
    shares = attention(asked, keys, temperature)
    if classes is None:
        return (shares.exp() @ labels.reshape(len(labels), -1)).reshape(len(asked), *labels.shape[1:])
    members = functional.one_hot(labels, classes).bool()
    votes = torch.logsumexp(shares[:, :, None].masked_fill(~members[None], float("-inf")), dim=1)
    return class_logits(votes, members.any(dim=0))


@final
class _FullContext(nn.Module):
    """Embeddings (task, sample, width) and (task, query, width) in the light of the whole support of their task."""

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.both_ways = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        # The paper feeds the state [h, r] back; as input beside the query, r passes through weights of its own all the same.
        self.reader = nn.LSTMCell(2 * width, width)

    def support(self, support: Tensor) -> Tensor:
        forward, backward = self.both_ways(support)[0].chunk(2, dim=2)
        return cast(Tensor, support + forward + backward)

    def query(self, query: Tensor, keys: Tensor) -> Tensor:
        hidden, cell = query, torch.zeros_like(query.flatten(0, 1))
        for _ in range(self.steps):
            read = torch.softmax(hidden @ keys.transpose(1, 2), dim=2) @ keys
            inputs = torch.cat([query, read], dim=2).flatten(0, 1)
            new, cell = self.reader(inputs, (hidden.flatten(0, 1), cell))
            hidden = new.unflatten(0, query.shape[:2]) + query
        return hidden
