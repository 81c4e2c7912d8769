"""The latest SIP messages that passed the routers of a running lab."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.worlds.trace import Passage, Record, looks_like_sip

MOST: Final = 300  # messages that are kept
AT_ONCE: Final = 10  # messages in one answer, which must not be too long for the connection
_LONGEST: Final = 4000  # bytes of a message that are shown
_COPIES: Final = 2  # packets that left, shown for each message


class Passed:
    """Numbers each message, from 1 on, as it passes."""

    def __init__(self) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=MOST)
        self._count = 0

    def take(self, record: Record) -> None:
        """Take a record of the trace."""
        if not isinstance(record, Passage):
            return
        before = _sip(record.packet)
        after = [text for each in record.emissions if each.side is not None and (text := _sip(each.packet))]
        if before is None and not after:
            return
        self._count += 1
        self._rows.append(
            {
                "number": self._count,
                "seconds": round(record.now, 3),
                "gateway": record.gateway,
                "from": "inside" if record.side is Side.INSIDE else "outside",
                "before": before or "",
                "after": after[:_COPIES],
                "changed": any(each.changed for each in record.emissions),
            }
        )

    def since(self, number: int) -> list[dict[str, Any]]:
        """The messages after that number, the oldest first; if there are many, only some of them."""
        return [each for each in self._rows if each["number"] > number][:AT_ONCE]


def _sip(packet: bytes) -> str | None:
    try:
        payload = ip.parse(packet).payload
    except MalformedPacketError:
        return None
    return payload[:_LONGEST].decode("utf-8", "replace") if looks_like_sip(payload) else None
