"""Settings of servers: each shows on the wire, or in what becomes of a call."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from siplab.lab.media.relay import Leg, MediaRelay, RelayRules
from siplab.lab.phone.call_in import IncomingCall
from siplab.lab.server.core import PRIVATE_OWN
from siplab.lab.server.nat_tests import NatTest, nat_seen
from siplab.lab.sip.base import PassOn
from siplab.lab.sip.digest import Answerer
from siplab.lab.sip.messages import Incoming
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from tests.lab.conftest import SERVER, Datagram, Lab, LabMaker

ALICE, BOB = "sip:alice@lab.test", "sip:bob@lab.test"
SOURCE = Endpoint("203.0.113.77", 61002)
PRIVATE = b"<sip:alice@192.168.1.20:5060>"
PUBLIC = b"<sip:alice@203.0.113.77:61002>"
SENT_BY = b"203.0.113.77:61002"


class Hand:
    """Alice's messages written by hand, from ``SOURCE``; ``ask`` answers challenges."""

    def __init__(self, lab: Lab, source: Endpoint = SOURCE) -> None:
        self.lab = lab
        self.source = source
        self.count = 0
        self.answerer = Answerer("alice", "alice-secret", random.Random(1))

    def send(self, wire: bytes, source: Endpoint | None = None) -> list[Datagram]:
        """What the server sent because of these bytes."""
        before = len(self.lab.net.log)
        self.lab.net.inject(wire, source or self.source, SERVER)
        return [each for each in self.lab.net.log[before:] if each.source.ip == SERVER.ip]

    def wire(self, method: bytes = b"REGISTER", **parts: Any) -> bytes:
        self.count += 1
        uri = parts.get("uri", b"sip:lab.test" if method == b"REGISTER" else b"sip:bob@lab.test")
        body = parts.get("body", b"")
        values = {
            b"Via": b"SIP/2.0/UDP %b;rport;branch=z9hG4bKhand%d" % (parts.get("via", SENT_BY), self.count),
            b"Max-Forwards": b"70",
            b"From": b"<sip:alice@lab.test>;tag=hand",
            b"To": b"<sip:alice@lab.test>" if method == b"REGISTER" else b"<sip:bob@lab.test>",
            b"Call-ID": b"hand",
            b"CSeq": b"%d %b" % (parts.get("cseq", self.count), method),
            b"Contact": PUBLIC,
            **parts.get("headers", {}),
        }
        if parts.get("signed"):
            name = b"Authorization" if method == b"REGISTER" else b"Proxy-Authorization"
            values[name] = self.answerer.credentials(method, uri)
        if body:
            values.setdefault(b"Content-Type", b"application/sdp")
        values.setdefault(b"Content-Length", b"%d" % len(body))
        lines = [b"%b: %b\r\n" % (name, value) for name, value in values.items() if value is not None]
        return b"%b %b SIP/2.0\r\n%b\r\n%b" % (method, uri, b"".join(lines), body)

    def ask(self, method: bytes = b"REGISTER", **parts: Any) -> list[Datagram]:
        """The same request with a password if it is asked for."""
        found = self.send(self.wire(method, **parts), parts.get("source"))
        asked = [each.message for each in found if each.message.status in (401, 407)]
        if not asked:
            return found
        name = b"www-authenticate" if asked[0].status == 401 else b"proxy-authenticate"
        self.answerer.forget()
        assert self.answerer.accept([asked[0].value(name)])
        return self.send(self.wire(method, signed=True, **parts), parts.get("source"))

    def register(self, contact: bytes = PUBLIC, **parts: Any) -> SipMessage | None:
        """The final answer to a REGISTER, ``None`` for silence."""
        headers = {b"Contact": contact, **parts.pop("headers", {})}
        found = self.ask(headers=headers, **parts)
        return found[-1].message if found else None

    def contacts(self) -> list[bytes]:
        return [each.contact for each in self.lab.server.bindings.get(ALICE, [])]


def hand_of(new_lab: LabMaker, **server: object) -> Hand:
    lab = new_lab(server=server)
    lab.net.do(lab.bob, lab.bob.register(0.0))
    return Hand(lab)


