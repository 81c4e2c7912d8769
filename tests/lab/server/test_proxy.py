"""The proxy: routing, forks, limits (RFC 3261 section 16), and phones behind NAT."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from siplab.lab.phone.call import CallState
from siplab.lab.server.server import Binding
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.lab.conftest import Datagram, Lab, LabMaker

SERVER = Endpoint("198.51.100.10", 5060)
CALLER = Endpoint("192.0.2.5", 5060)


@pytest.fixture
def open_lab(new_lab: LabMaker) -> Lab:
    """A lab whose server asks nobody for a password to call; both phones are registered."""
    lab = new_lab(server={"challenge_invite": False})
    lab.register()
    lab.net.log.clear()
    return lab


def invite(
    lab: Lab,
    *,
    uri: bytes = b"sip:bob@lab.test",
    headers: bytes = b"Max-Forwards: 70\r\n",
    method: bytes = b"INVITE",
    to: bytes = b"<sip:bob@lab.test>",
    via: bytes = b"SIP/2.0/UDP 192.0.2.5:5060;branch=z9hG4bKcaller",
    contact: bytes = b"<sip:carol@192.0.2.5:5060>",
    local: Endpoint = SERVER,
) -> list[SipMessage]:
    """Send the server a request written by hand; returns what the server sent because of it."""
    before = len(lab.net.log)
    lab.net.inject(
        b"%b %b SIP/2.0\r\nVia: %b\r\n%bFrom: <sip:carol@lab.test>;tag=c\r\nTo: %b\r\n"
        b"Call-ID: caller\r\nCSeq: 1 %b\r\nContact: %b\r\n"
        b"X-Mark:  kept as it is \r\nContent-Length: 0\r\n\r\n"
        % (method, uri, via, headers, to, method, contact),
        CALLER,
        local,
    )
    sent = lab.net.log[before:]
    return [each.message for each in sent if each.source.ip == SERVER.ip]


def statuses(messages: list[SipMessage]) -> list[int | None]:
    return [message.status for message in messages if message.is_response]


def test_what_forwarding_changes_and_what_not(open_lab: Lab) -> None:
    forwarded = next(each for each in invite(open_lab) if each.is_request)
    assert forwarded.request_uri == b"sip:bob@192.0.2.66:5060"
    vias = [field.value for field in forwarded.all(b"via")]
    assert vias[0].startswith(b"SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK")
    assert vias[1:] == [b"SIP/2.0/UDP 192.0.2.5:5060;branch=z9hG4bKcaller"]
    assert forwarded.value(b"max-forwards") == b"69"
    assert [field.value for field in forwarded.all(b"record-route")] == [b"<sip:198.51.100.10:5060;lr>"]
    assert b"X-Mark:  kept as it is \r\n" in bytes(forwarded)
    assert forwarded.value(b"contact") == b"<sip:carol@192.0.2.5:5060>"


def test_a_missing_max_forwards_becomes_70(open_lab: Lab) -> None:
    forwarded = next(each for each in invite(open_lab, headers=b"") if each.is_request)
    assert forwarded.value(b"max-forwards") == b"70"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"headers": b"Max-Forwards: 0\r\n"}, 483),
        ({"headers": b"Max-Forwards: 70\r\nProxy-Require: foo\r\n"}, 420),
        ({"uri": b"sip:nobody@lab.test"}, 404),
        ({"uri": b"sip:x@elsewhere.test"}, 404),
        ({"uri": b"tel:+112"}, 416),
        ({"method": b"CANCEL"}, 481),
        ({"method": b"OPTIONS", "uri": b"sip:lab.test"}, 200),
        ({"method": b"OPTIONS", "uri": b"sip:198.51.100.10:5080"}, 200),
        ({"headers": b"Max-Forwards: 70\r\nRoute: <sip:elsewhere.test;lr>\r\n"}, 404),
    ],
)
def test_what_the_server_answers_itself(open_lab: Lab, changes: dict[str, bytes], status: int) -> None:
    messages = invite(open_lab, **changes)  # type: ignore[arg-type]
    assert statuses(messages) == [status]
    assert not any(message.is_request for message in messages)


def test_a_request_in_circles_is_found(open_lab: Lab) -> None:
    """Bob's registration leads back to the server itself."""
    (binding,) = open_lab.server.bindings["sip:bob@lab.test"]
    binding.contact = b"sip:bob@198.51.100.10:5080"
    messages = invite(open_lab)
    assert 482 in statuses(messages)
    assert len([message for message in messages if message.is_request and message.method == b"INVITE"]) <= 3


