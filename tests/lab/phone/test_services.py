"""Transfer, messages, subscriptions, DTMF, two lines, removal of all registrations."""

from __future__ import annotations

import random

import pytest

from siplab.lab.phone.call import Call, CallState
from siplab.lab.phone.phone import Phone, RegistrationState
from siplab.lab.wire.rtp import unpack_rtp
from tests.lab.conftest import Lab, LabMaker, phone_config

USERS = {"alice": "alice-secret", "bob": "bob-secret", "carol": "carol-secret"}
REPLACES: dict[str, object] = {"extensions": ("replaces",), "lines": 2}


@pytest.fixture
def three(new_lab: LabMaker) -> tuple[Lab, Phone]:
    """Alice, bob and an additional phone, carol: all with two lines, all registered."""
    lab = new_lab(alice=REPLACES, bob=REPLACES, server={"users": USERS})
    carol = Phone(phone_config("carol", "192.0.2.77", REPLACES), random.Random(9))
    lab.net.add(carol)
    lab.register()
    lab.net.do(carol, carol.register(0.0))
    lab.net.log.clear()
    return lab, carol


def wait(lab: Lab, seconds: float = 3.0) -> None:
    lab.net.run(lab.net.now + seconds)


def call(lab: Lab, caller: Phone, target: str) -> Call:
    lab.net.do(caller, caller.call(target, lab.net.now))
    wait(lab)
    assert caller.calls[-1].state is CallState.ESTABLISHED
    return caller.calls[-1]


def test_a_blind_transfer(three: tuple[Lab, Phone]) -> None:
    lab, carol = three
    out = call(lab, lab.alice, "bob@lab.test")
    lab.net.do(lab.alice, lab.alice.transfer(out, "carol@lab.test", lab.net.now))
    wait(lab)
    assert out.transfer_status == 200
    assert out.reason == "transferred"
    assert [(each.direction.value, each.over) for each in lab.bob.calls] == [
        ("incoming", True),
        ("outgoing", False),
    ]
    assert carol.calls[0].state is CallState.ESTABLISHED
    assert carol.calls[0].rtp_received > 0
    referred = next(each.message for each in lab.net.sent("INVITE") if each.destination == carol.local)
    assert referred.value(b"referred-by") == b"<sip:alice@lab.test>"


def test_a_transfer_to_nobody_leaves_the_call(three: tuple[Lab, Phone]) -> None:
    lab, _ = three
    out = call(lab, lab.alice, "bob@lab.test")
    lab.net.do(lab.alice, lab.alice.transfer(out, "nobody@lab.test", lab.net.now))
    wait(lab)
    assert out.transfer_status == 404
    assert out.state is CallState.ESTABLISHED


def test_an_attended_transfer(three: tuple[Lab, Phone]) -> None:
    lab, carol = three
    first = call(lab, lab.alice, "bob@lab.test")
    second = call(lab, lab.alice, "carol@lab.test")
    lab.net.do(lab.alice, lab.alice.transfer(first, "carol@lab.test", lab.net.now, replaced=second))
    wait(lab)
    assert (first.transfer_status, first.reason) == (200, "transferred")
    assert (second.state, second.ended_by) == (CallState.ENDED, "remote")
    old, new = carol.calls
    assert (old.reason, new.state) == ("replaced by another call", CallState.ESTABLISHED)
    assert lab.bob.calls[-1].state is CallState.ESTABLISHED


def test_replaces_of_a_call_that_does_not_exist(three: tuple[Lab, Phone]) -> None:
    lab, carol = three
    headers = b"Replaces: nothing@nowhere;to-tag=1;from-tag=2\r\n"
    lab.alice.place(b"sip:carol@lab.test", lab.net.now, headers)
    lab.net.do(lab.alice, lab.alice.layer.flush())
    wait(lab)
    assert lab.alice.calls[0].status == 481
    assert carol.calls == []


def test_a_second_call_waits_while_the_first_is_held(three: tuple[Lab, Phone]) -> None:
    lab, carol = three
    first = call(lab, lab.alice, "bob@lab.test")
    lab.net.do(carol, carol.call("alice@lab.test", lab.net.now))
    wait(lab, 0.5)
    assert lab.alice.calls[1].state is CallState.RINGING
    first.hold(lab.net.now)
    lab.net.do(lab.alice, lab.alice.answer(lab.net.now))
    wait(lab)
    assert lab.alice.calls[1].state is first.state is CallState.ESTABLISHED
    assert lab.alice.calls[1].rtp_local != first.rtp_local
    assert lab.alice.calls[1].rtp_received > 0
    assert lab.bob.calls[0].remote_rtp is None
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", lab.net.now))
    wait(lab)
    assert lab.bob.calls[-1].status == 486


