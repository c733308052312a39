"""Errors: the tree drawn in the docstring is the tree there is."""

from __future__ import annotations

import re

import pytest

from tradewind.core import errors


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = re.findall(r"^(│   )?[├└]── (\w+)(?: \((\w+)\))?", errors.__doc__ or "", re.MULTILINE)
    above = "TradewindError"
    for inner, name, builtin in drawn:
        kind = getattr(errors, name)
        assert issubclass(kind, getattr(errors, above if inner else "TradewindError"))
        if builtin:
            assert issubclass(kind, __builtins__[builtin] if isinstance(__builtins__, dict) else getattr(__builtins__, builtin))
        above = above if inner else name
    assert {name for _, name, _ in drawn} | {"TradewindError"} == set(errors.__all__)


def test_errors_carry_what_they_promise() -> None:
    failed = errors.CheckFailed("prefix", "sees bar 4", 3)
    assert (failed.check, failed.bar, str(failed)) == ("prefix", 3, "prefix: sees bar 4")
    missing = errors.MissingExtra("ccxt", "exchange")
    assert str(missing) == "ccxt is not installed; run: pip install 'tradewind[exchange]'"
    assert (missing.package, missing.extra) == ("ccxt", "exchange")
    assert errors.QualityError("bad", report={"gaps": 1}).report == {"gaps": 1}
    with pytest.raises(errors.TradewindError):
        raise errors.Corrupt("a.parquet: page 3")
