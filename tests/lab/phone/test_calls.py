"""Calls between two phones by way of their server: how they succeed, end and fail."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from siplab.lab.phone.call import CallState, Direction
from siplab.lab.sip.messages import Incoming, response
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import unpack_rtp

if TYPE_CHECKING:
    from tests.lab.conftest import Datagram, Lab, LabMaker

RESENT_200 = [1.0, 1.5, 2.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5, 32.5]


def test_a_call_as_in_the_book(lab: Lab) -> None:
    lab.call()
    lab.net.run(5.0)
    lab.hang_up(lab.alice)
    assert lab.net.labels() == [
        "INVITE", "407 INVITE", "ACK", "INVITE", "100 INVITE", "INVITE", "180 INVITE", "180 INVITE",
        "200 INVITE", "200 INVITE", "ACK", "ACK", "BYE", "BYE", "200 BYE", "200 BYE",
    ]  # fmt: skip
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert (out.direction, back.direction) == (Direction.OUTGOING, Direction.INCOMING)
    assert (out.ended_by, back.ended_by) == ("local", "remote")
    for call in (out, back):
        assert call.state is CallState.ENDED
        assert call.status == 200
        assert call.confirmed
        assert (call.started, call.ringing_at, call.established_at, call.ended_at) == (0.0, 0.0, 1.0, 5.0)
        assert (call.rtp_sent, call.rtp_received) == (5, 5)
    assert out.remote_rtp == Endpoint("192.0.2.66", 40000)
    assert back.remote_rtp == Endpoint("203.0.113.7", 40000)


def test_credentials_go_no_further_than_the_server_and_the_ack_repeats_them(lab: Lab) -> None:
    lab.call()
    lab.net.run(2.0)
    credentials = [
        [field.value for field in each.message.all(b"proxy-authorization")]
        for each in (*lab.net.sent("INVITE"), *lab.net.sent("ACK"))
        if each.source == lab.alice.local
    ]
    first, signed, ack_of_407, ack = credentials
    assert first == ack_of_407 == []
    assert len(signed) == 1
    assert ack == signed  # section 22.1
    assert not any(
        b"Proxy-Authorization" in each.payload for each in lab.net.log if each.destination == lab.bob.local
    )


def test_media_stop_with_the_call(lab: Lab) -> None:
    lab.call()
    lab.net.run(1.03)
    lab.hang_up(lab.alice)
    lab.net.run(5.0)
    assert (lab.alice.calls[0].rtp_sent, lab.bob.calls[0].rtp_sent) == (2, 2)


def test_both_hang_up_at_once(lab: Lab) -> None:
    lab.call()
    lab.net.run(5.0)
    both = [(phone, phone.hang_up(5.0)) for phone in (lab.alice, lab.bob)]
    for phone, actions in both:
        lab.net.do(phone, actions)
    assert lab.net.labels().count("481 BYE") == 4
    assert [phone.calls[0].ended_by for phone in (lab.alice, lab.bob)] == ["local", "local"]


def test_the_first_end_of_a_call_counts(lab: Lab) -> None:
    lab.call()
    lab.hang_up(lab.bob)
    call = lab.alice.calls[0]
    call.finish(CallState.ENDED, 9.0, by="remote", status=200, reason="again")
    assert (call.state, call.status, call.ended_at, call.reason) == (CallState.FAILED, 603, 0.0, "Decline")


def test_a_challenged_bye_is_signed_and_sent_again(lab: Lab) -> None:
    lab.call()
    lab.net.run(5.0)
    lab.net.filters.append(lambda each: None if each.label == "BYE" else each)
    lab.hang_up(lab.alice)
    bye = lab.net.sent("BYE")[0]
    challenge = b'WWW-Authenticate: Digest realm="far", nonce="1", qop="auth"\r\n'
    incoming = Incoming(bye.message, bye.source, bye.destination)
    lab.net.inject(response(incoming, 401, headers=challenge), bye.destination, bye.source)
    first, second = (each.message for each in lab.net.sent("BYE"))
    assert b'realm="far"' in second.value(b"authorization")
    assert int(second.value(b"cseq").split()[0]) == int(first.value(b"cseq").split()[0]) + 1


def test_media_are_rtp_20_ms_apart(lab: Lab) -> None:
    lab.call()
    lab.net.run(5.0)
    packets = [each for each in lab.net.log if each.source == lab.alice.rtp_local]
    assert [each.at for each in packets] == pytest.approx([1.0, 1.02, 1.04, 1.06, 1.08])
    headers = [unpack_rtp(each.payload) for each in packets]
    assert all(header is not None and header.payload_type == 0 for header in headers)
    steps = {
        (b.sequence - a.sequence & 0xFFFF, b.timestamp - a.timestamp & 0xFFFFFFFF)
        for a, b in pairwise(headers)
        if a and b
    }
    assert steps == {(1, 160)}


def test_the_called_side_hangs_up(lab: Lab) -> None:
    lab.call()
    lab.net.run(5.0)
    lab.hang_up(lab.bob)
    assert lab.net.labels()[-4:] == ["BYE", "BYE", "200 BYE", "200 BYE"]
    assert (lab.bob.calls[0].ended_by, lab.alice.calls[0].ended_by) == ("local", "remote")


def test_compact_headers_all_along(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"compact": True}, bob={"compact": True})
    lab.register()
    lab.call()
    lab.net.run(5.0)
    lab.hang_up(lab.bob)
    assert lab.alice.calls[0].state is CallState.ENDED
    assert lab.bob.calls[0].confirmed
    own = [each for each in lab.net.log if each.source == lab.alice.local]
    assert own
    for each in own:
        assert b"\r\nVia:" not in each.payload
        assert b"\r\nContent-Length:" not in each.payload


def test_without_rport_replies_go_to_the_sent_by(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"rport": False})
    lab.register()
    lab.call()
    lab.net.run(5.0)
    assert all(b"rport" not in each.payload for each in lab.net.log if each.source == lab.alice.local)
    assert lab.alice.calls[0].confirmed


# -- calls that fail -------------------------------------------------------------------------------


def test_cancel_while_ringing(lab: Lab) -> None:
    lab.call()
    lab.net.run(0.5)
    lab.hang_up(lab.alice)
    lab.net.run(40.0)
    assert lab.net.labels()[-8:] == [
        "CANCEL", "200 CANCEL", "CANCEL", "200 CANCEL", "487 INVITE", "ACK", "487 INVITE", "ACK",
    ]  # fmt: skip
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert (out.state, out.status, out.ended_by) == (CallState.ENDED, 487, "local")
    assert (back.state, back.status, back.ended_by) == (CallState.ENDED, 487, "remote")
    assert lab.net.sent("200 INVITE") == []
    cancelled, terminated = (
        next(each.message for each in lab.net.sent(label) if each.source == lab.bob.local)
        for label in ("200 CANCEL", "487 INVITE")
    )
    assert cancelled.value(b"to") == terminated.value(b"to")  # section 9.2


def test_a_cancel_that_crosses_the_answer_becomes_a_bye(lab: Lab) -> None:
    lab.net.filters.append(lambda each: None if each.label == "CANCEL" and each.at < 1.2 else each)
    lab.call()
    lab.net.run(0.9)
    lab.hang_up(lab.alice)
    lab.net.run(40.0)
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert (out.state, out.status, out.ended_by) == (CallState.ENDED, 200, "local")
    assert (back.state, back.ended_by) == (CallState.ENDED, "remote")
    assert out.rtp_sent == 0


def test_a_cancel_that_comes_after_the_answer_changes_nothing(lab: Lab) -> None:
    """The first 200 gets lost between bob and the server, so the server still forwards the CANCEL."""
    lab.net.filters.append(lambda each: None if each.label == "200 INVITE" and each.at < 1.2 else each)
    lab.call()
    lab.net.run(1.1)
    lab.hang_up(lab.alice)
    lab.hang_up(lab.alice)  # a second request makes no second CANCEL
    lab.net.run(40.0)
    assert lab.net.labels().count("CANCEL") == 2  # one from alice, one from the server
    back = lab.bob.calls[0]
    assert (back.status, back.ended_by, back.reason) == (200, "remote", "BYE received")
    assert lab.net.sent("487 INVITE") == []


def test_the_called_side_declines(lab: Lab) -> None:
    lab.call()
    lab.hang_up(lab.bob)
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert (out.state, out.status, out.reason) == (CallState.FAILED, 603, "Decline")
    assert (back.state, back.status, back.ended_by) == (CallState.ENDED, 603, "local")


def test_busy(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"lines": 2})
    lab.register()
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", 0.0))
    lab.net.run(2.0)
    lab.call()
    assert (lab.alice.calls[-1].state, lab.alice.calls[-1].status) == (CallState.FAILED, 486)
    assert lab.bob.calls[0].state is CallState.ESTABLISHED


@pytest.mark.parametrize(
    ("target", "status"), [("nobody@lab.test", 404), ("sip:bob@elsewhere.test", 404), ("tel:112@x", 404)]
)
def test_nobody_there(lab: Lab, target: str, status: int) -> None:
    lab.call(target)
    assert (lab.alice.calls[0].state, lab.alice.calls[0].status) == (CallState.FAILED, status)


def test_not_registered(new_lab: LabMaker) -> None:
    lab = new_lab()
    lab.net.do(lab.alice, lab.alice.register(0.0))
    lab.call()
    assert (lab.alice.calls[0].state, lab.alice.calls[0].status) == (CallState.FAILED, 480)


def test_a_wrong_password_is_refused_once(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"password": "guess"})
    lab.call()
    assert lab.net.labels() == ["INVITE", "407 INVITE", "ACK"] * 2
    assert (lab.alice.calls[0].state, lab.alice.calls[0].status) == (CallState.FAILED, 407)


def test_nobody_answers_at_all(lab: Lab) -> None:
    lab.net.filters.append(lambda each: None if each.destination == lab.bob.local else each)
    lab.call()
    lab.net.run(40.0)
    out = lab.alice.calls[0]
    assert (out.state, out.status, out.ended_at) == (CallState.FAILED, 408, 32.0)
    lab.net.do(lab.alice, lab.alice.hang_up(40.0))
    assert out.status == 408


def test_a_silent_server(lab: Lab) -> None:
    lab.net.filters.append(lambda each: None)
    lab.call()
    lab.net.run(40.0)
    out = lab.alice.calls[0]
    assert (out.state, out.status, out.reason) == (CallState.FAILED, 408, "no final response")


def test_icmp_fails_the_call_at_once(lab: Lab) -> None:
    lab.net.filters.append(lambda each: None)
    lab.call()
    lab.net.do(lab.alice, lab.alice.on_unreachable(lab.alice.config.server, lab.alice.local, 0.0))
    assert (lab.alice.calls[0].state, lab.alice.calls[0].status) == (CallState.FAILED, 503)


# -- the 32 seconds ----------------------------------------------------------------------------------


def lose_acks_of_2xx(lab: Lab) -> None:
    """Drop the ACKs that the server forwards. The ACKs of the 407 are hop by hop, and pass."""
    lab.net.filters.append(
        lambda each: None if each.label == "ACK" and each.destination == lab.bob.local else each
    )


def test_without_an_ack_the_200_is_repeated_and_the_call_drops_after_32_seconds(lab: Lab) -> None:
    lose_acks_of_2xx(lab)
    lab.call()
    lab.net.run(60.0)
    assert lab.net.times("200 INVITE", lab.bob.local) == RESENT_200
    assert lab.net.times("BYE", lab.bob.local) == [33.0]
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert not back.confirmed
    assert (back.state, back.ended_by, back.ended_at, back.reason) == (
        CallState.ENDED,
        "local",
        33.0,
        "no ACK",
    )
    assert "no-ack" in lab.kinds(lab.bob)
    assert out.confirmed
    assert (out.state, out.ended_by, out.ended_at) == (CallState.ENDED, "remote", 33.0)
    assert len(lab.net.times("ACK", lab.alice.local)) == 1 + len(RESENT_200)  # one more for the 407


def test_an_ack_that_comes_late_stops_the_repetition(lab: Lab) -> None:
    lab.net.filters.append(
        lambda each: (
            None if each.label == "ACK" and each.destination == lab.bob.local and each.at < 4.0 else each
        )
    )
    lab.call()
    lab.net.run(60.0)
    assert lab.net.times("200 INVITE", lab.bob.local) == RESENT_200[:4]
    assert lab.bob.calls[0].state is CallState.ESTABLISHED
    assert lab.bob.calls[0].confirmed


def test_a_bye_without_an_ack_before_it_stops_the_repetition_too(lab: Lab) -> None:
    lose_acks_of_2xx(lab)
    lab.call()
    lab.net.run(2.0)
    lab.hang_up(lab.alice)
    lab.net.run(60.0)
    assert lab.net.times("200 INVITE", lab.bob.local) == RESENT_200[:2]
    assert lab.net.times("BYE", lab.bob.local) == []
    assert "no-ack" not in lab.kinds(lab.bob)


def test_no_bye_before_the_ack(lab: Lab) -> None:
    lab.net.filters.append(
        lambda each: (
            None if each.label == "ACK" and each.destination == lab.bob.local and each.at < 4.0 else each
        )
    )
    lab.call()
    lab.net.run(2.0)
    lab.hang_up(lab.bob)
    assert lab.net.sent("BYE") == []
    lab.net.run(10.0)
    assert lab.net.times("BYE", lab.bob.local) == [4.5]  # with the ACK of the 200 repeated then
    assert lab.bob.calls[0].reason == "hung up"


# -- every message may be lost once --------------------------------------------------------------------


@pytest.mark.parametrize("index", range(24))
def test_any_one_message_may_be_lost(new_lab: LabMaker, index: int) -> None:
    lab = new_lab()
    count = -1
    lost: list[str] = []

    def lose_one(datagram: Datagram) -> Datagram | None:
        nonlocal count
        if datagram.is_sip:
            count += 1
            if count == index:
                lost.append(datagram.label)
                return None
        return datagram

    lab.net.filters.append(lose_one)
    lab.register()
    lab.net.run(20.0)
    lab.call()
    lab.net.run(60.0)
    lab.hang_up(lab.alice)
    lab.net.run(120.0)
    assert len(lost) == 1
    (out,), (back,) = lab.alice.calls, lab.bob.calls
    for call in (out, back):
        assert call.confirmed
        assert (call.state, call.status) == (CallState.ENDED, 200)
        assert call.established_at is not None
        assert call.ended_at is not None
        assert call.ended_at - call.established_at > 30
        assert (call.rtp_sent, call.rtp_received) == (5, 5)
    assert (out.ended_by, back.ended_by) == ("local", "remote")


# -- media -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("latch_after", "received"), [(0, 0), (1, 5)])
def test_only_a_latching_phone_finds_a_peer_with_a_private_address(
    new_lab: LabMaker, latch_after: int, received: int
) -> None:
    """Alice's SDP names an address that nobody has, and her packets come from another one."""
    lab = new_lab(bob={"latch_after": latch_after})
    lab.register()
    private, public = b"c=IN IP4 203.0.113.7", b"c=IN IP4 192.168.1.20"
    lab.net.filters.append(
        lambda each: (
            each.with_(private, public).with_(b"Content-Length: 216", b"Content-Length: 217")
            if each.label == "INVITE" and each.destination == lab.bob.local
            else each
        )
    )
    lab.call()
    lab.net.run(5.0)
    assert lab.bob.calls[0].rtp_received == 5
    assert lab.alice.calls[0].rtp_received == received
    assert lab.kinds(lab.bob).count("latched") == latch_after


