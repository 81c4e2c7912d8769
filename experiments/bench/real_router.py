"""A real router with the interface of the lab's gateway: a packet goes in, and what leaves is returned.

The rules of this file:

- Time is the wall clock's. A packet that is due later waits; nothing is sent early.
- After each packet a *fence* follows: a datagram of our own that goes from the inside to the outside and
  back. Once it is back, the router has done its immediate work in both directions. If nothing came out, a
  short time more is waited. What comes even later is returned with the next packet.
- The router's own traffic (DHCP, DNS, time) is left out, and its refusals (ICMP, RST) to a packet's sender.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Final

from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import RST, Endpoint, MalformedPacketError
from siplab.lab.worlds.emulated.ethernet_port import EthernetPort

FENCE: Final = Endpoint("198.51.100.254", 40404)
_MARK: Final = b"siplab fence "
_OWN_PORTS: Final = frozenset({53, 67, 68, 123})
_LONGEST: Final = 2.0  # seconds after which a fence counts as lost
_GRACE: Final = 0.03  # seconds; an ALG is slower than plain forwarding


class RealRouter:
    """``ports``: our ends of its cables. ``inside``: a host's address there. ``public``: the router's.

    ``answers``: gets packets of the outside that are the router's own traffic, and returns the answer to one.
    """

    def __init__(
        self,
        ports: dict[Side, EthernetPort],
        inside: str,
        public: str,
        answers: Callable[[bytes], bytes | None] = lambda packet: None,
        mtu: int = ip.DEFAULT_MTU,
    ) -> None:
        self.public_ip = public
        self.fences_lost = 0
        self._ports = ports
        self._inside = Endpoint(inside, FENCE.port)
        self._answers = answers
        self._mtu = mtu
        self._began: float | None = None
        self._number = 0
        self._passed = 0  # number of the latest fence that came back
        ports[Side.OUTSIDE].add({FENCE.ip: ports[Side.OUTSIDE].hardware})

    def handle(self, packet: bytes, side: Side, now: float) -> list[Emission]:
        """Send a packet when it is due (seconds since the first one), and wait for what leaves."""
        if self._began is None:
            self._began = time.monotonic() - now
        found: list[Emission] = []
        while (left := self._began + now - time.monotonic()) > 0:
            found += self._receive(left, packet, side)
        found += self._receive(0, packet, side)
        for piece in fragmented(packet, self._mtu) if packet[0] >> 4 == 4 else ():
            self._ports[side].send(piece)
        self._number += 1
        fence = ip.udp(self._inside, FENCE, _MARK + b"%d" % self._number)
        self._ports[Side.INSIDE].send(fence)
        end = time.monotonic() + _LONGEST
        while self._passed < self._number and (left := end - time.monotonic()) > 0:
            found += self._receive(left, packet, side)
        self.fences_lost += self._passed < self._number
        grace = time.monotonic() + _GRACE
        while not found and (left := grace - time.monotonic()) > 0:
            found += self._receive(left, packet, side)
        return found or [Emission(None, packet, Fate.DROPPED_BY_KERNEL)]

    def _receive(self, seconds: float, entered: bytes, entry: Side) -> list[Emission]:
        """What comes out of the router next, within some seconds."""
        select.select(list(self._ports.values()), (), (), seconds)
        found = []
        for side, port in self._ports.items():
            for packet in port.read():
                if self._counts(packet, side, same=side is entry):
                    found.append(Emission(side, packet, changed=_payload(packet) != _payload(entered)))
        return found

    def _counts(self, packet: bytes, side: Side, *, same: bool) -> bool:
        """Whether the router forwarded a packet or made it from one. ``same``: it left where that entered."""
        try:
            parsed = ip.parse(packet)
        except MalformedPacketError:
            return False
        if side is Side.OUTSIDE and parsed.destination == FENCE and parsed.payload.startswith(_MARK):
            self._ports[side].send(ip.udp(FENCE, parsed.source, parsed.payload))
            return False
        if side is Side.INSIDE and parsed.source == FENCE and parsed.payload.startswith(_MARK):
            number = parsed.payload[len(_MARK) :]
            self._passed = max(self._passed, int(number) if number.isdigit() else 0)
            return False
        if side is Side.OUTSIDE and (answer := self._answers(packet)) is not None:
            self._ports[side].broadcast(answer, self._ports[side].hardware)
            return False
        if parsed.dst not in self._ports[side].hosts:
            return False
        ports = (parsed.sport, parsed.dport) if parsed.protocol == ip.UDP and parsed.transport else ()
        if not _OWN_PORTS.isdisjoint(ports):
            return False
        refusal = parsed.protocol == ip.ICMP or (parsed.protocol == ip.TCP and parsed.flags & RST)
        return not (same and refusal)


def _payload(packet: bytes) -> bytes:
    try:
        return ip.parse(packet).payload
    except MalformedPacketError:
        return b""
