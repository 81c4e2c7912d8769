"""One program's SIP, message by message, as seen by the tap on its host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from siplab.lab.wire import ip
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.streams import TapStreams
from siplab.lab.worlds.trace import Received, Segment, Sent, Trace, looks_like_sip

_TAG: Final = re.compile(rb";\s*tag=([^;\s>]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """A message at a host; ``leaving``: the program sent it. ``cseq``: its CSeq number, -1 if it has none."""

    now: float
    leaving: bool
    message: SipMessage

    @property
    def call_id(self) -> str:
        return self.message.value(b"call-id").strip().decode("latin-1")

    @property
    def cseq(self) -> int:
        word = self.message.value(b"cseq").split()[:1]
        return int(word[0]) if word and word[0].isdigit() and len(word[0]) < 11 else -1

    def is_final(self, method: bytes) -> bool:
        """Whether this is a final response to a request of this method."""
        status = self.message.status
        return status is not None and status >= 200 and self.message.method == method


class SipView:
    """The messages of the program on ``host`` whose SIP port is ``port``. Encrypted messages are not seen."""

    def __init__(self, trace: Trace, host: str, port: int) -> None:
        self.seen: list[Seen] = []
        self.call_ids: dict[str, None] = {}  # of the program's calls, the oldest first
        self.own_tags: set[bytes] = set()  # the program's own, in its calls
        self._trace, self._host, self._port = trace, host, port
        self._read = 0
        self._streams = TapStreams()
        self._connected: set[int] = set()  # ports of the program's TCP connections

    def update(self) -> list[Seen]:
        """Read new packets. Returns the new messages."""
        records = self._trace.records
        before = len(self.seen)
        while self._read < len(records):
            record = records[self._read]
            self._read += 1
            if isinstance(record, Sent | Received):
                if record.host == self._host and record.local.port == self._port:
                    self._add(record.now, isinstance(record, Sent), record.payload)
            elif isinstance(record, Segment) and record.host == self._host:
                for payload in self._completed(record):
                    self._add(record.now, record.leaving, payload)
        return self.seen[before:]

    def _completed(self, record: Segment) -> Iterator[bytes]:
        packet = ip.parse(record.packet)
        yield from self._streams.add(self._host, record.leaving, packet)

    def _add(self, now: float, leaving: bool, payload: bytes) -> None:
        if looks_like_sip(payload):
            self.seen.append(Seen(now, leaving, SipMessage.parse(payload)))
            self._note(self.seen[-1])

    def _note(self, seen: Seen) -> None:
        """Remember the message's call, and the program's own tag in it (RFC 3261 section 19.3)."""
        message = seen.message
        if message.method != b"INVITE":
            return
        self.call_ids.setdefault(seen.call_id)
        own = b"from" if seen.leaving == message.is_request else b"to"
        if tag := _TAG.search(message.value(own)):
            self.own_tags.add(tag[1])


def unconfirmed(seen: list[Seen], since: float, now: float) -> str:
    """Why a call that was answered after ``since`` will end by itself; empty if it will not.

    A callee repeats its 2xx until the ACK comes, at intervals that double from 0.5 s to 4 s. Without an ACK
    it hangs up after 32 s (RFC 3261 section 13.3.1.4). So 3.5 s after the first 2xx this can be seen.
    """
    answers = [
        each
        for each in seen
        if each.leaving and each.now >= since and each.is_final(b"INVITE") and each.message.status < 300  # type: ignore[operator]
    ]
    if not answers:
        return ""
    first = next(each for each in answers if each.call_id == answers[-1].call_id)
    repeated = [each for each in answers if each.call_id == first.call_id and each.cseq == first.cseq]
    if repeated[-1].now - first.now > LATE:
        return (
            f"the 200 is still repeated {repeated[-1].now - first.now:.1f} s after the answer: no ACK comes"
        )
    acks = (
        each for each in seen if not each.leaving and each.message.method == b"ACK" and each.now >= first.now
    )
    if next(acks, None) is None and now - first.now > LATE:
        return f"no ACK has come {now - first.now:.1f} s after the answer"
    return ""


LATE = 2.9
"""Seconds after the first 2xx. A repetition later than this is the one that is due at 3.5 s."""
