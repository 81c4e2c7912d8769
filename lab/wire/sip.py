"""Lossless SIP messages: read, edit by span, write back.

The rules of this file:

- ``SipMessage.parse`` accepts *any* bytes and never raises;
  ``bytes(SipMessage.parse(x)) == x`` for every ``x``, malformed ones included.
- A message is a row of pieces (start line, header fields, blank line, body). An
  edit replaces bytes inside one piece; every other byte stays as it was.
- Header names compare without case, and a compact form is the same header
  (RFC 3261 section 7.3.3). A folded header is one field (section 7.3.1).
- Nothing here judges a message; ``siplab.lab.wire.syntax`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

COMPACT_FORMS: Final[dict[bytes, bytes]] = {
    # RFC 3261 section 20 and the IANA registry of SIP header fields.
    b"a": b"accept-contact",
    b"b": b"referred-by",
    b"c": b"content-type",
    b"d": b"request-disposition",
    b"e": b"content-encoding",
    b"f": b"from",
    b"i": b"call-id",
    b"j": b"reject-contact",
    b"k": b"supported",
    b"l": b"content-length",
    b"m": b"contact",
    b"o": b"event",
    b"r": b"refer-to",
    b"s": b"subject",
    b"t": b"to",
    b"u": b"allow-events",
    b"v": b"via",
    b"x": b"session-expires",
}

_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+\Z")
_PLAIN_FIELD: Final = re.compile(rb" [!-~](?:[ -~]*[!-~])?\r\n\Z")
_LEADING: Final = re.compile(rb"[\r\n]*")
_STATUS: Final = re.compile(rb"SIP/2\.0[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
# Possessive runs and the look-behind keep it linear: a line of blanks must not cost seconds.
_REQUEST: Final = re.compile(
    rb"([^\s:]+)[ \t]++([^\r\n]*?)(?<![ \t])[ \t]++SIP/\d++\.\d++[ \t]*+\r?\n?\Z", re.IGNORECASE
)

CANONICAL_NAMES: dict[bytes, bytes] = {}


def canonical_name(name: bytes) -> bytes:
    """Lower-case full name of a header, e.g. ``b"v"`` and ``b"VIA"`` give ``b"via"``."""
    try:
        return CANONICAL_NAMES[name]
    except KeyError:
        lowered = name.strip(b" \t").lower()
        full = COMPACT_FORMS.get(lowered, lowered)
        if len(CANONICAL_NAMES) < 1024:  # messages can have any number of names
            CANONICAL_NAMES[name] = full
        return full


class _PartsOfLines(dict[bytes, tuple[bytes, int, int]]):
    """The canonical name and where the value begins and ends, by the whole line.

    Most lines of a message were already in the message before it.
    """

    def __missing__(self, line: bytes) -> tuple[bytes, int, int]:
        begin = line.find(b":") + 1
        parts = (canonical_name(line[: begin - 1]) if begin else b"", *_value_in(line, begin))
        if len(line) <= LONGEST_REMEMBERED:
            if len(self) >= MOST_REMEMBERED:
                self.clear()
            self[line] = parts
        return parts


def _value_in(raw: bytes, begin: int) -> tuple[int, int]:
    """Where the value begins and ends in a field; ``begin`` is the offset just behind the colon."""
    if _PLAIN_FIELD.match(raw, begin):  # "Name: value" and CRLF, as nearly all are written
        return begin + 1, len(raw) - 2
    if raw[begin : begin + 1] in _WHITESPACE:
        rest = raw[begin:].lstrip(b" \t\r\n")
        # An empty value stands before the line ending, not behind it.
        begin = len(raw) - len(rest) if rest else max(begin, len(raw.rstrip(b"\r\n")))
    return begin, max(len(raw.rstrip(b" \t\r\n")), begin)


# As many lines as the largest datagram can have. If a message had more, each further reading would find none
# of its lines here and take twice the time. With the longest lines this is 8 MiB.
MOST_REMEMBERED: Final = 16_384
LONGEST_REMEMBERED: Final = 512  # bytes
_WHITESPACE: Final = frozenset({b" ", b"\t", b"\r", b"\n"})
PARTS_OF_LINES: Final = _PartsOfLines()


class Field:
    """One header field with its folded continuation lines and its line ending.

    ``raw`` is the field as it stands on the wire; ``name`` its canonical name, or
    ``b""`` for a line without a colon; ``value_offset`` the offset of ``value`` inside
    ``raw``. Offsets in ``replace`` count from the start of ``value``.
    """

    __slots__ = ("_end", "name", "raw", "value_offset")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.name, self.value_offset, self._end = PARTS_OF_LINES[raw]

    @classmethod
    def make(cls, name: bytes, value: bytes) -> Field:
        """A new field, spelled ``Name: value`` and ended by CRLF."""
        return cls(name + b": " + value + b"\r\n")

    @property
    def value(self) -> bytes:
        """The value as written, without the white space around it; folds are kept."""
        return self.raw[self.value_offset : self._end]

    @value.setter
    def value(self, new: bytes) -> None:
        self.replace(0, self._end - self.value_offset, new)

    def replace(self, start: int, end: int, new: bytes) -> None:
        """Put ``new`` in the place of ``value[start:end]``."""
        at = self.value_offset
        self.raw = self.raw[: at + start] + new + self.raw[at + end :]
        self._end += len(new) - (end - start)

    def replace_all(self, edits: Iterable[tuple[int, int, bytes]]) -> None:
        """``replace`` several parts at once; offsets are those before any edit. No parts overlap; any order.

        A header of 60,000 bytes may have thousands of edits, and a ``replace`` for each would copy it all.
        """
        value, parts, at = self.value, [], 0
        for start, end, new in sorted(edits):
            parts += [value[at:start], new]
            at = end
        if parts:
            self.replace(0, at, b"".join(parts))

    def __bytes__(self) -> bytes:
        return self.raw

    def __repr__(self) -> str:
        return f"Field({self.raw!r})"


class SipMessage:
    """A SIP request or response that remembers its exact bytes.

    Attributes: ``prefix`` (empty lines before the start line, RFC 3261 section 7.5),
    ``start_line`` (with its line ending), ``fields``, ``separator`` (the empty line),
    ``body`` (everything behind it, whatever Content-Length says, until ``end_body`` is called) and
    ``trailer`` (what follows the body). ``original_body`` stays the body as it was parsed.
    """

    __slots__ = ("body", "fields", "original_body", "prefix", "separator", "start_line", "trailer")

    def __init__(
        self,
        start_line: bytes,
        fields: list[Field],
        body: bytes = b"",
        *,
        separator: bytes = b"\r\n",
        prefix: bytes = b"",
    ) -> None:
        self.prefix = prefix
        self.start_line = start_line
        self.fields = fields
        self.separator = separator
        self.body = body
        self.original_body = body
        self.trailer = b""

    @classmethod
    def parse(cls, data: bytes) -> SipMessage:
        """Read a message from any bytes; never raises."""
        prefix = b""
        if data[:1] in _WHITESPACE:
            begin = _LEADING.match(data).end()  # type: ignore[union-attr]  # matches empty too
            prefix, data = data[:begin], data[begin:]
        head_end, body_start = _end_of_head(data)
        head, separator, body = data[:head_end], data[head_end:body_start], data[body_start:]
        # splitlines also ends lines at a lone CR. SIP does not, so use it only if there is none.
        sound = head.count(b"\r") == head.count(b"\r\n")
        lines = head.splitlines(keepends=True) if sound else _LINE.findall(head)
        if not lines:
            return cls(b"", [], body, separator=separator, prefix=prefix)
        if b"\n " in head or b"\n\t" in head:
            lines = _unfold(lines)
        start_line = lines[0]
        del lines[0]
        return cls(start_line, [Field(line) for line in lines], body, separator=separator, prefix=prefix)

    def __bytes__(self) -> bytes:
        head = b"".join([field.raw for field in self.fields])
        return self.prefix + self.start_line + head + self.separator + self.body + self.trailer

    def become(self, data: bytes) -> None:
        """Replace the whole message by other bytes; ``original_body`` stays."""
        other = SipMessage.parse(data)
        self.prefix, self.start_line, self.fields = other.prefix, other.start_line, other.fields
        self.separator, self.body, self.trailer = other.separator, other.body, b""

    # -- start line -------------------------------------------------------------------

    @property
    def status(self) -> int | None:
        """Status code of a response, else ``None``."""
        if self.start_line[:4].upper() != b"SIP/":
            return None
        found = _STATUS.match(self.start_line)
        return int(found[1]) if found else None

    @property
    def is_response(self) -> bool:
        return self.start_line[:4].upper() == b"SIP/"

    @property
    def is_request(self) -> bool:
        return _REQUEST.match(self.start_line) is not None

    @property
    def is_sip(self) -> bool:
        """Whether the start line is one of SIP's (CRLF keep-alives, STUN, junk are not)."""
        return self.is_response or self.is_request

    @property
    def method(self) -> bytes:
        """Method of a request; for a response the method in its CSeq; ``b""`` if neither."""
        if not self.is_response:
            found = _REQUEST.match(self.start_line)
            return found[1] if found else b""
        cseq = self.get(b"cseq")
        words = cseq.value.split() if cseq else []
        return words[1] if len(words) > 1 else b""

    @property
    def request_uri(self) -> bytes:
        """Request-URI as written; ``b""`` for a response or junk."""
        if self.is_response:
            return b""
        found = _REQUEST.match(self.start_line)
        return found[2] if found else b""

    @request_uri.setter
    def request_uri(self, new: bytes) -> None:
        found = _REQUEST.match(self.start_line)
        if found:
            start, end = found.span(2)
            self.start_line = self.start_line[:start] + new + self.start_line[end:]

    # -- header fields ----------------------------------------------------------------

    def all(self, name: bytes) -> list[Field]:
        """Every field of that canonical name, in order of appearance."""
        return [field for field in self.fields if field.name == name]

    def get(self, name: bytes) -> Field | None:
        """The first field of that canonical name."""
        for field in self.fields:
            if field.name == name:
                return field
        return None

    def value(self, name: bytes, default: bytes = b"") -> bytes:
        """Value of the first field of that canonical name."""
        for field in self.fields:
            if field.name == name:
                return field.value
        return default

    def offset_of(self, field: Field) -> int:
        """Offset of ``field`` in ``bytes(self)``. Raises ``ValueError`` for a foreign field."""
        at = len(self.prefix) + len(self.start_line)
        for each in self.fields:
            if each is field:
                return at
            at += len(each.raw)
        raise ValueError("that field is not part of this message")

    @property
    def body_offset(self) -> int:
        """Offset of ``body`` in ``bytes(self)``."""
        return (
            len(self.prefix)
            + len(self.start_line)
            + sum(len(field.raw) for field in self.fields)
            + len(self.separator)
        )

    @property
    def content_length(self) -> int | None:
        """The number in Content-Length, or ``None`` when absent or not a number."""
        value = self.value(b"content-length")
        return int(value) if value.isdigit() and len(value) < 10 else None

    def end_body(self) -> None:
        """Let the body end where Content-Length says; the rest becomes the ``trailer`` (RFC 3261 18.3).

        Content-Length counts the body as it was parsed; bytes put into the body since stay in it.
        """
        length = self.content_length
        behind = b"" if length is None else self.original_body[length:]
        if behind and self.body.endswith(behind):
            self.body, self.trailer = self.body[: -len(behind)], behind + self.trailer
            self.original_body = self.original_body[:length]

    def fit_content_length(self) -> None:
        """Make an existing Content-Length say the body's size; adds none (RFC 3261 20.14)."""
        field = self.get(b"content-length")
        if field is not None:
            length = b"%d" % len(self.body)
            if field.value != length:
                field.value = length

    def __repr__(self) -> str:
        return f"<SipMessage {self.start_line.rstrip()!r}>"


