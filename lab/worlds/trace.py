"""Everything that was seen at the taps of one trial, in order.

Taps are the two sides of every gateway and the sockets of every agent. Times are in seconds of the trial's
clock. Records are plain tuples, because writing them must cost next to nothing.
"""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cache
from itertools import chain, islice
from typing import Any, Final, NamedTuple, TypeVar, get_type_hints

from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.plain_data import from_json
from siplab.lab.sip.events import NO_FACTS, EventKind, Facts
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.worlds.streams import TapStreams

T = TypeVar("T")

_NO_DELAYS: Final = array("d")  # not a tuple: an hour's call over a bad line has 370,000 delays


def lost_on(network: str) -> str:
    """The detail of a loss on an impaired network, for readers."""
    return f"lost on the network '{network}'"


class LossReason(StrEnum):
    """Why a packet ended at a node without reaching anybody."""

    LINK = "link"  # an impaired network lost it
    NO_ROUTE = "no-route"
    FORWARDING_LOOP = "forwarding-loop"
    WRONG_HOST = "wrong-host"  # it reached a host that does not have its destination address
    NO_ICMP_ERROR = "no-icmp-error"  # no ICMP error may be sent about it, RFC 1122 section 3.2.2
    UNKNOWN_PROTOCOL = "unknown-protocol"
    WRONG_CHECKSUM = "wrong-checksum"
    CLOSED_TCP_PORT = "closed-tcp-port"  # and no RST answers it


class WorldEvent(StrEnum):
    """What a world itself notices."""

    REBOOTED = "rebooted"  # a gateway
    RENUMBERED = "renumbered"  # a gateway has another public address
    SWAPPED = "swapped"  # the model in a gateway was replaced
    NOT_SENT = "not-sent"  # a host, or the kernel, refused to send a packet
    UNREACHABLE = "unreachable"  # an ICMP error reached a socket


class Sent(NamedTuple):
    """An agent sent a datagram."""

    now: float
    host: str
    local: Endpoint
    remote: Endpoint
    payload: bytes


class Received(NamedTuple):
    """An agent's socket received a datagram."""

    now: float
    host: str
    local: Endpoint
    remote: Endpoint
    payload: bytes


class Segment(NamedTuple):
    """A TCP segment left an agent's port, or arrived at it, as an IP packet."""

    now: float
    host: str
    leaving: bool
    packet: bytes


class Passage(NamedTuple):
    """A packet entered a gateway on ``side``, and the gateway emitted ``emissions`` for it."""

    now: float
    gateway: str
    side: Side
    packet: bytes
    emissions: list[Emission]


class Lost(NamedTuple):
    """A packet ended at a node and reached nobody; ``detail`` says to readers why."""

    now: float
    node: str
    packet: bytes
    reason: LossReason
    detail: str = ""


class SkippedPackets(NamedTuple):
    """``packets`` of a media flow, which go the way of the packet before them; the last was due at ``until``.

    They carry the content named ``content`` (``lab.sip.base.Train``), the first of them its packet number
    ``first``. ``content`` is empty if they are encrypted.

    If an impaired ``network`` was on their way, it decided the fate of each packet at ``node``, when the
    packet was due. ``lost`` and ``doubled``: the numbers, from 0 on, of the packets that got lost or arrived
    twice. ``delays``: after how many seconds they arrived, packet by packet, with both copies of a doubled
    one. ``as_arrived``: an agent passed on the packets of the record before this one, each copy when it
    arrived.
    """

    now: float
    host: str
    local: Endpoint
    remote: Endpoint
    packets: int
    until: float
    content: str = ""
    first: int = 0
    network: str = ""
    node: str = ""
    lost: tuple[int, ...] = ()
    doubled: tuple[int, ...] = ()
    delays: Sequence[float] = _NO_DELAYS
    as_arrived: bool = False

    @property
    def interval(self) -> float:
        """Seconds from packet to packet, unless they were passed on as they arrived."""
        return (self.until - self.now) / (self.packets - 1) if self.packets > 1 else 0.0

    @property
    def loss(self) -> str:
        """Why packets got lost, for readers."""
        return lost_on(self.network)

    def with_fates(self, node: str, network: str, copies: Sequence[tuple[float, ...]]) -> SkippedPackets:
        """The same with fates on a network behind ``node``; ``copies``: as the method of that name gives."""
        return self._replace(
            node=node,
            network=network,
            lost=tuple(number for number, some in enumerate(copies) if not some),
            doubled=tuple(number for number, some in enumerate(copies) if len(some) > 1),
            delays=array("d", chain.from_iterable(copies)),
        )

    def copies(self) -> Iterator[tuple[float, ...]]:
        """For each packet, after how many seconds its copies arrived at the far end of ``network``."""
        lost, doubled, delays = set(self.lost), set(self.doubled), iter(self.delays)
        for number in range(self.packets):
            count = 0 if number in lost else 2 if number in doubled else 1
            yield tuple(islice(delays, count))