def status_of(answer: SipMessage | None) -> int | None:
    return answer.status if answer is not None else None


# -- whom it takes for natted, and what it stores --------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "via", "contact", "seen"),
    [
        ("contact-private", b"203.0.113.77:61002", PRIVATE, True),
        ("contact-private", b"203.0.113.77:61002", b"<sip:alice@192.0.0.4>", True),
        ("contact-private", b"203.0.113.77:61002", b"<sip:alice@192.0.0.9>", False),
        ("contact-private", b"192.168.1.20:5060", b"<sip:alice@203.0.113.9:7>", False),
        ("contact-host", b"203.0.113.77:61002", b"<sip:alice@203.0.113.9:61002>", True),
        ("contact-host", b"203.0.113.77:61002", b"<sip:alice@203.0.113.77:7>", False),
        ("contact-port", b"203.0.113.77:61002", b"<sip:alice@203.0.113.77:7>", True),
        ("contact-port", b"203.0.113.77:61002", b"<sip:alice@203.0.113.9:61002>", False),
        ("via-private", b"100.64.0.1:61002", PUBLIC, True),
        ("via-private", b"203.0.113.9:61002", PUBLIC, False),
        ("via-host", b"203.0.113.9:61002", PUBLIC, True),
        ("via-host", b"203.0.113.77:7", PUBLIC, False),
        ("via-port", b"203.0.113.77", PUBLIC, True),
        ("via-port", b"203.0.113.9:61002", PUBLIC, False),
        ("invite-via-private", b"192.168.1.20:5060", PUBLIC, False),
        ("register-contact-private", b"203.0.113.77:61002", PRIVATE, True),
        ("register-contact-private", b"192.168.1.20:5060", PUBLIC, False),
    ],
)
def test_nat_tests(test: NatTest, via: bytes, contact: bytes, seen: bool) -> None:
    wire = b"REGISTER sip:lab.test SIP/2.0\r\nVia: SIP/2.0/UDP %b;branch=z9hG4bK1\r\n\r\n" % via
    request = Incoming(SipMessage.parse(wire), SOURCE, SERVER)
    assert nat_seen(request, contact[1:-1], (test,)) == seen
    if test == "invite-via-private":
        invite = SipMessage.parse(wire.replace(b"REGISTER", b"INVITE"))
        assert nat_seen(Incoming(invite, SOURCE, SERVER), contact[1:-1], (test,))
    if test == "register-contact-private":
        invite = SipMessage.parse(wire.replace(b"REGISTER", b"INVITE"))
        assert not nat_seen(Incoming(invite, SOURCE, SERVER), contact[1:-1], (test,))


@pytest.mark.parametrize(
    ("store", "contact", "listed", "goes_to"),
    [
        ("contact", PRIVATE, PRIVATE, Endpoint("192.168.1.20", 5060)),
        ("source", b"<sip:alice@203.0.113.9:7>", b"<sip:alice@203.0.113.9:7>", SOURCE),
        ("source-if-nat", PRIVATE, PRIVATE, SOURCE),
        # A public Contact beside a Via that is right is believed.
        (
            "source-if-nat",
            b"<sip:alice@203.0.113.9:7>",
            b"<sip:alice@203.0.113.9:7>",
            Endpoint("203.0.113.9", 7),
        ),
        (
            "rewrite-contact",
            b"<sip:alice@192.168.1.20:5060;ob>",
            b"<sip:alice@192.168.1.20:5060;ob>",
            SOURCE,
        ),
        ("rewrite-contact", b"<sip:192.168.1.20>", b"<sip:192.168.1.20>", SOURCE),
        # Asterisk does not put back a port that it replaced alone.
        ("rewrite-contact", b"<sip:alice@203.0.113.77:7;ob>", b"<sip:alice@203.0.113.77:61002;ob>", SOURCE),
    ],
)
def test_where_calls_go(
    new_lab: LabMaker, store: str, contact: bytes, listed: bytes, goes_to: Endpoint
) -> None:
    hand = hand_of(new_lab, store=store, nat_tests=("contact-private", "via-host", "via-port"))
    answer = hand.register(contact)
    assert answer is not None
    assert answer.value(b"contact").startswith(listed)
    lab = hand.lab
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", 0.0))
    assert {each.destination for each in lab.net.sent("INVITE") if each.source == SERVER} == {goes_to}


