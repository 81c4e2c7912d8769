"""Routes, hops and the path of one packet, over several networks."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.sip.base import Transport
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.forwarding import Arrival, Delivery, Forwarder, SegmentDelivery, Unreachable
from siplab.lab.worlds.network import Network, NextHop
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.topology import Topology
from siplab.lab.worlds.trace import LossReason
from tests.lab.worlds import inside
from tests.lab.worlds.players import NETWORKS, PHONE, PUBLIC, REGISTRAR, SERVER6, Talker, at

HOME = NETWORKS["home"]


# -- routes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "node", "destination", "hop"),
    [
        ("home", "phone", "192.168.1.103", NextHop("laptop", "lan", None, True)),
        ("home", "phone", "192.168.1.1", NextHop("router", "lan", Side.INSIDE, True)),
        ("home", "phone", "198.51.100.10", NextHop("router", "lan", Side.INSIDE, False)),
        ("home", "phone", "192.168.1.99", None),
        ("home", "router", "198.51.100.10", NextHop("internet", "wan", None, False)),
        ("home", "router", "203.0.113.1", NextHop("internet", "wan", None, True)),
        ("home", "router", "8.8.8.8", NextHop("internet", "wan", None, False)),
        ("home", "internet", "203.0.113.7", NextHop("router", "wan", Side.OUTSIDE, True)),
        ("home", "internet", "192.168.1.102", None),
        ("home", "internet", "8.8.8.8", None),
        ("home", "registrar", "203.0.113.7", NextHop("internet", "provider", None, False)),
        ("two-homes", "blue-gw", "8.8.8.8", NextHop("internet", "wan", None, False)),
        ("two-homes", "blue-gw", "203.0.113.7", NextHop("red-gw", "wan", Side.OUTSIDE, True)),
        ("two-homes", "blue-gw", "192.168.1.102", NextHop("internet", "wan", None, False)),
        ("gateways-only", "red-gw", "8.8.8.8", None),
        ("gateways-only", "three", "8.8.8.8", NextHop("red-gw", "wan", Side.OUTSIDE, False)),
        ("double", "inner", "203.0.113.20", NextHop("outer", "middle", Side.INSIDE, False)),
        ("double", "between", "203.0.113.20", NextHop("outer", "middle", Side.INSIDE, False)),
        ("double", "between", "10.0.0.2", NextHop("inner", "middle", Side.OUTSIDE, True)),
        ("double", "outer", "192.168.1.102", None),
        ("double", "outer", "10.0.0.2", NextHop("inner", "middle", Side.OUTSIDE, True)),
        ("chain", "first", "192.168.3.102", NextHop("second", "middle", None, False)),
        ("chain", "second", "192.168.1.102", NextHop("first", "middle", None, False)),
        ("chain", "one", "192.168.3.1", NextHop("first", "left", None, False)),
        ("chain", "first", "192.168.3.1", NextHop("second", "middle", None, True)),
        ("alone", "one", "192.168.1.103", NextHop("two", "lan", None, True)),
        ("alone", "one", "8.8.8.8", None),
        ("six", "router", "2001:db8:3::2", NextHop("internet", "wan", None, False)),
        # IPv6 is not translated, so the internet has a route to the hosts behind the gateway.
        ("six", "internet", "2001:db8:1::2", NextHop("router", "wan", Side.OUTSIDE, False)),
        ("six", "internet", "2001:db8:9::1", None),
    ],
)
def test_hop(network: str, node: str, destination: str, hop: NextHop | None) -> None:
    for _ in range(2):  # the second answer comes from the cache
        assert NETWORKS[network].next_hop(node, destination) == hop


@pytest.mark.parametrize("name", NETWORKS)
def test_a_node_has_one_default_route_at_most(name: str) -> None:
    for routes in NETWORKS[name].routes.values():
        assert [prefix for prefix, _ in routes].count(None) <= 1
        assert len({prefix for prefix, _ in routes}) == len(routes)
        assert None not in [prefix for prefix, _ in routes][:-1]


def test_both_ip_versions_side_by_side() -> None:
    """Routes of one version never lead over an address of the other."""
    network = Network(
        Topology.model_validate(
            {
                "id": "both",
                "summary": "Two routers between two networks of each version.",
                "networks": {
                    "a4": {"subnet": "192.168.1.0/24"},
                    "a6": {"subnet": "2001:db8:1::/64"},
                    "m4": {"subnet": "192.168.2.0/24"},
                    "m6": {"subnet": "2001:db8:2::/64"},
                    "z4": {"subnet": "192.168.3.0/24"},
                    "z6": {"subnet": "2001:db8:3::/64"},
                },
                "hosts": {},
                "routers": {
                    "one": {
                        "interfaces": {
                            "a4": "192.168.1.1",
                            "a6": "2001:db8:1::1",
                            "m4": "192.168.2.1",
                            "m6": "2001:db8:2::1",
                        }
                    },
                    "two": {
                        "interfaces": {
                            "m4": "192.168.2.2",
                            "m6": "2001:db8:2::2",
                            "z4": "192.168.3.1",
                            "z6": "2001:db8:3::1",
                        }
                    },
                },
            }
        )
    )
    assert sorted(network.routes["one"], key=str) == [
        ("192.168.3.0/24", "192.168.2.2"),
        ("2001:db8:3::/64", "2001:db8:2::2"),
    ]
    assert network.next_hop("one", "2001:db8:3::5") == NextHop("two", "m6", None, False)


def test_sides() -> None:
    network = NETWORKS["double"]
    assert network.side("inner", "middle") is Side.OUTSIDE
    assert network.side("outer", "middle") is Side.INSIDE
    assert network.networks_of("outer", Side.OUTSIDE) == ["wan"]
    assert network.networks_of("inner", Side.INSIDE) == ["lan"]


# -- what a host does not send -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remote", "reason"),
    [
        (at("lab.test"), "'lab.test' is not an IP address"),
        (at(""), "'' is not an IP address"),
        (at("198.51.100.010"), "'198.51.100.010' is not an IP address"),
        (at("198.51.100.10", 0), "0 is not a port"),
        (at("198.51.100.10", 65536), "65536 is not a port"),
        (at("198.51.100.10", -1), "-1 is not a port"),
        (at("2001:db8::1"), "2001:db8::1 is of another IP version than 192.168.1.102"),
        (at("0.0.0.0"), "0.0.0.0 is no address of another host"),
        (at("127.0.0.1"), "127.0.0.1 is no address of another host"),
        (at("239.1.2.3"), "239.1.2.3 is no address of another host"),
        (at("192.168.1.255"), "192.168.1.255 is a broadcast address"),
        (at("198.51.100.255"), ""),  # another network's broadcast address: the host can't know that
        (REGISTRAR, ""),
        (PHONE, ""),
    ],
)
def test_refusal(remote: Endpoint, reason: str) -> None:
    for _ in range(2):
        assert HOME.refusal(PHONE, remote, 10) == reason


def test_refusal_by_size() -> None:
    assert HOME.refusal(PHONE, REGISTRAR, 65507) == ""
    assert HOME.refusal(PHONE, REGISTRAR, 65508) != ""
    six = NETWORKS["six"]
    assert six.refusal(at("2001:db8:1::2"), SERVER6, 1452) == ""
    assert "no fragments in IPv6" in six.refusal(at("2001:db8:1::2"), SERVER6, 1453)


# -- one packet ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "teller"), [(1, "192.168.1.1"), (2, "203.0.113.1"), (3, ""), (64, "")], ids=["1", "2", "3", "64"]
)
def test_ttl_ends_on_the_way(ttl: int, teller: str) -> None:
    world = SimulatedWorld(HOME, inside.plain(HOME), 0)
    world.add("phone", Talker(PHONE))
    world.add("registrar", Talker(REGISTRAR))
    arrivals = Forwarder(HOME, world).send("phone", ip.udp(PHONE, REGISTRAR, b"x", ttl=ttl))
    expected: list[Arrival] = (
        [Unreachable(PHONE, REGISTRAR)] if teller else [Delivery(REGISTRAR, PUBLIC, b"x")]
    )
    assert arrivals == expected
    errors = [
        ip.parse(emission.packet).src
        for passage in world.trace.passages
        for emission in passage.emissions
        if emission.side is Side.INSIDE
    ]
    assert errors == ([teller] if teller else [])


def test_fragments_are_as_large_as_the_link_takes() -> None:
    world = SimulatedWorld(HOME, inside.plain(HOME), 0)
    forwarder = Forwarder(HOME, world)
    packet = ip.udp(PHONE, REGISTRAR, b"x" * 4000)
    pieces = forwarder.fit("phone", packet)
    assert [len(piece) for piece in pieces] == [1500, 1500, 1068]
    assert {ip.parse(piece).identification for piece in pieces} == {1}
    assert not any(ip.parse(piece).dont_fragment for piece in pieces)
    assert [ip.verify(piece) for piece in pieces] == [[], [], []]
    assert {ip.parse(piece).identification for piece in forwarder.fit("phone", packet)} == {2}
    assert forwarder.fit("phone", ip.udp(PHONE, REGISTRAR, b"x" * 1472))[0][4:6] == b"\0\0"


def test_fragments_of_a_fragment_belong_to_its_datagram() -> None:
    network = NETWORKS["dsl"]
    forwarder = Forwarder(network, SimulatedWorld(network, inside.plain(network), 0))
    first, *_ = forwarder.fit("server", ip.udp(REGISTRAR, at("203.0.113.7"), b"x" * 4000))
    pieces = forwarder.fit("internet", first)
    assert [len(piece) for piece in pieces] == [1492, 28]
    assert {ip.parse(piece).identification for piece in pieces} == {ip.parse(first).identification}
    assert [ip.parse(piece).fragment_offset for piece in pieces] == [0, 1472]
    assert all(ip.parse(piece).more_fragments for piece in pieces)


def test_a_lost_fragment_loses_the_datagram() -> None:
    world = SimulatedWorld(HOME, inside.plain(HOME), 0)
    registrar = Talker(REGISTRAR)
    world.add("registrar", registrar)
    forwarder = Forwarder(HOME, world)
    for piece in forwarder.fit("far-phone", ip.udp(at("198.51.100.20"), REGISTRAR, b"x" * 4000))[:-1]:
        assert forwarder.send("far-phone", piece) == []


class _Mirror:
    """A carrier whose gateways send every packet back with an unchanged TTL."""

    def __init__(self) -> None:
        self.reasons: list[LossReason] = []
        self.crossings = 0

    def cross(self, gateway: str, side: Side, packet: bytes) -> list[Emission]:
        self.crossings += 1
        return [Emission(side.other, packet, originated=True)]

    def held(self, gateway: str, pieces: list[bytes]) -> bool:
        return False

    def leave(self, gateway: str, emission: Emission, pieces: list[bytes]) -> None:
        pass

    def listening(self, endpoint: Endpoint, transport: Transport = "udp") -> bool:
        return False

    def arrive(self, local: Endpoint, source: Endpoint, packet: bytes) -> Delivery | None:
        raise AssertionError("nobody listens")

    def bounce(self, local: Endpoint, remote: Endpoint) -> Unreachable | None:
        raise AssertionError("nobody listens")

    def arrive_segment(self, local: Endpoint, source: Endpoint, packet: bytes) -> SegmentDelivery:
        raise AssertionError("nobody listens")

    def lost(self, node: str, packet: bytes, reason: LossReason, detail: str) -> None:
        self.reasons.append(reason)


def _ring() -> Network:
    """Two gateways, each on the other's outside: packets for other networks go in circles."""
    return Network(
        Topology.model_validate(
            {
                "id": "ring",
                "summary": "Each gateway's way out is the other.",
                "networks": {"a": {"subnet": "192.168.1.0/24"}, "b": {"subnet": "192.168.2.0/24"}},
                "hosts": {"phone": {"network": "a", "address": "192.168.1.102"}},
                "routers": {
                    "one": {"inside": {"a": "192.168.1.1"}, "outside": {"b": "192.168.2.1"}},
                    "two": {"inside": {"b": "192.168.2.2"}, "outside": {"a": "192.168.1.2"}},
                },
            }
        )
    )


