"""Registration, from the phone's and the registrar's side (RFC 3261 section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.lab.phone.registration import RegistrationState
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.lab.conftest import Datagram, Lab, LabMaker

ALICE = "sip:alice@lab.test"


def register(lab: Lab) -> None:
    lab.net.do(lab.alice, lab.alice.register(lab.net.now))


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_registration_with_digest(new_lab: LabMaker, algorithm: str) -> None:
    lab = new_lab(server={"algorithm": algorithm})
    register(lab)
    assert lab.net.labels() == ["REGISTER", "401 REGISTER", "REGISTER", "200 REGISTER"]
    registration = lab.alice.registration
    assert (registration.state, registration.status) == (RegistrationState.REGISTERED, 200)
    assert (registration.expires, registration.expires_at) == (3600, 3600.0)
    (binding,) = lab.server.bindings[ALICE]
    assert binding.contact == b"sip:alice@203.0.113.7:5060"
    assert binding.received is None
    assert binding.expires_at == 3600.0


def test_the_registers_share_call_id_and_count_up(new_lab: LabMaker) -> None:
    lab = new_lab()
    register(lab)
    first, second = (each.message for each in lab.net.sent("REGISTER"))
    assert first.value(b"call-id") == second.value(b"call-id")
    assert first.value(b"call-id").endswith(b"@203.0.113.7")
    assert (first.value(b"cseq"), second.value(b"cseq")) == (b"1 REGISTER", b"2 REGISTER")
    assert first.value(b"via") != second.value(b"via")


def test_a_wrong_password_fails_and_is_tried_again_after_a_minute(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"password": "guess"})
    register(lab)
    registration = lab.alice.registration
    assert (registration.state, registration.status) == (RegistrationState.FAILED, 401)
    assert lab.net.times("REGISTER") == [0.0, 0.0]
    assert lab.server.bindings == {}
    lab.net.run(60.0)
    assert lab.net.times("REGISTER") == [0.0, 0.0, 60.0, 60.0]
    assert b"Authorization" not in lab.net.sent("REGISTER")[2].payload


def test_a_silent_server_fails_it_after_64_t1(new_lab: LabMaker) -> None:
    lab = new_lab()
    lab.net.filters.append(lambda datagram: None)
    register(lab)
    lab.net.run(32.0)
    registration = lab.alice.registration
    assert (registration.state, registration.status) == (RegistrationState.FAILED, 408)
    assert registration.changed_at == 32.0
    lab.net.filters.clear()
    lab.net.run(92.0)
    assert registration.state is RegistrationState.REGISTERED


def test_refresh_before_expiry_with_the_cached_challenge(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"expires": 200}, server={"nonce_lifetime": 1000.0})
    register(lab)
    lab.net.run(139.0)
    assert lab.server.bindings[ALICE][0].expires_at == 200.0
    lab.net.run(140.0)
    assert lab.server.bindings[ALICE][0].expires_at == 340.0
    assert lab.net.labels()[4:] == ["REGISTER", "200 REGISTER"]
    assert b"nc=00000002" in lab.net.sent("REGISTER")[2].payload
    lab.net.run(250.0)  # past the end of the first lifetime
    assert "expired" not in lab.kinds(lab.server)


def test_short_registrations_are_refreshed_halfway(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"expires": 60})
    register(lab)
    lab.net.run(30.0)
    assert lab.net.times("200 REGISTER") == [0.0, 30.0]


def test_a_stale_nonce_is_replaced(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"expires": 600}, server={"nonce_lifetime": 300.0})
    register(lab)
    lab.net.run(540.0)
    assert lab.net.labels()[4:] == ["REGISTER", "401 REGISTER", "REGISTER", "200 REGISTER"]
    challenge = lab.net.sent("401 REGISTER")[1].message.value(b"www-authenticate")
    assert challenge.endswith(b"stale=true")
    assert lab.alice.registration.state is RegistrationState.REGISTERED


def test_a_server_that_is_never_content_is_given_up(new_lab: LabMaker) -> None:
    lab = new_lab(server={"nonce_lifetime": 0.0})
    register(lab)
    assert len(lab.net.sent("401 REGISTER")) == 5
    assert lab.alice.registration.state is RegistrationState.FAILED


def test_the_timeout_of_an_earlier_register_does_not_matter(new_lab: LabMaker) -> None:
    lab = new_lab()
    lab.net.filters.append(lambda each: None if each.message.value(b"cseq") == b"1 REGISTER" else each)
    register(lab)
    lab.net.run(10.0)
    register(lab)
    lab.net.run(40.0)
    assert lab.alice.registration.state is RegistrationState.REGISTERED
    assert lab.alice.registration.changed_at == 10.0


def test_a_binding_expires_on_time(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"expires": 120})
    register(lab)
    lab.net.filters.append(lambda datagram: None)
    lab.net.run(119.0)
    assert ALICE in lab.server.bindings
    lab.net.run(120.0)
    assert lab.server.bindings == {}
    assert lab.kinds(lab.server)[-1] == "expired"


def test_unregister(new_lab: LabMaker) -> None:
    lab = new_lab()
    register(lab)
    lab.net.do(lab.alice, lab.alice.unregister(0.0))
    assert lab.server.bindings == {}
    assert lab.alice.registration.state is RegistrationState.UNREGISTERED
    lab.net.log.clear()
    lab.net.run(7200.0)
    assert lab.net.log == []


def test_too_brief_an_interval_is_asked_for_again(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"expires": 30}, server={"min_expires": 90})
    register(lab)
    assert lab.net.labels()[-3:] == ["423 REGISTER", "REGISTER", "200 REGISTER"]
    assert lab.alice.registration.expires == 90


def test_an_interval_is_cut_to_what_the_server_allows(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"expires": 86400}, server={"max_expires": 1800})
    register(lab)
    assert lab.alice.registration.expires == 1800


def test_the_lifetime_granted_to_our_contact_counts(new_lab: LabMaker) -> None:
    lab = new_lab()

    def other_first(datagram: Datagram) -> Datagram:
        if datagram.label != "200 REGISTER":
            return datagram
        return datagram.with_(b"Contact: ", b"Contact: <sip:x@192.0.2.9>;expires=77, ").with_(
            b"=3600", b"=120"
        )

    lab.net.filters.append(other_first)
    register(lab)
    assert lab.alice.registration.expires == 120


def test_a_response_that_lists_another_contact_is_noted(new_lab: LabMaker) -> None:
    lab = new_lab()
    lab.net.filters.append(
        lambda each: (
            each.with_(b"Contact: <sip:alice@203.0.113.7:5060", b"Contact: <sip:alice@203.0.113.9:5060")
            if each.label == "200 REGISTER"
            else each
        )
    )
    register(lab)
    assert lab.alice.registration.state is RegistrationState.REGISTERED
    assert "contact-mismatch" in lab.kinds(lab.alice)


# -- what the registrar refuses: REGISTERs of the phone, changed, or written by hand -------------------


class Hand:
    """Sends REGISTERs written by hand, with good credentials."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.source = Endpoint("192.0.2.200", 5060)
        self.count = 0

    def send(
        self,
        contact: bytes,
        *,
        headers: bytes = b"",
        uri: bytes = b"sip:lab.test",
        to: bytes = b"<sip:alice@lab.test>",
        cseq: int | None = None,
        call_id: bytes = b"1@hand",
    ) -> SipMessage:
        from siplab.lab.sip.digest import Answerer

        answerer = Answerer("alice", "alice-secret", self.lab.alice.rng)
        authority = self.lab.server.authority
        answerer.accept([authority.challenge(self.lab.net.now)])
        self.count += 1
        number = self.count if cseq is None else cseq
        self.lab.net.inject(
            b"REGISTER %b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.200:5060;branch=z9hG4bKhand%d\r\n"
            b"Max-Forwards: 70\r\nFrom: <sip:alice@lab.test>;tag=1\r\nTo: %b\r\nCall-ID: %b\r\n"
            b"CSeq: %d REGISTER\r\n%b%bAuthorization: %b\r\nContent-Length: 0\r\n\r\n"
            % (
                uri,
                self.count,
                to,
                call_id,
                number,
                b"Contact: " + contact + b"\r\n" if contact else b"",
                headers,
                answerer.credentials(b"REGISTER", uri),
            ),
            self.source,
            Endpoint("198.51.100.10", 5060),
        )
        return self.lab.net.log[-1].message