def test_a_tests_answer_decides_whom_zero_bytes_keep_alive(new_lab: LabMaker) -> None:
    settings = {
        "ping": "natted",
        "ping_kind": "zero-bytes",
        "ping_interval": 30.0,
        "nat_tests": ("via-host",),
    }
    for host, count in ((b"192.168.1.20", 2), (b"203.0.113.77", 0)):
        hand = hand_of(new_lab, **settings)
        hand.register(via=host + b":61002")
        hand.lab.net.log.clear()
        hand.lab.net.run(65.0)
        pings = [each for each in hand.lab.net.log if each.payload == bytes(4)]
        assert len(pings) == count
        assert {each.destination for each in pings} <= {SOURCE}
        assert hand.lab.net.sent("OPTIONS") == []


@pytest.mark.parametrize(
    ("alias", "contact", "noted"),
    [
        ("always", b"<sip:alice@203.0.113.9:7>", True),
        ("natted", b"<sip:alice@203.0.113.9:7>", False),
        ("natted", PRIVATE, True),
        ("never", PRIVATE, False),
    ],
)
def test_whose_contact_has_the_source_noted(
    new_lab: LabMaker, alias: str, contact: bytes, noted: bool
) -> None:
    hand = hand_of(new_lab, alias=alias, nat_tests=("contact-private",))
    found = hand.ask(b"INVITE", headers={b"Contact": contact})
    (invite,) = [
        each.message for each in found if each.message.method == b"INVITE" and each.message.is_request
    ]
    assert (b";alias=203.0.113.77~61002~1" in invite.value(b"contact")) == noted


def test_a_callee_behind_nat_has_its_source_noted(new_lab: LabMaker) -> None:
    """The reply says nothing of a NAT; what its REGISTER said counts, as Kamailio's branch flag does."""
    lab = new_lab(bob={"ip": "192.168.1.30"}, server={"alias": "natted", "nat_tests": ("contact-private",)})
    lab.net.filters.append(_nat("192.168.1.30", "203.0.113.9"))
    lab.register()
    lab.call()
    lab.net.run(3.0)
    (answer, *_) = [each for each in lab.net.sent("200 INVITE") if each.source == SERVER]
    assert b";alias=203.0.113.9~15060~1" in answer.payload
    assert lab.alice.calls[0].confirmed


def _nat(inside: str, public: str) -> Any:
    def translate(each: Datagram) -> Datagram | None:
        if each.source.ip == inside:
            return replace(each, source=Endpoint(public, each.source.port + 10_000))
        if each.destination.ip == inside:
            return None
        if each.destination.ip == public:
            return replace(each, destination=Endpoint(inside, each.destination.port - 10_000))
        return each

    return translate


# -- registrations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "count"),
    [("uri", [1, 1, 2]), ("bytes", [1, 2, 3]), ("user", [1, 1, 1])],
)
def test_when_a_contact_is_a_known_one(new_lab: LabMaker, match: str, count: list[int]) -> None:
    hand = hand_of(new_lab, binding_match=match)
    found = []
    for contact in (b"<sip:alice@host.test>", b"<sip:alice@HOST.test>", b"<sip:alice@host.test:7>"):
        hand.register(contact)
        found.append(len(hand.contacts()))
    assert found == count


@pytest.mark.parametrize(("old", "equal", "lower"), [(500, 500, 500), (400, 200, 400), ("accept", 200, 200)])
def test_an_old_cseq(new_lab: LabMaker, old: object, equal: int, lower: int) -> None:
    hand = hand_of(new_lab, old_cseq=old)
    assert status_of(hand.register(cseq=9)) == 200
    assert status_of(hand.register(cseq=9)) == equal
    assert status_of(hand.register(cseq=8)) == lower
    hand.lab.net.run(25.0)
    assert status_of(hand.register(cseq=9)) == (400 if old == 400 else equal), "no longer the same request"


