"""The ALG's work on TCP: takes one segment, and returns what leaves in its place."""

from __future__ import annotations

from typing import Final

from siplab.lab.gateway.binding import Binding
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.flow import translate
from siplab.lab.gateway.inspection import Alg, Inspection
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.gateway.tcp import TcpEditor
from siplab.lab.gateway.tcp_offsets import OffsetEditor
from siplab.lab.wire.ip import TCP, Endpoint, Packet
from siplab.lab.wire.sip import split_stream

_MAX_CONNECTIONS: Final = 1024


class TcpInspector:
    """Puts messages on TCP through the ALG; ``connections`` are those that it knows. ``mtu``: in bytes."""

    def __init__(self, alg: Alg, mtu: int) -> None:
        self.connections: dict[tuple[Endpoint, Endpoint], TcpEditor | OffsetEditor] = {}
        self._alg = alg
        self._policy = alg.model.policy
        self._mtu = mtu

    def segment(
        self, packet: Packet, binding: Binding, remote: Endpoint, now: float, *, outbound: bool
    ) -> list[Emission]:
        """A segment of an inspected connection."""
        work = Inspection(self._alg, TCP, binding.inside, binding.outside, remote, binding, now)
        if self._policy.tcp == "unadjusted":
            return self._unadjusted(packet, binding, work, outbound=outbound)
        key = (binding.inside, remote)
        editor = self.connections.get(key)
        if editor is None:
            if len(self.connections) >= _MAX_CONNECTIONS:
                # Ended connections stay until room is needed: their last packets may be sent again.
                ended = (each for each, editor in self.connections.items() if editor.closed)
                del self.connections[next(ended, next(iter(self.connections)))]
            if self._policy.tcp == "payload":
                editor = OffsetEditor()
            else:
                editor = TcpEditor(work.rewrite, hold=self._policy.tcp == "stream")
            self.connections[key] = editor
        if isinstance(editor, OffsetEditor):
            left = editor.handle(
                packet, outbound, lambda data, way: (work.rewrite(data, way), not work.uncounted)
            )
            if left is None:
                return [Emission(None, bytes(packet), work.fate, work.detail, error=work.error)]
            return [self._edited(packet, left, binding, work, outbound=outbound)]
        editor.rewrite = work.rewrite
        onward, back = (Side.OUTSIDE, Side.INSIDE) if outbound else (Side.INSIDE, Side.OUTSIDE)
        emissions: list[Emission] = []
        for forwarded, each in editor.handle(packet, outbound):
            if forwarded:
                translated = translate(each, binding, outbound=outbound)
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

    def _unadjusted(
        self, packet: Packet, binding: Binding, work: Inspection, *, outbound: bool
    ) -> list[Emission]:
        """Rewrite whole messages inside one segment, and leave sequence numbers as they are."""
        pieces = [
            work.rewrite(piece, outbound) if complete else piece
            for piece, complete in split_stream(packet.payload)
        ]
        payload = b"".join(piece for piece in pieces if piece is not None)
        return [self._edited(packet, packet.with_(payload=payload), binding, work, outbound=outbound)]

    def _edited(
        self, packet: Packet, edited: Packet, binding: Binding, work: Inspection, *, outbound: bool
    ) -> Emission:
        """The edited segment as it leaves, unless it has become too long for the network."""
        size = len(edited.header) + len(edited.transport) + len(edited.payload)
        if size - len(edited.payload) + len(packet.payload) <= self._mtu < size:
            if self._policy.loses_what_grew(dont_fragment=packet.dont_fragment):
                return Emission(None, bytes(packet), Fate.OUTGREW_MTU, error=work.error)
            edited = edited.with_(dont_fragment=False)  # as in ``rebuild``
        out = translate(edited, binding, outbound=outbound)
        onward = Side.OUTSIDE if outbound else Side.INSIDE
        return Emission(onward, out, work.fate_onward, work.detail, changed=work.changed, error=work.error)
