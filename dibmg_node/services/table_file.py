"""Tables as files, written part after part: CSV, or Parquet by pyarrow."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from dibmg_node.errors import PermanentError
from dibmg_node.services.export import Row

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def write_table(
    path: Path,
    columns: Mapping[str, type],
    parts: Iterable[Sequence[Row]],
    told: Callable[[int], None] = lambda rows: None,
) -> int:
    """Write a table; its name says as what. It has its name once it is whole.

    Args:
        path: Ends in .csv or .parquet.
        columns: Names and types (str, int, float).
        parts: Rows, some at a time.
        told: Called with the number of rows so far.

    Returns:
        Number of rows.

    Raises:
        PermanentError: The name ends otherwise, or pyarrow is not installed.
        OSError: The file cannot be written.
    """
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise PermanentError(f"{path.name}: expected a name that ends in .csv or .parquet")
    draft = path.with_name(f".{path.name}.part")
    try:
        rows = write(draft, columns, _counted(parts, told))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return rows


def _counted(parts: Iterable[Sequence[Row]], told: Callable[[int], None]) -> Iterable[Sequence[Row]]:
    rows = 0
    for part in parts:
        yield part
        rows += len(part)
        told(rows)


def _write_csv(path: Path, columns: Mapping[str, type], parts: Iterable[Sequence[Row]]) -> int:
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for part in parts:
            writer.writerows([_plain(row[name]) for name in columns] for row in part)
            rows += len(part)
    return rows


def _plain(value: str | float | int | None) -> str | float | int | None:
    """What a sender or a header chose must be no formula in a spreadsheet.

    Source: OWASP, CSV Injection.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def _write_parquet(path: Path, columns: Mapping[str, type], parts: Iterable[Sequence[Row]]) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise PermanentError(
            "Parquet needs pyarrow: pip install dibmg-node[parquet]; or name a .csv"
        ) from error
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part in parts:
            writer.write_table(pa.Table.from_pylist(list(part), schema=schema))
            rows += len(part)
    return rows
