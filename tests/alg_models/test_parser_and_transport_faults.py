"""Weak parsers and transports: other spellings, both ways, over TCP; and what they still do right."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.alg_models import catalogue
from siplab.alg_models.controls import CORRECT
from siplab.alg_models.faults import comma_list_first_only, fragment_unprocessed, growth_crosses_mtu
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, gateway_for
from siplab.alg_models.samples.basic import INCOMING, INVITE, INVITE_OK, REGISTER, REGISTER_OK
from siplab.alg_models.samples.transport import (
    ACKED,
    COMPACT,
    CUT,
    PORTLESS,
    SEQ,
    TCP_AGENT_LAST,
    TCP_REGISTER,
    padded,
    registering,
)
from siplab.alg_models.steps.blindness import divided, shut
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway, Side
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import ACK, PSH, SYN, Endpoint
from siplab.lab.wire.sip import Field, SipMessage

if TYPE_CHECKING:
    from tests.alg_models.conftest import LineMaker

PRIVATE = b"192.168.1.20:5060"
SHOWN = b"203.0.113.7:61002"
CONTACT = b"Contact: <sip:alice@192.168.1.20:5060>"


@pytest.fixture(scope="module")
def model() -> Callable[[str], Model]:
    return catalogue.load(plugins=False).get


Get = Callable[[str], Model]


def out(chosen: Model, message: bytes) -> bytes:
    """What leaves when the phone sends a message through a fresh router."""
    (emission,) = gateway_for(chosen).handle(ip.udp(PHONE, REGISTRAR, message), Side.INSIDE, 0.0)
    assert (emission.side, emission.error) == (Side.OUTSIDE, ""), emission.fate
    return ip.parse(emission.packet).payload


def differs(chosen: Model, message: bytes) -> list[tuple[bytes, bytes]]:
    """The lines in which the model's output differs from that of the correct ALG: model's, correct's."""
    mine, right = out(chosen, message).split(b"\r\n"), out(CORRECT, message).split(b"\r\n")
    assert len(mine) == len(right)
    return [pair for pair in zip(mine, right, strict=True) if pair[0] != pair[1]]


# -- names -----------------------------------------------------------------------------------------


def test_compact_forms(model: Get) -> None:
    ignored = model("compact-form-ignored")
    rows = dict(differs(ignored, COMPACT))
    assert rows == {
        b"v: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK75": (
            b"v: SIP/2.0/UDP 203.0.113.7:61002;rport;branch=z9hG4bK75"
        ),
        b"m: <sip:alice@192.168.1.20:5060>": b"m: <sip:alice@203.0.113.7:61002>",
        b"l: 110": b"l: 108",
    }
    assert differs(ignored, INVITE) == []
    # The answer's compact Contact and Via are not translated back either.
    short = INVITE_OK.replace(b"Via:", b"v:").replace(b"Contact:", b"m:")
    assert answered(ignored, COMPACT, short).count(SHOWN) == 1
    assert answered(ignored, COMPACT, INVITE_OK).count(SHOWN) == 0


def answered(chosen: Model, request: bytes, response: bytes) -> bytes:
    """What the phone receives when its request is answered."""
    router = gateway_for(chosen)
    router.handle(ip.udp(PHONE, REGISTRAR, request), Side.INSIDE, 0.0)
    (emission,) = router.handle(ip.udp(REGISTRAR, PUBLIC, response), Side.OUTSIDE, 0.1)
    assert emission.side is Side.INSIDE
    return ip.parse(emission.packet).payload


def test_compact_forms_in_lower_case(model: Get) -> None:
    lower = model("compact-form-ignored(known=lower-case)")
    assert differs(lower, COMPACT) == []
    ((mine, _),) = differs(lower, COMPACT.replace(b"\nm:", b"\nM:"))
    assert mine == b"M: <sip:alice@192.168.1.20:5060>"


