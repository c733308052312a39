"""The trading environment in torch operations alone, on any device: what `TradingVectorEnv(device="cuda")` steps with.

The same numbers as the compiled one's, operation by operation: accounts in float64, observations in float32, the same random starts. Every
branch is a `torch.where`, nothing is fetched to the host, and what a step returns stays on the device, as in Makoviychuk et al. 2021,
"Isaac Gym", https://arxiv.org/abs/2108.10470. Costs some 170 small operations a step whatever the number of lanes, which is why it
is slower than the compiled one on a CPU, and wants many lanes on a GPU. Fails to agree to the last bits where a device's logarithm does.
"""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tradewind.core.errors import DataError
from tradewind.core.types import State
from tradewind.rl import kernels as k
from tradewind.rl.actions import SLACK
from tradewind.rl.arena import Arena
from tradewind.rl.backend import Backend, CompiledBackend, Step
from tradewind.rl.rewards import RUIN, Lived, Reward, RewardFunction
from tradewind.simulate.kernels import BAR_CLOSE, BAR_FUNDING, BAR_MARK, BAR_OPEN, BAR_SLIP, FEE, LEAST, LEVERAGE

__all__ = ["DeviceBackend", "draw_below", "live_one_bar"]

LOOKED_AT: Final = 256
"""On a GPU impossible actions are asked for after so many steps at the latest: to ask at each would make the host wait for each."""

# SplitMix64, as in `rl.kernels`: int64 wraps around as uint64 does, with the same bits.
_GOLDEN: Final = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST: Final = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND: Final = 0x94D049BB133111EB - (1 << 64)
_TO_UNIT: Final = 2.0**-53


