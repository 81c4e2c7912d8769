"""Which rule a SIP message breaks.

The rules of this file:

- ``check`` finds every violation, ``first_fatal`` the first that a strict endpoint would not
  accept, ``first`` the first that a given endpoint would not. None raises, whatever the bytes. They agree:
  ``first_fatal`` is the first violation in ``check``'s list that is no warning, or ``None``.
- ``first_fatal`` judges every message that a phone or server receives, so a well-formed one must
  cost next to nothing. The ``_PLAIN`` expressions accept the usual spelling of each header field;
  only fields that they refuse are read in detail. They may refuse a sound field, and they may
  accept one with a warning, but they must never accept what ``check`` calls fatal.
- Offsets are computed for violations only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from siplab.lab.counting import number_of
from siplab.lab.wire.headers import name_addr
from siplab.lab.wire.sip import LONGEST_REMEMBERED, MOST_REMEMBERED, Field, SipMessage
from siplab.lab.wire.syntax_fields import HOSTNAME, TOKEN, field_findings, show, uri_findings
from siplab.lab.wire.syntax_rules import RULES, Rule, Severity
from siplab.lab.wire.syntax_sdp import PLAIN_SDP, PORT, V4, descriptions, sdp_findings

__all__ = ["RULES", "Rule", "Severity", "Violation", "check", "first", "first_fatal", "is_fatal"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule broken in one place.

    ``header`` names the place for a reader (``Via``, ``start line``, ``SDP m=``; empty for the whole
    message); ``offset`` counts bytes into the message. Something missing is reported at the
    beginning of the part that should have it.
    """

    rule: str
    reference: str
    header: str
    offset: int
    sentence: str

    @property
    def severity(self) -> Severity:
        return RULES[self.rule].severity


_START_LINE: Final = "start line"
_MANDATORY: Final = (b"via", b"from", b"to", b"call-id", b"cseq")
# 7.3.1 allows only comma-separated lists to be repeated. These are the single values that matter in a call.
_SINGLE: Final = frozenset(
    {
        b"from", b"to", b"call-id", b"cseq", b"max-forwards", b"content-length", b"content-type", b"expires",
        b"min-expires", b"content-disposition", b"event", b"refer-to", b"referred-by", b"replaces",
        b"reply-to", b"session-expires", b"min-se", b"rseq", b"rack", b"subscription-state",
    }
)  # fmt: skip
_SPELLED: Final = {
    b"call-id": "Call-ID",
    b"cseq": "CSeq",
    b"rseq": "RSeq",
    b"rack": "RAck",
    b"min-se": "Min-SE",
}
# Transports without message boundaries. WebSocket frames messages itself (RFC 7118).
_STREAMS: Final = frozenset({"tcp", "tls"})

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_NOT_TOKEN: Final = re.compile(rb"[^A-Za-z0-9\-.!%*_+`'~]")
_WHITE: Final = re.compile(rb"[\x00-\x20\x7f]")
_VERSION: Final = re.compile(rb"SIP/\d+\.\d+", re.IGNORECASE)


def spelled(name: bytes) -> str:
    """A canonical header name as people write it: ``b"call-id"`` gives ``Call-ID``."""
    return _SPELLED.get(name) or show(b"-".join([part.capitalize() for part in name.split(b"-")]))


