"""Nets and half-finished trainings as plain data, and back: arrays and numbers, nothing that could run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tradewind.core.errors import StateError
from tradewind.core.types import State

__all__ = ["load_net", "load_optimiser", "net_state", "optimiser_state", "pack", "unpack", "weights"]


def net_state(net: nn.Module) -> State:
    """The weights of a net, one array a name."""
    return weights(net.state_dict())


def weights(tensors: Mapping[str, Tensor]) -> State:
    """The weights of a net that are held apart from it, one array a name."""
    return State({}, _arrays(tensors))


def load_net(net: nn.Module, state: State) -> None:
    """Put weights back into a net of the same build. Raises StateError, naming the first weight that does not fit."""
    wanted = net.state_dict()
    for name in sorted(wanted.keys() | state.arrays.keys()):
        have = state.arrays[name].shape if name in state.arrays else None
        need = tuple(wanted[name].shape) if name in wanted else None
        if have != need:
            raise StateError(f"the saved net does not fit this one: weight {name!r} has shape {have}, expected {need}")
    net.load_state_dict(_tensors(state.arrays))


def optimiser_state(optimiser: torch.optim.Optimizer) -> State:
    """The moments of an optimiser, one array each, by the number of its parameter; its settings are its maker's to keep."""
    moments = optimiser.state_dict()["state"].items()
    return State({}, {f"{number}/{name}": array for number, kept in moments for name, array in _arrays(kept).items()})


def load_optimiser(optimiser: torch.optim.Optimizer, state: State) -> None:
    """Put moments back into an optimiser of the same parameters. Raises StateError when they are of others."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _tensors(state.arrays).items():
        number, _, name = key.partition("/")
        moments.setdefault(int(number), {})[name] = tensor
    fits = all(
        number < len(parameters) and all(tensor.dim() == 0 or tensor.shape == parameters[number].shape for tensor in kept.values())
        for number, kept in moments.items()
    )
    if not fits:
        raise StateError("the saved optimiser is of other weights than these; start without resume")
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})


def pack(
    net: nn.Module, optimiser: torch.optim.Optimizer, kept: Mapping[str, Tensor], order: torch.Generator, values: Mapping[str, Any]
) -> State:
    """A training between two epochs: weights, the kept weights, the optimiser's moments, and where the random streams stand."""
    arrays = {f"kept/{name}": array for name, array in _arrays(kept).items()}
    arrays |= {f"net/{name}": array for name, array in _arrays(net.state_dict()).items()}
    arrays |= {f"optimiser/{name}": array for name, array in optimiser_state(optimiser).arrays.items()}
    arrays["random/order"] = order.get_state().numpy()
    arrays["random/cpu"] = torch.get_rng_state().numpy()
    if next(net.parameters()).is_cuda:
        arrays["random/cuda"] = torch.cuda.get_rng_state().numpy()
    return State(dict(values), arrays)


def unpack(
    state: State, net: nn.Module, optimiser: torch.optim.Optimizer, order: torch.Generator
) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Put a training back where `pack` found it; the kept weights and the values. Raises StateError when it is of another net."""
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in state.arrays.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = array
    if not {"net", "kept", "optimiser", "random"} <= parts.keys() or not {"kept", "history"} <= state.values.keys():
        raise StateError("this state is no training between two epochs; start without resume")
    load_net(net, State({}, parts["net"]))
    load_optimiser(optimiser, State({}, parts["optimiser"]))
    order.set_state(torch.from_numpy(parts["random"]["order"].copy()))
    torch.set_rng_state(torch.from_numpy(parts["random"]["cpu"].copy()))
    if "cuda" in parts["random"] and next(net.parameters()).is_cuda:
        torch.cuda.set_rng_state(torch.from_numpy(parts["random"]["cuda"].copy()))
    device = next(net.parameters()).device
    return {name: tensor.to(device) for name, tensor in _tensors(parts["kept"]).items()}, state.values


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: np.array(tensor.detach().cpu().numpy()) for name, tensor in tensors.items()}


def _tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
