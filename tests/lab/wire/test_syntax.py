"""Each rule has a message that breaks only this rule; well-formed messages break none."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from siplab.lab.wire.sip import SipMessage
from siplab.lab.wire.syntax import RULES, Violation, check, first_fatal

SDP = (
    b"v=0\r\n"
    b"o=alice 2890844526 2890844527 IN IP4 192.168.1.20\r\n"
    b"s=-\r\n"
    b"c=IN IP4 192.168.1.20\r\n"
    b"t=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:0 PCMU/8000\r\n"
    b"a=rtcp:49171 IN IP4 192.168.1.20\r\n"
    b"a=candidate:1 1 UDP 2130706431 192.168.1.20 49170 typ host\r\n"
    b"a=sendrecv\r\n"
)
REGISTER = (
    b"REGISTER sip:registrar.example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74bf9\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:alice@example.com>;tag=9fxced76sl\r\n"
    b"To: <sip:alice@example.com>\r\n"
    b"Call-ID: a84b4c76e66710@192.168.1.20\r\n"
    b"CSeq: 1 REGISTER\r\n"
    b"Contact: <sip:alice@192.168.1.20:5060>;expires=600\r\n"
    b"Expires: 3600\r\n"
    b"Subject: hello\r\n"
    b"Content-Length: 0\r\n"
    b"\r\n"
)


def invite(sdp: bytes = SDP) -> bytes:
    return (
        b"INVITE sip:bob@example.com SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74bf9\r\n"
        b"Max-Forwards: 70\r\n"
        b'From: "Alice" <sip:alice@example.com>;tag=9fxced76sl\r\n'
        b"To: Bob <sip:bob@example.com>\r\n"
        b"Call-ID: a84b4c76e66710@192.168.1.20\r\n"
        b"CSeq: 314159 INVITE\r\n"
        b"Contact: <sip:alice@192.168.1.20:5060;transport=udp>\r\n"
        b"Content-Type: application/sdp\r\n"
        b"Content-Length: %d\r\n"
        b"\r\n" % len(sdp)
    ) + sdp


def ok(sdp: bytes = SDP) -> bytes:
    return (
        b"SIP/2.0 200 OK\r\n"
        b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport=61002;received=203.0.113.7;branch=z9hG4bK74bf9\r\n"
        b"Record-Route: <sip:198.51.100.10;lr>\r\n"
        b'From: "Alice" <sip:alice@example.com>;tag=9fxced76sl\r\n'
        b"To: Bob <sip:bob@example.com>;tag=314159\r\n"
        b"Call-ID: a84b4c76e66710@192.168.1.20\r\n"
        b"CSeq: 314159 INVITE\r\n"
        b"Contact: <sip:bob@198.51.100.20:5060>\r\n"
        b"Content-Type: application/sdp\r\n"
        b"Content-Length: %d\r\n"
        b"\r\n" % len(sdp)
    ) + sdp


def swap(old: bytes, new: bytes, message: bytes = REGISTER) -> bytes:
    assert message.count(old) == 1, old
    return message.replace(old, new)


def swap_sdp(old: bytes, new: bytes, sdp: bytes = SDP) -> bytes:
    return invite(swap(old, new, sdp))


class Case(NamedTuple):
    """``culprit``: the text at the offset that the violation must give."""

    rule: str
    message: bytes
    header: str
    culprit: bytes
    transport: str = "udp"


START = b"REGISTER sip:registrar.example.com SIP/2.0\r\n"
FROM = b"From: <sip:alice@example.com>;tag=9fxced76sl\r\n"
CONTACT = b"<sip:alice@192.168.1.20:5060>;expires=600"
VIA = b"SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74bf9"

CASES = [
    # start line and framing
    Case("start-line-malformed", swap(b" SIP/2.0\r\nVia", b"\r\nVia"), "start line", b"REGISTER sip:"),
    Case("start-line-malformed", swap(b"REGISTER sip:", b"REGISTER  sip:"), "start line", b" sip:"),
    Case(
        "start-line-malformed",
        swap(b".com SIP/2.0\r\n", b".com  SIP/2.0\r\n"),
        "start line",
        b"sip:registrar",
    ),
    Case("start-line-malformed", swap(b".com SIP/2.0\r\n", b".com SIP/2.0 \r\n"), "start line", b"REGISTER"),
    Case("start-line-malformed", swap(b"200 OK", b"OK", ok()), "start line", b"SIP/2.0 OK"),
    Case("start-line-malformed", swap(b"200 OK", b"200", ok()), "start line", b"SIP/2.0 200\r"),
    Case("start-line-malformed", b"\x00\x01junk", "start line", b"\x00\x01junk"),
    Case("start-line-malformed", b"", "start line", b""),
    Case("method-malformed", swap(b"REGISTER sip:", b"REGI(STER sip:"), "start line", b"(STER"),
    Case(
        "request-uri-malformed", swap(b"sip:registrar.example.com", b"sip:a b.com"), "start line", b" b.com"
    ),
    Case("request-uri-malformed", swap(b"sip:registrar.example.com", b"<sip:b.com>"), "start line", b"<sip:"),
    Case("sip-version-unsupported", swap(b"com SIP/2.0", b"com SIP/3.0"), "start line", b"SIP/3.0"),
    Case("sip-version-unsupported", swap(b"SIP/2.0 200", b"SIP/7.0 200", ok()), "start line", b"SIP/7.0"),
    Case("sip-version-lower-case", swap(b"com SIP/2.0", b"com sip/2.0"), "start line", b"sip/2.0\r"),
    Case("status-code-out-of-range", swap(b"200 OK", b"700 OK", ok()), "start line", b"700"),
    Case("status-code-out-of-range", swap(b"200 OK", b"99 OK", ok()), "start line", b"99"),
    Case("status-code-out-of-range", swap(b"200 OK", b"4294967301 OK", ok()), "start line", b"4294967301"),
    Case("bare-lf", swap(b"Max-Forwards: 70\r\n", b"Max-Forwards: 70\n"), "", b"\nFrom"),
    Case("blank-line-missing", REGISTER[:-2], "", b""),
    # any header field
    Case("header-colon-missing", swap(b"Subject: hello", b"Subject hello"), "", b"Subject hello"),
    Case("header-name-malformed", swap(b"Subject: hello", b"Sub ject: hello"), "Sub ject", b" ject"),
    Case("header-name-malformed", swap(b"Subject: hello", b": hello"), "", b": hello"),
    Case("header-control-character", swap(b"hello", b"he\x00llo"), "Subject", b"\x00llo"),
    Case("header-control-character", swap(b"hello", b"hello\r"), "Subject", b"\r\r\n"),
    Case("header-not-utf8", swap(b"hello", b"caf\xe9"), "Subject", b"\xe9"),
    Case(
        "header-repeated",
        swap(b"Content-Length: 0\r\n", b"Content-Length: 0\r\nl: 0\r\n"),
        "Content-Length",
        b"l: 0",
    ),
    Case("header-repeated", swap(FROM, FROM * 2), "From", FROM + b"To"),
    Case("via-missing", swap(b"Via: " + VIA + b"\r\n", b""), "Via", START),
    Case("from-missing", swap(FROM, b""), "From", START),
    Case("to-missing", swap(b"To: <sip:alice@example.com>\r\n", b""), "To", START),
    Case("call-id-missing", swap(b"Call-ID: a84b4c76e66710@192.168.1.20\r\n", b""), "Call-ID", START),
    Case("cseq-missing", swap(b"CSeq: 1 REGISTER\r\n", b""), "CSeq", START),
    Case("max-forwards-missing", swap(b"Max-Forwards: 70\r\n", b""), "Max-Forwards", START),
    # Via
    Case("via-malformed", swap(VIA, VIA + b",,SIP/2.0/UDP a;branch=z9hG4bK1"), "Via", b",SIP"),
    Case("via-malformed", swap(VIA, b"SIP/2.0/UDP ;branch=z9hG4bK1"), "Via", b";branch"),
    Case("via-protocol-malformed", swap(VIA, b"SIP/2.0 192.168.1.20;branch=z9hG4bK1"), "Via", b"SIP/2.0 192"),
    Case("via-protocol-unknown", swap(VIA, VIA.replace(b"2.0", b"3.0")), "Via", b"SIP/3.0"),
    Case("via-protocol-unknown", swap(VIA, VIA.replace(b"SIP", b"HTTP")), "Via", b"HTTP"),
    Case("via-missing-semicolon", swap(b":5060;rport;", b":5060rport;"), "Via", b"rport;branch"),
    Case("via-missing-semicolon", swap(b".20:5060;rport;", b".20 rport;"), "Via", b"rport;branch"),
    Case("via-port-out-of-range", swap(b":5060;rport", b":65536;rport"), "Via", b"65536"),
    Case("via-port-out-of-range", swap(b":5060;rport", b":0;rport"), "Via", b"0;rport"),
    Case("via-port-out-of-range", swap(b":5060;rport", b":" + b"9" * 5000 + b";rport"), "Via", b"9999"),
    Case("via-parameter-malformed", swap(b";rport;", b";;rport;"), "Via", b";;rport"),
    Case("via-parameter-malformed", swap(b"bK74bf9", b"bK74bf9;"), "Via", b";\r\n"),
    Case("via-branch-missing", swap(b";branch=z9hG4bK74bf9", b""), "Via", b"SIP/2.0/UDP"),
    Case("via-branch-cookie", swap(b"z9hG4bK74bf9", b"74bf9"), "Via", b"74bf9"),
    Case("via-branch-empty", swap(b"z9hG4bK74bf9", b"z9hG4bK"), "Via", b"z9hG4bK\r"),
    Case("via-rport-malformed", swap(b"rport=61002", b"rport=70000", ok()), "Via", b"70000"),
    Case("via-rport-malformed", swap(b"rport=61002", b"rport=abc", ok()), "Via", b"abc"),
    Case("via-received-malformed", swap(b"=203.0.113.7", b"=203.0.113", ok()), "Via", b"203.0.113;"),
    Case("via-received-malformed", swap(b"=203.0.113.7", b"=[203.0.113.7]", ok()), "Via", b"[203.0.113.7]"),
    Case("via-received-brackets", swap(b"203.0.113.7", b"[2001:db8::9]", ok()), "Via", b"[2001:db8::9]"),
    # the other headers that every message has
    Case("call-id-empty", swap(b"a84b4c76e66710@192.168.1.20", b""), "Call-ID", b"\r\n"),
    Case("call-id-malformed", swap(b"66710@", b"66 710@"), "Call-ID", b" 710@"),
    Case("call-id-malformed", swap(b"66710@", b"66710@x@"), "Call-ID", b"@x@"),
    Case("cseq-malformed", swap(b"1 REGISTER", b"REGISTER"), "CSeq", b"REGISTER"),
    Case("cseq-malformed", swap(b"1 REGISTER", b"-1 REGISTER"), "CSeq", b"-1"),
    Case("cseq-out-of-range", swap(b"1 REGISTER", b"2147483648 REGISTER"), "CSeq", b"2147483648"),
    Case("cseq-method-mismatch", swap(b"1 REGISTER", b"1 INVITE"), "CSeq", b"INVITE"),
    Case("max-forwards-malformed", swap(b": 70", b": 256"), "Max-Forwards", b"256"),
    Case("max-forwards-malformed", swap(b": 70", b": many"), "Max-Forwards", b"many"),
    Case("expires-malformed", swap(b": 3600", b": soon"), "Expires", b"soon"),
    Case("expires-out-of-range", swap(b": 3600", b": 4294967296"), "Expires", b"4294967296"),
    # From, To, Contact, Route
    Case("address-malformed", swap(CONTACT, CONTACT + b",, <sip:b@example.com>"), "Contact", b", <sip:b@"),
    Case("address-quote-unclosed", swap(FROM, FROM.replace(b"<", b'"Alice <')), "From", b'"Alice'),
    Case("address-angle-unbalanced", swap(FROM, FROM.replace(b">", b"")), "From", b"<sip:alice"),
    Case("address-angle-unbalanced", swap(FROM, FROM.replace(b"<", b"")), "From", b">;tag"),
    Case("address-angle-missing", swap(CONTACT, b"sip:alice@example.com?Subject=x"), "Contact", b"?Subject"),
    Case("address-display-name", swap(FROM, FROM.replace(b"<", b"Bell, Alexander <")), "From", b"Bell"),
    Case("address-missing-semicolon", swap(FROM, FROM.replace(b";tag", b"tag")), "From", b"tag="),
    Case("address-parameter-malformed", swap(FROM, FROM.replace(b"tag=", b"tag=;x=")), "From", b"tag=;"),
    Case("from-tag-missing", swap(b";tag=9fxced76sl", b""), "From", b"<sip:alice"),
    Case("to-tag-missing", swap(b";tag=314159", b"", ok()), "To", b"Bob <"),
    Case(
        "contact-missing",
        swap(b"Contact: <sip:bob@198.51.100.20:5060>\r\n", b"", ok()),
        "Contact",
        b"SIP/2.0 200",
    ),
    Case(
        "contact-missing",
        swap(b"Contact: <sip:alice@192.168.1.20:5060;transport=udp>\r\n", b"", invite()),
        "Contact",
        b"INVITE sip:",
    ),
    Case("contact-star-misused", swap(CONTACT, b"*"), "Contact", b"*"),
    Case(
        "contact-star-misused",
        swap(b"<sip:alice@192.168.1.20:5060;transport=udp>", b"*", invite()),
        "Contact",
        b"*",
    ),
    Case("contact-expires-malformed", swap(b"expires=600", b"expires=soon"), "Contact", b"soon"),
    Case("route-not-name-addr", swap(b"Subject: hello", b"Route: sip:198.51.100.10"), "Route", b"sip:198"),
    Case("record-route-lr-missing", swap(b";lr>", b">", ok()), "Record-Route", b"<sip:198.51.100.10>"),
    # URIs and hosts
    Case("uri-malformed", swap(CONTACT, b"<alice>"), "Contact", b"alice>"),
    Case("uri-malformed", swap(CONTACT, b"<sip:al ice@example.com>"), "Contact", b" ice@"),
    Case("uri-malformed", swap(CONTACT, b"<sip:al%ice@example.com>"), "Contact", b"%ice@"),
    Case("uri-malformed", swap(CONTACT, b"<sip:a@b@example.com>"), "Contact", b"@example.com>\r"),
    Case("uri-malformed", swap(CONTACT, b"<sip:@example.com>"), "Contact", b"@example.com>\r"),
    Case("uri-malformed", swap(CONTACT, b"<sip:a@example.com;;lr>"), "Contact", b";;lr"),
    Case(
        "uri-missing-semicolon",
        swap(b":5060;transport", b":5060transport", invite()),
        "Contact",
        b"transport=",
    ),
    Case("uri-port-out-of-range", swap(b":5060>", b":65536>"), "Contact", b"65536"),
    Case("uri-port-out-of-range", swap(b":5060>", b":0>"), "Contact", b"0>"),
    Case("uri-port-out-of-range", swap(b":5060>", b":>"), "Contact", b">;expires"),
    Case("uri-port-out-of-range", swap(FROM, FROM.replace(b">", b":70002>")), "From", b"70002"),
    Case("uri-port-out-of-range", swap(b"registrar.example.com ", b"registrar:0 "), "Request-URI", b"0 SIP"),
    Case("uri-port-not-allowed", swap(FROM, FROM.replace(b">", b":5060>")), "From", b":5060>"),
    Case(
        "uri-port-not-allowed",
        swap(b"To: Bob <sip:bob@example.com>", b"To: sip:b@[::1]:9", ok()).replace(
            b";tag=314159\r\nCall", b";tag=3\r\nCall"
        ),
        "To",
        b":9",
    ),
    Case(
        "uri-headers-not-allowed",
        swap(b"sip:registrar.example.com", b"sip:r.example.com?a=b"),
        "Request-URI",
        b"?a=b SIP",
    ),
    Case("uri-headers-not-allowed", swap(FROM, FROM.replace(b">", b"?a=b>")), "From", b"?a=b>"),
    Case("host-malformed", swap(CONTACT, b"<sip:alice@example..com>"), "Contact", b"example..com"),
    Case("host-malformed", swap(CONTACT, b"<sip:alice@192.168.1>"), "Contact", b"192.168.1>"),
    Case("host-underscore", swap(CONTACT, b"<sip:alice@my_pbx.lan>"), "Contact", b"_pbx"),
    Case("ipv4-octet-out-of-range", swap(CONTACT, b"<sip:alice@203.0.113.700>"), "Contact", b"203.0.113.700"),
    Case("ipv6-brackets-missing", swap(CONTACT, b"<sip:a@2001:db8::20:5060>"), "Contact", b"2001:db8"),
    Case(
        "ipv6-brackets-missing", swap(b"192.168.1.20:5060;rport", b"2001:db8::20;rport"), "Via", b"2001:db8"
    ),
    Case("ipv6-reference-unclosed", swap(CONTACT, b"<sip:a@[2001:db8::20>"), "Contact", b"[2001"),
    Case("ipv6-address-invalid", swap(CONTACT, b"<sip:a@[2001:db8::20::1]>"), "Contact", b"2001:db8"),
    Case("ipv6-address-invalid", swap(CONTACT, b"<sip:a@[2001:db8:::20]>"), "Contact", b"2001:db8"),
    Case("ipv6-three-colons", swap(CONTACT, b"<sip:a@[2001:db8:::192.0.2.1]>"), "Contact", b"2001:db8"),
    # body
    Case("empty-line-repeated", swap(b"Content-Length: 0\r\n", b"") + b"\r\n", "", b"\r\n"),
    Case("content-length-malformed", swap(b"Length: 0", b"Length: 0x0"), "Content-Length", b"0x0"),
    Case("content-length-malformed", swap(b"Length: 0", b"Length: -1"), "Content-Length", b"-1"),
    Case("content-length-missing", swap(b"Content-Length: 0\r\n", b""), "Content-Length", START, "tcp"),
    Case("content-length-too-large", swap(b"Length: 0", b"Length: 2"), "Content-Length", b"2\r\n"),
    Case("content-length-too-small", REGISTER + b"xx", "Content-Length", b"0\r\n"),
    Case(
        "content-type-missing",
        swap(b"Content-Type: application/sdp\r\n", b"", invite()),
        "Content-Type",
        b"v=0",
    ),
    Case(
        "content-type-malformed",
        swap(b"application/sdp", b"application", invite()),
        "Content-Type",
        b"application",
    ),
    # SDP
    Case("sdp-line-malformed", swap_sdp(b"a=sendrecv", b"sendrecv"), "SDP", b"sendrecv"),
    Case("sdp-line-malformed", swap_sdp(b"a=sendrecv", b"1=sendrecv"), "SDP", b"1="),
    Case("sdp-type-unknown", swap_sdp(b"a=sendrecv", b"x=sendrecv"), "SDP x=", b"x="),
    Case("sdp-type-unknown", swap_sdp(b"a=sendrecv", b"A=sendrecv"), "SDP A=", b"A="),
    Case("sdp-control-character", swap_sdp(b"a=sendrecv", b"a=send\0recv"), "SDP a=", b"\0recv"),
    Case("sdp-empty-line", swap_sdp(b"a=sendrecv\r\n", b"a=sendrecv\r\n\r\n"), "SDP", b"\r\n"),
    Case("sdp-bare-lf", swap_sdp(b"t=0 0\r\n", b"t=0 0\n"), "SDP", b"\nm="),
    Case("sdp-line-unterminated", swap_sdp(b"a=sendrecv\r\n", b"a=send"), "SDP", b"a=send"),
    Case("sdp-line-missing", swap_sdp(b"s=-\r\n", b""), "SDP s=", b"v=0"),
    Case("sdp-line-missing", swap_sdp(b"v=0\r\n", b""), "SDP v=", b"o="),
    Case("sdp-line-repeated", swap_sdp(b"s=-\r\n", b"s=-\r\ns=x\r\n"), "SDP s=", b"s=x"),
    Case("sdp-line-repeated", swap_sdp(b"v=0\r\n", b"v=0\r\nv=0\r\n"), "SDP v=", b"v=0\r\no="),
    Case(
        "sdp-line-repeated",
        swap_sdp(b"t=0 0\r\n", b"c=IN IP4 203.0.113.7\r\nt=0 0\r\n"),
        "SDP c=",
        b"c=IN IP4 203",
    ),
    Case(
        "sdp-head-order", invite(SDP.removeprefix(b"v=0\r\n").replace(b"s=-", b"v=0\r\ns=-")), "SDP o=", b"o="
    ),
    Case("sdp-line-order", swap_sdp(b"t=0 0\r\n", b"t=0 0\r\nb=AS:64\r\n"), "SDP b=", b"b=AS"),
    Case("sdp-version", swap_sdp(b"v=0", b"v=1234"), "SDP v=", b"1234"),
    Case(
        "sdp-origin-malformed", swap_sdp(b"o=alice 2890844526 ", b"o=alice "), "SDP o=", b"alice 2890844527"
    ),
    Case("sdp-origin-malformed", swap_sdp(b"2890844526", b"x"), "SDP o=", b"alice x"),
    Case(
        "sdp-origin-brackets",
        swap_sdp(b"7 IN IP4 192.168.1.20", b"7 IN IP6 [2001:db8::20]"),
        "SDP o=",
        b"[2001:db8::20]",
    ),
    Case(
        "sdp-origin-out-of-range",
        swap_sdp(b"2890844526", b"9223372036854775808"),
        "SDP o=",
        b"9223372036854775808",
    ),
    Case("sdp-session-name-empty", swap_sdp(b"s=-", b"s="), "SDP s=", b"\r\nc="),
    Case("sdp-time-missing", swap_sdp(b"t=0 0\r\n", b""), "SDP t=", b"v=0"),
    Case(
        "sdp-connection-malformed",
        swap_sdp(b"c=IN IP4 192.168.1.20", b"c=IN 192.168.1.20"),
        "SDP c=",
        b"IN 192",
    ),
    Case("sdp-connection-missing", swap_sdp(b"c=IN IP4 192.168.1.20\r\n", b""), "SDP c=", b"m=audio"),
    Case("sdp-address-type-mismatch", swap_sdp(b"c=IN IP4 ", b"c=IN IP6 "), "SDP c=", b"192.168.1.20"),
    Case(
        "sdp-address-type-mismatch",
        swap_sdp(b"7 IN IP4 192.168.1.20", b"7 IN IP4 2001:db8::1"),
        "SDP o=",
        b"2001:db8",
    ),
    Case(
        "sdp-address-malformed",
        swap_sdp(b"c=IN IP4 192.168.1.20", b"c=IN IP4 192.168.1.300"),
        "SDP c=",
        b"192.168.1.300",
    ),
    Case(
        "sdp-address-malformed",
        swap_sdp(b"49171 IN IP4 192.168.1.20", b"49171 IN IP4 a..b"),
        "SDP a=",
        b"a..b",
    ),
    Case(
        "sdp-media-malformed",
        swap_sdp(b"audio 49170 RTP/AVP 0 8 101", b"audio 49170 RTP/AVP"),
        "SDP m=",
        b"audio",
    ),
    Case("sdp-media-malformed", swap_sdp(b"audio 49170", b"audio port"), "SDP m=", b"port"),
    Case("sdp-media-port-out-of-range", swap_sdp(b"audio 49170", b"audio 70002"), "SDP m=", b"70002"),
    Case("sdp-rtcp-malformed", swap_sdp(b"rtcp:49171", b"rtcp:70003"), "SDP a=", b"70003"),
    Case("sdp-rtcp-malformed", swap_sdp(b"rtcp:49171 IN IP4", b"rtcp:49171 IN"), "SDP a=", b"49171 IN"),
    Case("sdp-candidate-malformed", swap_sdp(b"20 49170 typ", b"20 70000 typ"), "SDP a=", b"1 1 UDP"),
]


def assert_agree(message: SipMessage, transport: str) -> list[Violation]:
    violations = check(message, transport=transport)
    fatal = [each for each in violations if each.severity != "warning"]
    assert first_fatal(message, transport=transport) == (fatal[0] if fatal else None)
    return violations


def read(data: bytes, transport: str = "udp") -> list[Violation]:
    return check(SipMessage.parse(data), transport=transport)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_each_rule_is_broken_alone(case: Case) -> None:
    (violation,) = read(case.message, case.transport)
    assert violation.rule == case.rule
    assert violation.header == case.header
    assert violation.reference == RULES[case.rule].reference
    assert violation.severity == RULES[case.rule].severity
    assert violation.sentence.endswith(".")
    found = case.message[violation.offset :]
    assert found.startswith(case.culprit)
    assert found or not case.culprit  # an empty culprit is the end of the message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_first_fatal_reports_the_fatal_ones_only(case: Case) -> None:
    message = SipMessage.parse(case.message)
    found = first_fatal(message, transport=case.transport)
    if RULES[case.rule].severity != "warning":
        assert found == read(case.message, case.transport)[0]
    else:
        assert found is None


def test_every_rule_has_a_message() -> None:
    assert {case.rule for case in CASES} == set(RULES)
    assert len(RULES) >= 30


def test_every_rule_is_described() -> None:
    for key, rule in RULES.items():
        assert rule.id == key
        assert rule.reference.startswith("RFC ")
        assert rule.severity in ("fatal", "unusable", "warning")
        assert rule.description.endswith(".")


WELL_FORMED = {
    "register": REGISTER,
    "invite": invite(),
    "ok": ok(),
    "rfc 3261 24.2 F1": (
        b"INVITE sip:bob@biloxi.com SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8\r\n"
        b"Max-Forwards: 70\r\n"
        b"To: Bob <sip:bob@biloxi.com>\r\n"
        b"From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n"
        b"Call-ID: a84b4c76e66710\r\n"
        b"CSeq: 314159 INVITE\r\n"
        b"Contact: <sip:alice@pc33.atlanta.com>\r\n"
        b"Content-Length: 0\r\n\r\n"
    ),
    "rfc 3261 24.2 F3": (
        b"SIP/2.0 100 Trying\r\n"
        b"Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8;received=192.0.2.1\r\n"
        b"To: Bob <sip:bob@biloxi.com>\r\n"
        b"From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n"
        b"Call-ID: a84b4c76e66710\r\n"
        b"CSeq: 314159 INVITE\r\n"
        b"Content-Length: 0\r\n\r\n"
    ),
    "two vias, two contacts, empty reason": (
        b"SIP/2.0 302 \r\n"
        b"Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK1, SIP/2.0/TCP b.example.com:5070;branch=z9hG4bK2\r\n"
        b"To: <sip:bob@biloxi.com>;tag=a6c85cf\r\n"
        b"From: <sip:alice@atlanta.com>;tag=1928301774\r\n"
        b"Call-ID: a84b4c76e66710\r\n"
        b"CSeq: 314159 INVITE\r\n"
        b'Contact: "Mr. Watson" <sip:watson@example.com>;q=0.7;expires=3600,'
        b' "x" <mailto:w@example.com>;q=0.1\r\n'
        b"Content-Length: 0\r\n\r\n"
    ),
    "ipv6": invite(SDP.replace(b"IP4 192.168.1.20", b"IP6 2001:db8::20").replace(b" 192.168", b" 10.168"))
    .replace(b"192.168.1.20:5060", b"[2001:db8::20]:5060")
    .replace(b";rport;", b";rport;received=2001:db8::9;"),
    "folded": swap(VIA, b"SIP/2.0/UDP\r\n 192.168.1.20:5060\r\n\t;branch=z9hG4bK74bf9").replace(
        b"Contact: ", b"Contact:\r\n "
    ),
    "compact forms": b"".join(
        [
            b"INVITE sip:bob@example.com SIP/2.0\r\n",
            b"v: " + VIA + b"\r\nMax-Forwards: 0\r\n",
            b"f: <sip:a@example.com>;tag=1\r\nt: <sip:b@example.com>\r\n",
            b"i: 1\r\nCSeq: 0 INVITE\r\nm: <sip:a@192.168.1.20>\r\nc: application/sdp\r\n",
            b"l: %d\r\n\r\n" % len(SDP),
            SDP,
        ]
    ),
    "upper case names": swap(b"Via:", b"VIA :").replace(b"Contact:", b"CONTACT\t:"),
    "tel": swap(b"To: <sip:alice@example.com>", b"To: tel:+1-201-555-0123;phone-context=example.com"),
    "tel in brackets": swap(b"To: <sip:alice@example.com>", b"To: <tel:7042;phone-context=example.com>"),
    "no brackets": swap(FROM, b"From: sip:+12125551212@server.phone2net.com;tag=887s\r\n"),
    "sent-by with spaces": swap(
        b"SIP/2.0/UDP 192.168.1.20:5060;", b"SIP / 2.0 / UDP  192.168.1.20 : 5060 ; "
    ),
    "multipart": (
        invite(b"--x\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--x--\r\n").replace(
            b"application/sdp\r\nContent-L", b"multipart/mixed;boundary=x\r\nContent-L"
        )
    ),
    "no body, no length": swap(b"Content-Length: 0\r\n", b""),
    "no length over udp": invite().replace(b"Content-Length: %d\r\n" % len(SDP), b""),
    "quoted display name": swap(FROM, b'From: "a <b>, ; \\" x" <sip:alice@example.com>;tag=1\r\n'),
    "escaped control in quotes": swap(FROM, b'From: "a\\\x07" <sip:alice@example.com>;tag=1\r\n'),
    "utf-8": swap(b"hello", "Grüße".encode()),
    "long header": swap(b"hello", b"x" * 20000),
    "long call-id": swap(b"a84b4c76e66710", b"a" * 5000),
    "instance": swap(CONTACT, CONTACT + b';+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"'),
    "deregister": swap(CONTACT, b"*").replace(b"Expires: 3600", b"Expires: 0"),
    "replaces": swap(
        b"Subject: hello", b"Refer-To: <sip:b@h.example?Replaces=1%40192.168.1.20%3Bto-tag%3D7>"
    ),
    "user with parameters": swap(
        CONTACT, b"<sip:a;day=tuesday:pw@atlanta.com;lr;maddr=[::1]?priority=urgent>"
    ),
    "loose route": swap(b"Subject: hello", b"Route: <sip:p1.example.com;lr>,<sip:p2.example.com;lr>;x=y"),
    "port with leading zero": swap(b":5060;rport", b":05060;rport"),
    "leading crlf": b"\r\n\r\n" + REGISTER,
    "sdp fqdn": swap_sdp(b"7 IN IP4 192.168.1.20", b"7 IN IP4 pc.example.org"),
    "sdp hold": swap_sdp(b"c=IN IP4 192.168.1.20", b"c=IN IP4 0.0.0.0"),
    "sdp rejected": swap_sdp(b"audio 49170", b"audio 0"),
    "sdp multicast": swap_sdp(b"c=IN IP4 192.168.1.20", b"c=IN IP4 224.2.36.42/127"),
    "sdp media-level connection": invite(
        swap(b"c=IN IP4 192.168.1.20\r\n", b"", SDP).replace(
            b"a=rtpmap", b"c=IN IP4 192.168.1.20\r\na=rtpmap"
        )
    ),
    "sdp plain rtcp": swap_sdp(b"rtcp:49171 IN IP4 192.168.1.20", b"rtcp:49171"),
    "sdp port count": swap_sdp(b"audio 49170", b"audio 49170/2"),
    "sdp text": swap_sdp(b"t=0 0", "b=AS:64\r\nt=2873397496 0\r\nr=7d 1h 0 25h\r\na=note:ü".encode()),
}


@pytest.mark.parametrize("data", WELL_FORMED.values(), ids=WELL_FORMED.keys())
def test_well_formed_messages_break_no_rule(data: bytes) -> None:
    assert read(data) == []
    assert first_fatal(SipMessage.parse(data)) is None


def test_lf_only_is_a_warning() -> None:
    violations = read(invite(SDP.replace(b"\r\n", b"\n")).replace(b"\r\n", b"\n"))
    assert [each.rule for each in violations] == ["bare-lf", "sdp-bare-lf"]


def test_sdp_is_judged_within_content_length_only() -> None:
    assert [each.rule for each in read(invite() + b"\0junk")] == ["content-length-too-small"]
    cut = swap(b"Content-Length: %d" % len(SDP), b"Content-Length: %d" % (len(SDP) - 6), invite())
    assert [each.rule for each in read(cut)] == ["content-length-too-small", "sdp-line-unterminated"]


@pytest.mark.parametrize("length", range(1, len(SDP)))
def test_a_body_cut_anywhere_is_judged_as_cut(length: int) -> None:
    shortened = invite().replace(b"Length: %d" % len(SDP), b"Length: %d" % length)
    rules = {each.rule for each in assert_agree(SipMessage.parse(shortened), "udp")}
    assert rules - {"content-length-too-small"} == {each.rule for each in read(invite(SDP[:length]))}


def test_all_violations_come_in_message_order() -> None:
    broken = (
        invite(swap(b"m=audio 49170", b"m=audio 70002", SDP))
        .replace(b":5060;rport", b":5060rport")
        .replace(b"To: Bob <sip:bob@example.com>\r\n", b"")
        .replace(b"Max-Forwards: 70", b"Max-Forwards: x")
        .replace(b"alice@192.168.1.20:5060", b"alice@192.168.1.20:65536")
    )
    assert [each.rule for each in read(broken)] == [
        "to-missing",
        "via-missing-semicolon",
        "max-forwards-malformed",
        "uri-port-out-of-range",
        "sdp-media-port-out-of-range",
    ]


def test_offsets_count_the_leading_empty_lines() -> None:
    data = b"\r\n\r\n" + swap(b": 70", b": 256")
    (violation,) = read(data)
    assert data[violation.offset :].startswith(b"256")


def test_content_length_is_asked_for_over_streams_only() -> None:
    data = swap(b"Content-Length: 0\r\n", b"")
    for transport, rules in {"udp": [], "ws": [], "tcp": ["content-length-missing"]}.items():
        assert [each.rule for each in read(data, transport)] == rules
    assert first_fatal(SipMessage.parse(data), transport="tls") is not None


def test_a_long_line_of_blanks_or_commas_is_read_in_linear_time() -> None:
    # Quadratic reading would take minutes here, not the moment that it takes.
    for filler in (
        b" ",
        b",",
        b";",
        b'"',
        b"\\",
        b"<",
        b"a.",
        b"a-",
        b"a ",
        b"%",
        b"@",
        b":",
        b"[",
        b"=",
        b';a="',
    ):
        long = filler * (60000 // len(filler))
        for old in (VIA, CONTACT, b"a84b4c76e66710", b"registrar.example.com", b"REGISTER sip"):
            assert_agree(SipMessage.parse(swap(old, old + long)), "udp")


PIECES = st.sampled_from(
    [b";", b",", b"<", b">", b'"', b":", b"@", b" ", b"\r\n", b"\n", b"\0", b"0", b"65536", b"[", b"]",
     b"=", b"*", b"::1", b"rport", b"\xff", b"%", b"\\", b"Via: ", b"Contact: ", b"SIP/2.0", b"tag",
     b"_", b"\r\n\r\n", b"m=", b"."]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid message with a few edits: close enough to valid that every rule is reached."""
    data = bytearray(draw(st.sampled_from([*WELL_FORMED.values(), *(case.message for case in CASES)])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 6))
        data[at : at + cut] = draw(st.one_of(PIECES, st.binary(max_size=3), st.just(b"")))
    return bytes(data)


