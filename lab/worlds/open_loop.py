"""Open-loop scripts: packets of both sides of a router, sent whatever became of the earlier ones.

In a conversation between two agents the first fault hides the others: what is not answered ends it. Here
nothing waits for an answer, so each packet shows what the router does with it.

    play(script, gateway) -> Pair        # no sockets, no clock: a fault of the catalogue, a learnt model...

The rules of this file:

- A script speaks of one network: a phone behind a NAT, a server, and the public address ``PUBLIC_IP``.
  ``Script.moved`` gives it other addresses.
- Which public ports a NAT chooses is not known beforehand. A conversation names ports of its own, and says
  which inside endpoint each of them stands for (``Conversation.ports``). What comes in is sent to the port
  from which that endpoint was last seen outside; else to the one that the router wrote in its place; else to
  the same port. In the text of a message the port is replaced, too.
- All that left between two packets belongs to the first of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError, Packet

PUBLIC_IP: Final = "203.0.113.7"

_LENGTH: Final = re.compile(rb"(?im)(^(?:content-length|l)[ \t]*:[ \t]*)(\d{1,5})(?=[ \t]*\r?$)")
_MEDIA: Final = re.compile(rb"(?m)^(?:m=\S+ |a=rtcp:)(\d{1,5})(?!\d)")
_HOST: Final = re.compile(rb"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?:[: ](\d{1,5})(?!\d))?")


class Step(NamedTuple):
    """One packet of a script: when (seconds after its conversation began), from which side, its bytes."""

    at: float
    side: Side
    packet: bytes


@dataclass(frozen=True)
class Conversation:
    """Packets that belong together. ``begins`` in seconds after the script began.

    ``ports``: the public ports that its packets name, and the inside endpoint that each stands for.
    """

    name: str
    steps: tuple[Step, ...]
    ports: Mapping[int, Endpoint] = field(default_factory=dict)
    begins: float = 0.0

    @property
    def ends(self) -> float:
        return self.begins + max((each.at for each in self.steps), default=0.0)


@dataclass(frozen=True)
class Script:
    """Conversations, which may overlap in time."""

    conversations: tuple[Conversation, ...]
    public: str = PUBLIC_IP

    @property
    def seconds(self) -> float:
        """How long it takes to play."""
        return max((each.ends for each in self.conversations), default=0.0)

    def steps(self) -> list[tuple[float, Conversation, Step]]:
        """All packets in the order in which they are sent, each with its time."""
        found = [(each.begins + step.at, each, step) for each in self.conversations for step in each.steps]
        return sorted(found, key=lambda row: row[0])

    def moved(self, addresses: Mapping[str, str]) -> Script:
        """The same between other addresses: old to new, in headers and in the texts of messages."""
        moved = _Readdressing(addresses)
        return Script(
            tuple(
                replace(
                    each,
                    steps=tuple(step._replace(packet=moved.packet(step.packet)) for step in each.steps),
                    ports={
                        port: inside._replace(ip=addresses.get(inside.ip, inside.ip))
                        for port, inside in each.ports.items()
                    },
                )
                for each in self.conversations
            ),
            addresses.get(self.public, self.public),
        )


class Departure(NamedTuple):
    """A packet that left the router, and where."""

    side: Side
    packet: bytes


class Crossing(NamedTuple):
    """A packet that entered the router, and all that left before the next one entered.

    ``at``: seconds after the script began. ``conversation``: the name of that to which it belongs.
    """

    at: float
    conversation: str
    side: Side
    packet: bytes
    left: tuple[Departure, ...] = ()


@dataclass(frozen=True)
class Pair:
    """What both sides of one router saw of an exchange, in order.

    ``public``: the router's address outside. ``whole``: packets are those of the wire; else their headers
    were put together, and only addresses, ports and payloads mean something.
    """

    crossings: tuple[Crossing, ...]
    public: str = PUBLIC_IP
    whole: bool = True

    @property
    def conversations(self) -> tuple[str, ...]:
        """The names of the conversations, in order of their first packets."""
        return tuple(dict.fromkeys(each.conversation for each in self.crossings))

    def only(self, conversations: Sequence[str]) -> Pair:
        """The crossings of some of the conversations."""
        wanted = frozenset(conversations)
        return replace(self, crossings=tuple(each for each in self.crossings if each.conversation in wanted))


def play(script: Script, gateway: Gateway) -> Pair:
    """Send a script's packets through a gateway. Never raises, whatever the model does."""
    if script.public != gateway.nat.public_ip:
        script = script.moved({script.public: gateway.nat.public_ip})
    ports = PublicPorts(script.public)
    crossings = []
    for now, conversation, step in script.steps():
        packet = ports.addressed(step.packet, conversation)
        emissions = gateway.handle(packet, step.side, now)
        left = tuple(Departure(each.side, each.packet) for each in emissions if each.side is not None)
        if step.side is Side.INSIDE:
            ports.learn(packet, left)
        crossings.append(Crossing(now, conversation.name, step.side, packet, left))
    return Pair(tuple(crossings), script.public)


def replay(pair: Pair, gateway: Gateway) -> Pair:
    """Send what entered one router through another: the same bytes at the same times.

    Where the first one's packets show public ports that the second has not yet given to anybody, it takes
    these: how a NAT chooses is not what is compared.
    """
    ports = PublicPorts(pair.public)
    gateway.nat.suggest = ports.suggested
    crossings = []
    for each in pair.crossings:
        ports.learn(each.packet, each.left)
        emissions = gateway.handle(each.packet, each.side, each.at)
        left = tuple(Departure(row.side, row.packet) for row in emissions if row.side is not None)
        crossings.append(each._replace(left=left))
    gateway.nat.suggest = None
    return replace(pair, crossings=tuple(crossings))


