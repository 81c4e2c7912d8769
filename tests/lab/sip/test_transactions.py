"""The four state machines of RFC 3261 section 17 against a scripted peer, with exact times."""

from __future__ import annotations

import random

import pytest

from siplab.lab.sip.base import Send
from siplab.lab.sip.events import NO_FACTS, EventKind, Facts
from siplab.lab.sip.messages import Incoming, Request, response
from siplab.lab.sip.transactions import ClientTransaction, ServerTransaction, State, TransactionLayer
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

HERE, PEER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)

# 17.1.1.2: T1, doubling without bound; 17.1.2.2 and 17.2.1: doubling up to T2.
DOUBLING = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
CAPPED = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


class User:
    """A transaction user that records its events."""

    def __init__(self) -> None:
        self.requests: list[ServerTransaction] = []
        self.acks: list[tuple[float, ServerTransaction | None]] = []
        self.unacknowledged: list[float] = []
        self.answers: list[tuple[float, int]] = []
        self.events: list[tuple[str, str]] = []

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        self.requests.append(transaction)

    def on_ack(self, ack: Incoming, transaction: ServerTransaction | None, now: float) -> None:
        self.acks.append((now, transaction))

    def on_unacknowledged(self, transaction: ServerTransaction, now: float) -> None:
        self.unacknowledged.append(now)

    def answered(
        self, transaction: ClientTransaction, status: int, message: Incoming | None, now: float
    ) -> None:
        self.answers.append((now, status))

    def note(self, now: float, kind: EventKind, detail: str = "", facts: Facts = NO_FACTS) -> None:
        self.events.append((kind, detail))


