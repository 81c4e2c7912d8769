"""The samples that the examples in models' cards refer to, and the router that they cross.

Alice's phone is 192.168.1.20:5060, behind a router with the public address 203.0.113.7, whose
public ports begin at 61002. The registrar and proxy is 198.51.100.10:5060; a second phone of
the same home is 192.168.1.21. Inside and outside addresses differ in length on purpose: otherwise
Content-Length faults would not show.

A sample is a sequence of packets. An example documents the last one; the packets before it prepare
what it needs (a binding, a call, an hour of silence). Every module of this package has its samples
in ``SAMPLES``.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from siplab.lab.gateway.alg import Example, Model
from siplab.lab.gateway.gateway import Emission, Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig, PortAllocation
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError

PHONE: Final = Endpoint("192.168.1.20", 5060)
SECOND_PHONE: Final = Endpoint("192.168.1.21", 5060)
ROUTER: Final = "192.168.1.1"
REGISTRAR: Final = Endpoint("198.51.100.10", 5060)
RELAY: Final = Endpoint("198.51.100.20", 40000)
PUBLIC: Final = Endpoint("203.0.113.7", 61002)
RENEWED: Final = "203.0.113.150"  # the public address once the line has been renewed


class Packet(NamedTuple):
    """One packet of a sample: when it comes (seconds), from which side, its bytes."""

    at: float
    side: Side
    data: bytes


@dataclass(frozen=True)
class Sample:
    """A sequence of packets; examples document the last one.

    ``before_last``: what happens to the router right before the last packet: it gets another public address
    (``renewed``), or it is ``restarted``. ``routed``: the router translates nothing.
    """

    packets: tuple[Packet, ...]
    routed: bool = False
    before_last: Literal["", "renewed", "restarted"] = ""

    @property
    def payload(self) -> bytes:
        """The payload of the documented packet."""
        return _payload(self.packets[-1].data)


def outbound(
    message: bytes, at: float = 0.0, *, source: Endpoint = PHONE, target: Endpoint = REGISTRAR
) -> Packet:
    """A UDP datagram from inside: from the phone to the registrar, unless given."""
    return Packet(at, Side.INSIDE, ip.udp(source, target, message))


def inbound(
    message: bytes, at: float = 0.0, *, source: Endpoint = REGISTRAR, target: Endpoint = PUBLIC
) -> Packet:
    """A UDP datagram from outside: from the registrar to the phone's public endpoint, unless given."""
    return Packet(at, Side.OUTSIDE, ip.udp(source, target, message))


def sample(*packets: Packet | Sample) -> Sample:
    """A sample of these packets. A sample among them adds all of its packets."""
    row: list[Packet] = []
    for each in packets:
        row += each.packets if isinstance(each, Sample) else [each]
    return Sample(tuple(row))


def wire(text: bytes) -> bytes:
    """A message with CRLF line ends, from text with LF."""
    return text.replace(b"\n", b"\r\n")


class Outcome(NamedTuple):
    """The payloads that came of a sample's last packet: forwarded ones, and the router's own answers."""

    before: bytes
    after: bytes  # the payloads that left on the other side, joined; empty if none did
    answer: bytes  # the payloads that the router itself sent back, joined
    emissions: list[Emission]


def gateway_for(model: Model, *, routed: bool = False) -> Gateway:
    """The samples' router with a model in it. ``routed``: it translates nothing."""
    return Gateway(
        model,
        public_ip=PUBLIC.ip,
        inside_networks=["192.168.1.0/24"],
        inside_addresses=[ROUTER],
        nat=NatConfig(
            translates=not routed, port_allocation=PortAllocation.SEQUENTIAL, first_port=PUBLIC.port
        ),
        rng=random.Random(0),
        later=RENEWED,
    )


def cross(model: Model, name: str) -> Outcome:
    """What a router with ``model`` does to the last packet of the sample ``name``. Raises ``KeyError``."""
    chosen = all_samples()[name]
    gateway = gateway_for(model, routed=chosen.routed)
    emissions: list[Emission] = []
    for number, packet in enumerate(chosen.packets, 1):
        if number == len(chosen.packets) and chosen.before_last == "renewed":
            gateway.renumber()
        elif number == len(chosen.packets) and chosen.before_last == "restarted":
            gateway.reboot()
        emissions = gateway.handle(packet.data, packet.side, packet.at)
    last = chosen.packets[-1]
    return Outcome(
        chosen.payload,
        _joined(each.packet for each in emissions if each.side is last.side.other),
        _joined(each.packet for each in emissions if each.side is last.side),
        emissions,
    )


def check(model: Model, example: Example) -> str:
    """Why a documented example does not agree with what happens; empty if it agrees."""
    outcome = cross(model, example.sample)
    if outcome.before.count(example.before) != 1:
        return f"{example.before!r} must stand exactly once in sample '{example.sample}'"
    if example.answer and example.answer not in outcome.answer:
        return f"the router answered {outcome.answer!r}"
    if example.after is None:
        return f"{outcome.after!r} left the router" if outcome.after else ""
    if example.after not in outcome.after:
        return f"what left was {outcome.after!r}"
    where = outcome.before.index(example.before)
    same_lines = example.before.count(b"\r\n") == example.after.count(b"\r\n") == 0
    if same_lines and outcome.before.count(b"\r\n") == outcome.after.count(b"\r\n"):
        line = outcome.before[:where].count(b"\r\n")
        if example.after not in outcome.after.split(b"\r\n")[line]:
            return "it left in another line"
    return ""


def _payload(data: bytes) -> bytes:
    try:
        return ip.parse(data).payload
    except MalformedPacketError:
        return data


def _joined(packets: Iterable[bytes]) -> bytes:
    return b"".join(_payload(each) for each in packets)


_found: dict[str, Sample] = {}


def all_samples() -> dict[str, Sample]:
    """Every sample by name. Raises ``ValueError`` if two modules use the same name."""
    if not _found:
        for info in pkgutil.iter_modules(__path__):
            module = importlib.import_module(f"{__name__}.{info.name}")
            for name, each in module.SAMPLES.items():
                if name in _found:
                    raise ValueError(f"two samples are called '{name}'")
                _found[name] = each
    return _found
