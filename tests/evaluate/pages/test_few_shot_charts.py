"""The page of a few-shot benchmark: all that was measured is drawn and told, also what came back from JSON, and nothing is fetched."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from tradewind.core.errors import DataError
from tradewind.evaluate.pages.few_shot_charts import render, write


def told(mean: float | None, width: float = 0.02) -> dict[str, Any]:
    return {"mean": mean, "std": 0.0, "interval": [None, None] if mean is None else [mean - width, mean + width]}


def results(cells: tuple[str, ...] = ("10shot_3way_5adapt", "1shot_3way_5adapt")) -> dict[str, Any]:
    models = {"maml": 0.41, "base rate": 0.36, "<mine>": 0.52}
    return {
        "config": {"confidence": 0.9},
        "task_type": "price_direction",
        "ways": 3,
        "episodes": 500,
        "blocks": 49,
        "blocked_by_time": True,
        "left_out": {"20": "too few"},
        "individual_results": {
            name: {
                "aggregated_results": {
                    cell: {"accuracy": told(mean), "net_return": told(0.001, 5e-4), "hit_rate": told(None)} for cell in cells
                }
            }
            for name, mean in models.items()
        },
    }


SIGNIFICANCE = {
    "test": "a test",
    "metric": "accuracy",
    "level": 0.1,
    "comparisons": [
        {
            "cell": "1shot_3way_5adapt",
            "first": "maml",
            "second": "base rate",
            "difference": 0.05,
            "p_holm": 0.01,
            "blocks": 49,
            "better": "maml",
        },
        {
            "cell": "1shot_3way_5adapt",
            "first": "<mine>",
            "second": "base rate",
            "difference": 0.1,
            "p_holm": math.nan,
            "blocks": 2,
            "better": None,
        },
    ],
}


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_head_tells_what_was_asked_and_who_is_ahead() -> None:
    page = words(render(results(), "Few <shots>", SIGNIFICANCE))
    assert "Few &lt;shots&gt;" in page
    assert "price direction: 500 episodes, 49 blocks of time; intervals at 90%. 20 shots: too few" in page
    assert "Somewhere ahead of base rate: maml." in page and "2 comparisons, a test; level 0.10." in page


def test_every_model_stands_in_every_panel_with_its_interval() -> None:
    page = render(results(), "x")
    assert page.count("<circle") == 2 * 2 * 3  # metrics, cells, models
    assert page.count("<title>maml: 41.0 % (39.0 % to 43.0 %)</title>") == 2
    assert "&lt;mine&gt;: 10.0 bp (5.0 bp to 15.0 bp)" in page and "<mine>" not in page
    assert page.index("1 shot, 5 steps") < page.index("10 shots, 5 steps")


def test_lines_are_drawn_where_there_is_more_than_one_number() -> None:
    by_shots, alone = render(results(), "x"), render(results(("1shot_3way_5adapt",)), "x")
    assert "Accuracy by shots, 5 steps" in by_shots and "by steps" not in by_shots
    assert "Accuracy by shots" not in alone
    assert "Accuracy by steps, 1 shots" in render(results(("1shot_3way_1adapt", "1shot_3way_5adapt")), "x")


def test_what_is_no_number_is_a_dash() -> None:
    assert "<td>–</td>" in render(results(), "x")


def test_differences_beyond_chance_have_a_row_and_others_none() -> None:
    page = words(render(results(), "x", SIGNIFICANCE))
    assert "1 shot, 5 steps maml base rate 5.0 % 0.010 49 maml" in page
    assert page.count("0.010") == 1
    nobody = {**SIGNIFICANCE, "comparisons": [{**SIGNIFICANCE["comparisons"][1]}]}  # type: ignore[index]
    assert "Nobody is ahead of base rate." in words(render(results(), "x", nobody))
    assert "Differences beyond chance" not in render(results(), "x", nobody)


def test_the_page_is_one_file_that_fetches_nothing(tmp_path: Path) -> None:
    page = write(results(), tmp_path / "page.html", significance=SIGNIFICANCE).read_text()
    assert not re.search(r"(src|href)=|@import|url\(|<script", page)


def test_no_results_are_refused() -> None:
    with pytest.raises(DataError, match="run the benchmark first"):
        render({"individual_results": {}}, "x")