class _Report:
    """Collects violations of one message."""

    def __init__(self, message: SipMessage, transport: str) -> None:
        self.message = message
        self.transport = transport
        self.violations: list[Violation] = []
        self.top = len(message.prefix)
        self.method = b""
        self.status = 0

    def add(self, rule: str, header: str, offset: int, sentence: str) -> None:
        self.violations.append(Violation(rule, RULES[rule].reference, header, offset, sentence))

    # -- start line -------------------------------------------------------------------

    def start_line(self) -> bool:
        """Judge the start line; returns whether the rest is worth judging."""
        line = self.message.start_line.removesuffix(b"\n").removesuffix(b"\r")
        if line[:4].upper() == b"SIP/":
            return self._status_line(line)
        method, _, rest = line.partition(b" ")
        uri, _, version = rest.rpartition(b" ")
        if not method or not uri.strip() or not _VERSION.fullmatch(version) or b"\n" in line:
            self._start("start-line-malformed", 0, f"`{show(line)}` is no start line of SIP.")
            return self.message.is_request
        self._version(version, len(line) - len(version))
        illegal = _NOT_TOKEN.search(method)
        if illegal:
            self._start("method-malformed", illegal.start(), f"`{show(method)}` is no method.")
        else:
            self.method = method
        at = len(method) + 1
        if uri[:1] == b" " or uri[-1:] == b" ":
            self._start("start-line-malformed", at, "More than one space surrounds the Request-URI.")
        elif (white := _WHITE.search(uri)) or uri[:1] == b"<":
            where = white.start() if white else 0
            self._start("request-uri-malformed", at + where, f"`{show(uri)}` may not stand there as it is.")
        else:
            for rule, start, sentence in uri_findings(uri, headers=False):
                self._add_in("Request-URI", rule, at + start, sentence)
        return True

    def _status_line(self, line: bytes) -> bool:
        version, _, rest = line.partition(b" ")
        code, space, _ = rest.partition(b" ")
        if not _VERSION.fullmatch(version) or not code.isdigit() or not space or b"\n" in line:
            self._start("start-line-malformed", 0, f"`{show(line)}` is no status line.")
            self.status = self.message.status or 0
            return True
        self._version(version, 0)
        if len(code) != 3 or not b"100" <= code < b"700":
            self._start("status-code-out-of-range", len(version) + 1, f"The status code is {show(code)}.")
        else:
            self.status = int(code)
        return True

    def _version(self, version: bytes, at: int) -> None:
        if version.upper() != b"SIP/2.0":
            self._start("sip-version-unsupported", at, f"The version is `{show(version)}`.")
        elif version != b"SIP/2.0":
            self._start("sip-version-lower-case", at, f"The version is spelled `{show(version)}`.")

    def _start(self, rule: str, at: int, sentence: str) -> None:
        self._add_in(_START_LINE, rule, at, sentence)

    def _add_in(self, header: str, rule: str, at: int, sentence: str) -> None:
        self.add(rule, header, self.top + at, sentence)

    # -- header fields ------------------------------------------------------------------

    def fields(self) -> None:
        """Judge each field by itself, and whether fields are missing or repeated."""
        message = self.message
        seen: dict[bytes, int] = {}
        sound: set[bytes] = set()
        stars: list[int] = []
        at = self.top + len(message.start_line)
        for field in message.fields:
            name = field.name
            label = spelled(name)
            seen[name] = seen.get(name, 0) + 1
            if seen[name] == 2 and name in _SINGLE:
                self.add("header-repeated", label, at, f"There is a second {label}.")
            broken = False
            for rule, start, sentence in field_findings(field):
                broken = True
                self.add(rule, label, at + start, sentence)
            if not broken:
                sound.add(name)
            if name == b"contact" and field.value == b"*":
                stars.append(at + field.value_offset)
            at += len(field.raw)
        self._stars(stars)
        for name in _MANDATORY:
            if name not in seen:
                self._add_in(spelled(name), name.decode() + "-missing", 0, f"There is no {spelled(name)}.")
        self._between(seen, sound)

    def _between(self, seen: dict[bytes, int], sound: set[bytes]) -> None:
        """Rules that need more than one field: method, status and what goes with them."""
        message = self.message
        words = message.value(b"cseq").split() if b"cseq" in sound else []
        if len(words) < 2:  # the sound CSeq is not the first one
            words = []
        if self.method:
            if b"max-forwards" not in seen:
                self._add_in("Max-Forwards", "max-forwards-missing", 0, "There is no Max-Forwards.")
            if words and words[1] != self.method:
                field = message.get(b"cseq")
                assert field is not None
                offset = message.offset_of(field) + field.value_offset + field.value.index(words[1], 1)
                sentence = f"CSeq says {show(words[1])}, the request is {show(self.method)}."
                self.add("cseq-method-mismatch", "CSeq", offset, sentence)
        method = self.method or (words[1] if words else b"")
        if method == b"INVITE" and b"contact" not in seen and (self.method or 200 <= self.status < 300):
            self._add_in("Contact", "contact-missing", 0, "There is no Contact.")
        if b"from" in sound:
            self._tag(b"from", "from-tag-missing")
        if b"to" in sound and self.status > 100:
            self._tag(b"to", "to-tag-missing")

    def _tag(self, name: bytes, rule: str) -> None:
        field = self.message.get(name)
        if field is not None and not name_addr(field.value).parameters.get(b"tag"):
            offset = self.message.offset_of(field) + field.value_offset
            self.add(rule, spelled(name), offset, f"The {spelled(name)} has no tag.")

    def _stars(self, offsets: list[int]) -> None:
        message = self.message
        alone = self.method == b"REGISTER" and len(message.all(b"contact")) == 1
        for offset in offsets:
            if not alone:
                self.add("contact-star-misused", "Contact", offset, "`*` stands where no registration ends.")
            elif message.value(b"expires").strip(b"0") or not message.value(b"expires"):
                self.add("contact-star-misused", "Contact", offset, "`*` goes with `Expires: 0` only.")

    # -- framing and body ------------------------------------------------------------------

    def framing(self) -> None:
        message = self.message
        end = message.body_offset
        lone = _BARE_LF.search(bytes(message), self.top, end)
        if lone:
            self.add("bare-lf", "", lone.start(), "A line ends in LF, not CRLF.")
        if not message.separator:
            self.add("blank-line-missing", "", end, "No empty line ends the header fields.")

    def body(self) -> None:
        message = self.message
        body, at = message.body, message.body_offset
        field = message.get(b"content-length")
        if field is None:
            if self.transport in _STREAMS:
                self._add_in("Content-Length", "content-length-missing", 0, "There is no Content-Length.")
        elif field.value.isdigit():
            digits = field.value.lstrip(b"0") or b"0"
            length = int(digits[:12])  # no packet is that long, so more digits change nothing
            if length != len(body):
                large = length > len(body)
                rule = "content-length-too-large" if large else "content-length-too-small"
                sentence = f"Content-Length says {show(digits)}, the body has {number_of(len(body), 'byte')}."
                self.add(rule, "Content-Length", message.offset_of(field) + field.value_offset, sentence)
                body = body[:length]
        if not body:
            return
        kind = message.get(b"content-type")
        if kind is None and field is None and not body.strip(b"\r\n"):
            self.add("empty-line-repeated", "", at, "More than one empty line ends the header fields.")
        elif kind is None:
            self.add("content-type-missing", "Content-Type", at, "There is a body, and no Content-Type.")
        else:
            for begins, description in descriptions(kind.value, body):
                for rule, name, start, sentence in sdp_findings(description):
                    self.add(rule, name, at + begins + start, sentence)