@final
class DeviceBackend(Backend):
    """All lanes of one arena as tensors on `device`; its `state` is that of the compiled backend, and each restores the other's."""

    def __init__(self, arena: Arena, lanes: int, device: torch.device) -> None:
        super().__init__(arena, lanes)
        self.device = device
        self._bars = self._put(arena.bars).flatten(0, 1)
        self._inputs = self._put(arena.inputs).flatten(0, 1)
        self._bars_each = int(arena.bars.shape[1])
        self._lags = torch.arange(1 - arena.window, 1, device=device)
        self._levels, self._logs, self._sees = map(self._put, (arena.actions.levels, arena.logs, arena.sees))
        e = arena.episodes
        self._stretches, self._drawn, self._groups, self._cells, self._starts = map(
            self._put, (e.stretches, e.drawn, e.groups, e.cells, e.starts)
        )
        self._numbers = torch.arange(lanes, device=device)
        self._rates = self._put(arena.rates)
        self._newcomers = self._put(_newcomers(arena))
        self._patience = 1 if device.type == "cpu" else LOOKED_AT
        self._places: Tensor
        self._accounts: Tensor
        self._queue: Tensor
        # Beginnings are rare, so the host makes them.
        self._host = CompiledBackend(arena, lanes, tensors=False)
        self._take(self._host.state())

    def seed(self, seed: int) -> None:
        self._host.restore(self.state())
        self._host.seed(seed)
        self._take(self._host.state())

    def begin(self, places: NDArray[np.int64] | None = None) -> None:
        self._host.restore(self.state())
        self._host.begin(places)
        self._take(self._host.state())

    def observe(self) -> Tensor:
        rows = self._rows()
        if self.arena.window == 1:
            told = self._inputs.index_select(0, rows)
        else:
            told = self._inputs[rows[:, None] + self._lags].flatten(1)
        return torch.cat([told, self._accounts.index_select(0, self._sees).T.float()], dim=1)

    def step(self, actions: Any) -> Step:
        due = self._heed(actions)
        self._places[k.BAR] += 1
        rows, before = self._rows(), self._accounts
        now = self._bars.index_select(0, rows)
        cash, held, equity, traded = live_one_bar(now, due, self._rates, before[k.CASH], before[k.HELD])
        after, rewards, net, fall = self._judge(before, cash, held, equity, now[:, BAR_CLOSE])
        hold = now[:, k.CHANGE]
        if not isinstance(self.arena.reward, Reward):
            lived = Lived(before[k.EQUITY], equity, before[k.POSITION], after[k.POSITION], traded, hold, fall)
            rewards = self._ask(self.arena.reward, lived)
        self._accounts = after
        terminated = ~(equity > 0.0)
        truncated = (self._places[k.BAR] >= self._places[k.LAST]) & ~terminated
        ended = terminated | truncated
        infos = {"equity": equity, "position": after[k.POSITION], "net_return": net, "hold_return": hold}
        infos |= {"final_obs": self.observe(), "_final_obs": ended}
        self._renew(ended)
        return self.observe(), rewards, terminated, truncated, infos

    def where(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        self._complain()
        places = self._places.cpu().numpy()
        return places[k.SYMBOL].copy(), places[k.BAR].copy()

    def state(self) -> State:
        self._complain()
        tensors = {"places": self._places, "accounts": self._accounts, "queue": self._queue, "streams": self._streams}
        arrays = {name: np.array(tensor.cpu().numpy()) for name, tensor in tensors.items()}
        arrays["streams"] = arrays["streams"].view(np.uint64)
        return State(self._host.state().values, {**arrays, "taken": np.array([self._taken])})

    def restore(self, state: State) -> None:
        self._host.restore(state)
        self._take(state)

    # -- inside ----------------------------------------------------------------------------------------------------------
    def _put(self, array: NDArray[Any]) -> Tensor:
        return torch.tensor(array, device=self.device)

    def _take(self, state: State) -> None:
        names = ("places", "accounts", "queue")
        self._places, self._accounts, self._queue = (self._put(state.arrays[name]) for name in names)
        self._streams = self._put(state.arrays["streams"].view(np.int64))
        self._taken = int(state.arrays["taken"][0])
        self._wrong = torch.zeros(self.lanes, dtype=torch.bool, device=self.device)
        self._refused = torch.zeros(self.lanes, dtype=torch.float64, device=self.device)

    def _rows(self) -> Tensor:
        return self._places[k.SYMBOL] * self._bars_each + self._places[k.BAR]

    def _heed(self, actions: Any) -> Tensor:
        """(lane,) what is due at the next open, when `actions` are taken now."""
        wanted, given = self.arena.actions, torch.as_tensor(actions, device=self.device)
        kind = "f" if given.is_floating_point() else "i" if given.dtype not in (torch.bool, *_COMPLEX) else "b"
        wanted.expect(tuple(given.shape), kind, str(given.dtype), self.lanes)
        given = given.reshape(self.lanes)
        if wanted.discrete:
            least, most, slack = 0.0, len(self._levels) - 1.0, 0.0
            target: Tensor = self._levels.index_select(0, given.long().clamp(0, len(self._levels) - 1))
        else:
            least, most, slack = wanted.low, wanted.high, SLACK
            target = given.double().clamp(least, most)
        new = ~((given >= least - slack) & (given <= most + slack)) & ~self._wrong
        self._refused = torch.where(new, given.double(), self._refused)
        self._wrong = self._wrong | new
        if self._taken % self._patience == 0:
            self._complain()
        slot = self._taken % max(1, len(self._queue))
        self._taken += 1
        if not len(self._queue):
            return target
        due: Tensor = self._queue[slot].clone()
        self._queue[slot] = target
        return due

    def _complain(self) -> None:
        if bool(self._wrong.any()):
            lane, given = int(self._wrong.int().argmax()), self._refused.cpu().numpy()
            self._wrong = torch.zeros_like(self._wrong)
            told = given.astype(np.int64) if self.arena.actions.discrete else given
            raise self.arena.actions.refuse(told, lane)

    def _judge(self, before: Tensor, cash: Tensor, held: Tensor, equity: Tensor, close: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The accounts after the bar, what it paid, its net return, and the drawdown: `rl.kernels.judge`."""
        solvent, old = equity > 0.0, before[k.EQUITY]
        position = torch.where(solvent, held * close / equity, 0.0)
        ratio = equity / old
        net, rewards = ratio - 1.0, torch.log(ratio.clamp(min=RUIN))
        worth = before[k.WORTH] + rewards
        peak = torch.maximum(before[k.PEAK], equity)
        fall = 1.0 - equity / peak
        mean, square = before[k.MEAN], before[k.SQUARE]
        kind, setting = (self.arena.reward.kind, self.arena.reward.setting) if isinstance(self.arena.reward, Reward) else (0, 0.0)
        if kind == k.DIFFERENTIAL:
            rewards, mean, square = _differential(mean, square, net, setting)
        elif kind == k.FALL:
            rewards = rewards - setting * (fall - (1.0 - old / before[k.PEAK])).clamp(min=0.0)
        elif kind == k.INVENTORY:
            rewards = rewards - setting * position * position
        same = torch.sign(position) == torch.sign(before[k.POSITION])
        since = torch.where(same, before[k.SINCE] + 1.0, 0.0)
        share = torch.where(solvent, 1.0 - position, 0.0)
        told = {
            k.CASH: cash, k.HELD: held, k.EQUITY: equity, k.PEAK: peak, k.SINCE: since, k.MEAN: mean, k.SQUARE: square,
            k.POSITION: position, k.SHARE: share, k.WORTH: worth, k.CALM: self._logs.index_select(0, since.long()),
        }  # fmt: skip
        return torch.stack([told[row] for row in range(k.ACCOUNTS)]), rewards, net, fall

    def _ask(self, function: RewardFunction, lived: Lived[Tensor]) -> Tensor:
        answer = function(lived)
        name = getattr(function, "__name__", type(function).__name__)
        if not isinstance(answer, Tensor) or answer.shape != (self.lanes,) or answer.dtype in (torch.bool, *_COMPLEX):
            found = f"{answer.dtype} {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
            raise DataError(
                f"reward function {name} returned {found}; on a device it gets tensors and returns one of shape ({self.lanes},)"
            )
        return answer.to(device=self.device, dtype=torch.float64)

    def _renew(self, ended: Tensor) -> None:
        """Where an episode ended: the next start, a new account, and nothing waiting to be filled."""
        places, streams = self._draw()
        self._places = torch.where(ended, places, self._places)
        self._streams = torch.where(ended, streams, self._streams)
        fresh = self._newcomers.index_select(1, self._places[k.SYMBOL])
        self._accounts = torch.where(ended, fresh, self._accounts)
        if len(self._queue):
            self._queue = torch.where(ended, torch.nan, self._queue)

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Where every lane would begin its next episode, (4, lane), and its stream after that."""
        turn, length = self._places[k.TURN], self.arena.episodes.length
        if not length:
            chosen = self._stretches.index_select(0, (self._numbers + turn * self.lanes) % len(self._stretches)).T
            return torch.cat([chosen, (turn + 1)[None]]), self._streams
        streams, which = draw_below(self._streams, len(self._drawn))
        first, stop = self._groups[which], self._groups[which + 1]
        streams, cell = draw_below(streams, stop - first)
        cell = first + cell
        first, stop = self._cells[cell], self._cells[cell + 1]
        streams, number = draw_below(streams, stop - first)
        start = self._starts[first + number]
        return torch.stack([self._drawn[which], start, start + length, turn]), streams


_COMPLEX: Final = (torch.complex32, torch.complex64, torch.complex128)


def live_one_bar(now: Tensor, due: Tensor, rates: Tensor, purses: Tensor, helds: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Let every account (lane,) live through one bar: `now` (lane, 5 or more).

    `due` (lane,) is the target filled at the open, NaN keeps; `rates` are those of the costs. Returns cash, quantity, equity at the close,
    and what was traded over the equity before it, all (lane,) float64; equal to what `simulate.kernels.live_one_bar` writes.
    """
    price, close = now[:, BAR_OPEN], now[:, BAR_CLOSE]
    purses = purses - helds * now[:, BAR_MARK] * now[:, BAR_FUNDING]
    value = helds * price
    before = purses + value
    alive = before > 0.0
    size = due.abs()
    target = torch.where(size > rates[LEVERAGE], due * (rates[LEVERAGE] / size), due)
    notional = (target * before - value).abs()
    # NaN, the target that keeps, compares as false.
    fills = alive & (notional >= rates[LEAST] * before) & (notional > 0.0)
    filled = (purses + (value - target * before)) - notional * (rates[FEE] + now[:, BAR_SLIP])
    purses = torch.where(fills, filled, torch.where(alive, purses, before))
    helds = torch.where(fills, before * (target / price), torch.where(alive, helds, 0.0))
    worth = purses + helds * close
    solvent = worth > 0.0
    traded = torch.where(fills, notional / before, 0.0)
    return torch.where(solvent, purses, worth), torch.where(solvent, helds, 0.0), worth, traded


def _newcomers(arena: Arena) -> NDArray[np.float64]:
    """(ACCOUNTS, symbol): a new account, by the symbol that it is to trade."""
    fresh = np.zeros((k.ACCOUNTS, len(arena.squares)))
    fresh[[k.CASH, k.EQUITY, k.PEAK]], fresh[k.SHARE], fresh[k.SQUARE] = arena.capital, 1.0, arena.squares
    return fresh


def draw_below(streams: Tensor, n: int | Tensor) -> tuple[Tensor, Tensor]:
    """SplitMix64 streams (lane,) int64 one step on, and whole numbers (lane,) from 0 to n - 1 by them, as `rl.kernels` draws them."""
    streams = streams + _GOLDEN
    mixed = (streams ^ _right(streams, 30)) * _FIRST
    mixed = (mixed ^ _right(mixed, 27)) * _SECOND
    mixed = mixed ^ _right(mixed, 31)
    return streams, (_right(mixed, 11).double() * _TO_UNIT * n).long()


def _right(bits: Tensor, by: int) -> Tensor:
    """Shifted right as an unsigned number is."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _differential(mean: Tensor, square: Tensor, net: Tensor, rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """The differential Sharpe ratio of one more return, and its two moments after it."""
    up, wider, variance = net - mean, net * net - square, square - mean * mean
    told = torch.where(variance > 1e-12 * square, (square * up - 0.5 * mean * wider) / (variance * torch.sqrt(variance)), 0.0)
    return told, mean + rate * up, square + rate * wider
