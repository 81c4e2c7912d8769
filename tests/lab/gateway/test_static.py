"""What an administrator sets: static mappings and a DMZ host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from siplab.lab.gateway.gateway import Side
from siplab.lab.gateway.nat_config import Dependence, NatConfig, PortAllocation, StaticMapping
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, SYN, Endpoint

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import RouterMaker

PUBLIC = "203.0.113.7"
SERVER = Endpoint("192.168.1.20", 5060)
PHONE = Endpoint("192.168.1.21", 5060)
HERE = Endpoint("198.51.100.10", 7000)
THERE = Endpoint("192.0.2.66", 7002)
SEQUENTIAL: dict[str, Any] = {"port_allocation": PortAllocation.SEQUENTIAL, "first_port": 61002}


def mapped(port: int, inside_port: int = 0, **more: Any) -> dict[str, Any]:
    return SEQUENTIAL | {"static_mappings": (StaticMapping(port, SERVER.ip, inside_port, **more),)}


# -- static mappings -------------------------------------------------------------------------------


@pytest.mark.parametrize("filtering", Dependence)
def test_everybody_may_send_to_a_static_mapping_at_any_time(
    new_router: RouterMaker, filtering: Dependence
) -> None:
    router = new_router(**mapped(8060, 5060), filtering=filtering)
    for now in (0.0, 10_000.0):
        router.now = now
        for remote in (HERE, THERE):
            packet = router.receive(remote, 8060)
            assert packet is not None
            assert (packet.source, packet.destination) == (remote, SERVER)


@pytest.mark.parametrize("mapping", Dependence)
def test_its_host_answers_and_speaks_from_the_same_public_port(
    new_router: RouterMaker, mapping: Dependence
) -> None:
    router = new_router(**mapped(8060, 5060), mapping=mapping)
    for remote in (HERE, THERE):
        assert router.send(SERVER, remote).source == Endpoint(PUBLIC, 8060)


def test_the_port_is_nobody_elses(new_router: RouterMaker) -> None:
    router = new_router(static_mappings=(StaticMapping(5060, SERVER.ip),))
    assert router.send(PHONE, HERE).source.port != 5060  # the NAT would have preserved it
    assert router.receive(HERE, 5060) is not None


def test_it_is_for_one_protocol(new_router: RouterMaker) -> None:
    router = new_router(**mapped(5060, protocol="tcp"))
    assert router.receive(HERE, 5060) is None
    packet = ip.tcp(HERE, Endpoint(PUBLIC, 5060), b"", seq=1, flags=SYN)
    inbound = router.crossed(packet, Side.OUTSIDE)
    assert inbound.destination == SERVER
    answer = router.crossed(ip.tcp(SERVER, HERE, b"", seq=1, ack=2, flags=SYN | ACK), Side.INSIDE)
    assert answer.source == Endpoint(PUBLIC, 5060)


def test_it_survives_a_restart(new_router: RouterMaker) -> None:
    router = new_router(**mapped(5060))
    router.gateway.nat.clear()
    assert router.receive(HERE, 5060) is not None


# -- the DMZ host ------------------------------------------------------------------------------------


def test_the_dmz_host_gets_what_is_for_nobody(new_router: RouterMaker) -> None:
    router = new_router(**SEQUENTIAL, dmz_host=SERVER.ip)
    bound = router.send(PHONE, HERE).source
    for remote, port in ((HERE, 5060), (THERE, 5060), (THERE, 9)):
        packet = router.receive(remote, port)
        assert packet is not None
        assert packet.destination == Endpoint(SERVER.ip, port)
        assert packet.source == remote
    answer = router.receive(HERE, bound.port)
    assert answer is not None
    assert answer.destination == PHONE


def test_a_stranger_at_anothers_port_reaches_the_dmz_host(new_router: RouterMaker) -> None:
    """A stranger's packet is a new flow, whoever has the port: netfilter tells connections apart by peer."""
    router = new_router(**SEQUENTIAL, dmz_host=SERVER.ip, udp_timeout=30)
    bound = router.send(PHONE, HERE).source
    for _ in range(2):
        packet = router.receive(THERE, bound.port)
        assert packet is not None
        assert packet.destination == Endpoint(SERVER.ip, bound.port)
    exposed = Endpoint(SERVER.ip, bound.port)
    assert router.send(exposed, THERE).source == bound  # it answers from the port that was asked
    assert router.send(exposed, HERE).source != bound  # to others it can't send from that port
    answer = router.receive(HERE, bound.port)
    assert answer is not None
    assert answer.destination == PHONE
    router.now = 61.0
    assert router.send(exposed, THERE).source != bound


def test_a_stranger_at_its_own_port_reaches_it(new_router: RouterMaker) -> None:
    router = new_router(dmz_host=SERVER.ip)
    assert router.send(SERVER, HERE).source == Endpoint(PUBLIC, 5060)
    for now in (0.0, 400.0):
        router.now = now
        packet = router.receive(THERE, 5060)
        assert packet is not None
        assert packet.destination == SERVER
        assert router.send(SERVER, THERE).source == Endpoint(PUBLIC, 5060)


def test_it_answers_from_where_it_was_asked(new_router: RouterMaker) -> None:
    router = new_router(**SEQUENTIAL, dmz_host=SERVER.ip)
    router.receive(HERE, 5060)
    assert router.send(SERVER, HERE).source == Endpoint(PUBLIC, 5060)


def test_who_falls_silent_holds_no_port(new_router: RouterMaker) -> None:
    router = new_router(**SEQUENTIAL, dmz_host=SERVER.ip, udp_timeout=30)
    router.receive(HERE, 5060)
    router.now = 31.0
    assert router.send(SERVER, HERE).source == Endpoint(PUBLIC, 61002)
    assert router.receive(THERE, 5060) is not None  # and the next packet is let in all the same


def test_without_a_dmz_host_it_is_dropped(new_router: RouterMaker) -> None:
    assert new_router().receive(HERE, 5060) is None


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"port": 0, "inside": SERVER.ip}, "ports are 1 to 65535"),
        ({"port": 5060, "inside": SERVER.ip, "inside_port": 70000}, "ports are 1 to 65535"),
        ({"port": 5060, "inside": "2001:db8::1"}, "not an IPv4 address"),
        ({"port": 5060, "inside": "phone"}, "not an IPv4 address"),
    ],
)
def test_senseless_mappings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StaticMapping(**wrong)


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="same public port"):
        NatConfig(static_mappings=(StaticMapping(5060, SERVER.ip), StaticMapping(5060, PHONE.ip)))
    with pytest.raises(ValueError, match="dmz_host: 'phone' is not an IPv4 address"):
        NatConfig(dmz_host="phone")