def test_compact_calls_are_kept_apart(model: Get) -> None:
    """The end of one call leaves the pinholes of another open."""
    router = gateway_for(model("compact-form-ignored"))
    other = COMPACT.replace(b"b95c5d87", b"e28f90ba").replace(b"49170", b"49180")
    for message in (COMPACT, other):
        router.handle(ip.udp(PHONE, REGISTRAR, message), Side.INSIDE, 0.0)
    refusal = INVITE_OK.replace(b"200 OK", b"486 Busy Here").replace(b"Call-ID:", b"i:")
    router.handle(ip.udp(REGISTRAR, PUBLIC, refusal), Side.OUTSIDE, 0.1)
    holes = {binding.inside.port: len(binding.pinholes) for binding in router.nat.bindings}
    assert (holes[49170], holes[49180]) == (0, 1)


@pytest.mark.parametrize("name", [b"CONTACT", b"contact", b"ConTact", b"M"])
def test_names_in_another_case(model: Get, name: bytes) -> None:
    message = REGISTER.replace(b"Contact", name)
    assert [mine for mine, _ in differs(model("case-sensitive-name"), message)] == [
        name + b": <sip:alice@192.168.1.20:5060>"
    ]


@pytest.mark.parametrize("spelling", [b"Contact:", b"Contact :", b"Contact\t:", b"m:"])
def test_names_in_the_usual_case(model: Get, spelling: bytes) -> None:
    assert differs(model("case-sensitive-name"), REGISTER.replace(b"Contact:", spelling)) == []


def test_case_coming_in(model: Get) -> None:
    shouting = REGISTER_OK.replace(b"Contact:", b"CONTACT:")
    came = answered(model("case-sensitive-name"), REGISTER, shouting)
    assert b"CONTACT: <sip:alice@203.0.113.7:61002>" in came
    assert b"Via: SIP/2.0/UDP 192.168.1.20:5060" in came


# -- folds, lists, spaces --------------------------------------------------------------------------

FOLDED = registering(b"Contact:\r\n <sip:alice@192.168.1.20:5060>\r\n")
TABBED = FOLDED.replace(b"\r\n <", b"\r\n\t<")


@pytest.mark.parametrize(
    ("spec", "message", "lines"),
    [
        ("header-folding-ignored", FOLDED, 1),
        ("header-folding-ignored", TABBED, 1),
        ("header-folding-ignored(misses=tab)", FOLDED, 0),
        ("header-folding-ignored(misses=tab)", TABBED, 1),
        ("header-folding-ignored", REGISTER, 0),
    ],
)
def test_folds(model: Get, spec: str, message: bytes, lines: int) -> None:
    assert len(differs(model(spec), message)) == lines


def test_what_stands_before_the_fold_is_translated(model: Get) -> None:
    message = registering(
        b"Contact: <sip:alice@192.168.1.20:5060>;q=0.9,\r\n <sip:a2@192.168.1.20:5060>;q=0.5\r\n"
    )
    ((mine, right),) = differs(model("header-folding-ignored"), message)
    assert (mine, right) == (b" <sip:a2@192.168.1.20:5060>;q=0.5", b" <sip:a2@203.0.113.7:61002>;q=0.5")


def test_a_folded_length_does_not_become_another_number(model: Get) -> None:
    message = INVITE.replace(b"Content-Length: ", b"Content-Length:\r\n ")
    ((mine, right),) = differs(model("header-folding-ignored"), message)
    assert (mine, right) == (b" 110", b" 108")


def test_only_the_first_of_a_list(model: Get) -> None:
    first_only = model("comma-list-first-only")
    message = registering(
        via=b"Via: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1,SIP/2.0/UDP 192.168.1.20\r\n"
    )
    ((mine, right),) = differs(first_only, message)
    assert mine == b"Via: SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bK1,SIP/2.0/UDP 192.168.1.20"
    assert right.count(SHOWN) == 2
    # Contacts on separate lines are all translated, and a comma in a display name makes no list.
    two = registering(CONTACT + b"\r\n" + CONTACT.replace(b"alice", b"a2") + b"\r\n")
    assert differs(first_only, two) == []
    named = registering(b'Contact: "Smith, Alice" <sip:alice@192.168.1.20:5060>\r\n')
    assert differs(first_only, named) == []


