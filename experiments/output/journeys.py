"""Follows each packet of a trial from its sender to its receiver, or to where it ended.

A trace has a record per tap. A *journey* joins the records of one packet, so that a ladder can draw it as one
row.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from siplab.experiments.output.changes import Change, change_of
from siplab.experiments.output.fates import ending, words
from siplab.experiments.trial.entries import Entries
from siplab.lab.gateway.sides import Emission
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.wire.labels import label_of
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.network import MAX_HOPS, Network
from siplab.lab.worlds.trace import (
    LossReason,
    Lost,
    Noted,
    Passage,
    Received,
    Remark,
    Segment,
    Sent,
    SkippedPackets,
    Trace,
    WorldEvent,
)


@dataclass
class Journey:
    """One packet from its sender to where it ended."""

    now: float
    path: list[str]  # the nodes that it reached, in order
    label: str
    is_signalling: bool
    bound_for: str = ""  # the destination address, as last translated
    aim: str = ""  # the node that the sender addressed
    again: bool = False
    ended: bool = False
    failed: bool = False  # it ended where it should not have
    failure: str = ""  # why, in words
    lost: LossReason | None = None  # why, if it was not lost at a gateway
    ending: Emission | None = None  # what the gateway did with it where it ended
    fell_short: bool = False  # it ended after the last node of the path, before reaching another one
    notes: list[str] = field(default_factory=list)
    changes: dict[str, Change | None] = field(default_factory=dict)  # by gateway; None: can't be determined
    numbers: dict[str, int] = field(default_factory=dict)  # of these changes
    order: int = 0  # of its first record in the trace
    sent: ip.Packet | None = None  # as its sender made it
    left: ip.Packet | None = None  # as it left the last gateway
    received: bool = False  # by an agent of the lab
    more: int = 0  # further packets of the same flow, handled alike
    until: float = 0.0  # when the last of these was to be sent
    heard: list[Noted] = field(default_factory=list)  # what the receiver noted about it

    def pass_by(self, node: str) -> None:
        if self.path[-1] != node:
            self.path.append(node)

    def fail(self, why: str, node: str | None) -> None:
        """Note that it ended at ``node``, or somewhere after the last node that it reached."""
        self.ended = self.failed = True
        self.failure = self.failure or why
        self.notes.append(f"X {why}")
        if node is None:
            self.fell_short = True
        else:
            self.pass_by(node)


PacketKey = tuple[int, Endpoint, Endpoint, bytes]


class _Tracker:
    """Follows packets through the records of a trace, by their addresses and contents."""

    def __init__(self, network: Network) -> None:
        self.journeys: list[Journey] = []
        self._network = network
        self._shown = frozenset(network.topology.hosts) | network.gateways
        self._under_way: dict[PacketKey, deque[Journey]] = {}
        self._last: dict[tuple[Endpoint, Endpoint], Journey] = {}  # by source and destination, as sent
        self._ended: dict[tuple[Endpoint, Endpoint], Journey] = {}  # the same, but none that a network lost
        self._entries = Entries()
        self._sent: set[tuple[str, Endpoint, bytes]] = set()
        self._just_received: tuple[Received | Segment, Journey] | None = None
        self.order = 0  # of the current record

    def _start(self, now: float, node: str, packet: ip.Packet) -> Journey:
        label, is_signalling = _label(packet)
        journey = Journey(now, [node], label, is_signalling, packet.dst, self._owner(packet.dst, node))
        journey.order, journey.sent, journey.left = self.order, packet, packet
        if is_signalling:
            fingerprint = (node, packet.destination, packet.payload)
            journey.again = fingerprint in self._sent
            self._sent.add(fingerprint)
        self._last[packet.source, packet.destination] = journey
        self.journeys.append(journey)
        return journey

    def _expect(self, journey: Journey, packet: ip.Packet) -> None:
        """From now on the journey's packet looks like this."""
        journey.bound_for = packet.dst
        self._under_way.setdefault(packet_key(packet), deque()).append(journey)

    def _find(self, packet: ip.Packet) -> Journey | None:
        waiting = self._under_way.get(packet_key(packet), deque())
        while waiting:
            journey = waiting.popleft()
            if not journey.ended:
                return journey
        return None

    def _owner(self, address: str, otherwise: str) -> str:
        node = self._network.addresses.get(address, otherwise)
        return node if node in self._shown else otherwise

    def _end_of_way(self, journey: Journey) -> str | None:
        """Where the packet arrives after the last node, unless a gateway is in between."""
        node = journey.path[-1]
        if node not in self._network.node_addresses:
            return None
        for _ in range(MAX_HOPS):
            hop = self._network.next_hop(node, journey.bound_for)
            if hop is None or (hop.side is not None and not hop.final):
                return None
            if hop.final:
                return hop.node if hop.node in self._shown else None
            node = hop.node
        return None

    # -- records -----------------------------------------------------------------------------------

    def sent(self, record: Sent) -> None:
        packet = _datagram(record.local, record.remote, record.payload)
        self._expect(self._start(record.now, record.host, packet), packet)

    def received(self, record: Received) -> None:
        self._arrived(record, _datagram(record.remote, record.local, record.payload))

    def segment(self, record: Segment) -> None:
        packet = ip.parse(record.packet)
        if record.leaving:
            self._expect(self._start(record.now, record.host, packet), packet)
        else:
            self._arrived(record, packet)

    def _arrived(self, record: Received | Segment, packet: ip.Packet) -> None:
        journey = self._find(packet)
        if journey is None:  # from a program that is not one of the lab's agents
            journey = self._start(record.now, self._owner(packet.src, record.host), packet)
        journey.pass_by(record.host)
        journey.ended = journey.received = True
        self._note_end(journey)
        self._just_received = record, journey

    def noted(self, record: Noted) -> None:
        """The receiver notes something about the packet that it just got."""
        if self._just_received is None:
            return
        received, journey = self._just_received
        if (received.host, received.now) == (record.host, record.now):
            journey.heard.append(record)

    def expect_no_more_notes(self) -> None:
        self._just_received = None

    def passage(self, record: Passage) -> None:
        gateway = record.gateway
        packet = self._entries.whole(record)
        if packet is None:
            if not any(each.fate.is_kept for each in record.emissions):
                self._unreadable(record.now, gateway, [words(each) for each in record.emissions])
            return
        journey = self._find(packet) or self._start(record.now, self._owner(packet.src, gateway), packet)
        journey.pass_by(gateway)
        onward = [each for each in record.emissions if each.side is not None and not each.originated]
        if not onward and any(each.fate.is_kept for each in record.emissions):
            journey.notes += [ending(gateway, each) for each in record.emissions]
            journey.ended = True
            self._note_end(journey)
        elif not onward:
            journey.ending = record.emissions[0]
            for each in record.emissions:
                journey.fail(ending(gateway, each), gateway)
            self._note_end(journey)
        for each in record.emissions:
            if onward and each is onward[0]:
                self._forward(journey, gateway, packet, each)
            elif each.side is not None:
                self._emit(record.now, gateway, each)

    def _forward(self, journey: Journey, gateway: str, packet: ip.Packet, emission: Emission) -> None:
        if said := words(emission):
            journey.notes.append(said)
        if emission.changed:
            journey.changes[gateway] = change_of(packet, emission)
        left = _parsed(emission.packet)
        if left is not None:
            journey.left = left
            self._expect(journey, left)

    def _emit(self, now: float, gateway: str, emission: Emission) -> None:
        packet = _parsed(emission.packet)
        if packet is not None:
            self._expect(self._start(now, gateway, packet), packet)

    def _unreadable(self, now: float, node: str, notes: list[str]) -> None:
        journey = Journey(now, [node], "bytes that are no packet", False)
        for note in notes:
            journey.fail(note, node)
        self.journeys.append(journey)

    def lost(self, record: Lost) -> None:
        packet = _parsed(record.packet)
        if packet is None:
            self._unreadable(record.now, record.node, [f"lost at {record.node}: {record.detail}"])
            return
        why = f"lost at {record.node}, bound for {packet.destination}: {record.detail}"
        journey = self._find(packet) or self._start(record.now, self._owner(packet.src, record.node), packet)
        journey.lost = record.reason
        here = record.node in self._shown and record.node not in journey.path
        journey.fail(why, record.node if here else None)
        if record.reason is not LossReason.LINK:
            self._note_end(journey)

    def _note_end(self, journey: Journey) -> None:
        if journey.sent is not None:
            self._ended[journey.sent.source, journey.sent.destination] = journey

    def skipped(self, record: SkippedPackets) -> None:
        flow = record.local, record.remote
        impaired = record.network or record.as_arrived
        journey = (self._ended if impaired else self._last).get(flow)
        if journey is None:
            return
        journey.more += record.packets - len(record.lost)
        journey.until = record.until
        if record.lost:
            self.journeys.append(_lost_ones(journey, record, self.order))

    def remark(self, record: Remark) -> None:
        if record.kind is WorldEvent.UNREACHABLE and record.local and record.remote:
            journey = self._last.get((record.local, record.remote))
            if journey is not None and (journey.failed or not journey.ended):
                if not journey.failed:  # otherwise the reason is known already
                    node = self._end_of_way(journey)
                    journey.fail(f"{record.remote} is unreachable (ICMP)", node)
                return
        text = f"{record.who}: {record.kind}: {record.detail}"
        self.journeys.append(Journey(record.now, [], text, True, ended=True))

    def finish(self) -> None:
        """Packets that no agent of the lab received went to the owner of the address."""
        for journey in self.journeys:
            if not journey.ended:
                node = self._end_of_way(journey)
                journey.fell_short = node is None
                if node is not None:
                    journey.pass_by(node)


