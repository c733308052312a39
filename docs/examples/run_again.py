"""The main job as a library call, and again from its manifest: the files come out equal to the byte."""

from pathlib import Path
from tempfile import mkdtemp

from tradewind.evaluate.plan import RunSettings
from tradewind.evaluate.run import rerun, run


def main() -> None:
    """Run three rules on the bundled daily bars, twice."""
    folder = Path(mkdtemp())
    settings = RunSettings(market="btc-1d", strategies=("momentum", "ema-cross", "mix"), train="180d", test="60d")
    first = run(settings, folder / "runs", ledger=folder / "ledger.sqlite")
    for row in first.rows:
        print(f"{row.name:<10} net Sharpe {row.metrics['sharpe']:6.2f}  {row.verdict.label}")
    again = rerun(first.folder / "manifest.json", folder / "again", ledger=folder / "ledger.sqlite")
    print(dict(again.identical))


# Workers are fresh processes that import this file: without this line they would run it too.
if __name__ == "__main__":
    main()
