"""What is known about a UDP flow, so that its packets need no parsing.

The first packet of a flow goes the long way and leaves a ``Flow`` behind. The packets that follow are
patched: their addresses and ports are replaced, their checksums updated.
"""

from __future__ import annotations

from typing import Final

from siplab.lab.gateway.alg import Policy
from siplab.lab.gateway.binding import Binding
from siplab.lab.gateway.nat import Nat
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, ICMP, SYN, Endpoint, Packet

MAX_FLOWS: Final = 65536


class Flow:
    """What is known about one direction of a UDP flow, so that its packets need no parsing.

    ``until``: when the permission ends, if a pinhole gave it. ``generation``: the NAT's at the time this
    was noted; if the NAT has a later one, permissions have ended since.
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

    def delivered_to(self, key: bytes, inside: Endpoint) -> Flow:
        """This flow with another inside endpoint: good for one packet, and not kept."""
        address, port = ip.pack_ip(inside.ip), inside.port.to_bytes(2, "big")
        return Flow(
            key,
            self.addresses[:4] + address + self.addresses[8:10] + port,
            self.binding,
            self.remote,
            self.side,
            generation=self.generation,
            refreshes=self.refreshes,
            timeout=self.timeout,
            until=self.until,
            inspected=self.inspected,
        )


class FlowTable:
    """The UDP flows that a gateway knows: ``known`` has them by side and by bytes 12 to 23 of the packet."""

    def __init__(self, nat: Nat, policy: Policy) -> None:
        self.known: tuple[dict[bytes, Flow], dict[bytes, Flow]] = ({}, {})
        self._nat = nat
        self._policy = policy
        self._followed: dict[tuple[int, Endpoint, Endpoint], None] = {}

    def clear(self) -> None:
        """Forget them all."""
        for each in (*self.known, self._followed):
            each.clear()

    def learn(
        self,
        data: bytes,
        side: Side,
        binding: Binding,
        remote: Endpoint,
        until: float,
        now: float,
        *,
        inspected: bool,
        keep: bool,
    ) -> Flow:
        """How packets of this UDP flow are patched; ``keep``: stored for the packets that follow.

        A flow whose idle time will still change is not stored.
        """
        to = binding.outside if side is Side.INSIDE else binding.inside
        address, port = ip.pack_ip(to.ip), to.port.to_bytes(2, "big")
        if side is Side.INSIDE:
            addresses = address + data[16:20] + port + data[22:24]
        else:
            addresses = data[12:16] + address + data[20:22] + port
        refresh = self._nat.config.refresh.value
        if inspected and self._policy.refresh == "both":
            refresh = "both"
        flow = Flow(
            data[12:24],
            addresses,
            binding,
            remote,
            side.other,
            generation=self._nat.generation,
            refreshes=binding.idle
            or refresh == "both"
            or refresh == ("outbound" if side is Side.INSIDE else "inbound"),
            timeout=self._nat.timeout_of(binding, now),
            until=until,
            inspected=inspected,
        )
        if keep and not self._nat.is_new(binding, now):
            flows = self.known[side]
            if len(flows) >= MAX_FLOWS:
                flows.clear()
            flows[data[12:24]] = flow
        return flow

    def follows(
        self, packet: Packet, binding: Binding, remote: Endpoint, now: float, *, outbound: bool
    ) -> bool:
        """Whether the ALG looks at a flow that the outside began, because of the inside endpoint."""
        key = (packet.protocol, binding.inside, remote)
        if key in self._followed:
            return True
        if outbound:
            return False  # only a packet from outside can begin such a flow
        if self._policy.follow_pinholes:
            wanted = binding.pending_peer == remote and binding.signals(remote, now)
        else:
            # A peer connects from any port, so the port that it connects to decides (RFC 3261 18.1.1).
            wanted = (
                packet.flags & (SYN | ACK) == SYN
                and "tcp" in self._policy.transports
                and (binding.inside.port in self._policy.ports or binding.signals(remote, now))
            )
        if not wanted:
            return False
        if len(self._followed) >= MAX_FLOWS:
            self._followed.clear()
        self._followed[key] = None
        return True

    def unfollow(self, protocol: int, inside: Endpoint, remote: Endpoint) -> None:
        """Forget a session that was undone because its first packet was dropped."""
        self._followed.pop((protocol, inside, remote), None)


def translate(packet: Packet, binding: Binding, *, outbound: bool) -> bytes:
    """A packet of any protocol with the endpoint of its inside host translated."""
    if outbound:
        return bytes(packet.with_(src=binding.outside.ip, sport=binding.outside.port))
    port = binding.inside.port
    if packet.protocol == ICMP:  # the identifier stands for both ports
        return bytes(packet.with_(dst=binding.inside.ip, sport=port, dport=port))
    return bytes(packet.with_(dst=binding.inside.ip, dport=port))


def patch(packet: bytes, flow: Flow) -> bytes:
    """A known flow's packet with its addresses and ports replaced and both checksums updated."""
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
