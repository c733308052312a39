"""Attributes as data: what `Strategy.state()` saves when a class does not say it itself, and how any object is told in words.

Numbers, strings, None, lists, tuples, dicts and numpy arrays become a `State`, in any nesting; anything else is refused by name,
because a state is read back without running code. `outline` describes whatever there is, for the ledger; nothing is made from that again.
Costs one pass over the attributes; fails, loudly, on objects of other classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.files import sha256
from tradewind.core.types import State

__all__ = ["MARK", "from_state", "outline", "to_state"]

MARK: Final = "_registered"
"""The attribute in which an object that was made by name remembers its name and settings; deep copies keep it."""

_TAG: Final = "$"
"""Key that marks what JSON has no form for: arrays, tuples, non-finite floats and dicts with other keys than strings."""


def to_state(owner: str, attributes: Mapping[str, Any]) -> State:
    """The attributes of an object of class `owner` as a State. Raises StateError naming the first that is not plain data."""
    arrays: dict[str, NDArray[Any]] = {}
    values = {name: _encode(value, f"{owner}.{name}", name, arrays) for name, value in attributes.items()}
    return State({"class": owner, "attributes": values}, arrays)


def from_state(owner: str, state: State) -> dict[str, Any]:
    """The attributes that `to_state` saved. Raises StateError when the state is of another class or form."""
    saved = state.values.get("class")
    if saved != owner:
        raise StateError(f"this state is of {saved!r}, not of {owner!r}; restore it into an object of the class that saved it")
    attributes = state.values.get("attributes")
    if not isinstance(attributes, Mapping):
        raise StateError(f"the state of {owner} has no attributes; it was not written by state()")
    return {name: _decode(value, state.arrays) for name, value in attributes.items()}


def _encode(value: Any, where: str, key: str, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_TAG: "float", "text": str(value)}
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays[key] = value.copy()
        return {_TAG: "array", "at": key}
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{where}[{i}]", f"{key}.{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {_TAG: "tuple", "items": items}
    if isinstance(value, dict):
        pairs = [(_encode(k, where, "", {}), _encode(v, f"{where}[{k!r}]", f"{key}.{i}", arrays)) for i, (k, v) in enumerate(value.items())]
        simple = all(isinstance(name, str) and name != _TAG for name in value)
        return dict(pairs) if simple else {_TAG: "dict", "items": [list(pair) for pair in pairs]}
    raise StateError(
        f"{where} is a {type(value).__name__}, which is not plain data; implement state() and restore(), "
        "or begin the attribute's name with an underscore when it is only a cache that can be lost"
    )


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    match value.get(_TAG):
        case None:
            return {name: _decode(item, arrays) for name, item in value.items()}
        case "float":
            return float(value["text"])
        case "tuple":
            return tuple(_decode(item, arrays) for item in value["items"])
        case "dict":
            return {_decode(name, arrays): _decode(item, arrays) for name, item in value["items"]}
        case "array" if value["at"] in arrays:
            return arrays[value["at"]].copy()
        case kind:
            raise StateError(
                f"the state holds {kind!r} at {value.get('at')!r}, which cannot be read; it was cut or written by something else"
            )


def outline(value: Any, depth: int = 8) -> Any:
    """`value` in JSON's words, for reports, manifests and ledgers; it cannot be made again from them, but equal values give equal words.

    Arrays become shape and sha256, objects made by name their name and settings, other objects their class and all their attributes,
    `depth` levels down.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": list(value.shape), "sha256": sha256(np.ascontiguousarray(value).tobytes())}
    named = value if hasattr(value, "__qualname__") else type(value)
    place = f"{named.__module__}.{named.__qualname__}"
    if depth == 0:
        return place
    if isinstance(value, Mapping):
        return {str(key): outline(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [outline(item, depth - 1) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((outline(item, depth - 1) for item in value), key=repr)
    if hasattr(value, MARK):
        return dict(zip(("strategy", "settings"), getattr(value, MARK), strict=True))
    return {"class": place, **({} if named is value else {"attributes": outline(getattr(value, "__dict__", {}), depth - 1)})}
