"""Differences between the generations of Broadcom's ALG.

Facts: vendor-sources 2.2. The model's card names the source trees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.samples import PHONE, PUBLIC
from siplab.alg_models.samples.basic import INCOMING, INVITE, REGISTER, REGISTER_OK, SDP
from siplab.alg_models.samples.media import with_body
from siplab.lab.wire.ip import Endpoint
from tests.alg_models.test_linux import (
    ANOTHER_PORT,
    RTP,
    STRANGER,
    arrived,
    changed,
    options,
    sent,
    value,
)

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

CATALOGUE = load(plugins=False)
ALL = ("b1", "b2", "b3", "sercomm")


def broadcom(new_line: LineMaker, generation: str, more: str = "", phone: Endpoint = PHONE) -> Line:
    return new_line(CATALOGUE.get(f"broadcom(generation={generation}{more})"), phone=phone)


def test_the_default_is_b3(new_line: LineMaker) -> None:
    line = broadcom(new_line, "b3")
    assert line.gateway.model.recipe == CATALOGUE.get("broadcom").recipe


@pytest.mark.parametrize("generation", ALL)
def test_an_origin_that_is_a_name(generation: str, new_line: LineMaker) -> None:
    named = with_body(INVITE, SDP.replace(b"o=alice 1 1 IN IP4 192.168.1.20", b"o=a 1 1 IN IP4 pc.lan"))
    assert (sent(broadcom(new_line, generation), named) is None) is (generation == "b1")


@pytest.mark.parametrize("generation", ALL)
def test_a_contact_that_is_a_name(generation: str, new_line: LineMaker) -> None:
    named = options(b"Contact: <sip:alice@phone.lan>")
    line = broadcom(new_line, generation)
    assert (sent(line, named) is None) is (generation == "b1")
    assert sent(line, options(b"Contact: *")) is not None


@pytest.mark.parametrize("generation", ALL)
def test_the_second_connection(generation: str, new_line: LineMaker) -> None:
    two = with_body(INVITE, SDP + b"c=IN IP4 192.168.1.20\r\n")
    left = broadcom(new_line, generation).out(two)
    assert left.count(b"c=IN IP4 203.0.113.7") == (2 if generation == "b3" else 1)


@pytest.mark.parametrize("generation", ALL)
def test_the_address_for_rtcp(generation: str, new_line: LineMaker) -> None:
    offer = with_body(INVITE, SDP + b"a=rtcp:49171 IN IP4 192.168.1.20\r\n")
    left = broadcom(new_line, generation).out(offer)
    assert (b"a=rtcp:49171 IN IP4 203.0.113.7" in left) is (generation == "b3")


@pytest.mark.parametrize("generation", ALL)
def test_via_of_a_200(generation: str, new_line: LineMaker) -> None:
    line = broadcom(new_line, generation)
    line.out(REGISTER)
    own = value(line.back(REGISTER_OK), b"via").startswith(b"SIP/2.0/UDP 192.168.1.20:5060;")
    assert own is (generation != "b3")


@pytest.mark.parametrize("generation", ALL)
def test_a_via_without_a_port(generation: str, new_line: LineMaker) -> None:
    left = broadcom(new_line, generation).out(options(b"Via: SIP/2.0/UDP 192.168.1.20;branch=z"))
    assert (b"203.0.113.7" in value(left, b"via")) is (generation == "b3")


@pytest.mark.parametrize("generation", ALL)
def test_a_via_with_another_port(generation: str, new_line: LineMaker) -> None:
    left = broadcom(new_line, generation).out(options(b"Via: SIP/2.0/UDP 192.168.1.20:5070;branch=z"))
    port = b"61002" if generation == "b3" else b"5070"
    assert value(left, b"via") == b"SIP/2.0/UDP 203.0.113.7:%b;branch=z" % port


@pytest.mark.parametrize("generation", ALL)
@pytest.mark.parametrize(
    "end", [b"BYE sip:b@lab.test SIP/2.0\r\nCSeq: 2 BYE\r\n\r\n", b"SIP/2.0 400 Bad\r\n\r\n"]
)
def test_what_ends_media(generation: str, end: bytes, new_line: LineMaker) -> None:
    """Whether media from anybody still come in: at once, 6 s and longer after the end."""
    line = broadcom(new_line, generation)
    left = line.out(INVITE)
    port = int(left.partition(b"m=audio ")[2].split()[0])
    line.out(end)

    def comes() -> bool:
        return arrived(line, RTP, STRANGER._replace(port=9), Endpoint(PUBLIC.ip, port)) is not None

    at_once = comes()
    line.now = 60.0
    later = comes()
    expected = {"b1": (True, True), "b2": (True, True), "b3": (True, False), "sercomm": (False, False)}
    assert (at_once, later) == expected[generation]


# -- Sercomm ------------------------------------------------------------------------------------------


def test_sercomm_translates_all_contacts_both_ways(new_line: LineMaker) -> None:
    two = (b"Contact: <sip:a@192.168.1.20:5060>", b"Contact: <sip:b@192.168.1.20:5060>")
    for generation, count in (("sercomm", 2), ("b2", 1)):
        line = broadcom(new_line, generation)
        assert line.out(options(*two)).count(b"203.0.113.7:61002") == count
    line = broadcom(new_line, "sercomm")
    line.out(REGISTER)
    assert value(line.back(REGISTER_OK), b"contact").startswith(b"<sip:alice@192.168.1.20:5060>")


def test_sercomm_knows_a_phone_that_names_the_public_address(new_line: LineMaker) -> None:
    line = broadcom(new_line, "sercomm")
    left = line.out(options(b"Via: SIP/2.0/UDP 203.0.113.7:5060;branch=z"))
    assert value(left, b"via") == b"SIP/2.0/UDP 203.0.113.7:61002;branch=z"
    back = line.back(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.7:61002;branch=z\r\n\r\n")
    assert value(back, b"via") == b"SIP/2.0/UDP 203.0.113.7:5060;branch=z"


def test_sercomm_writes_rport_for_a_phone_that_knows_its_port(new_line: LineMaker) -> None:
    line = broadcom(new_line, "sercomm")
    via = b"Via: SIP/2.0/UDP 203.0.113.7:40404;rport;branch=z"
    assert line.out(options(via)) == options(via)
    back = line.back(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.7:40404;rport=61002;branch=z\r\n\r\n")
    assert value(back, b"via") == b"SIP/2.0/UDP 203.0.113.7:40404;rport=40404;branch=z"


def test_sercomm_spares_jitsi(new_line: LineMaker) -> None:
    line = broadcom(new_line, "sercomm")
    contact = b"Contact: <sip:a@192.168.1.20:5060>"
    jitsi = options(contact, b"User-Agent: Jitsi2.10")
    assert line.out(jitsi) == jitsi
    assert line.out(options(contact)) == options(contact), "once seen, never again"
    assert b"c=IN IP4 203.0.113.7" in line.out(INVITE), "but descriptions are"


def test_sercomm_reassembles(new_line: LineMaker) -> None:
    assert broadcom(new_line, "sercomm").gateway.policy.fragments == "reassemble"
    assert broadcom(new_line, "b2").gateway.policy.fragments == "unprocessed"


# -- Realtek's RTL8676 --------------------------------------------------------------------------------


def test_register_pinhole_admits_the_registrar_from_any_port(new_line: LineMaker) -> None:
    for more, comes in ((",register_pinhole=true", True), ("", False)):
        line = broadcom(new_line, "b1", more)
        line.out(REGISTER)
        assert (arrived(line, INCOMING, ANOTHER_PORT) is not None) is comes
        assert arrived(line, INCOMING, STRANGER) is None


def test_register_pinhole_is_prolonged_and_not_closed(new_line: LineMaker) -> None:
    line = broadcom(new_line, "b1", ",register_pinhole=true")
    line.out(changed(REGISTER, (b"Expires: 3600", b"Expires: 0")))
    line.now = 3000.0
    line.out(options())
    line.now = 6500.0
    assert arrived(line, INCOMING, ANOTHER_PORT) == PHONE
    line.now = 11000.0
    assert arrived(line, INCOMING, ANOTHER_PORT) is None