def test_routes_of_ours_are_taken_and_others_followed(open_lab: Lab) -> None:
    far = Endpoint("192.0.2.77", 5062)
    headers = b"Max-Forwards: 5\r\nRoute: <sip:198.51.100.10:5060;lr>, <sip:192.0.2.77:5062;lr>\r\n"
    invite(open_lab, headers=headers, uri=b"sip:x@10.0.0.1", to=b"<sip:x@x>;tag=y", method=b"INFO")
    sent = open_lab.net.log[-1]
    assert sent.destination == far
    assert sent.message.request_uri == b"sip:x@10.0.0.1"
    assert [field.value for field in sent.message.all(b"route")] == [b"<sip:192.0.2.77:5062;lr>"]


def test_it_answers_from_the_port_that_was_addressed(open_lab: Lab) -> None:
    local = Endpoint(SERVER.ip, 5080)
    before = len(open_lab.net.log)
    forwarded = next(each for each in invite(open_lab, local=local) if each.is_request)
    # Bob registered at 5060 and is reached from there; the caller stays with 5080 (RFC 5658).
    assert [field.value for field in forwarded.all(b"record-route")] == [
        b"<sip:198.51.100.10:5060;lr>",
        b"<sip:198.51.100.10:5080;lr>",
    ]
    sent = open_lab.net.log[before:]
    assert {each.source for each in sent if each.destination == CALLER} == {local}
    assert {each.source for each in sent if each.destination == open_lab.bob.local} == {SERVER}


def test_a_call_across_two_ports(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"server": Endpoint(SERVER.ip, 5080)})
    lab.register()
    lab.call()
    lab.net.run(5.0)
    lab.hang_up(lab.bob)
    for phone, port in ((lab.alice, 5080), (lab.bob, 5060)):
        assert phone.calls[0].confirmed
        assert phone.calls[0].state is CallState.ENDED
        ends = {each.source.port for each in lab.net.log if each.destination == phone.local}
        assert ends == {port}
    assert not [each for each in lab.net.log if each.source.ip == each.destination.ip]


# -- forks and limits ------------------------------------------------------------------------------------


def add_binding(lab: Lab, contact: bytes) -> None:
    bindings = lab.server.bindings["sip:bob@lab.test"]
    bindings.append(Binding(contact, None, SERVER, 3600.0, b"x", 1, SERVER, natted=False, made_at=0.0))


def test_a_fork_takes_the_first_answer_and_cancels_the_rest(open_lab: Lab) -> None:
    second = Endpoint("192.0.2.67", 5060)
    add_binding(open_lab, b"sip:bob@192.0.2.67:5060")
    invite(open_lab)
    fork = next(each for each in open_lab.net.log if each.destination == second)
    ringing = b"SIP/2.0 180 Ringing" + fork.payload[fork.payload.index(b"\r\n") :]
    open_lab.net.inject(ringing.replace(b"<sip:bob@lab.test>", b"<sip:bob@lab.test>;tag=2"), second, SERVER)
    open_lab.net.run(1.0)
    to_second = [each.label for each in open_lab.net.log if each.destination == second]
    assert to_second[0] == "INVITE"
    assert "CANCEL" in to_second
    assert statuses([each.message for each in open_lab.net.log if each.destination == CALLER]) == [
        100, 180, 180, 200,
    ]  # fmt: skip


