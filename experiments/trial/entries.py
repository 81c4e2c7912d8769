"""The packets that entered gateways, in the form in which the gateways handled them."""

from __future__ import annotations

from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.wire.sip import SipMessage, split_stream
from siplab.lab.worlds.trace import Passage


class Entries:
    """The packets that entered gateways, with fragments put together."""

    def __init__(self) -> None:
        self._fragments: dict[tuple[str, Side], Reassembler] = {}

    def whole(self, passage: Passage) -> ip.Packet | None:
        """The packet that the gateway handled; ``None`` if it is malformed or if fragments are missing.

        Passages must be given in order: a fragment needs those before it.
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
