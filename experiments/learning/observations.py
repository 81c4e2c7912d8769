"""Makes a ``Pair``, what a router was seen to do, from captures of both its sides or from a trace."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from siplab.experiments.captures.pairing import Pairing, pair
from siplab.experiments.captures.reading import Capture
from siplab.lab.errors import UsageError
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.wire.rtp import unpack_rtp
from siplab.lab.worlds.pair import PUBLIC_IP, Crossing, Departure, Pair, departures
from siplab.lab.worlds.trace import Passage, Remark, Trace, WorldEvent

_LATE = 2.0  # seconds: later than this after a packet entered, nothing that leaves is due to it
_EARLY = 0.2  # seconds that the two captures' clocks may differ
_MEDIA_PACKETS = 3  # so many of each flow count in any case
_MEDIA_EVERY = 10.0  # seconds; after these, the flow's next packet counts too


@dataclass(frozen=True)
class Place:
    """Where the observed router stands: its outside address, its inside networks and addresses."""

    public_ip: str
    inside_networks: tuple[str, ...]
    inside_addresses: tuple[str, ...] = ()


def place_of(pairs: Sequence[Pair]) -> Place:
    """Work out from its packets where a router stands. Hosts whose address it translated are inside.

    If it translated none, all hosts that sent something inside count. Each inside network is assumed to be a
    /24 whose first address is the router's.
    """
    every: set[str] = set()
    translated: set[str] = set()
    for each in pairs:
        for crossing, left in zip(each.crossings, each.arrivals, strict=True):
            if crossing.side is not Side.INSIDE or crossing.packet[0] >> 4 != 4:
                continue
            try:
                source = ip.parse(crossing.packet).src
            except MalformedPacketError:
                continue
            every.add(source)
            if any(row.side is Side.OUTSIDE and row.source.ip == each.public != source for row in left):
                translated.add(source)
    prefixes = sorted({host.rpartition(".")[0] for host in translated or every})
    return Place(
        pairs[0].public, tuple(f"{each}.0/24" for each in prefixes), tuple(f"{each}.1" for each in prefixes)
    )


def from_trace(trace: Trace, gateway: str = "router", public: str = PUBLIC_IP) -> list[Pair]:
    """What a trial's router did, up to a change of its public address. After a reboot a new pair begins."""
    pairs: list[list[Crossing]] = [[]]
    thinned = _Thinned()
    for record in trace:
        if isinstance(record, Remark) and record.kind is WorldEvent.REBOOTED and record.who == gateway:
            pairs.append([])
        elif isinstance(record, Remark) and record.kind is WorldEvent.RENUMBERED and record.who == gateway:
            break  # a model is learnt for one public address
        elif (
            isinstance(record, Passage)
            and record.gateway == gateway
            and thinned.keeps(record.now, record.packet)
        ):
            left = departures(record.emissions)
            pairs[-1].append(Crossing(record.now, "", record.side, record.packet, left))
    return [Pair(tuple(each), public) for each in pairs if each]


class _Thinned:
    """Which packets count. Of each media flow a few do, enough to keep the NAT's state as all would."""

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


def from_captures(inside: Capture, outside: Capture) -> Pair:
    """What captures of both sides show.

    Raises ``UsageError`` if no SIP message is in both, or if the router translates no IPv4 address.
    """
    pairing = pair(inside.messages, outside.messages)
    if not pairing.pairs:
        raise UsageError(
            f"{inside.path}, {outside.path}: no SIP message is in both captures: "
            "capture the same calls on both sides of the router"
        )
    public, behind = _addresses(pairing)
    offset = pairing.offset or 0.0
    events = []
    for side, capture in ((Side.INSIDE, inside), (Side.OUTSIDE, outside)):
        for now, _, data in capture.packets:
            packet = ip.parse(data)
            if not packet.transport:
                continue
            here, there = (
                (each.rpartition(".")[0] in behind if side is Side.INSIDE else each == public)
                for each in (packet.src, packet.dst)
            )
            if here is not there:
                ahead = offset if side is Side.OUTSIDE else 0.0
                enters = here if side is Side.INSIDE else there
                events.append(_Event(now - ahead, side, enters, data))
    crossings = _joined(sorted(events, key=lambda each: each.now), pairing)
    return Pair(tuple(_from_zero(crossings)), public)