@given(st.one_of(mutated(), st.binary(max_size=300)), st.sampled_from(["udp", "tcp", "tls", "ws"]))
@example(b"", "udp")
@example(b"\r\n\r\n", "tcp")
@example(b"SIP/2.0 200 OK\r\nContact\r\n\r\n", "udp")
def test_check_never_raises_and_first_fatal_agrees(data: bytes, transport: str) -> None:
    message = SipMessage.parse(data)
    violations = assert_agree(message, transport)
    assert [each.offset for each in violations] == sorted(each.offset for each in violations)
    assert all(0 <= each.offset <= len(data) and each.rule in RULES for each in violations)
    assert all(each.sentence.isprintable() and each.header.isprintable() for each in violations)
    assert bytes(message) == data


# -- descriptions among other parts ------------------------------------------------------------------------

_GOOD_SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
)
_BAD_SDP = _GOOD_SDP.replace(b"v=0", b"v=1")


def _with_parts(*parts: bytes, closed: bool = True, boundary: bytes = b"b1") -> SipMessage:
    body = b"".join(b"--b1\r\n" + each for each in parts) + (b"--b1--\r\n" if closed else b"")
    return SipMessage.parse(
        b"INVITE sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n"
        b"Max-Forwards: 70\r\nFrom: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:b@192.0.2.2>\r\nCall-ID: 1@a\r\n"
        b"CSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.1>\r\n"
        b"Content-Type: multipart/mixed;boundary=%b\r\nContent-Length: %d\r\n\r\n"
        % (boundary, len(body))
        + body
    )