@pytest.fixture
def hand(new_lab: LabMaker) -> Hand:
    return Hand(new_lab(server={"store": "contact", "alias": "never"}))


def test_several_contacts_with_their_own_lifetimes(hand: Hand) -> None:
    answer = hand.send(
        b"<sip:alice@192.0.2.1>;expires=100, <sip:alice@192.0.2.2>", headers=b"Expires: 200\r\n"
    )
    assert [field.value for field in answer.all(b"contact")] == [
        b"<sip:alice@192.0.2.1>;expires=100",
        b"<sip:alice@192.0.2.2>;expires=200",
    ]
    answer = hand.send(b"<sip:alice@192.0.2.1>;expires=0")
    assert [binding.contact for binding in hand.lab.server.bindings[ALICE]] == [b"sip:alice@192.0.2.2"]


def test_a_register_without_contact_only_asks(hand: Hand) -> None:
    hand.send(b"<sip:alice@192.0.2.1>")
    answer = hand.send(b"")
    assert answer.status == 200
    assert answer.value(b"contact") == b"<sip:alice@192.0.2.1>;expires=3600"


def test_star_removes_everything(hand: Hand) -> None:
    hand.send(b"<sip:alice@192.0.2.1>, <sip:alice@192.0.2.2>")
    assert hand.send(b"*", headers=b"Expires: 0\r\n").status == 200
    assert hand.lab.server.bindings == {}