def _from_zero(crossings: Sequence[Crossing]) -> Iterator[Crossing]:
    """The same, with times that begin at 0."""
    begin = min((each.at for each in crossings), default=0.0)
    for each in crossings:
        yield each._replace(at=each.at - begin)


def _addresses(pairing: Pairing) -> tuple[str, set[str]]:
    """The router's address outside, and the prefixes (three numbers) of the networks behind it."""
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
    return public, {host.rpartition(".")[0] for host in hosts}


def _joined(events: Sequence[_Event], pairing: Pairing) -> list[Crossing]:
    """Each packet that entered, with what left because of it: payloads and times match them."""
    became: dict[tuple[bool, bytes], set[bytes]] = defaultdict(set)
    for pair_ in pairing.pairs:
        became[pair_.sent.outbound, pair_.sent.payload].add(pair_.came.payload)
    # A retransmission may leave with other ports than the first transmission.
    first = {(each.came.kind, each.came.number, each.came.marks): each.sent for each in pairing.pairs}
    for each in pairing.strange:
        sent = first.get((each.kind, each.number, each.marks))
        if sent is not None:
            became[sent.outbound, sent.payload].add(each.payload)
    waiting: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, event in enumerate(events):
        if not event.enters:
            waiting[_far_end(event)].append(number)
    cause: dict[int, int] = {}  # number of a packet that left: number of the packet that entered for it
    for number, event in enumerate(events):
        if event.enters:
            free = [other for other in waiting[_far_end(event)] if other not in cause]
            for other in _its(event, free, events, became):
                cause[other] = number
    left: dict[int, list[Departure]] = {}
    latest: dict[Side, int] = {}
    for number in _in_order(events, cause):
        event = events[number]
        if event.enters:
            left[number] = []
            latest[event.side] = number
            continue
        # If no packet entered for this one, the router made it: an answer to the latest sender on that side.
        origin = cause.get(number, latest.get(event.side, -1))
        if origin in left and (number in cause or event.now - events[origin].now <= _LATE):
            left[origin].append(Departure(event.side, event.packet))
    thinned = _Thinned()
    return [
        Crossing(events[number].now, "", events[number].side, events[number].packet, tuple(its))
        for number, its in left.items()
        if thinned.keeps(events[number].now, events[number].packet)
    ]


def _in_order(events: Sequence[_Event], cause: dict[int, int]) -> Iterator[int]:
    """The events by time. As clocks may disagree, each packet leaves after the one that caused it."""
    queues = [deque(number for number, each in enumerate(events) if each.side is side) for side in Side]
    taken: set[int] = set()
    while any(queues):
        heads = [queue for queue in queues if queue]
        ready = [queue for queue in heads if cause.get(queue[0], -1) in taken or queue[0] not in cause]
        queue = min(ready or heads, key=lambda queue: events[queue[0]].now)
        taken.add(queue[0])
        yield queue.popleft()


def _far_end(event: _Event) -> tuple[object, ...]:
    """What no NAT changes: the direction, the protocol, and the outside peer's endpoint."""
    packet = ip.parse(event.packet)
    outbound = (event.side is Side.INSIDE) is event.enters
    return outbound, packet.protocol, packet.destination if outbound else packet.source


def _its(
    entering: _Event,
    candidates: Sequence[int],
    leaving: Sequence[_Event],
    became: dict[tuple[bool, bytes], set[bytes]],
) -> list[int]:
    """The packet that left for this one, or none. It has the same payload, or that of the changed message."""
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
