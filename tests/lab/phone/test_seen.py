"""What pjsua, baresip and linphonec did with altered messages, and what the lab's phones of these kinds do.

Each row of ``experiments/phones/_refusals.yaml`` is a case. Its evidence is *seen*: the programs were run, in
the versions that the file names. ``DIFFERENT`` has the rows in which the lab's phone does something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from siplab.experiments import phones
from siplab.experiments.trial import refusals, registry
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from tests.lab.conftest import Datagram, Lab, make_lab

if TYPE_CHECKING:
    from siplab.lab.phone.phone import Phone

KINDS: Final = {"pjsua": "pjsip", "baresip": "libre", "linphonec": "linphone"}
PEER: Final = Endpoint("198.51.100.77", 5090)
Change = Callable[[bytes], bytes]

# (program, change): why the lab's phone does something else.
DIFFERENT: Final[dict[tuple[str, str], str]] = {
    (
        "linphonec",
        "register-ok-colon-missing",
    ): "on_syntax=tolerate is libre's way, and belle-sip's only nearly",
    ("linphonec", "invite-colon-missing"): "the same",
    ("linphonec", "invite-via-semicolon-missing"): "the same",
    ("linphonec", "invite-ok-contact-missing"): "the same",
    ("linphonec", "invite-sdp-o-malformed"): "the same",
    ("linphonec", "invite-sdp-bare-lf"): "the same",
    ("linphonec", "invite-content-type-missing"): "the same",
    ("linphonec", "invite-max-forwards-missing"): "the same",
    ("baresip", "invite-branch-missing"): "belle-sip's way",
    ("baresip", "invite-contact-missing"): "400 says more than 500",
    ("baresip", "invite-sdp-truncated"): "the lab reads a last line without its end",
    ("linphonec", "invite-sdp-port-65536"): "ports count modulo 65536, as with libre, and 0 is no port",
    ("linphonec", "reinvite-cseq-lower"): "RFC 3261 12.2.2",
    ("pjsua", "invite-method-unknown"): "RFC 3261 8.2.1",
    ("linphonec", "invite-method-unknown"): "RFC 3261 8.2.1",
}


def to(old: bytes, new: bytes) -> Change:
    def change(wire: bytes) -> bytes:
        assert old in wire, (old, wire)
        return wire.replace(old, new, 1)

    return change


def header(name: bytes, edit: Change | None) -> Change:
    """A change that edits the value of a header, or removes the header."""

    def change(wire: bytes) -> bytes:
        message = SipMessage.parse(wire)
        field = message.get(name)
        assert field is not None, name
        if edit is None:
            message.fields.remove(field)
        else:
            field.value = edit(field.value)
        return bytes(message)

    return change


def names(spell: Change) -> Change:
    """A change that spells every header name in another way."""

    def change(wire: bytes) -> bytes:
        head, _, body = wire.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        spelled = [spell(name) + b":" + value for name, _, value in (line.partition(b":") for line in lines)]
        return b"\r\n".join([first, *spelled]) + b"\r\n\r\n" + body

    return change


def sdp(edit: Change) -> Change:
    def change(wire: bytes) -> bytes:
        message = SipMessage.parse(wire)
        message.body = edit(message.body)
        message.fit_content_length()
        return bytes(message)

    return change


def length(by: int) -> Change:
    return header(b"content-length", lambda value: b"%d" % (int(value) + by))


def line(letter: bytes, edit: Change) -> Change:
    """A change of the first line of a description with this letter."""

    def change(body: bytes) -> bytes:
        lines = body.split(b"\r\n")
        at = next(at for at, each in enumerate(lines) if each.startswith(letter))
        lines[at] = edit(lines[at])
        return b"\r\n".join(each for each in lines if each) + b"\r\n"

    return sdp(change)


def port(number: bytes) -> Change:
    def edit(value: bytes) -> bytes:
        words = value.split(b" ")
        return b" ".join([words[0], number, *words[2:]])

    return line(b"m=audio", edit)


COMPACT = {
    b"Via": b"v",
    b"From": b"f",
    b"To": b"t",
    b"Call-ID": b"i",
    b"Contact": b"m",
    b"Content-Length": b"l",
    b"Content-Type": b"c",
}
bare_lf: Change = lambda wire: wire.replace(b"\r\n", b"\n")  # noqa: E731
compact = names(lambda name: COMPACT.get(name, name))
lower = names(bytes.lower)
colon_missing = to(b"\r\nCSeq", b"\r\nWhat is this\r\nCSeq")
folded = header(b"contact", lambda value: value.replace(b">", b">\r\n ", 1))

REGISTER_OK: Final[dict[str, Change]] = {
    "via-host": to(b"UDP 203.0.113.7:", b"UDP 203.0.113.9:"),
    "via-port": to(b"UDP 203.0.113.7:5060", b"UDP 203.0.113.7:61002"),
    "via-host-port": to(b"UDP 203.0.113.7:5060", b"UDP 203.0.113.9:61002"),
    "via-port-missing": to(b"UDP 203.0.113.7:5060", b"UDP 203.0.113.7"),
    "branch-suffix": to(b"branch=z9hG4bK", b"branch=z9hG4bKx"),
    "branch-missing": header(b"via", lambda value: value.partition(b";branch=")[0]),
    "cseq-method": header(b"cseq", lambda value: value.replace(b"REGISTER", b"OPTIONS")),
    "branch-case": to(b"branch=z9hG4bK", b"branch=Z9HG4BK"),
    "call-id-host": header(b"call-id", lambda value: value.partition(b"@")[0] + b"@192.0.2.99"),
    "from-tag": to(b"From: <sip:alice@lab.test>;tag=", b"From: <sip:alice@lab.test>;tag=x"),
    "from-host": to(b"From: <sip:alice@lab.test>", b"From: <sip:alice@192.0.2.99>"),
    "cseq-number": header(b"cseq", lambda value: b"%d REGISTER" % (int(value.split()[0]) + 1)),
    "to-tag-missing": header(b"to", lambda value: value.partition(b";tag=")[0]),
    "second-via": to(b"\r\nFrom", b"\r\nVia: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKother\r\nFrom"),
    "contact-missing": header(b"contact", None),
    "contact-port": header(b"contact", lambda value: value.replace(b":5060", b":61002")),
    "contact-port-missing": header(b"contact", lambda value: value.replace(b":5060", b"")),
    "contact-host": header(b"contact", lambda value: value.replace(b"203.0.113.7", b"192.0.2.99")),
    "contact-parameters-missing": header(b"contact", lambda value: value.partition(b">")[0] + b">"),
    "contact-foreign": header(b"contact", lambda value: b"<sip:stranger@192.0.2.99:5099>;expires=60"),
    "contact-port-65536": header(b"contact", lambda value: value.replace(b":5060", b":65536")),
    "via-port-65536": to(b"UDP 203.0.113.7:5060", b"UDP 203.0.113.7:65536"),
    "via-semicolon-missing": to(b":5060;rport", b":5060rport"),
    "length-long": length(20),
    "length-missing": header(b"content-length", None),
    "compact": compact,
    "contact-folded": folded,
    "lower-case": lower,
    "via-spaces": to(b"UDP 203", b"UDP   203"),
    "unknown-header": to(b"\r\nCSeq", b"\r\nX-Odd_One: \xc3\xa9;;=\"\r\nCSeq"),
    "bare-lf": bare_lf,
    "colon-missing": colon_missing,
}  # fmt: skip
INVITE_OK: Final[dict[str, Change]] = {
    "call-id": header(b"call-id", lambda value: value + b"x"),
    "from-tag": to(b"From: <sip:alice@lab.test>;tag=", b"From: <sip:alice@lab.test>;tag=x"),
    "from-host": to(b"From: <sip:alice@lab.test>", b"From: <sip:alice@192.0.2.99>"),
    "to-tag": header(b"to", lambda value: value + b"x"),
    "via-host": to(b"UDP 203.0.113.7:", b"UDP 203.0.113.9:"),
    "to-tag-missing": header(b"to", lambda value: value.partition(b";tag=")[0]),
    "via-semicolon-missing": to(b":5060;rport", b":5060rport"),
    "contact-port-65536": header(b"contact", lambda value: value.replace(b":5060", b":65536")),
    "contact-missing": header(b"contact", None),
    "contact-semicolon-missing": header(b"contact", lambda value: value + b"expires=60"),
    "contact-port": header(b"contact", lambda value: value.replace(b":5060", b":61002")),
    "sdp-port-65536": port(b"65536"),
    "sdp-port-0": port(b"0"),
    "sdp-c-missing": line(b"c=", lambda value: b""),
    "sdp-missing": sdp(lambda body: b""),
    "length-long": length(20),
    "length-short": length(-30),
    "length-0": header(b"content-length", lambda value: b"0"),
}  # fmt: skip
WITHIN: Final[dict[str, Change]] = {
    "reinvite-request-uri": to(b"203.0.113.7:5060", b"192.0.2.99:61002"),
    "reinvite-call-id": header(b"call-id", lambda value: value + b"x"),
    "reinvite-from-tag": header(b"from", lambda value: value + b"x"),
    "reinvite-from-host": header(b"from", lambda value: value.replace(b"@lab.test", b"@192.0.2.99")),
    "reinvite-cseq-lower": header(b"cseq", lambda value: b"0 INVITE"),
    "bye-call-id": header(b"call-id", lambda value: value + b"x"),
    "options-in-dialog": lambda wire: wire,
}  # fmt: skip
INVITE: Final[dict[str, Change]] = {
    "request-uri-host": to(b"@203.0.113.7", b"@192.0.2.99"),
    "request-uri-port": to(b"@203.0.113.7:5060", b"@203.0.113.7:61002"),
    "request-uri-parameters-missing": to(b";x=y SIP", b" SIP"),
    "request-uri-user": to(b"INVITE sip:", b"INVITE sip:not-"),
    "via-semicolon-missing": to(b":5090;rport", b":5090rport"),
    "via-port-65536": to(b"UDP 198.51.100.77:5090", b"UDP 198.51.100.77:65536"),
    "contact-port-65536": header(b"contact", lambda value: value.replace(b":5090", b":65536")),
    "contact-semicolon-missing": header(b"contact", lambda value: value + b"expires=60"),
    "contact-missing": header(b"contact", None),
    "request-uri-port-65536": to(b"@203.0.113.7:5060", b"@203.0.113.7:65536"),
    "length-long": length(20),
    "length-short": length(-12),
    "length-missing": header(b"content-length", None),
    "length-0": header(b"content-length", lambda value: b"0"),
    "sdp-port-65536": port(b"65536"),
    "sdp-port-70002": port(b"70002"),
    "sdp-port-0": port(b"0"),
    "sdp-c-missing": line(b"c=", lambda value: b""),
    "sdp-c-malformed": line(b"c=", lambda value: b"c=IN IP4 192.0.2.999"),
    "sdp-c-zero": line(b"c=", lambda value: b"c=IN IP4 0.0.0.0"),
    "sdp-o-name": line(b"o=", lambda value: value.replace(b"198.51.100.77", b"host.example")),
    "sdp-i-added": line(b"s=", lambda value: value + b"\r\ni=more"),
    "sdp-o-malformed": line(b"o=", lambda value: b"o=- 1 1 IN IP4"),
    "sdp-bare-lf": sdp(bare_lf),
    "sdp-truncated": sdp(lambda body: body[:-6]),
    "bare-lf": bare_lf,
    "colon-missing": colon_missing,
    "folded": folded,
    "compact": compact,
    "lower-case": lower,
    "content-type-missing": header(b"content-type", None),
    "max-forwards-missing": header(b"max-forwards", None),
    "max-forwards-0": header(b"max-forwards", lambda value: b"0"),
    "branch-cookie-missing": to(b"branch=z9hG4bK", b"branch="),
    "branch-missing": to(b";branch=z9hG4bKone", b""),
    "to-tag-unknown": header(b"to", lambda value: value + b";tag=unknown"),
    "method-unknown": lambda wire: wire.replace(b"INVITE", b"NONSENSE"),
}  # fmt: skip
CHANGES: Final = {
    **{f"register-ok-{name}": change for name, change in REGISTER_OK.items()},
    **{f"invite-ok-{name}": change for name, change in INVITE_OK.items()},
    **WITHIN,
    **{f"invite-{name}": change for name, change in INVITE.items()},
}
SEEN: Final = refusals.load(phones)


def settings(kind: str) -> dict[str, Any]:
    return dict(registry.phones().get(kind).settings.phone())


def new_lab(kind: str) -> Lab:
    return make_lab(alice={"media_packets": 5, **settings(kind), "ring_time": None})


def altered(lab: Lab, label: str, change: Change) -> None:
    """Alter the datagrams with this label that go to alice."""

    def change_each(each: Datagram) -> Datagram:
        mine = each.destination == lab.alice.local and each.label == label
        return replace(each, payload=change(each.payload)) if mine else each

    lab.net.filters.append(change_each)


def to_register(kind: str, change: Change) -> str:
    lab = new_lab(kind)
    altered(lab, "200 REGISTER", change)
    lab.net.do(lab.alice, lab.alice.register(0.0))
    lab.net.run(0.4)
    return "accepted" if lab.alice.registration.state is RegistrationState.REGISTERED else "silence"


def to_invite(kind: str, change: Change, name: str) -> str:
    lab = new_lab(kind)
    lab.register()
    for label in ("200 INVITE", "180 INVITE") if name.endswith("ok-call-id") else ("200 INVITE",):
        altered(lab, label, change)
    lab.call()
    lab.net.run(1.2)
    return "accepted" if lab.net.times("ACK", lab.alice.local)[1:] else "silence"


def template(phone: Phone) -> bytes:
    body = (
        b"v=0\r\no=- 1 1 IN IP4 198.51.100.77\r\ns=-\r\nc=IN IP4 198.51.100.77\r\nt=0 0\r\n"
        b"m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
    return (
        b"INVITE %b;x=y SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.77:5090;rport;branch=z9hG4bKone\r\n"
        b"Max-Forwards: 70\r\nFrom: <sip:peer@198.51.100.77>;tag=theirs\r\nTo: <sip:alice@lab.test>\r\n"
        b"Call-ID: peer-call\r\nCSeq: 7 INVITE\r\nContact: <sip:peer@198.51.100.77:5090>\r\n"
        b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % (phone.contact, len(body))
    ) + body


def answer(lab: Lab, since: int, method: str) -> str:
    """Alice's answer to a request; 1xx and 2xx count as the same."""
    for each in lab.net.log[since:]:
        status = each.message.status if each.source == lab.alice.local else None
        if status is not None and status > 100 and each.message.method.decode() == method:
            return "accepted" if status < 300 else str(status)
    return "silence"