def journeys_of(trace: Trace, network: Network) -> list[Journey]:
    """The journeys of a trace, in the order in which they began."""
    tracker = _Tracker(network)
    for tracker.order, record in enumerate(trace):
        if isinstance(record, Noted):
            tracker.noted(record)
            continue
        tracker.expect_no_more_notes()
        if isinstance(record, Sent):
            tracker.sent(record)
        elif isinstance(record, Received):
            tracker.received(record)
        elif isinstance(record, Segment):
            tracker.segment(record)
        elif isinstance(record, Passage):
            tracker.passage(record)
        elif isinstance(record, Lost):
            tracker.lost(record)
        elif isinstance(record, SkippedPackets):
            tracker.skipped(record)
        elif isinstance(record, Remark):
            tracker.remark(record)
    tracker.finish()
    return tracker.journeys


def _lost_ones(like: Journey, record: SkippedPackets, order: int) -> Journey:
    """The packets of a stretch that a network lost, as one journey. The others travelled like ``like``."""
    times = [record.now + number * record.interval for number in (record.lost[0], record.lost[-1])]
    path = like.path[: like.path.index(record.node) + 1] if record.node in like.path else like.path[:1]
    lost = Journey(times[0], path, like.label, like.is_signalling, like.bound_for, like.aim)
    lost.order, lost.sent, lost.lost = order, like.sent, LossReason.LINK
    lost.left = like.left if path[1:] else like.sent  # a packet that reached no gateway is as it was sent
    lost.more, lost.until = len(record.lost) - 1, times[1]
    to = lost.left.destination if lost.left is not None else record.remote
    lost.fail(f"lost at {record.node}, bound for {to}: {record.loss}", None)
    return lost


