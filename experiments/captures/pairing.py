"""Pairs the messages in captures of a router's two sides: which message outside is which one inside.

The rules of this file:

- A message is paired with at most one other, which has the same method and status. Messages with equal bytes
  are paired first, then those with most in common of what survives rewriting: branch, Call-ID, tags and CSeq,
  all without the addresses in them, and the lines.
- The captures' clocks may differ. Sure pairs show by how much; messages that do not fit this are not paired.
- **A message that is missing in one capture is a finding of its own.** The network, the router or the
  capturing program may have lost it. Nothing here blames the router.
- A message that came out and never went in counts as ``made`` by the router only if the other capture covers
  that time and misses nothing else, and if there are several such messages; or if the caller knows that both
  captures are complete.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import Final

from siplab.experiments.captures.reading import Datagram
from siplab.experiments.captures.sides import Crossing, crossings
from siplab.lab.wire.compare import differences
from siplab.lab.wire.headers import cseq, tag_of, vias
from siplab.lab.wire.sip import SipMessage

_ADDRESS: Final = re.compile(rb"\[[0-9a-fA-F:.]+\]|(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?")
_TAG: Final = re.compile(rb";\s*tag=[^;>\s]*", re.IGNORECASE)
_ENOUGH: Final = 4.0  # points from which two messages are a pair
_WINDOW: Final = 2.0  # seconds that a message may be late, once the clocks' offset is known
_SAME_TIME: Final = 0.3  # seconds; the limit if only time and lines show that two messages belong together
_SAME_LINES: Final = 0.6  # the share of equal lines needed then
_MOST_ALIKE: Final = 64  # messages of one kind that are compared with each other


@dataclass(eq=False)
class Message:
    """A SIP message at one side, with all equal copies. ``times``: the copies' times, in seconds."""

    outbound: bool
    datagram: Datagram
    times: list[float] = field(default_factory=list)

    @property
    def payload(self) -> bytes:
        return self.datagram.payload

    @cached_property
    def parsed(self) -> SipMessage:
        return SipMessage.parse(self.payload)

    @cached_property
    def kind(self) -> tuple[bool, int, bytes]:
        """Direction (outbound?), status (0: a request) and method."""
        return self.outbound, self.parsed.status or 0, self.parsed.method

    @cached_property
    def label(self) -> str:
        """``INVITE``, or ``180 (INVITE)``."""
        method = self.parsed.method.decode("ascii", "backslashreplace")[:20] or "message"
        return f"{self.parsed.status} ({method})" if self.parsed.status else method

    @cached_property
    def number(self) -> int:
        """The number of the CSeq; -1: there is none."""
        found = cseq(self.parsed.value(b"cseq"))
        return found[0] if found else -1

    @cached_property
    def marks(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Branch, Call-ID, From tag and To tag, without the addresses in them."""
        value = self.parsed.value
        first = vias(value(b"via"))
        texts = (
            first[0].branch if first else b"",
            value(b"call-id"),
            tag_of(value(b"from")),
            tag_of(value(b"to")),
        )
        branch, call_id, from_tag, to_tag = (_ADDRESS.sub(b"*", each) for each in texts)
        return branch, call_id, from_tag, to_tag

    @cached_property
    def lines(self) -> frozenset[bytes]:
        """The message's lines without addresses, ports and tags."""
        return frozenset(
            _TAG.sub(b"", _ADDRESS.sub(b"*", line)) for line in self.payload.splitlines()[1:] if line
        )


@dataclass(frozen=True)
class Pair:
    """A message before and after the router. ``sent``: as it went in; ``came``: as it came out."""

    sent: Message
    came: Message

    @property
    def changed(self) -> list[str]:
        """The names of the parts that differ (``siplab.lab.wire.compare``)."""
        return differences(self.sent.payload, self.came.payload)


@dataclass(frozen=True)
class Pairing:
    """The pairs, and the messages without a partner.

    ``missing``: went in and did not come out. ``strange``: came out and did not go in. ``made``: those of
    them that the router made. ``offset``: seconds by which the outside capture's clock is ahead; ``None``:
    unknown.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[Message, ...]
    strange: tuple[Message, ...]
    made: tuple[Message, ...]
    offset: float | None

    @property
    def changed(self) -> list[Pair]:
        return [each for each in self.pairs if each.sent.payload != each.came.payload]


def pair(inside: Sequence[Datagram], outside: Sequence[Datagram], *, complete: bool = False) -> Pairing:
    """Pair the messages of two captures. ``complete``: the caller knows that neither lacks a message."""
    near, far = crossings(inside, outside)
    sent = _grouped([each for each in near if each[0]]) + _grouped([each for each in far if not each[0]])
    came = _grouped([each for each in far if each[0]]) + _grouped([each for each in near if not each[0]])
    work = _Work(sent, came)
    work.equal()
    work.alike()
    missing, strange = tuple(work.sent), tuple(work.came)
    made = strange if complete else _made(strange, missing, work.pairs, near, far, work.offset)
    return Pairing(
        tuple(work.pairs), missing, strange, tuple(each for each in made if not each.outbound), work.offset
    )


def _grouped(rows: Iterable[Crossing]) -> list[Message]:
    found: dict[bytes, Message] = {}
    for outbound, each in rows:
        message = found.setdefault(each.payload, Message(outbound, each))
        message.times.append(each.now)
    return list(found.values())


class _Work:
    """The messages that are not paired yet, and the pairs."""

    def __init__(self, sent: list[Message], came: list[Message]) -> None:
        self.sent, self.came = dict.fromkeys(sent), dict.fromkeys(came)
        self.pairs: list[Pair] = []
        self._sure: list[float] = []

    @property
    def offset(self) -> float | None:
        return median(self._sure) if self._sure else None

    def equal(self) -> None:
        """Pair messages with the same bytes."""
        waiting = {(each.outbound, each.payload): each for each in self.came}
        for each in list(self.sent):
            other = waiting.get((each.outbound, each.payload))
            if other is not None:
                self._join(each, other, sure=True)

    def alike(self) -> None:
        """Pair messages with much in common, the surest first; then those that happened at the same time."""
        candidates = []
        for number, (each, other) in enumerate(self._of_one_kind()):
            points = _points(each, other)
            if points >= _ENOUGH:
                candidates.append((-points, number, each, other))
        candidates.sort(key=lambda row: row[:2])
        for points, _, each, other in candidates:
            if each in self.sent and other in self.came and self._fits(each, other, _WINDOW):
                self._join(each, other, sure=-points >= 2 * _ENOUGH)
        if self.offset is None:
            return
        for each, other in self._of_one_kind():
            alike = each.number == other.number and _common(each, other) >= _SAME_LINES
            alike = alike and self._fits(each, other, _SAME_TIME)
            if alike and each in self.sent and other in self.came:
                self._join(each, other, sure=False)

    def _of_one_kind(self) -> list[tuple[Message, Message]]:
        rows: dict[object, list[Message]] = defaultdict(list)
        for each in self.came:
            rows[each.kind].append(each)
        return [(each, other) for each in self.sent for other in rows.get(each.kind, [])[:_MOST_ALIKE]]

    def _fits(self, sent: Message, came: Message, window: float) -> bool:
        """Whether one came out when the other went in, within ``window`` seconds."""
        offset = self.offset
        if offset is None:
            return True
        ahead = -offset if sent.outbound else offset
        return any(abs(there + ahead - here) <= window for here in sent.times for there in came.times)

    def _join(self, sent: Message, came: Message, *, sure: bool) -> None:
        self.pairs.append(Pair(sent, came))
        del self.sent[sent], self.came[came]
        if sure:
            inner, outer = (sent, came) if sent.outbound else (came, sent)
            self._sure.append(outer.times[0] - inner.times[0])


def _points(sent: Message, came: Message) -> float:
    """How much two messages of one kind have in common, in points."""
    branch, call_id, from_tag, to_tag = (
        one == other != b"" for one, other in zip(sent.marks, came.marks, strict=True)
    )
    if sent.number != came.number and not branch:
        return 0.0
    identity = 4 * branch + 3 * call_id + 2 * from_tag + to_tag
    # Equal lines alone prove nothing: all calls of one phone have them.
    return identity + 3 * _common(sent, came) if identity else 0.0


def _common(sent: Message, came: Message) -> float:
    """The share of lines that are the same."""
    return len(sent.lines & came.lines) / max(len(sent.lines), len(came.lines), 1)


def _made(
    strange: Sequence[Message],
    missing: Sequence[Message],
    pairs: Sequence[Pair],
    near: Sequence[Crossing],
    far: Sequence[Crossing],
    offset: float | None,
) -> tuple[Message, ...]:
    """Messages that the router itself made, as far as captures that may lack something can show it."""
    if offset is None or missing or len(strange) < 2 or any(each.outbound for each in strange):
        return ()
    begin, end = min(each.now for _, each in far), max(each.now for _, each in far)
    answered = {each.sent.marks[1] for each in pairs if not each.sent.outbound}
    return tuple(
        each
        for each in strange
        if begin + 1 <= each.times[0] + offset <= end - 1 and each.marks[1] in answered
    )