def inject(lab: Lab, wire: bytes) -> int:
    since = len(lab.net.log)
    lab.net.inject(wire, PEER, lab.alice.local)
    return since


def new_call(kind: str, change: Change) -> str:
    lab = new_lab(kind)
    wire = change(template(lab.alice))
    return answer(lab, inject(lab, wire), SipMessage.parse(wire).method.decode())


def within(kind: str, change: Change, name: str) -> str:
    lab = new_lab(kind)
    invite = template(lab.alice)
    inject(lab, invite)
    lab.net.do(lab.alice, lab.alice.answer(0.0))
    tag = lab.net.sent("200 INVITE")[0].message.value(b"to").partition(b";tag=")[2]
    method = {"bye": b"BYE", "opt": b"OPTIONS"}.get(name[:3], b"INVITE")
    request = invite.replace(b"To: <sip:alice@lab.test>", b"To: <sip:alice@lab.test>;tag=" + tag)
    lab.net.inject(
        request.replace(b"INVITE", b"ACK").replace(b"z9hG4bKone", b"z9hG4bKack"), PEER, lab.alice.local
    )
    request = request.replace(b"INVITE", method).replace(b"CSeq: 7", b"CSeq: 8").replace(b"bKone", b"bKtwo")
    return answer(lab, inject(lab, change(request)), method.decode())


def lab_outcome(kind: str, name: str) -> str:
    change = CHANGES[name]
    if name.startswith("register-ok-"):
        return to_register(kind, change)
    if name.startswith("invite-ok-"):
        return to_invite(kind, change, name)
    return within(kind, change, name) if name in WITHIN else new_call(kind, change)


def test_every_row_has_its_change() -> None:
    assert {each.id for each in SEEN.changes} == set(CHANGES)
    rows = {(program, each.id) for each in SEEN.changes for program in each.outcomes}
    assert rows >= set(DIFFERENT)


@pytest.mark.parametrize(
    ("program", "name", "seen"),
    [(program, each.id, outcome) for each in SEEN.changes for program, outcome in each.outcomes.items()],
)
def test_what_was_seen(program: str, name: str, seen: str) -> None:
    found = lab_outcome(KINDS[program], name)
    assert (found == seen) == ((program, name) not in DIFFERENT), (found, seen)
