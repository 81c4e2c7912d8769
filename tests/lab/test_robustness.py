"""No input makes an agent raise an error; the same seed makes the same bytes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siplab.lab.probing.mirror import MirrorServer
from siplab.lab.sip.base import Agent, Send
from siplab.lab.sip.timers import Timers
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.lab.conftest import Datagram, Lab, LabMaker

ELSEWHERE = Endpoint("192.0.2.123", 1234)
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def conversation(new_lab: LabMaker, seed: int = 1) -> list[Datagram]:
    lab = new_lab(seed=seed)
    lab.register()
    lab.call()
    lab.net.run(10.0)
    lab.hang_up(lab.bob)
    lab.net.run(60.0)
    return lab.net.log


def test_the_same_seed_gives_the_same_bytes(new_lab: LabMaker) -> None:
    first, second = conversation(new_lab), conversation(new_lab)
    assert len(first) > 30
    assert first == second


def test_another_seed_gives_other_bytes(new_lab: LabMaker) -> None:
    first, second = conversation(new_lab), conversation(new_lab, seed=100)
    assert [each.label for each in first] == [each.label for each in second]
    assert not {each.payload for each in first} & {each.payload for each in second}


def test_all_timers_of_an_idle_lab_end(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"expires": 3600})
    lab.call("nobody@lab.test")
    lab.net.run(100.0)
    assert [agent.next_timer() for agent in lab.net.agents] == [None, None, None]
    assert not lab.server.layer.servers
    assert not lab.server.layer.clients
    assert not lab.alice.layer.clients


def agents(lab: Lab) -> list[tuple[Agent, Endpoint]]:
    return [
        (lab.server, Endpoint("198.51.100.10", 5060)),
        (lab.alice, lab.alice.local),
        (lab.alice, lab.alice.rtp_local),
        (lab.bob, lab.bob.local),
        (MirrorServer("198.51.100.30"), Endpoint("198.51.100.30", 5060)),
    ]


def feed(lab: Lab, payload: bytes) -> None:
    """Give one datagram to every agent, then let its timers run out."""
    for agent, local in agents(lab):
        now = 5.0
        for action in agent.receive(payload, ELSEWHERE, local, now):
            assert isinstance(action, Send)
            assert 0 < action.remote.port < 65536
            SipMessage.parse(action.payload)
        for _ in range(200):
            when = agent.next_timer()
            if when is None or when > 300:
                break
            now = max(now, when)
            agent.on_timer(now)


@MANY
@given(payload=st.binary(max_size=400))
def test_arbitrary_bytes_never_raise(new_lab: LabMaker, payload: bytes) -> None:
    feed(new_lab(), payload)


TOKENS = st.sampled_from(
    [
        b"INVITE", b"ACK", b"BYE", b"CANCEL", b"REGISTER", b"OPTIONS", b"NOTIFY", b"SIP/2.0", b"200", b"407",
        b"sip:alice@lab.test", b"sip:bob@lab.test", b"<sip:x@192.0.2.1:99999>", b"<", b">", b";", b",", b'"',
        b"=", b":", b" ", b"\r\n", b"\r\n ", b"\n", b"\r\n\r\n", b"Via: ", b"v:", b"SIP/2.0/UDP ",
        b"CSeq: 1 ", b"Call-ID: ", b"From: ", b"To: ", b"Contact: ", b"*", b"tag=", b"branch=z9hG4bK1",
        b"rport", b"received=", b"Expires: 0", b"Max-Forwards: 70", b"Route: ", b"Record-Route: ",
        b"Content-Length: ", b"Content-Type: application/sdp", b"Authorization: Digest ",
        b'realm="lab.test"', b'nonce="1"', b"nc=zz", b"alias=1.2.3.4~5~1", b"alias=~~", b"c=IN IP4 ",
        b"m=audio ", b"70000", b"0", b"-1", b"\xff", b"\0",
    ]
)  # fmt: skip


@MANY
@given(pieces=st.lists(TOKENS, max_size=60))
def test_soup_of_sip_never_raises(new_lab: LabMaker, pieces: list[bytes]) -> None:
    feed(new_lab(), b"".join(pieces))


def some_server(rng: random.Random) -> dict[str, object]:
    """A proxy, or a back-to-back user agent of some kind."""
    return {
        "b2bua": rng.random() < 0.5,
        "direct_media": rng.random() < 0.5,
        "relay_when": rng.choice(("never", "always")),
        "session_timer": rng.choice((0, 90)),
        "private_own": rng.random() < 0.3,
    }


@MANY
@given(data=st.data())
def test_a_damaged_conversation_never_raises(new_lab: LabMaker, data: st.DataObject) -> None:
    """Each message of a real call may have a few bytes replaced, repeated or cut."""
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    lab = new_lab(server=some_server(rng))

    def damage(datagram: Datagram) -> Datagram | None:
        payload = datagram.payload
        if rng.random() < 0.7 or not payload:
            return datagram
        at = rng.randrange(len(payload))
        size = rng.choice((0, 1, 5, 30))
        fresh = rng.choice((b"", b";", b"\r\n", b"9", b"x", b"\0", payload[at : at + 2 * size], b'"', b"<"))
        return datagram.with_(payload, payload[:at] + fresh + payload[at + size :])

    lab.net.filters.append(damage)
    lab.register()
    lab.net.run(5.0)
    lab.call()
    lab.net.run(15.0)
    lab.hang_up(lab.bob)
    lab.net.run(200.0)
    for call in (*lab.alice.calls, *lab.bob.calls):
        assert call.ended_at is None or call.over


HEADERS = (
    b"Refer-To", b"Replaces", b"RAck", b"RSeq", b"Session-Expires", b"Event", b"Subscription-State",
    b"Content-Type", b"Contact", b"Require", b"Supported", b"Expires", b"Record-Route", b"CSeq", b"To",
)  # fmt: skip
VALUES = (
    b"", b"0", b"-1", b"99999999999", b"\xb2\xb3", "\u0663".encode(), b"999",
    b";;to-tag;from-tag==;", b"1;;;=", b"<sip:x", b"<sip:bob@lab.test?Replaces=%0d%0aA:%201>",
    b"<sip:bob@lab.test?replaces=%ff&=&%>", b"<>", b"*", b"sip:[::1", b"<sip:a@192.0.2.66:70000>",
    b"100rel", b"1 1 INVITE", b"1;refresher=\xff", b"terminated", b"MESSAGE/SIPFRAG", b"refer;id=",
    b'"',
)  # fmt: skip
LINES = (
    b"m=audio", b"m=", b"m=video 5 RTP/AVP 999", b"m=audio 4 RTP/AVP 0 999", b"c=IN IP6 ::1",
    b"c=IN IP4 1.2.3", b"m=image 4 udptl t38", b"a=rtpmap:999 telephone-event/8000",
    b"SIP/2.0 \xb2\xb3\xb9 x", b"SIP/2.0", b"Signal=",
)  # fmt: skip


def spoil(rng: random.Random, payload: bytes) -> bytes:
    """The message with one header, or one line of the body, replaced by something odd, or added."""
    head, end, body = payload.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if body and rng.random() < 0.5:
        rows = body.split(b"\r\n")
        rows[rng.randrange(len(rows))] = rng.choice(LINES)
        body = b"\r\n".join(rows).replace(b" 0 101", rng.choice((b" 0 101", b" 0 999")))
        lines = [line for line in lines if not line.startswith(b"Content-Length")]
    else:
        name = rng.choice(HEADERS)
        at = next((at for at, line in enumerate(lines) if line.startswith(name + b":")), len(lines))
        lines[at : at + 1] = [name + b": " + rng.choice(VALUES)]
    return b"\r\n".join(lines) + end + body


@MANY
@given(seed=st.integers(0, 2**32))
def test_odd_headers_in_calls_with_everything_never_raise(new_lab: LabMaker, seed: int) -> None:
    """Hold, session timers, transfer, DTMF, subscriptions, while every fifth message is damaged."""
    rng = random.Random(seed)
    settings: dict[str, object] = {
        "extensions": ("replaces", "timer", "100rel"), "lines": 3, "session_expires": 90,
        "streams": ("audio", "video", "image"), "early_media": rng.random() < 0.5,
        "late_offer": rng.random() < 0.3, "refresh_method": rng.choice(("INVITE", "UPDATE")),
    }  # fmt: skip
    lab = new_lab(alice=settings, bob=settings, server=some_server(rng))
    lab.register()

    def damage(datagram: Datagram) -> Datagram:
        if not datagram.is_sip or rng.random() < 0.8:
            return datagram
        return replace(datagram, payload=spoil(rng, datagram.payload))

    lab.net.filters.append(damage)
    lab.net.do(lab.alice, lab.alice.subscribe("dialog", "bob@lab.test", 0.0))
    for _ in range(2):
        lab.call()
        lab.net.run(lab.net.now + 4.0)
    for phone in (lab.alice, lab.bob):
        for call in phone.calls:
            if call.over or call.dialog is None:
                continue
            call.modify(lab.net.now, hold=rng.choice(("sendonly", "zero-address")), kinds=("image",))
            call.info("4", lab.net.now)
            lab.net.do(phone, phone.dial(call, "4", lab.net.now))
            lab.net.do(phone, phone.transfer(call, "bob@lab.test", lab.net.now, replaced=phone.calls[-1]))
    lab.net.run(lab.net.now + 200.0)
    for phone in (lab.alice, lab.bob):
        for call in phone.calls:
            lab.net.do(phone, phone.hang_up(lab.net.now, call))
    lab.net.run(lab.net.now + 400.0)
    assert [call for phone in (lab.alice, lab.bob) for call in phone.calls if not call.over] == []


def test_damaged_text_of_rules_stays_in_one_line(new_lab: LabMaker) -> None:
    """The text of a violation becomes the reason phrase of a 400, whatever bytes the message had there."""
    lab = new_lab()
    wire = (
        b"OPTIONS sip:lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.123:1234;branch=z9hG4bK1\r\n"
        b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: \xff\x01\0 OPTIONS\r\n\r\n"
    )
    lab.net.inject(wire, ELSEWHERE, Endpoint("198.51.100.10", 5060))
    (answer,) = lab.net.log
    assert answer.message.status == 400
    assert not set(answer.message.start_line.rstrip(b"\r\n")) & set(b"\0\x01\r\n")


# -- timers --------------------------------------------------------------------------------


def test_timers_of_one_moment_run_in_the_order_of_their_start() -> None:
    timers, seen = Timers(), []

    def note(name: str, now: float) -> None:
        seen.append((name, now))

    for name, due in (("b", 1.0), ("a", 1.0), ("early", 0.5), ("late", 2.0)):
        timers.start(due, note, name)
    timers.start(0.75, note, "cancelled").cancel()
    assert timers.next() == 0.5
    timers.run(1.0)
    assert seen == [("early", 1.0), ("b", 1.0), ("a", 1.0)]
    assert timers.next() == 2.0


@pytest.mark.parametrize("due", [1.0, 0.5])
def test_a_timer_started_while_others_run_still_gets_its_turn(due: float) -> None:
    timers, seen = Timers(), []

    def again(_: object, now: float) -> None:
        timers.start(due, lambda _, later: seen.append(later))

    timers.start(1.0, again)
    timers.run(1.0)
    assert seen == [1.0]
    assert timers.next() is None
