"""Meta-learners by name: `learner("maml", model, inner_lr=0.05)`. An algorithm loads when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast, final

from tradewind.core.catalogue import Catalogue, Entry, tuples
from tradewind.core.limits import whole
from tradewind.core.settings import build

if TYPE_CHECKING:
    from torch import nn

    from tradewind.meta.base import MetaLearner

__all__ = ["configurable", "descriptions", "learner", "learners", "perceptron", "register"]

CATALOGUE: Final = Catalogue(
    "learner",
    "tradewind.meta",
    {
        "maml": Entry("maml:MAML:MAMLConfig", "weights from which a few gradient steps lead far; first order, ANIL, multi-step loss too"),
        "reptile": Entry("reptile:Reptile:ReptileConfig", "moves towards where plain training on each task ends; no second derivatives"),
        "meta-sgd": Entry("meta_sgd:MetaSGD:MetaSGDConfig", "MAML that also learns how fast each weight is to learn"),
        "protonet": Entry("protonet:PrototypicalNetworks:ProtoNetConfig", "the nearest mean of embeddings; classes only"),
        "matching": Entry("matching:MatchingNetworks:MatchingConfig", "the support's labels, weighted by likeness of embeddings"),
        "cavia": Entry("cavia:CAVIA:CAVIAConfig", "adapts a few context numbers beside the inputs and no weight"),
        "xtrend": Entry("xtrend:XTrend:XTrendConfig", "cross-attention from the bars at hand to a context set of past episodes"),
    },
    ("meta_train_step", "few_shot_adapt", "state", "restore"),
    "a learner inherits from tradewind.meta.MetaLearner",
)


@final
@dataclass(frozen=True)
class _Net:
    """The setting that says how many numbers a learner's model answers, empty where it answers the outputs themselves, and the one that
    says how many more inputs it reads than a sample has."""

    answers: str = ""
    reads: str = ""


NETS: Final = {
    "protonet": _Net("embedding_dim"),
    "matching": _Net("embedding_dim"),
    "cavia": _Net(reads="context_size"),
    "xtrend": _Net("width"),
}


def learner(name: str, model: nn.Module | int, ways: int | None = None, **config: Any) -> MetaLearner:
    """A new meta-learner by name (`learners()` lists them) around `model`, under settings of its config.

    Or one of your own, `my_module:Mine`: a class derived from `tradewind.meta.MetaLearner` whose attribute `Config` is its config's class,
    or a function `make(model, **config)`. `perceptron` makes models that fit. `ways` is how many classes the model answers, None where
    tasks are not to be checked for it. Lists become tuples, so that settings may come from JSON. Raises SettingsError, with the nearest
    known word, for an unknown name or setting, and for settings that cannot be.
    """
    factory, wanted = CATALOGUE.find(name)
    if wanted is None:
        made = build(partial(factory, model), tuples(config), f"learner {name!r}")
    else:
        made = factory(model, build(wanted, tuples(config), f"learner {name!r}"), ways)
    return cast("MetaLearner", CATALOGUE.checked(made, name))


def learners() -> list[str]:
    """Every name that `learner` knows, those of gradients first, the registered ones last."""
    return CATALOGUE.names()


def descriptions() -> dict[str, str]:
    """One line about each name."""
    return CATALOGUE.descriptions()


def configurable(name: str) -> Mapping[str, Any]:
    """The settings that `learner(name, model)` takes, with their defaults; empty for a factory of your own."""
    return CATALOGUE.configurable(name)


def perceptron(name: str, inputs: int, outputs: int, hidden: Sequence[int] = (64, 64), **config: Any) -> nn.Module:
    """A plain stack of linear layers and ReLUs as the learner called `name` wants its model: (sample, inputs) -> (sample, outputs).

    `config` are the settings that the learner will get: metric learners take a net that answers `embedding_dim` (X-Trend: `width`)
    numbers, CAVIA one that reads `context_size` more. The weights come from torch's random state. Raises SettingsError for sizes that
    cannot be.
    """
    from torch import nn

    whole(inputs=inputs, outputs=outputs)
    for width in hidden:
        whole(hidden=width)
    settings, entry = {**configurable(name), **config}, NETS.get(name, _Net())
    first = inputs + int(settings[entry.reads]) if entry.reads else inputs
    last = int(settings[entry.answers]) if entry.answers else outputs
    widths = [first, *hidden, last]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def register(name: str, factory: Callable[..., MetaLearner]) -> None:
    """Let `learner(name, model, **config)` call `factory` as one of your own. Raises SettingsError when the name is taken by another."""
    CATALOGUE.register(name, factory)