def check(message: SipMessage, *, transport: str = "udp") -> list[Violation]:
    """Every violation, in the order of the message. ``transport`` is ``udp``, ``tcp``, ``tls`` or ``ws``.

    If the start line is not SIP's, nothing behind it is judged.
    """
    report = _Report(message, transport)
    if report.start_line():
        report.fields()
        report.framing()
        report.body()
    return sorted(report.violations, key=lambda violation: violation.offset)


# -- the quick way ---------------------------------------------------------------------------

_HOST_PORT: Final = rb"(?:" + V4 + rb"|" + HOSTNAME + rb")(?::" + PORT + rb")?"
_URI: Final = (
    rb"sips?:(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/][A-Za-z0-9\-_.!~*'()&=+$,;?/:]*+@)?" + _HOST_PORT
    + rb"(?:;[A-Za-z0-9\-_.!~*'()\[\]/:&+$][A-Za-z0-9\-_.!~*'()\[\]/:&+$=]*+)*+"
)  # fmt: skip
_QUOTED: Final = rb"\"[^\"\\\x00-\x1f\x7f]*+\""
_ADDRESS: Final = (
    rb"(?:" + _QUOTED + rb" *+|(?:" + TOKEN + rb"++ ++)*+" + rb")<" + _URI + rb">"
    + rb"(?:;" + TOKEN + rb"+(?:=(?:" + TOKEN + rb"+|" + _QUOTED + rb"))?)*"
)  # fmt: skip
_LIST: Final = _ADDRESS + rb"(?: *, *" + _ADDRESS + rb")*"
_VIA: Final = (
    rb"SIP/2\.0/" + TOKEN + rb"+ +" + _HOST_PORT
    + rb"(?:;(?:branch=" + TOKEN + rb"+|rport(?:=" + PORT + rb")?|received=" + V4
    + rb"|[A-QS-Za-qs-z]" + TOKEN + rb"*(?:=" + TOKEN + rb"+)?))*"
)  # fmt: skip
_WORD: Final = rb"[A-Za-z0-9\-.!%*_+`'~()<>:\\\"/\[\]?{}]"

_Accept = Callable[[bytes], re.Match[bytes] | None]


def _plain(value: bytes) -> _Accept:
    # The name need not be checked: the field was looked up by it.
    return re.compile(rb"[^:]*:[ \t]*" + value + rb"[ \t]*\r?\n").fullmatch


# name -> (expression, bit that says it was there, the same bit when it may be there once only)
_FORMS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"via", _VIA),
    (b"from", _ADDRESS),
    (b"to", _ADDRESS),
    (b"call-id", _WORD + rb"+(?:@" + _WORD + rb"+)?"),
    (b"cseq", rb"(\d{1,9}) (" + TOKEN + rb"+)"),
    (b"contact", _LIST),
    (b"content-length", rb"(\d{1,9})"),
    (b"content-type", rb"(" + TOKEN + rb"+/" + TOKEN + rb"+)"),
    (b"max-forwards", rb"\d{1,2}"),
    (b"expires", rb"\d{1,9}"),
    (b"route", _LIST),
    (b"record-route", _LIST),
    (b"path", _LIST),
    (b"service-route", _LIST),
    (b"p-asserted-identity", _LIST),
    (b"reply-to", _ADDRESS),
    (b"refer-to", _ADDRESS),
)
_PLAIN: Final[dict[bytes, tuple[_Accept, int, int]]] = {
    name: (_plain(form), 1 << at, 1 << at if name in _SINGLE else 0) for at, (name, form) in enumerate(_FORMS)
}
for _at, _name in enumerate(sorted(_SINGLE - _PLAIN.keys()), len(_PLAIN)):
    _PLAIN[_name] = (_plain(rb"[^\x00-\x08\x0a-\x1f\x7f]*"), 1 << _at, 1 << _at)
