"""What is wrong with a session description, judged by RFC 8866.

The rules of this file:

- ``sdp_findings`` yields ``(rule id, line, offset into the body, sentence)``, in no particular
  order; none means sound. It never raises.
- The caller has cut the body to Content-Length; bytes behind that are not judged.
- ``PLAIN_SDP`` matches only bodies in which ``sdp_findings`` finds nothing fatal. It also refuses
  much that is sound, such as IPv6; a body that it refuses is judged line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from siplab.lab.wire.headers import parameters
from siplab.lab.wire.syntax_fields import HOSTNAME, MAX_PORT, TOKEN, is_ip, is_ipv4, number_in, show

SdpFinding = tuple[str, str, int, str]
SdpFindings = Iterator[SdpFinding]

_SDP_TYPE: Final = b"application/sdp"
_SDP_PART: Final = re.compile(rb"(?im)^content-type[ \t]*:[ \t]*application/sdp(?=[ \t]*[;\r]|[ \t]*\Z)")
_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+\Z")
_TYPES: Final = b"vosiuepcbtrzkam"
# RFC 8866 section 5: time and repeat lines alternate, so they share a place.
_SESSION_ORDER: Final = {
    kind: at for at, kinds in enumerate(b"v o s i u ep c b trz k a".split()) for kind in kinds
}
_MEDIA_ORDER: Final = {kind: at for at, kind in enumerate(b"icbka")}
_ONCE_IN_SESSION: Final = b"vosiuc"
_ONCE_IN_MEDIA: Final = b"i"
_HOSTNAME: Final = re.compile(HOSTNAME)
_LOOKS_NUMERIC: Final = re.compile(rb"[0-9.]*|.*:.*", re.DOTALL)
_CONTROL: Final = re.compile(rb"[\x00\r]")

_OCTET: Final = rb"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
V4: Final = _OCTET + rb"(?:\." + _OCTET + rb"){3}"
PORT: Final = rb"(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"

_E: Final = rb"\r?\n"
_T: Final = rb"=[^\0\r\n]+" + _E
_C: Final = rb"c=IN IP4 " + V4 + _E
_A: Final = rb"a=(?:rtcp:" + PORT + rb"(?: IN IP4 " + V4 + rb")?|(?!rtcp:)[^\0\r\n]+)" + _E
PLAIN_SDP: Final = re.compile(
    rb"v=0" + _E + rb"o=[^ \0\r\n]+ \d+ \d+ IN IP4 " + V4 + _E + rb"s" + _T
    + rb"(?:i" + _T + rb")?(?:u" + _T + rb")?(?:[ep]" + _T + rb")*"
    + _C + rb"(?:[btrzk]" + _T + rb"|" + _A + rb")*"
    + rb"(?:m=" + TOKEN + rb"+ (?:0|" + PORT + rb") [A-Za-z0-9/]+(?: " + TOKEN + rb"+)+" + _E
    + rb"(?:i" + _T + rb")?(?:" + _C + rb")*(?:[bk]" + _T + rb"|" + _A + rb")*)*"
)  # fmt: skip


def descriptions(content_type: bytes, body: bytes) -> Iterator[tuple[int, bytes]]:
    """The session descriptions in a body, each with its offset.

    A description is the whole body, or a part of a multipart body (RFC 2046 section 5.1.1). A part without
    a delimiter behind it was cut off, and is left out. The line ending before a delimiter belongs to the
    delimiter. But many senders write no other one: then it counts as the description's last line ending.
    """
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == _SDP_TYPE:
        yield 0, body
    boundary = parameters(content_type).get(b"boundary", b"").strip(b'"')
    if not boundary or not kind.startswith(b"multipart/"):
        return
    line = rb"(?:\A|(?<=\n))--%b(--)?[ \t]*(?:\r?\n|\Z)" % re.escape(boundary)
    for one, two in pairwise(re.finditer(line, body)):
        if one[1]:
            return
        part = body[one.end() : two.start()]
        head, empty, description = part.partition(b"\r\n\r\n")
        if _SDP_PART.search(head):
            if description.endswith(b"\r\n\r\n"):
                description = description[:-2]
            yield one.end() + len(head) + len(empty), description


def sdp_findings(body: bytes) -> SdpFindings:
    """Judge a session description, already cut to its Content-Length."""
    session: list[tuple[int, int]] = []  # (type letter, offset) of the session part's lines
    part = session
    medias: list[tuple[int, list[tuple[int, int]]]] = []
    seen_lf = False
    for found in _LINE.finditer(body):
        at, raw = found.start(), found[0]
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        if raw[-1:] != b"\n":
            yield "sdp-line-unterminated", "SDP", at, f"The last line, `{show(line)}`, has no line ending."
        elif raw[-2:] != b"\r\n" and not seen_lf:
            seen_lf = True
            yield "sdp-bare-lf", "SDP", at + len(line), f"`{show(line)}` ends in LF, not CRLF."
        if not line:
            yield "sdp-empty-line", "SDP", at, "There is an empty line."
            continue
        kind, name = line[0], f"SDP {chr(line[0])}=" if line[:1].isalpha() else "SDP"
        if line[1:2] != b"=" or not line[:1].isalpha():
            yield "sdp-line-malformed", "SDP", at, f"`{show(line)}` is not `<type>=<value>`."
            continue
        if kind not in _TYPES:
            yield "sdp-type-unknown", name, at, f"`{show(line[:2])}` is no type of line."
            continue
        if line[0:1] == b"m":
            part = []
            medias.append((at, part))
        else:
            part.append((kind, at))
        control = _CONTROL.search(line)
        if control:
            yield (
                "sdp-control-character",
                name,
                at + control.start(),
                f"`{show(line)}` has a NUL or a lone CR.",
            )
            continue
        judge = _JUDGES.get(kind)
        if judge is not None:
            for rule, start, sentence in judge(line[2:]):
                yield rule, name, at + 2 + start, sentence
    yield from _order(session, medias)


def _order(session: list[tuple[int, int]], medias: list[tuple[int, list[tuple[int, int]]]]) -> SdpFindings:
    """Judge which lines there are, how often, and in which order."""
    kinds = {kind for kind, _ in session}
    head = [kind for kind in b"vos" if kind in kinds]
    for kind in b"vos":
        if kind not in head:
            yield "sdp-line-missing", f"SDP {chr(kind)}=", 0, f"There is no {chr(kind)}= line."
    if ord("t") not in kinds:
        yield "sdp-time-missing", "SDP t=", 0, "There is no t= line."
    yield from _sequence(session, _SESSION_ORDER, _ONCE_IN_SESSION, head)
    for at, lines in medias:
        yield from _sequence(lines, _MEDIA_ORDER, _ONCE_IN_MEDIA, [])
        if ord("c") not in kinds and all(kind != ord("c") for kind, _ in lines):
            yield (
                "sdp-connection-missing",
                "SDP c=",
                at,
                "Neither this media nor the session part has a c= line.",
            )


def _sequence(
    lines: list[tuple[int, int]], order: dict[int, int], once: bytes, head: list[int]
) -> SdpFindings:
    first: list[tuple[int, int]] = []
    seen: set[int] = set()
    for kind, at in lines:
        if kind in seen and kind in once:
            yield "sdp-line-repeated", f"SDP {chr(kind)}=", at, f"There is a second {chr(kind)}= line."
        else:
            first.append((kind, at))
        seen.add(kind)
    for (kind, at), expected in zip(first, head, strict=False):
        if kind != expected:
            name = chr(expected)
            yield "sdp-head-order", f"SDP {chr(kind)}=", at, f"{chr(kind)}= stands where {name}= belongs."
            return
    place = 0
    for kind, at in first:
        here = order.get(kind, -1)
        if here < place:
            yield "sdp-line-order", f"SDP {chr(kind)}=", at, f"{chr(kind)}= stands behind its place."
            return
        place = here


# -- single lines: value without the type letter -> (rule, offset into the value, sentence) --------

_Findings = Iterator[tuple[str, int, str]]


def _address(words: list[bytes], at: int, *, multicast: bool = False) -> _Findings:
    """Judge the last three fields of an o= or c= line; ``at``: their offset."""
    network, kind, address = words
    if network != b"IN" or kind not in (b"IP4", b"IP6"):
        return  # other networks have addresses of their own
    at += len(network) + len(kind) + 2
    if multicast:
        address = address.partition(b"/")[0]
    if is_ip(address):
        if is_ipv4(address) != (kind == b"IP4"):
            yield "sdp-address-type-mismatch", at, f"`{show(address)}` is no {show(kind)} address."
    elif _LOOKS_NUMERIC.fullmatch(address) or not _HOSTNAME.fullmatch(address.replace(b"_", b"x")):
        yield "sdp-address-malformed", at, f"`{show(address)}` is no IP address and no domain name."


def _version(value: bytes) -> _Findings:
    if value != b"0":
        yield "sdp-version", 0, f"The version is `{show(value)}`, not 0."


def _origin(value: bytes) -> _Findings:
    words = value.split(b" ")
    if len(words) != 6 or not all(words) or not words[1].isdigit() or not words[2].isdigit():
        yield "sdp-origin-malformed", 0, f"`{show(value)}` is not the six fields of an origin."
        return
    at = len(words[0]) + 1
    for number in words[1:3]:
        if not number_in(number, 0, 2**63 - 1):
            yield "sdp-origin-out-of-range", at, f"`{show(number)}` needs more than 64 bits, signed."
        at += len(number) + 1
    _, _, _, network, kind, address = words
    if kind == b"IP6" and address[:1] + address[-1:] == b"[]" and is_ip(address[1:-1]):
        at += len(network) + len(kind) + 2
        yield "sdp-origin-brackets", at, f"`{show(address)}` has brackets."
    else:
        yield from _address(words[3:], at)


def _session_name(value: bytes) -> _Findings:
    if not value:
        yield "sdp-session-name-empty", 0, "The session name is empty."


def _connection(value: bytes) -> _Findings:
    words = value.split(b" ")
    if len(words) != 3 or not all(words):
        yield "sdp-connection-malformed", 0, f"`{show(value)}` is not network, type and address."
    else:
        yield from _address(words, 0, multicast=True)


def _media(value: bytes) -> _Findings:
    words = value.split(b" ")
    if len(words) < 4 or not all(words):
        yield "sdp-media-malformed", 0, f"`{show(value)}` is not media, port, protocol and formats."
        return
    port, slash, count = words[1].partition(b"/")
    at = len(words[0]) + 1
    if not port.isdigit() or (slash and not count.isdigit()):
        yield "sdp-media-malformed", at, f"`{show(words[1])}` is no port."
    elif not number_in(port, 0, MAX_PORT):
        yield "sdp-media-port-out-of-range", at, f"`{show(port)}` is no port number from 0 to 65535."


def _attribute(value: bytes) -> _Findings:
    name, _, text = value.partition(b":")
    judge = _ATTRIBUTES.get(name)
    if judge is not None:
        for rule, at, sentence in judge(text):
            yield rule, len(name) + 1 + at, sentence


def _rtcp(text: bytes) -> _Findings:
    words = text.split(b" ")
    if len(words) not in (1, 4) or not all(words) or not number_in(words[0], 0, MAX_PORT):
        yield "sdp-rtcp-malformed", 0, f"`{show(text)}` is no port, nor a port and an address."
    elif len(words) == 4:
        yield from _address(words[1:], len(words[0]) + 1)


def _candidate(text: bytes) -> _Findings:
    words = text.split(b" ")
    sound = (
        len(words) >= 8
        and words[6] == b"typ"
        and number_in(words[1], 1, 256)
        and number_in(words[3], 0, 2**32 - 1)
        and number_in(words[5], 0, MAX_PORT)
        and not any(True for _ in _address([b"IN", b"IP6" if b":" in words[4] else b"IP4", words[4]], 0))
    )
    if not sound:
        yield "sdp-candidate-malformed", 0, f"`{show(text)}` is no candidate."


_JUDGES: Final = {
    ord("v"): _version,
    ord("o"): _origin,
    ord("s"): _session_name,
    ord("c"): _connection,
    ord("m"): _media,
    ord("a"): _attribute,
}
_ATTRIBUTES: Final = {b"rtcp": _rtcp, b"candidate": _candidate}