def _datagram(source: Endpoint, destination: Endpoint, payload: bytes) -> ip.Packet:
    return ip.Packet(4, ip.UDP, source.ip, destination.ip, source.port, destination.port, b"", b"", payload)


def _parsed(data: bytes) -> ip.Packet | None:
    try:
        return ip.parse(data)
    except MalformedPacketError:
        return None


def packet_key(packet: ip.Packet) -> PacketKey:
    """What identifies a packet, independent of its IP header."""
    # A UDP header adds nothing. Of other headers, the fields that distinguish packets.
    head = {ip.UDP: b"", ip.TCP: packet.transport[4:14]}.get(packet.protocol, packet.transport[:2])
    return packet.protocol, packet.source, packet.destination, head + packet.payload


_ICMP_NAMES: Final = {
    (ip.ICMP, 0): "ICMP echo reply",
    (ip.ICMP, 3): "ICMP unreachable",
    (ip.ICMP, 8): "ICMP echo",
    (ip.ICMP, 11): "ICMP time exceeded",
    (ip.ICMPV6, 1): "ICMP unreachable",
    (ip.ICMPV6, 2): "ICMP packet too big",
    (ip.ICMPV6, 3): "ICMP time exceeded",
    (ip.ICMPV6, 128): "ICMP echo",
    (ip.ICMPV6, 129): "ICMP echo reply",
}


def _label(packet: ip.Packet) -> tuple[str, bool]:
    """What a packet is, in words, and whether it is signalling."""
    if packet.protocol in (ip.ICMP, ip.ICMPV6):
        return _ICMP_NAMES.get((packet.protocol, packet.icmp_type), f"ICMP type {packet.icmp_type}"), False
    payload = packet.payload
    message = SipMessage.parse(payload)
    if label := label_of(message):
        return label, True
    if packet.protocol == ip.TCP:
        return "TCP", False
    if packet.protocol != ip.UDP:
        return f"IP protocol {packet.protocol}", False
    if payload[4:8] == b"\x21\x12\xa4\x42":  # the magic cookie of RFC 8489
        return "STUN", False
    if len(payload) >= 8 and payload[0] >> 6 == 2:  # version 2; RFC 5761 section 4 separates the two
        return ("RTCP" if 192 <= payload[1] <= 223 else "RTP"), False
    return ("datagram" if payload.strip(b"\r\n \0") else "keep-alive"), False
