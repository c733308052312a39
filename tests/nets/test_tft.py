"""The Temporal Fusion Transformer: shapes, what each answer may depend on, shared bars, and bits that company does not change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import SettingsError
from tradewind.nets.device import reproducible
from tradewind.nets.losses import quantiles
from tradewind.nets.prediction import answer
from tradewind.nets.tft import Histories, History, Sequences, TemporalFusionTransformer, TFTSizes
from tradewind.nets.training import Examples, TrainingSettings, train
from tradewind.nets.windows import windows

TINY = TFTSizes(window=5, hidden=8, layers=2, heads=2, embedding=3, dropout=0.2)


def histories(rows: int = 40, symbols: int = 2, inputs: int = 3, steps: int = 3, window: int = 5, seed: int = 0) -> Histories:
    random = np.random.default_rng(seed)
    usable = random.uniform(size=(rows, symbols)) < 0.9
    found = windows(random.standard_normal((rows, symbols, inputs)), usable, window)
    owner = torch.from_numpy(np.nonzero(usable.T)[0])
    calendar = torch.from_numpy(random.standard_normal((rows + steps, 2)).astype(np.float32))
    ahead = torch.from_numpy(found.time[:, None] + 1 + np.arange(steps))
    return Histories(found, owner, torch.arange(1, steps + 1) / steps, calendar, ahead)


def net(sizes: TFTSizes = TINY, outputs: int = 4, symbols: int = 2, inputs: int = 3, single: bool = False) -> TemporalFusionTransformer:
    with reproducible(7):
        return TemporalFusionTransformer(inputs, 3, symbols, outputs, sizes, single).eval()


def test_shapes_and_weights_that_sum_to_one() -> None:
    model, samples = net(), histories()
    history = samples.gather(torch.arange(6))
    assert isinstance(history, History) and history.future.shape == (6, 3, 3)
    assert history.future[:, :, 0].tolist() == [pytest.approx([1 / 3, 2 / 3, 1.0])] * 6
    with torch.no_grad():
        reading = model.read(history)
    assert reading.outputs.shape == (6, 3, 4) and reading.attention.shape == (6, 3, 8)
    assert reading.bars.shape == (len(history.bars), 3) and reading.steps.shape == (6, 3, 3)
    for weights in (reading.bars, reading.steps, reading.attention):
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    with torch.no_grad():
        assert torch.equal(model(history), reading.outputs)
    logits = net(outputs=2, single=True)(replace(samples, ahead=samples.ahead[:, :1], distance=torch.ones(1)).gather(torch.arange(6)))
    assert logits.shape == (6, 2)


@given(rows=st.integers(8, 40), symbols=st.integers(1, 3), seed=st.integers(0, 50), data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_bar_that_windows_share_is_stored_once_and_changes_no_answer(rows: int, symbols: int, seed: int, data: st.DataObject) -> None:
    samples = histories(rows, symbols, seed=seed)
    if not len(samples):
        return
    which = torch.tensor(data.draw(st.lists(st.integers(0, len(samples) - 1), min_size=1, max_size=12)))
    shared, alone = samples.gather(which), replace(samples, shared=False).gather(which)
    assert isinstance(shared, History) and isinstance(alone, Sequences)
    assert torch.equal(shared.bars[shared.place], alone.windows) and torch.equal(shared.future, alone.future)
    assert torch.equal(shared.owner[shared.place], alone.symbol[:, None].expand(-1, 5)) and torch.equal(shared.symbol, alone.symbol)
    ends = samples.windows.ends[which]
    assert len(shared.bars) == len({end - back for end in ends.tolist() for back in range(5)})
    model = net(symbols=symbols)
    with torch.no_grad():
        torch.testing.assert_close(model(shared), model(alone), rtol=1e-4, atol=1e-5)


def test_a_step_depends_on_the_window_its_symbol_and_the_steps_up_to_it() -> None:
    model = net()
    alone = replace(histories(), shared=False).gather(torch.tensor([3, 4]))
    assert isinstance(alone, Sequences)
    with torch.no_grad():
        base = model(alone)
        for step in range(3):
            future = alone.future.clone()
            future[:, step] += 1.0
            moved = (model(alone._replace(future=future)) != base).any(dim=2)
            assert not moved[:, :step].any() and moved[:, step:].all()
        for lag in range(5):
            changed = alone.windows.clone()
            changed[0, lag, 1] += 1.0
            moved = (model(alone._replace(windows=changed)) != base).any(dim=2)
            assert moved[0].all() and not moved[1].any()
        assert (model(alone._replace(symbol=1 - alone.symbol)) != base).all()


def test_an_unknown_symbol_is_the_mean_of_the_known_ones() -> None:
    model = net()
    alone = replace(histories(), shared=False).gather(torch.arange(4))
    assert isinstance(alone, Sequences)
    unknown = alone._replace(symbol=torch.full_like(alone.symbol, 2))
    with torch.no_grad():
        found = model(unknown)
        model.symbols.copy_(model.symbols.mean(dim=0).expand(2, -1))
        torch.testing.assert_close(model(alone._replace(symbol=torch.zeros_like(alone.symbol))), found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hidden", [8, 64])
@pytest.mark.parametrize("slots", [1, 4])
def test_an_answer_has_the_same_bits_in_any_company(hidden: int, slots: int) -> None:
    samples = replace(histories(60, 3, inputs=9, window=20), shared=False)
    model = net(TFTSizes(20, hidden, 2, 2, 8, 0.1), outputs=7, symbols=3, inputs=9)
    numbers = samples.windows.time + samples.windows.symbol
    together = answer(model, samples, numbers, slots)
    random = np.random.default_rng(1)
    companies = [[0], [len(samples) - 1], [5, 6, 7], np.flatnonzero(random.uniform(size=len(samples)) < 0.3).tolist()]
    for company in companies:
        some = samples.take(np.array(company))
        assert answer(model, some, numbers[company], slots).tobytes() == together[company].tobytes()
    with torch.no_grad():
        np.testing.assert_allclose(model(replace(samples, shared=True).gather(torch.arange(len(samples)))), together, rtol=1e-3, atol=1e-4)


def test_it_learns_a_path_that_depends_on_the_symbol_the_calendar_and_a_bar() -> None:
    samples = histories(160, 2)
    sign = torch.where(samples.owner[samples.windows.ends] == 0, 1.0, -1.0)
    bar = samples.windows.rows[samples.windows.ends, 1]
    targets = (sign * bar)[:, None] * torch.tensor([0.2, 0.5, 1.0]) + samples.known[samples.ahead, 0]
    examples = Examples(samples, targets, torch.ones(len(samples)))
    model = net(replace(TINY, dropout=0.0), outputs=3)
    settings_ = TrainingSettings(epochs=30, patience=30, batch=32, learning_rate=0.02, weight_decay=0.0, block=4)
    found = train(model, examples, None, quantiles((0.1, 0.5, 0.9)), settings_, 0)
    assert found.history[-1].training_loss < 0.25 * found.history[0].training_loss
    with torch.no_grad():
        median = model(samples.gather(torch.arange(len(samples))))[:, :, 1]
    assert np.corrcoef(median.flatten(), targets.flatten())[0, 1] > 0.95


def test_sizes_that_cannot_be() -> None:
    for wrong, message in [
        ({"hidden": 6, "heads": 4}, "hidden 6 is not a multiple of heads 4"),
        ({"layers": 0}, "layers is 0"),
        ({"embedding": 1.5}, "embedding is 1.5"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"window": 0}, "window is 0"),
    ]:
        with pytest.raises(SettingsError, match=message):
            TFTSizes(**wrong)
    with pytest.raises(SettingsError, match="inputs is 0"):
        TemporalFusionTransformer(0, 1, 1, 1, TINY)
