"""Meta-learners by name: `learner("maml", model, inner_lr=0.05)`. An algorithm loads when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast, final

from tradewind.core.errors import SettingsError
from tradewind.core.limits import whole
from tradewind.core.settings import build, choose, load, require

if TYPE_CHECKING:
    from torch import nn

    from tradewind.meta.base import MetaLearner

__all__ = ["configurable", "descriptions", "learner", "learners", "perceptron", "register"]

Factory = Callable[..., "MetaLearner"]


@final
@dataclass(frozen=True)
class _Entry:
    """Where an algorithm and its config are, `module:Class:Config` or a user's own factory, and one line about it.

    `answers`: the setting that says how many numbers its model answers, empty where it answers the outputs themselves; `reads`: the
    setting that says how many more inputs its model reads than a sample has.
    """

    home: str | Factory
    description: str
    answers: str = ""
    reads: str = ""


_TABLE: Final[dict[str, _Entry]] = {
    "maml": _Entry("maml:MAML:MAMLConfig", "weights from which a few gradient steps lead far; first order, ANIL and multi-step loss too"),
    "reptile": _Entry("reptile:Reptile:ReptileConfig", "moves towards where plain training on each task ends; no second derivatives"),
    "meta-sgd": _Entry("meta_sgd:MetaSGD:MetaSGDConfig", "MAML that also learns how fast each weight is to learn"),
    "protonet": _Entry("protonet:PrototypicalNetworks:ProtoNetConfig", "the nearest mean of embeddings; classes only", "embedding_dim"),
    "matching": _Entry(
        "matching:MatchingNetworks:MatchingConfig", "the support's labels, weighted by likeness of embeddings", "embedding_dim"
    ),
    "cavia": _Entry("cavia:CAVIA:CAVIAConfig", "adapts a few context numbers beside the inputs and no weight", reads="context_size"),
    "xtrend": _Entry("xtrend:XTrend:XTrendConfig", "cross-attention from the bars at hand to a context set of past episodes", "width"),
}


def learner(name: str, model: nn.Module | int, ways: int | None = None, **config: Any) -> MetaLearner:
    """A new meta-learner by name (`learners()` lists them) around `model`, under settings of its config.

    Or one of your own, `my_module:Mine`: a class derived from `tradewind.meta.MetaLearner` whose attribute `Config` is its config's class,
    or a function `make(model, **config)`. `perceptron` makes models that fit. `ways` is how many classes the model answers, None where
    tasks are not to be checked for it. Lists become tuples, so that settings may come from JSON. Raises SettingsError, with the nearest
    known word, for an unknown name or setting, and for settings that cannot be.
    """
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    factory, wanted = _places(name)
    if wanted is not None:
        return _own(factory(model, build(wanted, settings, f"learner {name!r}"), ways), name)
    return _own(build(partial(factory, model), settings, f"learner {name!r}"), name)


def learners() -> list[str]:
    """Every name that `learner` knows, those of gradients first, the registered ones last."""
    return list(_TABLE)


def descriptions() -> dict[str, str]:
    """One line about each name."""
    return {name: entry.description for name, entry in _TABLE.items()}


def configurable(name: str) -> Mapping[str, Any]:
    """The settings that `learner(name, model)` takes, with their defaults; empty for a factory of your own."""
    _, config = _places(name)
    if config is None:
        return {}
    made = config()
    return {field.name: getattr(made, field.name) for field in fields(made)}


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
    settings, entry = {**configurable(name), **config}, _TABLE.get(name)
    first = inputs + int(settings[entry.reads]) if entry and entry.reads else inputs
    last = int(settings[entry.answers]) if entry and entry.answers else outputs
    widths = [first, *hidden, last]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def register(name: str, factory: Factory) -> None:
    """Let `learner(name, model, **config)` call `factory` as one of your own. Raises SettingsError when the name is taken by another."""
    require(bool(name), "a learner needs a name that is not empty")
    taken = _TABLE.get(name)
    require(taken is None or taken.home is factory, f"the learner name {name!r} is taken; choose another")
    first_line = (factory.__doc__ or "").strip().partition("\n")[0]
    _TABLE[name] = _Entry(factory, first_line or f"{factory.__module__}.{factory.__qualname__}")


def _places(name: str) -> tuple[Factory, Callable[..., Any] | None]:
    """What makes the learner, and the class of its config where it takes one object of that."""
    home = load(name) if ":" in name else choose(name, _TABLE, "learner").home
    if not isinstance(home, str):
        return cast(Factory, home), getattr(home, "Config", None)
    module_name, class_name, config_name = home.split(":")
    module = importlib.import_module(f"tradewind.meta.{module_name}")
    return getattr(module, class_name), getattr(module, config_name)


def _own(made: Any, name: str) -> MetaLearner:
    wanted = ("meta_train_step", "few_shot_adapt", "state", "restore")
    lacking = [method for method in wanted if not callable(getattr(made, method, None))]
    if lacking:
        kinds = "a learner inherits from tradewind.meta.MetaLearner"
        raise SettingsError(f"{name} makes a {type(made).__name__}, which lacks {', '.join(lacking)}; {kinds}")
    return cast("MetaLearner", made)
