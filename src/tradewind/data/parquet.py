"""Parquet with a checksum on every page, written atomically and verified when read.

An ordinary parquet file has none: one flipped bit mostly reads back, silently, as other prices. Page checksums (CRC32, parquet
format 2.x, https://parquet.apache.org/docs/file-format/data-pages/checksumming/) cover the pages but not the footer, so whoever keeps a
file for long also keeps its sha256: the store and the bundled sample do.
"""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tradewind.core.errors import Corrupt
from tradewind.core.files import read_bytes, write_bytes

__all__ = ["encode_parquet", "parse_parquet", "read_parquet", "write_parquet"]


def encode_parquet(frame: pl.DataFrame) -> bytes:
    """`frame` as the bytes of a parquet file with page checksums; the same frame gives the same bytes."""
    sink = io.BytesIO()
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    text = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    pq.write_table(table, sink, compression="zstd", use_dictionary=text, write_page_checksum=True, version="2.6")
    return sink.getvalue()


def write_parquet(path: str | Path, frame: pl.DataFrame) -> Path:
    """Write `frame` atomically with page checksums. Raises DataError as `write_bytes` does."""
    return write_bytes(path, encode_parquet(frame))


def read_parquet(path: str | Path, expected_sha256: str | None = None) -> pl.DataFrame:
    """Every row of a parquet file, page checksums verified where the file has them.

    Raises DataError when it cannot be read and Corrupt when its bytes are damaged or differ from `expected_sha256`.
    """
    return parse_parquet(read_bytes(path, expected_sha256), path)


def parse_parquet(data: bytes, path: str | Path) -> pl.DataFrame:
    """The rows in the bytes of a parquet file; `path` is named in the errors. Raises Corrupt when they are damaged."""
    try:
        table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
        frame = pl.from_arrow(table)
    except (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())[:160]
        raise Corrupt(f"{path}: is damaged or no parquet file ({reason}); restore it or write it anew") from None
    assert isinstance(frame, pl.DataFrame)  # a table, unlike a column, always becomes a frame
    return frame
