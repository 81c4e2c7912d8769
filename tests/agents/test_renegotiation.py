"""Changing the session of a call: hold, resume, glare, refusal (RFC 3261 section 14, RFC 3264, RFC 3311)."""

from __future__ import annotations

import pytest

from lab.agents.call import Call, CallState
from lab.agents.renegotiation import Method
from lab.agents.session import Hold, MediaError, Session
from lab.wire.ip import Endpoint
from tests.agents.conftest import Datagram, Lab


def talk(lab: Lab) -> tuple[Call, Call]:
    """Alice's and bob's ends of a call that is up; the log is empty."""
    lab.call()
    lab.net.run(lab.net.now + 3)
    out, back = lab.alice.calls[-1], lab.bob.calls[-1]
    assert out.state is back.state is CallState.ESTABLISHED
    lab.net.log.clear()
    return out, back


def modify(lab: Lab, call: Call, *, hold: Hold, method: Method = "INVITE") -> None:
    phone = call.phone
    call.modify(lab.net.now, hold=hold, method=method)
    lab.net.do(phone, phone.layer.flush())


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(
    ("how", "offered", "answered"),
    [
        ("sendonly", b"a=sendonly", b"a=recvonly"),
        ("inactive", b"a=inactive", b"a=inactive"),
        ("zero-address", b"c=IN IP4 0.0.0.0", b"a=recvonly"),
    ],
)
def test_hold_and_resume(lab: Lab, how: Hold, offered: bytes, answered: bytes, method: Method) -> None:
    out, back = talk(lab)
    modify(lab, out, hold=how, method=method)
    lab.net.run(lab.net.now + 1)
    offer = lab.net.sent(method)[0].message
    answer = lab.net.sent(f"200 {method}")[0].message
    assert offered in offer.body
    assert answered in answer.body
    assert (out.renegotiation.status, out.renegotiation.done, back.renegotiation.done) == (200, 1, 1)
    assert back.remote_rtp is None
    assert (len(lab.net.sent("ACK")) > 0) == (method == "INVITE")

    modify(lab, out, hold="", method=method)
    lab.net.run(lab.net.now + 1)
    assert back.remote_rtp == lab.alice.rtp_local
    assert out.remote_rtp == lab.bob.rtp_local
    first, second = (each.message.body for each in lab.net.sent(method) if each.source == lab.alice.local)
    assert _version(second) == _version(first) + 1
    lab.hang_up(lab.bob)
    lab.net.run(lab.net.now + 1)
    assert out.state is back.state is CallState.ENDED


def test_the_called_side_may_hold_too(lab: Lab) -> None:
    out, back = talk(lab)
    modify(lab, back, hold="inactive")
    lab.net.run(lab.net.now + 1)
    assert (out.remote_rtp, back.remote_rtp) == (None, None)


def test_changes_that_cross_are_both_made_in_the_end(lab: Lab) -> None:
    out, back = talk(lab)
    # Both ask at the same moment: neither has seen the other's request.
    for call in (out, back):
        call.modify(lab.net.now, hold="sendonly")
    for phone in (lab.alice, lab.bob):
        lab.net.do(phone, phone.layer.flush())
    assert lab.net.labels().count("491 INVITE") >= 1
    lab.net.run(lab.net.now + 20)
    assert (out.renegotiation.status, back.renegotiation.status) == (200, 200)
    assert (out.renegotiation.done, back.renegotiation.done) == (2, 2)
    assert out.remote_rtp is None
    assert out.state is CallState.ESTABLISHED


def test_a_refused_change_leaves_the_session(lab: Lab) -> None:
    out, _ = talk(lab)

    def no_pcmu(datagram: Datagram) -> Datagram:
        if datagram.label == "INVITE" and datagram.destination == lab.bob.local:
            return datagram.with_(b"RTP/AVP 0 101", b"RTP/AVP 8 101")
        return datagram

    lab.net.filters.append(no_pcmu)
    modify(lab, out, hold="sendonly")
    lab.net.run(lab.net.now + 1)
    assert out.renegotiation.status == 488
    assert (out.state, out.session.hold) == (CallState.ESTABLISHED, "")
    assert out.remote_rtp == lab.bob.rtp_local


def test_the_call_ends_when_the_other_side_knows_nothing_of_it(lab: Lab) -> None:
    out, back = talk(lab)
    lab.bob.dialogs.clear()
    modify(lab, out, hold="sendonly")
    lab.net.run(lab.net.now + 1)
    assert out.renegotiation.status == 481
    assert out.state is CallState.ENDED
    assert back.state is CallState.ESTABLISHED


def test_a_change_whose_answer_gets_no_ack_ends_the_call_after_32_seconds(lab: Lab) -> None:
    out, back = talk(lab)
    lab.net.filters.append(lambda each: None if each.label == "ACK" else each)
    began = lab.net.now
    modify(lab, out, hold="sendonly")
    lab.net.run(began + 40)
    assert back.ended_at is not None
    assert back.ended_at - began == pytest.approx(32, abs=0.5)
    assert back.reason == "no ACK"


def test_a_stream_that_is_taken_off_keeps_its_place() -> None:
    session = Session("alice", "192.168.1.20", {"audio": 40000, "video": 40010, "image": 40000}, 1)
    far = Session("bob", "192.0.2.66", {"audio": 50000, "video": 50010}, 2)
    session.offered = ["audio", "video"]
    session.conclude(far.answer(session.offer()))
    assert [(each.kind, each.remote) for each in session.streams] == [
        ("audio", Endpoint("192.0.2.66", 50000)),
        ("video", Endpoint("192.0.2.66", 50010)),
    ]
    session.offered = ["audio"]
    offer = session.offer()
    assert [line for line in offer.split(b"\r\n") if line[:2] == b"m="] == [
        b"m=audio 40000 RTP/AVP 0 101",
        b"m=video 0 RTP/AVP 96",
    ]
    session.conclude(far.answer(offer))
    assert [each.kind for each in session.streams] == ["audio"]
    session.offered = ["image"]
    with pytest.raises(MediaError, match="no RTP"):
        far.answer(session.offer())


def _version(body: bytes) -> int:
    origin = next(line for line in body.split(b"\r\n") if line.startswith(b"o="))
    return int(origin.split()[2])