def _end_of_head(data: bytes, start: int = 0) -> tuple[int, int]:
    """Where the header lines end and where the body begins; both are the end if no empty line is there."""
    at = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start, at + 1 if at >= 0 else len(data))
    if bare >= 0:
        return bare + 1, bare + 2
    return (at + 1, at + 3) if at >= 0 else (len(data), len(data))


def _unfold(lines: list[bytes]) -> list[bytes]:
    """Join continuation lines with the line that they continue."""
    joined: list[list[bytes]] = []
    for line in lines:
        if joined and line[:1] in (b" ", b"\t"):
            joined[-1].append(line)
        else:
            joined.append([line])
    return [b"".join(parts) for parts in joined]


def split_stream(buffer: bytes) -> Iterator[tuple[bytes, bool]]:
    """Cut a TCP byte stream into SIP messages (RFC 3261 section 18.3).

    Yields ``(piece, complete)``; the pieces joined are ``buffer``. Only the last can be
    incomplete. White space between messages (keep-alives, RFC 5626) is a piece of its own,
    as are bytes that can't be framed. A missing Content-Length counts as zero.
    """
    at = 0
    while at < len(buffer):
        blank = _LEADING.match(buffer, at).end()  # type: ignore[union-attr]
        if blank > at:
            yield buffer[at:blank], True
            at = blank
            continue
        head_end, body_start = _end_of_head(buffer, at)
        if head_end == body_start:
            yield buffer[at:], False
            return
        head = SipMessage.parse(buffer[at:body_start])
        end = body_start + (head.content_length or 0)
        yield buffer[at:end], end <= len(buffer)
        at = end