def test_only_the_first_of_a_list_comes_back_and_is_held(model: Get) -> None:
    listed = REGISTER_OK.replace(
        b"<sip:alice@203.0.113.7:61002>;expires=3600",
        b"<sip:far@198.51.100.99>;expires=60, <sip:alice@203.0.113.7:61002>;expires=3600",
    )
    first_only = model("comma-list-first-only")
    assert b"<sip:alice@203.0.113.7:61002>;expires=3600" in answered(first_only, REGISTER, listed)
    assert b"<sip:alice@192.168.1.20:5060>;expires=3600" in answered(CORRECT, REGISTER, listed)


VIA = b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74\r\n"


@pytest.mark.parametrize(
    ("spec", "old", "new", "lines"),
    [
        ("exact-spacing", b"UDP 192", b"UDP  192", 1),
        ("exact-spacing", b"UDP 192", b"UDP\t192", 1),
        ("exact-spacing", b"SIP/2.0/UDP 192", b"SIP / 2.0 / UDP 192", 0),
        ("exact-spacing(where=every)", b"SIP/2.0/UDP 192", b"SIP / 2.0 / UDP 192", 1),
        ("exact-spacing(where=every)", b"UDP 192", b"UDP  192", 1),
        ("exact-spacing", b"Contact: ", b"Contact:", 0),
        ("exact-spacing(where=every)", b"Contact: ", b"Contact:", 1),
        ("exact-spacing(where=every)", b"Contact: ", b"Contact : ", 1),
        ("exact-spacing(where=every)", b"Contact: ", b"Contact:  ", 1),
        ("exact-spacing(where=every)", b"", b"", 0),
    ],
)
def test_spaces(model: Get, spec: str, old: bytes, new: bytes, lines: int) -> None:
    assert len(differs(model(spec), REGISTER.replace(old, new) if old else REGISTER)) == lines


def test_reading_of_vias_ends_at_the_unusual_one(model: Get) -> None:
    message = registering(
        via=b"Via: SIP/2.0/UDP 192.168.1.20:5060,SIP/2.0/UDP  192.168.1.20:5060,"
        b"SIP/2.0/UDP 192.168.1.20:5060\r\n"
    )
    ((mine, _),) = differs(model("exact-spacing"), message)
    assert mine == (
        b"Via: SIP/2.0/UDP 203.0.113.7:61002,SIP/2.0/UDP  192.168.1.20:5060,SIP/2.0/UDP 192.168.1.20:5060"
    )


# -- substrings ------------------------------------------------------------------------------------


def test_substrings_in_a_body(model: Get) -> None:
    text = b"Contact: <sip:alice@192.168.1.20:5060>\r\nVia: SIP/2.0/UDP 192.168.1.20:5060\r\n"
    message = (
        b"MESSAGE sip:bob@lab.test SIP/2.0\r\n" + VIA + b"Call-ID: 9\r\nCSeq: 1 MESSAGE\r\n"
        b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(text) + text
    )
    left = SipMessage.parse(out(model("substring-header-match"), message))
    assert left.body == text.replace(PRIVATE, SHOWN)
    assert left.content_length == len(left.body)
    assert SipMessage.parse(out(CORRECT, message)).body == text


def test_the_first_contact_found_is_the_only_one_with_stop(model: Get) -> None:
    message = registering(b"X-Contact: <sip:other@192.168.1.20:5060>\r\n" + CONTACT + b"\r\n")
    for spec, kept in (("substring-header-match", 0), ("substring-header-match(stop=true)", 1)):
        left = out(model(spec), message)
        assert b"X-Contact: <sip:other@203.0.113.7:61002>" in left
        assert left.count(CONTACT) == kept
    # If the other header comes after Contact, it is never found first.
    after = registering(CONTACT + b"\r\nX-Contact: <sip:other@192.168.1.20:5060>\r\n")
    assert CONTACT + b"\r\n" not in out(model("substring-header-match(stop=true)"), after)


def test_without_such_substrings_it_is_correct(model: Get) -> None:
    for message in (REGISTER, INVITE, COMPACT):
        assert differs(model("substring-header-match"), message) == []


