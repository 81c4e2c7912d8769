"""What is known about a UDP flow, so that its packets need no parsing.

The first packet of a flow goes the long way and leaves a ``Flow`` behind; those that follow are
patched: addresses and ports exchanged, checksums updated.
"""

from __future__ import annotations

from siplab.lab.gateway.binding import Binding
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint


class Flow:
    """What is known about a UDP flow's packets of one direction, so that they need no parsing.

    ``until`` bounds a permission that comes from a pinhole; ``generation`` is the NAT's when this
    was noted: a later one means that permissions ended since.
    """

    __slots__ = (
        "addresses", "binding", "generation", "inspected", "ip_delta", "refreshes", "remote", "side",
        "timeout", "udp_delta", "until",
    )  # fmt: skip

    def __init__(
        self,
        key: bytes,
        addresses: bytes,
        binding: Binding,
        remote: Endpoint,
        side: Side,
        *,
        generation: int,
        refreshes: bool,
        timeout: float,
        until: float,
        inspected: bool,
    ) -> None:
        self.addresses = addresses
        self.binding = binding
        self.remote = remote
        self.side = side
        self.generation = generation
        self.refreshes = refreshes
        self.timeout = timeout
        self.until = until
        self.inspected = inspected
        self.ip_delta = ip.checksum_delta(key[:8], addresses[:8])
        self.udp_delta = ip.checksum_delta(key, addresses)

    def towards(self, key: bytes, addresses: bytes) -> Flow:
        """This flow with other addresses to write."""
        return Flow(
            key,
            addresses,
            self.binding,
            self.remote,
            self.side,
            generation=self.generation,
            refreshes=self.refreshes,
            timeout=self.timeout,
            until=self.until,
            inspected=self.inspected,
        )


def patch(packet: bytes, flow: Flow) -> bytes:
    """A known flow's packet with its addresses and ports exchanged and both checksums updated."""
    ip_sum = ((packet[10] << 8 | packet[11]) + flow.ip_delta) % 0xFFFF
    udp_sum = packet[26] << 8 | packet[27]
    if udp_sum:  # 0 means that the sender computed none (RFC 768), and 0xFFFF stands for 0
        udp_sum = (udp_sum + flow.udp_delta) % 0xFFFF or 0xFFFF
    return b"".join(
        (
            packet[:10],
            ip_sum.to_bytes(2, "big"),
            flow.addresses,
            packet[24:26],
            udp_sum.to_bytes(2, "big"),
            packet[28:],
        )
    )


def rebuild(packet: bytes, flow: Flow, payload: bytes, mtu: int) -> bytes:
    """A known flow's packet with another payload: new lengths, both checksums from scratch."""
    length = len(payload) + 8
    fragment_flags = packet[6:8]
    if length + 20 > mtu and length > len(packet) - 20:
        # The sender asked for no fragments, but it is the router that made the packet too large.
        fragment_flags = b"\0\0"
    addresses = flow.addresses
    udp_length = length.to_bytes(2, "big")
    udp_sum = b"\0\0"
    if packet[26] or packet[27]:
        pseudo = b"".join((addresses[:8], b"\0\x11", udp_length, addresses[8:], udp_length, payload))
        udp_sum = (ip.checksum(pseudo) or 0xFFFF).to_bytes(2, "big")
    head = b"".join((packet[:2], (length + 20).to_bytes(2, "big"), packet[4:6], fragment_flags, packet[8:10]))
    ip_sum = ip.checksum(head + addresses[:8]).to_bytes(2, "big")
    return b"".join((head, ip_sum, addresses, udp_length, udp_sum, payload))
