"""How checks run and report: results come one at a time, a raised exception is a finding, answers compare with care."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.checks.examination import Broken, Check, Passed, demand, examine, first_difference, same, spread
from tradewind.core.errors import CheckFailed, DataError


def fine(subject: list[str]) -> None:
    """It is fine."""
    subject.append("fine")


def broken_promise(subject: list[str]) -> None:
    """It is not."""
    demand(False, "it broke; mend it", 4)


def stumbles(subject: list[str]) -> None:
    """It stumbles."""
    raise IndexError("out of range")


def refuses(subject: list[str]) -> None:
    """It refuses."""
    raise DataError("no bars; give some")


def does_not_apply(subject: list[str]) -> None:
    """It is something else."""
    raise Passed("it is a benchmark")


def test_results_tell_what_was_found() -> None:
    results = list(examine([Check(f) for f in (broken_promise, fine, stumbles, refuses, does_not_apply)], []))
    assert [r.check for r in results] == ["broken-promise", "fine", "stumbles", "refuses", "does-not-apply"]
    assert [r.passed for r in results] == [False, True, False, False, True]
    assert (results[0].message, results[0].bar) == ("it broke; mend it", 4)
    assert results[2].message.startswith("raised IndexError: out of range at test_examination.py:")
    assert "must answer NaN" in results[2].message
    assert "must answer NaN" not in results[3].message
    assert results[4].note == "it is a benchmark"
    with pytest.raises(CheckFailed, match="broken-promise: it broke; mend it") as error:
        results[0].raise_if_failed()
    assert error.value.bar == 4
    results[1].raise_if_failed()


def test_results_come_one_at_a_time() -> None:
    subject: list[str] = []
    results = examine([Check(fine), Check(fine)], subject)
    assert subject == []
    next(results)
    assert subject == ["fine"]


def test_a_check_is_named_and_promises_in_one_line() -> None:
    assert (Check(broken_promise).name, Check(broken_promise).promise) == ("broken-promise", "It is not.")


def test_answers_compare_with_nan_infinity_and_last_bits() -> None:
    a = np.array([np.nan, 1.0, 1.0, np.inf, 0.0, 1e6, np.nan, -np.inf])
    b = np.array([np.nan, 1.0 + 1e-12, 1.001, np.inf, 1e-8, 1e6 + 1e-5, 1.0, np.inf])
    assert same(a, b).tolist() == [True, True, False, True, False, True, False, False]
    assert first_difference(a, b) == (2,)
    assert first_difference(a, a) is None


def test_cuts_are_spread_and_hold_those_that_matter() -> None:
    cuts = spread(1, 400, 128, (0, 7, 399, 400))
    assert len(cuts) >= 128
    assert cuts == sorted(set(cuts))
    assert {1, 7, 399} <= set(cuts)
    assert not {0, 400} & set(cuts)
    assert spread(1, 5, 128) == [1, 2, 3, 4]


def test_broken_carries_its_bar() -> None:
    assert Broken("x", 3).bar == 3
