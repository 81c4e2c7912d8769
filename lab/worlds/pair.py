"""What a router was seen to do: each packet that entered it, and all packets that left it in consequence.

The rules of this file:

- A ``Pair`` is what both sides of one router saw since the router started, in the order of time. It may come
  from packets that were sent through it, from captures of both sides, or from a trace.
- Packets that left are compared as they arrive: without what every router changes (TTL, checksums), and
  without what says nothing of SIP (IP options, Identification). The fragments that left for one packet are
  put together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError, Packet
from siplab.lab.worlds.written_ports import Written, written_ports

PUBLIC_IP: Final = "203.0.113.7"
_NUMBERS: Final = re.compile(rb"\d{1,5}")
_MANY: Final = 6  # more conversations than this that name one port
_UNUSED: Final = range(10001, 20000)


class Departure(NamedTuple):
    """A packet that left the router, and where."""

    side: Side
    packet: bytes


class Crossing(NamedTuple):
    """A packet that entered the router, and all packets that left before the next one entered.

    ``at``: seconds after the exchange began. ``conversation``: the name of the packet's conversation.
    """

    at: float
    conversation: str
    side: Side
    packet: bytes
    left: tuple[Departure, ...] = ()


class Arrival(NamedTuple):
    """A packet that left the router, without the fields that every hop changes.

    ``numbers``: sequence numbers and flags of TCP, or identification and offset of a fragment. ``sound``: its
    checksums are right, or were wrong already when the packet entered.
    """

    side: Side
    protocol: int
    source: Endpoint
    destination: Endpoint
    payload: bytes
    numbers: tuple[int, ...] = ()
    sound: bool = True


@dataclass(frozen=True)
class Pair:
    """What both sides of one router saw of an exchange, in order.

    ``public``: the router's address outside. ``whole``: the packets are those of the wire. If not, their
    headers were made up, and only addresses, ports and payloads mean something.
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

    @cached_property
    def arrivals(self) -> tuple[tuple[Arrival, ...], ...]:
        """For each crossing, what arrives of it."""
        return tuple(arrivals(each, whole=self.whole) for each in self.crossings)

    @cached_property
    def ports_used(self) -> dict[tuple[int, Endpoint], list[tuple[float, int]]]:
        """By protocol and inside endpoint: when (seconds) packets left from it, and by which public port."""
        found: dict[tuple[int, Endpoint], list[tuple[float, int]]] = {}
        for each, left in zip(self.crossings, self.arrivals, strict=True):
            public = [row for row in left if row.side is Side.OUTSIDE and row.source.ip == self.public]
            if each.side is not Side.INSIDE or not public:
                continue
            try:
                sent = ip.parse(each.packet)
            except MalformedPacketError:
                continue
            for row in public if not sent.is_fragment else ():
                found.setdefault((row.protocol, sent.source), []).append((each.at, row.source.port))
        return found

    @cached_property
    def written(self) -> tuple[tuple[Written, ...], ...]:
        """For each crossing, the public ports that the router wrote into what left for the outside."""
        found = []
        for each, left in zip(self.crossings, self.arrivals, strict=True):
            texts = [row.payload for row in left if row.side is Side.OUTSIDE is not each.side]
            try:
                sent = ip.parse(each.packet)
            except MalformedPacketError:
                texts = []
            found.append(tuple(one for text in texts for one in written_ports(sent, text, self.public)))
        return tuple(found)

    @cached_property
    def written_for(self) -> dict[Endpoint, list[tuple[float, Written]]]:
        """By inside endpoint: what the router wrote in its place, and when (seconds)."""
        found: dict[Endpoint, list[tuple[float, Written]]] = {}
        for each, ports in zip(self.crossings, self.written, strict=True):
            for one in ports:
                found.setdefault(one.inside, []).append((each.at, one))
        return found

    @cached_property
    def before(self) -> dict[str, frozenset[str]]:
        """By conversation: the earlier ones that name the inside or public ports that it uses.

        If many conversations name a port, only the first of them counts.
        """
        speaking: dict[int, list[str]] = {}
        found: dict[str, set[str]] = {}
        for each, left in zip(self.crossings, self.arrivals, strict=True):
            try:
                entered = ip.parse(each.packet)
            except MalformedPacketError:
                continue
            port = entered.sport if each.side is Side.INSIDE else entered.dport
            those = speaking.get(port, [])
            found.setdefault(each.conversation, set()).update(those[: 1 if len(those) > _MANY else None])
            for text in (entered.payload, *(row.payload for row in left)):
                for number in _NUMBERS.findall(text):
                    names = speaking.setdefault(int(number), [])
                    if len(names) <= _MANY and each.conversation not in names:
                        names.append(each.conversation)
        return {name: frozenset(names) for name, names in found.items()}

    @cached_property
    def keeps_ports(self) -> bool:
        """Whether most inside endpoints keep their port outside (port preservation), as far as seen."""
        kept = [uses[0][1] == inside.port for (_, inside), uses in self.ports_used.items()]
        return 2 * sum(kept) >= len(kept)

    @cached_property
    def unused_ports(self) -> tuple[int, ...]:
        """Public ports that appear nowhere in the exchange."""
        named = {int(found) for each in self.crossings for found in _NUMBERS.findall(each.packet)}
        for left in self.arrivals:
            for row in left:
                named |= {row.source.port, row.destination.port, *map(int, _NUMBERS.findall(row.payload))}
        return tuple(port for port in _UNUSED if port not in named)


def departures(emissions: Iterable[Emission]) -> tuple[Departure, ...]:
    """The packets that leave a gateway, of its emissions."""
    return tuple(Departure(each.side, each.packet) for each in emissions if each.side is not None)


def arrivals(crossing: Crossing, *, whole: bool = True) -> tuple[Arrival, ...]:
    """What arrives of the packets that left for a crossing.

    ``whole``: include the numbers of TCP and fragments, and packets with a wrong checksum. Sockets show none
    of these.
    """
    if not crossing.left:
        return ()
    entered_sound = not ip.verify(crossing.packet)
    found = []
    for side, data, packet in _put_together(crossing.left):
        sound = not entered_sound or not ip.verify(data)
        if not (sound or whole):
            continue
        numbers: tuple[int, ...] = ()
        if whole and packet.is_fragment:
            numbers = (packet.identification, packet.fragment_offset)
        elif whole and packet.protocol == ip.TCP and packet.transport:
            numbers = (packet.seq, packet.ack, packet.flags)
        ends = packet.source, packet.destination
        found.append(Arrival(side, packet.protocol, *ends, packet.payload, numbers, sound))
    return tuple(found)


def _put_together(left: Iterable[Departure]) -> Iterator[tuple[Side, bytes, Packet]]:
    """The packets that can be parsed. Fragments are put together; incomplete ones come last."""
    fragments = Reassembler()
    waiting: dict[tuple[str, str, int, int], list[tuple[Side, bytes, Packet]]] = {}
    for side, data in left:
        try:
            packet = ip.parse(data)
            if packet.is_fragment:
                key = (packet.src, packet.dst, packet.protocol, packet.identification)
                waiting.setdefault(key, []).append((side, data, packet))
                whole = fragments.add(packet, data, 0.0)
                if whole is None:
                    continue
                del waiting[key]
                data, packet = whole, ip.parse(whole)
        except MalformedPacketError:
            continue
        yield side, data, packet
    for rows in waiting.values():
        yield from rows
