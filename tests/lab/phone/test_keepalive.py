"""What phones send to stay reachable: keep-alives for SIP and for media, and STUN."""

from __future__ import annotations

from dataclasses import replace

import pytest

from siplab.lab.phone.keepalive import KEEPALIVE_TYPE, PAYLOADS
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.server.stun_server import STUN_PORT, StunServer
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import unpack_rtp
from tests.lab.conftest import SERVER, Datagram, Lab, LabMaker

STUN = Endpoint(SERVER.ip, STUN_PORT)
PUBLIC = "192.0.2.1"


def beats(lab: Lab) -> list[float]:
    return [each.at for each in lab.net.log if each.payload == PAYLOADS["crlf-crlf"]]


def test_crlf_goes_to_the_server_while_registered(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"keepalive": "crlf-crlf", "keepalive_interval": 20.0})
    lab.net.run(100.0)
    assert beats(lab) == [], "not before it is registered"
    lab.register()
    lab.net.run(165.0)
    assert beats(lab) == [120.0, 140.0, 160.0]
    sent = [each for each in lab.net.log if each.payload == PAYLOADS["crlf-crlf"]]
    assert {(each.source, each.destination) for each in sent} == {(lab.alice.local, SERVER)}
    lab.net.do(lab.alice, lab.alice.unregister(lab.net.now))
    lab.net.run(300.0)
    assert len(beats(lab)) == 3, "not after it has gone"


def test_a_server_is_not_disturbed_by_crlf(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"keepalive": "crlf-crlf"})
    lab.register()
    lab.net.run(60.0)
    assert [each for each in lab.net.log if each.source == SERVER and each.at > 1.0] == []
    lab.call()
    lab.net.run(70.0)
    assert lab.alice.calls[0].confirmed


def test_options_are_answered(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"keepalive": "options", "keepalive_interval": 30.0})
    lab.register()
    lab.net.run(95.0)
    assert lab.net.times("OPTIONS") == lab.net.times("200 OPTIONS") == [30.0, 60.0, 90.0]
    assert lab.alice.keepalive.failed == 0


def test_options_that_nobody_answers_make_it_register_again(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"keepalive": "options", "keepalive_interval": 40.0})
    lab.register()
    lab.net.filters.append(lambda each: None if each.label == "OPTIONS" else each)
    lab.net.run(75.0)
    lab.net.filters.clear()
    lab.net.run(79.0)  # the first OPTIONS timed out at 40 + 32 s
    assert lab.alice.keepalive.failed == 1
    assert "flow-failed" in lab.kinds(lab.alice)
    assert lab.net.times("REGISTER", lab.alice.local)[-1] == 72.0
    assert lab.alice.registration.state is RegistrationState.REGISTERED


def silent_call(new_lab: LabMaker, interval: float) -> Lab:
    lab = new_lab(alice={"media_keepalive": interval, "media_packets": None}, bob={"media_packets": None})
    lab.register()
    lab.call()
    lab.net.run(5.0)
    lab.alice.calls[0].mute(lab.net.now)
    lab.bob.calls[0].mute(lab.net.now)
    lab.net.log.clear()
    lab.net.run(50.0)
    return lab


def test_a_silent_stream_says_something_now_and_then(new_lab: LabMaker) -> None:
    lab = silent_call(new_lab, 15.0)
    packets = [each for each in lab.net.log if each.label == "RTP"]
    assert len(packets) == 3
    assert {(each.source, each.destination) for each in packets} == {(lab.alice.rtp_local, lab.bob.rtp_local)}
    headers = [unpack_rtp(each.payload) for each in packets]
    assert all(header is not None and header.payload_type == KEEPALIVE_TYPE for header in headers)
    assert lab.bob.calls[0].heard["audio"].between(6.0, 50.0) == 0, "nobody hears it"


def test_no_media_keep_alive_unless_asked_for(new_lab: LabMaker) -> None:
    assert [each for each in silent_call(new_lab, 0.0).net.log if each.label == "RTP"] == []


def test_media_keep_alive_ends_with_the_call(new_lab: LabMaker) -> None:
    lab = silent_call(new_lab, 15.0)
    lab.hang_up(lab.alice)
    lab.net.log.clear()
    lab.net.run(200.0)
    assert [each for each in lab.net.log if each.label == "RTP"] == []


# -- STUN ------------------------------------------------------------------------------------------


def behind_nat(lab: Lab) -> None:
    """Translate Alice's datagrams to another address and ports 10000 higher, and those to her back."""

    def out(each: Datagram) -> Datagram:
        if each.source.ip == lab.alice.config.ip:
            return replace(each, source=Endpoint(PUBLIC, each.source.port + 10_000))
        if each.destination.ip == PUBLIC:
            return replace(each, destination=Endpoint(lab.alice.config.ip, each.destination.port - 10_000))
        return each

    lab.net.filters.append(out)


