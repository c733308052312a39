from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.nets.attribution import integrated_gradients
from tradewind.nets.price_action_transformer import PriceActionTransformer


def _seeded(make: type[nn.Module] | object, *given: object, **settings: object) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(*given, **settings).eval()  # type: ignore[operator, no-any-return]


class Perceptron(nn.Module):
    """One hidden layer with kinks."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Recurrent(nn.Module):
    """An LSTM whose last state is answered with one number."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.memory, self.head = nn.LSTM(features, 8, batch_first=True, bidirectional=True), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.memory(x)[0][:, -1])


NETS = {
    "mlp": lambda: _seeded(Perceptron),
    "lstm": lambda: _seeded(Recurrent, 5),
    "transformer": lambda: _seeded(
        PriceActionTransformer, 5, window=6, width=16, heads=2, layers=1, feedforward=32, dropout=0.1, outputs=1
    ),
}


def _inputs(rows: int = 4) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((rows, 6, 5)).astype(np.float32))


def test_a_linear_answer_is_its_slopes_times_its_inputs() -> None:
    slopes = torch.tensor([2.0, -1.0, 0.5])
    x = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]])
    found = integrated_gradients(lambda rows: rows @ slopes + 7.0, [x])
    assert found.values[0] == pytest.approx((x * slopes).numpy()) and found.base == pytest.approx([7.0, 7.0])
    assert found.total == pytest.approx([8.5, 10.0]) and found.steps == (16, 16) and np.abs(found.gap).max() < 1e-6


def test_golden_product_of_two_inputs_is_shared_in_halves() -> None:
    found = integrated_gradients(lambda rows: rows[:, 0] * rows[:, 1], [torch.tensor([[3.0, 4.0]], dtype=torch.float64)])
    assert found.values[0] == pytest.approx(np.array([[6.0, 6.0]]))


def test_a_kink_is_found_to_the_width_of_a_midpoint_and_the_gap_is_told() -> None:
    # max(0, x - .9) from 0 to 1: a slope of 1 on the last tenth of the line alone.
    found = integrated_gradients(lambda rows: torch.relu(rows[:, 0] - 0.9), [torch.tensor([[1.0]], dtype=torch.float64)])
    assert found.values[0][0, 0] == pytest.approx(0.1, abs=1 / 1024) and found.steps == (1024,)
    assert found.gap[0] == pytest.approx(0.1 - found.values[0][0, 0]) and abs(found.gap[0]) > 1e-4


@pytest.mark.parametrize("name", NETS)
def test_the_parts_sum_to_the_answer_less_that_of_the_baseline(name: str) -> None:
    net, x = NETS[name](), _inputs()
    found = integrated_gradients(lambda rows: net(rows)[:, 0], [x])
    with torch.no_grad():
        total, base = net(x)[:, 0].double().numpy(), net(torch.zeros_like(x))[:, 0].double().numpy()
    assert found.values[0].shape == (4, 6, 5)
    assert found.total == pytest.approx(total, abs=1e-5) and found.base == pytest.approx(base, abs=1e-5)
    missing = found.total - found.base - found.values[0].sum(axis=(1, 2))
    assert missing == pytest.approx(found.gap, abs=1e-12)
    assert (np.abs(missing) <= 1e-3 * np.maximum(np.abs(total - base), 1e-3) + 1e-9).all() or max(found.steps) == 1024


@pytest.mark.parametrize("name", NETS)
def test_captum_finds_the_same(name: str) -> None:
    captum = pytest.importorskip("captum.attr")
    net, x = NETS[name](), _inputs()
    found = integrated_gradients(lambda rows: net(rows)[:, 0], [x], tolerance=1e-9, most=512)
    theirs = captum.IntegratedGradients(net).attribute(x, baselines=torch.zeros_like(x), target=0, n_steps=512, method="riemann_middle")
    assert found.values[0] == pytest.approx(theirs.numpy(), abs=2e-4)


@pytest.mark.parametrize("name", NETS)
def test_company_changes_nothing(name: str) -> None:
    net, x = NETS[name](), _inputs()
    together = integrated_gradients(lambda rows: net(rows)[:, 0], [x])
    alone = integrated_gradients(lambda rows: net(rows)[:, 0], [x[2:3]])
    assert together.values[0][2].tobytes() == alone.values[0][0].tobytes()


def test_several_inputs_a_baseline_of_ones_own_and_one_that_does_not_matter() -> None:
    x, y, z = torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0]]), torch.tensor([[9.0]])
    found = integrated_gradients(lambda a, b, c: a.sum(1) + 2.0 * b[:, 0], [x, y, z], [torch.ones(2), torch.zeros(1), torch.zeros(1)])
    assert [each.tolist() for each in found.values] == [[[0.0, 1.0]], [[10.0]], [[0.0]]]


def test_the_net_is_left_as_it_was() -> None:
    net, x = NETS["lstm"](), _inputs()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    integrated_gradients(lambda rows: net(rows)[:, 0], [x])
    assert all(parameter.grad is None for parameter in net.parameters()) and not x.requires_grad and x.grad is None
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_faults() -> None:
    with pytest.raises(SettingsError, match="do not pair up"):
        integrated_gradients(lambda a: a[:, 0], [torch.ones(1, 1)], [])
    with pytest.raises(SettingsError, match="most"):
        integrated_gradients(lambda a: a[:, 0], [torch.ones(1, 1)], most=0)
    assert integrated_gradients(lambda a: a[:, 0], [torch.ones(0, 3)]).values[0].shape == (0, 3)