@pytest.mark.parametrize(
    ("limit", "over", "status", "left"),
    [(1, 403, 403, [1]), (1, 503, 503, [1]), (1, "replace", 200, [2]), (0, 403, 200, [1, 2])],
)
def test_one_contact_too_many(
    new_lab: LabMaker, limit: int, over: object, status: int, left: list[int]
) -> None:
    hand = hand_of(new_lab, max_contacts=limit, max_contacts_over=over)
    hand.register(b"<sip:alice@192.0.2.1>")
    assert status_of(hand.register(b"<sip:alice@192.0.2.2>")) == status
    assert hand.contacts() == [b"sip:alice@192.0.2.%d" % each for each in left]


@pytest.mark.parametrize(
    ("settings", "contact", "asked", "granted"),
    [
        ({"short_expires": "reject"}, PUBLIC, b"30", None),
        ({"short_expires": "raise"}, PUBLIC, b"30", b"60"),
        ({"natted_expires": 90, "nat_tests": ("contact-private",)}, PRIVATE, b"600", b"90"),
        ({"natted_expires": 90, "nat_tests": ("contact-private",)}, PUBLIC, b"600", b"600"),
        # Without a test everybody is taken for natted, as an SBC does.
        ({"natted_expires": 90, "nat_tests": ()}, PUBLIC, b"600", b"90"),
        ({"max_expires": 3600}, PUBLIC, b"9000", b"3600"),
        ({"max_expires": 0}, PUBLIC, b"9000", b"9000"),
    ],
)
def test_lifetimes(
    new_lab: LabMaker, settings: dict[str, object], contact: bytes, asked: bytes, granted: bytes | None
) -> None:
    answer = hand_of(new_lab, **settings).register(contact, headers={b"Expires": asked})
    assert answer is not None
    if granted is None:
        assert (answer.status, answer.value(b"min-expires")) == (423, b"60")
    else:
        assert answer.value(b"contact").endswith(b";expires=" + granted)


@pytest.mark.parametrize(
    ("tie", "change"),
    [
        ("request-uri", {"uri": b"sip:LAB.test"}),
        ("call-id", {"headers": {b"Call-ID": b"another"}}),
        ("ip", {"source": Endpoint("203.0.113.78", 61002)}),
    ],
)
def test_what_a_nonce_is_tied_to(new_lab: LabMaker, tie: str, change: dict[str, Any]) -> None:
    for ties, status in (((tie,), 401), ((), 200)):
        hand = hand_of(new_lab, nonce_tied=ties)
        assert status_of(hand.register()) == 200
        (answer,) = hand.send(hand.wire(signed=True, **change), change.get("source"))
        assert answer.message.status == status
        if status == 401:
            assert b"stale=true" in answer.message.value(b"www-authenticate")


def test_a_nonce_count_that_does_not_rise(new_lab: LabMaker) -> None:
    for ties, status in ((("nc",), 401), ((), 200)):
        hand = hand_of(new_lab, nonce_tied=ties)
        hand.register()
        signed = hand.wire(signed=True)
        assert hand.send(signed)[0].message.status == 200
        again = signed.replace(b"z9hG4bKhand", b"z9hG4bKagain").replace(b"CSeq: ", b"CSeq: 9")
        assert hand.send(again)[0].message.status == status


# -- domains ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domains", "host", "status"),
    [
        ("own", b"203.0.113.7", 404),
        ("any", b"203.0.113.7", 200),
        ("forced", b"elsewhere.test", 200),
        ("from-realm", b"elsewhere.test", 200),
        ("ip-488", b"203.0.113.7", 488),
        ("ip-dropped", b"203.0.113.7", None),
        ("ip-488", b"lab.test", 200),
    ],
)
def test_a_domain_in_from_and_to(new_lab: LabMaker, domains: str, host: bytes, status: int | None) -> None:
    hand = hand_of(new_lab, domains=domains)
    address = b"<sip:alice@%b>" % host
    headers = {b"From": address + b";tag=1", b"To": address}
    challenge = hand.send(hand.wire(headers=headers))
    if domains == "from-realm":
        assert b'realm="elsewhere.test"' in challenge[0].payload
    assert status_of(hand.register(headers=headers)) == status
    assert (ALICE in hand.lab.server.bindings) == (status == 200)


