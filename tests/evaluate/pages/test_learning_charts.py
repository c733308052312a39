"""The page of a learning curve: what is said at its head, what is drawn, and that it needs nothing from elsewhere."""

from __future__ import annotations

import math
import re
from pathlib import Path

from tests.rl.environments import Walk
from tests.rl.learners import Linear, LinearConfig

from tradewind.evaluate.pages.learning_charts import render, write
from tradewind.rl.curve import Progress
from tradewind.rl.evaluation import Evaluation
from tradewind.rl.learning import Learning

JUDGED = Evaluation((1.0, 3.0), (5, 6), 2.0, math.sqrt(2.0), {"sharpe": 1.25, "hold_sharpe": -0.5})
WORSE = Evaluation((0.0, 1.0), (5, 6), 0.5, math.sqrt(0.5), {"sharpe": 0.25, "hold_sharpe": -0.5})
HISTORY = (
    Progress(1_000, 3_000, 1.0, 900.0, 4, 0.1, {"policy_loss": 0.5, "entropy": 1.0}),
    Progress(2_000, 3_000, 2.0, 1_100.0, 9, None, {"policy_loss": 0.4, "entropy": 0.9}, JUDGED),
    Progress(3_000, 3_000, 3.0, 1_000.0, 12, 0.3, {"policy_loss": 0.3, "entropy": 0.8}, WORSE),
)
LEARNING = Learning(HISTORY, 2_000, JUDGED, 3_000, 12, 3.0)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_head_says_which_weights_were_kept_and_why() -> None:
    told = words(render(LEARNING, "PPO <learns>", {"seed": 3}))
    assert "PPO &lt;learns&gt;" in told
    assert "The weights are those after step 2,000." in told
    assert "They earned 2 (± 1, 2 episodes) an episode, the most of 2 evaluations. Sharpe 1.25 a year, beside −0.50 of holding." in told
    assert "3,000 steps, 12 episodes, 3 s; 1,000 steps a second while learning" in told
    assert "seed 3" in told


def test_every_number_is_drawn() -> None:
    page = render(LEARNING, "PPO", {})
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Evaluation", "Sharpe ratio beside hold", "Return while learning", "Inside"]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == ["policy loss", "entropy", "steps a second"]
    assert page.count("kept: 2,000") == 2
    for name in ("hold", "agent", "mean return", "one standard error"):
        assert f"</svg>{name}</li>" in page


def test_the_kept_step_is_marked_where_it_is() -> None:
    page = render(LEARNING, "PPO", {})
    marked = [float(at) for at in re.findall(r'class="across" x1="([\d.]+)" x2="\1"', page)]
    # The evaluations go from step 2,000 to 3,000: the mark stands at the left edge.
    assert marked == [58.0, 58.0]


def test_the_page_fetches_nothing_and_is_the_same_twice(tmp_path: Path) -> None:
    page = write(LEARNING, tmp_path / "learning.html").read_text()
    assert page == render(LEARNING, "An agent learns", {})
    assert not re.search(r"(src|href)=|@import|url\(", page)
    assert page.count("<svg") == page.count("</svg>")


def test_what_was_not_judged_says_so() -> None:
    told = Linear(LinearConfig()).learn(Walk(), 640)
    page = render(told, "linear", {})
    assert "Nothing judged this agent." in page
    assert "kept:" not in page
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Return while learning", "Inside"]


def test_a_single_point_is_said_and_not_drawn() -> None:
    page = render(Learning(HISTORY[1:2], 2_000, JUDGED, 2_000, 9, 2.0, resumed=1_000), "short", {})
    assert "gone on with from step 1,000" in page
    assert "The weights are those after step 2,000." in page
    assert "<h2>" not in page


def test_a_metric_that_is_no_number_leaves_a_gap() -> None:
    odd = Progress(3_000, 3_000, 3.0, 1_000.0, 12, 0.3, {"policy_loss": math.nan}, WORSE)
    page = render(Learning((*HISTORY[:2], odd), 2_000, JUDGED, 3_000, 12, 3.0), "gap", {})
    assert not re.search(r"\bnan\b", page)
