"""Meta-learners by name: every one is there, its settings are checked, models fit it, and one's own are taken."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.meta import registry
from tradewind.meta.maml import MAML, MAMLConfig

NAMES = ["maml", "reptile", "meta-sgd", "protonet", "matching", "cavia", "xtrend"]


def task() -> dict[str, torch.Tensor]:
    """Twelve samples of two classes that the first input tells apart, and as many to answer."""
    draw = torch.Generator().manual_seed(1)
    data = torch.randn(24, 3, generator=draw)
    labels = (data[:, 0] > 0).long()
    return {"support_data": data[:12], "support_labels": labels[:12], "query_data": data[12:], "query_labels": labels[12:]}


@pytest.mark.parametrize("name", NAMES)
def test_every_learner_trains_and_adapts_around_its_perceptron(name: str) -> None:
    made = tw.meta.learner(name, tw.meta.perceptron(name, 3, 2, (8,)), ways=2)
    assert isinstance(made, tw.meta.MetaLearner) and made.name == name
    assert {"outer_lr", "loss"} <= registry.configurable(name).keys()
    assert len(registry.descriptions()[name]) > 10
    told = made.meta_train_step([task(), task()])
    assert told["meta_loss"] > 0
    adapted = made.few_shot_adapt(task()["support_data"], task()["support_labels"])
    assert adapted(task()["query_data"]).shape == (12, 2)


def test_the_names_are_these() -> None:
    assert tw.meta.learners()[:7] == NAMES
    for name in tw.meta.__all__:
        assert getattr(tw.meta, name) is getattr(tw.meta, name)
    with pytest.raises(AttributeError, match="no attribute 'MAMA'"):
        tw.meta.MAMA  # noqa: B018


def test_a_perceptron_is_of_the_widths_that_its_learner_wants() -> None:
    def widths(name: str, **config: object) -> list[tuple[int, int]]:
        made = registry.perceptron(name, 3, 2, (8, 5), **config)
        return [(layer.in_features, layer.out_features) for layer in made.modules() if isinstance(layer, nn.Linear)]

    assert widths("maml") == [(3, 8), (8, 5), (5, 2)]
    assert widths("protonet", embedding_dim=7) == [(3, 8), (8, 5), (5, 7)]
    assert widths("xtrend", width=12) == [(3, 8), (8, 5), (5, 12)]
    assert widths("cavia", context_size=6) == [(9, 8), (8, 5), (5, 2)]
    assert [type(layer) for layer in registry.perceptron("maml", 3, 2, ()).children()] == [nn.Linear]
    with pytest.raises(SettingsError, match="hidden is 0"):
        registry.perceptron("maml", 3, 2, (0,))


def test_lists_of_json_become_tuples() -> None:
    made = tw.meta.learner("maml", tw.meta.perceptron("maml", 3, 2, (8,)), anil=["2"])
    assert made.config.anil == ("2",)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("mamml", {}, "unknown learner 'mamml'; did you mean 'maml'"),
        ("maml", {"inner_rl": 0.1}, "unknown setting 'inner_rl' for learner 'maml'; did you mean 'inner_lr'"),
        ("cavia", {"context_size": 0}, "context_size is 0"),
        ("nowhere_at_all:Mine", {}, "nowhere_at_all cannot be imported"),
    ],
)
def test_what_cannot_be_is_refused(name: str, config: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        tw.meta.learner(name, nn.Linear(3, 2), **config)


def test_ones_own_learner_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_learners.py").write_text(
        "from tradewind.meta.maml import MAML, MAMLConfig\n"
        "class Mine(MAML.__mro__[1]):\n"
        "    name = 'mine'\n    Config = MAMLConfig\n"
        "    def learned(self):\n        return self.model\n"
        "    def gradients(self, tasks):\n        return {'meta_loss': 0.0}\n"
        "    def adapt(self, support_data, support_labels, steps):\n        return self.model\n"
        "def make(model, rate=0.1):\n    return MAML(model, MAMLConfig(inner_lr=rate))\n"
        "def wrong(model):\n    return 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = tw.meta.learner("own_learners:Mine", nn.Linear(3, 2), ways=2, inner_lr=0.3)
    assert (mine.config.inner_lr, mine.ways, mine.name) == (0.3, 2, "mine")
    assert registry.configurable("own_learners:Mine")["inner_lr"] == MAMLConfig().inner_lr
    assert tw.meta.learner("own_learners:make", nn.Linear(3, 2), rate=0.2).config.inner_lr == 0.2
    assert registry.configurable("own_learners:make") == {}
    with pytest.raises(SettingsError, match="unknown setting 'raet'"):
        tw.meta.learner("own_learners:make", nn.Linear(3, 2), raet=0.2)
    with pytest.raises(SettingsError, match="makes a int, which lacks meta_train_step"):
        tw.meta.learner("own_learners:wrong", nn.Linear(3, 2))


def test_registering_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.CATALOGUE, "entries", dict(registry.CATALOGUE.entries))

    def mine(model: nn.Module, rate: float = 0.1) -> MAML:
        """A learner of mine.

        More about it.
        """
        return MAML(model, MAMLConfig(inner_lr=rate))

    registry.register("mine", mine)
    registry.register("mine", mine)
    assert tw.meta.learner("mine", registry.perceptron("mine", 3, 2), rate=0.4).config.inner_lr == 0.4
    assert registry.descriptions()["mine"] == "A learner of mine."
    with pytest.raises(SettingsError, match="'maml' is taken"):
        registry.register("maml", mine)
