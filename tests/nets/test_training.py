"""The loop: what it learns, when it stops, what it gives back, and that it can be stopped and gone on with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.errors import SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State
from tradewind.nets import device as devices
from tradewind.nets import training
from tradewind.nets.device import choose_device, reproducible
from tradewind.nets.losses import CLASSES, RETURN, TWO_CLASSES
from tradewind.nets.training import Diverged, Epoch, Examples, TrainingSettings, train


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
    [
        {"epochs": 0},
        {"batch": 0},
        {"patience": 1.5},
        {"learning_rate": 0},
        {"clip": -1},
        {"bfloat16": "on"},
        {"device": "tpu"},
        {"warmup": -1},
    ],
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


class SharpeOfBets:
    """Minus mean over deviation of outputs times targets: a loss that no mean over samples is."""

    def terms(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        gains = torch.tanh(outputs[:, 0]) * targets * weights
        return torch.stack([gains.sum(), (gains**2).sum(), weights.sum()])

    def value(self, sums: Tensor) -> Tensor:
        mean = sums[0] / sums[2]
        return -mean / torch.sqrt(sums[1] / sums[2] - mean**2 + 1e-9)


def test_a_loss_of_sums_accumulates_to_that_of_the_whole_batch() -> None:
    large, small, dropped = _net(dropout=0.0), _net(dropout=0.0), _net(dropout=0.5)
    settings = {"epochs": 3, "learning_rate": 0.01}
    whole = train(large, _examples(kind="return"), _examples(100, 1, "return"), SharpeOfBets(), TrainingSettings(batch=64, **settings), 0)
    parts = TrainingSettings(batch=16, accumulate=4, **settings)
    told = train(small, _examples(kind="return"), _examples(100, 1, "return"), SharpeOfBets(), parts, 0)
    for a, b in zip(large.parameters(), small.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose([e.validation_loss for e in told.history], [e.validation_loss for e in whole.history], rtol=1e-4)
    assert whole.history[-1].validation_loss < whole.history[0].validation_loss
    # The value over all validation samples, not the mean of batches' values: by hand from the net that came back.
    last = _examples(100, 1, "return")
    with torch.no_grad():
        outputs = large(last.inputs.gather(torch.arange(100)))
        by_hand = SharpeOfBets().value(SharpeOfBets().terms(outputs, last.targets, last.weights))
    assert whole.history[whole.best_epoch - 1].validation_loss == pytest.approx(float(by_hand), rel=1e-5)
    assert np.isfinite(train(dropped, _examples(kind="return"), None, SharpeOfBets(), parts, 0).history[-1].training_loss)


def test_the_second_pass_drops_the_units_of_the_first() -> None:
    seen: list[Tensor] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 1)

        def forward(self, rows: Tensor) -> Tensor:
            outputs = functional.dropout(self.inner(rows), 0.5, self.training)
            seen.append(outputs.detach().clone())
            return outputs

    train(Watched(), _examples(32, kind="return"), None, SharpeOfBets(), TrainingSettings(epochs=1, batch=8, accumulate=4), 0)
    assert len(seen) == 8 and all(torch.equal(a, b) for a, b in zip(seen[:4], seen[4:], strict=True))
    assert any((outputs == 0).any() for outputs in seen)


def _watched_rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rate of every step from now on."""
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def spied(self: torch.optim.AdamW, closure: object = None) -> object:
        rates.append(self.param_groups[0]["lr"])
        return step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", spied)
    return rates


def test_the_learning_rate_falls_on_a_plateau(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.8, 0.85, 0.99, 0.99])
    monkeypatch.setattr(training, "_evaluate", lambda course, examples: next(losses))
    rates = _watched_rates(monkeypatch)
    settings = TrainingSettings(epochs=10, patience=9, batch=256, learning_rate=0.1, plateau=2, plateau_factor=0.5)
    train(_net(), _examples(), _examples(8), TWO_CLASSES, settings, 0)
    assert rates == [0.1] * 4 + [0.05] * 2 + [0.025] * 3 + [0.0125]


def test_the_learning_rate_rises_over_the_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = _watched_rates(monkeypatch)
    # 70 samples in groups of 2 * 16: three steps an epoch, so that the rise ends inside the third.
    settings = TrainingSettings(epochs=4, batch=16, accumulate=2, learning_rate=0.1, warmup=8)
    train(_net(), _examples(70), None, TWO_CLASSES, settings, 0)
    assert rates == pytest.approx([0.1 * min(step, 8) / 8 for step in range(1, 13)])
    assert rates[7:] == [0.1] * 5


def test_a_training_killed_while_its_rate_rises_goes_on_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[State] = []
    settings = TrainingSettings(epochs=6, batch=32, learning_rate=0.05, warmup=9, plateau=1)
    parts = (_examples(64), _examples(64, seed=3, noise=2.0), TWO_CLASSES, settings, 0)
    whole, part = _net(), _net()
    rates = _watched_rates(monkeypatch)
    told = train(whole, *parts, save=saved.append)
    through = rates[4:]
    rates.clear()
    again = train(part, *parts, resume=saved[1])
    assert rates == through and _bytes(whole) == _bytes(part) and told.history == again.history


