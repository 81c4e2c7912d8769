"""What went wrong in a trial, message by message, in the order in which it began.

A *trouble* is a message that did not reach its destination, or that its receiver rejected; or a timer that
ran out because a message did not come. If a message is sent again, its trouble is counted once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from siplab.experiments.explain.story import Story, parsed, sent
from siplab.experiments.output.journeys import Journey
from siplab.lab.gateway.fate import Fate
from siplab.lab.sip.events import NO_FACTS, EventKind, Facts
from siplab.lab.worlds.trace import LossReason, Noted, WorldEvent

# What receivers note about a message that they reject.
_REFUSALS: Final = frozenset(
    {EventKind.DISCARDED, EventKind.REJECTED, EventKind.MEDIA_ERROR, EventKind.IGNORED}
)
_ACTIONS: Final = {EventKind.DISCARDED: "discarded the ", EventKind.REJECTED: "answered "}
# What endpoints note if they can't go on.
_DEAD_ENDS: Final = frozenset({EventKind.UNROUTABLE})
# What endpoints note if nothing came in time.
_TIMEOUTS: Final = frozenset(
    {EventKind.NO_ACK, EventKind.EXPIRED, EventKind.SESSION_EXPIRED, EventKind.TIMER_C}
)
# A NAT or firewall dropped it: there was no binding, or it was not permitted.
_BY_NAT: Final = frozenset(
    {Fate.NO_BINDING, Fate.FILTERED, Fate.NO_HAIRPINNING, Fate.FOREIGN_DESTINATION, Fate.FIREWALL}
)
# After these a client tries again: RFC 3261 sections 8.1.3.5 and 22.2.
_RETRIED: Final = frozenset({401, 407, 423})


class TroubleKind(StrEnum):
    """What went wrong with a message."""

    REFUSED = "refused"  # by its receiver: discarded, or answered with an error
    DROPPED = "dropped"  # by a router
    ANSWERED = "answered"  # by a router, in the receiver's place
    BLOCKED = "blocked"  # by a NAT, which has no binding for it or filters it, or by a firewall
    UNDELIVERED = "undelivered"  # nobody has the address
    DAMAGED = "damaged"  # its checksum is wrong
    LOST = "lost"  # by the network
    NOT_SENT = "not-sent"
    TIMED_OUT = "timed-out"  # it did not come in time


@dataclass
class Trouble:
    """One trouble.

    ``why``: in the words of the host that noticed it. ``host``: that host. ``event`` and ``facts``: what an
    endpoint noted. ``order`` and ``last``: the first and last record. ``times``: how many packets it hit.
    """

    kind: TroubleKind
    order: int
    now: float
    why: str
    host: str
    journey: Journey | None = None
    media: bool = False
    key: object = None
    last: int = 0
    times: int = 1
    resolved: list[int] = field(default_factory=list)  # records at which the same message got through
    event: EventKind | None = None
    facts: Facts = NO_FACTS

    @property
    def identity(self) -> object:
        """A key that is the same for the same trouble in another run of the trial."""
        return self.kind, self.key, self.host, self.event

    def open_at(self, start: int, end: int) -> bool:
        """Whether it began before ``end``, lasted until ``start`` or later, and is unresolved at ``end``."""
        return (
            self.order < end
            and self.last >= start
            and not any(self.order < each < end for each in self.resolved)
        )


def troubles(story: Story) -> list[Trouble]:
    """All troubles of a trial."""
    found: dict[object, Trouble] = {}
    through: dict[object, list[int]] = {}
    bounced = _bounced(story.journeys)
    for journey in story.journeys:
        if not journey.is_signalling and journey.label not in ("RTP", "datagram"):
            continue
        trouble = _trouble_of(journey, id(journey) in bounced)
        if trouble is None:
            for retried in (False, True):
                through.setdefault(_key(journey, retried=retried), []).append(journey.order)
            continue
        end, left = journey.ending, journey.left
        facts = (trouble.event, trouble.facts, end and end.fate, journey.lost, left and left.destination)
        known = found.setdefault((trouble.kind, trouble.key, *facts), trouble)
        if known is not trouble:
            known.last, known.times = trouble.last, known.times + trouble.times
    about_messages = {id(note) for journey in story.journeys for note in journey.heard}
    for order, note in story.notes:
        if id(note) in about_messages and note.kind not in _DEAD_ENDS:
            continue
        if note.kind in _TIMEOUTS or note.kind in _DEAD_ENDS:
            trouble = Trouble(TroubleKind.TIMED_OUT, order, note.now, _said(note), note.host, last=order)
            trouble.event, trouble.facts = note.kind, note.facts
            if note.kind is EventKind.EXPIRED:
                trouble.resolved = [
                    other
                    for other, each in story.notes
                    if each.kind is EventKind.REGISTERED and each.facts.aor == note.facts.aor
                ]
            found.setdefault((order, note.host, note.kind), trouble)
    for order, remark in story.remarks:
        if remark.kind is WorldEvent.NOT_SENT:
            trouble = Trouble(TroubleKind.NOT_SENT, order, remark.now, remark.detail, remark.who, last=order)
            known = found.setdefault((remark.who, remark.detail), trouble)
            known.last = order
    for trouble in found.values():
        trouble.resolved = trouble.resolved or through.get(trouble.key, [])
    return sorted(found.values(), key=lambda each: each.order)


def _bounced(journeys: list[Journey]) -> set[int]:
    """The journeys to a host that answered with ICMP that nobody listens there (RFC 1122 4.1.3.1)."""
    found: set[int] = set()
    latest: dict[str, Journey] = {}  # by destination address
    for journey in journeys:
        if journey.label == "ICMP unreachable" and journey.sent is not None:
            about = latest.get(journey.sent.src)
            if about is not None and not about.received:
                found.add(id(about))
        elif journey.left is not None:
            latest[journey.left.dst] = journey
    return found


def _trouble_of(journey: Journey, bounced: bool) -> Trouble | None:
    refusal = next((each for each in journey.heard if each.kind in _REFUSALS), None)
    if refusal is not None:
        # If a client tries again, this is a trouble only if no retry succeeds.
        retried = refusal.kind is EventKind.REJECTED and refusal.facts.status in _RETRIED
        trouble = _made(TroubleKind.REFUSED, journey, _said(refusal), refusal.host, retried=retried)
        trouble.event, trouble.facts = refusal.kind, refusal.facts
        return trouble
    if journey.received:
        return None
    gateway = journey.path[-1]
    why = journey.failure
    if journey.ending is not None:
        kind = TroubleKind.BLOCKED if journey.ending.fate in _BY_NAT else TroubleKind.DROPPED
        return _made(kind if journey.ending.side is None else TroubleKind.ANSWERED, journey, why, gateway)
    if journey.lost is LossReason.WRONG_CHECKSUM:
        return _made(TroubleKind.DAMAGED, journey, why, gateway)
    if journey.lost is LossReason.LINK:
        return _made(TroubleKind.LOST, journey, why, gateway)
    if bounced and journey.left is not None:
        why = f"nobody listens at {journey.left.destination}"
    # Without a reason, it may have reached a program that is not the lab's own.
    return _made(TroubleKind.UNDELIVERED, journey, why, gateway) if why else None


def _made(kind: TroubleKind, journey: Journey, why: str, host: str, *, retried: bool = False) -> Trouble:
    trouble = Trouble(kind, journey.order, journey.now, why, host, journey, not journey.is_signalling)
    trouble.key = _key(journey, retried=retried)
    trouble.last, trouble.times = journey.order, 1 + journey.more
    return trouble


def _key(journey: Journey, *, retried: bool = False) -> object:
    """A key that a message shares with its retransmissions or retries."""
    assert journey.sent is not None
    if not journey.is_signalling:
        return journey.path[0], journey.sent.source
    message = parsed(sent(journey))
    if retried:
        return journey.path[0], message.method, message.value(b"call-id")
    return journey.path[0], journey.label, message.value(b"call-id"), message.value(b"cseq")


def _said(note: Noted) -> str:
    if note.kind in _ACTIONS:
        return _ACTIONS[note.kind] + note.detail
    return f"{note.kind}: {note.detail}" if note.detail else note.kind