@pytest.fixture
def stun_lab(new_lab: LabMaker) -> Lab:
    """Alice, behind a NAT, with a STUN server that she has not asked yet."""
    strict = {"store": "contact", "alias": "never", "rport": "never"}
    lab = new_lab(alice={"stun": STUN, "rport": False}, server=strict)
    behind_nat(lab)
    return lab


def test_stun_addresses_stand_in_via_contact_and_sdp(stun_lab: Lab) -> None:
    lab = stun_lab
    lab.net.add(StunServer(STUN))
    lab.net.run(1.0)  # the first STUN request was sent before the server was there
    lab.register()
    lab.call()
    lab.net.run(3.0)
    register, invite = lab.net.sent("REGISTER")[0], lab.net.sent("INVITE")[0]
    for each in (register, invite):
        assert b"192.0.2.1:15060" in each.message.value(b"via")
        assert b"192.0.2.1:15060" in each.message.value(b"contact")
    assert b"c=IN IP4 192.0.2.1\r\n" in invite.payload
    assert b"m=audio 50000 " in invite.payload
    assert lab.alice.config.ip.encode() not in invite.payload.replace(
        b"@" + lab.alice.config.ip.encode(), b""
    )
    assert lab.alice.calls[0].rtp_received == lab.bob.calls[0].rtp_received == 5


def test_a_phone_waits_for_stun_and_then_goes_without(stun_lab: Lab) -> None:
    lab = stun_lab
    lab.register()
    lab.net.run(3.4)
    assert lab.net.times("REGISTER", lab.alice.local) == [], "it still hopes"
    lab.net.run(3.6)
    assert lab.net.times("REGISTER", lab.alice.local) == [3.5]
    assert lab.alice.config.ip.encode() in lab.net.sent("REGISTER")[-1].message.value(b"contact")
    assert "stun-failed" in lab.kinds(lab.alice)


def test_each_socket_is_asked_again(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"stun": STUN, "keepalive_interval": 10.0})
    lab.net.add(StunServer(STUN))
    lab.net.run(11.0)
    asked = {each.source for each in lab.net.log if each.destination == STUN and each.at == 10.0}
    assert asked == {lab.alice.local, lab.alice.rtp_local}


def test_a_new_mapping_is_registered(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"stun": STUN, "keepalive_interval": 10.0})
    lab.net.add(StunServer(STUN))
    lab.net.run(1.0)
    lab.register()
    lab.net.run(9.0)
    behind_nat(lab)  # as if another router took over
    lab.net.run(12.0)
    contacts = {each.message.value(b"contact") for each in lab.net.sent("REGISTER") if each.at >= 10.0}
    assert contacts == {b"<sip:alice@192.0.2.1:15060>"}


# -- ports -----------------------------------------------------------------------------------------


def test_a_phone_that_sends_from_non_standard_port(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"source_port": 49300, "rport": False})
    lab.register()
    lab.call()
    lab.net.run(2.0)
    sent = [each for each in lab.net.log if each.source.ip == lab.alice.config.ip and each.label != "RTP"]
    assert {each.source.port for each in sent} == {49300}
    assert b"203.0.113.7:5060" in sent[0].message.value(b"via")
    assert lab.alice.calls[0].confirmed, "answers came to port 5060"


def test_asymmetric_media(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"rtp_source_offset": 500})
    lab.register()
    lab.call()
    lab.net.run(3.0)
    assert {
        each.source.port
        for each in lab.net.log
        if each.label == "RTP" and each.destination.ip == "192.0.2.66"
    } == {lab.alice.rtp_local.port + 500}
    assert lab.alice.calls[0].rtp_received == 5, "it receives where the SDP says"
    to_the_wrong_port = Endpoint(lab.alice.config.ip, lab.alice.rtp_local.port + 500)
    lab.net.inject(b"\x80\x00" + bytes(170), lab.bob.rtp_local, to_the_wrong_port)
    assert lab.alice.calls[0].rtp_received == 5


@pytest.mark.parametrize(("strict", "state"), [(True, "failed"), (False, "registered")])
def test_a_contact_that_was_changed(new_lab: LabMaker, strict: bool, state: str) -> None:
    lab = new_lab(alice={"contact_policy": "unregister" if strict else "fallback"})
    lab.net.filters.append(
        lambda each: (
            each.with_(b"203.0.113.7:5060>", b"203.0.113.7:5099>")
            if each.label == "200 REGISTER" and b"alice" in each.payload
            else each
        )
    )
    lab.register()
    lab.net.run(1.0)
    assert lab.alice.registration.state.value == state


@pytest.mark.parametrize(("server", "failed"), [({}, True), ({"stun": True}, False)])
def test_stun_that_nobody_answers_is_a_failed_flow(
    new_lab: LabMaker, server: dict[str, bool], failed: bool
) -> None:
    lab = new_lab(alice={"keepalive": "stun"}, server=server)
    lab.register()
    lab.net.run(40.0)
    assert (lab.alice.keepalive.failed > 0) is failed
    assert ("flow-failed" in lab.kinds(lab.alice)) is failed
