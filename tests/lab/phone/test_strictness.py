"""What endpoints refuse: altered responses, malformed messages, requests that belong to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.lab.phone.call import CallState
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.wire import syntax
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.lab.conftest import Lab, LabMaker

PEER = Endpoint("198.51.100.10", 5060)
NO_AUDIO = b"v=0\r\no=- 1 1 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\n"
AUDIO = NO_AUDIO + b"m=audio 4000 RTP/AVP 0\r\n"


# -- responses that were altered on the way --------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "part", "section"),
    [
        (b"branch=z9hG4bK", b"branch=z9hG4bKx", "Via", "17.1.3"),
        (b"203.0.113.7:5060;rport", b"203.0.113.8:5060;rport", "Via", "18.1.2"),
        (b"203.0.113.7:5060;rport", b"203.0.113.7:61002;rport", "Via", "18.1.2"),
        (b"@203.0.113.7\r\n", b"@192.168.1.20\r\n", "Call-ID", "8.2.6.2"),
        (b"From: <sip:alice@lab.test>;tag=", b"From: <sip:alice@lab.test>;tag=x", "From", "8.2.6.2"),
        (b"CSeq: ", b"CSeq: 10", "CSeq", "8.2.6.2"),
        (b"REGISTER\r\n", b"OPTIONS\r\n", "Via", "17.1.3"),
        (b"5060;rport", b"5060rport", "Via", "25.1"),
        (b"SIP/2.0/UDP 203.0.113.7", b"SIP/2.0/UDP 203.0.113.7;;", "Via", "25.1"),
    ],
)
def test_an_altered_response_is_discarded_with_the_reason(
    new_lab: LabMaker, old: bytes, new: bytes, part: str, section: str
) -> None:
    lab = new_lab()
    lab.net.filters.append(lambda each: each.with_(old, new) if each.destination == lab.alice.local else each)
    lab.net.do(lab.alice, lab.alice.register(0.0))
    lab.net.run(32.0)
    registration = lab.alice.registration
    assert (registration.state, registration.status) == (RegistrationState.FAILED, 408)
    discarded = lab.facts(lab.alice, "discarded")
    assert len(discarded) == len(lab.net.sent("401 REGISTER")) > 1
    assert {(each.status, each.part, each.reference) for each in discarded} == {
        (401, part, f"RFC 3261 {section}")
    }


def test_a_sent_by_without_a_port_means_5060(new_lab: LabMaker) -> None:
    lab = new_lab()
    lab.net.filters.append(
        lambda each: (
            each.with_(b"203.0.113.7:5060;rport", b"203.0.113.7;rport")
            if each.destination == lab.alice.local
            else each
        )
    )
    lab.net.do(lab.alice, lab.alice.register(0.0))
    assert lab.alice.registration.state is RegistrationState.REGISTERED


def test_a_lost_200_to_invite_is_a_call_that_drops(lab: Lab) -> None:
    """F08: the router restores the Via of some responses only."""
    lab.net.filters.append(
        lambda each: (
            each.with_(b"203.0.113.7:5060;rport", b"192.168.1.1:5060;rport")
            if each.label == "200 INVITE" and each.destination == lab.alice.local
            else each
        )
    )
    lab.call()
    lab.net.run(40.0)
    assert lab.alice.calls[0].state is CallState.RINGING
    assert (lab.bob.calls[0].confirmed, lab.bob.calls[0].reason) == (False, "no ACK")


# -- malformed requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"203.0.113.7:5060;rport", b"203.0.113.7:5060rport"),
        (b"CSeq: 1 REGISTER", b"CSeq: 1 INVITE"),
        (b"Max-Forwards: 70", b"Max-Forwards: many"),
        (b"Content-Length: 0", b"Content-Length: 5"),
    ],
)
def test_a_malformed_request_is_answered_400_with_a_sentence(
    new_lab: LabMaker, old: bytes, new: bytes
) -> None:
    lab = new_lab()
    lab.net.filters.append(lambda each: each.with_(old, new) if each.label == "REGISTER" else each)
    lab.net.do(lab.alice, lab.alice.register(0.0))
    answer = lab.net.log[1].message
    assert answer.status == 400
    assert answer.start_line.startswith(b"SIP/2.0 400 Bad Request (")
    assert answer.start_line.endswith(b")\r\n")
    facts = lab.facts(lab.server, "rejected")[0]
    assert (facts.status, facts.method) == (400, "REGISTER")
    assert facts.rule in syntax.RULES
    assert lab.server.bindings == {}
    assert not lab.server.layer.servers


def test_a_malformed_invite_reaches_no_phone(lab: Lab) -> None:
    lab.net.filters.append(
        lambda each: (
            each.with_(b"CSeq: ", b"CSeq: x")
            if each.label == "INVITE" and each.destination == lab.bob.local
            else each
        )
    )
    lab.call()
    assert lab.bob.calls == []
    # The 400 repeats the broken CSeq, so the server drops the 400.
    assert lab.kinds(lab.server)[-1] == "discarded"


def test_a_malformed_ack_is_never_answered(lab: Lab) -> None:
    lab.net.filters.append(
        lambda each: each.with_(b"Max-Forwards: ", b"Max-Forwards: x") if each.label == "ACK" else each
    )
    lab.call()
    lab.net.run(0.5)
    assert not [label for label in lab.net.labels() if label.startswith("400")]
    assert lab.facts(lab.server, "discarded")[0][:3] == (0, "ACK", "Max-Forwards")
    assert lab.net.times("407 INVITE") == [0.0, 0.5]  # for the server, the ACK never came


@pytest.mark.parametrize(
    "junk", [b"\r\n\r\n", b"\0\x01\0\0!\x12\xa4B", b"HTTP/1.1 200 OK\r\n\r\n", b"SIP/2.0 000 x\r\n\r\n"]
)
def test_what_is_not_sip_is_ignored(lab: Lab, junk: bytes) -> None:
    for agent in (lab.server, lab.alice):
        local = PEER if agent is lab.server else lab.alice.local
        lab.net.inject(junk, Endpoint("192.0.2.1", 1), local)
        assert lab.kinds(agent)[-1] == "ignored"
    assert lab.net.log == []


# -- requests that the phone does not take -----------------------------------------------------------------


def ask(
    lab: Lab,
    method: bytes = b"INVITE",
    *,
    uri: bytes = b"sip:alice@203.0.113.7:5060",
    headers: bytes = b"",
    tag: bytes = b"",
    branch: bytes = b"z9hG4bKask",
    body: bytes = b"",
    cseq: int = 1,
) -> SipMessage | None:
    """Send a request directly to alice's phone; returns its first response."""
    before = len(lab.net.log)
    lab.net.inject(
        b"%b %b SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.10;branch=%b\r\nMax-Forwards: 70\r\n"
        b"From: <sip:x@lab.test>;tag=x\r\nTo: <sip:alice@lab.test>%b\r\nCall-ID: ask\r\nCSeq: %d %b\r\n"
        b"Contact: <sip:x@198.51.100.10>\r\n%bContent-Length: %d\r\n\r\n%b"
        % (method, uri, branch, tag, cseq, method, headers, len(body), body),
        PEER,
        lab.alice.local,
    )
    return lab.net.log[before].message if len(lab.net.log) > before else None


