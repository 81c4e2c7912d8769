"""The stateful filter that stands where IPv6 is not translated (RFC 6092)."""

from __future__ import annotations

import math

from siplab.lab.gateway.binding import filter_key
from siplab.lab.gateway.flow import MAX_FLOWS
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.wire.icmp import is_icmp_error
from siplab.lab.wire.ip import ICMPV6, TCP, Endpoint, Packet


class Ipv6Filter:
    """Lets in packets from whom the inside has sent to before; the filtering says what is compared."""

    def __init__(self, config: NatConfig) -> None:
        self._config = config
        self._remotes: dict[tuple[int, Endpoint, Endpoint], float] = {}  # until when each may send

    def admits(self, packet: Packet, near: Endpoint, far: Endpoint, now: float, *, outbound: bool) -> bool:
        """Whether a packet between an inside and an outside endpoint may pass."""
        filtering = self._config.ipv6_filtering
        if filtering is None or (packet.protocol == ICMPV6 and is_icmp_error(packet)):
            return True
        key = (packet.protocol, near, filter_key(filtering, far))
        if not outbound:
            return self._remotes.get(key, 0.0) > now
        if len(self._remotes) > MAX_FLOWS:
            self._remotes.clear()
        timeout = self._config.tcp_timeout if packet.protocol == TCP else self._config.udp_timeout
        self._remotes[key] = now + timeout
        return True

    def next_end(self, now: float) -> float:
        """When the next permission runs out; infinity for never."""
        return min((end for end in self._remotes.values() if end > now), default=math.inf)

    def clear(self) -> None:
        """Forget everything."""
        self._remotes.clear()