@pytest.mark.parametrize(("setting", "status"), [("reject", 404), ("save", 200)])
def test_a_foreign_request_uri(new_lab: LabMaker, setting: str, status: int) -> None:
    hand = hand_of(new_lab, foreign_request_uri=setting)
    assert status_of(hand.register(uri=b"sip:203.0.113.7")) == status
    invites = [each for each in hand.ask(b"INVITE", uri=b"sip:bob@203.0.113.99") if each.label == "INVITE"]
    away = Endpoint("203.0.113.99", 5060)
    assert [each.destination for each in invites] == [away if setting == "reject" else hand.lab.bob.local]


def test_a_foreign_register_is_forwarded(new_lab: LabMaker) -> None:
    hand = hand_of(new_lab, foreign_request_uri="proxy")
    (onward,) = [each for each in hand.ask(uri=b"sip:203.0.113.99") if each.label == "REGISTER"]
    assert onward.destination == Endpoint("203.0.113.99", 5060)


# -- what of a message is minded -------------------------------------------------------------------------

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 203.0.113.77\r\ns=-\r\nc=IN IP4 203.0.113.77\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0\r\n"
)


def test_no_server_reads_a_body_that_it_forwards(new_lab: LabMaker) -> None:
    """RFC 3261 section 16.3 (1), whatever the kind."""
    for validation in ("strict", "forgiving"):
        hand = hand_of(new_lab, validation=validation)
        found = hand.ask(b"INVITE", body=SDP.replace(b"49170", b"70028"))
        assert "INVITE" in [each.label for each in found]


@pytest.mark.parametrize(
    ("headers", "strict", "forgiving"),
    [
        ({b"X Junk": b"1"}, 400, 200),
        ({b"Expires": b"x"}, 400, 200),
        ({b"Contact": b"<sip:alice@203.0.113.77:5060>;expires=3600Max-Forwards: 70"}, 400, 400),
        ({b"Contact": b"<sip:alice@203.0.113.77:5060>Expires: 3600"}, 400, 200),
        ({b"From": b'"Alice <sip:alice@lab.test>;tag=1'}, 400, None),
        ({b"To": None}, 400, None),
        ({b"Call-ID": None}, 400, None),
    ],
)
def test_validation(
    new_lab: LabMaker, headers: dict[bytes, bytes | None], strict: int, forgiving: int | None
) -> None:
    assert status_of(hand_of(new_lab).register(headers=headers)) == strict
    answer = hand_of(new_lab, validation="forgiving", domains="any").register(headers=headers)
    if headers.get(b"From") is not None:
        assert status_of(answer) != 400
    else:
        assert status_of(answer) == forgiving


@pytest.mark.parametrize(
    ("setting", "via", "request_uri", "contact", "called"),
    [
        ("reject", None, 400, 400, 480),
        ("wrap", 401, 400, 200, 479),
        ("accept", None, 200, 200, 479),
        ("drop", None, None, 200, 480),
    ],
)
def test_a_port_that_udp_does_not_have(
    new_lab: LabMaker, setting: str, via: int | None, request_uri: int | None, contact: int, called: int
) -> None:
    line = b"SIP/2.0/UDP 203.0.113.77:70000;branch=z9hG4bKport"
    hand = hand_of(new_lab, bad_port=setting)
    found = hand.send(hand.wire(headers={b"Via": line}))
    assert [each.message.status for each in found] == ([] if via is None else [via])
    assert {each.destination.port for each in found} <= {70000 - 65536}
    assert hand.send(hand.wire(headers={b"Via": line.replace(b"70000", b"700000")})) == []
    assert status_of(hand_of(new_lab, bad_port=setting).register(uri=b"sip:lab.test:70000")) == request_uri
    hand = hand_of(new_lab, bad_port=setting, store="contact")
    assert status_of(hand.register(b"<sip:alice@203.0.113.77:70000>")) == contact
    lab = hand.lab
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", 0.0))
    assert lab.bob.calls[0].status == called


