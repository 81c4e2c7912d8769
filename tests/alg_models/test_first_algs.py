"""The kernel's first ALGs: linux-gen1 (2.6.18 to 2.6.25) and patch-o-matic, rule by rule.

Facts: vendor-sources 2.0 and 2.1. The models' cards name the source files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, RELAY
from siplab.alg_models.samples.basic import FAR_SDP, INCOMING, INVITE, INVITE_OK, REGISTER, REGISTER_OK, SDP
from siplab.alg_models.samples.media import with_body
from siplab.lab.errors import UsageError
from siplab.lab.gateway.gateway import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from tests.alg_models.test_linux import (
    ANOTHER_PORT,
    PUBLIC_RTP,
    RTP,
    arrived,
    changed,
    options,
    passed,
    sent,
    value,
)

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

CATALOGUE = load(plugins=False)
VIA = b"Via: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1"


@pytest.fixture
def gen1(new_line: LineMaker) -> Line:
    return new_line(CATALOGUE.get("linux-gen1"))


@pytest.fixture
def repaired(new_line: LineMaker) -> Line:
    return new_line(CATALOGUE.get("linux-gen1(kernel=2.6.24)"))


@pytest.fixture
def pom(new_line: LineMaker) -> Line:
    return new_line(CATALOGUE.get("patch-o-matic"))


@pytest.fixture
def crippled(new_line: LineMaker) -> Line:
    return new_line(CATALOGUE.get("patch-o-matic(crippled=true)"))


def answer(line: Line, message: bytes) -> bytes | None:
    found = passed(line, ip.udp(REGISTRAR, line.public, message), Side.OUTSIDE)
    return found.payload if found else None


# -- linux-gen1 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.6.17", "2.6.26", "2.6", "new", "3.4"])
def test_gen1_is_of_2_6_18_to_2_6_25(version: str) -> None:
    with pytest.raises(UsageError, match=r"not one of 2\.6\.18 to 2\.6\.25"):
        CATALOGUE.get(f"linux-gen1(kernel={version})")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Contact: <sip:a@192.168.1.20:5060>", b"Contact: <sip:a@203.0.113.7:61002>"),
        (b"Contact: <sip:a@192.168.1.20>", b"Contact: <sip:a@203.0.113.7:61002>"),
        (b"Contact: <sip:a@192.168.1.20:5070>", b"Contact: <sip:a@192.168.1.20:5070>"),
        (b"Contact: <sip:a@192.168.1.200>", b"Contact: <sip:a@192.168.1.200>"),
        # If the server's address stands without a port, the ALG writes its port, too.
        (b"To: <sip:b@198.51.100.10>", b"To: <sip:b@198.51.100.10:5060>"),
        (b"CONTACT: <sip:a@192.168.1.20>", b"CONTACT: <sip:a@192.168.1.20>"),
        (b"m: <sip:a@192.168.1.20>", b"m: <sip:a@203.0.113.7:61002>"),
        (b"X-Contact: <sip:a@192.168.1.20>", b"X-Contact: <sip:a@203.0.113.7:61002>"),
        (
            b"Contact: <sip:a@192.168.1.20>\r\nContact: <sip:b@192.168.1.20>",
            b"Contact: <sip:a@203.0.113.7:61002>\r\nContact: <sip:b@192.168.1.20>",
        ),
        (
            b"Via: SIP/2.0/UDP 192.168.1.20;received=192.168.1.20",
            b"Via: SIP/2.0/UDP 203.0.113.7:61002;received=192.168.1.20",
        ),
    ],
)
def test_gen1_compares_text(before: bytes, after: bytes, gen1: Line) -> None:
    assert gen1.out(options(before)) == options(after)


def test_gen1_restores_what_comes_in(gen1: Line) -> None:
    gen1.out(REGISTER)
    back = gen1.back(REGISTER_OK)
    assert value(back, b"via").startswith(b"SIP/2.0/UDP 192.168.1.20:5060;rport=61002;")
    assert value(back, b"contact").startswith(b"<sip:alice@192.168.1.20:5060>")
    assert gen1.back(INCOMING).startswith(b"INVITE sip:alice@192.168.1.20:5060 ")


def test_gen1_needs_a_user_until_2_6_24(gen1: Line, repaired: Line) -> None:
    text = options(b"Contact: <sip:192.168.1.20:5060>")
    assert gen1.out(text) == text
    assert repaired.out(text) == options(b"Contact: <sip:203.0.113.7:61002>")


def test_gen1_maps_the_uri_of_register_without_a_user(gen1: Line) -> None:
    there = b"REGISTER sip:198.51.100.10 SIP/2.0\r\nCSeq: 1 REGISTER\r\n\r\n"
    assert gen1.out(there).startswith(b"REGISTER sip:198.51.100.10:5060 SIP/2.0")


def test_gen1_drops_short_payloads_until_2_6_24(gen1: Line, repaired: Line) -> None:
    assert sent(gen1, b"\r\n\r\n") is None
    assert sent(repaired, b"\r\n\r\n") == b"\r\n\r\n"


def test_gen1_has_no_way_in_for_calls(gen1: Line) -> None:
    gen1.out(REGISTER)
    gen1.back(REGISTER_OK)
    assert arrived(gen1, INCOMING, ANOTHER_PORT) is None


def test_gen1_holds_the_phones_flow_for_an_hour(gen1: Line) -> None:
    gen1.out(REGISTER)
    gen1.now = 3599.0
    assert arrived(gen1, INCOMING) == PHONE


@pytest.mark.parametrize("method", [b"INVITE", b"invite"])
def test_gen1_knows_methods_in_any_case_from_2_6_24_on(method: bytes, gen1: Line, repaired: Line) -> None:
    offer = changed(INVITE, (b"INVITE sip", method + b" sip"))
    assert (b"c=IN IP4 203.0.113.7" in gen1.out(offer)) is (method == b"INVITE")
    assert b"c=IN IP4 203.0.113.7" in repaired.out(offer)


def test_gen1_moves_media_from_outside_to_the_signalling_peer_until_2_6_24(
    gen1: Line, repaired: Line
) -> None:
    for line, address in ((gen1, b"198.51.100.10"), (repaired, b"198.51.100.20")):
        line.out(INVITE)
        assert b"c=IN IP4 %b\r\n" % address in line.back(INVITE_OK)


def test_gen1_takes_any_media_address_for_its_own(gen1: Line) -> None:
    relayed = with_body(INVITE, SDP.replace(b"c=IN IP4 192.168.1.20", b"c=IN IP4 198.51.100.99"))
    assert b"c=IN IP4 203.0.113.7" in gen1.out(relayed)
    held = with_body(INVITE, SDP.replace(b"c=IN IP4 192.168.1.20", b"c=IN IP4 0.0.0.0"))
    assert b"c=IN IP4 203.0.113.7" in gen1.out(held)


def test_gen1_expects_rtp_of_the_peer_alone_and_no_rtcp(gen1: Line) -> None:
    gen1.out(INVITE)
    assert arrived(gen1, RTP, RELAY, PUBLIC_RTP) is None
    assert arrived(gen1, RTP, REGISTRAR._replace(port=9), Endpoint(PUBLIC.ip, 49171)) is None
    assert arrived(gen1, RTP, REGISTRAR._replace(port=9), PUBLIC_RTP) == Endpoint(PHONE.ip, 49170)


def test_gen1_expects_two_streams_at_most(gen1: Line) -> None:
    for port in (b"49170", b"49180", b"49190"):
        gen1.out(with_body(INVITE, SDP.replace(b"49170", port)))
    came = [
        arrived(gen1, RTP, REGISTRAR._replace(port=9), Endpoint(PUBLIC.ip, each))
        for each in (49170, 49180, 49190)
    ]
    assert came == [None, Endpoint(PHONE.ip, 49180), Endpoint(PHONE.ip, 49190)]


def test_gen1_searches_the_next_port_odd_ones_too(gen1: Line) -> None:
    other = Endpoint("192.168.1.21", 5060)
    assert b"m=audio 49170 " in gen1.out(INVITE)
    theirs = changed(INVITE, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 192.168.1.21"))
    assert b"m=audio 49171 " in gen1.out(theirs, other)


@pytest.mark.parametrize("missing", [b"o=alice 1 1 IN IP4 192.168.1.20\r\n", b"Content-Length: 131\r\n"])
def test_gen1_drops_descriptions_that_lack_something(missing: bytes, gen1: Line) -> None:
    text = INVITE.replace(missing, b"") if missing in INVITE else with_body(INVITE, SDP.replace(missing, b""))
    assert missing not in text
    if b"Content-Length" in missing:
        head, _, body = INVITE.partition(b"Content-Length")
        text = head[:-2] + b"\r\n" + body.partition(b"\r\n")[2]
    assert sent(gen1, text) is None


def test_gen1_sees_no_fragments(gen1: Line) -> None:
    assert gen1.gateway.policy.fragments == "unprocessed"
    assert gen1.gateway.policy.transports == {"udp"}


# -- patch-o-matic --------------------------------------------------------------------------------------


def test_pom_overwrites_whatever_stands_there(pom: Line) -> None:
    other = b"Contact: <sip:a@192.168.1.99:7000>"
    left = pom.out(options(changed(VIA, (b"192.168.1.20", b"10.9.8.7")), other))
    assert value(left, b"via").startswith(b"SIP/2.0/UDP 203.0.113.7:61002;")
    assert value(left, b"contact") == b"<sip:a@203.0.113.7:61002>"


def test_pom_leaves_via_of_responses_going_out(pom: Line) -> None:
    pom.out(REGISTER)
    via = b"Via: SIP/2.0/UDP 198.51.100.10:5060\r\n"
    response = b"SIP/2.0 200 OK\r\n%bCSeq: 1 OPTIONS\r\nContact: <sip:a@192.168.1.20>\r\n\r\n" % via
    left = pom.out(response)
    assert value(left, b"via") == b"SIP/2.0/UDP 198.51.100.10:5060"
    assert value(left, b"contact") == b"<sip:a@203.0.113.7:61002>"


def test_pom_does_not_restore_contact(pom: Line) -> None:
    pom.out(REGISTER)
    back = pom.back(REGISTER_OK)
    assert value(back, b"via").startswith(b"SIP/2.0/UDP 192.168.1.20:5060;")
    assert value(back, b"contact").startswith(b"<sip:alice@203.0.113.7:61002>")


@pytest.mark.parametrize("both", ["pom", "crippled"])
def test_what_pom_drops(both: str, request: pytest.FixtureRequest) -> None:
    line: Line = request.getfixturevalue(both)
    assert sent(line, options()) is None, "a request without a Via"
    assert sent(line, options(VIA.replace(b"Via", b"via"))) is None, "names are searched in their own letters"
    assert sent(line, options(VIA.replace(b"192.168.1.20", b"phone.lan"))) is None
    assert sent(line, b"\r\n\r\n") is None, "less than 7 bytes"
    line.out(REGISTER)
    assert answer(line, options(uri=b"sip:203.0.113.7:61002")) is None, "no user in the request line"
    assert answer(line, options(uri=b"sip:alice@host.example")) is None
    assert answer(line, options(uri=b"sip:alice@203.0.113.7:61002")) is not None
    assert answer(line, REGISTER_OK.replace(b"CSeq:", b"cseq:")) is None
    assert answer(line, REGISTER_OK) is not None
    assert sent(line, with_body(INVITE, SDP.replace(b"m=audio 49170", b"m=audio 0"))) is None
    assert sent(line, with_body(INVITE, SDP.replace(b"c=IN IP4 192.168.1.20", b"c=IN IP4 pc.lan"))) is None
    assert (
        sent(
            line, with_body(INVITE, SDP.replace(b"o=alice 1 1 IN IP4 192.168.1.20", b"o=a 1 1 IN IP4 pc.lan"))
        )
        is None
    )


def test_pom_writes_descriptions_of_who_opened_the_flow_alone(pom: Line) -> None:
    left = SipMessage.parse(pom.out(INVITE))
    assert b"c=IN IP4 203.0.113.7" in left.body
    assert left.value(b"content-length") == b"%d" % len(left.body)
    assert FAR_SDP in pom.back(INVITE_OK)


def test_pom_expects_one_stream(pom: Line) -> None:
    for port in (b"49170", b"49180"):
        pom.out(with_body(INVITE, SDP.replace(b"49170", port)))
    peer = REGISTRAR._replace(port=9)
    assert arrived(pom, RTP, peer, PUBLIC_RTP) is None
    assert arrived(pom, RTP, peer, Endpoint(PUBLIC.ip, 49180)) == Endpoint(PHONE.ip, 49180)


def test_crippled_writes_nothing(crippled: Line) -> None:
    for message in (REGISTER, INVITE):
        assert crippled.out(message) == message
    assert crippled.back(REGISTER_OK) == REGISTER_OK
    assert crippled.back(INCOMING) == INCOMING


def test_crippled_writes_content_length_and_opens_the_way(crippled: Line) -> None:
    wrong = INVITE.replace(b"Content-Length: %d" % len(SDP), b"Content-Length: 999")
    assert wrong != INVITE
    assert crippled.out(wrong) == INVITE
    assert arrived(crippled, RTP, REGISTRAR._replace(port=9), PUBLIC_RTP) == Endpoint(PHONE.ip, 49170)
