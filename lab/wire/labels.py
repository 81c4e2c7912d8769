"""What messages are called in views: ``REGISTER``, ``INVITE with SDP``, ``200 OK (INVITE)``."""

from __future__ import annotations

from siplab.lab.wire.sip import SipMessage


def label_of(message: SipMessage) -> str:
    """The name of a SIP message; empty if it is not SIP."""
    if message.is_response:
        status = b" ".join(message.start_line.split()[1:])
        return f"{show(status)} ({show(message.method) or 'CSeq unreadable'})"
    if message.is_request:
        return show(message.method) + (" with SDP" if message.body.startswith(b"v=") else "")
    return ""


def show(data: bytes) -> str:
    """Bytes of the wire as text on one line; what can't be printed is escaped."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
