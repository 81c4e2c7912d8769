"""Readers of structured header values: Via, name-addr, URI, CSeq, parameter lists.

All are lenient: unreadable text gives ``None`` or is skipped, never an exception. Rewriters
need *spans*, so each reader gives offsets into the value that it was given.
The strict reader is ``siplab.lab.wire.syntax``.

No reader takes more than linear time, whatever the value: an expression that fails late is not tried again
at every place of a long value (``make bench`` measures this, ``tools/shapes.py`` has the values).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_HOST: Final = rb"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VIA: Final = re.compile(
    rb"\s*SIP\s*/\s*2\.0\s*/\s*(?P<transport>[A-Za-z0-9-]+)\s+"
    rb"(?P<host>" + _HOST + rb")\s*(?::\s*(?P<port>\d+))?",
    re.IGNORECASE,
)
_SCHEME: Final = re.compile(rb"sips?:", re.IGNORECASE)
_AFTER_USER: Final = re.compile(rb"[\s@<>\",]")
_HOST_PORT: Final = re.compile(rb"(?P<host>" + _HOST + rb")(?::(?P<port>\d+))?")
_NAME: Final = rb";\s*(?P<name>[^\s;=,<>\"]+)\s*"
_PLAIN_VALUE: Final = rb"[^\s;,<>\"?]*"
QUOTED: Final = rb"\"(?:[^\"\\]++|\\.)*+\""
"""The expression of a quoted string (RFC 3261 section 25.1), for ``re.DOTALL``."""
_PARAMETER: Final = re.compile(
    _NAME + rb"(?:=\s*(?P<value>" + QUOTED + rb"|" + _PLAIN_VALUE + rb"))?", re.DOTALL
)
_UNQUOTED_PARAMETER: Final = re.compile(_NAME + rb"(?:=\s*(?P<value>" + _PLAIN_VALUE + rb"))?")
_LITERAL: Final = re.compile(rb"\d\.\d{1,3}\.|\[")
_QUOTED: Final = re.compile(QUOTED, re.DOTALL)


def find_all(
    pattern: re.Pattern[bytes], unquoted: re.Pattern[bytes], value: bytes, start: int, end: int
) -> Iterator[re.Match[bytes]]:
    """Matches of a pattern that may contain ``QUOTED``, in linear time.

    ``unquoted`` is the same pattern without the alternative of a quoted string. It reads the text behind
    the last quote that can close one. There ``pattern`` would search the rest in vain at every place.
    """
    if value.find(b'"', start, end) < 0:  # most have none, and a call costs more than this test
        return unquoted.finditer(value, start, end)
    closing = _last_quote(value, start, end)
    if closing < 0:
        return unquoted.finditer(value, start, end)
    return _find_all(pattern, unquoted, value, start, end, closing)


def _find_all(
    pattern: re.Pattern[bytes], unquoted: re.Pattern[bytes], value: bytes, at: int, end: int, closing: int
) -> Iterator[re.Match[bytes]]:
    for found in pattern.finditer(value, at, end):
        yield found
        at = found.end()
        if at > closing:
            yield from unquoted.finditer(value, at, end)
            return


def _last_quote(value: bytes, start: int, end: int) -> int:
    """Where the last quote without a backslash before it stands; -1 for none."""
    at = value.rfind(b'"', start, end)
    while at >= 0:
        begin = at
        while begin > start and value[begin - 1] == 0x5C:
            begin -= 1
        if (at - begin) % 2 == 0:
            return at
        at = value.rfind(b'"', start, begin)
    return -1


def mask_quoted(value: bytes, mask: bytes = b"x") -> bytes:
    """The value with every quoted string overwritten by ``mask``; all offsets stay the same."""
    if b'"' not in value:
        return value
    end = _last_quote(value, 0, len(value)) + 1
    return _QUOTED.sub(lambda found: mask * len(found[0]), value[:end]) + value[end:]


def split_list(value: bytes) -> list[tuple[int, int]]:
    """Spans of the comma-separated values, commas in quotes and ``<>`` not counted."""
    if b"," not in value:
        return [(0, len(value))]
    masked = mask_quoted(value)
    spans: list[tuple[int, int]] = []
    start = depth = 0
    for at, byte in enumerate(masked):
        if byte == 0x3C:
            depth += 1
        elif byte == 0x3E:
            depth = max(0, depth - 1)
        elif byte == 0x2C and not depth:
            spans.append((start, at))
            start = at + 1
    spans.append((start, len(value)))
    return spans


class HostPort(NamedTuple):
    """Where a host and its optional port stand in a value (``sent-by`` or hostport, RFC 3261 25.1)."""

    host: bytes
    port: int | None
    start: int
    end: int

    @property
    def bare_host(self) -> bytes:
        """Host without the brackets of an IPv6 reference."""
        return self.host[1:-1] if self.host[:1] == b"[" else self.host


class Via(NamedTuple):
    """One Via value. ``start`` and ``end`` bound it in the field's value."""

    transport: bytes
    sent_by: HostPort
    parameters: dict[bytes, bytes]
    start: int
    end: int

    @property
    def branch(self) -> bytes:
        return self.parameters.get(b"branch", b"")


