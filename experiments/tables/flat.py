"""One table in one Parquet file: for small tables that are written and read as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from siplab.experiments.tables.libraries import needed
from siplab.lab.errors import OutputError, UsageError


def need() -> None:
    """Raises ``UsageError`` if the library is missing: before work is done that would be lost."""
    _pyarrow()


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with the same columns, completely or not at all. Raises ``OutputError``."""
    pyarrow, parquet = _pyarrow()
    part = path.with_name(path.name + ".part")
    try:
        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{path}: {error.strerror or error}") from None


def read(path: Path, what: str = "table") -> list[dict[str, Any]]:
    """The rows of a file. ``what``: what it should be, for messages. Raises ``UsageError``."""
    pyarrow, parquet = _pyarrow()
    try:
        found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except OSError as error:
        raise UsageError(f"{path}: no {what}: {error.strerror or 'not Parquet'}") from None
    except pyarrow.ArrowInvalid:
        raise UsageError(f"{path}: no {what}: not Parquet") from None
    return found


def _pyarrow() -> tuple[Any, Any]:
    return needed("pyarrow", "Parquet", "data"), needed("pyarrow.parquet", "Parquet", "data")
