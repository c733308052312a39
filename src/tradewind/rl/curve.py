"""The learning curve: `Progress`, a line of it, and `Curve`, which keeps the lines in `curve.jsonl` and tells them to TensorBoard.

The file is written whole, so that a reader never sees half of it, and once a second at most: a write that is synced costs some 15 ms.
A kill loses the lines of the last second, which a run that goes on takes again. Fails where TensorBoard is asked for and not installed,
with an error that says what to install.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, final

from tradewind.core.clock import SystemClock
from tradewind.core.errors import Corrupt, MissingExtra
from tradewind.core.files import read_bytes, write_text
from tradewind.rl.evaluation import Evaluation

__all__ = ["Curve", "Progress", "read_curve"]

OFTEN: Final = 1.0
"""Seconds between two writes of the file."""


@final
@dataclass(frozen=True)
class Progress:
    """Where a run stands after `step` of `steps` steps, counted over all environments.

    `seconds` since it began, breaks left out; `steps_per_second` and `metrics`, means of what the agent told, since the line before;
    `episodes` so far, and `mean_return`, undiscounted, of those that were over since the line before (None: none was).
    """

    step: int
    steps: int
    seconds: float
    steps_per_second: float
    episodes: int
    mean_return: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    evaluation: Evaluation | None = None

    def values(self) -> dict[str, Any]:
        """As JSON-able data; a metric that is no number is null."""
        told = {name: getattr(self, name) for name in ("step", "steps", "seconds", "steps_per_second", "episodes", "mean_return")}
        told["metrics"] = {name: value if math.isfinite(value) else None for name, value in self.metrics.items()}
        return {**told, "evaluation": None if self.evaluation is None else self.evaluation.values()}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The Progress that `values` described."""
        metrics = {name: math.nan if value is None else float(value) for name, value in values["metrics"].items()}
        judged = None if values["evaluation"] is None else Evaluation.from_values(values["evaluation"])
        return cls(**{**values, "metrics": metrics, "evaluation": judged})

    def scalars(self) -> dict[str, float]:
        """The numbers of this line by the tags that TensorBoard shows them under."""
        told = {"speed/steps_per_second": self.steps_per_second}
        if self.mean_return is not None:
            told["rollout/return"] = self.mean_return
        if self.evaluation is not None:
            told["evaluation/return"] = self.evaluation.mean
            told |= {f"evaluation/{name}": value for name, value in self.evaluation.metrics.items()}
        for name, value in self.metrics.items():
            told[name if "/" in name else f"{'loss' if 'loss' in name else 'learning'}/{name}"] = value
        return told


@final
class Curve:
    """Where lines go: `folder/curve.jsonl`, and the TensorBoard folder `tensorboard`; either may be None. Use it in a `with`.

    `lines` are those of a run that goes on, which stay. Raises MissingExtra without the package `tensorboard`.
    """

    def __init__(self, folder: Path | None, tensorboard: str | Path | None, lines: Sequence[Progress] = ()) -> None:
        self._place = None if folder is None else folder / "curve.jsonl"
        self._lines = [_line(line) for line in lines]
        self._clock, self._written, self._unwritten = SystemClock(), -OFTEN, bool(lines)
        # A run that goes on after a kill tells some steps again: TensorBoard forgets what it had heard of them.
        self._events = None if tensorboard is None else _event_writer(tensorboard, lines[-1].step + 1 if lines else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._write()
        if self._events is not None:
            self._events.close()

    def add(self, line: Progress) -> None:
        """Keep one more line. Raises DataError, at the latest at the end of the `with`, when it cannot be written."""
        self._lines.append(_line(line))
        self._unwritten = True
        if self._clock.monotonic() >= self._written + OFTEN:
            self._write()
        if self._events is not None:
            for tag, value in line.scalars().items():
                self._events.add_scalar(tag, value, line.step)

    def _write(self) -> None:
        if self._place is not None and self._unwritten:
            write_text(self._place, "".join(self._lines))
        self._written, self._unwritten = self._clock.monotonic(), False


def read_curve(path: str | Path) -> tuple[Progress, ...]:
    """The lines of a `curve.jsonl`. Raises DataError when it cannot be read and Corrupt, naming the line, when one is damaged."""
    lines = []
    for number, text in enumerate(read_bytes(path).decode(errors="replace").splitlines(), 1):
        try:
            lines.append(Progress.from_values(json.loads(text)))
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"{path}: line {number} is no line of a learning curve ({error}); restore the file or learn anew") from None
    return tuple(lines)


def _line(line: Progress) -> str:
    return json.dumps(line.values(), sort_keys=True, allow_nan=False) + "\n"


def _event_writer(folder: str | Path, first_step: int) -> Any:
    try:
        module = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        raise MissingExtra("tensorboard", "tensorboard") from None
    return module.SummaryWriter(str(folder), purge_step=first_step or None)