class Remark(NamedTuple):
    """Something that the world noticed at a node.

    ``local`` and ``remote``: the endpoints of the datagram in question, if there is one.
    """

    now: float
    who: str
    kind: WorldEvent
    detail: str
    local: Endpoint | None = None
    remote: Endpoint | None = None


class Noted(NamedTuple):
    """What an agent noticed (``siplab.lab.sip.events``). If about a datagram, it follows its record."""

    now: float
    host: str
    kind: EventKind
    detail: str
    facts: Facts = NO_FACTS


class Checked(NamedTuple):
    """A scenario made a check; ``passed`` is its outcome."""

    now: float
    name: str
    passed: bool


Record = Sent | Received | Segment | Passage | Lost | SkippedPackets | Remark | Noted | Checked


class Sighting(NamedTuple):
    """A SIP message at one tap."""

    now: float
    tap: str  # "router/inside", "phone"
    leaving: bool  # seen leaving the gateway or the agent, else entering
    source: Endpoint
    destination: Endpoint
    payload: bytes


class Trace:
    """The records of a trial."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, record: Record) -> None:
        self.records.append(record)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def passages(self) -> list[Passage]:
        return [each for each in self.records if type(each) is Passage]

    @property
    def model_errors(self) -> list[str]:
        """What models raised, in order."""
        return [emission.error for each in self.passages for emission in each.emissions if emission.error]

    def datagrams(self, streams: TapStreams | None = None) -> Iterator[Sighting]:
        """Every whole UDP datagram at every tap, in order.

        With ``streams`` also every message over TCP, where its last byte is seen.
        """
        for record in self.records:
            if isinstance(record, Sent):
                yield Sighting(record.now, record.host, True, record.local, record.remote, record.payload)
            elif isinstance(record, Received):
                yield Sighting(record.now, record.host, False, record.remote, record.local, record.payload)
            elif isinstance(record, Passage):
                yield from _passing(record, streams)
            elif isinstance(record, Segment) and streams is not None:
                packet = ip.parse(record.packet)
                yield from _completed(streams, record.now, record.host, record.leaving, packet)

    def sip(self) -> list[Sighting]:
        """The SIP messages, whatever the transport."""
        return [each for each in self.datagrams(TapStreams()) if looks_like_sip(each.payload)]

    def to_json_lines(self) -> str:
        """One JSON object per record; the same trace always gives the same text."""
        return "".join(json.dumps(as_json(each), separators=(",", ":")) + "\n" for each in self.records)


def from_json_lines(text: str) -> Trace:
    """The trace that ``to_json_lines`` wrote; a line about the trial may stand before it.

    Raises ``ValueError`` naming the first bad line.
    """
    trace = Trace()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = from_json(line)
            if number > 1 or row["kind"] != "trial":
                trace.add(_from_json(row))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"line {number} is no record of a trace: {error}") from None
    return trace


def _from_json(row: dict[str, Any]) -> Record:
    kind = _KINDS[row["kind"]]
    values = {}
    for name in kind._fields:
        key = "what" if name == "kind" else name
        if key not in row and name in kind._field_defaults:
            continue
        value = row[key]
        if name in ("packet", "payload"):
            value = base64.b64decode(value, validate=True)
        elif name in ("local", "remote"):
            value = _endpoint(value)
        elif name == "side":
            value = Side[value.upper()]
        elif name == "emissions":
            entered = base64.b64decode(row["packet"], validate=True)
            value = [_emission_from_json(each, entered) for each in value]
        elif name == "reason":
            value = LossReason(value)
        elif name == "kind":
            value = EventKind(value) if kind is Noted else WorldEvent(value)
        elif name == "facts":
            value = _facts(value)
        elif name in ("lost", "doubled"):
            value = tuple(array("l", value))
        elif name == "delays":
            value = array("d", value)
        values[name] = value
    record: Record = kind(**values)
    return _sound(record)


def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return Endpoint(address.removeprefix("[").removesuffix("]"), int(port))


def _facts(row: dict[str, Any]) -> Facts:
    ends: dict[str, Any] = {each: _endpoint(row[each]) for each in ("local", "remote") if each in row}
    return _sound(Facts(**{**row, **ends}))


def _emission_from_json(row: dict[str, Any], entered: bytes) -> Emission:
    side = row["side"]
    return _sound(
        Emission(
            None if side is None else Side[side.upper()],
            entered if side is None else base64.b64decode(row["packet"], validate=True),
            Fate(row["fate"]),
            row.get("detail", ""),
            row.get("originated", False),
            row.get("changed", False),
            row.get("error", ""),
        )
    )


def _sound(record: T) -> T:
    """The same record, if its numbers and texts have the right types. Raises ``TypeError`` otherwise."""
    form: Any = type(record)
    for name, kind in _plain_fields(form).items():
        value = getattr(record, name)
        fits = type(value) in (int, float) if kind is float else type(value) is kind
        if not fits:
            raise TypeError(f"'{name}' is {value!r:.40} and should be {kind.__name__}")
    return record


@cache
def _plain_fields(record: Any) -> dict[str, type]:
    return {name: kind for name, kind in get_type_hints(record).items() if kind in (bool, int, float, str)}


_KINDS: Final[dict[str, Any]] = {
    "sent": Sent,
    "received": Received,
    "segment": Segment,
    "passage": Passage,
    "lost": Lost,
    "skipped-packets": SkippedPackets,
    "remark": Remark,
    "noted": Noted,
    "checked": Checked,
}
_ONLY_IMPAIRED: Final = ("network", "node", "lost", "doubled", "delays", "as_arrived")
_NAMES: Final[dict[type, str]] = {kind: name for name, kind in _KINDS.items()}


def _completed(
    streams: TapStreams, now: float, tap: str, leaving: bool, packet: ip.Packet
) -> Iterator[Sighting]:
    for message in streams.add(tap, leaving, packet):
        yield Sighting(now, tap, leaving, packet.source, packet.destination, message)


def _passing(record: Passage, streams: TapStreams | None) -> Iterator[Sighting]:
    entries = [(record.side, False, record.packet)]
    entries += [(each.side, True, each.packet) for each in record.emissions if each.side is not None]
    for side, leaving, data in entries:
        try:
            packet = ip.parse(data)
        except MalformedPacketError:
            continue
        if packet.is_fragment:
            continue
        tap = f"{record.gateway}/{side.name.lower()}"
        if packet.protocol == ip.TCP and streams is not None:
            yield from _completed(streams, record.now, tap, leaving, packet)
        elif packet.protocol == ip.UDP:
            yield Sighting(record.now, tap, leaving, packet.source, packet.destination, packet.payload)


def looks_like_sip(payload: bytes) -> bool:
    """Whether a datagram is meant as SIP, even if damaged."""
    first_line = payload[:2048].lstrip(b"\r\n").partition(b"\n")[0]
    return b"SIP/2.0" in first_line


def as_json(record: Record) -> dict[str, Any]:
    """A record as plain data: bytes as Base64, with SIP as readable text beside it."""
    row: dict[str, Any] = {"kind": _NAMES[type(record)]}
    unsaid = _ONLY_IMPAIRED if isinstance(record, SkippedPackets) else ()
    for name, value in zip(record._fields, record, strict=True):
        if name in unsaid and not value:
            continue
        if isinstance(value, bytes):
            row[name] = base64.b64encode(value).decode()
            if name == "payload" and looks_like_sip(value):
                row["text"] = value.decode("utf-8", "backslashreplace")
        elif isinstance(value, Endpoint):
            row[name] = str(value)
        elif isinstance(value, Facts):
            if value != NO_FACTS:
                row[name] = {key: _plain(each) for key, each in value._asdict().items() if each}
        elif isinstance(value, Side):
            row[name] = value.name.lower()
        elif isinstance(value, StrEnum):
            row["what" if name == "kind" else name] = value.value
        elif isinstance(value, tuple | array):
            row[name] = list(value)
        elif isinstance(value, list):
            row[name] = [_emission_json(each) for each in value]
        elif value is not None:
            row["what" if name == "kind" else name] = value  # the record has its own "kind"
    return row


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Endpoint) else value


def _emission_json(emission: Emission) -> dict[str, Any]:
    row: dict[str, Any] = {"side": None if emission.side is None else emission.side.name.lower()}
    if emission.side is not None:  # a dropped packet is the one that entered
        row["packet"] = base64.b64encode(emission.packet).decode()
    row["fate"] = emission.fate.value
    for name in ("detail", "originated", "changed", "error"):
        if value := getattr(emission, name):
            row[name] = value
    return row
