"""The loop: what it learns, when it stops, what it gives back, and that it can be stopped and gone on with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tradewind.core.errors import SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State
from tradewind.nets import device as devices
from tradewind.nets import training
from tradewind.nets.device import choose_device, reproducible
from tradewind.nets.losses import CLASSES, RETURN, TWO_CLASSES
from tradewind.nets.training import Epoch, Examples, TrainingSettings, train


@dataclass(frozen=True)
class Table:
    rows: Tensor

    def gather(self, which: Tensor) -> Tensor:
        return self.rows[which]

    def to(self, device: torch.device) -> Table:
        return Table(self.rows.to(device))


def _examples(n: int = 256, seed: int = 0, kind: str = "two-classes", noise: float = 0.1) -> Examples:
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, 3, generator=random)
    latent = rows[:, 0] - 0.5 * rows[:, 1] + noise * torch.randn(n, generator=random)
    targets = {"two-classes": (latent > 0).float(), "classes": torch.bucketize(latent, torch.tensor([-0.5, 0.5])).float(), "return": latent}
    return Examples(Table(rows), targets[kind], torch.ones(n))


LOSSES = {"two-classes": TWO_CLASSES, "classes": CLASSES, "return": RETURN}


def _net(outputs: int = 1, dropout: float = 0.1) -> nn.Module:
    with reproducible(1):
        return nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, outputs))


def _bytes(net: nn.Module) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in net.state_dict().values())


QUICK = TrainingSettings(epochs=12, batch=16, learning_rate=0.01)


@pytest.mark.parametrize(("kind", "outputs", "below"), [("two-classes", 1, 0.25), ("classes", 3, 0.5), ("return", 1, 0.04)])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_it_learns(kind: str, outputs: int, below: float, bfloat16: bool) -> None:
    net = _net(outputs, 0.0)
    settings = TrainingSettings(epochs=30, batch=16, learning_rate=0.02, bfloat16=bfloat16)
    told = train(net, _examples(kind=kind), _examples(seed=1, kind=kind), LOSSES[kind], settings, 0)
    assert told.history[told.best_epoch - 1].validation_loss < below < told.history[0].validation_loss
    assert told.device.bfloat16 is bfloat16 and told.samples_per_second > 0 and not net.training


def test_equal_seeds_give_equal_bytes_and_leave_the_caller_alone() -> None:
    torch.manual_seed(123)
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    one, two, three = _net(), _net(), _net()
    lines = [train(net, _examples(), _examples(seed=1), TWO_CLASSES, QUICK, seed) for net, seed in ((one, 7), (two, 7), (three, 8))]
    assert _bytes(one) == _bytes(two) != _bytes(three) and lines[0].history == lines[1].history
    assert torch.equal(torch.get_rng_state(), random) and torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_best_epoch_comes_back() -> None:
    seen: list[tuple[Epoch, bytes]] = []
    net = _net()
    settings = TrainingSettings(epochs=60, patience=4, batch=8, learning_rate=0.05)
    told = train(net, _examples(32), _examples(64, seed=3, noise=2.0), TWO_CLASSES, settings, 0, lambda e: seen.append((e, _bytes(net))))
    assert told.stopped == "patience" and len(told.history) == told.best_epoch + 4 == len(seen)
    losses = [line.validation_loss for line in told.history]
    assert told.best_epoch == int(np.argmin(losses)) + 1
    assert _bytes(net) == seen[told.best_epoch - 1][1] != seen[-1][1]


def test_without_validation_the_last_epoch_stays() -> None:
    told = train(_net(), _examples(), None, TWO_CLASSES, QUICK, 0)
    assert told.stopped == "epochs" and told.best_epoch == 12 and told.history[-1].validation_loss is None


def test_accumulated_batches_are_one_large_batch() -> None:
    weights = torch.linspace(0.5, 2.0, 256)
    examples = Examples(_examples().inputs, _examples().targets, weights)
    large, small = _net(dropout=0.0), _net(dropout=0.0)
    train(large, examples, None, TWO_CLASSES, TrainingSettings(epochs=3, batch=32), 0)
    train(small, examples, None, TWO_CLASSES, TrainingSettings(epochs=3, batch=8, accumulate=4), 0)
    for a, b in zip(large.parameters(), small.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_weight_of_two_is_the_row_twice() -> None:
    base = _examples(64)
    doubled = Examples(base.inputs, base.targets, torch.cat([torch.full((32,), 2.0), torch.ones(32)]))
    rows = torch.cat([base.inputs.gather(torch.arange(64)), base.inputs.gather(torch.arange(32))])
    twice = Examples(Table(rows), torch.cat([base.targets, base.targets[:32]]), torch.ones(96))
    one, two = _net(dropout=0.0), _net(dropout=0.0)
    settings = TrainingSettings(epochs=4, batch=128)
    first = train(one, doubled, None, TWO_CLASSES, settings, 0)
    second = train(two, twice, None, TWO_CLASSES, settings, 0)
    np.testing.assert_allclose([e.training_loss for e in first.history], [e.training_loss for e in second.history], rtol=1e-5)


def test_clipping_bounds_the_step() -> None:
    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 1)

        def forward(self, rows: Tensor) -> Tensor:
            return 1e4 * self.inner(rows)

    norms: list[float] = []
    for clip in (0.5, 0.0):
        net = Spy()
        train(net, _examples(16), None, RETURN, TrainingSettings(epochs=1, batch=16, clip=clip), 0)
        norms.append(float(torch.cat([p.grad.flatten() for p in net.parameters()]).norm()))  # type: ignore[union-attr]
    assert norms[0] <= 0.5 + 1e-5 and norms[1] > 1e4


def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(tmp_path: Any) -> None:
    saved: list[State] = []
    whole, part = _net(), _net()
    told = train(whole, _examples(), _examples(seed=1), TWO_CLASSES, QUICK, 5, save=saved.append)
    save_state(tmp_path / "state", saved[4])
    again = train(part, _examples(), _examples(seed=1), TWO_CLASSES, QUICK, 5, resume=load_state(tmp_path / "state"))
    assert _bytes(part) == _bytes(whole) and again.history == told.history and again.best_epoch == told.best_epoch
    finished = _net()
    assert train(finished, _examples(), _examples(seed=1), TWO_CLASSES, QUICK, 5, resume=saved[-1]).history == told.history
    assert _bytes(finished) == _bytes(whole)


def test_a_checkpoint_of_another_net_is_refused() -> None:
    saved: list[State] = []
    train(_net(), _examples(), None, TWO_CLASSES, TrainingSettings(epochs=1), 0, save=saved.append)
    with pytest.raises(StateError, match=r"weight '3\.bias' has shape \(1,\), expected \(3,\)"):
        train(_net(3), _examples(kind="classes"), None, CLASSES, QUICK, 0, resume=saved[0])
    with pytest.raises(StateError, match="no training"):
        train(_net(), _examples(), None, TWO_CLASSES, QUICK, 0, resume=State({"x": 1}))


@pytest.mark.parametrize("spoiled", ["training", "validation"])
def test_a_loss_that_is_no_number_is_an_error(spoiled: str) -> None:
    bad = _examples()
    bad.targets[3] = float("nan")
    good = _examples()
    parts = (bad, good) if spoiled == "training" else (good, bad)
    with pytest.raises(SettingsError, match=f"the {spoiled} loss is nan in epoch 1; lower learning_rate"):
        train(_net(), *parts, TWO_CLASSES, QUICK, 0)
    assert torch.get_num_threads() >= 1 and not torch.are_deterministic_algorithms_enabled()


def test_time_is_up_after_the_epoch_that_took_too_long() -> None:
    told = train(_net(), _examples(), None, TWO_CLASSES, TrainingSettings(epochs=50, max_seconds=1e-9), 0)
    assert told.stopped == "time" and len(told.history) == 1


def test_an_absent_device_falls_back_to_the_cpu_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    told = train(_net(), _examples(), None, TWO_CLASSES, TrainingSettings(epochs=1, device="cuda"), 0)
    assert told.device.device == "cpu" and "not available" in told.device.fallback
    assert choose_device("auto") == (torch.device("cpu"), "")


def test_a_failing_device_falls_back_to_the_cpu_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _net()
    train(expected, _examples(), _examples(seed=1), TWO_CLASSES, QUICK, 0)
    # `meta` stands in for a device that takes the net but cannot run it.
    monkeypatch.setattr(training, "choose_device", lambda wanted: (torch.device("meta"), ""))
    net = _net()
    told = train(net, _examples(), _examples(seed=1), TWO_CLASSES, QUICK, 0)
    assert told.device.device == "cpu" and told.device.fallback and _bytes(net) == _bytes(expected)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch": 0}, {"patience": 1.5}, {"learning_rate": 0}, {"clip": -1}, {"bfloat16": "on"}, {"device": "tpu"}],
    ids=str,
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        TrainingSettings(**wrong)


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(SettingsError, match="no example"):
        train(_net(), _examples(0), None, CLASSES, QUICK, 0)


def test_bfloat16_is_chosen_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for capable in (True, False):
        monkeypatch.setattr(devices, "_cpu", lambda capable=capable: {"avx512_bf16": capable, "cpu_name": "Test"})
        told = train(_net(), _examples(), None, TWO_CLASSES, TrainingSettings(epochs=1, bfloat16="auto"), 0)
        assert told.device.bfloat16 is capable and told.device.name == "Test"


def test_the_optimiser_state_is_not_shared() -> None:
    saved: list[State] = []
    train(_net(), _examples(), None, TWO_CLASSES, TrainingSettings(epochs=2), 0, save=saved.append)
    assert saved[0] != saved[1] and copy.deepcopy(saved[0]) == saved[0]
