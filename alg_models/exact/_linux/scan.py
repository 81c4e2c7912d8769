"""How the kernel finds headers, addresses and numbers in a payload (spec 1.2).

Nothing here knows what a SIP message is: there are lines, markers within lines, and literal
addresses behind markers. Offsets count in the payload. An edit moves the bytes behind it; offsets that were
taken before are not corrected, since the kernel does not correct them either.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from siplab.alg_models.exact._linux.kernel import Kernel
from siplab.lab.wire.ip import Endpoint

SIP_PORT: Final = 5060

# Letters as the kernel's character table has them: those of Latin-1.
_LETTERS: Final = rb"A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\xff"
# A line may end by CR, LF or both. The kernel skips the first character of a line without testing
# whether it ends the line, so of two LF in a row the second does not end a line.
_NEWLINE: Final = rb"(?>\r\n|[\r\n])"
# No possessive repetition of a group here: before Python 3.11.5, one that fails midway makes the match wrong.
_ANY_START: Final = rb"(?<![\r\n])(?>(?:%b[\r\n])*)%b" % (_NEWLINE, _NEWLINE)
# White space beside the colon. Old kernels continue after a fold, and lose the character behind it.
_SPACE: Final = rb"(?>[ \t]*(?:%b[ \t]+)?)" % _NEWLINE
_OLD_SPACE: Final = rb"(?>(?: |%b[ \t]+(?![ \t])[\s\S])*)" % _NEWLINE

_DIGITS: Final = re.compile(rb"[0-9]*")
_WORD: Final = re.compile(rb"[%b]*" % _LETTERS)
_METHOD: Final = re.compile(rb"[%b]++[\s\S](?=[\s\S])" % _LETTERS)
_USER: Final = re.compile(rb"[^@\r\n]*+@")
_IPV4: Final = re.compile(rb"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(?![0-9A-Fa-f.])")
_IPV6: Final = re.compile(rb"[0-9A-Fa-f:.]+")
_LINE_END: Final = re.compile(rb"[\r\n]")
_STRTOUL: Final = re.compile(rb"0[xX][0-9A-Fa-f]+|0[0-7]*|[1-9][0-9]*")


class Found(NamedTuple):
    """Where a value stands, and the address in it; ``None`` if its port is an error."""

    offset: int
    end: int
    endpoint: Endpoint | None = None


class Number(NamedTuple):
    """A number and where it ends. Without a number, or if it is too large, ``end`` is where it begins."""

    value: int
    end: int


@dataclass(frozen=True)
class Marker:
    """Text to look for, in any letter case."""

    text: bytes
    pattern: re.Pattern[bytes]

    @classmethod
    def of(cls, text: bytes) -> Marker:
        return cls(text, re.compile(re.escape(text), re.IGNORECASE))


class Header:
    """A header that the kernel knows: its names, the marker before its address, and if a user may follow."""

    def __init__(self, name: bytes, compact: bytes, marker: bytes = b"", *, user: bool = False) -> None:
        self.marker = Marker.of(marker) if marker else None
        self.user = user
        full = re.escape(name)
        # A letter behind the compact form would make it another name. The first kernels test one byte too
        # far.
        short = rb"|%b(?=%b[^%b])"
        self._patterns = {
            (tabs, plain, far): re.compile(
                rb"%b(?:%b)(?>(?:%b:(?=[\s\S])(%b))?)"
                % (start, full + (short % (compact, skip, _LETTERS) if compact else b""), space, space),
                re.IGNORECASE,
            )
            for tabs, space in ((True, _SPACE), (False, _OLD_SPACE))
            for plain, start in ((True, rb"\n"), (False, _ANY_START))
            for far, skip in ((False, b""), (True, rb"[\s\S]"))
        }

    def finder(self, kernel: Kernel, plain: bool) -> Callable[[bytes, int], re.Match[bytes] | None]:
        """The function that searches for the header. ``plain``: every line of the payload ends by CRLF."""
        return self._patterns[kernel.tabs, plain, kernel.compact_needs_blank].search


CSEQ: Final = Header(b"CSeq", b"")
FROM: Final = Header(b"From", b"f", b"sip:", user=True)
TO: Final = Header(b"To", b"t", b"sip:", user=True)
CONTACT: Final = Header(b"Contact", b"m", b"sip:", user=True)
VIA_UDP: Final = Header(b"Via", b"v", b"UDP ")
VIA_TCP: Final = Header(b"Via", b"v", b"TCP ")
RECORD_ROUTE: Final = Header(b"Record-Route", b"", b"sip:", user=True)
ROUTE: Final = Header(b"Route", b"", b"sip:", user=True)
EXPIRES: Final = Header(b"Expires", b"")
CONTENT_LENGTH: Final = Header(b"Content-Length", b"l")

_SIP: Final = Marker.of(b"sip:")
_ANGLE: Final = Marker.of(b"<")
_COMMA: Final = Marker.of(b",")


class SdpLine:
    """A type of line of a session description. ``before_media``: the search stops at the next m= line."""

    def __init__(self, kind: bytes, *, before_media: bool = False) -> None:
        wanted = rb"(%b=)" % kind
        if before_media:
            wanted = rb"(?:m=|%b)" % wanted
        self.kind = kind
        self.plain = re.compile(rb"\n" + wanted, re.IGNORECASE)
        self.any = re.compile(_ANY_START + wanted, re.IGNORECASE)


VERSION: Final = SdpLine(b"v")
MEDIA: Final = SdpLine(b"m")
OWNER: Final = SdpLine(b"o", before_media=True)
CONNECTION: Final = SdpLine(b"c", before_media=True)


@lru_cache(maxsize=1024)
def _ipv4(text: bytes) -> str:
    """An address as connection tracking would print it; empty if a number is above 255."""
    numbers = [int(each[-8:]) if len(each.lstrip(b"0")) < 4 else 256 for each in text.split(b".")]
    return "" if max(numbers) > 255 else ".".join(map(str, numbers))


@lru_cache(maxsize=1024)
def _ipv6(text: bytes) -> str:
    try:
        return str(ipaddress.IPv6Address(text.decode("ascii")))
    except ValueError:
        return ""


class Payload:
    """The bytes that the ALG works on, and the kernel's ways to search them."""

    __slots__ = ("_plain", "data", "ipv6", "kernel")

    def __init__(self, data: bytes, kernel: Kernel, *, ipv6: bool = False) -> None:
        self.data = data
        self.kernel = kernel
        self.ipv6 = ipv6
        # If every line ends by CRLF, line starts are found faster. No edit changes line ends.
        ends = data.count(b"\r\n")
        self._plain = data.count(b"\n") == ends == data.count(b"\r")

    def replace(self, offset: int, end: int, text: bytes) -> None:
        """Put ``text`` in the place of the bytes from ``offset`` to ``end``."""
        self.data = b"".join((self.data[:offset], text, self.data[end:]))

    def starts(self, text: bytes) -> bool:
        """Whether the payload begins with ``text``, written in upper case here."""
        return self.data[: len(text)].upper() == text

    # -- within a line ------------------------------------------------------------------------

    def _fold(self, at: int, limit: int) -> int:
        """The offset behind the white space of the continuation line after the line end ``at``; -1: none."""
        data = self.data
        at += 1
        if at < limit and data[at - 1] == 13 and data[at] == 10:
            at += 1
        if at >= limit or data[at] not in b" \t":
            return -1
        while at < limit and data[at] in b" \t":
            at += 1
        return at

    def search(self, at: int, limit: int, marker: Marker) -> int:
        """Where ``marker`` stands in the value at ``at``, continuation lines included; -1: nowhere.

        As in the kernel, at least one byte must follow the marker, and the first character of a continuation
        line is skipped.
        """
        data = self.data
        last = limit - len(marker.text)
        while at < last:
            if self._plain and data[at] != 10:
                end = data.find(b"\r", at, last)
            else:
                ending = _LINE_END.search(data, at, last)
                end = ending.start() if ending else -1
            found = marker.pattern.search(data, at, end if end >= 0 else limit - 1)
            if found:
                return found.start()
            if end < 0:
                return -1
            at = self._fold(end, last) + 1
            if not at:
                return -1
        return -1

    def _address(self, at: int, limit: int, *, delimited: bool) -> tuple[str, int] | None:
        """A literal address and where it ends. ``delimited``: an IPv6 address must have brackets."""
        data = self.data
        if not self.ipv6:
            found = _IPV4.match(data, at, limit)
            ip = _ipv4(found[0]) if found else ""
            return (ip, found.end()) if found and ip else None
        if data[at : at + 1] == b"[":
            at += 1
        elif delimited:
            return None
        found = _IPV6.match(data, at, limit)
        ip = _ipv6(found[0]) if found and len(found[0]) < 46 else ""
        if not found or not ip:
            return None
        end = found.end()
        if data[end : end + 1] == b"]":
            return ip, end + 1
        return None if delimited else (ip, end)

    def _endpoint(self, at: int, limit: int, *, user: bool) -> Found | None:
        """The address and port at ``at``. ``user``: a user part may stand before them."""
        data = self.data
        if user:
            part = _USER.match(data, at, limit)
            if part:
                at = part.end()
        found = self._address(at, limit, delimited=True)
        if found is None:
            return None
        ip, end = found
        if data[end : end + 1] != b":":
            if end >= limit and self.kernel.hardened:
                return None
            return Found(at, end, Endpoint(ip, SIP_PORT))
        digits = _DIGITS.match(data, end + 1, limit)
        written = digits[0] if digits else b""
        end += 1 + len(written)
        port = int(written[-32:] or b"0")
        if self.kernel.hardened:
            if not 1 <= len(written) <= 5 or end >= limit or not 1024 <= port <= 65535:
                return None
            return Found(at, end, Endpoint(ip, port))
        port &= 0xFFFFFFFF
        return Found(at, end, Endpoint(ip, port) if 1024 <= port <= 65535 else None)

    def number(self, at: int, limit: int | None = None) -> Number:
        """The decimal number at ``at``."""
        found = _DIGITS.match(self.data, at, len(self.data) if limit is None else limit)
        text = found[0] if found else b""
        if not self.kernel.hardened:
            # The kernel keeps the lowest 32 bits. 10**32 is a multiple of 2**32, so the last digits decide.
            return Number(int(text[-32:] or b"0") & 0xFFFFFFFF, at + len(text))
        value = int(text) if 0 < len(text) < 12 else 1 << 32
        return Number(value, at + len(text)) if value < 1 << 32 else Number(0, at)

    # -- headers --------------------------------------------------------------------------------

    def header(self, header: Header, at: int = 0) -> Found | int:
        """The next header of that kind from ``at`` on; -1: there is none.

        If the header can't be read, returns the offset from which the search goes on.
        """
        found = header.finder(self.kernel, self._plain)(self.data, at)
        if found is None or found[1] is None:
            return -1  # a line that begins with the name, without a colon, ends the search
        limit = len(self.data)
        value = found.end()
        if value < limit and self.data[value] in b"\r\n":
            folded = b"\n" in found[1] or b"\r" in found[1]
            if not (folded and self.kernel.tabs):
                return -1
        if header.marker is None:
            digits = _DIGITS.match(self.data, value)
            return Found(value, digits.end()) if digits and digits[0] else value
        begin = value
        if self.kernel.angle_first and header is CONTACT:
            begin = max(begin, self.search(value, limit, _ANGLE))
        begin = self.search(begin, limit, header.marker)
        if begin < 0:
            return value
        return self._endpoint(begin + len(header.marker.text), limit, user=header.user) or value

    def _next_value(self, header: Header, at: int) -> Found | int:
        """Like ``header``, but for the next of several values separated by commas."""
        limit = len(self.data)
        assert header.marker is not None
        comma = self.search(at, limit, _COMMA)
        begin = self.search(comma, limit, header.marker) if comma >= 0 else -1
        if begin < 0:
            return -1
        begin += len(header.marker.text)
        return self._endpoint(begin, limit, user=header.user) or begin

    def uri(self, header: Header, at: int = 0, *, in_header: bool = False) -> Found | None:
        """The next header value of that kind whose address can be read.

        ``in_header``: ``at`` is inside such a header already, so its further values come first.
        """
        if in_header:
            found = self._next_value(header, at)
            while isinstance(found, int) and found >= 0:
                at = self._onwards(at, found)
                found = self._next_value(header, at)
            if not isinstance(found, int):
                return found
        found = self.header(header, at)
        while isinstance(found, int) and found >= 0:
            at = self._onwards(at, found)
            found = self.header(header, at)
        return None if isinstance(found, int) else found

    def _onwards(self, at: int, found: int) -> int:
        """Where the search goes on. Old kernels add ``at`` by mistake: ``found`` is an offset already."""
        return found if self.kernel.hardened else at + found

    def request_uri(self) -> Found | None:
        """The address in the request line; ``None`` if none can be read."""
        data = self.data
        limit = len(data)
        method = _METHOD.match(data)
        if method is None:
            return None
        begin = method.end()
        found = _SIP.pattern.search(data, begin, limit - 1)
        ending = _LINE_END.search(data, begin, found.start() if found else limit - 4)
        if found is None or ending:
            return None
        if self.kernel.uri_needs_user and _USER.match(data, found.end(), limit) is None:
            return None
        return self._endpoint(found.end(), limit, user=True)

    # -- parameters -------------------------------------------------------------------------------

    def _parameter(self, at: int, marker: Marker) -> tuple[int, int]:
        """Where the parameter's value begins (-1: no such parameter), and where the header value ends."""
        limit = self.search(at, len(self.data), _COMMA)
        if limit < 0:
            limit = len(self.data)
        begin = self.search(at, limit, marker)
        return (begin + len(marker.text) if begin >= 0 else -1), limit

    def text_parameter(self, at: int, marker: Marker) -> bytes | None:
        """The first three bytes of a parameter's value, in upper case; ``None`` without the parameter."""
        begin, _ = self._parameter(at, marker)
        return None if begin < 0 else self.data[begin : begin + 3].upper()

    def address_parameter(self, at: int, marker: Marker, *, delimited: bool) -> Found | None:
        """A parameter that holds an address (the port of the ``Endpoint`` is 0)."""
        begin, limit = self._parameter(at, marker)
        found = self._address(begin, limit, delimited=delimited) if begin >= 0 else None
        return Found(begin, found[1], Endpoint(found[0], 0)) if found else None

    def number_parameter(
        self, at: int, marker: Marker, limit: int | None = None
    ) -> tuple[int, Number] | None:
        """Where a parameter's number begins, and the number; ``None`` if there is no such parameter.

        If the number can't be read, it ends where it begins. ``limit``: where the parameters end, if not
        at the next comma.
        """
        if limit is None:
            begin, limit = self._parameter(at, marker)
        else:
            begin = self.search(at, limit, marker)
            begin += len(marker.text) if begin >= 0 else 0
        if begin < 0:
            return None
        if self.kernel.hardened:
            return begin, self.number(begin, limit)
        # Old kernels read numbers as C does: 0x10 is hexadecimal, and 010 is octal.
        found = _STRTOUL.match(self.data, begin)
        if found is None:
            return begin, Number(0, begin)
        # The kernel keeps the lowest 32 bits, so in any base the last digits decide.
        text = found[0]
        if text[1:2] in (b"x", b"X"):
            value = int(text[2:][-8:], 16)
        else:
            value = int(text[-32:], 8 if text[:1] == b"0" else 10)
        return begin, Number(value & 0xFFFFFFFF, found.end())

    # -- session descriptions ---------------------------------------------------------------------

    def sdp(self, line: SdpLine, at: int) -> int:
        """The offset behind the ``x=`` of the next such line from ``at`` on; -1: there is none."""
        found = (line.plain if self._plain else line.any).search(self.data, at)
        return found.end() if found and found[1] else -1

    def sdp_number(self, line: SdpLine, at: int) -> Found | None:
        """The number at the beginning of the next such line."""
        begin = self.sdp(line, at)
        digits = _DIGITS.match(self.data, begin) if begin >= 0 else None
        return Found(begin, digits.end()) if digits and digits[0] else None

    def sdp_address(self, line: SdpLine, at: int) -> Found | None:
        """The literal address in the next such line before the next m= line."""
        begin = self.sdp(line, at)
        if begin < 0:
            return None
        data = self.data
        limit = len(data)
        marker = b"IN IP6 " if self.ipv6 else b"IN IP4 "
        found = data.find(marker, begin, limit - 1)
        if found < 0 or _LINE_END.search(data, begin, found):
            return None
        begin = found + len(marker)
        address = self._address(begin, limit, delimited=False)
        if address is None:
            return None
        ip, end = address
        if self.kernel.sdp_port and data[end : end + 1] == b":":
            # These kernels read the colon and digits as a port.
            digits = _DIGITS.match(data, end + 1)
            end = digits.end() if digits else end
        return Found(begin, end, Endpoint(ip, 0))

    def sdp_media(self, at: int) -> Found | None:
        """Where the media type and port of the next m= line stand, as in ``audio 49170``."""
        begin = self.sdp(MEDIA, at)
        word = _WORD.match(self.data, begin) if begin >= 0 else None
        if word is None or self.data[word.end() : word.end() + 1] != b" ":
            return None
        digits = _DIGITS.match(self.data, word.end() + 1)
        return Found(begin, digits.end() if digits else word.end() + 1)
