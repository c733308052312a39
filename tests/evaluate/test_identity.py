from __future__ import annotations

import numpy as np

import tradewind as tw
from tradewind.evaluate.identity import digest, identify, package_digest

from .small import Learner, Mine


def test_made_by_name_is_known_by_name_and_settings() -> None:
    one, same, other = (identify(tw.strategy("momentum", lookback=k)) for k in (5, 5, 6))
    assert one == same != other and one["name"] == "momentum" and one["settings"]["lookback"] == 5
    assert "code" not in one


def test_an_own_class_is_known_by_its_code_and_all_its_attributes() -> None:
    assert identify(Mine()) == identify(Mine()) and identify(Mine())["name"].endswith("Mine")
    assert identify(Learner(lookback=3)) != identify(Learner(lookback=4))
    hidden, other = Mine(), Mine()
    other._threshold = 0.5  # type: ignore[attr-defined]
    assert digest(identify(hidden)) != digest(identify(other))


def test_arrays_count_by_their_bytes() -> None:
    one, same, other = Mine(), Mine(), Mine()
    one.weights, same.weights, other.weights = np.arange(5.0), np.arange(5.0), np.arange(5.0) + 1e-16  # type: ignore[attr-defined]
    other.weights[0] = 5e-324  # type: ignore[attr-defined]
    assert identify(one) == identify(same) != identify(other)


def test_two_classes_with_other_code_differ() -> None:
    # Classes made at a prompt have no source; their compiled methods tell them apart.
    made = [type("Typed", (), {"warmup": 1, "decide": method}) for method in (lambda self, view: view.now, lambda self, view: -view.now)]
    one, two = (identify(each()) for each in made)
    assert one["code"] != two["code"]


def test_cycles_and_strange_attributes_have_an_end() -> None:
    mine = Mine()
    mine.me, mine.odd = mine, {1, 2}  # type: ignore[attr-defined]
    mine.nan, mine.made = float("nan"), print  # type: ignore[attr-defined]
    assert digest(identify(mine)) == digest(identify(mine))


def test_the_package_has_one_digest() -> None:
    assert package_digest() == package_digest() and len(package_digest()) == 64
