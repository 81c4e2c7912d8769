"""Reads parts of a message as text, and puts them into another one. Names: ``siplab.lab.wire.compare``."""

from __future__ import annotations

from collections.abc import Sequence

from siplab.lab.wire.compare import differences
from siplab.lab.wire.sip import Field, SipMessage
from siplab.lab.wire.syntax import spelled


def text_of(message: SipMessage, part: str) -> str:
    """The lines of a part, joined by line feeds; empty if the message does not have the part."""
    if part == "start line":
        lines = [message.start_line]
    elif part.startswith("SDP "):
        kind = part[4:].encode()
        lines = [line for line in message.body.splitlines() if line.startswith(kind)]
    elif part == "body":
        lines = message.body.splitlines()
    else:
        lines = [field.raw for field in message.fields if _name(field) == part]
    return "\n".join(line.decode("utf-8", "backslashreplace").strip("\r\n") for line in lines)


def _name(field: Field) -> str:
    return spelled(field.name) or "line without a name"


def merged(own: SipMessage, other: SipMessage, parts: Sequence[str]) -> SipMessage:
    """``own`` with these parts as they are in ``other``.

    If Content-Length was right for the body, it is right afterwards.
    """
    if set(differences(bytes(own), bytes(other))) <= set(parts):
        return other
    length = other if "Content-Length" in parts else own
    body = other.body if "body" in parts else _body(own.body, other.body, parts)
    start_line = (other if "start line" in parts else own).start_line
    frame = other if "empty lines" in parts else own
    made = SipMessage(
        start_line, _fields(own, other, parts), body, separator=frame.separator, prefix=frame.prefix
    )
    made.trailer = own.trailer
    if length.content_length == len(length.body):
        made.fit_content_length()
    return made


def _fields(own: SipMessage, other: SipMessage, parts: Sequence[str]) -> list[Field]:
    """The fields of ``own``, with the chosen ones from ``other``, each after the same predecessor."""
    fields = [field for field in own.fields if _name(field) not in parts]
    at = 0
    for field in other.fields:
        if _name(field) in parts:
            fields.insert(min(at, len(fields)), field)
            at += 1
        else:
            places = (i + 1 for i, each in enumerate(fields) if i >= at and each.name == field.name)
            at = next(places, at)
    return fields


def _body(own: bytes, other: bytes, parts: Sequence[str]) -> bytes:
    """The SDP, with the lines of the chosen types as in ``other``."""
    kinds = {part[4:5].encode() for part in parts if part.startswith("SDP ")}
    if not kinds:
        return own
    mine, theirs = own.splitlines(keepends=True), other.splitlines(keepends=True)
    if len(mine) != len(theirs):
        return other
    return b"".join(that if that[:1] in kinds else this for this, that in zip(mine, theirs, strict=True))