_PLAIN_OTHER: Final = re.compile(TOKEN + rb"+[ \t]*:[^\x00-\x08\x0a-\x1f\x7f]*\r?\n").fullmatch
_PLAIN_REQUEST: Final = re.compile(rb"(" + TOKEN + rb"+) " + _URI + rb" SIP/2\.0\r?\n").fullmatch
_PLAIN_STATUS: Final = re.compile(rb"SIP/2\.0 ([1-6]\d\d) [^\n]*\n").fullmatch

_ALL_MANDATORY: Final = sum(_PLAIN[name][1] for name in _MANDATORY)
_CONTACT: Final = _PLAIN[b"contact"][1]
_CSEQ: Final = _PLAIN[b"cseq"][1]
_LENGTH: Final = _PLAIN[b"content-length"][1]
_TYPE: Final = _PLAIN[b"content-type"][1]
_CAPTURED: Final = _CSEQ | _LENGTH | _TYPE


# Lines that were accepted, with their bits as in _PLAIN, and the part that other rules need.
ACCEPTED: Final[dict[bytes, tuple[int, int, bytes | None]]] = {}


def _is_plain(message: SipMessage, transport: str) -> bool:
    """Whether the message is in the usual spelling, in which nothing fatal can hide."""
    start_line = message.start_line
    response = None
    request = _PLAIN_REQUEST(start_line)
    if request is None:
        response = _PLAIN_STATUS(start_line)
        if response is None:
            return False
    seen = 0
    method = media_type = b""
    length = -1
    for field in message.fields:
        raw = field.raw
        known = ACCEPTED.get(raw)  # most lines of a message were already in the message before it
        if known is not None:
            bit, once, captured = known
            if seen & once:
                return False
            seen |= bit
            if captured is None:
                continue
        else:
            plain = _PLAIN.get(field.name)
            if plain is None:
                if _PLAIN_OTHER(raw) is not None:
                    _remember(raw, 0, 0, None)
                elif _is_broken(field):
                    return False
                continue
            accept, bit, once = plain
            if seen & once:
                return False
            seen |= bit
            found = accept(raw)
            if found is None:
                # Values that the rules between fields need must have been read.
                if bit & _CAPTURED or _is_broken(field) or (bit == _CONTACT and field.value == b"*"):
                    return False
                continue
            captured = found[2 if bit == _CSEQ else 1] if bit & _CAPTURED else None
            _remember(raw, bit, once, captured)
            if captured is None:
                continue
        if bit == _CSEQ:
            method = captured
        elif bit == _LENGTH:
            length = int(captured)
        else:
            media_type = captured
    if seen & _ALL_MANDATORY != _ALL_MANDATORY or not message.separator:
        return False
    if request is not None and request[1] != method:
        return False
    if method == b"INVITE" and not seen & _CONTACT and (response is None or response[1][:1] == b"2"):
        return False
    body = message.body
    if length < 0:
        if transport in _STREAMS:
            return False
    elif length != len(body):
        if length > len(body):
            return False
        body = body[:length]
    if body:
        if not media_type:
            return False
        if media_type[:10].lower() == b"multipart/":
            return False
        if media_type.lower() == b"application/sdp" and PLAIN_SDP.fullmatch(body) is None:
            return all(RULES[rule].severity == "warning" for rule, _, _, _ in sdp_findings(body))
    return True


def _remember(line: bytes, bit: int, once: int, captured: bytes | None) -> None:
    if len(line) <= LONGEST_REMEMBERED:
        if len(ACCEPTED) >= MOST_REMEMBERED:
            ACCEPTED.clear()
        ACCEPTED[line] = bit, once, captured


def _is_broken(field: Field) -> bool:
    return any(RULES[rule].severity != "warning" for rule, _, _ in field_findings(field))


def first_fatal(message: SipMessage, *, transport: str = "udp") -> Violation | None:
    """The first violation for which a strict endpoint answers 400 or discards, or ``None``."""
    return first(message, is_fatal, transport=transport)


def is_fatal(violation: Violation) -> bool:
    """Whether a strict endpoint answers 400 or discards the message because of it."""
    return violation.severity != "warning"


def first(
    message: SipMessage, minds: Callable[[Violation], bool], *, transport: str = "udp"
) -> Violation | None:
    """The first violation for which ``minds`` is true, or ``None``; warnings may go unnoticed."""
    if _is_plain(message, transport):
        return None
    return next((each for each in check(message, transport=transport) if minds(each)), None)