def test_the_best_failure_is_given_when_all_are_in(open_lab: Lab) -> None:
    """One phone declines (603), the other never answers (408): 6xx wins, section 16.7 step 6."""
    add_binding(open_lab, b"sip:bob@192.0.2.67:5060")
    invite(open_lab)
    open_lab.hang_up(open_lab.bob)
    open_lab.net.run(31.0)
    assert statuses([each.message for each in open_lab.net.log if each.destination == CALLER]) == [100, 180]
    open_lab.net.run(32.0)
    assert [each.label for each in open_lab.net.log if each.destination == CALLER][2] == "603 INVITE"


def test_a_6xx_ends_the_other_branches_and_outranks_what_came_before(open_lab: Lab) -> None:
    second, third = Endpoint("192.0.2.67", 5060), Endpoint("192.0.2.68", 5060)
    for end in (second, third):
        add_binding(open_lab, b"sip:bob@" + str(end).encode())
    invite(open_lab)
    for end, line in ((second, b"SIP/2.0 486 Busy Here"), (third, b"SIP/2.0 180 Ringing")):
        fork = next(each for each in open_lab.net.log if each.destination == end)
        answer = line + fork.payload[fork.payload.index(b"\r\n") :]
        open_lab.net.inject(
            answer.replace(b"To: <sip:bob@lab.test>", b"To: <sip:bob@lab.test>;tag=2"), end, SERVER
        )
    open_lab.hang_up(open_lab.bob)
    assert [each.label for each in open_lab.net.log if each.destination == third] == ["INVITE", "CANCEL"]
    open_lab.net.run(40.0)  # the third phone never answers finally: 408
    assert [each.label for each in open_lab.net.log if each.destination == CALLER][3] == "603 INVITE"


def answered_by_bob(lab: Lab, instead: bytes) -> SipMessage:
    """What the caller gets when bob, who is busy, answers something else instead."""
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", 0.0))
    lab.net.filters.append(
        lambda each: (
            each.with_(b"SIP/2.0 486 Busy Here\r\n", instead)
            if each.label == "486 INVITE" and each.source == lab.bob.local
            else each
        )
    )
    invite(lab)
    return next(
        each.message for each in reversed(lab.net.log) if each.destination == CALLER and each.label != "ACK"
    )


def test_a_503_is_passed_on_as_500(open_lab: Lab) -> None:
    assert answered_by_bob(open_lab, b"SIP/2.0 503 Service Unavailable\r\n").status == 500


def test_the_contact_of_a_redirection_is_another_s(open_lab: Lab) -> None:
    moved = answered_by_bob(open_lab, b"SIP/2.0 302 Moved\r\nContact: <sip:bob@10.0.0.9>\r\n")
    assert moved.status == 302
    assert moved.value(b"contact") == b"<sip:bob@10.0.0.9>"


def test_a_response_without_a_via_behind_ours_goes_nowhere(open_lab: Lab) -> None:
    open_lab.net.filters.append(
        lambda each: (
            each.with_(b"Via: SIP/2.0/UDP 192.0.2.5:5060;branch=z9hG4bKcaller\r\n", b"")
            if each.destination == SERVER and b"z9hG4bKcaller" in each.payload
            else each
        )
    )
    assert statuses(invite(open_lab)) == [100]
    assert open_lab.kinds(open_lab.server)[-1] == "discarded"


def test_an_unreachable_phone_is_a_500_not_a_503(open_lab: Lab) -> None:
    open_lab.net.filters.append(lambda each: None if each.destination == open_lab.bob.local else each)
    invite(open_lab)
    actions = open_lab.server.on_unreachable(open_lab.bob.local, SERVER, 0.0)
    open_lab.net.do(open_lab.server, actions)
    assert open_lab.net.log[-1].message.status == 500


