"""Early media and PRACK (RFC 3262), late offers (RFC 3261 13.2.1), session timers (RFC 4028)."""

from __future__ import annotations

import pytest

from siplab.lab.phone.call import CallState
from siplab.lab.wire.ip import Endpoint
from tests.lab.conftest import Datagram, Lab, LabMaker

EARLY: dict[str, object] = {"early_media": True, "extensions": ("100rel",), "ring_time": 3.0}
TIMER: dict[str, object] = {"extensions": ("timer",), "session_expires": 90}


def registered(lab: Lab) -> Lab:
    lab.register()
    lab.net.log.clear()
    return lab


def test_early_media_with_prack(new_lab: LabMaker) -> None:
    lab = registered(new_lab(alice={"extensions": ("100rel",)}, bob=EARLY))
    lab.call()
    lab.net.run(2.0)
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert out.state is CallState.RINGING
    assert out.early_rtp_received == 5
    (early,) = (each.message for each in lab.net.sent("183 INVITE") if each.destination == lab.alice.local)
    prack = next(each.message for each in lab.net.sent("PRACK") if each.source == lab.alice.local)
    assert prack.value(b"rack").startswith(early.value(b"rseq") + b" ")
    lab.net.run(5.0)
    assert out.state is back.state is CallState.ESTABLISHED
    lab.hang_up(lab.alice)
    lab.net.run(6.0)
    assert (out.ended_by, back.ended_by) == ("local", "remote")
    numbers = [int(each.message.value(b"cseq").split()[0]) for each in lab.net.sent("BYE")]
    assert min(numbers) > int(prack.value(b"cseq").split()[0])


def test_a_reliable_response_is_repeated_until_its_prack_arrives(new_lab: LabMaker) -> None:
    lab = registered(new_lab(alice={"extensions": ("100rel",)}, bob=EARLY))
    lost: list[Datagram] = []

    def lose_two(each: Datagram) -> Datagram | None:
        if each.label == "183 INVITE" and each.destination == lab.alice.local and len(lost) < 2:
            lost.append(each)
            return None
        return each

    lab.net.filters.append(lose_two)
    lab.call()
    lab.net.run(10.0)
    assert lab.net.times("183 INVITE", lab.bob.local) == pytest.approx([0, 0.5, 1.5])
    assert lab.alice.calls[0].state is CallState.ESTABLISHED


def test_without_any_prack_the_invite_is_refused_after_32_seconds(new_lab: LabMaker) -> None:
    lab = registered(new_lab(alice={"extensions": ("100rel",)}, bob=EARLY))
    lab.net.filters.append(lambda each: None if each.label == "PRACK" else each)
    lab.call()
    lab.net.run(40.0)
    assert lab.bob.calls[0].status == 500
    assert lab.bob.calls[0].ended_at == pytest.approx(32)
    assert lab.alice.calls[0].state is CallState.FAILED


def test_early_media_without_100rel_needs_no_prack(new_lab: LabMaker) -> None:
    lab = registered(new_lab(bob=EARLY))
    lab.call()
    lab.net.run(5.0)
    assert lab.net.sent("PRACK") == []
    assert lab.alice.calls[0].early_rtp_received == 5
    assert lab.alice.calls[0].state is CallState.ESTABLISHED


def test_a_late_offer_is_answered_in_the_ack(new_lab: LabMaker) -> None:
    lab = registered(new_lab(alice={"late_offer": True}))
    lab.call()
    lab.net.run(3.0)
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert lab.net.sent("INVITE")[0].message.body == b""
    assert b"m=audio" in lab.net.sent("ACK")[-1].message.body
    assert (out.rtp_received, back.rtp_received) == (5, 5)
    assert (out.remote_rtp, back.remote_rtp) == (lab.bob.rtp_local, lab.alice.rtp_local)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("refresher", ["uac", "uas"])
def test_a_session_is_refreshed_for_as_long_as_it_lasts(
    new_lab: LabMaker, method: str, refresher: str
) -> None:
    settings = {**TIMER, "refresh_method": method, "refresher": refresher}
    lab = registered(new_lab(alice=settings, bob=settings))
    lab.call()
    lab.net.run(400.0)
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert out.state is back.state is CallState.ESTABLISHED
    assert (out.timer.interval, back.timer.interval) == (90, 90)
    refreshing = out if refresher == "uac" else back
    assert refreshing.timer.refreshes == 8
    assert refreshing.renegotiation.done == 8