class Bench:
    """One transaction layer, its user and a clock. ``sent``: time and start line of each message sent."""

    def __init__(self) -> None:
        self.user = User()
        self.layer = TransactionLayer(self.user, random.Random(1))
        self.sent: list[tuple[float, str, bytes]] = []
        self.now = 0.0

    def _collect(self) -> None:
        for action in self.layer.flush():
            assert isinstance(action, Send)
            line = action.payload.split(b"\r\n")[0].decode()
            self.sent.append((self.now, line.removesuffix(" SIP/2.0"), action.payload))

    def run(self, until: float) -> None:
        while (when := self.layer.next_timer()) is not None and when <= until:
            self.now = when
            active = self.layer.next_active_timer()
            before = len(self.sent), list(self.user.answers), list(self.user.unacknowledged)
            self.layer.on_timer(when)
            self._collect()
            if active != when:  # the world relies on this
                assert before == (len(self.sent), self.user.answers, self.user.unacknowledged)
                assert self.layer.next_active_timer() == active
        self.now = until

    def send(self, method: bytes) -> ClientTransaction:
        branch = self.layer.branch()
        request = Request(
            method,
            b"sip:bob@lab.test",
            sent_by=HERE,
            branch=branch,
            via=b"SIP/2.0/UDP 192.168.1.20:5060;branch=" + branch,
            from_=b"<sip:alice@lab.test>;tag=a",
            from_tag=b"a",
            to=b"<sip:bob@lab.test>",
            call_id=b"1@192.168.1.20",
            cseq=1,
            routes=b"Route: <sip:198.51.100.10;lr>\r\n",
        ).compose(b"Contact: <sip:alice@192.168.1.20:5060>\r\n")
        transaction = self.layer.request(request, HERE, PEER, self.now, self.user.answered)
        self._collect()
        return transaction

    def answer(self, transaction: ClientTransaction, status: int, tag: bytes = b"b") -> None:
        """The peer responds; a 2xx to INVITE needs a Contact."""
        request = Incoming(SipMessage.parse(transaction.request.wire), HERE, PEER)
        contact = b"Contact: <sip:bob@198.51.100.10>\r\n"
        self.deliver(response(request, status, to_tag=tag if status > 100 else b"", headers=contact))

    def deliver(self, wire: bytes) -> None:
        self.layer.receive(SipMessage.parse(wire), PEER, HERE, self.now)
        self._collect()

    def request_from_peer(
        self, method: bytes = b"INVITE", branch: bytes = b"z9hG4bK1", to: bytes = b""
    ) -> None:
        self.deliver(
            method + b" sip:alice@192.168.1.20 SIP/2.0\r\n"
            b"Via: SIP/2.0/UDP 198.51.100.10:5060;branch=" + branch + b"\r\n"
            b"Max-Forwards: 70\r\nFrom: <sip:bob@lab.test>;tag=b\r\nTo: <sip:alice@lab.test>" + to + b"\r\n"
            b"Call-ID: 2@198.51.100.10\r\nCSeq: 1 " + method + b"\r\n"
            b"Contact: <sip:bob@198.51.100.10>\r\nContent-Length: 0\r\n\r\n"
        )

    def times(self, line: str) -> list[float]:
        return [at for at, each, _ in self.sent if each.startswith(line)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- clients ---------------------------------------------------------------------------------------


def test_timers_a_and_b_without_any_answer(bench: Bench) -> None:
    transaction = bench.send(b"INVITE")
    bench.run(100)
    assert bench.times("INVITE") == DOUBLING
    assert bench.user.answers == [(32.0, 408)]
    assert transaction.state is State.TERMINATED
    assert bench.layer.next_timer() is None
    assert not bench.layer.clients


def test_timers_e_and_f_without_any_answer(bench: Bench) -> None:
    bench.send(b"OPTIONS")
    bench.run(100)
    assert bench.times("OPTIONS") == CAPPED
    assert bench.user.answers == [(32.0, 408)]
    assert not bench.layer.clients


def test_every_retransmission_is_the_same_bytes(bench: Bench) -> None:
    bench.send(b"INVITE")
    bench.run(32)
    assert len({wire for _, _, wire in bench.sent}) == 1


def test_a_provisional_response_stops_timers_a_and_b(bench: Bench) -> None:
    transaction = bench.send(b"INVITE")
    bench.run(0.75)
    bench.answer(transaction, 180)
    bench.run(300)
    assert bench.times("INVITE") == [0.0, 0.5]
    assert bench.user.answers == [(0.75, 180)]
    assert transaction.state is State.PROCEEDING


def test_a_provisional_response_slows_timer_e_to_t2_and_leaves_timer_f(bench: Bench) -> None:
    transaction = bench.send(b"OPTIONS")
    bench.run(0.75)
    bench.answer(transaction, 100)
    bench.run(100)
    # The running interval (until 1.5) is not shortened; the following ones are T2.
    assert bench.times("OPTIONS") == [0.0, 0.5, 1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5]
    assert bench.user.answers == [(0.75, 100), (32.0, 408)]


def test_timer_d_acknowledges_repeated_failures_and_tells_once(bench: Bench) -> None:
    transaction = bench.send(b"INVITE")
    bench.run(1)
    for at in (1, 2, 32.75, 33):
        bench.run(at)
        bench.answer(transaction, 486)
    bench.run(40)
    assert bench.times("ACK") == [1, 2, 32.75]  # timer D ended the transaction at 33
    assert bench.user.answers == [(1, 486)]
    assert [kind for kind, _ in bench.user.events] == ["discarded"]


def test_the_ack_of_a_failure_repeats_the_invite(bench: Bench) -> None:
    transaction = bench.send(b"INVITE")
    bench.answer(transaction, 486)
    ack = SipMessage.parse(bench.sent[-1][2])
    invite = SipMessage.parse(bench.sent[0][2])
    assert ack.method == b"ACK"
    assert ack.request_uri == invite.request_uri
    for name in (b"via", b"from", b"call-id", b"route"):
        assert [field.value for field in ack.all(name)] == [field.value for field in invite.all(name)]
    assert ack.value(b"to") == b"<sip:bob@lab.test>;tag=b"
    assert ack.value(b"cseq") == b"1 ACK"


def test_timer_k_absorbs_repeated_finals_for_t4(bench: Bench) -> None:
    transaction = bench.send(b"OPTIONS")
    for at, status in ((1.0, 200), (5.75, 200), (6.0, 200)):
        bench.run(at)
        bench.answer(transaction, status)
    assert bench.user.answers == [(1.0, 200)]
    assert [kind for kind, _ in bench.user.events] == ["discarded"]  # the one at 6.0, after K
    assert not bench.layer.clients


def test_accepted_tells_every_2xx_until_timer_m(bench: Bench) -> None:
    transaction = bench.send(b"INVITE")
    for at in (1.0, 2.0, 32.75, 33.0):
        bench.run(at)
        bench.answer(transaction, 200)
    assert bench.user.answers == [(1.0, 200), (2.0, 200), (32.75, 200)]
    assert bench.times("ACK") == []  # the ACK of a 2xx is the user's


def test_a_cancel_waits_for_a_provisional_response(bench: Bench) -> None:
    transaction = bench.send(b"INVITE")
    transaction.cancel(0.0)
    bench.run(0.25)
    assert bench.times("CANCEL") == []
    bench.answer(transaction, 100)
    assert bench.times("CANCEL") == [0.25]
    cancel, invite = (SipMessage.parse(bench.sent[at][2]) for at in (-1, 0))
    assert cancel.value(b"via") == invite.value(b"via")
    assert cancel.value(b"cseq") == b"1 CANCEL"
    assert cancel.value(b"to") == invite.value(b"to")


def test_a_cancelled_invite_is_given_up_after_64_t1(bench: Bench) -> None:
    transaction = bench.send(b"INVITE")
    bench.answer(transaction, 180)
    bench.run(1.0)
    transaction.cancel(1.0)
    bench.run(100)
    assert bench.user.answers == [(0.0, 180), (33.0, 408)]


@pytest.mark.parametrize("method", [b"INVITE", b"OPTIONS"])
def test_a_transport_error_counts_as_503(bench: Bench, method: bytes) -> None:
    bench.send(method)
    bench.layer.unreachable(Endpoint("198.51.100.99", 5060), HERE, 0.25)
    assert bench.user.answers == []
    bench.layer.unreachable(PEER, HERE, 0.25)
    assert bench.user.answers == [(0.25, 503)]
    assert bench.layer.next_timer() is None


# -- servers ---------------------------------------------------------------------------------------


def test_timers_g_and_h_without_an_ack(bench: Bench) -> None:
    bench.request_from_peer()
    bench.user.requests[0].reply(486, 0.0)
    bench._collect()
    bench.run(100)
    assert bench.times("SIP/2.0 486") == CAPPED
    assert bench.user.unacknowledged == [32.0]
    assert not bench.layer.servers


def test_an_ack_stops_timer_g_and_timer_i_absorbs_more_of_it(bench: Bench) -> None:
    bench.request_from_peer()
    bench.user.requests[0].reply(486, 0.0)
    bench._collect()
    bench.run(0.75)
    bench.request_from_peer(b"ACK", to=b";tag=x")
    assert bench.user.requests[0].state is State.CONFIRMED
    bench.run(5.5)
    bench.request_from_peer(b"ACK", to=b";tag=x")
    assert bench.user.acks == []
    bench.run(5.75)  # timer I: 0.75 + T4
    bench.request_from_peer(b"ACK", to=b";tag=x")
    assert bench.user.acks == [(5.75, None)]
    assert bench.times("SIP/2.0 486") == [0.0, 0.5]
    assert bench.user.unacknowledged == []


def test_a_repeated_invite_gets_the_last_response_again(bench: Bench) -> None:
    bench.request_from_peer()
    bench.request_from_peer()
    assert bench.sent == []
    bench.user.requests[0].reply(180, 0.0)
    bench._collect()
    bench.request_from_peer()
    bench.user.requests[0].reply(486, 0.0)
    bench._collect()
    bench.request_from_peer()
    assert len(bench.user.requests) == 1
    assert [line for _, line, _ in bench.sent] == ["SIP/2.0 180 Ringing"] * 2 + ["SIP/2.0 486 Busy Here"] * 2


def test_accepted_absorbs_the_invite_and_passes_its_ack_until_timer_l(bench: Bench) -> None:
    bench.request_from_peer()
    transaction = bench.user.requests[0]
    transaction.reply(200, 0.0)
    bench._collect()
    bench.request_from_peer()
    assert bench.times("SIP/2.0 200") == [0.0]
    bench.run(31.75)
    bench.request_from_peer(b"ACK")  # a client that (wrongly) keeps the branch of the INVITE
    assert bench.user.acks == [(31.75, transaction)]
    bench.run(32)
    assert transaction.state is State.TERMINATED
    bench.request_from_peer()
    assert len(bench.user.requests) == 2


def test_timer_j_repeats_the_answer_for_64_t1(bench: Bench) -> None:
    bench.request_from_peer(b"OPTIONS")
    bench.request_from_peer(b"OPTIONS")
    bench.user.requests[0].reply(200, 0.0)
    bench._collect()
    for at in (1.0, 31.75):
        bench.run(at)
        bench.request_from_peer(b"OPTIONS")
    assert bench.times("SIP/2.0 200") == [0.0, 1.0, 31.75]
    assert len({wire for _, _, wire in bench.sent}) == 1
    bench.run(32)
    bench.request_from_peer(b"OPTIONS")
    assert len(bench.user.requests) == 2


def test_only_the_first_final_response_counts(bench: Bench) -> None:
    bench.request_from_peer(b"OPTIONS")
    bench.user.requests[0].reply(200, 0.0)
    bench.user.requests[0].reply(500, 0.0)
    bench._collect()
    bench.request_from_peer(b"OPTIONS")
    assert [line for _, line, _ in bench.sent] == ["SIP/2.0 200 OK"] * 2


def test_only_100_goes_without_a_to_tag_and_a_given_one_stays(bench: Bench) -> None:
    bench.request_from_peer()
    for status in (100, 180, 486):
        bench.user.requests[0].reply(status, 0.0)
    bench.request_from_peer(b"BYE", branch=b"z9hG4bK2", to=b";tag=given")
    bench.user.requests[1].reply(200, 0.0)
    bench._collect()
    tags = [Incoming(SipMessage.parse(wire), PEER, HERE).to_tag for _, _, wire in bench.sent]
    assert tags[0] == b""
    assert tags[1] == tags[2] != b""
    assert SipMessage.parse(bench.sent[3][2]).value(b"to") == b"<sip:alice@lab.test>;tag=given"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"branch=z9hG4bK1", b"branch=z9hG4bK2"),
        (b"198.51.100.10:5060;branch", b"198.51.100.10:5070;branch"),
        (b"198.51.100.10:5060;branch", b"198.51.100.11:5060;branch"),
    ],
)
def test_branch_and_sent_by_tell_requests_apart(bench: Bench, old: bytes, new: bytes) -> None:
    bench.request_from_peer(b"OPTIONS")
    wire = bytes(bench.user.requests[0].request.message).replace(b";received=198.51.100.10", b"")
    bench.deliver(wire)
    assert len(bench.user.requests) == 1
    bench.deliver(wire.replace(old, new))
    assert len(bench.user.requests) == 2


