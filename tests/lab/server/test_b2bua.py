"""The back-to-back user agent: two dialogs for a call, and what it passes between them (RFC 7092)."""

from __future__ import annotations

import pytest

from siplab.lab.phone.call import CallState
from siplab.lab.server.core import PRIVATE_OWN
from siplab.lab.server.server import SipServer
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage
from tests.lab.conftest import SERVER, Datagram, Lab, LabMaker

ALICE = Endpoint("203.0.113.7", 5060)


def lab_of(new_lab: LabMaker, **settings: object) -> Lab:
    lab = new_lab(server={"b2bua": True, **settings})
    lab.register()
    lab.net.log.clear()
    return lab


@pytest.fixture
def lab(new_lab: LabMaker) -> Lab:
    return lab_of(new_lab)


def towards(lab: Lab, label: str, ip: str) -> list[SipMessage]:
    """The messages with this label that the server sent to ``ip``."""
    return [
        each.message for each in lab.net.sent(label) if each.destination.ip == ip and each.source == SERVER
    ]


def talk(lab: Lab, seconds: float = 3.0) -> None:
    lab.call()
    lab.net.run(lab.net.now + seconds)
    assert lab.alice.calls[-1].state is CallState.ESTABLISHED
    assert lab.bob.calls[-1].confirmed


def ended(lab: Lab) -> bool:
    server = lab.server
    assert isinstance(server, SipServer)
    assert server.proxy.notifier.calls == {}
    return lab.alice.calls[-1].over and lab.bob.calls[-1].over


# -- what each side sees -----------------------------------------------------------------------------------


def test_neither_side_sees_the_others_dialog(lab: Lab) -> None:
    talk(lab)
    (came,) = [each.message for each in lab.net.sent("INVITE") if each.source == ALICE][-1:]
    (went,) = towards(lab, "INVITE", "192.0.2.66")
    for name in (b"call-id", b"from", b"via", b"contact"):
        mine, theirs = ([field.value for field in each.all(name)] for each in (came, went))
        assert len(theirs) == 1
        assert theirs != mine
    assert b"203.0.113.7" not in bytes(went).partition(b"\r\n\r\n")[0]
    assert went.all(b"record-route") == []
    assert went.value(b"from").startswith(b"<sip:alice@lab.test>;tag=")
    assert went.value(b"contact") == b"<sip:alice@198.51.100.10:5060>"
    assert went.value(b"max-forwards") == b"69"
    (answer,) = towards(lab, "200 INVITE", "203.0.113.7")
    (given,) = [each.message for each in lab.net.sent("200 INVITE") if each.source != SERVER]
    assert answer.value(b"contact") == b"<sip:bob@198.51.100.10:5060>"
    assert answer.value(b"call-id") == came.value(b"call-id")
    assert answer.value(b"to") != given.value(b"to")
    # The server has acknowledged bob's 200 itself, before it had alice's ACK.
    acks = [each.source for each in lab.net.sent("ACK")]
    assert acks.index(SERVER) < [at for at, each in enumerate(acks) if each == ALICE][-1]


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_either_side_hangs_up(lab: Lab, who: str) -> None:
    talk(lab)
    lab.hang_up(getattr(lab, who))
    assert ended(lab)
    assert sorted(lab.net.labels().count(each) for each in ("BYE", "200 BYE")) == [2, 2]


def test_requests_within_a_call_go_to_the_other_side(lab: Lab) -> None:
    talk(lab)
    outcome: list[int] = []
    for who, other in ((lab.alice, lab.bob), (lab.bob, lab.alice)):
        call = who.calls[-1]
        call.info("5", lab.net.now, lambda status, now: outcome.append(status))
        lab.net.do(who, who.layer.flush())
        assert other.calls[-1].digits == ["5"]
        call.hold(lab.net.now, "sendonly", lambda status, now: outcome.append(status))
        lab.net.do(who, who.layer.flush())
        lab.net.run(lab.net.now + 1.0)
    assert outcome == [200] * 4
    sequences = [each.value(b"cseq") for each in towards(lab, "INFO", "192.0.2.66")]
    assert sequences == [b"2 INFO"]


def test_a_message(lab: Lab) -> None:
    lab.net.do(lab.alice, lab.alice.message("bob@lab.test", "hello", lab.net.now))
    assert lab.bob.inbox == [("sip:alice@lab.test", "hello")]
    (came, went) = (each.message.value(b"call-id") for each in lab.net.sent("MESSAGE"))
    assert came != went


# -- calls that fail ---------------------------------------------------------------------------------------


def test_a_caller_who_gives_up(new_lab: LabMaker) -> None:
    lab = new_lab(server={"b2bua": True}, bob={"ring_time": 20.0})
    lab.register()
    lab.call()
    lab.net.run(lab.net.now + 2.0)
    lab.hang_up(lab.alice)
    lab.net.run(lab.net.now + 1.0)
    assert ended(lab)
    assert len(towards(lab, "CANCEL", "192.0.2.66")) == 1
    assert len(towards(lab, "487 INVITE", "203.0.113.7")) == 1


def test_a_call_that_is_refused(new_lab: LabMaker) -> None:
    lab = new_lab(server={"b2bua": True}, alice={"lines": 2})
    lab.register()
    talk(lab)
    lab.call()  # bob's only line is taken
    assert lab.alice.calls[-1].status == 486
    assert lab.alice.calls[0].state is CallState.ESTABLISHED
    assert list(lab.server.proxy.notifier.calls) == [lab.alice.calls[0].call_id]


