"""Probes that are legal and unusual: what a hasty parser stumbles over. No detector by itself.

Each goes to the server itself, past a proxy that the phone may have been told to use: how strict that proxy
is is not the question here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from siplab.lab.probing.probe_messages import description, request, within
from siplab.lab.probing.probe_plan import Answers, Probe
from siplab.lab.sip.messages import hostport
from siplab.lab.wire.ip import Endpoint

_NAME: Final = re.compile(rb"(?m)^([A-Za-z-]+):")
_ONE_PACKET: Final = 1472  # bytes: the payload of a full packet (IPv4, 1500 bytes)
_LONG_URI: Final = 300
_LONG_LINE: Final = 1010

Make = Callable[[bytes], bytes]


def _probe(name: str, make: Make, *orders: str) -> Probe:
    def compose(mark: bytes, answers: Answers, sent: Mapping[str, bytes]) -> bytes:
        return make(mark)

    return Probe(name, compose, orders, direct=True)


def unusual(local: Endpoint) -> Sequence[Probe]:
    """The probes."""
    own = hostport(local)
    ip = local.ip.encode() if ":" not in local.ip else b"[%b]" % local.ip.encode()
    body = description(local)

    def contacts(mark: bytes) -> bytes:
        value = b'"Probe, A" <sip:probe@%b>;expires=600;q=0.7\r\nContact: <sip:probe@phone.lan>' % ip
        return request(b"REGISTER", mark, local, contact=value, headers=b"Expires: 600\r\n")

    def capitals(mark: bytes) -> bytes:
        six = b"<sip:probe@[2001:db8::20]:5060>"
        wire = request(b"INVITE", mark, local, contact=six, body=body)
        head, empty, rest = wire.partition(b"\r\n\r\n")
        return _NAME.sub(lambda found: found[0].upper(), head) + empty + rest

    def no_length(mark: bytes) -> bytes:
        wire = request(b"INVITE", mark, local, headers=_routes(own), body=body)
        return re.sub(rb"Content-Length: \d+\r\n", b"", wire)

    def named_origin(mark: bytes) -> bytes:
        other = re.sub(rb"(?m)^o=.*\r$", b"o=probe 1 1 IN IP4 phone.lan\r", body)
        return request(b"INVITE", mark, local, body=other)

    def held(mark: bytes) -> bytes:
        other = body.replace(b"\r\nc=IN IP4 " + local.ip.encode(), b"\r\nc=IN IP4 0.0.0.0", 1)
        other = other.replace(b"m=audio 49170", b"m=audio 49171")
        other = re.sub(rb"m=video \d+", b"m=video 0", other)
        return request(b"INVITE", mark, local, body=other)

    def multipart(mark: bytes) -> bytes:
        first = b"--part\r\nContent-Type: application/sdp\r\n\r\n" + body
        second = b"--part\r\nContent-Type: text/plain\r\n\r\n" + own + b"\r\n"
        wire = request(b"INVITE", mark, local, body=first + second + b"--part--\r\n")
        return wire.replace(b"application/sdp", b"multipart/mixed;boundary=part", 1)

    def long_uri(mark: bytes) -> bytes:
        uri = b"sip:witness@lab.test;x=" + b"u" * _LONG_URI
        return request(b"MESSAGE", mark, local, uri=uri)

    def long_line(mark: bytes) -> bytes:
        return request(b"MESSAGE", mark, local, headers=b"X-Long: " + b"x" * _LONG_LINE + b"\r\n")

    def full_packet(mark: bytes) -> bytes:
        short = request(b"INVITE", mark, local, headers=b"X-Fill: \r\n", body=body)
        fill = b"X-Fill: " + b"x" * max(0, _ONE_PACKET - len(short)) + b"\r\n"
        return request(b"INVITE", mark, local, headers=fill, body=body)

    def offer_late(mark: bytes, answers: Answers, sent: Mapping[str, bytes]) -> bytes:
        # The dialog is the one of the INVITE without an offer: its answer brought one.
        invite = sent.get("INVITE without offer", b"")
        answer = answers.get("INVITE without offer")
        return within(b"ACK", mark, local, invite, answer, 1, body=description(local, 3))

    def bye(mark: bytes, answers: Answers, sent: Mapping[str, bytes]) -> bytes:
        invite = sent.get("INVITE without offer", b"")
        return within(b"BYE", mark, local, invite, answers.get("INVITE without offer"), 2)

    probes = [
        _probe("REGISTER with other Contacts", contacts, "401", "200"),
        _probe("INVITE in capitals", capitals, "486"),
        _probe("INVITE without Content-Length", no_length, "486"),
        _probe("INVITE with parts", multipart, "486"),
        _probe("MESSAGE with a long URI", long_uri, "200"),
        _probe("MESSAGE with a long line", long_line, "200"),
        _probe("INVITE without offer", lambda mark: request(b"INVITE", mark, local), "200+sdp"),
        Probe("ACK with offer", offer_late, direct=True),
        Probe("second BYE", bye, ("200",), direct=True),
    ]
    if ":" not in local.ip:  # these are about IPv4, or too long for the least that IPv6 carries
        probes += [
            _probe("INVITE with a named origin", named_origin, "486"),
            _probe("INVITE on hold", held, "486"),
            _probe("INVITE that fills a packet", full_packet, "486"),
        ]
    else:
        probes = [each for each in probes if "long line" not in each.name]
    return probes


def _routes(own: bytes) -> bytes:
    """A proxy inside that stays in the route (RFC 3261 section 16.6)."""
    return b"Record-Route: <sip:%b;lr>\r\n" % own