def test_timer_c_ends_a_call_that_rings_for_ever(new_lab: LabMaker) -> None:
    lab = new_lab(bob={"ring_time": 10_000.0}, server={"timer_c": 181.0})
    lab.register()
    lab.call()
    lab.net.run(300.0)
    assert lab.net.times("CANCEL") == [181.0]
    assert (lab.alice.calls[0].status, lab.alice.calls[0].ended_at) == (487, 181.0)
    assert lab.bob.calls[0].ended_by == "remote"


def test_timer_c_stops_with_the_answer(new_lab: LabMaker) -> None:
    lab = new_lab()
    lab.register()
    lab.call()
    lab.net.run(300.0)
    assert lab.alice.calls[0].state is CallState.ESTABLISHED
    assert "timer-c" not in lab.kinds(lab.server)


def test_an_ack_to_nothing_goes_nowhere(open_lab: Lab) -> None:
    assert invite(open_lab, method=b"ACK", to=b"<sip:bob@lab.test>;tag=z") == []
    assert open_lab.kinds(open_lab.server)[-1] == "discarded"


# -- NAT -----------------------------------------------------------------------------------------------------

INSIDE, OUTSIDE = "192.168.1.20", "203.0.113.200"


class Nat:
    """A router without an ALG: translates alice's address, and admits answers.

    Mapping is endpoint-independent, filtering address- and port-dependent (RFC 4787).
    """

    def __init__(self) -> None:
        self.mappings: dict[Endpoint, Endpoint] = {}
        self.allowed: set[tuple[Endpoint, Endpoint]] = set()
        self.refused: list[Datagram] = []

    def __call__(self, datagram: Datagram) -> Datagram | None:
        if datagram.source.ip == INSIDE:
            mapped = self.mappings.setdefault(
                datagram.source, Endpoint(OUTSIDE, 61002 + len(self.mappings) * 10)
            )
            self.allowed.add((mapped, datagram.destination))
            return replace(datagram, source=mapped)
        if datagram.destination.ip == OUTSIDE:
            if (datagram.destination, datagram.source) not in self.allowed:
                self.refused.append(datagram)
                return None
            inside = next(key for key, each in self.mappings.items() if each == datagram.destination)
            return replace(datagram, destination=inside)
        if datagram.destination.ip == INSIDE:
            self.refused.append(datagram)  # private addresses are not routed
            return None
        return datagram


def behind_nat(new_lab: LabMaker, **server: object) -> tuple[Lab, Nat]:
    lab = new_lab(alice={"ip": INSIDE}, bob={"latch_after": 1}, server=server)
    nat = Nat()
    lab.net.filters.append(nat)
    lab.register()
    return lab, nat


def test_a_binding_remembers_where_the_register_came_from(new_lab: LabMaker) -> None:
    lab, nat = behind_nat(new_lab)
    (alice,) = lab.server.bindings["sip:alice@lab.test"]
    assert alice.contact == b"sip:alice@192.168.1.20:5060"
    assert alice.received == nat.mappings[lab.alice.local] == Endpoint(OUTSIDE, 61002)
    assert alice.local == SERVER
    (bob,) = lab.server.bindings["sip:bob@lab.test"]
    assert bob.received is None