def test_a_branch_without_the_cookie_is_matched_as_in_rfc_2543(bench: Bench) -> None:
    bench.request_from_peer(branch=b"1")
    bench.request_from_peer(branch=b"1")
    assert len(bench.user.requests) == 1
    bench.user.requests[0].reply(486, 0.0)
    bench.request_from_peer(b"ACK", branch=b"1")
    assert bench.user.requests[0].state is State.CONFIRMED


# -- where a response goes (RFC 3261 18.2.2, RFC 3581 4) -------------------------------------------

SOURCE = Endpoint("203.0.113.7", 61002)


@pytest.mark.parametrize(
    ("via", "stamped", "reply_to"),
    [
        (b"203.0.113.7:61002;branch=z9hG4bK1", b"203.0.113.7:61002;branch=z9hG4bK1", SOURCE),
        (
            b"192.168.1.20:5070;branch=z9hG4bK1",
            b"192.168.1.20:5070;branch=z9hG4bK1;received=203.0.113.7",
            Endpoint("203.0.113.7", 5070),
        ),
        (
            b"192.168.1.20;branch=z9hG4bK1",
            b"192.168.1.20;branch=z9hG4bK1;received=203.0.113.7",
            Endpoint("203.0.113.7", 5060),
        ),
        (
            b"192.168.1.20:5060;rport;branch=z9hG4bK1",
            b"192.168.1.20:5060;rport=61002;branch=z9hG4bK1;received=203.0.113.7",
            SOURCE,
        ),
        (
            b"203.0.113.7:61002;branch=z9hG4bK1;rport",
            b"203.0.113.7:61002;branch=z9hG4bK1;rport=61002;received=203.0.113.7",
            SOURCE,
        ),
        (
            b"192.168.1.20;rport=5060;received=10.0.0.1;branch=z9hG4bK1",
            b"192.168.1.20;rport=61002;received=203.0.113.7;branch=z9hG4bK1",
            SOURCE,
        ),
        (
            b"192.168.1.20;rport=;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2",
            b"192.168.1.20;rport=61002;branch=z9hG4bK1;received=203.0.113.7, "
            b"SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2",
            SOURCE,
        ),
        (
            b"phone.lan;branch=z9hG4bK1",
            b"phone.lan;branch=z9hG4bK1;received=203.0.113.7",
            Endpoint("203.0.113.7", 5060),
        ),
    ],
)
def test_the_top_via_tells_where_a_response_goes(via: bytes, stamped: bytes, reply_to: Endpoint) -> None:
    wire = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP " + via + b"\r\nCSeq: 1 OPTIONS\r\n\r\n"
    incoming = Incoming(SipMessage.parse(wire), SOURCE, PEER)
    incoming.stamp_via()
    assert incoming.value(b"via") == b"SIP/2.0/UDP " + stamped
    assert incoming.reply_to == reply_to
