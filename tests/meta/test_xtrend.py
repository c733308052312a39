"""X-Trend: attention over past episodes, forecasts and positions from them, and what may not matter to either."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.core.files import load_state, save_state
from tradewind.meta.synthetic_tasks import RegimeTasks
from tradewind.meta.tasks import Task
from tradewind.meta.xtrend import XTrend, XTrendAnswers, XTrendConfig
from tradewind.nets.net_sharpe import NetSharpe
from tradewind.nets.xtrend import CrossAttention, SequenceEncoder

SMALL = XTrendConfig(num_outputs=2, width=16, heads=2)
RETURNS = XTrendConfig(num_outputs=1, width=16, heads=2, loss="mse")


def regimes(n: int, seed: int = 0, **sizes: int) -> list[Task]:
    return RegimeTasks(**sizes).sample_batch(np.random.default_rng(seed), n)


def returns(n: int, seed: int = 0, size: float = 0.01) -> list[Task]:
    """What follows is the regime's sign times the first input, as much again of noise, `size` large."""
    random = np.random.default_rng(seed)
    tasks: list[Task] = []
    for _ in range(n):
        x = random.standard_normal((30, 4)).astype(np.float32)
        y = (size * random.choice([-1, 1]) * x[:, 0] + 0.5 * size * random.standard_normal(30)).astype(np.float32)
        data, labels = torch.from_numpy(x), torch.from_numpy(y)
        tasks.append({"support_data": data[:10], "support_labels": labels[:10], "query_data": data[10:], "query_labels": labels[10:]})
    return tasks


def adapted(learner: XTrend, task: Task) -> XTrendAnswers:
    answers = learner.few_shot_adapt(task["support_data"], task["support_labels"])
    assert isinstance(answers, XTrendAnswers)
    return answers


