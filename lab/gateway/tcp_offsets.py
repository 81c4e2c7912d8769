"""One inspected TCP connection as Linux keeps it: segments rewritten one by one, two offsets per direction.

The rules of this file:

- A segment is rewritten as it comes: ahead of a gap, late, or a second time. Nothing is held, dropped or put
  in order.
- Each direction has three numbers: the position of the last correction, the offset up to there, and the
  offset beyond it. So a segment that is older than the last correction but one gets a wrong number.
- Until both SYNs have been seen, segments pass as they are.

Source: net/netfilter/nf_conntrack_seqadj.c. Not modelled: connection tracking treats segments far outside the
window as invalid.

No sockets, clock or randomness; packets in, packets out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from siplab.lab.wire.ip import ACK, FIN, RST, SYN, Packet
from siplab.lab.wire.tcp_segment import SACK, options_of

Rewrite = Callable[[bytes, bool], tuple[bytes | None, bool]]


def _after(one: int, other: int) -> bool:
    """Whether a sequence number comes behind another (RFC 9293 section 3.4)."""
    return bool((other - one) & 0x80000000)


class _Offsets:
    """By how much the receiver's numbers of one direction exceed the sender's."""

    def __init__(self) -> None:
        self.corrected_at = 0  # sequence number of the segment that was changed last, as it was sent
        self.before = self.after = 0

    def grow(self, seq: int, by: int) -> None:
        """A segment with this number became longer by so many bytes."""
        if by and (self.before == self.after or _after(seq, self.corrected_at)):
            self.corrected_at, self.before, self.after = seq, self.after, self.after + by

    def to_output(self, seq: int) -> int:
        return seq + (self.after if _after(seq, self.corrected_at) else self.before)

    def to_original(self, ack: int) -> int:
        behind = _after(ack - self.before, self.corrected_at)
        return ack - (self.after if behind else self.before)


class OffsetEditor:
    """Edits one TCP connection."""

    def __init__(self) -> None:
        self._offsets: dict[bool, _Offsets] = {}
        self._opened: dict[bool, int] = {}  # numbers of the SYNs
        self._ended: set[bool] = set()

    @property
    def closed(self) -> bool:
        """Both FINs, or an RST, were seen. Late retransmissions may still come."""
        return len(self._ended) > 1

    def handle(self, packet: Packet, outbound: bool, rewrite: Rewrite) -> Packet | None:
        """Take a packet before address translation; returns it as it leaves, ``None`` when it is dropped.

        ``rewrite(data, outbound)`` gets the bytes of every segment, each time that it comes; it returns the
        bytes to put in their place, or ``None`` to drop the segment, and whether their growth is counted. It
        must not raise.
        """
        if packet.flags & SYN:
            self._open(packet, outbound)
        if not self._offsets:
            return packet
        this, other = self._offsets[outbound], self._offsets[not outbound]
        if packet.flags & RST:
            self._ended |= {True, False}
        elif packet.flags & FIN:
            self._ended.add(outbound)
        if packet.payload and not packet.flags & SYN:
            new, counts = rewrite(packet.payload, outbound)
            if new is None:
                return None
            if counts:
                this.grow(packet.seq, len(new) - len(packet.payload))
            packet = packet.with_(payload=new)
        seq, ack = this.to_output(packet.seq), other.to_original(packet.ack)
        return _with_sack(packet.with_(seq=seq, ack=ack), other)

    def _open(self, packet: Packet, outbound: bool) -> None:
        """Note a SYN. One with another number begins another connection; the SYN-ACK establishes it."""
        if packet.flags & ACK:
            if (not outbound) in self._opened and not self._offsets:
                self._offsets = {True: _Offsets(), False: _Offsets()}
        elif self._opened.get(outbound) != packet.seq:
            self._opened, self._offsets, self._ended = {outbound: packet.seq}, {}, set()


def _with_sack(packet: Packet, other: _Offsets) -> Packet:
    """The packet with its SACK blocks (RFC 2018 section 3) in the numbers of the sender of that data."""
    head = packet.transport
    for kind, at, length in options_of(head):
        if kind != SACK or (length - 2) % 8:
            continue
        for edge in range(at + 2, at + length, 4):
            number = other.to_original(int.from_bytes(head[edge : edge + 4], "big")) & 0xFFFFFFFF
            head = head[:edge] + number.to_bytes(4, "big") + head[edge + 4 :]
    return packet if head == packet.transport else replace(packet, transport=head)