def test_a_packet_that_goes_round_in_circles_is_given_up() -> None:
    carrier = _Mirror()
    assert Forwarder(_ring(), carrier).send("phone", ip.udp(PHONE, at("8.8.8.8"), b"x")) == []
    assert carrier.reasons == [LossReason.FORWARDING_LOOP]
    assert 64 < carrier.crossings < 10_000


def test_a_packet_in_a_ring_of_gateways_ends_with_its_ttl() -> None:
    network = _ring()
    world = SimulatedWorld(network, inside.plain(network), 0)
    world.add("phone", Talker(PHONE))
    Forwarder(network, world).send("phone", ip.udp(PHONE, at("8.8.8.8"), b"x"))
    assert len(world.trace.passages) < 200


# -- topologies that don't fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"hosts": {"phone": {"network": "nowhere", "address": "192.168.1.2"}}},
            "'nowhere', which is not among",
        ),
        (
            {"hosts": {"phone": {"network": "lan", "address": "10.0.0.1"}}},
            "outside lan's subnet 192.168.1.0/24",
        ),
        (
            {"hosts": {"phone": {"network": "lan", "address": "192.168.1.1"}}},
            "given to both 'phone' and 'router'",
        ),
        ({"hosts": {"router": {"network": "lan", "address": "192.168.1.2"}}}, "both a host and a router"),
        ({"networks": {"lan": {"subnet": "192.168.1.5/24"}}}, "has host bits set"),
        ({"networks": {"lan": {"subnet": "192.168.1.0/24", "mtu": 100}}}, "greater than or equal to 576"),
        ({"routers": {"router": {"inside": {"lan": "192.168.1.1"}}}}, "needs both 'inside' and 'outside'"),
        ({"routers": {"router": {}}}, "at least one network"),
        ({"id": "Home Sweet Home"}, "lower-case letters"),
    ],
)
def test_a_topology_that_does_not_fit(change: dict[str, object], message: str) -> None:
    sound: dict[str, object] = {
        "id": "t",
        "summary": "t",
        "networks": {"lan": {"subnet": "192.168.1.0/24"}},
        "hosts": {},
        "routers": {"router": {"interfaces": {"lan": "192.168.1.1"}}},
    }
    Topology.model_validate(sound)
    with pytest.raises(ValidationError, match=message):
        Topology.model_validate(sound | change)
