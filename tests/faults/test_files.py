"""Bad files end in one clear line that names the file, and nothing in them is ever read as other prices."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import Corrupt, DataError, QualityError, TradewindError
from tradewind.data.inspection import quality
from tradewind.data.parquet import encode_parquet, parse_parquet
from tradewind.data.reading import read

from .broken import BROKEN, frame, good


def test_the_good_file_is_good(tmp_path: Path) -> None:
    assert len(read(good(tmp_path))) == 24


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_file_is_refused_in_one_line_that_names_it(name: str, tmp_path: Path) -> None:
    path = BROKEN[name](tmp_path)
    with pytest.raises(TradewindError) as caught:
        read(path)
    message = str(caught.value)
    assert isinstance(caught.value, DataError)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text in a price", ("column 'open'", "row 4", "'abc'")),
        ("missing price", ("column close", "row 4", "drop-invalid")),
        ("infinite price", ("column high", "row 4", "infinite")),
        ("negative price", ("column low", "row 4", "-102")),
        ("high below low", ("row 4", "high is under low")),
        ("duplicate time", ("row 4", "drop-duplicates")),
        ("unsorted", ("row 5", "sort")),
        ("mixed units", ("row 10", "milliseconds", "seconds")),
        ("no epoch", ("row 1", "20210101")),
        ("no ISO time", ("row 4", "1/2/2021 03:00", "ISO 8601")),
        ("part bar", ("row 23", "drop-part-bars")),
        ("perpetual without funding", ("BTCUSDT-PERP", "funding_rate")),
        ("parquet called CSV", ("bytes say parquet", "rename")),
        ("two times", ("'time'", "'date'", "rename")),
    ],
)
def test_the_line_says_where_and_what_to_do(name: str, words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(BROKEN[name](tmp_path))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", BROKEN)
def test_the_quality_report_counts_what_read_refuses(name: str, tmp_path: Path) -> None:
    path = BROKEN[name](tmp_path)
    with pytest.raises(DataError) as caught:
        read(path)
    if isinstance(caught.value, QualityError):
        report = quality(path)
        assert not report.ok
        assert report.counts == caught.value.report.counts
        assert "refused as it stands" in report.to_text()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = good(tmp_path)
    path.chmod(0)
    with pytest.raises(DataError, match=r"bars\.csv: cannot be read"):
        read(path)


def test_no_flipped_bit_in_a_page_changes_a_price(tmp_path: Path) -> None:
    whole = frame(1_500)
    data = encode_parquet(whole)
    footer = int.from_bytes(data[-8:-4], "little") + 8
    random = np.random.default_rng(7)
    caught = 0
    for place in random.integers(4, len(data) - footer, 400):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(random.integers(8))
        try:
            seen = parse_parquet(bytes(flipped), "bars.parquet")
        except Corrupt:
            caught += 1
        else:
            assert seen.equals(whole)
    assert caught > 350


def test_an_ordinary_parquet_file_would_be_read_with_other_prices() -> None:
    """What page checksums are for: the same flip without them is not noticed."""
    import io

    plain = io.BytesIO()
    frame(1_500).write_parquet(plain, compression="uncompressed", use_pyarrow=True, pyarrow_options={"use_dictionary": False})
    data = bytearray(plain.getvalue())
    data[len(data) // 2] ^= 0x10
    assert not pl.read_parquet(io.BytesIO(bytes(data))).equals(frame(1_500))
