"""What a router was seen to do: each packet that entered it, and what left it for that.

The rules of this file:

- A *session* is a row of observations of one router from its start, in the order of their times. It may
  come from captures of both sides, from a trace, or from a row of packets that were sent through a router:
  learning asks no more than that.
- What left is compared without what every router changes (TTL, checksums) and without what says nothing
  of SIP (IP options, Identification).
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from siplab.experiments.captures.pairing import Pairing, pair
from siplab.experiments.captures.reading import Capture
from siplab.lab.errors import UsageError
from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.wire.rtp import unpack_rtp
from siplab.lab.worlds.trace import Passage, Remark, Trace, WorldEvent

_LATE = 2.0  # seconds after a packet entered in which what became of it leaves
_EARLY = 0.2  # seconds by which clocks may be wrong
_MEDIA_PACKETS = 3  # of a flow that count in any case
_MEDIA_EVERY = 10.0  # seconds after which the next one does


class Left(NamedTuple):
    """A packet that left the router. ``sound``: its checksums are right, or were wrong when it entered."""

    side: Side
    protocol: int
    source: Endpoint
    destination: Endpoint
    payload: bytes
    sound: bool = True


class Observation(NamedTuple):
    """``packet`` entered on ``side`` at ``now`` (seconds), and ``left`` came of it.

    ``side`` is ``None`` where the router lost all that it knew.
    """

    now: float
    side: Side | None
    packet: bytes
    left: tuple[Left, ...]


Session = Sequence[Observation]


@dataclass(frozen=True)
class Place:
    """Where the observed router stands: its outside address, the networks behind it, its addresses there."""

    public_ip: str
    inside_networks: tuple[str, ...]
    inside_addresses: tuple[str, ...] = ()


def left_of(packets: Iterable[tuple[Side, bytes]], entered_sound: bool) -> tuple[Left, ...]:
    """What left, fragments put together."""
    found = []
    fragments = Reassembler()
    for side, data in packets:
        try:
            packet = ip.parse(data)
            if packet.is_fragment:
                whole = fragments.add(packet, data, 0.0)
                if whole is None:
                    continue
                data, packet = whole, ip.parse(whole)
        except MalformedPacketError:
            continue
        sound = not entered_sound or not ip.verify(data)
        found.append(Left(side, packet.protocol, packet.source, packet.destination, packet.payload, sound))
    return tuple(found)


def observation(now: float, side: Side, packet: bytes, left: Iterable[tuple[Side, bytes]]) -> Observation:
    """One packet and what came of it."""
    return Observation(now, side, packet, left_of(left, not ip.verify(packet)))


def from_trace(trace: Trace, gateway: str = "router") -> Session:
    """The session of a trial's router."""
    found = []
    thinned = _Thinned()
    for record in trace:
        if isinstance(record, Remark) and record.kind is WorldEvent.REBOOTED and record.who == gateway:
            found.append(Observation(record.now, None, b"", ()))
        elif isinstance(record, Remark) and record.kind is WorldEvent.RENUMBERED and record.who == gateway:
            break  # what is learned is learned of one public address
        elif isinstance(record, Passage) and record.gateway == gateway:
            if not thinned.keeps(record.now, record.packet):
                continue
            left = [(each.side, each.packet) for each in record.emissions if each.side is not None]
            found.append(observation(record.now, record.side, record.packet, left))
    return found