def _sdp(description: bytes) -> bytes:
    return b"Content-Type: application/sdp\r\n\r\n" + description


_TEXT = b"Content-Type: text/plain\r\n\r\nv=9\r\n"


@pytest.mark.parametrize(
    ("message", "rules"),
    [
        (_with_parts(_sdp(_GOOD_SDP), _TEXT), []),
        (_with_parts(_TEXT, _sdp(_BAD_SDP)), ["sdp-version"]),
        (_with_parts(_TEXT, _sdp(_BAD_SDP), boundary=b'"b1"'), ["sdp-version"]),
        (_with_parts(_sdp(_BAD_SDP), _sdp(_BAD_SDP)), ["sdp-version", "sdp-version"]),
        (_with_parts(_TEXT, _sdp(_BAD_SDP), closed=False), []),  # its end was cut off
        (_with_parts(_sdp(_BAD_SDP), boundary=b"b2"), []),
        (_with_parts(_TEXT), []),
    ],
)
def test_descriptions_in_multipart_bodies_are_read(message: SipMessage, rules: list[str]) -> None:
    found = check(message)
    assert [each.rule for each in found] == rules
    for each in found:
        assert bytes(message)[each.offset - 2 :].startswith(b"v=1")
    assert (first_fatal(message) is None) == (not rules)