@pytest.mark.parametrize(
    ("setting", "shorter", "longer"),
    [("cut", "INVITE", "400"), ("reject", "400", "400"), ("ignore", "INVITE", "INVITE")],
)
def test_a_wrong_content_length(new_lab: LabMaker, setting: str, shorter: str, longer: str) -> None:
    for length, expected in ((len(SDP) - 4, shorter), (len(SDP) + 4, longer)):
        hand = hand_of(new_lab, udp_length=setting)
        found = hand.ask(b"INVITE", body=SDP, headers={b"Content-Length": b"%d" % length})
        labels = [each.label for each in found]
        assert (expected if expected == "INVITE" else f"{expected} INVITE") in labels


def test_a_reply_with_a_wrong_length_is_lost_without_a_word(new_lab: LabMaker) -> None:
    """Kamailio 5.6.3 was seen to do so: the callee has answered, the caller never learns it."""
    for setting, confirmed in (("reject", False), ("ignore", True)):
        lab = new_lab(server={"udp_length": setting})
        lab.register()

        def stale(each: Datagram) -> Datagram:
            if each.label == "200 INVITE" and each.destination == SERVER:
                head, _, body = each.payload.partition(b"\r\n\r\n")
                return replace(each, payload=head + b"\r\n\r\n" + body + b"a=x\r\n")
            return each

        lab.net.filters.append(stale)
        lab.call()
        lab.net.run(3.0)
        assert lab.alice.calls[0].confirmed == confirmed


# -- media -----------------------------------------------------------------------------------------------

HERE, THERE = Endpoint("198.51.100.10", 20000), Endpoint("198.51.100.10", 20002)
SAID = Endpoint("203.0.113.7", 5000)
OTHER = Endpoint("203.0.113.7", 40000)
STRANGER = Endpoint("192.0.2.99", 4000)


def leg_of(said: Endpoint | None = SAID, *, trusted: bool = True, **rules: Any) -> Leg:
    leg = Leg(HERE, RelayRules(**rules))
    leg.describe(said, sends=True, trusted=trusted, now=0.0)
    return leg


def packets(leg: Leg, *sources: Endpoint, at: float = 1.0) -> list[bool]:
    found = []
    for source in sources:
        leg.learn(source, at)
        found.append(leg.takes(source))
    return found


@pytest.mark.parametrize(
    ("latch", "trusted", "target"),
    [("untrusted", True, SAID), ("untrusted", False, OTHER), ("always", True, OTHER), ("never", False, SAID)],
)
def test_where_a_relay_sends(latch: str, trusted: bool, target: Endpoint) -> None:
    leg = leg_of(trusted=trusted, latch=latch, restrict="none")
    packets(leg, OTHER)
    assert leg.target == target


def test_a_relay_that_always_latches_sends_to_a_public_address_before() -> None:
    assert leg_of(latch="always").target == SAID
    assert leg_of(Endpoint("192.168.1.20", 5000), latch="always").target is None


def test_latching_after_some_packets() -> None:
    leg = leg_of(latch="always", latch_after=4, restrict="learned")
    assert packets(leg, OTHER, OTHER, STRANGER, OTHER, OTHER, OTHER) == [True] * 6
    assert leg.target == SAID
    assert packets(leg, OTHER, STRANGER) == [True, False]
    assert leg.target == OTHER


def test_within_the_window_a_better_source_takes_the_place() -> None:
    leg = leg_of(latch="always", latch_window=3.0, restrict="none")
    packets(leg, STRANGER)
    packets(leg, OTHER)
    assert leg.target == OTHER, "the address is what the description says"
    packets(leg, SAID, at=4.0)
    assert leg.target == OTHER, "the window is over"
    leg.describe(SAID, sends=True, trusted=True, now=10.0)
    packets(leg, SAID, at=11.0)
    assert leg.target == SAID


@pytest.mark.parametrize(
    ("restrict", "taken"),
    [
        ("none", [True, True, True]),
        ("latched", [True, False, False]),
        ("learned", [True, False, False]),
        ("sdp", [True, True, False]),
    ],
)
def test_whose_media_a_relay_takes(restrict: str, taken: list[bool]) -> None:
    assert packets(leg_of(latch="always", restrict=restrict), OTHER, SAID, STRANGER) == taken