def test_a_training_on_a_plateau_goes_on_with_its_rate() -> None:
    saved: list[State] = []
    settings = TrainingSettings(epochs=14, patience=14, batch=32, learning_rate=0.05, plateau=1, plateau_factor=0.5, keep=3)
    parts = (_examples(64), _examples(64, seed=3, noise=2.0), TWO_CLASSES, settings, 0)
    whole, part = _net(), _net()
    told = train(whole, *parts, save=saved.append)
    again = train(part, *parts, resume=saved[8])
    assert _bytes(whole) == _bytes(part) and told.history == again.history
    assert [line for line, _ in told.kept] == [line for line, _ in again.kept]
    assert all(a == b for (_, a), (_, b) in zip(told.kept, again.kept, strict=True))


def test_the_best_epochs_are_kept_in_order() -> None:
    weights: list[bytes] = []
    net = _net()
    settings = TrainingSettings(epochs=12, patience=12, batch=8, learning_rate=0.05, keep=3)
    told = train(net, _examples(32), _examples(64, seed=3, noise=2.0), TWO_CLASSES, settings, 0, lambda _: weights.append(_bytes(net)))
    losses = [line.validation_loss for line in told.history]
    assert [line.epoch for line, _ in told.kept] == [int(number) + 1 for number in np.argsort(losses, kind="stable")[:3]]
    for line, state in told.kept:
        assert b"".join(state.arrays[name].tobytes() for name in net.state_dict()) == weights[line.epoch - 1]
    last = train(_net(), _examples(32), None, TWO_CLASSES, settings, 0)
    assert [line.epoch for line, _ in last.kept] == [12, 11, 10]


@pytest.mark.parametrize(("n", "block"), [(20, 4), (22, 4), (5, 8), (7, 1)])
def test_blocks_stay_together_and_every_sample_comes_once(n: int, block: int) -> None:
    asked: list[int] = []

    @dataclass(frozen=True)
    class Spied:
        rows: Tensor

        def gather(self, which: Tensor) -> Tensor:
            asked.extend(which.tolist())
            return self.rows[which]

        def to(self, device: torch.device) -> Spied:
            return self

    base = _examples(n)
    told = Examples(Spied(base.inputs.gather(torch.arange(n))), base.targets, base.weights)
    train(_net(), told, None, TWO_CLASSES, TrainingSettings(epochs=2, batch=block, block=block), 0)
    for order in (asked[:n], asked[n:]):
        assert sorted(order) == list(range(n))
        jumps = [b for a, b in pairwise(order) if b != a + 1]
        assert all(number % block == 0 for number in jumps) and (order != list(range(n)) or block >= n)


class Hungry(nn.Module):
    """Runs out of memory for more than `most` rows, as the allocators of the GPU or the CPU do."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()
        self.inner, self.most, self.error = _net(dropout=0.0), most, error

    def forward(self, rows: Tensor) -> Tensor:
        if len(rows) > self.most:
            raise self.error
        return self.inner(rows)


CPU_ERROR = RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), CPU_ERROR], ids=["cuda", "cpu"]
)
def test_out_of_memory_halves_the_batch_and_says_so(error: Exception) -> None:
    hungry, fed = Hungry(8, error), Hungry(1_000, error)
    settings = TrainingSettings(epochs=3, batch=32)
    told = train(hungry, _examples(), _examples(50, seed=1), TWO_CLASSES, settings, 0)
    expected = train(fed, _examples(), _examples(50, seed=1), TWO_CLASSES, settings, 0)
    assert (told.batch, told.accumulate) == (8, 4) and (expected.batch, expected.accumulate, expected.notes) == (32, 1, ())
    assert "out of memory" in told.notes[0] and "batch 16 and accumulate 2" in told.notes[0] and "batch 8 and" in told.notes[1]
    assert told.device.fallback == "" and [note.rpartition("with ")[2] for note in told.notes[2:]] == [
        f"{size} samples at a time in the validation" for size in (32, 16, 8)
    ]
    for a, b in zip(hungry.parameters(), fed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    with pytest.raises(RuntimeError, match="allocate"):
        train(Hungry(0, error), _examples(), None, TWO_CLASSES, settings, 0)


def test_other_errors_are_not_taken_for_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="other"):
        train(Hungry(8, RuntimeError("other")), _examples(), None, TWO_CLASSES, QUICK, 0)


def test_divergence_tells_what_diverged() -> None:
    bad = _examples()
    bad.targets[3] = float("inf")
    with pytest.raises(Diverged, match="the training loss is") as caught:
        train(_net(), bad, None, RETURN, QUICK, 0)
    assert caught.value.part == "training" and caught.value.epoch == 1
    assert "weather" in str(caught.value.because("the weather"))
