"""Encodes rows of tables as a Parquet file, and decodes them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from siplab.experiments.tables import TABLES, Column, Row, TableName
from siplab.experiments.tables.libraries import needed

_COMPRESSION: Final = "zstd"
_LEVEL: Final = 9


def arrow(what: str = "a table of Parquet") -> Any:
    """The module ``pyarrow``. Raises ``CapabilityError`` if it is not installed."""
    return needed("pyarrow", what, "data")


@cache
def schema(name: TableName) -> Any:
    """The types of a table's columns, for ``pyarrow``; each with its unit and meaning."""
    pa = arrow()
    return pa.schema([_field(pa, each) for each in TABLES[name]])


def _field(pa: Any, column: Column) -> Any:
    kinds = {
        "integer": pa.int64(),
        "real": pa.float64(),
        "boolean": pa.bool_(),
        "text": pa.string(),
        "category": pa.dictionary(pa.int32(), pa.string()),
    }
    about = {"unit": column.unit, "meaning": column.meaning}
    return pa.field(column.name, kinds[column.type], nullable=column.nullable, metadata=about)


def encoded(name: TableName, rows: Sequence[Row]) -> bytes:
    """A Parquet file with these rows."""
    arrow()
    parquet = needed("pyarrow.parquet", "a table of Parquet", "data")
    columns = {each.name: [row[each.name] for row in rows] for each in TABLES[name]}
    out = io.BytesIO()
    parquet.write_table(
        arrow().table(columns, schema=schema(name)),
        out,
        compression=_COMPRESSION,
        compression_level=_LEVEL,
        # Statistics of columns whose texts occur only once each would be larger than the columns.
        write_statistics=["trial"],
    )
    return out.getvalue()


def decoded(data: bytes, columns: Sequence[str] | None = None) -> list[Row]:
    """The rows of a Parquet file, or only these columns. Raises ``ValueError`` for any other file."""
    parquet = needed("pyarrow.parquet", "a table of Parquet", "data")
    found: list[Row] = parquet.read_table(io.BytesIO(data), columns=columns).to_pylist()
    return found
