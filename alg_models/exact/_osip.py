"""How libosip prints a message that it has read.

The evidence does not show in which order libosip prints the fields. Here they keep the order of the message.
"""

from __future__ import annotations

from typing import Final

from siplab.lab.wire.headers import split_list
from siplab.lab.wire.sip import Field, SipMessage

# Names that libosip knows; others stay as they were.
_SPELLED: Final = {
    each.lower(): each
    for each in (
        *(b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Contact", b"Route", b"Record-Route"),
        *(b"Content-Type", b"Content-Length"),
    )
}


def print_anew(message: SipMessage) -> None:
    """Write the fields as libosip does: full names, one Route per line."""
    fields: list[Field] = []
    for field in message.fields:
        value = b" ".join(field.value.split()) if b"\n" in field.value else field.value
        values = [value[start:end].strip() for start, end in split_list(value)]
        name = _SPELLED.get(field.name, field.raw.partition(b":")[0].rstrip())
        for each in values if field.name == b"route" else [value]:
            fields.append(Field.make(name, each))
    if message.get(b"content-length") is None:
        fields.append(Field.make(b"Content-Length", b"0"))
    message.fields = fields
    message.fit_content_length()
