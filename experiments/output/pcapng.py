"""Writes a trace as one pcapng file, for Wireshark and similar programs.

The rules of this file:

- One interface per tap, named as in the trace: ``phone``, ``router/inside``, ``router/outside``... A datagram
  occurs once per tap that it passed, so filter by ``frame.interface_name``. Packets that reached nobody are
  on an interface called ``lost``.
- A packet's comment says what was done to it: what the ALG changed and which rule that breaks, why it was
  dropped, which error the model raised.
- Times are the trial's seconds, counted from 1970. The same trace always gives the same bytes.
- At a gateway's tap are the packets themselves, as they leave (with one hop less in the TTL). At an agent's
  tap are the agent's datagrams, each in one packet of any size. A datagram that no packet can hold is left
  out.

The blocks are written here because scapy's writer adds a nameless interface, and rounds times down.
The format is draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from siplab.experiments.output.changes import Change, change_of
from siplab.experiments.output.fates import ending, words
from siplab.experiments.trial.entries import Entries
from siplab.lab.gateway.sides import Emission
from siplab.lab.outputs import replaced
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.worlds.trace import Lost, Passage, Received, Segment, Sent, Trace

LOST: Final = "lost"

RAW_IP: Final = 101  # LINKTYPE_RAW: the packet begins with an IPv4 or IPv6 header
ETHERNET: Final = 1  # LINKTYPE_ETHERNET
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_END, _COMMENT, _IF_NAME, _FLAGS, _PROGRAM = 0, 1, 2, 2, 4
INBOUND, OUTBOUND = 1, 2
_MAX_OPTION: Final = 65535


class CapturedPacket(NamedTuple):
    """A packet at an interface at a time in seconds; the comment is for readers."""

    tap: str
    now: float
    packet: bytes
    direction: int
    comment: str = ""


def write(trace: Trace, path: Path) -> None:
    """Write the file with one interface per tap, and replace an older one. Raises ``OutputError``."""
    write_packets(list(packets_of(trace)), path)


def write_packets(rows: Sequence[CapturedPacket], path: Path, link: int = RAW_IP) -> None:
    """Write packets in their order. ``link``: the link type of their first header. Raises ``OutputError``."""
    numbers = {tap: number for number, tap in enumerate(dict.fromkeys(row.tap for row in rows))}
    with replaced(path) as file:
        file.write(_section())
        for tap in numbers:
            file.write(_interface(tap, link))
        for row in rows:
            file.write(_packet(row, numbers[row.tap]))


# -- what to write -------------------------------------------------------------------------------


def packets_of(trace: Trace) -> Iterator[CapturedPacket]:
    """Every packet of a trace, once for each tap that saw it."""
    entries = Entries()
    for record in trace:
        if isinstance(record, Sent):
            yield from _datagram(record, record.local, record.remote, OUTBOUND)
        elif isinstance(record, Received):
            yield from _datagram(record, record.remote, record.local, INBOUND)
        elif isinstance(record, Segment):
            yield CapturedPacket(
                record.host, record.now, record.packet, OUTBOUND if record.leaving else INBOUND
            )
        elif isinstance(record, Passage):
            yield from _passage(record, entries)
        elif isinstance(record, Lost):
            yield CapturedPacket(
                LOST, record.now, record.packet, INBOUND, f"lost at {record.node}: {record.detail}"
            )


def _datagram(
    record: Sent | Received, source: Endpoint, destination: Endpoint, direction: int
) -> Iterator[CapturedPacket]:
    try:
        packet = ip.udp(source, destination, record.payload)
    except MalformedPacketError:
        return
    yield CapturedPacket(record.host, record.now, packet, direction)


def _passage(record: Passage, entries: Entries) -> Iterator[CapturedPacket]:
    entered = entries.whole(record)
    tap = f"{record.gateway}/{record.side.name.lower()}"
    yield CapturedPacket(tap, record.now, record.packet, INBOUND, on_entry(record))
    for each in record.emissions:
        if each.side is not None:
            tap = f"{record.gateway}/{each.side.name.lower()}"
            comment = on_leaving(each, change_of(entered, each))
            yield CapturedPacket(tap, record.now, leaving(each), OUTBOUND, comment)


def leaving(emission: Emission) -> bytes:
    """The packet as it leaves the gateway, with its TTL lowered by one."""
    packet = emission.packet
    ttl = packet[8 if packet[0] >> 4 == 4 else 7]
    return packet if emission.originated or ttl <= 1 else ip.decrement_ttl(packet)


def on_entry(record: Passage) -> str:
    """The comment on a packet that came in; empty unless it was dropped."""
    stayed = [each for each in record.emissions if each.side is None]
    if not stayed and all(each.originated for each in record.emissions):
        stayed = record.emissions
    return "; ".join(ending(record.gateway, each) for each in stayed)


def on_leaving(emission: Emission, change: Change | None) -> str:
    """The comment on a packet that left."""
    said = words(emission)
    parts = [f"made by the router: {said}" if emission.originated else said]
    if change is not None:
        parts.append(f"changed by the ALG: {', '.join(change.parts)}")
        parts += [f"breaks {each.reference} ({each.rule}): {each.sentence}" for each in change.broken]
    elif emission.changed:
        parts.append("changed by the ALG")
    return "; ".join(part for part in parts if part)


# -- how it is written ---------------------------------------------------------------------------


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _block(kind: int, body: bytes, options: list[tuple[int, bytes]]) -> bytes:
    body = _padded(body)
    for code, value in [*options, (_END, b"")] if options else []:
        body += struct.pack("<HH", code, len(value)) + _padded(value)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _section() -> bytes:
    # Byte order, version 1.0, unknown section length.
    return _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), [(_PROGRAM, b"siplab")])


def _interface(name: str, link: int) -> bytes:
    # 262144 bytes of each packet are kept, more than IP allows. Times are in microseconds by default.
    return _block(_INTERFACE, struct.pack("<HHI", link, 0, 262144), [(_IF_NAME, name.encode())])


def _packet(row: CapturedPacket, interface: int) -> bytes:
    microseconds = round(row.now * 1_000_000)
    size = len(row.packet)
    head = struct.pack("<IIIII", interface, microseconds >> 32, microseconds & 0xFFFFFFFF, size, size)
    options = [(_FLAGS, struct.pack("<I", row.direction))]
    if row.comment:
        comment = row.comment.encode("utf-8", "backslashreplace")[:_MAX_OPTION].decode("utf-8", "ignore")
        options.insert(0, (_COMMENT, comment.encode()))
    return _block(_PACKET, head + row.packet, options)
