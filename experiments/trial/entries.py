"""The packets that entered gateways, as the gateways worked on them."""

from __future__ import annotations

from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.wire.sip import SipMessage, split_stream
from siplab.lab.worlds.trace import Passage


class Entries:
    """The packets that entered gateways, fragments put together, as the gateways saw them."""

    def __init__(self) -> None:
        self._fragments: dict[tuple[str, Side], Reassembler] = {}

    def whole(self, passage: Passage) -> ip.Packet | None:
        """What the gateway worked on; ``None`` for no sound packet, and while fragments are missing.

        Passages must come in order: a fragment means nothing without those before it.
        """
        try:
            packet = ip.parse(passage.packet)
            if packet.is_fragment:
                reassembler = self._fragments.setdefault((passage.gateway, passage.side), Reassembler())
                data = reassembler.add(packet, passage.packet, passage.now)
                return None if data is None else ip.parse(data)
        except MalformedPacketError:
            return None
        return packet


def is_one_message(data: bytes) -> bool:
    """Whether a TCP segment's payload is one whole SIP message."""
    return SipMessage.parse(data).is_sip and [done for _, done in split_stream(data)] == [True]
