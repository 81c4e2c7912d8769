"""The hosted provider: a media relay that latches, keep-alives for phones behind NAT, and encrypted SIP."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.lab.media.relay import MediaRelay
from siplab.lab.sip.pseudo_tls import seal, unseal
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sdp import Sdp
from tests.lab.conftest import SERVER, Datagram, Lab, LabMaker

HOSTED = {"rport": "always", "relay_when": "always", "ping": "natted", "ping_interval": 20.0}
INSIDE, PUBLIC = "192.168.1.20", "203.0.113.9"
STRANGER = Endpoint("192.0.2.99", 4000)


def nat(lab: Lab) -> None:
    """Put Alice behind a NAT: another address, ports 10000 higher; nobody reaches her private address."""

    def translate(each: Datagram) -> Datagram | None:
        if each.source.ip == INSIDE:
            return replace(each, source=Endpoint(PUBLIC, each.source.port + 10_000))
        if each.destination.ip == INSIDE:
            return None
        if each.destination.ip == PUBLIC:
            return replace(each, destination=Endpoint(INSIDE, each.destination.port - 10_000))
        return each

    lab.net.filters.append(translate)


@pytest.fixture
def hosted(new_lab: LabMaker) -> Lab:
    """Alice behind NAT and Bob on the internet, registered with a hosted provider, in a call."""
    lab = new_lab(alice={"ip": INSIDE, "media_packets": None}, bob={"media_packets": None}, server=HOSTED)
    nat(lab)
    lab.register()
    lab.call()
    lab.net.run(3.0)
    return lab


def relay_of(lab: Lab) -> MediaRelay:
    assert lab.server.relay is not None
    return lab.server.relay


def test_both_hear_although_the_description_is_private(hosted: Lab) -> None:
    out, back = hosted.alice.calls[0], hosted.bob.calls[0]
    assert out.rtp_received > 90
    assert back.rtp_received > 90
    ends = {
        each.destination.ip for each in hosted.net.log if each.label == "RTP" and each.source.ip != SERVER.ip
    }
    assert ends == {SERVER.ip}, "all media go by way of the relay"


def test_descriptions_name_the_relay_and_their_length_is_right(hosted: Lab) -> None:
    relayed = [
        each.message
        for each in hosted.net.log
        if each.source == SERVER and each.label in ("INVITE", "200 INVITE") and b"v=0" in each.payload
    ]
    assert len(relayed) == 2
    for message in relayed:
        assert int(message.value(b"content-length")) == len(message.body)
        sdp = Sdp.parse(message.body)
        line = sdp.session.first(b"c")
        assert line is not None
        assert line.value == b"IN IP4 " + SERVER.ip.encode()
        assert sdp.media[0].port in (20000, 20002)


def test_who_tells_the_truth_is_sent_to_where_it_says(hosted: Lab) -> None:
    (call,) = relay_of(hosted).calls.values()
    caller, callee = call.streams[0]
    assert not caller.trusted
    assert caller.target == Endpoint(PUBLIC, hosted.alice.rtp_local.port + 10_000)
    assert callee.trusted
    assert callee.target == hosted.bob.rtp_local


def test_a_stranger_gets_nothing_and_is_not_passed_on(hosted: Lab) -> None:
    (call,) = relay_of(hosted).calls.values()
    before = hosted.bob.calls[0].rtp_received
    hosted.net.inject(b"\x80\x00" + bytes(170), STRANGER, call.streams[0][0].local)
    assert call.streams[0][0].dropped == 1
    assert hosted.bob.calls[0].rtp_received == before
    assert call.streams[0][0].target != STRANGER


def test_the_ports_are_closed_with_the_call(hosted: Lab) -> None:
    assert {port for port in hosted.net.ports if port.ip == SERVER.ip and port.port >= 20000}
    hosted.hang_up(hosted.bob)
    hosted.net.run(4.0)
    assert hosted.alice.calls[0].over
    assert relay_of(hosted).calls == {}
    assert not {port for port in hosted.net.ports if port.ip == SERVER.ip and port.port >= 20000}


def test_a_call_that_is_declined_leaves_nothing(new_lab: LabMaker) -> None:
    lab = new_lab(bob={"ring_time": None}, server=HOSTED)
    lab.register()
    lab.call()
    lab.net.run(1.0)
    assert relay_of(lab).calls
    lab.hang_up(lab.bob)
    lab.net.run(2.0)
    assert lab.alice.calls[0].status == 603
    assert relay_of(lab).calls == {}


def test_a_call_that_is_held_by_zero_address_is_not_given_one(hosted: Lab) -> None:
    now = hosted.net.now
    hosted.alice.calls[0].hold(now, "zero-address")
    hosted.net.do(hosted.alice, hosted.alice.layer.flush())
    hosted.net.run(now + 1.0)
    last = [each for each in hosted.net.log if each.label == "INVITE" and each.source == SERVER][-1]
    assert b"c=IN IP4 0.0.0.0\r\n" in last.payload


def test_only_a_phone_behind_nat_is_kept_alive(hosted: Lab) -> None:
    hosted.net.run(65.0)
    asked = {each.destination.ip for each in hosted.net.sent("OPTIONS")}
    assert asked == {PUBLIC}
    assert len(hosted.net.times("OPTIONS")) == len(hosted.net.times("200 OPTIONS")) == 3


@pytest.mark.parametrize(("ping", "count"), [("", 0), ("natted", 0), ("all", 2)])
def test_phones_that_hide_their_nat(new_lab: LabMaker, ping: str, count: int) -> None:
    """Via and Contact name the source of the REGISTER, just as they do behind a correct ALG."""
    lab = new_lab(server={"ping": ping, "ping_interval": 20.0})
    lab.register()
    lab.net.run(25.0)
    assert len(lab.net.sent("OPTIONS")) == count


def test_keep_alive_ends_with_the_registration(hosted: Lab) -> None:
    hosted.net.do(hosted.alice, hosted.alice.unregister(hosted.net.now))
    hosted.net.log.clear()
    hosted.net.run(100.0)
    assert hosted.net.sent("OPTIONS") == []


@pytest.mark.parametrize(
    ("rport", "asked", "port"), [("asked", True, 15060), ("never", True, 5060), ("always", False, 15060)]
)
def test_where_answers_go(new_lab: LabMaker, rport: str, asked: bool, port: int) -> None:
    lab = new_lab(alice={"ip": INSIDE, "rport": asked}, server={"rport": rport})
    nat(lab)
    lab.net.do(lab.alice, lab.alice.register(0.0))
    assert {each.destination.port for each in lab.net.sent("401 REGISTER")} == {port}


# -- encrypted SIP -----------------------------------------------------------------------------------


def test_sip_under_seal(new_lab: LabMaker) -> None:
    secure = {"secure_port": 5061, "server": Endpoint(SERVER.ip, 5061)}
    lab = new_lab(alice=secure, server={"ports": (5060, 5061), "secure_port": 5061})
    lab.register()
    lab.call()
    lab.net.run(3.0)
    assert lab.alice.calls[0].confirmed
    for each in lab.net.log:
        if lab.alice.local in (each.source, each.destination):
            assert b"SIP" not in each.payload
            assert b"alice" not in each.payload
    assert lab.net.sent("INVITE"), "the other phone still speaks plainly"


def test_what_was_altered_is_not_read(new_lab: LabMaker) -> None:
    secure = {"secure_port": 5061, "server": Endpoint(SERVER.ip, 5061)}
    lab = new_lab(alice=secure, server={"ports": (5060, 5061), "secure_port": 5061})
    lab.net.filters.append(lambda each: replace(each, payload=each.payload[:-1] + b"x"))
    lab.net.do(lab.alice, lab.alice.register(0.0))
    assert "discarded" in lab.kinds(lab.server)
    assert lab.server.bindings == {}


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 300), st.integers(1, 255))
def test_a_seal_holds(payload: bytes, at: int, change: int) -> None:
    sealed = seal(payload)
    assert unseal(sealed) == payload
    at %= len(sealed)
    damaged = sealed[:at] + bytes([sealed[at] ^ change]) + sealed[at + 1 :]
    assert unseal(damaged) is None
    assert unseal(payload) is None