def test_a_message(lab: Lab) -> None:
    lab.net.do(lab.alice, lab.alice.message("bob@lab.test", "Zwölf Boxkämpfer", 0.0))
    wait(lab)
    assert lab.bob.inbox == [("sip:alice@lab.test", "Zwölf Boxkämpfer")]
    assert lab.alice.outbox == [("bob@lab.test", 200)]
    lab.net.do(lab.alice, lab.alice.message("nobody@lab.test", "?", lab.net.now))
    wait(lab)
    assert lab.alice.outbox[-1] == ("nobody@lab.test", 404)


def test_message_waiting(lab: Lab) -> None:
    lab.net.do(lab.alice, lab.alice.subscribe("message-summary", "alice@lab.test", 0.0))
    wait(lab)
    subscription = lab.alice.subscriptions[0]
    assert (subscription.status, subscription.state) == (200, "active")
    lab.server.notifier.set_waiting("alice", 2, lab.net.now)
    lab.net.do(lab.server, lab.server.layer.flush())
    wait(lab)
    assert [b"Voice-Message: 0/0" in subscription.notifications[0], len(subscription.notifications)] == [
        True,
        2,
    ]
    assert b"Messages-Waiting: yes\r\nVoice-Message: 2/0" in subscription.notifications[1]


def test_a_subscription_is_refreshed(lab: Lab) -> None:
    lab.net.do(lab.alice, lab.alice.subscribe("message-summary", "alice@lab.test", 0.0, 120))
    wait(lab, 200)
    assert len(lab.net.sent("SUBSCRIBE")) == 4
    assert lab.alice.subscriptions[0].status == 200
    assert len(lab.alice.subscriptions[0].notifications) == 4


@pytest.mark.parametrize(
    ("package", "target", "status"), [("weather", "alice", 489), ("dialog", "nobody", 404)]
)
def test_subscriptions_that_are_refused(lab: Lab, package: str, target: str, status: int) -> None:
    lab.net.do(lab.alice, lab.alice.subscribe(package, f"{target}@lab.test", 0.0))
    wait(lab)
    assert lab.alice.subscriptions[0].status == status


def test_a_busy_lamp_follows_the_calls_of_a_colleague(three: tuple[Lab, Phone]) -> None:
    lab, carol = three
    lab.net.do(carol, carol.subscribe("dialog", "bob@lab.test", lab.net.now))
    wait(lab)
    call(lab, lab.alice, "bob@lab.test")
    lab.hang_up(lab.alice)
    wait(lab)
    states = [
        body.partition(b"<state>")[2].partition(b"<")[0] for body in carol.subscriptions[0].notifications
    ]
    assert states == [b"", b"trying", b"early", b"confirmed", b"terminated"]


def test_digits_in_info(lab: Lab) -> None:
    lab.call()
    wait(lab)
    outcomes: list[int] = []
    for digit in "42#":
        lab.alice.calls[0].info(digit, lab.net.now, lambda status, now: outcomes.append(status))
        lab.net.do(lab.alice, lab.alice.layer.flush())
    assert lab.bob.calls[0].digits == ["4", "2", "#"]
    assert outcomes == [200, 200, 200]


def test_everything_is_deregistered_with_a_star(lab: Lab) -> None:
    assert lab.server.bindings["sip:alice@lab.test"]
    lab.net.do(lab.alice, lab.alice.unregister(lab.net.now, everything=True))
    assert lab.net.sent("REGISTER")[-1].message.value(b"contact") == b"*"
    assert not lab.server.bindings.get("sip:alice@lab.test")
    assert lab.alice.registration.state is RegistrationState.UNREGISTERED


def test_a_lamp_is_told_once_of_a_call_that_is_over(three: tuple[Lab, Phone]) -> None:
    lab, carol = three
    lab.net.do(carol, carol.subscribe("dialog", "bob@lab.test", lab.net.now))
    wait(lab)
    for _ in range(3):
        call(lab, lab.alice, "bob@lab.test")
        lab.hang_up(lab.alice)
        wait(lab)
    last = carol.subscriptions[0].notifications[-1]
    assert last.count(b"<dialog id=") == last.count(b"<state>terminated</state>") == 1
    assert lab.server.notifier.calls == {}


def test_a_subscription_that_has_ended_can_not_be_refreshed(lab: Lab) -> None:
    lab.net.do(lab.alice, lab.alice.subscribe("message-summary", "alice@lab.test", 0.0, 120))
    wait(lab)
    subscription = lab.alice.subscriptions[0]
    assert subscription._timer is not None
    subscription._timer.cancel()  # a phone that does not refresh in time
    wait(lab, 120)
    subscription.send(lab.net.now)
    lab.net.do(lab.alice, lab.alice.layer.flush())
    assert subscription.status == 481


