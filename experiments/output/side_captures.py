"""The captures that each side of the routers would give: each message once, and every packet of media.

The rules of this file:

- A *side* is all networks that have no gateway between them. With one gateway the sides are ``inside`` and
  ``outside``; with more, a side has the name of its first network.
- A packet occurs once, as its sender or a gateway sent it, or as a program's packet was seen. SIP messages
  and changes have the same numbers as in ladder and page. The comment says what happened to the packet: what
  the ALG changed, why it was dropped or lost.
- Media packets that were not carried are rebuilt from the previous packet, from the record of what was sent,
  and from that packet's path. On an impaired network each is lost or delayed as the trace says. Each has the
  comment ``rebuilt``. Carrying them would have given the same bytes; a test compares this.
- ``short``: if a stream's packets that were not carried last more than five minutes, they are left out, and a
  comment says how many. ``all``: none is left out. ``carried``: all are left out.
"""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from siplab.experiments.output.changes import change_of
from siplab.experiments.output.columns import areas
from siplab.experiments.output.journeys import PacketKey, journeys_of, packet_key
from siplab.experiments.output.numbering import numbered_changes
from siplab.experiments.output.pcapng import (
    INBOUND,
    OUTBOUND,
    CapturedPacket,
    leaving,
    on_entry,
    on_leaving,
    write_packets,
)
from siplab.experiments.trial.entries import Entries
from siplab.lab.counting import number_of
from siplab.lab.media.rebuild import rebuilt
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.wire.rtp import unpack_rtp
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.topology import Topology
from siplab.lab.worlds.trace import LossReason, Lost, Passage, Received, Segment, Sent, SkippedPackets, Trace

_End = Literal["host", "router", "nowhere"]
Flow = tuple[Endpoint, Endpoint]
Media = Literal["carried", "short", "all"]
REBUILT: Final = "rebuilt: not carried, but the same way and fate as the packet before"
_SHORT: Final = 300.0  # seconds of one stream


@dataclass
class _Seen:
    """A packet on one side; ``way``: this packet on all sides that it passed, including this one."""

    now: float
    packet: bytes
    side: str
    direction: int
    way: list[_Seen]
    node: str = ""  # the node that sent it
    left: bytes = b""  # as it was sent, if routers on the way changed it
    notes: list[str] = field(default_factory=list)
    flow: Flow | None = None  # the media flow that it belongs to
    label: str = ""  # the numbers of message and changes

    def note(self, text: str) -> None:
        if text and text not in self.notes:
            self.notes.append(text)


def write(trace: Trace, network: Network, path: Path, media: Media = "short") -> dict[str, Path]:
    """Write one file per side beside ``path`` (``x.pcapng``: ``x.inside.pcapng``). Returns them by side."""
    written = {}
    for side, packets in packets_by_side(trace, network, media).items():
        written[side] = path.with_suffix(f".{side}{path.suffix}")
        write_packets(packets, written[side])
    return written


def packets_by_side(
    trace: Trace, network: Network, media: Media = "short"
) -> dict[str, list[CapturedPacket]]:
    """The packets of each side by time, in seconds of the trial."""
    recorder = _Recorder(trace, network, media)
    found: dict[str, list[CapturedPacket]] = {side: [] for side in recorder.sides.values()}
    for each in sorted(recorder.seen, key=lambda each: each.now):
        row = CapturedPacket(
            each.side,
            each.now,
            each.packet,
            each.direction,
            "; ".join(filter(None, [each.label, *each.notes])),
        )
        found[each.side].append(row)
    return found


