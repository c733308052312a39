"""X-Trend: an answer for the market at hand by attention to a context of past episodes, of any market, and to what followed each of them.

Paper: Wood, Kessler, Roberts, Zohren 2023, https://arxiv.org/abs/2310.10500. The support is the context, the query the targets; with one
symbol in both the learning is few-shot, with a context of other symbols it is zero-shot, and nothing here knows which. Numbers are
answered as the paper's X-Trend-G does: a Gaussian by its likelihood and, with `sharpe_weight`, a position from it by the Sharpe ratio
after costs, jointly. Adapting is one pass over the context and costs no gradient. Nothing looks ahead if the context ends before the
targets begin, which the tasks see to. Fails on few tasks: unlike a prototype, attention has to learn even that what is alike matters.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import require
from tradewind.core.spaces import Choice, Real, Space
from tradewind.meta.base import MetaLearner
from tradewind.meta.embedding import drawing, embed_queries, embed_supports
from tradewind.meta.tasks import LossName, Task, accuracy, check_loss
from tradewind.nets.device import reproducible
from tradewind.nets.net_sharpe import NetSharpe
from tradewind.nets.xtrend import PositionHead, SequenceEncoder, XTrendDecoder, gaussian

__all__ = ["SPACES", "XTrend", "XTrendAnswers", "XTrendConfig"]

SPACES: Final[Space] = {
    "outer_lr": Real(1e-4, 1e-2, log=True),
    "width": Choice((16, 32, 64, 128)),
    "dropout": Real(0.0, 0.5),
}


@final
@dataclass(frozen=True)
class XTrendConfig:
    """`width` of all that is encoded, `heads` of attention, `dropout` of the answers while meta-training, `seed` of the first weights.

    `num_outputs` is how many classes there are, or how many numbers a label has. `sharpe_weight` (0: no positions) weighs minus the Sharpe
    ratio of the positions on the query, in its order, against the likelihood: labels are then returns, best scaled by volatility, and
    `cost` is what moving a position by 1 takes of them. Raises SettingsError.
    """

    num_outputs: int = 3
    width: int = 64
    heads: int = 4
    dropout: float = 0.1
    sharpe_weight: float = 0.0
    cost: float = 0.0
    outer_lr: float = 0.001
    clip: float = 10.0
    seed: int = 0
    loss: LossName = "cross_entropy"
    num_inner_steps: ClassVar[int] = 0
    """Nothing is stepped: any number of adaptation steps gives the same model."""

    def __post_init__(self) -> None:
        check_loss(self.loss)
        whole(num_outputs=self.num_outputs, width=self.width, heads=self.heads)
        whole(least=0, seed=self.seed)
        fraction(zero=True, dropout=self.dropout)
        number(outer_lr=self.outer_lr)
        number(positive=False, clip=self.clip, sharpe_weight=self.sharpe_weight, cost=self.cost)
        require(self.width % self.heads == 0, f"width {self.width} is not a multiple of heads {self.heads}")
        positions = self.loss == "mse" and self.num_outputs == 1
        require(positions or not self.sharpe_weight, "positions are of one return: sharpe_weight wants loss='mse', num_outputs=1")
        require(self.sharpe_weight > 0 or not self.cost, "cost is that of positions, and without a sharpe_weight there are none")


@final
class XTrend(MetaLearner):
    """Learns to look at past episodes. `model` is any net (sample, ...) -> (sample, width), or the number of inputs a step.

    For a number it makes an encoder of rows (sample, input) and sequences (sample, step, input). `ways`, for classes, takes the place
    of `num_outputs`.
    """

    name = "xtrend"

    def __init__(self, model: nn.Module | int, config: XTrendConfig | None = None, ways: int | None = None) -> None:
        config = config or XTrendConfig()
        classes = config.loss == "cross_entropy"
        self.outputs = ways if classes and ways is not None else config.num_outputs
        with reproducible(config.seed):
            net = model if isinstance(model, nn.Module) else SequenceEncoder(model, config.width, config.dropout)
            answered = self.outputs if classes else 2 * self.outputs
            decoder = XTrendDecoder(config.width, self.outputs, answered, config.heads, config.dropout)
            self.parts = nn.ModuleDict({"encoder": net, "decoder": decoder, "scale": _Scale()})
            if config.sharpe_weight:
                self.parts["position"] = PositionHead(config.width)
        self.parts.to(next(net.parameters(), torch.empty(0)).device)
        super().__init__(net, config, self.outputs if classes else None)

    def learned(self) -> nn.Module:
        return self.parts

    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        labels = [task["support_labels"] for task in tasks]
        if self.config.loss == "mse":
            cast(_Scale, self.parts["scale"]).learn(torch.cat([part.flatten() for part in labels]))
        context = [self._checked(part) for part in embed_supports(self.model, [task["support_data"] for task in tasks], learning=True)]
        encoded, absent = _padded(context)
        decoder = cast(XTrendDecoder, self.parts["decoder"]).eval()
        told = decoder.episodes(encoded, pad_sequence([self._described(part) for part in labels], batch_first=True), absent)
        with drawing(self.config.seed, self.iterations):
            asked = embed_queries(self.model, [task["query_data"] for task in tasks])
            raw = decoder.train()(_padded(asked)[0], encoded, told, absent)
        decoder.eval()
        parts = [row[: len(part)] for row, part in zip(raw, asked, strict=True)]
        answers = [task["query_labels"] for task in tasks]
        return self._classes(parts, answers) if self.config.loss == "cross_entropy" else self._numbers(parts, answers)

    @torch.no_grad()
    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        (context,) = embed_supports(self.model, [support_data])
        parts = copy.deepcopy(self.parts).eval()
        encoded = self._checked(context)[None]
        told = cast(XTrendDecoder, parts["decoder"]).episodes(encoded, self._described(support_labels)[None])
        return XTrendAnswers(parts, encoded, told, support_labels.shape[1:], self.config.loss)

    def _classes(self, logits: Sequence[Tensor], answers: Sequence[Tensor]) -> dict[str, float]:
        loss = torch.stack([functional.cross_entropy(part, answer) for part, answer in zip(logits, answers, strict=True)]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        hits = [accuracy(part, answer) for part, answer in zip(logits, answers, strict=True)]
        return {"meta_loss": float(loss.detach()), "accuracy": sum(hits) / len(hits)}

    def _numbers(self, raw: Sequence[Tensor], answers: Sequence[Tensor]) -> dict[str, float]:
        """In units of the scale all is learned; `meta_loss` is told in those of the labels."""
        scale = cast(_Scale, self.parts["scale"])
        gains = [self._described(answer) for answer in answers]
        forecasts = [gaussian(part) for part in raw]
        unlikely = [
            (torch.log(deviation) + 0.5 * ((gain - mean) / deviation).square()).mean()
            for (mean, deviation), gain in zip(forecasts, gains, strict=True)
        ]
        loss = torch.stack(unlikely).mean()
        squares = [(mean.detach() - gain).square().mean() for (mean, _), gain in zip(forecasts, gains, strict=True)]
        told = {"meta_loss": float(torch.stack(squares).mean() * scale.size() ** 2), "unlikelihood": float(loss.detach())}
        if self.config.sharpe_weight:
            minus = self._minus_sharpe(forecasts, gains)
            loss = loss + self.config.sharpe_weight * minus
            told["sharpe"] = -float(minus.detach())
        loss.backward()  # type: ignore[no-untyped-call]
        return told

    def _minus_sharpe(self, forecasts: Sequence[tuple[Tensor, Tensor]], gains: Sequence[Tensor]) -> Tensor:
        """(): minus the Sharpe ratio a decision over all tasks, each a block of one symbol."""
        objective, head = NetSharpe(), cast(PositionHead, self.parts["position"])
        cost = self.config.cost / cast(_Scale, self.parts["scale"]).size()
        sums = []
        for (mean, deviation), gain in zip(forecasts, gains, strict=True):
            steps = torch.stack([gain[:, 0], cost.expand(len(gain)), torch.ones_like(gain[:, 0])], dim=1)
            sums.append(objective.terms(head(mean, deviation)[None, None], steps[None, None], torch.ones_like(gain[0])))
        return objective.value(torch.stack(sums).sum(dim=0))

    def _described(self, labels: Tensor) -> Tensor:
        """(sample, outputs) of labels: classes as one-hot, numbers in units of the scale."""
        if self.config.loss == "cross_entropy":
            return functional.one_hot(labels, self.outputs).to(torch.get_default_dtype())
        flat = labels.reshape(len(labels), -1)
        require(flat.shape[1] == self.outputs, f"labels are {flat.shape[1]} numbers each, num_outputs is {self.outputs}")
        return flat / cast(_Scale, self.parts["scale"]).size()

    def _checked(self, encoded: Tensor) -> Tensor:
        width = self.config.width
        require(encoded.shape[1:] == (width,), f"the net encodes samples as {tuple(encoded.shape[1:])}, width is {width}; make them agree")
        return encoded


@final
class XTrendAnswers(nn.Module):
    """A net and the context of one task: (sample, ...) -> (sample, class) logits, or mean numbers of the shape of the labels."""

    context: Tensor
    told: Tensor

    def __init__(self, parts: nn.ModuleDict, context: Tensor, told: Tensor, shape: torch.Size, loss: LossName) -> None:
        super().__init__()
        self.parts, self.shape, self.loss = parts, shape, loss
        self.register_buffer("context", context)
        self.register_buffer("told", told)

    def forward(self, data: Tensor) -> Tensor:
        if self.loss == "cross_entropy":
            return self._raw(data)
        return self.distribution(data)[0]

    def distribution(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the answer to each of (sample, ...), of the shape of the labels. Raises SettingsError for classes."""
        require(self.loss == "mse", "classes have logits and no deviation; call the model itself")
        mean, deviation = gaussian(self._raw(data))
        size = cast(_Scale, self.parts["scale"]).size()
        return (mean * size).reshape(-1, *self.shape), (deviation * size).reshape(-1, *self.shape)

    def positions(self, data: Tensor) -> Tensor:
        """(sample,) the positions to hold, in (-1, 1). Raises SettingsError of a learner without a `sharpe_weight`."""
        require("position" in self.parts, "this learner takes no positions; give it a sharpe_weight")
        return cast(Tensor, self.parts["position"](*gaussian(self._raw(data))))

    def attention(self, data: Tensor) -> Tensor:
        """(sample, context): how much each sample of the context was looked at; each row sums to one."""
        decoder = cast(XTrendDecoder, self.parts["decoder"])
        return cast(Tensor, decoder.across(self.parts["encoder"](data)[None], self.context, self.told)[1][0])

    def _raw(self, data: Tensor) -> Tensor:
        return cast(Tensor, self.parts["decoder"](self.parts["encoder"](data)[None], self.context, self.told)[0])


@final
class _Scale(nn.Module):
    """How large labels are, as the root mean square of the first that were learned from; 1 until then."""

    known: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("known", torch.zeros(()))

    def learn(self, labels: Tensor) -> None:
        if not bool(self.known):
            self.known.copy_(labels.square().mean().sqrt())

    def size(self) -> Tensor:
        return torch.where(self.known > 0, self.known, torch.ones_like(self.known))


def _padded(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """(task, longest, width), and (task, longest) which rows are padding; None where none is."""
    lengths = torch.tensor([len(part) for part in parts])
    padded = pad_sequence(list(parts), batch_first=True)
    if int(lengths.min()) == int(lengths.max()):
        return padded, None
    return padded, (torch.arange(int(lengths.max())) >= lengths[:, None]).to(padded.device)
