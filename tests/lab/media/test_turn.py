"""TURN (RFC 8656): messages, a relay with strict permissions, and calls through it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.media import turn
from siplab.lab.media.stun_attributes import hidden, is_genuine, revealed
from siplab.lab.media.turn import Class, Credential, Kind, Method
from siplab.lab.server.turn_server import Allocation, TurnServer
from siplab.lab.sip.base import Action, Close, Listen, Send
from siplab.lab.sip.events import EventKind
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.trace import Noted, Sent

SERVER, CLIENT = Endpoint("198.51.100.10", 3478), Endpoint("203.0.113.7", 61000)
PEER, STRANGER = Endpoint("192.0.2.20", 40000), Endpoint("192.0.2.66", 40000)
ID = bytes(range(12))

# RFC 5769 2.4: a request with long-term authentication, user "マトリックス", password "TheMatrIX".
RFC_5769 = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)


def relay() -> TurnServer:
    made = TurnServer(SERVER, {"alice": "wonderland"}, "lab.test", random.Random(1))
    assert made.start(0.0) == [Listen(SERVER)]
    return made


def one(actions: list[Action]) -> Send:
    (only,) = (each for each in actions if isinstance(each, Send))
    return only


def allocated(server: TurnServer, password: bytes = b"wonderland") -> tuple[Credential, list[Action]]:
    """Allocate as a client does: a first request without credentials gets realm and nonce."""
    asked = Credential(b"alice", password)
    refused = turn.read(one(server.receive(turn.allocate(ID, asked), CLIENT, SERVER, 0.0)).payload)
    assert refused is not None
    assert (refused.kind, refused.status) == (Class.ERROR, 401)
    known = asked._replace(realm=refused.values[Kind.REALM], nonce=refused.values[Kind.NONCE])
    return known, server.receive(turn.allocate(ID, known), CLIENT, SERVER, 0.0)


def bound(server: TurnServer) -> tuple[Credential, Allocation]:
    credential, _ = allocated(server)
    answer = turn.read(
        one(server.receive(turn.bind(ID, credential, 0x4000, PEER), CLIENT, SERVER, 0.0)).payload
    )
    assert answer is not None
    assert answer.kind == Class.SUCCESS
    return credential, server.allocations[CLIENT]


# -- messages ----------------------------------------------------------------------------------------


def test_the_proof_is_that_of_the_rfc() -> None:
    read = turn.read(RFC_5769)
    assert read is not None
    key = turn.long_term_key(read.values[Kind.USERNAME], read.values[Kind.REALM], b"TheMatrIX")
    assert is_genuine(RFC_5769, key)
    assert not is_genuine(RFC_5769, turn.long_term_key(b"alice", b"example.org", b"TheMatrIX"))


@given(st.binary(max_size=300))
def test_any_bytes_may_be_read(payload: bytes) -> None:
    turn.read(payload)
    turn.read_channel_data(payload)
    turn.read(b"\0\3" + payload[:2] + b"\x21\x12\xa4\x42" + payload)


@given(st.integers(turn.FIRST_CHANNEL, turn.LAST_CHANNEL), st.binary(max_size=200))
def test_what_goes_into_a_channel_comes_out(channel: int, payload: bytes) -> None:
    wire = turn.channel_data(channel, payload)
    assert len(wire) == len(payload) + turn.OVERHEAD
    assert turn.read_channel_data(wire) == (channel, payload)
    assert turn.read(wire) is None, "nobody takes it for STUN"


@given(
    st.sampled_from(["192.0.2.1", "2001:db8::7"]), st.integers(0, 65535), st.binary(min_size=12, max_size=12)
)
def test_an_address_is_hidden_and_found(ip: str, port: int, transaction: bytes) -> None:
    assert revealed(hidden(Endpoint(ip, port), transaction), transaction) == Endpoint(ip, port)


# -- the relay ---------------------------------------------------------------------------------------


def test_who_proves_who_it_is_gets_an_address() -> None:
    server = relay()
    _, actions = allocated(server)
    answer = turn.read(one(actions).payload)
    assert answer is not None
    given = answer.endpoint(Kind.XOR_RELAYED_ADDRESS)
    assert answer.endpoint(Kind.XOR_MAPPED_ADDRESS) == CLIENT
    assert given is not None
    assert given.ip == SERVER.ip
    assert Listen(given) in actions
    assert answer.number(Kind.LIFETIME, 4) == 600


def test_a_wrong_password_gets_none() -> None:
    server = relay()
    _, actions = allocated(server, b"guessed")
    answer = turn.read(one(actions).payload)
    assert answer is not None
    assert answer.status == 401
    assert server.allocations == {}


def test_media_go_both_ways_and_strangers_are_kept_out() -> None:
    server = relay()
    _, known = bound(server)
    assert one(server.receive(turn.channel_data(0x4000, b"hello"), CLIENT, SERVER, 1.0)) == (
        known.relayed, PEER, b"hello", 64,
    )  # fmt: skip
    back = one(server.receive(b"there", PEER, known.relayed, 1.0))
    assert (back.local, back.remote) == (SERVER, CLIENT)
    assert turn.read_channel_data(back.payload) == (0x4000, b"there")
    assert server.receive(b"spam", STRANGER, known.relayed, 1.0) == []
    assert server.receive(turn.channel_data(0x4001, b"x"), CLIENT, SERVER, 1.0) == [], "a channel of nobody's"
    assert (server.relayed, server.dropped) == (2, 2)


def test_another_port_of_the_peer_comes_as_data() -> None:
    server = relay()
    _, known = bound(server)
    other = Endpoint(PEER.ip, 1234)
    message = turn.read(one(server.receive(b"there", other, known.relayed, 1.0)).payload)
    assert message is not None
    assert (message.method, message.kind) == (Method.DATA, Class.INDICATION)
    assert message.endpoint(Kind.XOR_PEER_ADDRESS) == other
    assert message.values[Kind.DATA] == b"there"


def test_what_is_not_refreshed_ends() -> None:
    server = relay()
    credential, known = bound(server)
    assert server.receive(b"there", PEER, known.relayed, 299.0)
    assert server.receive(b"there", PEER, known.relayed, 301.0) == [], "the permission has ended"
    again = server.receive(turn.bind(ID, credential, 0x4000, PEER), CLIENT, SERVER, 302.0)
    assert turn.read(one(again).payload).kind == Class.SUCCESS  # type: ignore[union-attr]
    assert server.receive(b"there", PEER, known.relayed, 303.0)
    assert server.receive(b"there", PEER, known.relayed, 601.0) == [], "the allocation has"
    end = turn.request(Method.REFRESH, ID, credential, (Kind.LIFETIME, bytes(4)))
    late = turn.read(one(server.receive(end, CLIENT, SERVER, 601.0)).payload)
    assert late is not None
    assert late.status == 437


def test_a_lifetime_of_zero_ends_it() -> None:
    server = relay()
    credential, known = bound(server)
    end = turn.request(Method.REFRESH, ID, credential, (Kind.LIFETIME, bytes(4)))
    assert Close(known.relayed) in server.receive(end, CLIENT, SERVER, 5.0)
    assert server.allocations == {}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=80), st.booleans()), max_size=5))
def test_any_bytes_may_come(rows: list[tuple[bytes, bool]]) -> None:
    server = relay()
    _, known = bound(server)
    for payload, by_peer in rows:
        server.receive(payload, PEER if by_peer else CLIENT, known.relayed if by_peer else SERVER, 1.0)


# -- calls -------------------------------------------------------------------------------------------


def test_it_is_a_stun_server_too() -> None:
    result, trace = trial.run(TrialSpec("home", "none", "register", mitigations=("stun", "turn")))
    assert result.outcome == "pass"
    assert [each for each in trace if isinstance(each, Noted) and each.kind is EventKind.MAPPED]


@pytest.mark.parametrize("scenario", ["outgoing-call", "incoming-call"])
@pytest.mark.parametrize(("remedy", "outcome"), [("stun", "fail"), ("turn", "pass")])
def test_behind_a_symmetric_nat(scenario: str, remedy: str, outcome: str) -> None:
    spec = TrialSpec(
        "nat-symmetric", "none", scenario, phone="plain", server="strict-media", mitigations=(remedy,)
    )
    result, trace = trial.run(spec)
    assert (result.errors, result.outcome) == ([], outcome)
    media = [
        each for each in trace
        if isinstance(each, Sent) and each.host == "phone" and each.local.port == 49170
    ]  # fmt: skip
    ports = {each.remote.port for each in media}
    if remedy == "turn":
        assert ports == {3478}, "all media go by way of the relay"


def test_where_both_sides_have_a_nat_both_need_one() -> None:
    spec = TrialSpec("two-sites", "none", "outgoing-call", phone="plain", server="rport-aware")
    for mitigations, outcome in (((), "fail"), (("turn",), "fail"), (("turn(who=both)",), "pass")):
        found = trial.run(TrialSpec(**{**vars(spec), "mitigations": mitigations}))[0]
        assert (found.errors, found.outcome) == ([], outcome), mitigations


@pytest.mark.parametrize("scenario", ["hold", "long-call", "srtp-call", "dtmf", "video"])
def test_other_calls_by_way_of_it(scenario: str) -> None:
    result, trace = trial.run(TrialSpec("nat-symmetric", "none", scenario, mitigations=("turn",)))
    assert (result.errors, result.outcome) == ([], "pass")
    failed = [each for each in trace if isinstance(each, Noted) and each.kind is EventKind.TURN_FAILED]
    assert failed == []
