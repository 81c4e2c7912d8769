"""Changing the session of a call: hold, resume, glare, refusal (RFC 3261 section 14, RFC 3264, RFC 3311)."""

from __future__ import annotations

import pytest

from siplab.lab.media.session import Hold, MediaError, Session
from siplab.lab.phone.call import Call, CallState
from siplab.lab.phone.phone_config import Method
from siplab.lab.wire.ip import Endpoint
from tests.lab.conftest import Datagram, Lab, LabMaker


def talk(lab: Lab) -> tuple[Call, Call]:
    """Alice's and bob's ends of an established call; the log is empty."""
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
        ("zero-port", b"m=audio 0 ", b"m=audio 0 "),
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
    # Both send at the same moment: neither has seen the other's request.
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
    lab.bob.calls.clear()
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


def test_descriptions_count_up_also_after_a_change_that_crossed_another(lab: Lab) -> None:
    """RFC 3264 section 8: the offer after the pause has a higher version than the answer meanwhile."""
    out, back = talk(lab)
    for call in (out, back):
        call.modify(lab.net.now, hold="sendonly")
    for phone in (lab.alice, lab.bob):
        lab.net.do(phone, phone.layer.flush())
    lab.net.run(lab.net.now + 20)
    for phone in (lab.alice, lab.bob):
        bodies = [each.message.body for each in lab.net.log if each.is_sip and each.source == phone.local]
        versions: dict[int, set[bytes]] = {}
        order = [(_version(body), body) for body in bodies if body]
        for number, body in order:
            versions.setdefault(number, set()).add(body)
        assert len(order) >= 3
        assert [number for number, _ in order] == sorted(number for number, _ in order)
        assert all(len(bodies) == 1 for bodies in versions.values()), "one number, one description"


def test_a_refused_change_takes_back_its_stream(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"streams": ("audio", "image")}, bob={"media_packets": 1})
    lab.register()
    out, _ = talk(lab)
    out.modify(lab.net.now, kinds=("image",))
    lab.net.do(lab.alice, lab.alice.layer.flush())
    lab.net.run(lab.net.now + 1)
    assert out.renegotiation.status == 488
    modify(lab, out, hold="sendonly")
    lab.net.run(lab.net.now + 1)
    first, second = (each.message.body for each in lab.net.sent("INVITE") if each.source == lab.alice.local)
    assert (b"m=image" in first, b"m=image" in second) == (True, False)
    assert _version(second) == _version(first) + 1


def test_a_change_that_can_not_be_sent_is_said_to_be_so(lab: Lab) -> None:
    out, _ = talk(lab)
    assert out.dialog is not None
    out.dialog.routes, out.dialog.remote_target = [], b""
    outcomes: list[int] = []
    out.hold(lab.net.now, outcome=lambda status, now: outcomes.append(status))
    out.info("1", lab.net.now, lambda status, now: outcomes.append(status))
    assert outcomes == [0, 0]
    assert out.session.hold == ""
    assert lab.alice.layer.flush() == []


def test_an_unusable_answer_ends_a_call_with_a_session_timer_once(new_lab: LabMaker) -> None:
    timer: dict[str, object] = {"extensions": ("timer",), "session_expires": 90}
    lab = new_lab(alice=timer, bob=timer)
    lab.register()
    out, back = talk(lab)

    def no_pcmu(datagram: Datagram) -> Datagram:
        if datagram.label == "200 INVITE" and datagram.destination == lab.alice.local:
            return datagram.with_(b"RTP/AVP 0 101", b"RTP/AVP 8 101")
        return datagram

    lab.net.filters.append(no_pcmu)
    modify(lab, out, hold="sendonly")
    lab.net.run(lab.net.now + 400)
    assert out.reason.startswith("media:")
    assert back.ended_by == "remote"
    assert len([each for each in lab.net.sent("BYE") if each.source == lab.alice.local]) == 1
    assert out.renegotiation.done == 0


def test_an_answer_has_no_stream_that_was_not_offered() -> None:
    session = Session("alice", "192.168.1.20", {"audio": 40000, "image": 40004}, 1)
    offer = session.offer()
    assert b"m=image" not in offer
    answer = Session("bob", "192.0.2.66", {"audio": 50000}, 2).answer(offer)
    session.conclude(answer + b"m=image 50004 udptl t38\r\n")
    assert [each.kind for each in session.streams] == ["audio"]


@pytest.mark.parametrize("number", [b"128", b"999", b"-1", b"x"])
def test_a_payload_type_has_seven_bits(number: bytes) -> None:
    offer = (
        b"v=0\r\no=bob 1 1 IN IP4 192.0.2.66\r\ns=-\r\nc=IN IP4 192.0.2.66\r\nt=0 0\r\n"
        b"m=audio 50000 RTP/AVP 0 %b\r\na=rtpmap:%b telephone-event/8000\r\nm=video 50002 RTP/AVP %b\r\n"
    ) % (number, number, number)
    session = Session("alice", "192.168.1.20", {"audio": 40000, "video": 40002}, 1)
    assert b"m=video 0 " in session.answer(offer)
    (audio,) = session.streams
    assert audio.telephone_event is None


def test_a_second_invite_before_the_first_is_answered_has_to_wait(new_lab: LabMaker) -> None:
    """RFC 3261 section 14.2, in the early dialog that a reliable 183 makes."""
    early: dict[str, object] = {"early_media": True, "extensions": ("100rel",), "ring_time": 3.0}
    lab = new_lab(alice={"extensions": ("100rel",)}, bob=early)
    lab.register()
    lab.call()
    lab.net.run(1.0)
    prack = next(each for each in lab.net.sent("PRACK") if each.destination == lab.bob.local)
    text = prack.payload.replace(b"PRACK", b"INVITE").replace(b"branch=z9hG4bK", b"branch=z9hG4bKx")
    text = text.replace(b"Content-Length", b"Contact: <sip:alice@203.0.113.7:5060>\r\nContent-Length")
    lab.net.inject(text, prack.source, prack.destination)
    (refusal,) = lab.net.sent("500 INVITE")
    assert refusal.message.value(b"retry-after").isdigit()
    lab.net.run(5.0)
    assert lab.bob.calls[0].state is CallState.ESTABLISHED


def _version(body: bytes) -> int:
    origin = next(line for line in body.split(b"\r\n") if line.startswith(b"o="))
    return int(origin.split()[2])