# -- public ports --------------------------------------------------------------------------------------


class PublicPorts:
    """What somebody outside knows of the ports of a NAT whose address is ``public``."""

    def __init__(self, public: str) -> None:
        self._public = public
        self._seen: dict[tuple[int, Endpoint], int] = {}  # protocol and inside endpoint
        self._written: dict[Endpoint, int] = {}
        self._latest: dict[Endpoint, int] = {}  # of the packet learnt last; the host may be empty: any

    def learn(self, packet: bytes, left: Sequence[Departure]) -> None:
        """A packet went out, and that is what left."""
        self._latest = {}
        sent = _parsed(packet)
        if sent is None:
            return
        for each in left:
            arrived = _parsed(each.packet)
            if each.side is not Side.OUTSIDE or arrived is None or arrived.src != self._public:
                continue
            for inside, public in self._written_ports(sent, arrived.payload):
                self._written[inside] = self._latest[inside] = public
            if not sent.is_fragment:
                self._seen[sent.protocol, sent.source] = self._latest[sent.source] = arrived.sport

    def suggested(self, protocol: int, inside: Endpoint, now: float, pair: bool) -> tuple[int]:
        """The public port that an inside endpoint became in the packet learnt last, 0 for none."""
        return (self._latest.get(inside, 0) or self._latest.get(Endpoint("", inside.port), 0),)

    def of(self, protocol: int, inside: Endpoint) -> int:
        """The public port at which an inside endpoint is reached, as far as one can know."""
        seen = self._seen.get((protocol, inside))
        return seen if seen is not None else self._written.get(inside, inside.port)

    def addressed(self, packet: bytes, conversation: Conversation) -> bytes:
        """A packet for the public address, with the ports that the NAT has chosen."""
        parsed = _parsed(packet)
        if parsed is None or parsed.dst != self._public or parsed.is_fragment:
            return packet
        chosen = {port: self.of(parsed.protocol, inside) for port, inside in conversation.ports.items()}
        changed = {old: new for old, new in chosen.items() if old != new}
        if not changed:
            return packet
        payload = parsed.payload
        if any(b"%d" % old in payload for old in changed):
            names = b"|".join(b"%d" % old for old in changed)
            payload = _rewritten(
                payload,
                re.compile(rb"(?<![\d.])(?:%b)(?![\d.])" % names),
                {b"%d" % old: b"%d" % new for old, new in changed.items()},
            )
        return bytes(parsed.with_(dport=chosen.get(parsed.dport, parsed.dport), payload=payload))

    def _written_ports(self, sent: Packet, arrived: bytes) -> Iterator[tuple[Endpoint, int]]:
        """Inside endpoints that a message names, and the public ports that the router wrote instead."""
        before, after = _MEDIA.findall(sent.payload), _MEDIA.findall(arrived)
        if len(before) == len(after):
            for was, became in zip(before, after, strict=True):
                yield from self._pair(sent.src, was, became)
                yield from self._pair("", was, became)  # the description may be another host's
        hosts, others = _HOST.findall(sent.payload), _HOST.findall(arrived)
        if len(hosts) == len(others):
            for (host, was), (other, became) in zip(hosts, others, strict=True):
                if other == self._public.encode() and became:
                    yield from self._pair(host.decode(), was or b"5060", became)

    def _pair(self, inside: str, was: bytes, became: bytes) -> Iterator[tuple[Endpoint, int]]:
        if 0 < int(was) < 65536 and 0 < int(became) < 65536:
            yield Endpoint(inside, int(was)), int(became)


# -- addresses -----------------------------------------------------------------------------------------


class _Readdressing:
    """Other addresses in packets and in what they carry."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = {old: new for old, new in addresses.items() if old != new}
        self._texts = {old.encode(): new.encode() for old, new in self._addresses.items()}
        names = b"|".join(re.escape(each) for each in self._texts)
        self._pattern = re.compile(rb"(?<![\d.])(?:%b)(?!\.?\d)" % names)

    def packet(self, packet: bytes) -> bytes:
        parsed = _parsed(packet)
        if parsed is None or not self._addresses:
            return packet
        payload = parsed.payload
        if not parsed.is_fragment and parsed.protocol in (ip.UDP, ip.TCP):
            payload = _rewritten(payload, self._pattern, self._texts)
        src, dst = (self._addresses.get(each, each) for each in (parsed.src, parsed.dst))
        return bytes(parsed.with_(src=src, dst=dst, payload=payload))


def _rewritten(payload: bytes, pattern: re.Pattern[bytes], new: Mapping[bytes, bytes]) -> bytes:
    """A payload with other texts. A Content-Length stays right, or as wrong as it was."""
    changed = pattern.sub(lambda found: new[found[0]], payload)
    head, empty, body = changed.partition(b"\r\n\r\n")
    grown = len(body) - len(payload.partition(b"\r\n\r\n")[2])
    if not grown:
        return changed
    head = _LENGTH.sub(lambda found: found[1] + b"%d" % max(0, int(found[2]) + grown), head)
    return head + empty + body


def _parsed(packet: bytes) -> Packet | None:
    try:
        return ip.parse(packet)
    except MalformedPacketError:
        return None
