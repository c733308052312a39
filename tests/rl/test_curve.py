"""The curve: whole lines in a file, the same numbers to TensorBoard, and clear words where something is missing or damaged."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from tests.rl.environments import Walk
from tests.rl.learners import Linear, LinearConfig

from tradewind.core.errors import Corrupt, DataError, MissingExtra
from tradewind.rl.curve import Curve, Progress, read_curve
from tradewind.rl.evaluation import Evaluation

JUDGED = Evaluation((1.0, 2.0), (3, 4), 1.5, math.sqrt(0.5), {"sharpe": 0.7, "hold_sharpe": 0.4})
LINE = Progress(640, 1_000, 2.5, 256.0, 12, 0.25, {"policy_loss": 0.1, "epsilon": 0.05, "loss/value": 3.0}, JUDGED)


def test_lines_come_back_as_they_were(tmp_path: Path) -> None:
    bare = Progress(700, 1_000, 2.75, 250.0, 12, None)
    with Curve(tmp_path, None) as curve:
        curve.add(LINE)
        assert read_curve(tmp_path / "curve.jsonl") == (LINE,)
        curve.add(bare)
    assert read_curve(tmp_path / "curve.jsonl") == (LINE, bare)


def test_a_number_that_is_none_is_kept_as_null(tmp_path: Path) -> None:
    with Curve(tmp_path, None) as curve:
        curve.add(Progress(1, 2, 0.1, 1.0, 0, None, {"explained": math.nan}))
    assert '"explained": null' in (tmp_path / "curve.jsonl").read_text()
    (line,) = read_curve(tmp_path / "curve.jsonl")
    assert math.isnan(line.metrics["explained"])


def test_a_run_that_goes_on_keeps_its_lines_and_no_later_ones(tmp_path: Path) -> None:
    later = Progress(900, 1_000, 3.0, 1.0, 0, None)
    with Curve(tmp_path, None) as curve:
        curve.add(LINE)
        curve.add(later)
    with Curve(tmp_path, None, [LINE]):
        pass
    assert read_curve(tmp_path / "curve.jsonl") == (LINE,)


def test_a_curve_without_a_folder_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Curve(None, None) as curve:
        curve.add(LINE)
    assert not list(tmp_path.iterdir())


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with Curve(tmp_path, None) as curve:
        curve.add(LINE)
    place = tmp_path / "curve.jsonl"
    place.write_text(place.read_text() + '{"step": 3}\n')
    with pytest.raises(Corrupt, match="line 2 is no line of a learning curve"):
        read_curve(place)
    with pytest.raises(DataError, match="cannot be read"):
        read_curve(tmp_path / "nowhere.jsonl")


def test_tags() -> None:
    assert LINE.scalars() == {
        "speed/steps_per_second": 256.0,
        "rollout/return": 0.25,
        "evaluation/return": 1.5,
        "evaluation/sharpe": 0.7,
        "evaluation/hold_sharpe": 0.4,
        "loss/policy_loss": 0.1,
        "learning/epsilon": 0.05,
        "loss/value": 3.0,
    }


def test_tensorboard_reads_what_was_learned(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs the extra tensorboard")
    told = Linear(LinearConfig()).learn(Walk(), 1_280, evaluate=Walk(), evaluate_every=640, tensorboard=tmp_path / "events")
    events = accumulators.EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    heard = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    expected: dict[str, list[tuple[int, float]]] = {}
    for line in told.history:
        for tag, value in line.scalars().items():
            expected.setdefault(tag, []).append((line.step, pytest.approx(value, rel=1e-6)))
    assert heard == expected
    assert {"evaluation/return", "loss/policy_loss", "learning/worth", "rollout/return", "speed/steps_per_second"} == set(heard)
    assert len(heard["evaluation/return"]) == 2


def test_tensorboard_forgets_steps_that_are_taken_again(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs the extra tensorboard")
    lines = [Progress(step, 100, 1.0, float(step), 0, None) for step in (10, 20, 30)]
    with Curve(None, tmp_path) as curve:
        for line in lines:
            curve.add(line)
    with Curve(None, tmp_path, lines[:1]) as curve:
        curve.add(Progress(20, 100, 1.0, 7.0, 0, None))
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("speed/steps_per_second")] == [(10, 10.0), (20, 7.0)]


def test_without_tensorboard_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("tensorboard", "torch.utils.tensorboard"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match=r"tensorboard is not installed; run: pip install 'tradewind\[tensorboard\]'"):
        Curve(None, tmp_path)
