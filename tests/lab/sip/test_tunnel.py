"""The tunnel to the provider: what is encrypted, what a gateway lets pass, and calls through it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.experiments.mitigations import tunnel as remedy
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.sip.base import Listen, Send
from siplab.lab.sip.tunnel import OVERHEAD, PORT, TunnelGateway, seal, unseal
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.trace import Passage, Trace

GATEWAY, INNER, OUTER = (
    Endpoint("198.51.100.1", PORT),
    Endpoint("198.51.100.1", 5070),
    Endpoint("203.0.113.7", 61000),
)
SERVER = Endpoint("198.51.100.10", 5060)


def play(topology: str, model: str, scenario: str, *mitigations: str) -> tuple[str, Trace]:
    result, trace = trial.run(TrialSpec(topology, model, scenario, mitigations=mitigations))
    assert result.errors == []
    return result.outcome, trace


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(0, 2**40),
    st.binary(max_size=200),
    st.integers(0, 300),
    st.integers(1, 255),
)
def test_what_is_altered_is_not_opened(
    number: int, counter: int, packet: bytes, at: int, change: int
) -> None:
    sealed = seal(number, counter, packet)
    assert unseal(sealed) == (number, packet)
    assert len(sealed) + 28 == len(packet) + OVERHEAD
    at %= len(sealed)
    assert unseal(sealed[:at] + bytes([sealed[at] ^ change]) + sealed[at + 1 :]) is None
    assert unseal(packet) is None


def test_a_gateway_takes_a_phone_at_its_own_address_only() -> None:
    gateway = TunnelGateway(GATEWAY)
    gateway.start(0.0)
    assert gateway.give(1, [Listen(INNER)]) == [Listen(INNER)]
    assert gateway.receive(b"hello", SERVER, INNER, 0.0) == [], "nobody knows yet where the phone is"
    sent = ip.udp(INNER, SERVER, b"hello")
    assert gateway.receive(seal(1, 1, sent), OUTER, GATEWAY, 0.0) == [Send(INNER, SERVER, b"hello")]
    forged = ip.udp(Endpoint(INNER.ip, 5071), SERVER, b"hello")
    assert gateway.receive(seal(1, 2, forged), OUTER, GATEWAY, 0.0) == []
    assert gateway.receive(seal(2, 1, sent), OUTER, GATEWAY, 0.0) == []
    assert gateway.receive(random.Random(1).randbytes(90), OUTER, GATEWAY, 0.0) == []
    assert (gateway.passed, gateway.refused) == (1, 3)
    (back,) = gateway.receive(b"there", SERVER, INNER, 0.0)
    assert isinstance(back, Send)
    assert (back.local, back.remote) == (GATEWAY, Endpoint(OUTER.ip, OUTER.port))


def test_a_mapping_that_changes_is_followed() -> None:
    gateway = TunnelGateway(GATEWAY)
    gateway.start(0.0)
    gateway.give(1, [Listen(INNER)])
    for outer in (OUTER, Endpoint(OUTER.ip, 62222)):
        gateway.receive(seal(1, 1, b""), outer, GATEWAY, 0.0)
        (back,) = gateway.receive(b"there", SERVER, INNER, 0.0)
        assert isinstance(back, Send)
        assert back.remote == outer


@pytest.mark.parametrize(
    ("topology", "model", "scenario"),
    [
        ("home", "semicolon-loss", "outgoing-call"),
        ("home", "blind-ip-replace", "incoming-call(idle=70)"),
        ("nat-symmetric", "none", "incoming-call"),
        ("firewall-no-sip", "none", "outgoing-call"),
        ("double-nat", "sdp-c-only", "two-phones"),
    ],
)
def test_no_router_has_a_part_in_it(topology: str, model: str, scenario: str) -> None:
    outcome, trace = play(topology, model, scenario, "tunnel")
    assert outcome == "pass"
    seen = [ip.parse(each.packet) for each in trace if isinstance(each, Passage)]
    ends = Counter(each.destination.port if each.source.port != PORT else each.source.port for each in seen)
    assert set(ends) == {PORT}, "nothing but the tunnel crosses a router"
    assert all(b"SIP/2.0" not in each.payload for each in seen)


def test_it_needs_its_keep_alive() -> None:
    assert play("home", "none", "incoming-call(idle=70)", "tunnel")[0] == "pass"
    assert play("home", "none", "incoming-call(idle=70)", "tunnel(keepalive=200)")[0] == "fail"


@pytest.mark.parametrize("beside", ["turn", "keep-alive", "pseudo-tls"])
def test_it_goes_with_others(beside: str) -> None:
    assert play("home", "semicolon-loss", "outgoing-call", "tunnel", beside)[0] == "pass"


def test_tcp_goes_through_it() -> None:
    outcome, trace = play("home", "semicolon-loss", "tcp-call(duration=3)", "tunnel")
    assert outcome == "pass"
    assert all(ip.parse(each.packet).protocol == ip.UDP for each in trace if isinstance(each, Passage))


def test_the_overhead_is_said_where_users_look() -> None:
    assert str(OVERHEAD) == "60"
    assert "60 bytes longer" in (remedy.__doc__ or "")


def test_a_network_without_ipv4_is_one_line() -> None:
    with pytest.raises(UsageError, match="tunnel"):
        trial.check_spec(TrialSpec("dual-stack", "none", "register", mitigations=("ipv6", "tunnel")))
