from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tradewind.core.files import canonical_json
from tradewind.strategies.plain import from_state, to_state

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | arrays.arrays(np.float64, st.integers(0, 3))
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.just("$"), inner, max_size=3)
    ),
    max_leaves=8,
)


def alike(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), TREES, max_size=4))
def test_any_plain_data_comes_back_as_it_was(attributes: dict[str, object]) -> None:
    state = to_state("Any", attributes)
    canonical_json(state.values)
    assert alike(from_state("Any", state), attributes)


def test_numbers_that_json_has_no_word_for() -> None:
    back = from_state(
        "Any", to_state("Any", {"x": float("nan"), "y": -np.inf, "z": np.float64(2.5), "n": np.int64(3), "b": np.bool_(True)})
    )
    assert np.isnan(back["x"])
    assert (back["y"], back["z"], back["n"], back["b"]) == (-np.inf, 2.5, 3, True)
