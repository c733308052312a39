"""The README's first example does what it says, to the letter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_example_prints_what_stands_below_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", blocks("python")[0]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == blocks("text")[0]
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_a_forecaster_by_hand_answers(tmp_path: Path) -> None:
    asked = blocks("python")[1] + "\nimport numpy as np\nanswers = f.predict(X[2500:4000]).probabilities\n"
    asked += "print(answers.shape, np.allclose(np.nansum(answers[-1000:], axis=2), 1.0))"
    done = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1500, 1, 3) True\n"


def test_an_agent_by_hand_learns_and_acts(tmp_path: Path) -> None:
    asked = blocks("python")[2] + "\nprint(agent.act(later.reset()[0]).shape, s.warmup > 0)"
    done = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1,) True\n"


def test_a_meta_learner_by_hand_adapts(tmp_path: Path) -> None:
    asked = blocks("python")[3].replace("range(100)", "range(3)") + '\nprint(tuple(adapted(task["query_data"]).shape), s.warmup > 0)'
    done = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(15, 3) True\n"


def test_the_quick_start_of_few_shot_runs(tmp_path: Path) -> None:
    page = (README.parent / "docs" / "few_shot.md").read_text(encoding="utf-8")
    quick = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    own = "market = tw.synthetic.noise(bars=3000, symbols=3).market\nimport dataclasses\n"
    own += "market = dataclasses.replace(market, symbols=('BTCUSDT', 'ETHUSDT', 'ADAUSDT'))\n# 3."
    asked = (
        quick.replace("# 3.", own).replace("range(1000)", "range(2)")
        + "\nprint(predictions.shape[1], model[0].in_features == tasks.shape[0])"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 True\n"


def test_an_ensemble_by_hand_is_evaluated(tmp_path: Path) -> None:
    alone = {**os.environ, "TRADEWIND_LEDGER": str(tmp_path / "ledger.sqlite")}
    done = subprocess.run([sys.executable, "-c", blocks("python")[4]], cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "crisis"
    assert "out of sample" in done.stdout


def test_your_own_strategy_passes(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", blocks("python")[5]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
