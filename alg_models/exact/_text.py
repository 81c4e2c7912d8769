"""A message as plain text, as kernel ALGs see it: marks to search for, addresses and numbers after them.

Nothing here tells header lines from body lines. Patterns compare letter by letter unless they say otherwise.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_LITERAL: Final = re.compile(rb"(\d{1,9})\.(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?![.\dA-Fa-f])")
_USER: Final = re.compile(rb"[^\r\n;@]*@")
_NUMBER: Final = re.compile(rb" *(\d+)")


class Place(NamedTuple):
    """An IPv4 literal and the port after it, and where both stand. ``port`` is 0 if none is written."""

    ip: str
    port: int
    start: int
    end: int


class Number(NamedTuple):
    """Digits, and where they stand."""

    value: int
    start: int
    end: int


def mark(names: bytes, behind: bytes = b"") -> re.Pattern[bytes]:
    """A pattern for what begins a field (``names``) and what must follow in the same line (``behind``)."""
    return re.compile(b"(?:" + names + b")" + (b"(?:[^\r\n]*?" + behind + b"|())" if behind else b""))


def find(sign: re.Pattern[bytes], text: bytes, start: int = 0) -> int:
    """Where the first marked value at or behind ``start`` begins.

    -1 if there is none. Also -1 if the line of the first mark lacks the text that must follow: the
    search does not go on to another line.
    """
    found = sign.search(text, start)
    return -1 if found is None or found.lastindex else found.end()


def literal(text: bytes, at: int) -> Place | None:
    """The IPv4 literal that begins at ``at``; a port is not read."""
    found = _LITERAL.match(text, at)
    if found is None:
        return None
    octets = [int(each) for each in found.groups()]
    if max(octets) > 255:
        return None
    return Place(".".join(map(str, octets)), 0, at, found.end())


def host_and_port(text: bytes, at: int) -> Place | None:
    """The literal and port at ``at``, or after the ``@`` that follows in the same line before any ``;``.

    ``None`` if no literal begins there, or the text after its colon is no port.
    """
    user = _USER.match(text, at)
    place = literal(text, user.end() if user else at)
    if place is None or text[place.end : place.end + 1] != b":":
        return place
    port = number(text, place.end + 1)
    if port is None or not 0 < port.value < 65536:
        return None
    return place._replace(port=port.value, end=port.end)


def number(text: bytes, at: int) -> Number | None:
    """The decimal number at ``at``; blanks before it are skipped."""
    found = _NUMBER.match(text, at)
    return Number(int(found[1][:9]), *found.span(1)) if found else None