# -- IPv6 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ("ipv6-literal-mangled", b"2001:db8::20:5060"),
        ("ipv6-literal-mangled(how=cut)", b"[2001"),
    ],
)
def test_ipv6_references(model: Get, spec: str, written: bytes) -> None:
    two = b"Contact: <sip:a@[2001:db8::20]:5060;ob>;q=1, <sip:b@[2001:db8::20]:5060>\r\n"
    ((mine, right),) = differs(model(spec), registering(two))
    assert right == two.rstrip()
    assert mine == two.rstrip().replace(b"[2001:db8::20]:5060", written)
    assert differs(model(spec), INVITE) == []
    quoted = registering(b'Contact: "[2001:db8::20]" <sip:alice@192.168.1.20:5060>\r\n')
    assert differs(model(spec), quoted) == []


def test_ipv6_references_come_in_unharmed(model: Get) -> None:
    far = INVITE_OK.replace(b"<sip:bob@198.51.100.20:5060>", b"<sip:bob@[2001:db8::99]:5060>")
    assert b"<sip:bob@[2001:db8::99]:5060>" in answered(model("ipv6-literal-mangled"), INVITE, far)


# -- methods and limits ----------------------------------------------------------------------------

EXTENSIONS = [b"PRACK", b"UPDATE", b"MESSAGE", b"REFER", b"PUBLISH", b"INFO", b"SUBSCRIBE", b"NOTIFY"]


def passes(chosen: Model, message: bytes, side: Side = Side.INSIDE) -> bool:
    router = gateway_for(chosen)
    router.handle(ip.udp(PHONE, REGISTRAR, REGISTER), Side.INSIDE, 0.0)
    ends = (PHONE, REGISTRAR) if side is Side.INSIDE else (REGISTRAR, PUBLIC)
    (emission,) = router.handle(ip.udp(*ends, message), side, 0.1)
    assert emission.side in (None, side.other)
    return emission.side is side.other


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    ("methods", "core", "registered"),
    [
        ([b"REGISTER", b"INVITE", b"ACK", b"CANCEL", b"BYE", b"OPTIONS"], True, True),
        (EXTENSIONS, False, True),
        ([b"NEWMETHOD", b"invite"], False, False),
    ],
)
def test_methods(model: Get, methods: list[bytes], core: bool, registered: bool, side: Side) -> None:
    for method in methods:
        request = INCOMING.replace(b"INVITE", method)
        assert passes(model("unknown-method-dropped"), request, side) == core
        assert passes(model("unknown-method-dropped(known=registered)"), request, side) == registered


def test_answers_to_unknown_methods_pass(model: Get) -> None:
    answer = INVITE_OK.replace(b"1 INVITE", b"1 NEWMETHOD")
    assert answered(model("unknown-method-dropped"), INVITE, answer) == answered(CORRECT, INVITE, answer)


def test_the_limits_themselves_pass(model: Get) -> None:
    strict = model("strict-syntax-drop")
    for extra, arrives in ((0, True), (1, False)):
        uri = b"sip:" + b"a" * (255 - len(b"sip:@lab.test") + extra) + b"@lab.test"
        assert passes(strict, INVITE.replace(b"sip:bob@lab.test", uri, 1)) == arrives
        line = b"X-List: " + b"a" * (998 - len(b"X-List: ") + extra) + b"\r\n"
        assert passes(strict, INVITE.replace(b"CSeq:", line + b"CSeq:")) == arrives
    folded = b"X-List: " + b"\r\n ".join([b"a" * 400] * 5) + b"\r\n"
    assert passes(strict, INVITE.replace(b"CSeq:", folded + b"CSeq:"))
    assert passes(model("strict-syntax-drop(longest_uri=5000)"), INVITE.replace(b"bob@", b"b" * 300 + b"@"))


