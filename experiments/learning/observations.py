"""What a router was seen to do, as a ``Pair``: from captures of both its sides, or from a trace."""

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

_LATE = 2.0  # seconds after a packet entered in which what became of it leaves
_EARLY = 0.2  # seconds by which clocks may be wrong
_MEDIA_PACKETS = 3  # of a flow that count in any case
_MEDIA_EVERY = 10.0  # seconds after which the next one does


@dataclass(frozen=True)
class Place:
    """Where the observed router stands: its outside address, the networks behind it, its addresses there."""

    public_ip: str
    inside_networks: tuple[str, ...]
    inside_addresses: tuple[str, ...] = ()


def place_of(pairs: Sequence[Pair]) -> Place:
    """Where a router stands, as its packets tell: behind it are those whose address it translated.

    Where it translated none, all that sent something inside are. An inside network is taken for one of 256
    addresses of which the router has the first.
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
    """What a trial's router did. What follows a reboot is a pair of its own."""
    pairs: list[list[Crossing]] = [[]]
    thinned = _Thinned()
    for record in trace:
        if isinstance(record, Remark) and record.kind is WorldEvent.REBOOTED and record.who == gateway:
            pairs.append([])
        elif isinstance(record, Remark) and record.kind is WorldEvent.RENUMBERED and record.who == gateway:
            break  # what is learned is learned of one public address
        elif (
            isinstance(record, Passage)
            and record.gateway == gateway
            and thinned.keeps(record.now, record.packet)
        ):
            left = departures(record.emissions)
            pairs[-1].append(Crossing(record.now, "", record.side, record.packet, left))
    return [Pair(tuple(each), public) for each in pairs if each]


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


def from_captures(inside: Capture, outside: Capture) -> Pair:
    """What captures of both sides show. Raises ``UsageError`` where they show nothing."""
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
    """With times that begin with the exchange."""
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
    """Each packet that entered with what left for it, by what both say and when."""
    became: dict[tuple[bool, bytes], set[bytes]] = defaultdict(set)
    for pair_ in pairing.pairs:
        became[pair_.sent.outbound, pair_.sent.payload].add(pair_.came.payload)
    # A retransmission may leave otherwise than the first one did: with other ports.
    first = {(each.came.kind, each.came.number, each.came.marks): each.sent for each in pairing.pairs}
    for each in pairing.strange:
        sent = first.get((each.kind, each.number, each.marks))
        if sent is not None:
            became[sent.outbound, sent.payload].add(each.payload)
    waiting: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, event in enumerate(events):
        if not event.enters:
            waiting[_far_end(event)].append(number)
    cause: dict[int, int] = {}  # of what left: what entered for it
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
        # What nothing entered for, the router itself sent back to whom it heard last there.
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