# -- what may not matter ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("config", [SMALL, RETURNS])
def test_the_order_of_the_context_is_all_one(config: XTrendConfig) -> None:
    (task,) = regimes(1) if config is SMALL else returns(1)
    learner = XTrend(4, config)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    shuffled = {**task, "support_data": task["support_data"][order], "support_labels": task["support_labels"][order]}
    first, second = adapted(learner, task), adapted(learner, shuffled)
    torch.testing.assert_close(second(task["query_data"]), first(task["query_data"]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(second.attention(task["query_data"]), first.attention(task["query_data"])[:, order], rtol=1e-5, atol=1e-6)


def test_an_answer_depends_on_its_own_row_and_the_context_alone() -> None:
    (task,) = regimes(1)
    answers = adapted(XTrend(4, SMALL), task)
    alone = torch.cat([answers(row[None]) for row in task["query_data"]])
    torch.testing.assert_close(answers(task["query_data"]), alone, rtol=1e-5, atol=1e-6)


def test_a_batch_of_contexts_of_any_length_is_the_mean_of_its_tasks() -> None:
    """Padding takes no part: the loss and the gradient of a mixed batch are those of its tasks one by one."""
    tasks = regimes(1, num_support=4) + regimes(1, seed=1, num_support=9, num_query=7)
    learner = XTrend(4, XTrendConfig(num_outputs=2, width=16, heads=2, dropout=0.0))
    told, gradients = [], []
    for batch in (tasks, tasks[:1], tasks[1:]):
        learner.learned().zero_grad()
        told.append(learner.gradients(batch)["meta_loss"])
        gradients.append([weight.grad.clone() for weight in learner.learned().parameters() if weight.grad is not None])
    assert told[0] == pytest.approx((told[1] + told[2]) / 2, rel=1e-6)
    for both, first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(both, (first + second) / 2, rtol=1e-4, atol=1e-6)


def test_returns_a_thousand_times_as_large_are_learned_as_well() -> None:
    answers = []
    for size in (0.01, 10.0):
        learner = XTrend(4, RETURNS)
        for step in range(3):
            learner.meta_train_step(returns(4, step, size))
        (task,) = returns(1, 9, size)
        answers.append(adapted(learner, task)(task["query_data"]) / size)
    torch.testing.assert_close(*answers, rtol=1e-3, atol=1e-5)


# -- parts by hand ------------------------------------------------------------------------------------------------------
def test_cross_attention_by_hand() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(4, 2)
    asked, keys, values = torch.randn(1, 3, 4), torch.randn(1, 5, 4), torch.randn(1, 5, 4)
    answer, shares = attention(asked, keys, values)
    heads = []
    for head in (slice(0, 2), slice(2, 4)):
        scores = attention.queries(asked)[0, :, head] @ attention.keys(keys)[0, :, head].T / math.sqrt(2)
        heads.append((torch.softmax(scores, dim=1), attention.values(values)[0, :, head]))
    torch.testing.assert_close(shares[0], (heads[0][0] + heads[1][0]) / 2)
    torch.testing.assert_close(answer[0], attention.out(torch.cat([share @ value for share, value in heads], dim=1)))
    absent = torch.tensor([[False, False, False, True, True]])
    torch.testing.assert_close(attention(asked, keys, values, absent)[0], attention(asked, keys[:, :3], values[:, :3])[0])


def test_a_sequence_is_read_to_its_end_and_a_row_is_a_sequence_of_one() -> None:
    torch.manual_seed(0)
    encoder = SequenceEncoder(3, 8).eval()
    sequences = torch.randn(6, 5, 3)
    changed = sequences.clone()
    changed[:, 0] += 1.0
    assert encoder(sequences).shape == (6, 8)
    assert bool((encoder(changed) != encoder(sequences)).any(dim=1).all())
    torch.testing.assert_close(encoder(sequences[:, 0]), encoder(sequences[:, :1]))
    with pytest.raises(SettingsError, match="a step has 4 inputs, the encoder was made for 3"):
        encoder(torch.randn(2, 4))


def test_the_likelihood_and_the_sharpe_ratio_are_those_by_hand() -> None:
    config = XTrendConfig(num_outputs=1, width=16, heads=2, dropout=0.0, loss="mse", sharpe_weight=0.5, cost=0.002)
    learner, tasks = XTrend(4, config), returns(3)
    told = learner.gradients(tasks)
    scale = torch.cat([task["support_labels"] for task in tasks]).square().mean().sqrt()
    unlikely, gained = [], torch.zeros(3)
    for task in tasks:
        answers = adapted(learner, task)
        with torch.no_grad():
            mean, deviation = answers.distribution(task["query_data"])
            positions = answers.positions(task["query_data"])
        density = torch.distributions.Normal(mean / scale, deviation / scale).log_prob(task["query_labels"] / scale)
        unlikely.append(-density.mean() - 0.5 * math.log(2 * math.pi))
        net = positions * task["query_labels"] / scale
        net[1:] -= positions.diff().abs() * 0.002 / scale
        gained += torch.stack([net.sum(), net.square().sum(), torch.tensor(float(len(net)))])
    assert told["unlikelihood"] == pytest.approx(float(torch.stack(unlikely).mean()), rel=1e-4)
    assert told["sharpe"] == pytest.approx(-float(NetSharpe().value(gained)), rel=1e-3)
    assert told["meta_loss"] == pytest.approx(learner.meta_validate(tasks)["loss"], rel=1e-4)


# -- what it learns -------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_it_learns_the_rule_that_flips_to_the_oracles_neighbourhood() -> None:
    """The oracle is right 90 % of the time; a net that does not look at the context is right half of it."""
    tasks, random = RegimeTasks(), np.random.default_rng(0)
    learner = XTrend(4, XTrendConfig(num_outputs=2, width=16, heads=2, dropout=0.0, outer_lr=0.005))
    for _ in range(300):
        learner.meta_train_step(tasks.sample_batch(random, 16))
    told = learner.meta_validate(fresh := tasks.sample_batch(random, 300))
    assert told["accuracy"] > 0.86
    # The context of other symbols of the same regime serves as well as one's own; that of the other regime says the opposite.
    signs = [int(task["regime"]) for task in fresh]
    kin = next(other for other in fresh[1:] if int(other["regime"]) == signs[0])
    stranger = next(other for other in fresh[1:] if int(other["regime"]) != signs[0])
    for other, right in ((kin, True), (stranger, False)):
        hits = (adapted(learner, other)(fresh[0]["query_data"]).argmax(dim=1) == fresh[0]["query_labels"]).double().mean()
        assert (hits > 0.7) == right and (hits < 0.3) != right


def test_it_takes_positions_that_earn() -> None:
    config = XTrendConfig(num_outputs=1, width=16, heads=2, dropout=0.0, loss="mse", sharpe_weight=1.0, outer_lr=0.005)
    learner = XTrend(4, config)
    for step in range(160):
        told = learner.meta_train_step(returns(8, step))
    assert told["sharpe"] > 0.4
    earned, errors, still = [], [], []
    for task in returns(100, 10_000):
        answers = adapted(learner, task)
        with torch.no_grad():
            earned.append(float((answers.positions(task["query_data"]) * task["query_labels"]).mean()))
            errors.append(float((answers(task["query_data"]) - task["query_labels"]).square().mean()))
        still.append(float(task["query_labels"].square().mean()))
    # The sign of the truth would have a ratio of 1 a decision, and the truth err by the noise alone, a fifth of the labels' mean square.
    assert np.mean(earned) / np.std(earned) > 0.7
    assert np.mean(errors) < 0.5 * np.mean(still)


# -- state and faults -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_state_goes_through_a_file_and_goes_on_to_the_bit(tmp_path: Path, loss: str) -> None:
    """With dropout: it is drawn from the seed and the iteration."""
    config = XTrendConfig(num_outputs=2 if loss == "cross_entropy" else 1, width=16, heads=2, dropout=0.3, loss=loss)  # type: ignore[arg-type]
    batches = [regimes(3, seed) if loss == "cross_entropy" else returns(3, seed) for seed in range(4)]
    learner = XTrend(4, config)
    for batch in batches[:2]:
        learner.meta_train_step(batch)
    restored = XTrend(4, config).restore(load_state(save_state(tmp_path / "learner", learner.state())))
    for batch in batches[2:]:
        assert learner.meta_train_step(batch) == restored.meta_train_step(batch)
    task = batches[0][0]
    answers = adapted(learner, task)
    before = answers(task["query_data"])
    assert torch.equal(before, adapted(restored, task)(task["query_data"]))
    learner.meta_train_step(batches[1])
    assert torch.equal(before, answers(task["query_data"]))


def test_everything_that_is_learned_has_a_gradient() -> None:
    learner = XTrend(4, XTrendConfig(num_outputs=1, width=16, heads=2, loss="mse", sharpe_weight=1.0))
    learner.gradients(returns(2))
    still = [name for name, weight in learner.learned().named_parameters() if weight.grad is None or not bool(weight.grad.any())]
    # Rows are sequences of one step, whose recurrent weights meet a state of zeros.
    assert still == ["encoder.lstm.weight_hh_l0"]


def test_a_net_of_ones_own_encodes() -> None:
    learner = XTrend(nn.Sequential(nn.Flatten(), nn.Linear(12, 16)), SMALL)
    data = torch.randn(10, 4, 3, generator=torch.Generator().manual_seed(0))
    answers = learner.few_shot_adapt(data, torch.arange(10) % 2)
    assert answers(data).shape == (10, 2)
    with pytest.raises(SettingsError, match=r"encodes samples as \(3,\), width is 16"):
        XTrend(nn.Linear(4, 3), SMALL).meta_train_step(regimes(1))


def test_what_was_not_learned_cannot_be_asked() -> None:
    (task,) = returns(1)
    with pytest.raises(SettingsError, match="takes no positions; give it a sharpe_weight"):
        adapted(XTrend(4, RETURNS), task).positions(task["query_data"])
    (classes,) = regimes(1)
    with pytest.raises(SettingsError, match="classes have logits"):
        adapted(XTrend(4, SMALL), classes).distribution(classes["query_data"])
    with pytest.raises(SettingsError, match="labels are 1 numbers each, num_outputs is 2"):
        XTrend(4, XTrendConfig(num_outputs=2, width=16, loss="mse")).meta_train_step([task])


@pytest.mark.parametrize(
    "wrong", [{"width": 10, "heads": 4}, {"sharpe_weight": 1.0}, {"cost": 0.1, "loss": "mse"}, {"dropout": 1.0}, {"loss": "hinge"}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        XTrendConfig(**wrong)  # type: ignore[arg-type]


def test_ways_take_the_place_of_outputs() -> None:
    data: Tensor = regimes(1)[0]["support_data"]
    learner = XTrend(4, XTrendConfig(num_outputs=7, width=16), ways=2)
    assert learner.few_shot_adapt(data, torch.arange(len(data)) % 2)(data).shape == (len(data), 2)