def hostport_of(found: re.Match[bytes]) -> HostPort:
    """Host and port groups of a match of this module."""
    host, port = found.group("host", "port")
    start, end = found.span("host")
    if port is None:
        return HostPort(host, None, start, end)
    # A port with too many digits is still a number: models write such ports.
    return HostPort(host, int(port[:9]), start, found.end("port"))


def _parameters(value: bytes, start: int, end: int | None) -> Iterator[re.Match[bytes]]:
    return find_all(_PARAMETER, _UNQUOTED_PARAMETER, value, start, len(value) if end is None else end)


def parameters(value: bytes, start: int = 0, end: int | None = None) -> dict[bytes, bytes]:
    """The ``;name=value`` parameters in a span: names in lower case, first of a name wins."""
    found: dict[bytes, bytes] = {}
    for each in _parameters(value, start, end):
        name, content = each.groups(b"")
        found.setdefault(name.lower(), content)
    return found


def parameter_spans(value: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """``(lower-case name, start, end)`` of each parameter's value; an absent value is empty there."""
    for each in _parameters(value, start, end):
        begin, stop = each.span(2)
        if begin < 0:  # no "=": an empty value behind the name
            begin = stop = each.end()
        yield each[1].lower(), begin, stop


def vias(value: bytes) -> list[Via]:
    """The Via values in one field, unreadable ones left out."""
    result: list[Via] = []
    for start, end in split_list(value):
        found = _VIA.match(value, start, end)
        if found:
            after = parameters(value, found.end(), end)
            result.append(Via(found["transport"], hostport_of(found), after, start, end))
    return result


def sent_bys(value: bytes) -> list[tuple[HostPort, int]]:
    """The sent-by of each readable Via value in a field, with the end of that value."""
    if b"," not in value:  # most fields have one value
        found = _VIA.match(value)
        return [(hostport_of(found), len(value))] if found else []
    return [(via.sent_by, via.end) for via in vias(value)]


def has_address(value: bytes) -> bool:
    """Whether anything in the value can be an IP address literal: a cheap first look."""
    return _LITERAL.search(value) is not None


def uris(value: bytes) -> list[HostPort]:
    """Host and port of each sip: and sips: URI in a value, those in quoted strings left out."""
    # A mask of letters would read as the host of `sip:"..."`.
    masked = mask_quoted(value, b" ")
    found = []
    at, after_user, behind_user = 0, -1, None
    while scheme := _SCHEME.search(masked, at):
        at = scheme.end()
        if at > after_user:  # else it is known from the scheme before: `sip:sip:sip:`
            after_user, behind_user = _behind_user(masked, at)
        place = behind_user or _HOST_PORT.match(masked, at)
        if place:
            found.append(hostport_of(place))
            at = place.end()
    return found


def _behind_user(text: bytes, start: int) -> tuple[int, re.Match[bytes] | None]:
    """Where a user name that begins at ``start`` must end, and the host and port behind its ``@``."""
    stop = _AFTER_USER.search(text, start)
    if stop is None:
        return len(text), None
    return stop.start(), _HOST_PORT.match(text, stop.end()) if stop[0] == b"@" else None


class Uri(NamedTuple):
    """A sip: or sips: URI (RFC 3261 section 19.1)."""

    scheme: bytes
    user: bytes
    host: bytes
    port: int | None
    parameters: dict[bytes, bytes]

    @property
    def bare_host(self) -> bytes:
        return self.host[1:-1] if self.host[:1] == b"[" else self.host


def parse_uri(text: bytes) -> Uri | None:
    """Read one URI, without the angle brackets; ``None`` when it is not a SIP URI."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return None
    stop, found = _behind_user(text, scheme.end())
    user = text[scheme.end() : stop] if found else b""
    found = found or _HOST_PORT.match(text, scheme.end())
    if found is None:
        return None
    place = hostport_of(found)
    rest = text[found.end() :]
    if rest[:1] not in (b"", b";", b"?"):
        return None
    return Uri(
        scheme[0][:-1].lower(),
        user,
        place.host,
        place.port,
        parameters(rest.partition(b"?")[0]) if rest else {},
    )


class NameAddr(NamedTuple):
    """``"Display" <uri>;params`` or ``uri;params`` (RFC 3261 20.10): URI text and header parameters."""

    uri: bytes
    parameters: dict[bytes, bytes]


def name_addr(value: bytes) -> NameAddr:
    """Read one From, To, Contact, Route... value. Without ``<>`` parameters belong to the header."""
    masked = mask_quoted(value)
    opening = masked.find(b"<")
    if opening >= 0:
        closing = masked.find(b">", opening)
        if closing < 0:
            closing = len(value)
        rest = value[closing + 1 :]
        return NameAddr(value[opening + 1 : closing].strip(), parameters(rest) if rest else {})
    uri, semicolon, rest = value.partition(b";")
    return NameAddr(uri.strip(), parameters(semicolon + rest) if semicolon else {})


def tag_of(value: bytes) -> bytes:
    """The ``tag`` parameter of a From or To value; ``b""`` without one."""
    return name_addr(value).parameters.get(b"tag", b"")


def cseq(value: bytes) -> tuple[int, bytes] | None:
    """Number and method of a CSeq value; ``None`` when malformed."""
    words = value.split()
    if len(words) != 2 or not words[0].isdigit() or len(words[0]) > 10:
        return None
    return int(words[0]), words[1]
