"""What is wrong with one header field, one URI or one host, judged by RFC 3261's grammar.

The rules of this file:

- A judge is a function that takes text and yields findings ``(rule id, offset into that text,
  sentence)``, in the order of the text; none means sound. No judge raises, and none takes more
  than linear time.
- A judge stops at the part that it can't read, so that one mistake gives one finding, not ten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from siplab.lab.wire.headers import mask_quoted, split_list
from siplab.lab.wire.ip import is_address
from siplab.lab.wire.sip import Field

Finding = tuple[str, int, str]
Findings = Iterator[Finding]

TOKEN: Final = rb"[A-Za-z0-9\-.!%*_+`'~]"
_WORD: Final = rb"[A-Za-z0-9\-.!%*_+`'~()<>:\\\"/\[\]?{}]"
MAX_PORT: Final = 0xFFFF

_NOT_TOKEN: Final = re.compile(rb"[^A-Za-z0-9\-.!%*_+`'~]")
# A backslash matches together with the next character, so an escaped control character does not count.
_CONTROL: Final = re.compile(rb"\\[\x00-\x09\x0b\x0c\x0e-\x7f]|([\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n))")
_VIA_PROTOCOL: Final = re.compile(rb"\s*([^\s/]+)\s*/\s*([^\s/]+)\s*/\s*(" + TOKEN + rb"+)(?=\s|\Z)\s*")
_PARAMETER: Final = re.compile(
    rb"\s*;\s*(" + TOKEN + rb"+)"
    rb"(?:\s*(=)\s*(\"(?:[^\"\\]|\\.)*\"|\[[0-9A-Fa-f:.]*\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+|" + TOKEN + rb"*))?",
    re.DOTALL,
)
_DISPLAY_NAME: Final = re.compile(
    rb"\s*(?:\"(?:[^\"\\]|\\.)*\"|" + TOKEN + rb"+(?:\s+" + TOKEN + rb"+)*)?\s*", re.DOTALL
)
_SCHEME: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*):")
_URI_ILLEGAL: Final = re.compile(rb"[^A-Za-z0-9\-_.!~*'();/?:@&=+$,%\[\]]|%(?![0-9A-Fa-f]{2})")
_OTHER_URI_ILLEGAL: Final = re.compile(rb"[^\x21\x23-\x3b\x3d\x3f-\x7e]")
_AFTER_HOST: Final = re.compile(rb"[;?]")
_HOST_END: Final = re.compile(rb"[:\s]|\Z")
_PORT: Final = re.compile(rb"\s*:\s*(\d*)")
_PORT_AT_END: Final = re.compile(rb"(?<=[A-Za-z0-9.\]]):\d+\Z")
_NAKED_IPV6: Final = re.compile(rb"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")
# The grammar of RFC 3261 25.1 as printed puts a third colon before an IPv4 address.
_THREE_COLONS: Final = re.compile(rb"(?<!:):::(?=\d+\.)")
_LABEL: Final = rb"[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?"
HOSTNAME: Final = rb"(?:" + _LABEL + rb"\.)*[A-Za-z](?:[A-Za-z0-9\-]*[A-Za-z0-9])?\.?"
_HOSTNAME: Final = re.compile(HOSTNAME)
_NUMERIC: Final = re.compile(rb"[0-9.]+")
_QUAD: Final = re.compile(rb"\d{1,3}(?:\.\d{1,3}){3}")
_CALL_ID: Final = re.compile(_WORD + rb"+(?:@" + _WORD + rb"+)?")
_CALL_ID_ILLEGAL: Final = re.compile(rb"[^A-Za-z0-9\-.!%*_+`'~()<>:\\\"/\[\]?{}@]|@(?=[^@]*@)")
_CSEQ: Final = re.compile(rb"(\d+)\s+(" + TOKEN + rb"+)")
_MEDIA_TYPE: Final = re.compile(TOKEN + rb"+\s*/\s*" + TOKEN + rb"+")
_BLANK: Final = b" \t\r\n"
_COOKIE: Final = b"z9hG4bK"


def show(text: bytes) -> str:
    """Bytes of the wire, fit for a sentence."""
    if len(text) > 48:
        text = text[:45] + b"..."
    return text.decode("latin-1").encode("unicode_escape").decode("ascii")


def number_in(digits: bytes, lowest: int, highest: int) -> bool:
    """Whether the text is a decimal number in that range, however long it is."""
    if not digits.isdigit():
        return False
    digits = digits.lstrip(b"0") or b"0"
    return len(digits) <= 20 and lowest <= int(digits) <= highest


@lru_cache(maxsize=1024)
def _is_ipv6(text: bytes) -> bool:
    return b":" in text and b"%" not in text and is_address(text.decode("ascii", "replace"))


def is_ip(text: bytes) -> bool:
    """Whether the text is an IPv4 or IPv6 address, without brackets or zone."""
    return is_ipv4(text) or _is_ipv6(text)


def is_ipv4(text: bytes) -> bool:
    """Whether the text is an IPv4 address; leading zeros are allowed, as RFC 3261 25.1 does."""
    return _QUAD.fullmatch(text) is not None and all(int(part) < 256 for part in text.split(b"."))


# -- hosts and URIs ----------------------------------------------------------------------------


def host_findings(host: bytes) -> Findings:
    """Judge a host that is no IPv6 reference."""
    if not host:
        yield "host-malformed", 0, "There is no host."
    elif _NUMERIC.fullmatch(host):
        if not _QUAD.fullmatch(host):
            yield "host-malformed", 0, f"`{show(host)}` is no IPv4 address and no domain name."
        elif not is_ipv4(host):
            yield "ipv4-octet-out-of-range", 0, f"`{show(host)}` has a part above 255."
    else:
        plain = host.replace(b"_", b"x")
        if not _HOSTNAME.fullmatch(plain):
            yield "host-malformed", 0, f"`{show(host)}` is no domain name."
        elif plain != host:
            yield "host-underscore", host.index(b"_"), f"The domain name `{show(host)}` has an underscore."


def host_port_findings(text: bytes, port_rule: str, semicolon_rule: str) -> Findings:
    """Judge ``host [":" port]``. What follows the port can only be a parameter without its ``;``."""
    if text[:1] == b"[":
        close = text.find(b"]")
        if close < 0:
            yield "ipv6-reference-unclosed", 0, f"`{show(text)}` has no closing bracket."
            return
        if _is_ipv6(_THREE_COLONS.sub(b"::", text[1:close])):
            if _THREE_COLONS.search(text, 1, close):
                yield "ipv6-three-colons", 1, f"`{show(text[1:close])}` has a colon too many."
        else:
            yield "ipv6-address-invalid", 1, f"`{show(text[1:close])}` is no IPv6 address."
        at = close + 1
    else:
        if _NAKED_IPV6.match(text):
            yield "ipv6-brackets-missing", 0, f"`{show(text)}` is an IPv6 address without brackets."
            return
        at = _HOST_END.search(text).start()  # type: ignore[union-attr]  # \Z always matches
        yield from host_findings(text[:at])
    port = _PORT.match(text, at)
    if port:
        at = port.end()
        if not number_in(port[1], 1, MAX_PORT):
            yield port_rule, port.start(1), f"`{show(port[1])}` is no port number from 1 to 65535."
    rest = text[at:].lstrip(_BLANK)
    if rest:
        yield semicolon_rule, len(text) - len(rest), f"`{show(rest)}` follows host and port without a `;`."


def uri_findings(uri: bytes, *, headers: bool = True, port: bool = True) -> Findings:
    """Judge a URI without angle brackets (RFC 3261 19.1); if it is no SIP URI, only its characters.

    ``headers`` and ``port`` say whether a URI in this place may have them (Table 1 in 19.1.2).
    """
    scheme = _SCHEME.match(uri)
    if not scheme:
        yield "uri-malformed", 0, f"`{show(uri)}` is no URI: it has no scheme." if uri else "There is no URI."
        return
    is_sip = scheme[1].lower() in (b"sip", b"sips")
    illegal = (_URI_ILLEGAL if is_sip else _OTHER_URI_ILLEGAL).search(uri, scheme.end())
    if illegal:
        yield "uri-malformed", illegal.start(), f"`{show(illegal[0])}` may not stand in a URI as it is."
        return
    if not is_sip:
        if scheme.end() == len(uri):
            yield "uri-malformed", 0, f"`{show(uri)}` has nothing behind the scheme."
        return
    at_sign = uri.find(b"@")
    begin = at_sign + 1 if at_sign >= 0 else scheme.end()
    user = uri[scheme.end() : at_sign] if at_sign >= 0 else b""
    if at_sign == scheme.end() or user[:1] == b":" or b"[" in user or b"]" in user:
        yield "uri-malformed", scheme.end(), f"`{show(user)}` is no user name."
    if b"@" in uri[begin:]:
        yield "uri-malformed", uri.index(b"@", begin), "The URI has a second `@`."
        return
    tail = _AFTER_HOST.search(uri, begin)
    end = tail.start() if tail else len(uri)
    for rule, at, sentence in host_port_findings(
        uri[begin:end], "uri-port-out-of-range", "uri-missing-semicolon"
    ):
        port = True  # something worse is reported already
        yield rule, begin + at, sentence
    if not port and (written := _PORT_AT_END.search(uri, begin, end)):
        yield "uri-port-not-allowed", written.start(), f"`{show(written[0])}` may not stand in this URI."
    if not headers and (asked := uri.find(b"?", end)) >= 0:
        yield "uri-headers-not-allowed", asked, f"`{show(uri[asked:])}` may not stand in this URI."
    at = end
    for piece in uri[end:].partition(b"?")[0].split(b";")[1:]:
        if not piece or piece[:1] == b"=":
            yield "uri-malformed", at, "A URI parameter has no name."
            return
        at += 1 + len(piece)


# -- header values -----------------------------------------------------------------------------


class _Parameter(NamedTuple):
    name: bytes
    value: bytes
    value_at: int


def _parameters(text: bytes, at: int) -> tuple[list[_Parameter], int]:
    """The parameters from ``at`` on, and where reading them stopped; -1 when all was read."""
    found: list[_Parameter] = []
    while each := _PARAMETER.match(text, at):
        name, value = each[1].lower(), each[3] or b""
        if each[2] and not value:
            return found, each.start(1)
        # An IPv6 address without brackets is allowed in one place (RFC 3261 25.1, via-received).
        if b":" in value and value[:1] not in b'["' and name != b"received":
            return found, each.start(1)
        found.append(_Parameter(name, value, each.start(3) if each[2] else each.start(1)))
        at = each.end()
    rest = text[at:].lstrip(_BLANK)
    return found, len(text) - len(rest) if rest else -1


def _each(value: bytes, judge: Callable[[bytes], Findings]) -> Findings:
    """Judge every value of a comma-separated list."""
    for start, end in split_list(value):
        element = value[start:end].rstrip(_BLANK)
        start += len(element) - len(element.lstrip(_BLANK))
        for rule, at, sentence in judge(element.lstrip(_BLANK)):
            yield rule, start + at, sentence


def _via(value: bytes) -> Findings:
    if not value:
        yield "via-malformed", 0, "A Via value is empty."
        return
    protocol = _VIA_PROTOCOL.match(value)
    if not protocol:
        yield "via-protocol-malformed", 0, f"`{show(value)}` does not begin with name/version/transport."
        return
    if protocol[1].upper() != b"SIP" or protocol[2] != b"2.0":
        written = show(protocol[1] + b"/" + protocol[2])
        yield "via-protocol-unknown", protocol.start(1), f"The protocol is `{written}`, not `SIP/2.0`."
    begin = protocol.end()
    end = value.find(b";", begin)
    end = len(value) if end < 0 else end
    sent_by = value[begin:end].rstrip(_BLANK)
    if not sent_by:
        yield "via-malformed", begin, "There is no sent-by behind the protocol."
        return
    for rule, at, sentence in host_port_findings(sent_by, "via-port-out-of-range", "via-missing-semicolon"):
        yield rule, begin + at, sentence
    parameters, stopped = _parameters(value, end)
    branch: bytes | None = None
    for name, text, at in parameters:
        if name == b"branch":
            branch = text
            if text == _COOKIE:
                yield "via-branch-empty", at, "The branch has nothing behind its magic cookie."
            elif not text.startswith(_COOKIE):
                yield "via-branch-cookie", at, f"The branch `{show(text)}` has no magic cookie."
        elif name == b"rport" and text and not number_in(text, 1, MAX_PORT):
            yield "via-rport-malformed", at, f"`{show(text)}` is no port number from 1 to 65535."
        elif name == b"received" and not is_ip(text):
            bracketed = text[:1] + text[-1:] == b"[]" and _is_ipv6(text[1:-1])
            rule = "via-received-brackets" if bracketed else "via-received-malformed"
            yield rule, at, f"`{show(text)}` is no IP address{' without brackets' if bracketed else ''}."
    if stopped >= 0:
        yield "via-parameter-malformed", stopped, f"`{show(value[stopped:])}` is no Via parameter."
    elif branch is None:
        yield "via-branch-missing", 0, "The Via has no branch."


def _address(value: bytes, *, angle_required: bool = False, party: bool = False) -> Findings:
    """Judge one ``(name-addr / addr-spec) *( SEMI param )``; ``party``: it is a From or a To."""
    if not value:
        yield "address-malformed", 0, "There is no address."
        return
    masked = mask_quoted(value)
    quote = masked.find(b'"')
    if quote >= 0:
        yield "address-quote-unclosed", quote, f"`{show(value[quote:])}` opens a quote and never closes it."
        return
    opening, closing = masked.find(b"<"), masked.find(b">")
    if opening < 0 <= closing or 0 <= closing < opening:
        yield "address-angle-unbalanced", closing, "There is a `>` without its `<`."
        return
    if opening >= 0:
        if closing < 0 or b"<" in masked[opening + 1 : closing]:
            yield "address-angle-unbalanced", opening, f"The `<` of `{show(value[opening:])}` has no `>`."
            return
        if not _DISPLAY_NAME.fullmatch(value, 0, opening):
            yield "address-display-name", 0, f"The display name `{show(value[:opening])}` needs quotes."
        begin, end, rest = opening + 1, closing, closing + 1
    else:
        end = value.find(b";")
        begin, end = 0, len(value) if end < 0 else end
        rest = end
        if angle_required:
            yield "route-not-name-addr", 0, f"`{show(value)}` has no `<>` around the URI."
    uri = value[begin:end].rstrip(_BLANK) if opening < 0 else value[begin:end]
    if opening < 0 and (hidden := re.search(rb"[?,]", uri)):
        yield "address-angle-missing", hidden.start(), f"`{show(uri)}` needs `<>` around it."
        return
    for rule, at, sentence in uri_findings(uri, headers=not party, port=not party):
        yield rule, begin + at, sentence
    tail = value[rest:].lstrip(_BLANK)
    if tail and tail[:1] != b";":
        yield "address-missing-semicolon", len(value) - len(tail), f"`{show(tail)}` follows without a `;`."
        return
    parameters, stopped = _parameters(value, rest)
    for name, text, at in parameters:
        if name == b"expires" and not number_in(text, 0, 0xFFFFFFFF):
            yield "contact-expires-malformed", at, f"`{show(text)}` is no number of seconds."
    if stopped >= 0:
        yield "address-parameter-malformed", stopped, f"`{show(value[stopped:])}` is no parameter."


def _contact(value: bytes) -> Findings:
    return iter(()) if value == b"*" else _each(value, _address)


def _route(value: bytes) -> Findings:
    return _each(value, lambda element: _address(element, angle_required=True))


_LR: Final = re.compile(rb";\s*lr\s*(?=[;=?>]|\Z)", re.IGNORECASE)


def _record_route(value: bytes) -> Findings:
    def judge(element: bytes) -> Findings:
        sound = True
        for finding in _address(element, angle_required=True):
            sound = False
            yield finding
        if sound and not _LR.search(element):
            yield "record-route-lr-missing", 0, f"`{show(element)}` has no lr parameter."

    return _each(value, judge)


def _call_id(value: bytes) -> Findings:
    if not value:
        yield "call-id-empty", 0, "The Call-ID is empty."
    elif not _CALL_ID.fullmatch(value):
        illegal = _CALL_ID_ILLEGAL.search(value)
        yield "call-id-malformed", illegal.start() if illegal else 0, f"`{show(value)}` is no Call-ID."


def _cseq(value: bytes) -> Findings:
    found = _CSEQ.fullmatch(value)
    if not found:
        yield "cseq-malformed", 0, f"`{show(value)}` is no number and method."
    elif not number_in(found[1], 0, 2**31 - 1):
        yield "cseq-out-of-range", 0, f"The number `{show(found[1])}` is not below 2**31."


def _max_forwards(value: bytes) -> Findings:
    if not number_in(value, 0, 255):
        yield "max-forwards-malformed", 0, f"`{show(value)}` is no number from 0 to 255."


def _expires(value: bytes) -> Findings:
    if not value.isdigit():
        yield "expires-malformed", 0, f"`{show(value)}` is no number of seconds."
    elif not number_in(value, 0, 0xFFFFFFFF):
        yield "expires-out-of-range", 0, f"`{show(value)}` is above 2**32-1."


def _content_length(value: bytes) -> Findings:
    if not value.isdigit():
        yield "content-length-malformed", 0, f"`{show(value)}` is no number."


def _content_type(value: bytes) -> Findings:
    found = _MEDIA_TYPE.match(value)
    stopped = _parameters(value, found.end())[1] if found else 0
    if stopped >= 0:
        yield (
            "content-type-malformed",
            stopped,
            f"`{show(value[stopped:])}` is not type, subtype and parameters.",
        )


_JUDGES: Final[dict[bytes, Callable[[bytes], Findings]]] = {
    b"via": lambda value: _each(value, _via),
    b"from": lambda value: _address(value, party=True),
    b"to": lambda value: _address(value, party=True),
    b"reply-to": _address,
    b"refer-to": _address,
    b"contact": _contact,
    b"p-asserted-identity": lambda value: _each(value, _address),
    b"route": _route,
    b"path": _route,
    b"service-route": _route,
    b"record-route": _record_route,
    b"call-id": _call_id,
    b"cseq": _cseq,
    b"max-forwards": _max_forwards,
    b"expires": _expires,
    b"content-length": _content_length,
    b"content-type": _content_type,
}


def field_findings(field: Field) -> Findings:
    """Judge one header field; offsets count from the start of ``field.raw``."""
    raw = field.raw
    colon = raw.find(b":")
    if colon < 0:
        yield "header-colon-missing", 0, f"`{show(raw.rstrip(_BLANK))}` has no colon."
        return
    name = raw[:colon].rstrip(b" \t")
    illegal = _NOT_TOKEN.search(name)
    if illegal or not name:
        yield "header-name-malformed", illegal.start() if illegal else 0, f"`{show(name)}` is no header name."
    end = len(raw) - (2 if raw[-2:] == b"\r\n" else raw[-1:] == b"\n")
    for control in _CONTROL.finditer(raw, colon + 1, end):
        if control[1]:
            yield (
                "header-control-character",
                control.start(),
                f"The value has the control byte {control[1][0]:#04x}.",
            )
            return
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        yield "header-not-utf8", error.start, f"The byte {raw[error.start]:#04x} is not UTF-8 here."
    judge = _JUDGES.get(field.name)
    if judge is not None:
        for rule, at, sentence in judge(field.value):
            yield rule, field.value_offset + at, sentence
