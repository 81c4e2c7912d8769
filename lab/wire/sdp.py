"""Lossless SDP (RFC 8866): read, edit by line, write back.

``bytes(Sdp.parse(x)) == x`` for every ``x``. A line keeps its type letter, its value and
its ending apart; editing a value leaves everything else as it was. Line endings may be
CRLF or LF (RFC 8866 section 5 asks parsers to accept both).
"""

from __future__ import annotations

import re
import sys
from typing import Final

_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+\Z")
# m=<media> <port>[/<count>] ...: the port
_MEDIA: Final = re.compile(rb"m=[^ \r\n]* (\d{1,9})(?![^ /\r\n])")


class SdpLine:
    """One ``<type>=<value>`` line; ``type`` is ``b""`` for a line of another shape."""

    __slots__ = ("_end", "raw", "type")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.type = raw[:1] if raw[1:2] == b"=" else b""
        self._end = -1  # computed on demand: most lines are only copied

    def _locate(self) -> int:
        raw = self.raw
        self._end = len(raw) - (2 if raw[-2:] == b"\r\n" else 1 if raw[-1:] == b"\n" else 0)
        return self._end

    @property
    def value(self) -> bytes:
        end = self._end if self._end >= 0 else self._locate()
        return self.raw[2:end] if self.type else self.raw[:end]

    @value.setter
    def value(self, new: bytes) -> None:
        begin = 2 if self.type else 0
        end = self._end if self._end >= 0 else self._locate()
        self.raw = self.raw[:begin] + new + self.raw[end:]
        self._end = begin + len(new)

    def __repr__(self) -> str:
        return f"SdpLine({self.raw!r})"


class Section:
    """The session part (``media`` is ``None``) or one media description."""

    __slots__ = ("lines", "media")

    def __init__(self, media: SdpLine | None, lines: list[SdpLine]) -> None:
        self.media = media
        self.lines = lines

    def first(self, kind: bytes) -> SdpLine | None:
        """The first line of that type letter, the ``m=`` line not counted."""
        for line in self.lines:
            if line.type == kind:
                return line
        return None

    def attributes(self, name: bytes) -> list[SdpLine]:
        """The ``a=name`` and ``a=name:...`` lines."""
        begin = b"a=" + name
        found = [line for line in self.lines if line.raw.startswith(begin)]
        return [line for line in found if line.value[len(name) :][:1] in (b"", b":")]

    @property
    def port(self) -> int | None:
        """Port of the ``m=`` line (``m=<media> <port>[/<n>] ...``), ``None`` when unreadable."""
        found = _MEDIA.match(self.media.raw) if self.media else None
        return int(found[1]) if found else None

    @port.setter
    def port(self, new: int) -> None:
        found = _MEDIA.match(self.media.raw) if self.media else None
        if self.media is not None and found is not None:
            value, (start, end) = self.media.value, found.span(1)
            self.media.value = value[: start - 2] + b"%d" % new + value[end - 2 :]


class Sdp:
    """A session description: ``session`` part first, then one ``Section`` per ``m=`` line."""

    __slots__ = ("_session_connection", "media", "session")

    def __init__(self, session: Section, media: list[Section]) -> None:
        self.session = session
        self.media = media
        self._session_connection = (-1, -1)  # number of lines at the last search, and the index found

    @classmethod
    def parse(cls, data: bytes) -> Sdp:
        """Read any bytes; never raises."""
        sections = [Section(None, [])]
        # A lone CR ends no line here, but splitlines would end one at it.
        sound = data.count(b"\r") == data.count(b"\r\n")
        for raw in data.splitlines(keepends=True) if sound else _LINE.findall(data):
            line = SdpLine(raw)
            if line.type == b"m":
                sections.append(Section(line, []))
            else:
                sections[-1].lines.append(line)
        return cls(sections[0], sections[1:])

    @property
    def sections(self) -> list[Section]:
        return [self.session, *self.media]

    def connection(self, section: Section) -> SdpLine | None:
        """The ``c=`` line in force for a media section: its own, else the session's (5.7)."""
        return section.first(b"c") or self._of_session()

    def _of_session(self) -> SdpLine | None:
        """The session's ``c=`` line, searched for once: there may be thousands of lines and of media."""
        lines = self.session.lines
        number, at = self._session_connection
        if number == len(lines):
            if at < 0:
                return None
            if lines[at].type == b"c":
                return lines[at]
        at = next((at for at, line in enumerate(lines) if line.type == b"c"), -1)
        self._session_connection = len(lines), at
        return lines[at] if at >= 0 else None

    def __bytes__(self) -> bytes:
        parts: list[bytes] = []
        for section in self.sections:
            if section.media is not None:
                parts.append(section.media.raw)
            parts.extend([line.raw for line in section.lines])
        return b"".join(parts)


_WORDS: Final = {b"c": 3, b"o": 6}  # number of words in such a line if it has an address


def address_of(line: SdpLine | None) -> bytes:
    """The address at the end of a ``c=`` or ``o=`` line, without a multicast suffix; else ``b""``."""
    if line is None:
        return b""
    words = line.value.split()
    needed = _WORDS.get(line.type)
    if needed is None or len(words) < needed:
        return b""
    last = words[-1]
    return last.partition(b"/")[0] if b"/" in last else last


def set_address(line: SdpLine, new: bytes) -> None:
    """Replace the address at the end of a ``c=`` or ``o=`` line; white space stays."""
    value = line.value
    words = value.split()
    if len(words) >= _WORDS.get(line.type, sys.maxsize):
        last = words[-1]
        at = value.rindex(last)
        slash = last.find(b"/")
        line.value = value[:at] + new + value[at + (len(last) if slash < 0 else slash) :]