def test_who_was_on_hold_and_sends_again_is_learnt_anew() -> None:
    """A router forgets a mapping that nothing goes out by; media then come from another port."""
    leg = leg_of(trusted=False)
    packets(leg, OTHER)
    leg.describe(SAID, sends=False, trusted=False, now=5.0)
    assert leg.target == OTHER, "music on hold goes on"
    leg.describe(SAID, sends=True, trusted=False, now=90.0)
    assert packets(leg, STRANGER, OTHER, at=91.0) == [True, False]
    assert leg.target == STRANGER


def test_the_short_way_is_not_taken_while_something_is_learnt() -> None:
    relay = MediaRelay(SERVER.ip, 20000, lambda action: None, RelayRules("always", 3, 0.0, "none"))
    wire = (
        b"INVITE sip:bob@lab.test SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nCall-ID: 1\r\n"
        b"Content-Type: application/sdp\r\n\r\n" + SDP
    )
    relay.rewritten(Incoming(SipMessage.parse(wire), SOURCE, SERVER), 0.0)
    for _ in range(3):
        assert relay.onward(OTHER, HERE) == (HERE, HERE)
        relay.receive(b"\x80", OTHER, HERE, 1.0)
    assert relay.onward(OTHER, HERE) is None, "where the other side is nobody has said"
    (action,) = relay.receive(b"\x80", STRANGER, THERE, 1.0)
    assert isinstance(action, PassOn)
    assert action.remote == OTHER


def test_a_description_that_the_relay_cannot_read_goes_on_as_it_came(new_lab: LabMaker) -> None:
    hand = hand_of(new_lab, relay_when="always")
    for port, relayed in ((b"49170", True), (b"70028", False)):
        found = hand.ask(b"INVITE", body=SDP.replace(b"49170", port), headers={b"Call-ID": port})
        (invite,) = [each for each in found if each.label == "INVITE"]
        assert (b"c=IN IP4 198.51.100.10" in invite.payload) == relayed


@pytest.mark.parametrize(
    ("when", "via", "relayed"),
    [
        ("never", b"192.168.1.20", False),
        ("natted", b"192.168.1.20", True),
        ("natted", b"203.0.113.77", False),
        ("always", b"203.0.113.77", True),
    ],
)
def test_whose_media_are_relayed(new_lab: LabMaker, when: str, via: bytes, relayed: bool) -> None:
    hand = hand_of(new_lab, relay_when=when, nat_tests=("via-host",))
    hand.ask(b"INVITE", body=SDP, via=via + b":61002")
    hand.lab.net.run(3.0)
    invites = [each for each in hand.lab.net.sent("INVITE") if each.source == SERVER]
    answers = [each for each in hand.lab.net.sent("200 INVITE") if each.source == SERVER]
    assert {b"c=IN IP4 198.51.100.10" in each.payload for each in invites + answers} <= {relayed}
    assert invites or answers


# -- calls -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "callee", "refresher"), [(True, False, "caller"), (False, True, "callee"), (False, False, "")]
)
def test_a_server_asks_for_a_session_timer(
    new_lab: LabMaker, caller: bool, callee: bool, refresher: str
) -> None:
    lab = new_lab(
        alice={"extensions": ("timer",) if caller else ()},
        bob={"extensions": ("timer",) if callee else ()},
        server={"session_timer": 90},
    )
    lab.register()
    lab.call()
    lab.net.run(60.0)
    (onward, *_) = [each for each in lab.net.sent("INVITE") if each.source == SERVER]
    assert b"Session-Expires: 90\r\n" in onward.payload
    refreshes = {each.source for each in lab.net.sent("INVITE") + lab.net.sent("UPDATE") if each.at > 40.0}
    who = {lab.alice.local: "caller", lab.bob.local: "callee"}
    assert {who[each] for each in refreshes if each in who} == ({refresher} if refresher else set())


def test_a_session_timer_where_nat_is_seen(new_lab: LabMaker) -> None:
    for contact, asked in ((PRIVATE, True), (PUBLIC, False)):
        settings = {"session_timer": 90, "session_timer_natted": True, "nat_tests": ("contact-private",)}
        hand = hand_of(new_lab, **settings)
        found = hand.ask(b"INVITE", headers={b"Contact": contact})
        (invite,) = [each for each in found if each.label == "INVITE"]
        assert (b"Session-Expires: 90" in invite.payload) == asked


