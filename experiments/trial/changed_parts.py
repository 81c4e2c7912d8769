"""Which parts of SIP messages routers changed in a trial, in which messages, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from siplab.experiments.trial.entries import Entries, is_one_message
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.wire.labels import label_of
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import Passage


@dataclass(frozen=True)
class ChangedPart:
    """One part of one kind of message that one gateway changed.

    ``entered``: on which side of the gateway the message came in. ``message``: its label (``REGISTER``,
    ``200 OK (INVITE)``), empty if it is no SIP message. ``part``: one of the names of ``lab.wire.compare``;
    ``None`` if the part can't be determined, as in a TCP segment with only a piece of a message. ``packets``:
    number of packets with this change.
    """

    gateway: str
    entered: Literal["inside", "outside"]
    message: str
    part: str | None
    packets: int


class _Place(NamedTuple):
    gateway: str
    side: Side
    message: str
    part: str | None


def changed_parts(passages: Iterable[Passage]) -> list[ChangedPart]:
    """What gateways changed, in the order in which each change was first seen."""
    entries, found = Entries(), Counter[_Place]()
    for passage in passages:
        changed = [each for each in passage.emissions if each.changed and each.side is not None]
        if not changed and not _is_fragment(passage.packet):
            continue
        entered = entries.whole(passage)
        for emission in changed:
            message, parts = _compared(entered, emission)
            found.update(_Place(passage.gateway, passage.side, message, part) for part in parts)
    return [
        ChangedPart(each.gateway, "inside" if each.side is Side.INSIDE else "outside", *each[2:], count)
        for each, count in found.items()
    ]


def _is_fragment(packet: bytes) -> bool:
    """Whether this is an IPv4 fragment. All fragments must be read, or the last one can't be put together."""
    return len(packet) >= 8 and packet[0] >> 4 == 4 and (packet[6] & 0x3F != 0 or packet[7] != 0)


def _compared(entered: ip.Packet | None, emission: Emission) -> tuple[str, list[str | None]]:
    """The label of the message, and the parts of it that the gateway changed."""
    try:
        left = ip.parse(emission.packet)
    except MalformedPacketError:
        return "", [None]
    if entered is None:
        return "", [None]
    label = label_of(SipMessage.parse(entered.payload))
    if entered.protocol == ip.TCP and not (is_one_message(entered.payload) and is_one_message(left.payload)):
        return label, [None]
    return label, [*differences(entered.payload, left.payload)] or [None]
