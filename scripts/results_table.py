"""The rows of a finished run as a Markdown table, for docs/results.md.

python scripts/results_table.py runs/<id>
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tradewind.core.files import read_json


def percent(share: float | None) -> str:
    """`-12.3 %`, or a dash where there is no number."""
    return "–" if share is None else f"{100 * share:.1f} %"


def line(name: str, row: dict[str, Any]) -> str:
    """One row of the table; hold, which the others are read beside, has no verdict."""
    m, verdict = row["metrics"], row["verdict"]
    interval = f"{m['sharpe']:.2f} ({m['sharpe_low']:.2f} to {m['sharpe_high']:.2f})"
    deflated = verdict["numbers"].get("deflated_sharpe") if name != "hold" else None
    cells = [
        name,
        percent(m["net_return"]),
        interval,
        percent(m["max_drawdown"]),
        f"{m['turnover']:.1f}",
        percent(m["cost_share"]),
        "–" if deflated is None else f"{deflated:.3f}",
        "–" if name == "hold" else verdict["label"],
        row["refits"],
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table of the run in the folder given."""
    rows = read_json(Path(sys.argv[1]) / "result.json")["rows"]
    settings = read_json(Path(sys.argv[1]) / "manifest.json")["settings"]
    print(
        "| row | net return | net Sharpe (90 % interval) | drawdown | turnover a year | cost share | deflated Sharpe | verdict | refits |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in settings["strategies"]:
        print(line(name, rows[name]))


if __name__ == "__main__":
    main()
