"""What a weak parser does not see: fields, or parts of them, that the other steps then skip.

Nothing here changes a byte of the message. A hidden field keeps its text and loses its name. A divided field
becomes several pieces, some of them hidden.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from siplab.lab.wire.sip import Field, SipMessage

# The fields by which an ALG recognises a call. Without them it would mix up calls, which is another fault.
IDENTIFYING: Final = frozenset({b"call-id", b"cseq"})


def written_name(field: Field) -> bytes:
    """The field's name as written in the message, without white space before the colon."""
    return field.raw.partition(b":")[0].rstrip(b" \t")


def hide(field: Field) -> None:
    """Let the steps that follow skip a field."""
    field.name = b""


def divided(field: Field, spans: Iterable[tuple[int, int]]) -> list[Field]:
    """``field`` in pieces, which joined are the field again. Those in ``spans`` are hidden.

    The spans are offsets in the value, in order, without overlaps.
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
    """Let the steps that follow find nothing in a message."""
    message.prefix = bytes(message)
    message.start_line = message.separator = message.body = message.trailer = b""
    message.fields = []