def test_too_long_can_be_answered(model: Get) -> None:
    strict = model("strict-syntax-drop(answer=true)")
    long = padded(INVITE, 1600)
    answer, dropped = gateway_for(strict).handle(ip.udp(PHONE, REGISTRAR, long), Side.INSIDE, 0.0)
    assert (dropped.side, answer.side, answer.originated) == (None, Side.INSIDE, True)
    reply, request = SipMessage.parse(ip.parse(answer.packet).payload), SipMessage.parse(long)
    assert reply.status == 413
    for name in (b"via", b"from", b"call-id", b"cseq"):
        assert reply.value(name) == request.value(name)
    assert reply.value(b"to") == request.value(b"to") + b";tag=413"
    six = ip.udp(Endpoint("2001:db8:1::20", 5060), Endpoint("2001:db8:9::10", 5060), long)
    answer, dropped = gateway_for(strict).handle(six, Side.INSIDE, 0.0)
    assert (dropped.side, answer.side) == (None, Side.INSIDE)
    assert ip.parse(answer.packet).destination == ip.parse(six).source
    # The router answers neither an ACK nor a response.
    for message in (long.replace(b"INVITE", b"ACK"), padded(INVITE_OK, 1600)):
        (only,) = gateway_for(strict).handle(ip.udp(PHONE, REGISTRAR, message), Side.INSIDE, 0.0)
        assert only.side is None


# -- fragments and size ----------------------------------------------------------------------------


def deliver(router: Gateway, packets: list[bytes], side: Side) -> bytes:
    """What leaves when a datagram comes in these packets; empty if nothing does."""
    found = b""
    for packet in packets:
        for emission in router.handle(packet, side, 0.0):
            if emission.side is not None:
                found += ip.parse(emission.packet).payload
    return found


@pytest.mark.parametrize("order", [1, -1])
def test_fragments(model: Get, order: int) -> None:
    long = padded(INVITE, 1700)
    whole = ip.udp(PHONE, REGISTRAR, long, dont_fragment=False)
    pieces = fragmented(whole, identification=5)[::order]
    assert deliver(gateway_for(model("fragment-drop")), pieces, Side.INSIDE) == b""
    assert deliver(gateway_for(model("fragment-unprocessed")), pieces, Side.INSIDE) == long
    right = deliver(gateway_for(CORRECT), pieces, Side.INSIDE)
    assert PRIVATE not in right
    # No pinhole is opened for a message that was not read.
    router = gateway_for(fragment_unprocessed.MODEL)
    deliver(router, pieces, Side.INSIDE)
    assert [binding.inside for binding in router.nat.bindings] == [PHONE]
    for message in (REGISTER, INVITE):
        assert (
            differs(model("fragment-drop"), message) == differs(model("fragment-unprocessed"), message) == []
        )


def test_only_what_crosses_the_mtu_is_lost() -> None:
    chosen = growth_crosses_mtu.MODEL
    lost = [size for size in range(1480, 1520) if not passes(chosen, padded(PORTLESS, size))]
    grown = len(out(CORRECT, PORTLESS)) - len(PORTLESS)
    assert grown > 0
    # The first packet of ``passes`` makes the flow known, so only the size decides what is lost.
    assert lost == list(range(1501 - grown, 1501))


# -- TCP -------------------------------------------------------------------------------------------


class Tcp:
    """The phone's connection to the registrar; numbers count from the first byte of data."""

    def __init__(self, chosen: Model) -> None:
        self.router = gateway_for(chosen)
        self.out(b"", -1, 0, SYN)
        self.back(b"", -1, 0, SYN | ACK)
        self.out(b"", 0, 0, ACK)

    def out(self, data: bytes, seq: int, ack: int, flags: int = ACK | PSH) -> list[tuple[int, bytes]]:
        """Sequence numbers and data of what leaves."""
        packet = ip.tcp(PHONE, REGISTRAR, data, seq=SEQ + seq, ack=ACKED + ack, flags=flags)
        return self._through(packet, Side.INSIDE, SEQ)

    def back(self, data: bytes, seq: int, ack: int, flags: int = ACK | PSH) -> list[tuple[int, bytes]]:
        packet = ip.tcp(REGISTRAR, PUBLIC, data, seq=ACKED + seq, ack=SEQ + ack, flags=flags)
        return self._through(packet, Side.OUTSIDE, ACKED)

    def _through(self, packet: bytes, side: Side, base: int) -> list[tuple[int, bytes]]:
        left = [
            ip.parse(each.packet)
            for each in self.router.handle(packet, side, 0.0)
            if each.side is side.other and not each.originated
        ]
        return [(each.seq - base, each.payload) for each in left]


