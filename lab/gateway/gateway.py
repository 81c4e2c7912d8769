"""The emulated router: NAT, pinholes and an ALG model, as one pure state machine.

    handle(packet: bytes, side: Side, now: float) -> list[Emission]

The rules of this file:

- Every packet handed in gets an answer, whatever its bytes are. An empty world is never
  the answer to a surprise: a packet that goes nowhere has an ``Emission`` without a side,
  which says why.
- No sockets, no clock, no global randomness. The same calls give the same bytes.
- The gateway does not decrement TTL on packets that it forwards; whoever carries them does
  (the kernel, or the simulated network). It does answer packets whose TTL ends here.
- Packets of known flows that no ALG looks at take a short way: patched headers and an
  updated checksum, no parsing.
"""

from __future__ import annotations

import ipaddress
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from siplab.lab.gateway import icmp
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.binding import Binding, filter_key
from siplab.lab.gateway.binding_table import PortsExhaustedError
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.flow import Flow, patch, rebuild
from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.gateway.inspection import Alg, Inspection
from siplab.lab.gateway.nat import Nat
from siplab.lab.gateway.nat_config import Dependence, NatConfig
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.gateway.tcp import TcpEditor
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, ICMP, ICMPV6, SYN, TCP, UDP, Endpoint, MalformedPacketError, Packet
from siplab.lab.wire.sip import split_stream

_network = lru_cache(maxsize=256)(ipaddress.ip_network)

_MAX_FLOWS: Final = 65536
_MAX_CONNECTIONS: Final = 1024


