"""What a router's firewall lets pass: rules in order, by direction, protocol, port and state."""

from __future__ import annotations

import random

import pytest

from siplab.alg_models.controls import NONE
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.firewall import FirewallRule
from siplab.lab.gateway.gateway import Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig, StaticMapping
from siplab.lab.wire import ip
from siplab.lab.wire.ip import SYN, Endpoint

PHONE = Endpoint("192.168.1.20", 49170)
SERVER = Endpoint("198.51.100.10", 5060)
PUBLIC = "203.0.113.7"
INSIDE6, OUTSIDE6 = Endpoint("2001:db8:1::20", 5060), Endpoint("2001:db8:2::10", 5060)


def gateway(*rules: FirewallRule, **nat: object) -> Gateway:
    return Gateway(
        NONE,
        public_ip=PUBLIC,
        inside_networks=["192.168.1.0/24", "2001:db8:1::/64"],
        nat=NatConfig(**nat),  # type: ignore[arg-type]
        rng=random.Random(1),
        firewall=rules,
    )


def fate(router: Gateway, packet: bytes, side: Side, now: float = 0.0) -> Fate:
    (emission,) = router.handle(packet, side, now)
    return emission.fate


def test_what_no_rule_is_about_passes() -> None:
    router = gateway(FirewallRule("deny", "out", "tcp", "5060"))
    assert fate(router, ip.udp(PHONE, SERVER, b"x"), Side.INSIDE) is Fate.FORWARDED


def test_the_first_rule_that_matches_decides() -> None:
    router = gateway(FirewallRule("allow", "out", "udp", "5060"), FirewallRule("deny", "out"))
    assert fate(router, ip.udp(PHONE, SERVER, b"x"), Side.INSIDE) is Fate.FORWARDED
    other = ip.udp(PHONE, SERVER._replace(port=5061), b"x")
    (emission,) = router.handle(other, Side.INSIDE, 0.0)
    assert (emission.fate, emission.detail) == (Fate.FIREWALL, "deny out")
    assert fate(router, ip.tcp(PHONE, SERVER, b"", seq=1, flags=SYN), Side.INSIDE) is Fate.FIREWALL


def test_what_is_denied_makes_no_binding() -> None:
    router = gateway(FirewallRule("deny", "out", "udp", "5060"))
    assert fate(router, ip.udp(PHONE, SERVER, b"x"), Side.INSIDE) is Fate.FIREWALL
    assert router.nat.bindings == []


def test_answers_pass_a_rule_about_new_sessions_and_none_about_any() -> None:
    for state, expected in (("new", Fate.FORWARDED), ("any", Fate.FIREWALL)):
        router = gateway(FirewallRule("deny", "in", "udp", "10000-65535", state))  # type: ignore[arg-type]
        (out,) = router.handle(ip.udp(PHONE, SERVER, b"x"), Side.INSIDE, 0.0)
        public = ip.parse(out.packet).source
        for now in (1.0, 2.0):  # the second packet would take the short way
            assert fate(router, ip.udp(SERVER, public, b"y"), Side.OUTSIDE, now) is expected


def test_ports_are_those_of_the_inside_host() -> None:
    mapping = (StaticMapping(8060, PHONE.ip, 49170),)
    router = gateway(FirewallRule("deny", "in", "udp", "49170", "new"), static_mappings=mapping)
    packet = ip.udp(SERVER, Endpoint(PUBLIC, 8060), b"x")
    for now in (0.0, 1.0):  # a denied packet begins no session
        assert fate(router, packet, Side.OUTSIDE, now) is Fate.FIREWALL
    assert fate(gateway(static_mappings=mapping), packet, Side.OUTSIDE) is Fate.FORWARDED


def test_it_stands_before_ipv6_too() -> None:
    router = gateway(FirewallRule("deny", "out", "udp", "5060"))
    assert fate(router, ip.udp(INSIDE6, OUTSIDE6, b"x"), Side.INSIDE) is Fate.FIREWALL
    router = gateway(FirewallRule("deny", "out", "udp", "5070"))
    assert fate(router, ip.udp(INSIDE6, OUTSIDE6, b"x"), Side.INSIDE) is Fate.FORWARDED
    assert fate(router, ip.udp(OUTSIDE6, INSIDE6, b"x"), Side.OUTSIDE) is Fate.FORWARDED


@pytest.mark.parametrize(
    "ports", ["0", "65536", "5060-", "-5060", "5070-5060", "sip", "1-2-3", "٣", "9" * 5000]
)
def test_senseless_ports_are_refused(ports: str) -> None:
    with pytest.raises(ValueError, match="no port from 1 to 65535"):
        FirewallRule("deny", "out", "udp", ports)
