"""The emulated router: NAT, pinholes and an ALG model, as one pure state machine.

    handle(packet: bytes, side: Side, now: float) -> list[Emission]

The rules of this file:

- Every packet handed in gets an answer, whatever its bytes are. The list is never empty:
  a packet that leaves nowhere has an ``Emission`` without a side, whose fate says why.
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
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from siplab.lab.gateway import icmp
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.binding import Binding
from siplab.lab.gateway.binding_table import PortsExhaustedError
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.firewall import FirewallRule, denied_by
from siplab.lab.gateway.flow import patch, translate
from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.gateway.inspection import Inspection
from siplab.lab.gateway.ipv6_filter import Ipv6Filter
from siplab.lab.gateway.nat import Nat
from siplab.lab.gateway.nat_config import Dependence, NatConfig
from siplab.lab.gateway.own_address import OwnAddress
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.gateway.treatment import Treatment
from siplab.lab.wire import ip
from siplab.lab.wire.icmp import is_icmp_error
from siplab.lab.wire.ip import ICMP, TCP, UDP, Endpoint, MalformedPacketError, Packet

_network = lru_cache(maxsize=256)(ipaddress.ip_network)


def _nothing_is_hidden(address: str) -> bool:
    """``is_inside`` for the ALG of a router that only routes: no address is hidden from the outside."""
    return False


class _Admitted(NamedTuple):
    """A packet that the NAT lets through, with what the NAT knows of its flow.

    ``data``: its bytes. ``side``: where it came from. ``until``: when its permission ends, if a pinhole
    gave it; else infinity. ``unseen``: no ALG looks at it.
    """

    packet: Packet
    data: bytes
    side: Side
    binding: Binding
    remote: Endpoint
    until: float
    unseen: bool


class Gateway:
    """One router.

    ``inside_networks``: the prefixes behind it. ``inside_addresses`` are the router's own
    addresses there and ``public_ip`` its one on the outside. The NAT draws from ``rng``, the model from the
    generator that ``model_rng`` makes (``None``: from ``rng`` too). ``mtu``: in bytes, of both networks.
    ``firewall``: its rules. ``later``: the public address after ``renumber``; empty: it stays the same.
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
        model_rng: Callable[[], random.Random] | None = None,
        mtu: int = ip.DEFAULT_MTU,
        firewall: Sequence[FirewallRule] = (),
        later: str = "",
    ) -> None:
        config: Any = nat or NatConfig()
        if model.recipe.nat:  # a faulty router's own choices
            config = replace(config, **model.recipe.nat)
        self.nat = Nat(config, public_ip, rng)
        self._own = OwnAddress(inside_addresses, public_ip)
        self.later = later
        self._networks = [_network(each) for each in inside_networks]
        self._inside_cache: dict[str, bool] = {}
        self._fragments = Reassembler()
        self._ipv6_filter = Ipv6Filter(config)
        self._firewall = tuple(firewall)
        self._mtu = mtu
        self._elders: dict[Binding, Treatment] = {}  # flows that go on under an earlier model
        self._make_generator = model_rng or (lambda: rng)
        self._take(model, self._make_generator)

    # -- the one entry -------------------------------------------------------------------------

    def handle(self, packet: bytes, side: Side, now: float) -> list[Emission]:
        """What becomes of ``packet``, which arrived on ``side`` at ``now`` (seconds). Never raises."""
        # Known UDP flow, no options, no fragment, TTL to spare: patch and go.
        flow = self._known[side].get(packet[12:24])
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
                return self._udp.datagram(packet, flow, now)
        try:
            return self._handle(packet, side, now)
        except MalformedPacketError as error:
            return [Emission(None, packet, Fate.MALFORMED, str(error))]
        except PortsExhaustedError as error:
            return [Emission(None, packet, Fate.NO_FREE_PORT, str(error))]

    def _take(self, model: Model, make_generator: Callable[[], random.Random]) -> None:
        hidden = self.is_inside if self.nat.config.translates else _nothing_is_hidden
        self._treatment = treatment = Treatment(
            model, self.nat, make_generator, hidden, self._own.inside, self._mtu
        )
        self.model, self.policy = model, treatment.policy
        self._known, self._udp = treatment.flows.known, treatment.udp

    @property
    def public_ip(self) -> str:
        """Its address outside."""
        return self.nat.public_ip

    @property
    def connections(self) -> int:
        """How many TCP connections it inspects."""
        return len(self._treatment.tcp.connections)

    def reboot(self) -> None:
        """Forget all that was learned from packets, as when the power fails, and take ``after_restart``."""
        self.forget()
        if self.model.after_restart is not self.model:
            self._take(self.model.after_restart, self._make_generator)

    def forget(self) -> None:
        """Forget all that was learned from packets."""
        self.nat.clear()
        self._elders.clear()
        self._treatment.clear()
        self._fragments = Reassembler()
        self._ipv6_filter.clear()

    def renumber(self) -> None:
        """The line is renewed: the public address and ``later`` change places.

        All flows have ended, so the router forgets what it has learned of them. With the setting
        ``mappings_outlive_address`` it forgets nothing, and its bindings keep their old public address.
        """
        nat = self.nat
        if self.later:
            nat.public_ip, self.later = self.later, nat.public_ip
            self._own.renumber(nat.public_ip)
        if nat.config.mappings_outlive_address:
            nat.generation += 1  # so the short way no longer takes packets for the old address
        else:
            self.forget()

    def swap(
        self, model: Model, rng: random.Random, now: float, *, flows: Literal["all", "new"] = "all"
    ) -> None:
        """Put another model in while flows are up, as when somebody switches an ALG on or off.

        Bindings stay, and pinholes until their timers run out; the new model's memory starts empty.
        ``flows``: ``all``: the new model gets every packet from now on. ``new``: flows that have a binding
        stay with the old model, as in Linux, which chooses a flow's helper when the flow begins. A TCP
        connection stays with the model that inspects it, which may have shifted its sequence numbers.
        The NAT settings of a model (``Recipe.nat``) are not swapped.
        """
        old = self._treatment
        for binding in self.nat.bindings:
            if not binding.alive(now):
                self._elders.pop(binding, None)
            elif flows == "new" or self._elders.get(binding, old).inspects_connection(binding):
                self._elders.setdefault(binding, old)
            else:
                self._elders.pop(binding, None)
        self._take(model, lambda: rng)

    def next_end(self, now: float) -> float:
        """When the gateway's next timer runs out (seconds) if no packet comes; infinity for never."""
        return min(self.nat.next_end(now), self._ipv6_filter.next_end(now))

    def _handle(self, data: bytes, side: Side, now: float) -> list[Emission]:
        packet = ip.parse(data)
        unseen = False  # whether the ALG ignores it, whatever its port
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
        if packet.ttl <= 1 and packet.dst not in self._own.all_inside:
            return self._own.ttl_exceeded(packet, side, data)
        if packet.version == 6 or not self.nat.config.translates:
            return self._untranslated(packet, data, side, now)
        if side is Side.INSIDE:
            return self._from_inside(packet, data, now, unseen=unseen)
        return self._from_outside(packet, data, now, unseen=unseen)

    # -- outbound ------------------------------------------------------------------------------

    def _from_inside(self, packet: Packet, data: bytes, now: float, *, unseen: bool) -> list[Emission]:
        if packet.dst in self._own.all_inside:
            return self._own.answer(packet, data)
        if not self.is_inside(packet.src):
            return [Emission(None, data, Fate.FOREIGN_SOURCE, packet.src)]
        if self.is_inside(packet.dst):
            return [Emission(None, data, Fate.INSIDE_DESTINATION, packet.dst)]
        if packet.dst == self.nat.public_ip:
            return self._hairpin(packet, data, now)
        if is_icmp_error(packet):
            return self._icmp_error(packet, data, Side.INSIDE, now)
        if not packet.transport:
            return [Emission(None, data, Fate.NOT_TRANSLATED, str(packet.protocol))]
        remote = packet.destination
        if packet.protocol == ICMP:
            remote = Endpoint(packet.dst, 0)
        if self._firewall:
            known = self.nat.find(packet.protocol, packet.source, remote, now)
            new = known is None or remote not in known.remotes
            rule = denied_by(self._firewall, packet.protocol, packet.dport, outbound=True, new=new)
            if rule is not None:
                return [Emission(None, data, Fate.FIREWALL, str(rule))]
        binding = self.nat.outbound(packet.protocol, packet.source, remote, now)
        if packet.protocol == TCP:
            self.nat.note_tcp(binding, remote, packet.flags, now)
        return self._forward(_Admitted(packet, data, Side.INSIDE, binding, remote, math.inf, unseen), now)

    def _hairpin(self, packet: Packet, data: bytes, now: float) -> list[Emission]:
        """An inside host sends to the public address (RFC 4787 section 6)."""
        if not self.nat.config.hairpinning:
            return [Emission(None, data, Fate.NO_HAIRPINNING)]
        if is_icmp_error(packet):
            error = icmp.translate_hairpin_error(packet, self.nat, now)
            if error is None:
                return [Emission(None, data, Fate.UNKNOWN_FLOW)]
            return [Emission(Side.INSIDE, error, Fate.HAIRPINNED)]
        if packet.protocol not in (UDP, TCP) or not packet.transport:
            return [Emission(None, data, Fate.NO_BINDING, "at the public address")]
        source = self.nat.outbound(packet.protocol, packet.source, packet.destination, now)
        target = self.nat.inbound(packet.protocol, packet.dport, source.outside, now)
        if target is None:
            return [Emission(None, data, Fate.NO_BINDING, f"{source.outside} to public port {packet.dport}")]
        method = packet.payload.partition(b" ")[0].decode("latin-1")
        if packet.protocol == UDP and method in self.policy.hairpin_loses:
            return [Emission(None, data, Fate.NO_HAIRPINNING, method)]
        if packet.protocol == TCP:
            self.nat.note_tcp(source, packet.destination, packet.flags, now)
            self.nat.note_tcp(target, source.outside, packet.flags, now)
        turned = packet.with_(
            src=source.outside.ip, sport=source.outside.port, dst=target.inside.ip, dport=target.inside.port
        )
        return [Emission(Side.INSIDE, bytes(turned), Fate.HAIRPINNED)]

    # -- inbound -------------------------------------------------------------------------------

    def _from_outside(self, packet: Packet, data: bytes, now: float, *, unseen: bool) -> list[Emission]:
        if packet.dst != self.nat.public_ip:
            return [Emission(None, data, Fate.FOREIGN_DESTINATION, packet.dst)]
        if is_icmp_error(packet):
            return self._icmp_error(packet, data, Side.OUTSIDE, now)
        if not packet.transport:
            return [Emission(None, data, Fate.NOT_TRANSLATED, str(packet.protocol))]
        remote = Endpoint(packet.src, 0) if packet.protocol == ICMP else packet.source
        binding = self.nat.inbound(packet.protocol, packet.dport, remote, now)
        if binding is None:
            known = self.nat.at_port(packet.protocol, packet.dport, now)
            fate = Fate.FILTERED if known else Fate.NO_BINDING
            return [Emission(None, data, fate, f"{packet.source} to public port {packet.dport}")]
        if self._firewall:
            new = binding.pending_peer == remote or remote not in binding.remotes
            rule = denied_by(self._firewall, packet.protocol, binding.inside.port, outbound=False, new=new)
            if rule is not None:
                self.nat.rollback_timer(binding, now)
                self.nat.rollback_session(binding)
                return [Emission(None, data, Fate.FIREWALL, str(rule))]
        if packet.protocol == TCP:
            self.nat.note_tcp(binding, remote, packet.flags, now)
        until = self.nat.admitted_until(binding, remote, now)
        return self._forward(_Admitted(packet, data, Side.OUTSIDE, binding, remote, until, unseen), now)

    # -- the way through -----------------------------------------------------------------------

    def _forward(self, admitted: _Admitted, now: float) -> list[Emission]:
        """Give a packet with its binding to the ALG if that looks at such packets; else translate it."""
        binding = admitted.binding
        treatment = self._treatment
        if self._elders:
            treatment = self._elders.get(binding, treatment)
        emissions = self._treated(treatment, admitted, now)
        policy = treatment.policy
        if policy.dscp is None:
            return emissions
        if not (binding.reserved or policy.inspects(admitted.packet.protocol, admitted.remote.port)):
            return emissions
        return [each._replace(packet=ip.marked(each.packet, policy.dscp)) for each in emissions]

    def _treated(self, treatment: Treatment, admitted: _Admitted, now: float) -> list[Emission]:
        packet, data, side, binding, remote, until, unseen = admitted
        policy = treatment.policy
        outbound = side is Side.INSIDE
        port = remote.port
        if policy.match == "destination" and packet.protocol == UDP:
            port = packet.dport
        inspected = not unseen and policy.inspects(packet.protocol, port)
        if not inspected and not unseen and (policy.follow_pinholes or packet.protocol == TCP):
            inspected = treatment.flows.follows(packet, binding, remote, now, outbound=outbound)
        if inspected and policy.signalling_timeout is not None:
            self.nat.impose_timeout(binding, policy.signalling_timeout, now, outbound=outbound)
        if inspected and policy.refresh == "both":
            binding.expires = now + self.nat.timeout_of(binding, now)
        inspected = inspected and treatment.looks
        if packet.protocol == UDP and data[0] == 0x45:
            flow = treatment.flows.learn(
                data,
                side,
                binding,
                remote,
                until,
                now,
                inspected=inspected,
                keep=not unseen and policy.dscp is None,  # the short way sets no DSCP
            )
            if inspected:
                return treatment.udp.datagram(data, flow, now)
            return [Emission(flow.side, patch(data, flow))]
        if inspected and packet.protocol == TCP:
            return treatment.tcp.segment(packet, binding, remote, now, outbound=outbound)
        if inspected:  # UDP with IP options
            work = Inspection(treatment.alg, UDP, binding.inside, binding.outside, remote, binding, now)
            return treatment.udp.packet(packet, data, work, side, binding)
        return [Emission(side.other, translate(packet, binding, outbound=outbound))]

    def _icmp_error(self, packet: Packet, data: bytes, side: Side, now: float) -> list[Emission]:
        translated = icmp.translate_error(packet, self.nat, now, outbound=side is Side.INSIDE)
        if translated is None:
            return [Emission(None, data, Fate.UNKNOWN_FLOW)]
        return [Emission(side.other, translated)]

    # -- IPv6, and routers that only route -------------------------------------------------------

    def _untranslated(self, packet: Packet, data: bytes, side: Side, now: float) -> list[Emission]:
        """A packet that is not translated; it must pass a stateful filter (RFC 6092) if configured."""
        if packet.dst in self._own.all_inside or packet.dst.startswith(("fe80:", "ff")):
            return [Emission(None, data, Fate.FOR_ROUTER)]
        outbound = side is Side.INSIDE
        near, far = (packet.source, packet.destination) if outbound else (packet.destination, packet.source)
        port = packet.dport if packet.protocol in (UDP, TCP) and packet.transport else 0
        rule = denied_by(self._firewall, packet.protocol, port, outbound=outbound, new=outbound)
        if rule is not None:
            return [Emission(None, data, Fate.FIREWALL, str(rule))]
        if not self._ipv6_filter.admits(packet, near, far, now, outbound=outbound):
            return [Emission(None, data, Fate.FILTERED, f"{far} to {near}")]
        if packet.protocol == UDP and self.policy.inspects(UDP, far.port):
            work = Inspection(self._treatment.alg, UDP, near, near, far, None, now)
            return self._treatment.udp.packet(packet, data, work, side, None)
        return [Emission(side.other, data)]

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
            if len(self._inside_cache) < 4096:  # messages can name any number of addresses
                self._inside_cache[address] = known
        return known


__all__ = ["Dependence", "Emission", "Gateway", "Side"]