def test_the_call_ends_where_the_callers_ack_is_lost(lab: Lab) -> None:
    def without_acks(datagram: Datagram) -> Datagram | None:
        return None if datagram.label == "ACK" and datagram.source == ALICE else datagram

    talk_begins = lab.net.now
    lab.call()  # the ACKs to 401 and 407 do not get lost
    lab.net.filters.append(without_acks)
    lab.net.run(talk_begins + 60.0)
    assert ended(lab)
    assert [each.at for each in lab.net.sent("200 INVITE") if each.destination == ALICE][1:]
    assert "no-ack" in lab.kinds(lab.server)
    assert lab.bob.calls[-1].confirmed
    assert lab.bob.calls[-1].ended_at == pytest.approx(talk_begins + 32.0, abs=4.0)


def test_a_request_of_no_call_is_answered_481(lab: Lab) -> None:
    talk(lab)
    (bye,) = (each for each in [lab.net.sent("ACK")[-1]])
    wire = bye.payload.replace(b"ACK", b"INFO").replace(b"tag=", b"tag=x")
    lab.net.inject(wire, ALICE, SERVER)
    assert len(lab.net.sent("481 INFO")) == 1


def test_a_contact_that_is_the_server_itself(lab: Lab) -> None:
    """Two such Contacts would double the number of requests with each round (RFC 5393)."""
    (binding,) = lab.server.bindings["sip:bob@lab.test"]
    binding.contact, binding.received = b"sip:bob@198.51.100.10:5080", None
    lab.server.bindings["sip:bob@lab.test"].append(binding)
    lab.call()
    assert lab.alice.calls[-1].status == 482
    assert len(lab.net.log) < 10


# -- media and addresses -----------------------------------------------------------------------------------


def test_media_go_by_way_of_the_server(new_lab: LabMaker) -> None:
    lab = lab_of(new_lab, relay_when="always")
    talk(lab)
    (invite,) = towards(lab, "INVITE", "192.0.2.66")
    (answer,) = towards(lab, "200 INVITE", "203.0.113.7")
    ports = [Sdp.parse(each.body).media[0].port for each in (invite, answer)]
    assert all(b"c=IN IP4 198.51.100.10\r\n" in each.body for each in (invite, answer))
    assert ports[0] != ports[1]
    assert lab.alice.calls[-1].rtp_received == lab.bob.calls[-1].rtp_received == 5
    lab.hang_up(lab.bob)
    assert lab.server.relay is not None
    assert lab.server.relay.calls == {}


def test_media_go_directly_when_the_call_is_up(new_lab: LabMaker) -> None:
    lab = lab_of(new_lab, relay_when="always", direct_media=True)
    talk(lab)
    for phone, other in ((lab.alice, lab.bob), (lab.bob, lab.alice)):
        first, second = (
            each.body
            for label in ("INVITE", "200 INVITE")
            for each in towards(lab, label, phone.config.ip)
            if each.body
        )
        versions = [int(body.split()[3]) for body in (first, second)]
        assert abs(versions[0] - versions[1]) == 1
        assert phone.calls[-1].remote_rtp == other.calls[-1].rtp_local
    lab.bob.calls[-1].hold(lab.net.now, "sendonly")
    lab.net.do(lab.bob, lab.bob.layer.flush())
    lab.net.run(lab.net.now + 1.0)
    assert lab.alice.calls[-1].renegotiation.done == 2
    lab.hang_up(lab.alice)
    assert ended(lab)


@pytest.mark.parametrize("caller", ["alice", "bob"])
def test_private_addresses_are_reached_by_way_of_the_public_one(new_lab: LabMaker, caller: str) -> None:
    lab = lab_of(new_lab, private_own=True)
    phone, target = (lab.alice, "bob") if caller == "alice" else (lab.bob, "alice")
    lab.net.do(phone, phone.call(f"{target}@lab.test", lab.net.now))
    lab.net.run(lab.net.now + 3.0)
    assert lab.alice.calls[-1].confirmed
    assert lab.bob.calls[-1].confirmed
    shown = [each.value(b"contact") for each in (*towards(lab, "INVITE", "192.0.2.66"),)]
    assert all(str(PRIVATE_OWN).encode() in each for each in shown)
    lab.hang_up(lab.bob)
    (bye,) = [each for each in lab.net.sent("BYE") if each.source.ip == "192.0.2.66"]
    assert bye.destination == SERVER
    assert ended(lab)


@pytest.mark.parametrize(("store", "arrives"), [("contact", False), ("source", True)])
def test_where_requests_within_a_call_go(new_lab: LabMaker, store: str, arrives: bool) -> None:
    """Alice's Contact is wrong, so only a server that uses the source of her messages reaches her."""

    def lying(datagram: Datagram) -> Datagram:
        if datagram.source == ALICE and b"Contact: <sip:alice@203.0.113.7:5060>" in datagram.payload:
            return datagram.with_(
                b"Contact: <sip:alice@203.0.113.7:5060>", b"Contact: <sip:alice@203.0.113.99>"
            )
        return datagram

    lab = lab_of(new_lab, store=store)
    lab.net.filters.append(lying)
    talk(lab)
    lab.hang_up(lab.bob)
    assert lab.alice.calls[-1].over == arrives