class _Recorder:
    """Follows the packets of a trace from side to side."""

    def __init__(self, trace: Trace, network: Network, media: Media) -> None:
        self.seen: list[_Seen] = []
        self.sides = _named(network.topology)
        self._network = network
        self._under_way: dict[tuple[str, PacketKey], deque[_Seen]] = defaultdict(deque)
        self._latest: dict[Flow, tuple[bytes, _Seen]] = {}  # the latest media packet of each flow
        self._ended: dict[Flow, tuple[_Seen, _End]] = {}  # the same, but none that is lost or under way
        self._came: list[tuple[float, bytes]] = []  # when the latest stretch arrived over an impaired network
        self._entries = Entries()
        self._left_out = _left_out(trace, media)
        journeys = journeys_of(trace, network)
        numbered_changes(journeys)
        self._journeys = {each.order: (number, each) for number, each in enumerate(journeys, 1)}
        for order, record in enumerate(trace):
            if isinstance(record, Sent):
                self._sent(record, order)
            elif isinstance(record, Received):
                self._arrived(record.now, _datagram(record.remote, record.local, record.payload))
            elif isinstance(record, Segment):
                if record.leaving:
                    self._add(record.now, record.packet, self._side_of(ip.parse(record.packet).src), OUTBOUND)
                else:
                    self._arrived(record.now, record.packet)
            elif isinstance(record, Passage):
                self._passage(record)
            elif isinstance(record, Lost):
                self._lost(record)
            elif isinstance(record, SkippedPackets):
                self._skipped(record)

    def _side_of(self, address: str, otherwise: str = "") -> str:
        """The side of the network that contains a host's or router's address."""
        node = self._network.addresses.get(address, "")
        for name, each in self._network.node_addresses.get(node, {}).items():
            if each == address:
                return self.sides[name]
        return otherwise or next(iter(self.sides.values()))

    def _side_at(self, passage: Passage, side: object, destination: str = "") -> str:
        """The side of a gateway's interface. If there are several, the packet's destination decides."""
        gateway = passage.gateway
        sides = self._network.sides.items()
        names = [name for (node, name), each in sides if node == gateway and each is side]
        hop = self._network.next_hop(gateway, destination) if destination else None
        return self.sides[hop.network if hop is not None and hop.network in names else names[0]]

    def _add(
        self,
        now: float,
        packet: bytes,
        side: str,
        direction: int,
        way: list[_Seen] | None = None,
        node: str = "",
    ) -> _Seen:
        seen = _Seen(now, packet, side, direction, [] if way is None else way, node)
        seen.way.append(seen)
        self.seen.append(seen)
        with suppress(MalformedPacketError):
            self._under_way[side, packet_key(ip.parse(packet))].append(seen)
        return seen

    def _find(self, side: str, packet: ip.Packet) -> _Seen | None:
        waiting = self._under_way[side, packet_key(packet)]
        return waiting.popleft() if waiting else None

    def _sent(self, record: Sent, order: int) -> None:
        packet = _datagram(record.local, record.remote, record.payload)
        if packet is None:
            return
        seen = self._add(record.now, packet, self._side_of(record.local.ip), OUTBOUND, node=record.host)
        number, journey = self._journeys[order]
        if journey.is_signalling:
            seen.label = f"message {number}" + "".join(
                f", change {each}" for each in journey.numbers.values()
            )
        if unpack_rtp(record.payload) is not None or record.payload[2:4] == b"\x01\x06":  # RTP, or UDPTL
            self._latest[record.local, record.remote] = record.payload, seen
            seen.flow = record.local, record.remote

    def _arrived(self, now: float, packet: bytes | None) -> None:
        if packet is None:
            return
        parsed = ip.parse(packet)
        side = self._side_of(parsed.dst)
        seen = self._find(side, parsed)
        if seen is None:  # from a program that is not one of the lab's agents, or a second copy
            self._add(now, packet, side, INBOUND)
            self._find(side, parsed)
        else:
            self._note_end(seen, "host")

    def _note_end(self, seen: _Seen, end: _End) -> None:
        first = seen.way[0]
        if first.flow is not None:
            self._ended[first.flow] = first, end

    def _passage(self, record: Passage) -> None:
        entered = self._entries.whole(record)
        if entered is None:
            return  # a fragment, whose datagram is there as a whole; or bytes that are no packet
        side = self._side_at(record, record.side)
        seen = self._find(side, entered)
        whole = record.packet if not ip.parse(record.packet).is_fragment else bytes(entered)
        if seen is None:
            seen = self._add(record.now, whole, side, INBOUND)
            self._find(side, entered)
        elif len(whole) == len(seen.packet):
            seen.left, seen.packet = seen.packet, whole
        seen.note(on_entry(record))
        if all(each.side is None or each.originated for each in record.emissions):
            self._note_end(seen, "router")
        for each in record.emissions:
            if each.side is not None:
                packet = leaving(each)
                there = self._side_at(record, each.side, _destination(packet))
                way = None if each.originated else seen.way
                left = self._add(record.now, packet, there, OUTBOUND, way, record.gateway)
                left.label = "" if each.originated else seen.label
                left.note(on_leaving(each, change_of(entered, each)))

    def _lost(self, record: Lost) -> None:
        try:
            packet = ip.parse(record.packet)
        except MalformedPacketError:
            return
        for side in dict.fromkeys(self.sides.values()):
            if (seen := self._find(side, packet)) is not None:
                seen.note(f"lost at {record.node}: {record.detail}")
                if record.reason is not LossReason.LINK:
                    self._note_end(seen, "nowhere")
                return

    # -- media -------------------------------------------------------------------------------------

    def _skipped(self, record: SkippedPackets) -> None:
        flow = record.local, record.remote
        if flow not in self._latest:
            return
        before, seen = self._latest[flow]
        end: _End = "host"
        if record.network or record.as_arrived:
            seen, end = self._ended.get(flow, (seen, "nowhere"))
        made = self._made(record, before)
        if missing := record.packets - len(made):
            why = "" if record.content else ", being encrypted"
            until = f"until {record.until:.3f} s"
            seen.note(f"left out here: {number_of(missing, 'packet')} of the same stream {until}{why}")
        if record.network:
            self._scattered(record, made, seen, end)
            return
        for now, payload in made:
            for each in seen.way:
                self._rebuilt(now + each.now - seen.now, each, payload)

    def _made(self, record: SkippedPackets, before: bytes) -> list[tuple[float, bytes]]:
        """Times and payloads of the packets that were not carried."""
        if record.as_arrived:
            return self._came
        made: list[tuple[float, bytes]] = []
        if record.content and (record.local, record.remote) not in self._left_out:
            for number in range(record.packets):
                payload = rebuilt(before, number + 1, record.content, record.first + number)
                if payload is None:
                    break
                made.append((record.now + number * record.interval, payload))
        return made

    def _scattered(
        self, record: SkippedPackets, made: list[tuple[float, bytes]], seen: _Seen, end: _End
    ) -> None:
        """Each packet goes to the impaired network like ``seen``, and continues as each of its copies did."""
        at = 1 + next((n for n, each in enumerate(seen.way) if each.node == record.node), 0)
        ahead, behind = seen.way[:at], seen.way[at:]
        came: list[tuple[float, bytes]] = []
        for (now, payload), delays in zip(made, record.copies(), strict=False):
            for each in ahead:
                last = self._rebuilt(now, each, payload, is_lost=not delays and each is ahead[-1])
            if not delays:
                last.note(f"lost at {record.node}: {record.loss}")
            for copy, delay in enumerate(sorted(delays)):
                came.append((now + delay, payload))
                if copy:
                    self._second(now + delay, last, end if not behind else "router")
                for each in behind:
                    self._rebuilt(now + delay, each, payload)
        self._came = sorted(came, key=lambda each: each[0])

    def _second(self, now: float, first: _Seen, end: _End) -> None:
        """A second copy of a packet arrives where an impaired network ends."""
        packet = ip.parse(first.packet)
        if end == "router":
            self.seen.append(_Seen(now, first.packet, first.side, INBOUND, []))
        elif end == "host":
            whole = _datagram(packet.source, packet.destination, packet.payload)
            if whole is not None:
                self.seen.append(_Seen(now, whole, self._side_of(packet.dst), INBOUND, []))

    def _rebuilt(self, now: float, like: _Seen, payload: bytes, *, is_lost: bool = False) -> _Seen:
        packet = replace(ip.parse((is_lost and like.left) or like.packet), payload=payload)
        made = _Seen(
            now, bytes(packet), like.side, like.direction, [], like.node, notes=[REBUILT, *like.notes]
        )
        self.seen.append(made)
        return made


def _left_out(trace: Trace, media: Media) -> set[tuple[Endpoint, Endpoint]]:
    """The streams of which packets that were not carried are not rebuilt."""
    total: dict[tuple[Endpoint, Endpoint], float] = defaultdict(float)
    for each in trace:
        if isinstance(each, SkippedPackets):
            total[each.local, each.remote] += each.until - each.now
    most = {"carried": -1.0, "short": _SHORT, "all": float("inf")}[media]
    return {flow for flow, length in total.items() if length > most}


def _named(topology: Topology) -> dict[str, str]:
    """For each network the name of its side."""
    found = areas(topology)
    if len(topology.gateways) == 1:
        (gateway,) = topology.gateways.values()
        inner = {found[name] for name in gateway.inside}
        return {name: "inside" if area in inner else "outside" for name, area in found.items()}
    return found


def _datagram(source: Endpoint, destination: Endpoint, payload: bytes) -> bytes | None:
    try:
        return ip.udp(source, destination, payload, dont_fragment=False)
    except MalformedPacketError:
        return None


def _destination(packet: bytes) -> str:
    try:
        return ip.parse(packet).dst
    except MalformedPacketError:
        return ""
