"""What kinds of servers make of messages with one thing altered, where no model of the catalogue does that.

The evidence is that of their cards; what was seen with Kamailio 5.6.3 says so.
"""

from __future__ import annotations

from typing import Any

import pytest

from siplab.experiments.trial import registry
from tests.lab.conftest import make_lab
from tests.lab.server.test_server_settings import PRIVATE, SDP, SOURCE, Hand, hand_of

IP = b"<sip:alice@203.0.113.7>"


def hand(server: str) -> Hand:
    return hand_of(make_lab, **registry.servers().get(server).settings.server())


@pytest.mark.parametrize(
    ("server", "parts", "status"),
    [
        # The router's address for the domain in From and To.
        ("proxy-always", {"headers": {b"From": IP + b";tag=1", b"To": IP}}, None),
        ("proxy-always(domains=ip-488)", {"headers": {b"From": IP + b";tag=1", b"To": IP}}, 488),
        ("proxy-detect", {"headers": {b"From": IP + b";tag=1", b"To": IP}}, 200),
        # A port that UDP does not have, in Via alone: seen of Kamailio.
        ("proxy-detect", {"via": b"203.0.113.77:70000"}, 200),
        ("pbx-nat", {"via": b"203.0.113.77:70000"}, None),
        ("pbx-plain", {"via": b"203.0.113.77:70000"}, None),
    ],
)
def test_what_becomes_of_an_altered_register(server: str, parts: dict[str, Any], status: int | None) -> None:
    answer = hand(server).register(**parts)
    assert (answer.status if answer is not None else None) == status


def test_a_call_id_that_changes_is_asked_for_a_password_again_and_again() -> None:
    for server, status in (("proxy-always", 401), ("proxy-detect", 200)):
        alice = hand(server)
        challenge = alice.send(alice.wire())[-1].message
        assert alice.answerer.accept([challenge.value(b"www-authenticate")])
        answer = alice.send(alice.wire(signed=True, headers={b"Call-ID": b"another"}))[-1].message
        assert answer.status == status


@pytest.mark.parametrize(
    ("server", "contact", "stored"),
    [
        ("proxy-detect", b"<sip:alice@203.0.113.77:70000>", True),
        ("proxy-detect", b"<sip:alice@203.0.113.77:5060transport=udp>", True),
        ("pbx-nat", b"<sip:alice@203.0.113.77:70000>", False),
    ],
)
def test_a_contact_that_leads_nowhere(server: str, contact: bytes, stored: bool) -> None:
    """Seen of Kamailio: stored, and calls get 479. In pjsip the header is lost: the REGISTER is a query."""
    alice = hand(server)
    answer = alice.register(contact)
    assert answer is not None
    assert answer.status == 200
    assert bool(alice.contacts()) == stored
    lab = alice.lab
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", 0.0))
    assert lab.bob.calls[-1].status == (479 if stored else 480)


@pytest.mark.parametrize(
    ("server", "goes_to"),
    [("proxy-detect(nat_tests=[via-host,via-port])", "192.168.1.20"), ("freeswitch", SOURCE.ip)],
)
def test_a_private_contact_that_the_via_does_not_betray(server: str, goes_to: str) -> None:
    alice = hand(server)
    alice.register(PRIVATE)
    lab = alice.lab
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", 0.0))
    sent = {each.destination.ip for each in lab.net.sent("INVITE") if each.source.port == 5060}
    assert goes_to in sent


@pytest.mark.parametrize(("server", "arrives"), [("freeswitch", False), ("pbx-nat", True)])
def test_whose_bye_gets_to_a_caller_with_a_private_contact(server: str, arrives: bool) -> None:
    """FreeSWITCH looks at the Via of an INVITE, and that one is right."""
    alice = hand(server)
    alice.register(PRIVATE)
    lab = alice.lab
    alice.ask(b"INVITE", headers={b"Contact": PRIVATE}, body=SDP)
    lab.net.run(lab.net.now + 3.0)
    lab.hang_up(lab.bob)
    sent = {each.destination for each in lab.net.sent("BYE") if each.source.ip != "192.0.2.66"}
    assert (SOURCE in sent) == arrives
