"""The ALG's work on UDP: takes one datagram, returns what becomes of it and the model's own answers."""

from __future__ import annotations

import math

from siplab.lab.gateway.binding import Binding
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.flow import Flow, FlowTable, patch, rebuild, translate
from siplab.lab.gateway.inspection import Alg, Inspection
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import UDP, Packet


class UdpInspector:
    """Puts datagrams through the ALG. ``mtu``: in bytes, of both networks."""

    def __init__(self, alg: Alg, flows: FlowTable, mtu: int) -> None:
        self._alg = alg
        self._policy = alg.model.policy
        self._flows = flows
        self._mtu = mtu

    def datagram(self, data: bytes, flow: Flow, now: float) -> list[Emission]:
        """A datagram of a known flow."""
        binding = flow.binding
        work = Inspection(self._alg, UDP, binding.inside, binding.outside, flow.remote, binding, now)
        payload = data[28:]
        rewritten = work.rewrite(payload, flow.side is Side.OUTSIDE)
        answers = self._answers(data, flow.side.other, work) if work.answers else []
        if rewritten is None:
            if self._alg.nat.rollback_session(binding):
                self._flows.unfollow(UDP, binding.inside, flow.remote)
            if self._policy.refresh == "nat":
                self._alg.nat.rollback_timer(binding, now)  # a dropped packet keeps nothing alive
            return [*answers, Emission(None, data, work.fate, work.detail, error=work.error)]
        if work.binding is not None and work.binding is not binding:
            flow = self._flows.learn(
                data, flow.side.other, work.binding, flow.remote, math.inf, now, inspected=True, keep=False
            )
        if work.deliver_to is not None:
            flow = flow.delivered_to(data[12:24], work.deliver_to)
        if rewritten == payload:
            return [Emission(flow.side, patch(data, flow), error=work.error), *answers]
        size = 28 + len(rewritten)
        if size > ip.MAX_PACKET:
            return [*answers, Emission(None, data, Fate.TOO_LARGE, f"{size} bytes")]
        if len(data) <= self._mtu < size and self._policy.loses_what_grew(dont_fragment=bool(data[6] & 0x40)):
            return [*answers, Emission(None, data, Fate.OUTGREW_MTU)]
        out = rebuild(data, flow, rewritten, self._mtu)
        if self._policy.checksum == "stale":
            out = b"".join((out[:26], data[26:28], out[28:]))
        return [Emission(flow.side, out, changed=True, error=work.error), *answers]

    def packet(
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
            if len(data) <= self._mtu < size and self._policy.loses_what_grew(
                dont_fragment=packet.dont_fragment
            ):
                return [*answers, Emission(None, data, Fate.OUTGREW_MTU)]
            packet = packet.with_(payload=payload)
            if size > self._mtu and size > len(data):
                packet = packet.with_(dont_fragment=False)
            data = bytes(packet)
        if binding is not None:
            data = translate(packet, binding, outbound=side is Side.INSIDE)
        if work.changed and self._policy.checksum == "stale":
            at = len(packet.header) + 6
            data = b"".join((data[:at], packet.transport[6:8], data[at + 2 :]))
        return [Emission(side.other, data, changed=work.changed, error=work.error), *answers]

    def _answers(self, data: bytes, side: Side, work: Inspection) -> list[Emission]:
        """Messages that the router sends in the name of the peer that the sender wrote to."""
        packet = ip.parse(data)
        return [
            Emission(side, ip.udp(packet.destination, packet.source, answer), Fate.ANSWERED, originated=True)
            for answer in work.answers
        ]