def test_a_refresh_that_does_not_arrive_ends_the_call(new_lab: LabMaker) -> None:
    lab = registered(new_lab(alice={**TIMER, "refresh_method": "UPDATE"}, bob=TIMER))
    lab.net.filters.append(lambda each: None if each.label == "UPDATE" else each)
    lab.call()
    lab.net.run(200.0)
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    assert back.reason == "session timer expired"
    assert back.ended_at is not None
    assert back.ended_at - (back.established_at or 0) == pytest.approx(60)
    assert out.over


def test_a_required_extension_that_is_not_offered_is_refused(new_lab: LabMaker) -> None:
    lab = registered(new_lab(bob={"extensions": ("timer",)}))
    lab.net.filters.append(
        lambda each: (
            each.with_(b"Max-Forwards", b"Require: timer, 100rel\r\nMax-Forwards")
            if each.label == "INVITE" and each.destination == lab.bob.local
            else each
        )
    )
    lab.call()
    lab.net.run(1.0)
    refusal = next(each.message for each in lab.net.sent("420 INVITE") if each.source == lab.bob.local)
    assert refusal.value(b"unsupported") == b"100rel"


def test_padding_makes_an_invite_larger_than_an_ethernet_frame(new_lab: LabMaker) -> None:
    lab = registered(new_lab(alice={"padding": 1400}))
    lab.call()
    lab.net.run(2.0)
    assert len(lab.net.sent("INVITE")[0].payload) > 1500
    assert lab.alice.calls[0].state is CallState.ESTABLISHED


def test_a_phone_that_nobody_answers_rings_until_it_is_cancelled(new_lab: LabMaker) -> None:
    lab = registered(new_lab(bob={"ring_time": None}))
    lab.call()
    lab.net.run(60.0)
    assert lab.bob.calls[0].state is CallState.RINGING
    lab.hang_up(lab.alice)
    lab.net.run(61.0)
    assert (lab.alice.calls[0].reason, lab.bob.calls[0].status) == ("cancelled", 487)


def test_an_answer_that_had_to_wait_for_the_prack_is_given_then(new_lab: LabMaker) -> None:
    lab = registered(new_lab(alice={"extensions": ("100rel",)}, bob={**EARLY, "ring_time": None}))
    lost: list[Datagram] = []

    def lose_one(each: Datagram) -> Datagram | None:
        if each.label == "PRACK" and not lost:
            lost.append(each)
            return None
        return each

    lab.net.filters.append(lose_one)
    lab.call()
    lab.net.do(lab.bob, lab.bob.answer(lab.net.now))
    assert lost
    assert lab.bob.calls[0].established_at is None
    lab.net.run(2.0)
    assert lab.alice.calls[0].state is lab.bob.calls[0].state is CallState.ESTABLISHED


def test_who_has_no_timer_need_not_refresh(new_lab: LabMaker) -> None:
    """A proxy on the way added Session-Expires (RFC 4028 section 8), so the callee refreshes."""
    lab = registered(new_lab(bob=TIMER))
    lab.net.filters.append(
        lambda each: (
            each.with_(b"Max-Forwards", b"Session-Expires: 90\r\nMax-Forwards")
            if each.label == "INVITE" and each.destination == lab.bob.local
            else each
        )
    )
    lab.call()
    lab.net.run(400.0)
    answer = next(each.message for each in lab.net.sent("200 INVITE") if each.source == lab.bob.local)
    assert answer.value(b"session-expires") == b"90;refresher=uas"
    assert answer.value(b"require") == b""
    assert lab.alice.calls[0].state is CallState.ESTABLISHED
    # The 200 to the refresh has no Session-Expires, so from then on there is no timer (section 7.2).
    assert (lab.bob.calls[0].timer.refreshes, lab.bob.calls[0].timer.interval) == (1, 0)


@pytest.mark.parametrize("who", [b"", b";refresher=proxy", b";refresher=\xff", b";x"])
def test_a_refresher_that_is_neither_is_left_to_the_callee(new_lab: LabMaker, who: bytes) -> None:
    lab = registered(new_lab(alice=TIMER, bob={**TIMER, "refresher": "uas"}))
    lab.net.filters.append(
        lambda each: (
            each.with_(b"Session-Expires: 90", b"Session-Expires: 90" + who)
            if each.label == "INVITE" and each.destination == lab.bob.local
            else each
        )
    )
    lab.call()
    lab.net.run(2.0)
    (answer,) = (each.message for each in lab.net.sent("200 INVITE") if each.source == lab.bob.local)
    assert answer.value(b"session-expires") == b"90;refresher=uas"


def test_a_call_that_waits_for_its_public_address_can_be_given_up(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"stun": Endpoint("192.0.2.99", 3478)})
    lab.call()
    lab.hang_up(lab.alice)
    lab.net.run(60.0)
    assert lab.alice.calls[0].over
    assert lab.net.sent("INVITE") == []