@pytest.mark.parametrize("headers", [b"", b"Expires: 60\r\n"])
def test_star_needs_expires_0(hand: Hand, headers: bytes) -> None:
    hand.send(b"<sip:alice@192.0.2.1>")
    assert hand.send(b"*", headers=headers).status == 400
    assert ALICE in hand.lab.server.bindings


def test_an_older_register_of_the_same_call_id_is_refused(hand: Hand) -> None:
    hand.send(b"<sip:alice@192.0.2.1>", cseq=5)
    assert hand.send(b"<sip:alice@192.0.2.1>;expires=0", cseq=5).status == 500
    assert hand.send(b"*", headers=b"Expires: 0\r\n", cseq=4).status == 500
    assert hand.send(b"<sip:alice@192.0.2.1>;expires=0", cseq=4, call_id=b"2@hand").status == 200


def test_all_or_nothing(hand: Hand) -> None:
    assert hand.send(b"<sip:alice@192.0.2.1>, <sip:alice@192.0.2.2>;expires=5").status == 423
    assert hand.lab.server.bindings == {}


def test_the_host_of_a_contact_compares_without_case_and_the_port_by_presence(hand: Hand) -> None:
    hand.send(b"<sip:alice@HOST.lan>")
    hand.send(b"<sip:alice@host.LAN>")
    assert len(hand.lab.server.bindings[ALICE]) == 1
    hand.send(b"<sip:alice@host.lan:5060>")  # RFC 3261 19.1.4: not equivalent
    assert len(hand.lab.server.bindings[ALICE]) == 2


def test_contacts_are_bounded(hand: Hand) -> None:
    contacts = [b"<sip:alice@192.0.2.%d>" % n for n in range(1, 12)]
    assert hand.send(b", ".join(contacts)).status == 403
    assert hand.send(b", ".join(contacts[:10])).status == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"uri": b"sip:elsewhere.test"}, 404),
        ({"uri": b"sip:203.0.113.7"}, 404),
        ({"uri": b"sip:198.51.100.10"}, 200),
        ({"to": b"<sip:alice@203.0.113.7>"}, 404),
        ({"to": b"<sip:carol@lab.test>"}, 404),
        ({"to": b"<sip:bob@lab.test>"}, 403),
    ],
)
def test_whose_address_of_record(hand: Hand, change: dict[str, bytes], status: int) -> None:
    answer = hand.send(b"<sip:alice@192.0.2.1>", **change)  # type: ignore[arg-type]
    assert answer.status == status
    assert bool(hand.lab.server.bindings) is (status == 200)


@pytest.mark.parametrize(("strict", "state"), [(True, "failed"), (False, "registered")])
def test_a_request_uri_rewritten_after_signing(new_lab: LabMaker, strict: bool, state: str) -> None:
    lab = new_lab(server={"strict_digest_uri": strict})
    lab.net.filters.append(
        lambda each: (
            each.with_(b"REGISTER sip:lab.test", b"REGISTER sip:198.51.100.10")
            if each.label == "REGISTER"
            else each
        )
    )
    register(lab)
    assert lab.alice.registration.state.value == state
    assert lab.alice.registration.status == (400 if strict else 200)