SHOWN_REGISTER = TCP_REGISTER.replace(b"192.168.1.20:5060", SHOWN).replace(b"192.168.1.20;", SHOWN + b";")
GROWN = len(SHOWN_REGISTER) - len(TCP_REGISTER)


def test_a_split_message_passes_and_the_next_one_does_not(model: Get) -> None:
    line = Tcp(model("tcp-split-unprocessed"))
    size = len(TCP_REGISTER)
    assert line.out(TCP_REGISTER[:CUT], 0, 0) == [(0, TCP_REGISTER[:CUT])]
    assert line.out(TCP_REGISTER[CUT:], CUT, 0) == [(CUT, TCP_REGISTER[CUT:])]
    ((seq, left),) = line.out(TCP_REGISTER, size, 0)
    assert (seq, left) == (size, out_over_tcp(CORRECT, TCP_REGISTER))
    # Sequence numbers are adjusted: the third message begins where the second one now ends.
    ((seq, _),) = line.out(TCP_REGISTER, 2 * size, 0)
    assert seq == size + len(left)


def out_over_tcp(chosen: Model, message: bytes) -> bytes:
    return b"".join(data for _, data in Tcp(chosen).out(message, 0, 0))


def test_content_length_must_be_last(model: Get) -> None:
    last = model("tcp-content-length-must-be-last")
    assert out_over_tcp(last, TCP_AGENT_LAST) == TCP_AGENT_LAST
    assert out_over_tcp(last, TCP_REGISTER) == out_over_tcp(CORRECT, TCP_REGISTER) != TCP_REGISTER
    # Each message counts by itself, and over UDP the fault does nothing.
    both = out_over_tcp(last, TCP_AGENT_LAST + TCP_REGISTER)
    assert both == TCP_AGENT_LAST + out_over_tcp(CORRECT, TCP_REGISTER)
    assert differs(last, TCP_AGENT_LAST.replace(b"/TCP", b"/UDP")) == []


def test_content_length_must_be_last_coming_in_and_in_two_segments(model: Get) -> None:
    line = Tcp(model("tcp-content-length-must-be-last"))
    line.out(TCP_REGISTER, 0, 0)
    answer = REGISTER_OK.replace(b"Content-Length: 0\r\n", b"Content-Length: 0\r\nServer: x\r\n")
    assert line.back(answer, 0, 0) == [(0, answer)]
    line = Tcp(model("tcp-content-length-must-be-last"))
    line.out(TCP_REGISTER[:CUT], 0, 0)
    ((_, left),) = line.out(TCP_REGISTER[CUT:], CUT, 0)
    assert left == out_over_tcp(CORRECT, TCP_REGISTER)


def test_sequence_numbers_are_forgotten(model: Get) -> None:
    size = len(TCP_REGISTER)
    lines = {name: Tcp(model(name)) for name in ("correct", "tcp-seq-desync")}
    first = {name: line.out(TCP_REGISTER, 0, 0) for name, line in lines.items()}
    assert first["correct"] == first["tcp-seq-desync"]
    grown = len(first["correct"][0][1])
    assert grown > size
    second = {name: line.out(TCP_REGISTER, size, 0) for name, line in lines.items()}
    assert second["correct"][0][0] == grown
    assert second["tcp-seq-desync"][0][0] == size  # numbers that the server has received already
    assert differs(model("tcp-seq-desync"), INVITE) == []


def test_tcp_is_left_alone(model: Get) -> None:
    line = Tcp(model("tcp-ignored"))
    assert line.out(TCP_REGISTER, 0, 0) == [(0, TCP_REGISTER)]
    assert line.back(REGISTER_OK, 0, len(TCP_REGISTER)) == [(0, REGISTER_OK)]
    assert differs(model("tcp-ignored"), INVITE) == []


# -- checksum --------------------------------------------------------------------------------------