@pytest.mark.parametrize("outgoing", [True, False])
@pytest.mark.parametrize("alice_hangs_up", [True, False])
def test_calls_through_nat_by_way_of_aliases(new_lab: LabMaker, outgoing: bool, alice_hangs_up: bool) -> None:
    lab, nat = behind_nat(new_lab)
    caller, target = (lab.alice, "bob@lab.test") if outgoing else (lab.bob, "alice@lab.test")
    lab.net.do(caller, caller.call(target, 0.0))
    lab.net.run(10.0)
    lab.hang_up(lab.alice if alice_hangs_up else lab.bob)
    lab.net.run(20.0)
    alice, bob = lab.alice.calls[0], lab.bob.calls[0]
    for call in (alice, bob):
        assert call.confirmed
        assert call.state is CallState.ENDED
        assert call.ended_at == 10.0
    assert bob.dialog is not None
    assert bob.dialog.remote_target == b"sip:alice@192.168.1.20:5060;alias=203.0.113.200~61002~1"
    assert [each for each in nat.refused if each.is_sip] == []
    inward = [each.message for each in lab.net.log if each.destination.ip == OUTSIDE and each.is_sip]
    assert not any(b"alias" in message.request_uri for message in inward)
    assert bob.rtp_received == 5
    assert alice.rtp_received >= 4  # bob latched; before that he sent to a private address


def test_a_naive_server_does_not_reach_a_phone_behind_nat(new_lab: LabMaker) -> None:
    lab, nat = behind_nat(new_lab, store="contact", alias="never")
    assert lab.server.bindings["sip:alice@lab.test"][0].received is None
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", 0.0))
    lab.net.run(40.0)
    assert (lab.bob.calls[0].state, lab.bob.calls[0].status) == (CallState.FAILED, 408)
    assert {each.label for each in nat.refused} == {"INVITE"}


def test_a_naive_server_sends_the_bye_to_the_private_address(new_lab: LabMaker) -> None:
    lab, _ = behind_nat(new_lab, store="contact", alias="never")
    lab.call()
    lab.net.run(5.0)
    lab.hang_up(lab.bob)
    lab.net.run(60.0)
    assert lab.alice.calls[0].state is CallState.ESTABLISHED
    assert lab.bob.calls[0].state is CallState.ENDED


@pytest.mark.parametrize(
    ("uri", "goes_to", "becomes"),
    [
        (b"sip:a@10.0.0.1;alias=192.0.2.9~700~1", Endpoint("192.0.2.9", 700), b"sip:a@10.0.0.1"),
        (
            b"sip:a@10.0.0.1;x=1;alias=192.0.2.9~700~1;ob",
            Endpoint("192.0.2.9", 700),
            b"sip:a@10.0.0.1;x=1;ob",
        ),
        (
            b"sip:a@10.0.0.1;alias=192.0.2.9~70000~1",
            Endpoint("10.0.0.1", 5060),
            b"sip:a@10.0.0.1;alias=192.0.2.9~70000~1",
        ),
    ],
)
def test_an_alias_is_followed_and_taken_out(
    open_lab: Lab, uri: bytes, goes_to: Endpoint, becomes: bytes
) -> None:
    invite(open_lab, method=b"INFO", uri=uri, to=b"<sip:a@lab.test>;tag=1")
    assert open_lab.net.log[-1].destination == goes_to
    assert open_lab.net.log[-1].message.request_uri == becomes


@pytest.mark.parametrize(
    ("contact", "becomes"),
    [
        (b'"C" <sip:c@10.0.0.1>;q=1', b'"C" <sip:c@10.0.0.1;alias=192.0.2.5~5060~1>;q=1'),
        (b"sip:c@10.0.0.1", b"<sip:c@10.0.0.1;alias=192.0.2.5~5060~1>"),
        (b"sip:c@10.0.0.1;q=1", b"<sip:c@10.0.0.1;alias=192.0.2.5~5060~1>;q=1"),
        (b"<sip:c@192.0.2.5>", b"<sip:c@192.0.2.5>"),
        (b"<sip:c@10.0.0.1;alias=1.2.3.4~5~1>", b"<sip:c@10.0.0.1;alias=1.2.3.4~5~1>"),
    ],
)
def test_how_an_alias_is_noted(open_lab: Lab, contact: bytes, becomes: bytes) -> None:
    forwarded = next(each for each in invite(open_lab, contact=contact) if each.is_request)
    assert forwarded.value(b"contact") == becomes
