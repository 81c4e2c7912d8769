"""RFC 4475's torture messages for the lab's phones and servers: none raises an error or stops working."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from siplab.lab.probing.mirror import MirrorServer
from siplab.lab.sip.base import Close, Listen, Send
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.lab.conftest import Lab, LabMaker

DATA = Path(__file__).parents[1] / "data" / "rfc4475"
MESSAGES = {path.stem: path.read_bytes() for path in sorted(DATA.glob("*.dat"))}
ELSEWHERE = Endpoint("192.0.2.123", 1234)
SERVER = Endpoint("198.51.100.10", 5060)
MIRROR = Endpoint("198.51.100.30", 5060)

each_message = pytest.mark.parametrize("name", MESSAGES)


def targets(lab: Lab) -> list[Endpoint]:
    return [SERVER, lab.alice.local, lab.bob.local, lab.alice.rtp_local]


@each_message
@pytest.mark.parametrize("source", [ELSEWHERE, SERVER], ids=["stranger", "server"])
def test_a_registered_lab_lives_on(new_lab: LabMaker, name: str, source: Endpoint) -> None:
    lab = new_lab()
    lab.register()
    lab.net.run(5.0)
    for target in targets(lab):
        if target in lab.net.ports and target != source:
            lab.net.inject(MESSAGES[name], source, target)
            lab.net.inject(MESSAGES[name], source, target)
    lab.net.run(200.0)
    for each in lab.net.log:
        assert 0 < each.destination.port < 65536
    lab.net.log.clear()
    lab.call()
    lab.net.run(210.0)
    assert lab.net.sent("200 INVITE"), f"no call after {name}"
    lab.hang_up(lab.alice)
    lab.net.run(300.0)
    assert lab.net.sent("200 BYE")


@each_message
def test_a_call_goes_on(new_lab: LabMaker, name: str) -> None:
    lab = new_lab()
    lab.register()
    lab.call()
    lab.net.run(5.0)
    assert lab.net.sent("200 INVITE")
    for target in targets(lab):
        lab.net.inject(MESSAGES[name], ELSEWHERE, target)
    lab.net.run(10.0)
    assert not lab.net.sent("BYE")
    lab.hang_up(lab.bob)
    lab.net.run(100.0)
    assert lab.net.sent("200 BYE")


@each_message
def test_what_the_agents_do_is_sound(new_lab: LabMaker, name: str) -> None:
    lab = new_lab()
    for agent, local in ((lab.server, SERVER), (lab.alice, lab.alice.local), (lab.bob, lab.bob.local)):
        now = 5.0
        actions = list(agent.receive(MESSAGES[name], ELSEWHERE, local, now))
        while (when := agent.next_timer()) is not None and now < 300:
            now = max(now, when)
            actions += agent.on_timer(now)
        for action in actions:
            assert isinstance(action, Send | Listen | Close)
            if isinstance(action, Send):
                assert 0 < action.remote.port < 65536
        message = SipMessage.parse(MESSAGES[name])
        if message.is_response:
            assert not [each for each in actions if isinstance(each, Send)], "an answer to an answer"


@each_message
def test_the_mirror_shows_requests_only(name: str) -> None:
    mirror = MirrorServer(MIRROR.ip)
    message = SipMessage.parse(MESSAGES[name])
    actions = mirror.receive(MESSAGES[name], ELSEWHERE, MIRROR, 1.0)
    assert mirror.receive(MESSAGES[name], ELSEWHERE, MIRROR, 2.0) == actions
    if not message.is_request:
        assert actions == []
        return
    (action,) = actions
    assert isinstance(action, Send)
    assert (action.local, action.remote) == (MIRROR, ELSEWHERE)
    assert SipMessage.parse(action.payload).status == 200


def test_the_messages_are_there() -> None:
    assert len(MESSAGES) == 49