def test_a_server_shows_a_private_address_of_its_own(new_lab: LabMaker) -> None:
    lab = new_lab(server={"private_own": True})
    lab.register()
    lab.call()
    lab.net.run(3.0)
    (answer, *_) = [each for each in lab.net.sent("200 INVITE") if each.destination == lab.alice.local]
    routes = [field.value for field in answer.message.all(b"record-route")]
    assert len(routes) == 3
    assert f"<sip:{PRIVATE_OWN};lr>".encode() == routes[1]
    lab.hang_up(lab.alice)
    lab.net.run(6.0)
    assert lab.bob.calls[0].over, "the call goes on as without it"


def test_a_call_must_come_by_the_flow_of_the_registration(new_lab: LabMaker) -> None:
    hand = hand_of(new_lab, flow_tied=True)
    hand.register()
    other = Endpoint(SOURCE.ip, SOURCE.port + 1)
    assert "INVITE" in [each.label for each in hand.ask(b"INVITE")]
    found = hand.ask(b"INVITE", source=other, headers={b"Call-ID": b"2"})
    assert [each.label for each in found] == ["403 INVITE"]


def test_a_server_that_answers_to_one_source_port_only(new_lab: LabMaker) -> None:
    hand = hand_of(new_lab, only_source_port=5060)
    assert hand.register() is None
    hand.source = Endpoint(SOURCE.ip, 5060)
    assert status_of(hand.register()) == 200


@pytest.mark.parametrize("b2bua", [False, True])
def test_a_provider_tells_who_calls_whatever_the_caller_says(new_lab: LabMaker, b2bua: bool) -> None:
    lab = new_lab(server={"numbers": {"alice": "+15550100"}, "b2bua": b2bua})
    lab.register()
    claim = b"P-Asserted-Identity: <sip:boss@lab.test>\r\nContact: "
    lab.net.filters.append(
        lambda each: each.with_(b"Contact: ", claim) if b"Contact: <sip:alice" in each.payload else each
    )
    lab.call()
    lab.net.run(2.0)
    (call,) = lab.bob.calls
    assert isinstance(call, IncomingCall)
    assert call.caller == "+15550100"
    assert [each.raw for each in lab.net.sent("INVITE")[-1].message.all(b"p-asserted-identity")] == [
        b"P-Asserted-Identity: <sip:+15550100@lab.test>\r\n"
    ]
    lab.hang_up(lab.alice)
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", lab.net.now))
    (called,) = (each for each in lab.alice.calls if isinstance(each, IncomingCall))
    assert called.caller == "bob"  # of whom it knows no number


def test_a_call_from_another_port(new_lab: LabMaker) -> None:
    lab = new_lab(server={"calls_from": 5080})
    lab.register()
    lab.call()
    assert [each.source.port for each in lab.net.sent("INVITE") if each.source.ip == SERVER.ip] == [5080]


def test_an_overloaded_registrar_forgets_nobody(new_lab: LabMaker) -> None:
    lab = new_lab()
    lab.register()
    lab.server.registrar.overloaded = True
    lab.net.do(lab.alice, lab.alice.register(lab.net.now))
    assert lab.alice.registration.status == 503
    assert lab.server.registrar.lookup("alice")


@pytest.mark.parametrize(("there", "status"), [(True, 200), (False, 408)])
def test_monitoring_finds_out_who_is_there(new_lab: LabMaker, there: bool, status: int) -> None:
    lab, heard = new_lab(), list[int]()
    lab.register()
    if not there:
        lab.net.filters.append(lambda each: None if each.destination == lab.alice.local else each)
    lab.net.do(lab.server, lab.server.ask("alice", lab.net.now, lambda found, then: heard.append(found)))
    lab.net.do(lab.server, lab.server.ask("nobody", lab.net.now, lambda found, then: heard.append(found)))
    lab.net.run(40.0)
    assert sorted(heard) == sorted([status, 480])
