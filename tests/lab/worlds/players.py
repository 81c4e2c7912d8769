"""Networks, endpoints and exchanges of datagrams, for the tests of both worlds.

An ``Exchange`` says what is sent where, and the expected result. The simulated world is compared with
that, and the emulated world with the simulated one.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from siplab import topologies
from siplab.lab.gateway.alg import Card, Model
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.lab_world import LabWorld
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.topology import Topology
from siplab.lab.worlds.trace import Lost

NONE: Final = Model("none", Card("No ALG."))


class Talker(Agent):
    """Listens at one port, remembers what it received, and has timers at given times."""

    def __init__(self, local: Endpoint, timers: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.local = local
        self.heard: list[tuple[Endpoint, bytes]] = []
        self.unreachable: list[Endpoint] = []
        self.fired: list[float] = []
        self._timers = sorted(timers)

    def start(self, now: float) -> list[Action]:
        return [Listen(self.local)]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self.heard.append((source, payload))
        return []

    def on_unreachable(self, remote: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self.unreachable.append(remote)
        return []

    def next_timer(self) -> float | None:
        return self._timers[0] if self._timers else None

    def on_timer(self, now: float) -> list[Action]:
        self.fired.append(self._timers.pop(0))
        return []


class Message(NamedTuple):
    """One datagram to send."""

    local: Endpoint
    remote: Endpoint
    payload: bytes = b"x"


class Exchange(NamedTuple):
    """Datagrams sent one after the other, and the expected results, in order.

    ``heard``: receiver, source and payload. ``unreachable``: sender, and the endpoint that it can't reach.
    ``lost``: the nodes at which packets end. ``refused``: how many datagrams a host does not even send.
    """

    network: str
    messages: tuple[Message, ...]
    heard: tuple[tuple[Endpoint, Endpoint, bytes], ...] = ()
    unreachable: tuple[tuple[Endpoint, Endpoint], ...] = ()
    lost: tuple[str, ...] = ()
    refused: int = 0


class Outcome(NamedTuple):
    """The results of an exchange, as plain data."""

    heard: list[tuple[Endpoint, Endpoint, bytes]]
    unreachable: list[tuple[Endpoint, Endpoint]]
    lost: list[str]
    refused: int
    problems: list[str]
    trace: str


def play(world: LabWorld, exchange: Exchange) -> Outcome:
    """Every host with an address listens at port 5060; then the messages are sent one after the other."""
    talkers: dict[Endpoint, Talker] = {}
    for name, host in world.network.topology.hosts.items():
        talker = Talker(Endpoint(host.address, 5060))
        talkers[talker.local] = talker
        world.add(name, talker)
    for message in exchange.messages:
        world.perform(talkers[message.local], [Send(*message)])
        world.idle(0.01)
    problems = world.close()
    heard = [(talker.local, *row) for talker in talkers.values() for row in talker.heard]
    unreachable = [(talker.local, row) for talker in talkers.values() for row in talker.unreachable]
    return Outcome(
        heard,
        unreachable,
        [each.node for each in world.trace if isinstance(each, Lost)],
        sum(getattr(each, "kind", "") == "not-sent" for each in world.trace),
        problems,
        world.trace.to_json_lines(),
    )


# -- networks --------------------------------------------------------------------------------------


def _network(name: str, networks: dict[str, str], hosts: dict[str, str], routers: dict[str, Any]) -> Network:
    """``hosts``: name to ``network address``; ``networks``: name to ``subnet`` or ``subnet mtu``."""
    specs = {}
    for each, text in networks.items():
        subnet, _, mtu = text.partition(" ")
        specs[each] = {"subnet": subnet, "mtu": int(mtu or 1500)}
    places = {}
    for each, text in hosts.items():
        where, address = text.split()
        places[each] = {"network": where, "address": address}
    return Network(
        Topology.model_validate(
            {"id": name, "summary": name, "networks": specs, "hosts": places, "routers": routers}
        )
    )


_ISP: Final = {"interfaces": {"wan": "203.0.113.1", "isp": "198.51.100.1"}}

NETWORKS: Final = {
    "home": Network(topologies.load("home")),
    "two-homes": _network(
        "two-homes",
        {
            "red": "192.168.1.0/24",
            "blue": "192.168.2.0/24",
            "wan": "203.0.113.0/24",
            "isp": "198.51.100.0/24",
        },
        {"one": "red 192.168.1.102", "two": "blue 192.168.2.102", "server": "isp 198.51.100.10"},
        {
            "red-gw": {"inside": {"red": "192.168.1.1"}, "outside": {"wan": "203.0.113.7"}},
            "blue-gw": {"inside": {"blue": "192.168.2.1"}, "outside": {"wan": "203.0.113.8"}},
            "internet": _ISP,
        },
    ),
    "gateways-only": _network(
        "gateways-only",
        {"red": "192.168.1.0/24", "blue": "192.168.2.0/24", "wan": "203.0.113.0/24"},
        {"one": "red 192.168.1.102", "two": "blue 192.168.2.102", "three": "wan 203.0.113.20"},
        {
            "red-gw": {"inside": {"red": "192.168.1.1"}, "outside": {"wan": "203.0.113.7"}},
            "blue-gw": {"inside": {"blue": "192.168.2.1"}, "outside": {"wan": "203.0.113.8"}},
        },
    ),
    "double": _network(
        "double",
        {"lan": "192.168.1.0/24", "middle": "10.0.0.0/24", "wan": "203.0.113.0/24"},
        {"phone": "lan 192.168.1.102", "between": "middle 10.0.0.50", "server": "wan 203.0.113.20"},
        {
            "inner": {"inside": {"lan": "192.168.1.1"}, "outside": {"middle": "10.0.0.2"}},
            "outer": {"inside": {"middle": "10.0.0.1"}, "outside": {"wan": "203.0.113.7"}},
        },
    ),
    "chain": _network(
        "chain",
        {"left": "192.168.1.0/24", "middle": "192.168.2.0/24", "right": "192.168.3.0/24"},
        {"one": "left 192.168.1.102", "between": "middle 192.168.2.5", "two": "right 192.168.3.102"},
        {
            "first": {"interfaces": {"left": "192.168.1.1", "middle": "192.168.2.1"}},
            "second": {"interfaces": {"middle": "192.168.2.2", "right": "192.168.3.1"}},
        },
    ),
    "alone": _network(
        "alone",
        {"lan": "192.168.1.0/24"},
        {"one": "lan 192.168.1.102", "two": "lan 192.168.1.103", "three": "lan 192.168.1.104"},
        {},
    ),
    "single": _network("single", {"lan": "192.168.1.0/24"}, {"one": "lan 192.168.1.102"}, {}),
    "dsl": _network(
        "dsl",
        {"lan": "192.168.1.0/24", "wan": "203.0.113.0/24 1492", "isp": "198.51.100.0/24"},
        {"phone": "lan 192.168.1.102", "other": "lan 192.168.1.103", "server": "isp 198.51.100.10"},
        {"router": {"inside": {"lan": "192.168.1.1"}, "outside": {"wan": "203.0.113.7"}}, "internet": _ISP},
    ),
    "six": _network(
        "six",
        {"lan": "2001:db8:1::/64", "wan": "2001:db8:2::/64", "isp": "2001:db8:3::/64"},
        {"phone": "lan 2001:db8:1::2", "other": "lan 2001:db8:1::3", "server": "isp 2001:db8:3::2"},
        {
            "router": {"inside": {"lan": "2001:db8:1::1"}, "outside": {"wan": "2001:db8:2::7"}},
            "internet": {"interfaces": {"wan": "2001:db8:2::1", "isp": "2001:db8:3::1"}},
        },
    ),
}

# -- who is there ----------------------------------------------------------------------------------

PHONE: Final = Endpoint("192.168.1.102", 5060)
LAPTOP: Final = Endpoint("192.168.1.103", 5060)
THIRD: Final = Endpoint("192.168.1.104", 5060)
REGISTRAR: Final = Endpoint("198.51.100.10", 5060)
PUBLIC: Final = Endpoint("203.0.113.7", 61002)  # the phone's public endpoint in the home network
NEXT_PUBLIC: Final = Endpoint("203.0.113.7", 61004)
PRESERVED: Final = Endpoint("203.0.113.7", 5060)  # the same if the NAT preserves ports
BLUE: Final = Endpoint("192.168.2.102", 5060)
BLUE_PUBLIC: Final = Endpoint("203.0.113.8", 5060)
ON_WAN: Final = Endpoint("203.0.113.20", 5060)
BETWEEN: Final = Endpoint("10.0.0.50", 5060)
LEFT, MIDDLE, RIGHT = PHONE, Endpoint("192.168.2.5", 5060), Endpoint("192.168.3.102", 5060)
PHONE6: Final = Endpoint("2001:db8:1::2", 5060)
LAPTOP6: Final = Endpoint("2001:db8:1::3", 5060)
SERVER6: Final = Endpoint("2001:db8:3::2", 5060)


def at(address: str, port: int = 5060) -> Endpoint:
    return Endpoint(address, port)


def _sizes(
    out: tuple[Endpoint, Endpoint], back: tuple[Endpoint, Endpoint], *sizes: int
) -> tuple[Message, ...]:
    rows = [Message(*out, b"o" * size) for size in sizes]
    return (*rows, *(Message(*back, b"b" * size) for size in sizes))


_ALL_SIZES: Final = (0, 1, 1472, 1473, 4000, 65507)
_NOWHERE: Final = ("8.8.8.8", "10.0.0.1", "192.168.7.7", "240.0.0.1")
_ODD: Final = (
    at("192.168.1.255"),
    at("255.255.255.255"),
    at("224.0.1.75"),
    at("127.0.0.1"),
    at("0.0.0.0"),
    at("198.51.100.10", 0),
    at("198.51.100.10", 65536),
    at("lab.test"),
    at("198.051.100.010"),
    at("2001:db8::1"),
)

EXCHANGES: Final[dict[str, Exchange]] = {
    "sizes": Exchange(
        "home",
        _sizes((PHONE, REGISTRAR), (REGISTRAR, PUBLIC), *_ALL_SIZES),
        heard=(
            *((PHONE, REGISTRAR, b"b" * size) for size in _ALL_SIZES),
            *((REGISTRAR, PUBLIC, b"o" * size) for size in _ALL_SIZES),
        ),
    ),
    "too large for a datagram": Exchange(
        "home",
        (Message(PHONE, REGISTRAR, b"x" * 65508), Message(PHONE, REGISTRAR)),
        heard=((REGISTRAR, PUBLIC, b"x"),),
        refused=1,
    ),
    "closed ports through the NAT": Exchange(
        "home",
        tuple(Message(PHONE, at(REGISTRAR.ip, 9), b"x" * size) for size in (0, 1, 600, 1473, 4000)),
        unreachable=((PHONE, at(REGISTRAR.ip, 9)),) * 5,
    ),
    "a closed port, then an open one": Exchange(
        "home",
        (Message(PHONE, at(REGISTRAR.ip, 9)), Message(PHONE, REGISTRAR), Message(REGISTRAR, PUBLIC, b"y")),
        heard=((PHONE, REGISTRAR, b"y"), (REGISTRAR, PUBLIC, b"x")),
        unreachable=((PHONE, at(REGISTRAR.ip, 9)),),
    ),
    "nobody behind a public port": Exchange("home", (Message(REGISTRAR, PUBLIC),)),
    "filtered": Exchange(
        "home",
        (Message(PHONE, REGISTRAR), Message(at("198.51.100.20"), PUBLIC, b"not asked for")),
        heard=((REGISTRAR, PUBLIC, b"x"),),
    ),
    "the router's own addresses": Exchange(
        "home",
        tuple(Message(PHONE, at(each, 9)) for each in ("192.168.1.1", "203.0.113.1", "198.51.100.1")),
        unreachable=tuple((PHONE, at(each, 9)) for each in ("192.168.1.1", "203.0.113.1", "198.51.100.1")),
    ),
    "hairpin": Exchange(
        "home",
        (
            Message(PHONE, REGISTRAR),
            Message(LAPTOP, REGISTRAR),
            Message(PHONE, NEXT_PUBLIC, b"closed to strangers"),
            Message(LAPTOP, PUBLIC, b"known by now"),
            Message(PHONE, NEXT_PUBLIC, b"open by now"),
            Message(PHONE, at(PUBLIC.ip, 61998), b"nobody there"),
        ),
        heard=(
            (PHONE, NEXT_PUBLIC, b"known by now"),
            (LAPTOP, PUBLIC, b"open by now"),
            (REGISTRAR, PUBLIC, b"x"),
            (REGISTRAR, NEXT_PUBLIC, b"x"),
        ),
    ),
    "one LAN": Exchange(
        "home",
        (Message(PHONE, LAPTOP), Message(LAPTOP, PHONE, b"y" * 4000), Message(PHONE, at(LAPTOP.ip, 9))),
        heard=((PHONE, LAPTOP, b"y" * 4000), (LAPTOP, PHONE, b"x")),
        unreachable=((PHONE, at(LAPTOP.ip, 9)),),
    ),
    "to itself": Exchange(
        "home",
        (Message(PHONE, PHONE), Message(PHONE, at(PHONE.ip, 9))),
        heard=((PHONE, PHONE, b"x"),),
        unreachable=((PHONE, at(PHONE.ip, 9)),),
    ),
    "no way there": Exchange(
        "home",
        (
            Message(REGISTRAR, PHONE),
            *(Message(PHONE, at(each)) for each in _NOWHERE),
            Message(REGISTRAR, at("8.8.8.8")),
        ),
        lost=("internet",) * 6,
    ),
    "an address that nobody has": Exchange(
        "home",
        tuple(
            Message(who, at(where))
            for who, where in (
                (REGISTRAR, "198.51.100.99"),
                (PHONE, "198.51.100.99"),
                (PHONE, "192.168.1.99"),
                (PHONE, "203.0.113.99"),
                (PHONE, "198.51.100.255"),
            )
        ),
        lost=("registrar", "internet", "phone", "router", "internet"),
    ),
    "no place to send to": Exchange(
        "home",
        (*(Message(PHONE, each) for each in _ODD), Message(PHONE, REGISTRAR, b"alive")),
        heard=((REGISTRAR, PUBLIC, b"alive"),),
        refused=len(_ODD),
    ),
    "two homes": Exchange(
        "two-homes",
        (
            Message(PHONE, REGISTRAR),
            Message(BLUE, REGISTRAR),
            Message(PHONE, BLUE_PUBLIC, b"knock"),
            Message(BLUE, PRESERVED, b"knock"),
            Message(PHONE, BLUE_PUBLIC, b"come in"),
            Message(REGISTRAR, BLUE_PUBLIC, b"back"),
        ),
        heard=(
            (PHONE, BLUE_PUBLIC, b"knock"),
            (BLUE, PRESERVED, b"come in"),
            (BLUE, REGISTRAR, b"back"),
            (REGISTRAR, PRESERVED, b"x"),
            (REGISTRAR, BLUE_PUBLIC, b"x"),
        ),
    ),
    "gateways without an internet": Exchange(
        "gateways-only",
        (
            Message(PHONE, ON_WAN),
            Message(ON_WAN, PRESERVED, b"back"),
            Message(PHONE, BLUE_PUBLIC, b"not let in"),
            Message(PHONE, at("8.8.8.8")),
            Message(ON_WAN, PHONE),
        ),
        heard=((PHONE, ON_WAN, b"back"), (ON_WAN, PRESERVED, b"x")),
        lost=("red-gw",),
    ),
    "double NAT": Exchange(
        "double",
        (
            Message(PHONE, ON_WAN),
            Message(ON_WAN, PRESERVED, b"y" * 3000),
            Message(PHONE, BETWEEN, b"only one NAT"),
            Message(BETWEEN, PHONE, b"no way back by this address"),
            Message(PHONE, at(ON_WAN.ip, 9), b"x" * 3000),
            Message(PHONE, at("10.0.0.1", 9)),
            Message(BETWEEN, ON_WAN, b"between"),
        ),
        heard=(
            (PHONE, ON_WAN, b"y" * 3000),
            (BETWEEN, at("10.0.0.2"), b"only one NAT"),
            (ON_WAN, PRESERVED, b"x"),
            (ON_WAN, at("203.0.113.7", 1024), b"between"),
        ),
        unreachable=((PHONE, at(ON_WAN.ip, 9)), (PHONE, at("10.0.0.1", 9))),
        lost=("outer",),
    ),
    "two routers in a row": Exchange(
        "chain",
        (
            Message(LEFT, RIGHT),
            Message(RIGHT, LEFT, b"y" * 5000),
            Message(MIDDLE, RIGHT, b"z"),
            Message(MIDDLE, LEFT, b"z"),
            Message(LEFT, at("192.168.3.1", 9)),
            Message(LEFT, at("192.168.2.2", 9)),
            Message(LEFT, at(RIGHT.ip, 9), b"x" * 5000),
            Message(LEFT, at("8.8.8.8")),
        ),
        heard=(
            (LEFT, RIGHT, b"y" * 5000),
            (LEFT, MIDDLE, b"z"),
            (RIGHT, LEFT, b"x"),
            (RIGHT, MIDDLE, b"z"),
        ),
        unreachable=((LEFT, at("192.168.3.1", 9)), (LEFT, at("192.168.2.2", 9)), (LEFT, at(RIGHT.ip, 9))),
        lost=("first",),
    ),
    "no router": Exchange(
        "alone",
        (Message(PHONE, LAPTOP), Message(PHONE, at("8.8.8.8")), Message(THIRD, at(LAPTOP.ip, 9))),
        heard=((LAPTOP, PHONE, b"x"),),
        unreachable=((THIRD, at(LAPTOP.ip, 9)),),
        lost=("one",),
    ),
    "one host": Exchange(
        "single",
        (Message(PHONE, PHONE), Message(PHONE, LAPTOP)),
        heard=((PHONE, PHONE, b"x"),),
        lost=("one",),
    ),
    "a narrow link": Exchange(
        "dsl",
        _sizes((PHONE, REGISTRAR), (REGISTRAR, PRESERVED), 1464, 1465, 1472, 1473, 4000),
        heard=(
            *((PHONE, REGISTRAR, b"b" * size) for size in (1464, 1465, 1472, 1473, 4000)),
            *((REGISTRAR, PRESERVED, b"o" * size) for size in (1464, 1465, 1472, 1473, 4000)),
        ),
    ),
    "IPv6": Exchange(
        "six",
        (
            Message(PHONE6, SERVER6, b"x" * 1452),
            Message(SERVER6, PHONE6, b"y"),
            Message(SERVER6, LAPTOP6, b"not asked for"),
            Message(PHONE6, LAPTOP6),
            Message(PHONE6, at(LAPTOP6.ip, 9)),
            Message(PHONE6, at("2001:db8:9::1")),
            Message(SERVER6, at("2001:db8:9::1")),
            Message(SERVER6, at("2001:db8:3::99")),
            Message(SERVER6, at("2001:db8:3::1", 9)),
            Message(PHONE6, at("2001:db8:2::1", 9)),
        ),
        heard=((PHONE6, SERVER6, b"y"), (LAPTOP6, PHONE6, b"x"), (SERVER6, PHONE6, b"x" * 1452)),
        unreachable=(
            (PHONE6, at(LAPTOP6.ip, 9)),
            (PHONE6, at("2001:db8:2::1", 9)),
            (SERVER6, at("2001:db8:3::1", 9)),
        ),
        lost=("internet", "internet", "server"),
    ),
    "IPv6, a closed port again and again": Exchange(
        "six",
        (Message(PHONE6, at(SERVER6.ip, 9)),) * 60,
        unreachable=((PHONE6, at(SERVER6.ip, 9)),) * 60,
    ),
    "IPv6, no place to send to": Exchange(
        "six",
        (
            *(
                Message(PHONE6, at(each))
                for each in ("::", "::1", "ff02::1", "fe80::1", "::ffff:198.51.100.10", "198.51.100.10")
            ),
            Message(PHONE6, SERVER6, b"x" * 1453),
        ),
        refused=7,
    ),
}
