"""Tables as pandas data frames, with the types from the dictionary of columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from siplab.experiments.tables.dictionary import TABLES, Column, ColumnType, TableName
from siplab.experiments.tables.libraries import needed
from siplab.experiments.tables.rows import Row, tables
from siplab.experiments.trial.result import TrialResult
from siplab.lab.sip.messages import Incoming
from siplab.lab.wire.labels import label_of
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import Trace

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

# The pandas types that can express "not measured".
_TYPES: Final[dict[ColumnType, str]] = {
    "integer": "Int64",
    "real": "Float64",
    "boolean": "boolean",
    "text": "string",
    "category": "category",
}
_MESSAGES: Final = (
    Column("number", "integer", "the number of the row, in the order in which messages were seen, from 1"),
    Column("time_s", "real", "by the trial's clock", "s"),
    Column("tap", "category", "where it was seen: a host, or a side of a router"),
    Column("leaving", "boolean", "whether it went out there, else it came in"),
    Column("source", "category", "address and port"),
    Column("destination", "category", "address and port"),
    Column("message", "category", "REGISTER, 200 OK (INVITE)"),
    Column("method", "category", "of the request, or of the one that is answered"),
    Column("status", "integer", "null: it is a request", nullable=True),
    Column("call_id", "category", "as it stands in the message"),
    Column("cseq", "integer", "the number in CSeq; null: none can be read", nullable=True),
    Column("size_bytes", "integer", "of the message", "bytes"),
    Column("text", "text", "the message; bytes that are no UTF-8 as \\\\x.."),
)


def frame(name: TableName, results: Iterable[TrialResult]) -> DataFrame:
    """One of the tables of results. Raises ``UsageError`` if pandas is missing."""
    need()
    return _frame(tables(results)[name], TABLES[name])


def messages(trace: Trace) -> DataFrame:
    """Every SIP message of a trial at every tap. Raises ``UsageError`` if pandas is missing."""
    need()
    rows = []
    for number, each in enumerate(trace.sip(), 1):
        message = SipMessage.parse(each.payload)
        read = Incoming(message, each.source, each.destination)
        rows.append(
            {
                "number": number,
                "time_s": round(each.now, 6),
                "tap": each.tap,
                "leaving": each.leaving,
                "source": str(each.source),
                "destination": str(each.destination),
                "message": label_of(message),
                "method": read.method.decode("ascii", "backslashreplace"),
                "status": read.status or None,
                "call_id": read.call_id.decode("utf-8", "backslashreplace"),
                "cseq": read.cseq if read.cseq >= 0 else None,
                "size_bytes": len(each.payload),
                "text": each.payload.decode("utf-8", "backslashreplace"),
            }
        )
    return _frame(rows, _MESSAGES)


def need() -> None:
    """Raises ``UsageError`` if pandas is missing."""
    needed("pandas", "a frame", "notebook")


def _frame(rows: Sequence[Row], columns: Sequence[Column]) -> DataFrame:
    pandas = needed("pandas", "a frame", "notebook")
    return pandas.DataFrame(
        {
            each.name: pandas.Series([row[each.name] for row in rows], dtype=_TYPES[each.type])
            for each in columns
        }
    )