@pytest.mark.parametrize(
    ("method", "changes", "status"),
    [
        (b"OPTIONS", {}, 200),
        (b"OPTIONS", {"uri": b"sip:203.0.113.7:5060"}, 200),
        (b"INVITE", {}, 180),
        (b"INVITE", {"uri": b"sip:bob@203.0.113.7:5060"}, 404),
        (b"INVITE", {"uri": b"tel:+112"}, 404),
        (b"INVITE", {"tag": b";tag=unknown"}, 481),
        (b"BYE", {"tag": b";tag=unknown"}, 481),
        (b"BYE", {}, 481),
        (b"CANCEL", {}, 481),
        (b"PUBLISH", {}, 405),
        (b"REFER", {}, 481),
        (b"FROBNICATE", {}, 501),
        (b"INVITE", {"headers": b"Require: 100rel, timer\r\n"}, 420),
        (b"INVITE", {"headers": b"Content-Type: text/plain\r\n", "body": b"hi"}, 415),
        (b"INVITE", {"headers": b"Content-Type: application/sdp\r\n", "body": NO_AUDIO}, 488),
    ],
)
def test_how_a_phone_answers_a_request(
    lab: Lab, method: bytes, changes: dict[str, bytes], status: int
) -> None:
    answer = ask(lab, method, **changes)  # type: ignore[arg-type]
    assert answer is not None
    assert answer.status == status
    if status >= 400:
        assert lab.kinds(lab.alice)[-1] == "rejected"
    if status in (405, 501):
        assert b"INVITE" in answer.value(b"allow")
    if status == 420:
        assert answer.value(b"unsupported") == b"100rel, timer"