def refer_to(lab: Lab, out: Call, uri: bytes) -> int:
    """The final status of a REFER with that Refer-To."""
    outcomes: list[int] = []
    assert out.dialog is not None
    lines = b"Refer-To: <" + uri + b">\r\n" + lab.alice.contact_line
    out.request(out.dialog, b"REFER", lab.net.now, lines, outcome=lambda status, now: outcomes.append(status))
    lab.net.do(lab.alice, lab.alice.layer.flush())
    wait(lab)
    (status,) = outcomes
    return status


@pytest.mark.parametrize(
    "value",
    [b"x%0d%0aEvil:%20yes", b"x%0d%0a%0d%0abody", b"x%0Ay", b"x%00", b"x&Replaces=y"],
)
def test_what_is_escaped_in_refer_to_becomes_no_header(three: tuple[Lab, Phone], value: bytes) -> None:
    lab, carol = three
    out = call(lab, lab.alice, "bob@lab.test")
    assert refer_to(lab, out, b"sip:carol@lab.test?Replaces=" + value) == 400
    assert carol.calls == []
    assert len(lab.bob.calls) == 1


@pytest.mark.parametrize("value", [b"%zz%;%", b"", b"\xff;to-tag", b"%ff%fe;;=;to-tag==1", b"x;from-tag"])
def test_odd_replaces_ends_in_481_or_is_ignored(three: tuple[Lab, Phone], value: bytes) -> None:
    lab, carol = three
    out = call(lab, lab.alice, "bob@lab.test")
    assert refer_to(lab, out, b"sip:carol@lab.test?Replaces=" + value) in (202, 400)
    assert [each.state for each in carol.calls] in ([], [CallState.ESTABLISHED])
    assert out.state is CallState.ESTABLISHED


@pytest.mark.parametrize(("asked", "event", "status"), [(False, b"refer", 481), (True, b"dialog", 489)])
def test_a_report_of_no_transfer_ends_no_call(lab: Lab, asked: bool, event: bytes, status: int) -> None:
    lab.call()
    wait(lab)
    out, back = lab.alice.calls[0], lab.bob.calls[0]
    out.refers = asked
    assert back.dialog is not None
    lines = b"Event: " + event + b"\r\nSubscription-State: terminated\r\nContent-Type: message/sipfrag\r\n"
    outcomes: list[int] = []
    back.request(
        back.dialog,
        b"NOTIFY",
        lab.net.now,
        lines + lab.bob.contact_line,
        b"SIP/2.0 200 OK\r\n",
        lambda status, now: outcomes.append(status),
    )
    lab.net.do(lab.bob, lab.bob.layer.flush())
    wait(lab)
    assert outcomes == [status]
    assert out.state is CallState.ESTABLISHED


def test_what_rings_here_can_not_be_replaced(new_lab: LabMaker) -> None:
    early: dict[str, object] = {
        "early_media": True, "extensions": ("100rel", "replaces"), "ring_time": None, "lines": 2,
    }  # fmt: skip
    lab = new_lab(alice={"extensions": ("100rel",), "lines": 2}, bob=early)
    lab.register()
    lab.call()
    wait(lab, 1)
    ringing = lab.bob.calls[0].dialog
    assert ringing is not None
    tags = (ringing.call_id, ringing.local_tag, ringing.remote_tag)
    lab.alice.place(b"sip:bob@lab.test", lab.net.now, b"Replaces: %b;to-tag=%b;from-tag=%b\r\n" % tags)
    lab.net.do(lab.alice, lab.alice.layer.flush())
    wait(lab, 1)
    assert lab.alice.calls[1].status == 481
    assert lab.bob.calls[0].state is CallState.RINGING


def test_digits_as_telephone_events(lab: Lab) -> None:
    lab.call()
    wait(lab, 1.0)
    lab.net.log.clear()
    lab.net.do(lab.alice, lab.alice.dial(lab.alice.calls[0], "4#", lab.net.now))
    wait(lab)
    assert lab.bob.calls[0].digits == ["4", "#"]
    events: dict[int, list[bytes]] = {}
    for each in lab.net.log:
        header = None if each.is_sip else unpack_rtp(each.payload)
        if header is not None and header.payload_type == 101:
            events.setdefault(header.timestamp, []).append(each.payload[12:])
    for event, packets in zip((4, 11), events.values(), strict=True):
        durations = [int.from_bytes(each[2:4], "big") for each in packets]
        # RFC 4733: no duration of 0 (section 2.3.5), and the end three times (section 2.5.1.4).
        assert durations == [160, 320, 480, 640, 800, 800, 800]
        assert [each[0] for each in packets] == [event] * 7
        assert [each[1] >> 7 for each in packets] == [0] * 4 + [1] * 3
