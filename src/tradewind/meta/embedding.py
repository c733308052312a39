"""How learners that compare samples embed them: supports without dropout, queries without a say in any batch statistics.

Statistics of a batch norm (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167) are running means that supports alone move, and that
stand still while adapting; so an answer never depends on what else was asked with it. Costs one more pass over the supports where a net
has such layers. Fails, as running means do, where the supports of tasks have little in common: use layer norm there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from tradewind.core.limits import number, whole
from tradewind.core.seeds import derive
from tradewind.nets.device import reproducible
from tradewind.nets.mlp import MLP, MLPSizes

__all__ = [
    "ABSENT",
    "EmbeddingSettings",
    "check_embedding",
    "class_logits",
    "count_classes",
    "drawing",
    "embed_queries",
    "embed_supports",
    "embedding",
]

ABSENT: Final = 1e-4
"""What a class that the support does not show is given, for each 1 of those that it shows: next to nothing, and yet a finite loss."""


class EmbeddingSettings(Protocol):
    """What the configs of these learners have in common: the net that is made where none is given, and how it is trained."""

    @property
    def embedding_dim(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def outer_lr(self) -> float: ...
    @property
    def clip(self) -> float: ...
    @property
    def seed(self) -> int: ...


def check_embedding(settings: EmbeddingSettings) -> None:
    """Raise SettingsError unless these settings make a net and train it."""
    whole(embedding_dim=settings.embedding_dim, hidden=settings.hidden, layers=settings.layers)
    whole(least=0, seed=settings.seed)
    number(outer_lr=settings.outer_lr)
    number(positive=False, clip=settings.clip)


def embedding(model: nn.Module | int, settings: EmbeddingSettings) -> nn.Module:
    """`model` itself; for a number of inputs a sample, a perceptron (sample, ...) -> (sample, embedding_dim) with weights from `seed`."""
    if isinstance(model, nn.Module):
        return model
    whole(inputs=model)
    with reproducible(settings.seed):
        return MLP(model, settings.embedding_dim, MLPSizes(1, settings.hidden, settings.layers, dropout=0.0))


def embed_supports(net: nn.Module, supports: Sequence[Tensor], learning: bool = False) -> list[Tensor]:
    """Each support (sample, ...) as (sample, width), in evaluation mode; `learning`, they first move the running means of batch norms."""
    net.eval()
    norms = _norms(net)
    if learning and norms:
        _switch(norms, True)
        with torch.no_grad():
            _apply(net, supports)
        _switch(norms, False)
    return _apply(net, supports)


def embed_queries(net: nn.Module, queries: Sequence[Tensor]) -> list[Tensor]:
    """Each query (query, ...) as (query, width) while meta-training: with dropout, but batch norms stay as the supports left them."""
    net.train()
    _switch(_norms(net), False)
    embedded = _apply(net, queries)
    net.eval()
    return embedded


@contextmanager
def drawing(seed: int, iteration: int) -> Iterator[None]:
    """Dropout drawn from the learner's seed and its iteration, so that a meta-training that was resumed draws what it would have drawn."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(derive(seed, "dropout", iteration))
        yield


def count_classes(ways: int | None, *labels: Tensor) -> int:
    """`ways`, or where it is free as many as the labels (sample,) need."""
    return 1 + max(int(part.max()) for part in labels) if ways is None else ways


def class_logits(logits: Tensor, present: Tensor) -> Tensor:
    """(sample, class) logits in which a class that is not `present` (class,) has ABSENT times the probability of all others."""
    others = torch.logsumexp(logits.masked_fill(~present, float("-inf")), dim=1, keepdim=True)
    return torch.where(present, logits, others + torch.log(torch.tensor(ABSENT)).to(logits))


def _apply(net: nn.Module, parts: Sequence[Tensor]) -> list[Tensor]:
    """One pass for all parts where their samples have one shape."""
    if len({(part.shape[1:], part.dtype) for part in parts}) > 1:
        return [net(part) for part in parts]
    return list(torch.split(net(torch.cat(list(parts))), [len(part) for part in parts]))


def _norms(net: nn.Module) -> list[nn.Module]:
    return [module for module in net.modules() if isinstance(module, _NormBase) and module.track_running_stats]


def _switch(norms: Sequence[nn.Module], learning: bool) -> None:
    for norm in norms:
        norm.train(learning)