def test_what_is_no_rtp_does_not_count(lab: Lab) -> None:
    lab.call()
    lab.net.run(5.0)
    lab.net.inject(b"\r\n\r\n", lab.bob.rtp_local, lab.alice.rtp_local)
    assert lab.alice.calls[0].rtp_received == 5


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"c=IN IP4 203.0.113.7", b"c=IN IP4 203.0.11.hm"), (b"m=audio 40000", b"m=audio 00000")],
)
def test_an_unusable_offer_is_refused_with_488(lab: Lab, old: bytes, new: bytes) -> None:
    lab.net.filters.append(
        lambda each: each.with_(old, new) if each.label == "INVITE" and old in each.payload else each
    )
    lab.call()
    assert (lab.alice.calls[0].state, lab.alice.calls[0].status) == (CallState.FAILED, 488)
    assert "media-error" in lab.kinds(lab.bob)
    assert lab.bob.calls == []


def test_a_body_ends_where_content_length_says(lab: Lab) -> None:
    """F37: bytes after it are not part of the message (RFC 3261 section 18.3); here, the whole m= line."""
    lab.net.filters.append(
        lambda each: (
            each.with_(b"Content-Length: 216", b"Content-Length: 86")
            if each.label == "INVITE" and each.destination == lab.bob.local
            else each
        )
    )
    lab.call()
    assert lab.alice.calls[0].status == 488
    assert "media-error" in lab.kinds(lab.bob)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"c=IN IP4 192.0.2.66", b"c=IN IP4 192.0.2.hm"), (b"m=audio 40000", b"m=audio 00000")],
)
def test_an_unusable_answer_fails_the_call(lab: Lab, old: bytes, new: bytes) -> None:
    lab.net.filters.append(
        lambda each: each.with_(old, new) if each.label == "200 INVITE" and old in each.payload else each
    )
    lab.call()
    lab.net.run(5.0)
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert out.state is CallState.FAILED
    assert out.reason.startswith("media: ")
    assert (back.state, back.confirmed, back.ended_by) == (CallState.ENDED, True, "remote")


def test_an_offer_in_the_200_is_answered_in_the_ack(lab: Lab) -> None:
    """An INVITE without SDP: the network removes alice's SDP here, and puts it into the ACK."""
    offers: list[bytes] = []

    def move(datagram: Datagram) -> Datagram:
        head, blank, body = datagram.payload.partition(b"\r\n\r\n")
        if datagram.destination == lab.bob.local and datagram.label == "INVITE":
            offers.append(body)
            head = head.replace(b"Content-Length: 216", b"Content-Length: 0")
            return datagram.with_(datagram.payload, head + blank)
        if datagram.destination == lab.bob.local and datagram.label == "ACK":
            head = head.replace(b"Content-Length: 0", b"Content-Type: application/sdp\r\nContent-Length: 216")
            return datagram.with_(datagram.payload, head + blank + offers[0])
        return datagram

    lab.net.filters.append(move)
    lab.call()
    lab.net.run(5.0)
    assert lab.bob.calls[0].remote_rtp == lab.alice.rtp_local
    assert (lab.alice.calls[0].rtp_received, lab.bob.calls[0].rtp_received) == (5, 5)
