"""Results as tidy tables, for notebooks, papers and databases.

``TABLES`` defines the columns, with types, units and meanings; ``rows`` makes the rows of one trial. Nothing
here needs a library.
"""

from __future__ import annotations

from siplab.experiments.tables.dictionary import TABLES, Column, ColumnType, TableName
from siplab.experiments.tables.rows import Row, rows, tables, tables_of

__all__ = ["TABLES", "Column", "ColumnType", "Row", "TableName", "rows", "tables", "tables_of"]