class Gateway:
    """One router.

    ``inside_networks``: the prefixes behind it. ``inside_addresses`` are the router's own
    addresses there and ``public_ip`` its one on the outside. Randomness comes from ``rng``, the
    model's own from ``model_rng`` (``None``: from ``rng`` too).
    """

    def __init__(
        self,
        model: Model,
        *,
        public_ip: str,
        inside_networks: Sequence[str],
        inside_addresses: Sequence[str] = (),
        nat: NatConfig | None = None,
        rng: random.Random,
        model_rng: random.Random | None = None,
        mtu: int = ip.DEFAULT_MTU,
    ) -> None:
        self.model = model
        self.policy = model.policy
        self._looks = bool(model.steps) or self.policy.non_sip == "drop"
        config: Any = replace(nat or NatConfig(), **model.recipe.nat)  # a faulty router's own choices
        self.nat = Nat(config, public_ip, rng)
        self._mtu = mtu
        self._own = frozenset(inside_addresses)
        self._inside_address = next((each for each in inside_addresses if ":" not in each), public_ip)
        self._alg = Alg(model, self.nat, model_rng or rng, self.is_inside, self._inside_address)
        self._inside_address6 = next((each for each in inside_addresses if ":" in each), "::")
        self._networks = [_network(each) for each in inside_networks]
        self._inside_cache: dict[str, bool] = {}
        self._flows: tuple[dict[bytes, Flow], dict[bytes, Flow]] = ({}, {})
        self._fragments = Reassembler()
        self._connections: dict[tuple[Endpoint, Endpoint], TcpEditor] = {}
        self._ipv6_remotes: dict[tuple[int, Endpoint, Endpoint], float] = {}
        self._followed: dict[tuple[int, Endpoint, Endpoint], None] = {}

    # -- the one entry -------------------------------------------------------------------------

    def handle(self, packet: bytes, side: Side, now: float) -> list[Emission]:
        """What becomes of ``packet``, which arrived on ``side`` at ``now`` (seconds). Never raises."""
        # Known UDP flow, no options, no fragment, TTL to spare: patch and go.
        flow = self._flows[side].get(packet[12:24])
        if flow is not None:
            binding = flow.binding
            if (
                now < binding.expires
                and now < flow.until
                and flow.generation == self.nat.generation
                and packet[0] == 0x45
                and packet[9] == UDP
                and packet[8] > 1
                and not packet[6] & 0x3F
                and not packet[7]
                and len(packet) > 27
                and (packet[2] << 8 | packet[3]) == len(packet)
                and (packet[24] << 8 | packet[25]) == len(packet) - 20
            ):
                if not flow.inspected:
                    if flow.refreshes:
                        binding.expires = now + flow.timeout
                    return [Emission(flow.side, patch(packet, flow))]
                binding.before, binding.pending_peer = binding.expires, None
                if flow.refreshes:
                    binding.expires = now + flow.timeout
                return self._inspect_datagram(packet, flow, now)
        try:
            return self._handle(packet, side, now)
        except MalformedPacketError as error:
            return [Emission(None, packet, Fate.MALFORMED, str(error))]
        except PortsExhaustedError as error:
            return [Emission(None, packet, Fate.NO_FREE_PORT, str(error))]

    @property
    def connections(self) -> int:
        """How many TCP connections it inspects."""
        return len(self._connections)

    def reboot(self) -> None:
        """Forget all that was learned from packets, as when the power fails."""
        self.nat.clear()
        self._alg.memory.clear()
        for flows in self._flows:
            flows.clear()
        self._fragments = Reassembler()
        for known in (self._connections, self._ipv6_remotes, self._followed):
            known.clear()

    def next_end(self, now: float) -> float:
        """When something of this gateway's state runs out next, if no packet comes; infinity for never."""
        return min(
            self.nat.next_end(now), min((e for e in self._ipv6_remotes.values() if e > now), default=math.inf)
        )

    def _handle(self, data: bytes, side: Side, now: float) -> list[Emission]:
        packet = ip.parse(data)
        unseen = False  # by the ALG, whatever port it is for
        if packet.is_fragment:
            if self.policy.fragments == "drop":
                return [Emission(None, data, Fate.FRAGMENT_DROPPED)]
            whole = self._fragments.add(packet, data, now)
            if whole is None:
                return [Emission(None, data, Fate.FRAGMENT_KEPT)]
            data, packet = whole, ip.parse(whole)
            unseen = self.policy.fragments == "unprocessed"
        data = data[: len(packet.header) + len(packet.transport) + len(packet.payload)]
        if packet.protocol == UDP and packet.version == 4:
            length = int.from_bytes(packet.transport[4:6], "big")
            if length != 8 + len(packet.payload):
                raise MalformedPacketError("UDP length does not match the packet")
        if packet.ttl <= 1 and packet.dst not in self._own:
            return self._ttl_exceeded(packet, side, data)
        if packet.version == 6:
            return self._ipv6(packet, data, side, now)
        if side is Side.INSIDE:
            return self._from_inside(packet, data, now, unseen=unseen)
        return self._from_outside(packet, data, now, unseen=unseen)

    # -- outbound ------------------------------------------------------------------------------

    def _from_inside(self, packet: Packet, data: bytes, now: float, *, unseen: bool) -> list[Emission]:
        if packet.dst in self._own:
            return self._to_router(packet, data)
        if not self.is_inside(packet.src):
            return [Emission(None, data, Fate.FOREIGN_SOURCE, packet.src)]
        if self.is_inside(packet.dst):
            return [Emission(None, data, Fate.INSIDE_DESTINATION, packet.dst)]
        if packet.dst == self.nat.public_ip:
            return self._hairpin(packet, data, now)
        if ip.is_icmp_error(packet):
            return self._icmp_error(packet, data, Side.INSIDE, now)
        if not packet.transport:
            return [Emission(None, data, Fate.NOT_TRANSLATED, str(packet.protocol))]
        remote = packet.destination
        if packet.protocol == ICMP:
            remote = Endpoint(packet.dst, 0)
        binding = self.nat.outbound(packet.protocol, packet.source, remote, now)
        if packet.protocol == TCP:
            self.nat.note_tcp(binding, remote, packet.flags, now)
        return self._forward(packet, data, Side.INSIDE, binding, remote, math.inf, now, unseen=unseen)

    def _follows(
        self, packet: Packet, binding: Binding, remote: Endpoint, now: float, *, outbound: bool
    ) -> bool:
        """Whether the outside began a flow that the ALG looks at for the sake of whom it reaches."""
        key = (packet.protocol, binding.inside, remote)
        if key in self._followed:
            return True
        if outbound:
            return False  # a session that began otherwise stays what it is
        if self.policy.follow_pinholes:
            wanted = binding.pending_peer == remote and binding.signals(remote, now)
        else:
            # A peer connects from any port: where it connects to says what it wants (RFC 3261 18.1.1).
            wanted = (
                packet.flags & (SYN | ACK) == SYN
                and "tcp" in self.policy.transports
                and (binding.inside.port in self.policy.ports or binding.signals(remote, now))
            )
        if not wanted:
            return False
        if len(self._followed) >= _MAX_FLOWS:
            self._followed.clear()
        self._followed[key] = None
        return True

    def _hairpin(self, packet: Packet, data: bytes, now: float) -> list[Emission]:
        """An inside host sends to the public address (RFC 4787 section 6)."""
        if not self.nat.config.hairpinning:
            return [Emission(None, data, Fate.NO_HAIRPINNING)]
        if ip.is_icmp_error(packet):
            return self._hairpin_error(packet, data, now)
        if packet.protocol not in (UDP, TCP) or not packet.transport:
            return [Emission(None, data, Fate.NO_BINDING, "at the public address")]
        source = self.nat.outbound(packet.protocol, packet.source, packet.destination, now)
        target = self.nat.inbound(packet.protocol, packet.dport, source.outside, now)
        if target is None:
            return [Emission(None, data, Fate.NO_BINDING, f"{source.outside} to public port {packet.dport}")]
        if packet.protocol == TCP:
            self.nat.note_tcp(source, packet.destination, packet.flags, now)
            self.nat.note_tcp(target, source.outside, packet.flags, now)
        turned = packet.with_(
            src=source.outside.ip, sport=source.outside.port, dst=target.inside.ip, dport=target.inside.port
        )
        return [Emission(Side.INSIDE, bytes(turned), Fate.HAIRPINNED)]

    def _hairpin_error(self, packet: Packet, data: bytes, now: float) -> list[Emission]:
        """An error about a packet that turned round here turns round too (RFC 5508 section 4.3)."""
        out = icmp.translate_error(packet, self.nat, now, outbound=True)
        turned = icmp.translate_error(ip.parse(out), self.nat, now, outbound=False) if out else None
        if turned is None:
            return [Emission(None, data, Fate.UNKNOWN_FLOW)]
        return [Emission(Side.INSIDE, turned, Fate.HAIRPINNED)]

    # -- inbound -------------------------------------------------------------------------------

    def _from_outside(self, packet: Packet, data: bytes, now: float, *, unseen: bool) -> list[Emission]:
        if packet.dst != self.nat.public_ip:
            return [Emission(None, data, Fate.FOREIGN_DESTINATION, packet.dst)]
        if ip.is_icmp_error(packet):
            return self._icmp_error(packet, data, Side.OUTSIDE, now)
        if not packet.transport:
            return [Emission(None, data, Fate.NOT_TRANSLATED, str(packet.protocol))]
        remote = Endpoint(packet.src, 0) if packet.protocol == ICMP else packet.source
        binding = self.nat.inbound(packet.protocol, packet.dport, remote, now)
        if binding is None:
            known = self.nat.at_port(packet.protocol, packet.dport, now)
            fate = Fate.FILTERED if known else Fate.NO_BINDING
            return [Emission(None, data, fate, f"{packet.source} to public port {packet.dport}")]
        if packet.protocol == TCP:
            self.nat.note_tcp(binding, remote, packet.flags, now)
        until = self.nat.admitted_until(binding, remote, now)
        return self._forward(packet, data, Side.OUTSIDE, binding, remote, until, now, unseen=unseen)

    # -- the way through -----------------------------------------------------------------------

    def _forward(
        self,
        packet: Packet,
        data: bytes,
        side: Side,
        binding: Binding,
        remote: Endpoint,
        until: float,
        now: float,
        *,
        unseen: bool,
    ) -> list[Emission]:
        """A packet with its binding: to the ALG if it looks at such packets, else translated and on."""
        outbound = side is Side.INSIDE
        port = remote.port
        if self.policy.match == "destination" and packet.protocol == UDP:
            port = packet.dport
        inspected = not unseen and self.policy.inspects(packet.protocol, port)
        if not inspected and not unseen and (self.policy.follow_pinholes or packet.protocol == TCP):
            inspected = self._follows(packet, binding, remote, now, outbound=outbound)
        if inspected and self.policy.signalling_timeout is not None:
            self.nat.impose_timeout(binding, self.policy.signalling_timeout, now, outbound=outbound)
        if inspected and self.policy.refresh == "both":
            binding.expires = now + self.nat.timeout_of(binding)
        inspected = inspected and self._looks
        if packet.protocol == UDP and data[0] == 0x45:
            flow = self._learn(data, side, binding, remote, until, inspected=inspected, keep=not unseen)
            if inspected:
                return self._inspect_datagram(data, flow, now)
            return [Emission(flow.side, patch(data, flow))]
        if inspected and packet.protocol == TCP:
            return self._inspect_tcp(packet, binding, remote, now, outbound=outbound)
        if inspected:  # UDP with IP options
            work = Inspection(self._alg, UDP, binding.inside, binding.outside, remote, binding, now)
            return self._inspect_packet(packet, data, work, side, binding)
        return [Emission(side.other, self._translate(packet, binding, outbound=outbound))]

    def _inspect_datagram(self, data: bytes, flow: Flow, now: float) -> list[Emission]:
        binding = flow.binding
        work = Inspection(self._alg, UDP, binding.inside, binding.outside, flow.remote, binding, now)
        payload = data[28:]
        rewritten = work.rewrite(payload, flow.side is Side.OUTSIDE)
        answers = self._answers(data, flow.side.other, work) if work.answers else []
        if rewritten is None:
            if self.nat.rollback_session(binding):
                self._followed.pop((UDP, binding.inside, flow.remote), None)
            if self.policy.refresh == "nat":
                self.nat.rollback_timer(binding, now)  # what goes no further keeps nothing alive
            return [*answers, Emission(None, data, work.fate, work.detail, error=work.error)]
        if work.binding is not None and work.binding is not binding:
            flow = self._learn(
                data, flow.side.other, work.binding, flow.remote, math.inf, inspected=True, keep=False
            )
        if work.deliver_to is not None:
            flow = self._diverted(data, flow, work.deliver_to)
        if rewritten == payload:
            return [Emission(flow.side, patch(data, flow), error=work.error), *answers]
        size = 28 + len(rewritten)
        if size > ip.MAX_PACKET:
            return [*answers, Emission(None, data, Fate.TOO_LARGE, f"{size} bytes")]
        if self.policy.growth == "drop" and len(data) <= self._mtu < size:
            return [*answers, Emission(None, data, Fate.OUTGREW_MTU)]
        out = rebuild(data, flow, rewritten, self._mtu)
        if self.policy.checksum == "stale":
            out = b"".join((out[:26], data[26:28], out[28:]))
        return [Emission(flow.side, out, changed=True, error=work.error), *answers]

    def _answers(self, data: bytes, side: Side, work: Inspection) -> list[Emission]:
        """Messages that the router sends in the name of the peer that the sender wrote to."""
        packet = ip.parse(data)
        return [
            Emission(side, ip.udp(packet.destination, packet.source, answer), Fate.ANSWERED, originated=True)
            for answer in work.answers
        ]

    def _diverted(self, data: bytes, flow: Flow, inside: Endpoint) -> Flow:
        """The same flow with another inside endpoint: good for one packet, and not kept."""
        addresses = (
            flow.addresses[:4] + ip.pack_ip(inside.ip) + flow.addresses[8:10] + inside.port.to_bytes(2, "big")
        )
        return flow.towards(data[12:24], addresses)

    def _inspect_packet(
        self, packet: Packet, data: bytes, work: Inspection, side: Side, binding: Binding | None
    ) -> list[Emission]:
        """The rare UDP packets that no flow is learnt from: those with IP options, and IPv6."""
        payload = work.rewrite(packet.payload, side is Side.INSIDE)
        answers = self._answers(data, side, work)
        if payload is None:
            return [*answers, Emission(None, data, work.fate, work.detail, error=work.error)]
        size = len(packet.header) + 8 + len(payload)
        if size > ip.MAX_PACKET:
            return [*answers, Emission(None, data, Fate.TOO_LARGE, f"{size} bytes")]
        binding = work.binding
        if work.changed:
            if self.policy.growth == "drop" and len(data) <= self._mtu < size:
                return [*answers, Emission(None, data, Fate.OUTGREW_MTU)]
            packet = packet.with_(payload=payload)
            if size > self._mtu and size > len(data):
                packet = packet.with_(dont_fragment=False)
            data = bytes(packet)
        if binding is not None:
            data = self._translate(packet, binding, outbound=side is Side.INSIDE)
        if work.changed and self.policy.checksum == "stale":
            at = len(packet.header) + 6
            data = b"".join((data[:at], packet.transport[6:8], data[at + 2 :]))
        return [Emission(side.other, data, changed=work.changed, error=work.error), *answers]

    def _inspect_tcp(
        self, packet: Packet, binding: Binding, remote: Endpoint, now: float, *, outbound: bool
    ) -> list[Emission]:
        work = Inspection(self._alg, TCP, binding.inside, binding.outside, remote, binding, now)
        if self.policy.tcp == "unadjusted":
            return self._inspect_segment(packet, binding, work, outbound=outbound)
        key = (binding.inside, remote)
        editor = self._connections.get(key)
        if editor is None:
            if len(self._connections) >= _MAX_CONNECTIONS:
                # An ended connection stays until then: its last packets may be sent again.
                ended = (each for each, editor in self._connections.items() if editor.closed)
                del self._connections[next(ended, next(iter(self._connections)))]
            hold = self.policy.tcp == "stream"
            editor = self._connections[key] = TcpEditor(
                work.rewrite, hold=hold, framed=self.policy.tcp != "payload"
            )
        else:
            editor.rewrite = work.rewrite
        onward, back = (Side.OUTSIDE, Side.INSIDE) if outbound else (Side.INSIDE, Side.OUTSIDE)
        emissions: list[Emission] = []
        for forwarded, each in editor.handle(packet, outbound):
            if forwarded:
                translated = self._translate(each, binding, outbound=outbound)
                changed = work.changed and bool(each.payload)
                emissions.append(
                    Emission(
                        onward, translated, work.fate_onward, work.detail, changed=changed, error=work.error
                    )
                )
            else:
                emissions.append(Emission(back, bytes(each), Fate.HELD_ACKNOWLEDGED, originated=True))
        if not emissions:
            fate = Fate.HELD if work.fate is Fate.FORWARDED else work.fate
            emissions.append(Emission(None, bytes(packet), fate, work.detail, error=work.error))
        return emissions

    def _inspect_segment(
        self, packet: Packet, binding: Binding, work: Inspection, *, outbound: bool
    ) -> list[Emission]:
        """Rewrite whole messages inside one segment, and leave sequence numbers as they are."""
        pieces = [
            work.rewrite(piece, outbound) if complete else piece
            for piece, complete in split_stream(packet.payload)
        ]
        payload = b"".join(piece for piece in pieces if piece is not None)
        edited = packet.with_(payload=payload)
        size = len(packet.header) + len(packet.transport) + len(payload)
        if size - len(payload) + len(packet.payload) <= self._mtu < size:
            if self.policy.growth == "drop":
                return [Emission(None, bytes(packet), Fate.OUTGREW_MTU, error=work.error)]
            edited = edited.with_(dont_fragment=False)  # as in ``rebuild``
        out = self._translate(edited, binding, outbound=outbound)
        onward = Side.OUTSIDE if outbound else Side.INSIDE
        return [Emission(onward, out, work.fate_onward, work.detail, changed=work.changed, error=work.error)]

    # -- everything else -------------------------------------------------------------------------

    def _ipv6(self, packet: Packet, data: bytes, side: Side, now: float) -> list[Emission]:
        """IPv6 passes without translation, behind a stateful filter (RFC 6092) if configured."""
        if packet.dst in self._own or packet.dst.startswith(("fe80:", "ff")):
            return [Emission(None, data, Fate.FOR_ROUTER)]
        outbound = side is Side.INSIDE
        near, far = (packet.source, packet.destination) if outbound else (packet.destination, packet.source)
        filtering = self.nat.config.ipv6_filtering
        if filtering is not None and not (packet.protocol == ICMPV6 and ip.is_icmp_error(packet)):
            key = (packet.protocol, near, filter_key(filtering, far))
            timeout = self.nat.config.tcp_timeout if packet.protocol == TCP else self.nat.config.udp_timeout
            if outbound:
                if len(self._ipv6_remotes) > _MAX_FLOWS:
                    self._ipv6_remotes.clear()
                self._ipv6_remotes[key] = now + timeout
            elif self._ipv6_remotes.get(key, 0.0) <= now:
                return [Emission(None, data, Fate.FILTERED, f"{far} to {near}")]
        if packet.protocol == UDP and self.policy.inspects(UDP, far.port):
            work = Inspection(self._alg, UDP, near, near, far, None, now)
            return self._inspect_packet(packet, data, work, side, None)
        return [Emission(side.other, data)]

    def _icmp_error(self, packet: Packet, data: bytes, side: Side, now: float) -> list[Emission]:
        translated = icmp.translate_error(packet, self.nat, now, outbound=side is Side.INSIDE)
        if translated is None:
            return [Emission(None, data, Fate.UNKNOWN_FLOW)]
        return [Emission(side.other, translated)]

    def _to_router(self, packet: Packet, data: bytes) -> list[Emission]:
        if packet.protocol == ICMP and packet.icmp_type == 8:
            sequence = int.from_bytes(packet.transport[6:8], "big")
            reply = ip.icmp_echo(packet.dst, packet.src, packet.sport, sequence, packet.payload, reply=True)
            return [Emission(Side.INSIDE, reply, Fate.ECHO_REPLY, originated=True)]
        if packet.protocol == UDP:
            error = ip.icmp_error(packet.dst, ip.PORT_UNREACHABLE, data)
            return [Emission(Side.INSIDE, error, Fate.PORT_UNREACHABLE, originated=True)]
        return [Emission(None, data, Fate.FOR_ROUTER)]

    def _ttl_exceeded(self, packet: Packet, side: Side, data: bytes) -> list[Emission]:
        """Drop a packet and tell its sender by an ICMP error (never about an ICMP error)."""
        if ip.is_icmp_error(packet):
            return [Emission(None, data, Fate.TTL_EXCEEDED)]
        if packet.version == 6:
            own = self._inside_address6
        else:
            own = self._inside_address if side is Side.INSIDE else self.nat.public_ip
        error = ip.icmp_error(own, ip.TIME_EXCEEDED, data)
        return [Emission(side, error, Fate.TTL_EXCEEDED, originated=True)]

    # -- helpers ---------------------------------------------------------------------------------

    def is_inside(self, address: str) -> bool:
        """Whether an address belongs to the networks behind this router."""
        known = self._inside_cache.get(address)
        if known is None:
            try:
                parsed = ipaddress.ip_address(address)
            except ValueError:
                known = False  # a host name
            else:
                known = any(parsed in network for network in self._networks)
            if len(self._inside_cache) < 4096:  # addresses come from messages: bound what is kept
                self._inside_cache[address] = known
        return known

    def _translate(self, packet: Packet, binding: Binding, *, outbound: bool) -> bytes:
        if outbound:
            return bytes(packet.with_(src=binding.outside.ip, sport=binding.outside.port))
        port = binding.inside.port
        if packet.protocol == ICMP:  # the identifier stands for both ports
            return bytes(packet.with_(dst=binding.inside.ip, sport=port, dport=port))
        return bytes(packet.with_(dst=binding.inside.ip, dport=port))

    def _learn(
        self,
        data: bytes,
        side: Side,
        binding: Binding,
        remote: Endpoint,
        until: float,
        *,
        inspected: bool,
        keep: bool,
    ) -> Flow:
        """How packets of this UDP flow are patched; noted for those that follow if ``keep``."""
        to = binding.outside if side is Side.INSIDE else binding.inside
        address, port = ip.pack_ip(to.ip), to.port.to_bytes(2, "big")
        if side is Side.INSIDE:
            addresses = address + data[16:20] + port + data[22:24]
        else:
            addresses = data[12:16] + address + data[20:22] + port
        refresh = self.nat.config.refresh.value
        if inspected and self.policy.refresh == "both":
            refresh = "both"
        flow = Flow(
            data[12:24],
            addresses,
            binding,
            remote,
            side.other,
            generation=self.nat.generation,
            refreshes=binding.idle
            or refresh == "both"
            or refresh == ("outbound" if side is Side.INSIDE else "inbound"),
            timeout=self.nat.timeout_of(binding),
            until=until,
            inspected=inspected,
        )
        if keep:
            flows = self._flows[side]
            if len(flows) >= _MAX_FLOWS:
                flows.clear()
            flows[data[12:24]] = flow
        return flow


__all__ = ["Dependence", "Emission", "Gateway", "Side"]