@pytest.mark.parametrize(("strict", "status"), [(False, 180), (True, 404)])
def test_a_request_uri_that_was_not_restored(new_lab: LabMaker, strict: bool, status: int) -> None:
    lab = new_lab(alice={"request_uri_check": "host-port" if strict else "user"})
    answer = ask(lab, uri=b"sip:alice@203.0.113.99:61002")
    assert answer is not None
    assert answer.status == status


def test_an_invite_that_comes_two_ways_is_merged(lab: Lab) -> None:
    ask(lab)
    answer = ask(lab, branch=b"z9hG4bKother")
    assert answer is not None
    assert answer.status == 482
    assert len(lab.alice.calls) == 1


def test_a_stray_ack_has_no_answer(lab: Lab) -> None:
    assert ask(lab, b"ACK", tag=b";tag=unknown") is None
    assert lab.kinds(lab.alice)[-1] == "discarded"


def test_requests_within_a_dialog(lab: Lab) -> None:
    first = ask(lab, cseq=7, headers=b"Content-Type: application/sdp\r\n", body=AUDIO)
    assert first is not None
    tag = b";tag=" + first.value(b"to").rpartition(b"tag=")[2]
    lab.net.run(1.0)
    call = lab.alice.calls[0]
    ask(lab, b"ACK", tag=tag, branch=b"z9hG4bKack6", cseq=6)
    assert not call.confirmed
    ask(lab, b"ACK", tag=tag, branch=b"z9hG4bKack7", cseq=7)
    assert call.confirmed
    useless = NO_AUDIO + b"m=audio 4000 RTP/AVP 8\r\n"  # a re-INVITE with a codec that the phone lacks
    refused = ask(
        lab, tag=tag, branch=b"z9hG4bKre", cseq=8, headers=b"Content-Type: application/sdp\r\n", body=useless
    )
    assert refused is not None
    assert refused.status == 488
    assert call.state is CallState.ESTABLISHED
    old = ask(lab, b"BYE", tag=tag, branch=b"z9hG4bKold", cseq=6)
    assert old is not None
    assert old.status == 500
    done = ask(lab, b"BYE", tag=tag, branch=b"z9hG4bKbye", cseq=9)
    assert done is not None
    assert done.status == 200
    assert call.state.value == "ended"


def test_a_fork_answered_twice_is_hung_up_on_one_side(lab: Lab) -> None:
    lab.call()
    lab.net.run(1.5)
    answer = next(each for each in lab.net.sent("200 INVITE") if each.destination == lab.alice.local)
    other = answer.message
    to = other.get(b"to")
    assert to is not None
    to.value = b"<sip:bob@lab.test>;tag=other"
    lab.net.log.clear()
    lab.net.inject(bytes(other), PEER, lab.alice.local)
    own = [each for each in lab.net.log if each.source == lab.alice.local]
    assert [each.label for each in own] == ["ACK", "BYE"]
    assert all(each.message.value(b"to").endswith(b"tag=other") for each in own)
    assert lab.alice.calls[0].state is CallState.ESTABLISHED
