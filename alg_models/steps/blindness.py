"""What a weak parser does not see: fields, or parts of them, that the other steps then pass over.

Nothing here changes a byte. A hidden field keeps its text and loses its name, a divided one becomes
two pieces of which the steps look at the first only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from siplab.lab.wire.sip import Field, SipMessage

# What an ALG knows a call by. An ALG that did not find them would mix up calls, which is another fault.
IDENTIFYING: Final = frozenset({b"call-id", b"cseq"})


def written_name(field: Field) -> bytes:
    """The name as it stands in the message, without the white space before the colon."""
    return field.raw.partition(b":")[0].rstrip(b" \t")


def hide(field: Field) -> None:
    """Let the steps that follow pass over a field."""
    field.name = b""


def divided(field: Field, spans: Iterable[tuple[int, int]]) -> list[Field]:
    """``field`` in pieces, those parts of its value in ``spans`` hidden; the pieces joined are the field.

    The spans count in the value, are in order, and do not overlap.
    """
    raw, at, begin = field.raw, field.value_offset, 0
    pieces: list[Field] = []
    for start, end in spans:
        pieces += _named(raw[begin : at + start], field.name if not pieces else None)
        pieces += _named(raw[at + start : at + end], b"")
        begin = at + end
    pieces += _named(raw[begin:], field.name if not pieces else b"")
    return pieces


def _named(raw: bytes, name: bytes | None) -> list[Field]:
    if not raw:
        return []
    piece = Field(raw)
    piece.name = name or b""
    return [piece]


def shut(message: SipMessage) -> None:
    """Let the steps that follow find nothing at all in a message."""
    message.prefix = bytes(message)
    message.start_line = message.separator = message.body = message.trailer = b""
    message.fields = []