def test_the_checksum_is_the_only_difference(model: Get) -> None:
    packet = ip.udp(PHONE, REGISTRAR, REGISTER)
    (bad,) = gateway_for(model("udp-checksum-bad")).handle(packet, Side.INSIDE, 0.0)
    (good,) = gateway_for(CORRECT).handle(packet, Side.INSIDE, 0.0)
    assert ip.verify(good.packet) == []
    assert ip.verify(bad.packet) == ["udp checksum"]
    assert bad.packet[:26] + bad.packet[28:] == good.packet[:26] + good.packet[28:]
    assert bad.packet[26:28] == packet[26:28]


# -- the building blocks ---------------------------------------------------------------------------

VALUES = st.text('ab ,:;<>"\r\n\tVia', max_size=30).map(str.encode)


@given(value=VALUES, data=st.data())
def test_a_divided_field_is_still_the_field(value: bytes, data: st.DataObject) -> None:
    field = Field(b"Contact: " + value + b"\r\n")
    room = len(field.raw) - field.value_offset
    ends = sorted(
        data.draw(st.lists(st.integers(0, room), min_size=2, max_size=4).filter(lambda e: len(e) % 2 == 0))
    )
    spans = list(zip(ends[::2], ends[1::2], strict=True))
    pieces = divided(field, spans)
    assert b"".join(map(bytes, pieces)) == field.raw
    assert {piece.name for piece in pieces[1:]} <= {b""}
    assert pieces[0].name == b"contact"


@given(text=st.binary(max_size=200))
def test_a_shut_message_is_the_same_bytes_and_shows_nothing(text: bytes) -> None:
    message = SipMessage.parse(REGISTER + text)
    shut(message)
    assert bytes(message) == REGISTER + text
    assert (message.fields, message.body, message.request_uri) == ([], b"", b"")


PARSERS = [
    "compact-form-ignored",
    "header-folding-ignored",
    "case-sensitive-name",
    "comma-list-first-only",
    "exact-spacing(where=every)",
    "tcp-content-length-must-be-last",
]


@pytest.mark.parametrize("spec", PARSERS)
def test_what_is_not_seen_stays_to_the_byte(model: Get, spec: str) -> None:
    """Whatever the spelling, a line leaves as the correct ALG writes it, or as it came."""
    rng = random.Random(1)
    chosen = model(spec)
    for _ in range(300):
        names = [b"Contact", b"CONTACT", b"m", b"Via", b"v", b"VIA", b"Record-Route", b"Content-Length", b"l"]
        rows = b"".join(
            rng.choice(names)
            + rng.choice([b":", b": ", b" : ", b":\r\n ", b":\t", b":  "])
            + rng.choice([b"SIP/2.0/UDP 192.168.1.20:5060", b"<sip:a@192.168.1.20:5060>", b"0"])
            + rng.choice([b"", b", <sip:b@192.168.1.20:5060>", b",\r\n\tSIP/2.0/UDP  192.168.1.20", b";x=1"])
            + b"\r\n"
            for _ in range(rng.randrange(1, 5))
        )
        message = REGISTER.replace(b"Call-ID", rows + b"Call-ID")
        came, right, mine = (
            text.split(b"\r\n") for text in (message, out(CORRECT, message), out(chosen, message))
        )
        assert len(came) == len(right) == len(mine)
        for was, becomes, is_now in zip(came, right, mine, strict=True):
            halves = {was, becomes}
            if is_now not in halves:  # a list of which the ALG did not see a part
                assert b"," in was
                assert is_now.replace(SHOWN, PRIVATE) == becomes.replace(SHOWN, PRIVATE)


def test_the_first_of_any_list(new_line: LineMaker) -> None:
    """Only the first inside address of a list is translated, however many follow."""
    line = new_line(comma_list_first_only.MODEL)
    for count in range(1, 6):
        contacts = b", ".join([b"<sip:a@192.168.1.20:5060>"] * count)
        left = SipMessage.parse(line.out(registering(b"Contact: " + contacts + b"\r\n")))
        assert left.value(b"contact").count(PRIVATE) == count - 1
    assert Endpoint("192.168.1.20", 5060) == line.phone