class _Thinned:
    """Which packets count: of media a few of each flow, which keep the NAT's state as all would."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()
        self._latest: dict[bytes, float] = {}

    def keeps(self, now: float, packet: bytes) -> bool:
        if packet[0] != 0x45 or packet[9] != ip.UDP or unpack_rtp(packet[28:40]) is None:
            return True
        flow = packet[12:24]
        self._counts[flow] += 1
        if self._counts[flow] > _MEDIA_PACKETS and now - self._latest[flow] < _MEDIA_EVERY:
            return False
        self._latest[flow] = now
        return True


# -- captures ------------------------------------------------------------------------------------


class _Event(NamedTuple):
    now: float
    side: Side
    enters: bool
    packet: bytes


def from_captures(inside: Capture, outside: Capture) -> tuple[Place, Session]:
    """The session that captures of both sides show. Raises ``UsageError`` where they show none."""
    pairing = pair(inside.messages, outside.messages)
    if not pairing.pairs:
        raise UsageError(
            f"{inside.path}, {outside.path}: no SIP message is in both captures: "
            "capture the same calls on both sides of the router"
        )
    place = _place(pairing)
    behind = {network.rpartition(".")[0] for network in place.inside_networks}
    offset = pairing.offset or 0.0
    events = []
    for side, capture in ((Side.INSIDE, inside), (Side.OUTSIDE, outside)):
        for now, _, data in capture.packets:
            packet = ip.parse(data)
            if not packet.transport:
                continue
            here, there = (
                (each.rpartition(".")[0] in behind if side is Side.INSIDE else each == place.public_ip)
                for each in (packet.src, packet.dst)
            )
            if here is not there:
                ahead = offset if side is Side.OUTSIDE else 0.0
                enters = here if side is Side.INSIDE else there
                events.append(_Event(now - ahead, side, enters, data))
    return place, _joined(sorted(events, key=lambda each: each.now), pairing)


def _place(pairing: Pairing) -> Place:
    flows = Counter(
        (each.sent.datagram.source.ip, each.came.datagram.source.ip)
        if each.sent.outbound
        else (each.came.datagram.destination.ip, each.sent.datagram.destination.ip)
        for each in pairing.pairs
    )
    public = Counter(outside for _, outside in flows.elements()).most_common(1)[0][0]
    hosts = {inside for inside, outside in flows if outside == public and inside != public}
    if not hosts or ":" in public:
        raise UsageError(
            "the captures are of a router that translates no IPv4 addresses: there is nothing to learn a "
            "model from; siplab compare-captures says what it changes"
        )
    prefixes = sorted({host.rpartition(".")[0] for host in hosts})
    return Place(public, tuple(f"{each}.0/24" for each in prefixes), tuple(f"{each}.1" for each in prefixes))


def _joined(events: Sequence[_Event], pairing: Pairing) -> Session:
    """Each packet that entered with what left for it, by what both say and when."""
    became: dict[tuple[bool, bytes], set[bytes]] = defaultdict(set)
    for pair_ in pairing.pairs:
        became[pair_.sent.outbound, pair_.sent.payload].add(pair_.came.payload)
    waiting: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, each in enumerate(events):
        if not each.enters:
            waiting[_far_end(each)].append(number)
    cause: dict[int, int] = {}  # of what left: what entered for it
    for number, each in enumerate(events):
        if each.enters:
            free = [other for other in waiting[_far_end(each)] if other not in cause]
            for other in _its(each, free, events, became):
                cause[other] = number
    left: dict[int, list[tuple[Side, bytes]]] = {}
    latest: dict[Side, int] = {}
    for number in _in_order(events, cause):
        each = events[number]
        if each.enters:
            left[number] = []
            latest[each.side] = number
            continue
        # What nothing entered for, the router itself sent back to whom it heard last there.
        origin = cause.get(number, latest.get(each.side, -1))
        if origin in left and (number in cause or each.now - events[origin].now <= _LATE):
            left[origin].append((each.side, each.packet))
    thinned = _Thinned()
    return [
        observation(events[number].now, events[number].side, events[number].packet, its)
        for number, its in left.items()
        if thinned.keeps(events[number].now, events[number].packet)
    ]


def _in_order(events: Sequence[_Event], cause: dict[int, int]) -> Iterator[int]:
    """The events by time, as far as clocks agree: nothing leaves before what it is of has entered."""
    queues = [deque(number for number, each in enumerate(events) if each.side is side) for side in Side]
    taken: set[int] = set()
    while any(queues):
        heads = [queue for queue in queues if queue]
        ready = [queue for queue in heads if cause.get(queue[0], -1) in taken or queue[0] not in cause]
        queue = min(ready or heads, key=lambda queue: events[queue[0]].now)
        taken.add(queue[0])
        yield queue.popleft()


def _far_end(event: _Event) -> tuple[object, ...]:
    """What no NAT changes: where a packet is going, and who on the outside it is from or for."""
    packet = ip.parse(event.packet)
    outbound = (event.side is Side.INSIDE) is event.enters
    return outbound, packet.protocol, packet.destination if outbound else packet.source


def _its(
    entering: _Event,
    candidates: Sequence[int],
    leaving: Sequence[_Event],
    became: dict[tuple[bool, bytes], set[bytes]],
) -> list[int]:
    """The packet that left for this one, if one did: the same payload, or the message that it became."""
    payload = ip.parse(entering.packet).payload
    outbound = entering.side is Side.INSIDE
    wanted = became.get((outbound, payload)) or {payload}
    for number in candidates:
        each = leaving[number]
        if each.side is not entering.side and -_EARLY <= each.now - entering.now <= _LATE:
            found = ip.parse(each.packet)
            if found.payload in wanted or (found.protocol == ip.TCP and found.payload and payload):
                return [number]
    return []
