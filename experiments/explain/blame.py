"""Finds the action of a router that a trouble comes from.

The rules of this file:

- The best evidence is what the endpoint notes about the message. The values that it names are looked up; the
  cause is the message in which a gateway wrote them.
- An address to which a message was sent came from an earlier message. It is followed back to the message in
  which a gateway wrote it. If no gateway did, no ALG is to blame, and the cause says so.
- If the receiver names a syntax rule that the message broke only behind the gateway, that is the cause,
  before anything else.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from siplab.experiments.explain.story import Story, changed_parts, parsed, seen, sent
from siplab.experiments.explain.troubles import Trouble, TroubleKind
from siplab.experiments.output.changes import LinePair, aligned, broken
from siplab.experiments.output.journeys import Journey
from siplab.experiments.trial.counterfactual.actions import GatewayAction
from siplab.lab.gateway.fate import Fate
from siplab.lab.sip.events import EventKind
from siplab.lab.wire.headers import tag_of, uris
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.syntax import Violation, spelled

_EXPIRY: Final = ("Expires", "Contact", "Min-Expires", "Session-Expires")
_TOKEN: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.@:\-]{3,}")
_PRIVATE: Final = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
_STAYS: Final = 20.0  # seconds: no correct NAT forgets a binding that soon


class CauseKind(StrEnum):
    """What a router did to a message; or that no router did anything."""

    CHANGED = "changed"
    STALE_LENGTH = "stale-length"  # its body was changed, but not Content-Length
    NOT_RESTORED = "not-restored"  # what a router wrote into it was not changed back on the way back
    DROPPED = "dropped"
    ANSWERED = "answered"
    MISDELIVERED = "misdelivered"  # translated to an address where nobody listens
    DAMAGED = "damaged"
    BINDING_EXPIRED = "binding-expired"
    BINDING_CLOSED = "binding-closed"  # sooner than any timer explains
    FILTERED = "filtered"
    FIREWALL = "firewall"  # a rule of the router's firewall applied
    REMARKED = "remarked"  # the packet left with another DSCP (RFC 2474)
    DEVIATED = "deviated"  # it left otherwise than a router without a fault would send it
    # Only running the trial again can show these.
    REMAPPED = "remapped"  # the sender got another public endpoint because of it
    REMEMBERED = "remembered"  # because of it the ALG opened or closed pinholes, or remembered something
    SETTING = "setting"  # a setting of the ALG or of the NAT
    # In these no router did anything.
    UNTRANSLATED = "untranslated"  # a private address went through
    UNCHANGED = "unchanged"
    LOST = "lost"
    NOT_SENT = "not-sent"


@dataclass(frozen=True)
class Cause:
    """The cause of a trouble.

    ``journey``: the message that a gateway changed, or did something else to. ``parts``: what it changed
    there.
    """

    kind: CauseKind
    journey: Journey | None
    gateway: str = ""
    parts: tuple[str, ...] = ()
    lines: tuple[LinePair, ...] = ()
    violation: Violation | None = None
    endpoint: Endpoint | None = None
    idle: float | None = None  # seconds since the binding was last used
    action: GatewayAction | None = None  # if running the trial again shows it, and the trace does not
    marks: tuple[int, int] | None = None  # the packet's DSCP before and after
    unnoticed: bool = False  # no endpoint complained; it was found by comparison with other routers


def cause_of(trouble: Trouble, story: Story) -> Cause:
    """The cause of a trouble."""
    return _CAUSES[trouble.kind](trouble, story)


def remarked(story: Story, end: int) -> Cause | None:
    """The first packet before a record of the trace to which a gateway gave another DSCP, as a cause."""
    for each in story.remarkings(end):
        journey = story.journey_at(each.order)
        if journey is not None:
            return Cause(CauseKind.REMARKED, journey, each.gateway, marks=(each.before, each.after))
    return None


def changed(
    journey: Journey,
    part: str = "",
    violation: Violation | None = None,
    kind: CauseKind = CauseKind.CHANGED,
) -> Cause:
    """The cause that a gateway changed this message; ``part``: the part that matters, empty for all."""
    parts = changed_parts(journey)
    chosen = [each for each in parts if each == part or (part == "SDP" and each.startswith("SDP"))] or parts
    pairs = aligned(sent(journey), seen(journey))
    if chosen == ["body"]:
        head = sent(journey).find(b"\r\n\r\n")
        lines = tuple(pair for pair in pairs if pair.before is None or pair.before.start > head)
    else:
        lines = tuple(pair for pair in pairs if chosen == parts or _part_of(pair) in chosen)
    return Cause(kind, journey, next(iter(journey.changes), ""), tuple(chosen), lines, violation)


def _part_of(pair: LinePair) -> str:
    """The name of the part that a line belongs to, as in ``siplab.lab.wire.compare``."""
    line = (pair.before or pair.after).text if pair.before or pair.after else b""  # type: ignore[union-attr]
    if line[1:2] == b"=":
        return f"SDP {line[:1].decode('latin-1')}="
    message = parsed(b"X\r\n" + line)
    if message.fields and b":" in line and not re.match(rb"[A-Z]+ \S+ SIP/2\.0|SIP/2\.0 ", line):
        return spelled(message.fields[0].name)
    return "start line"


# -- its receiver rejects it ------------------------------------------------------------------------------


def _refused(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    facts = trouble.facts
    for violation in broken(sent(journey), seen(journey)) if journey.changes else ():
        if violation.rule == facts.rule or violation.severity != "warning":
            if violation.header == "Content-Length" and not _touches(journey, "Content-Length"):
                cause = changed(journey, "SDP", violation, CauseKind.STALE_LENGTH)
                return replace(cause, parts=("Content-Length", *cause.parts))
            return changed(journey, violation.header, violation)
    if trouble.event is EventKind.REJECTED and facts.status == 481:
        return _no_dialog(story, journey)
    forwarded = _broken_before_a_proxy(facts.rule, story, journey)
    if forwarded is not None:
        return forwarded
    about = facts.part
    found = _by_value(facts.value, story, journey)
    if found is None and about:
        found = _by_part(about, story, journey)
    if found is not None:
        part = about if _touches(found, about) else ""
        other = journey.is_signalling and found is not journey
        return changed(found, part, kind=CauseKind.NOT_RESTORED if other else CauseKind.CHANGED)
    if journey.changes and (not about or _touches(journey, about)):
        return changed(journey, about)
    return Cause(CauseKind.UNCHANGED, journey)


def _broken_before_a_proxy(rule: str, story: Story, journey: Journey) -> Cause | None:
    """Who broke the rule before a proxy, which forwards what it need not read (RFC 3261 16.3)."""
    if not rule or journey.changes:
        return None
    exchange = _exchange(journey)
    for each in reversed(story.before(journey.order)):
        if each.changes and each.is_signalling and _exchange(each) == exchange:
            for violation in broken(sent(each), seen(each)):
                if violation.rule == rule:
                    return changed(each, violation.header, violation)
    return None


def _exchange(journey: Journey) -> tuple[bytes, bytes]:
    """What proxies do not change in a request."""
    message = parsed(seen(journey))
    return message.value(b"call-id"), message.value(b"cseq")


def _no_dialog(story: Story, journey: Journey) -> Cause:
    """An endpoint knows no dialog with the message's Call-ID and tags. Finds who wrote one of these."""
    message = parsed(seen(journey))
    for part in ("Call-ID", "From", "To"):
        value = message.value(part.lower().encode())
        token = value if part == "Call-ID" else tag_of(value)
        found = story.written_on(token, journey.order, first=True) if token else None
        if found is not None:
            here = found is journey
            return changed(found, part, kind=CauseKind.CHANGED if here else CauseKind.NOT_RESTORED)
    return changed(journey) if journey.changes else Cause(CauseKind.UNCHANGED, journey)


def _touches(journey: Journey, part: str) -> bool:
    return bool(part) and any(
        each == part or (part == "SDP" and each.startswith("SDP")) for each in changed_parts(journey)
    )


def _by_value(value: str, story: Story, journey: Journey) -> Journey | None:
    """The message in which a gateway wrote a value that the endpoint names."""
    after, before = seen(journey), sent(journey)
    for token in _TOKEN.findall(value.encode()):
        if token not in after:
            continue
        if token not in before:
            return journey if journey.changes else None
        found = story.written_on(token, journey.order)
        if found is not None:
            return found
    return None


def _by_part(part: str, story: Story, journey: Journey) -> Journey | None:
    """A response's request, or the message itself, if a gateway changed that part of it."""
    request = story.request_of(journey) if journey.label[:1].isdigit() else None
    for each in (request, journey):
        if each is not None and _touches(each, part):
            return each
    # For a request within a dialog: the message that created the dialog.
    for each in reversed(story.before(journey.order)):
        if _touches(each, part) and part == "Call-ID":
            return each
    return None


# -- a router drops it -----------------------------------------------------------------------------------


def _by_router(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    answered = trouble.kind is TroubleKind.ANSWERED
    return Cause(CauseKind.ANSWERED if answered else CauseKind.DROPPED, journey, journey.path[-1])


def _blocked(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    assert journey.left is not None
    assert journey.ending is not None
    endpoint, gateway = journey.left.destination, journey.path[-1]
    idle = None
    if journey.ending.fate is Fate.FIREWALL:
        return Cause(CauseKind.FIREWALL, journey, gateway, endpoint=endpoint)
    if journey.ending.fate is Fate.NO_BINDING:
        last = story.last_use(endpoint, journey.order)
        if last is not None:
            idle = journey.now - last
            kind = CauseKind.BINDING_EXPIRED if idle >= _STAYS else CauseKind.BINDING_CLOSED
            return Cause(kind, journey, gateway, endpoint=endpoint, idle=idle)
    found = _address(trouble, story, endpoint)
    if found is not None:
        return found
    kind = CauseKind.FILTERED if journey.ending.fate is Fate.FILTERED else CauseKind.UNCHANGED
    return Cause(kind, journey, gateway, endpoint=endpoint)


def _undelivered(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    assert journey.left is not None
    assert journey.sent is not None
    if journey.left.destination != journey.sent.destination and not _is_ours(journey, story):
        # The router translated the packet to an address where nobody listens.
        gateway = next((each for each in reversed(journey.path) if each in story.network.gateways), "")
        return Cause(CauseKind.MISDELIVERED, journey, gateway, endpoint=journey.left.destination)
    endpoint = journey.sent.destination
    found = _address(trouble, story, endpoint)
    if found is not None:
        return found
    if _is_private(endpoint.ip):
        for token in _written_as(endpoint, media=trouble.media):
            source = story.known_from(token, journey.path[0], journey.order, media=trouble.media)
            if source is not None:
                return Cause(CauseKind.UNTRANSLATED, source, endpoint=endpoint)
    return Cause(CauseKind.UNCHANGED, journey, endpoint=endpoint)


def _is_private(address: str) -> bool:
    return any(ipaddress.ip_address(address) in each for each in _PRIVATE)


def _is_ours(journey: Journey, story: Story) -> bool:
    """Whether the packet came to an endpoint that has sent something before, but whose program has ended."""
    assert journey.left is not None
    return any(
        each.sent is not None and each.sent.source == journey.left.destination
        for each in story.journeys
        if each.order < journey.order
    )


def _address(trouble: Trouble, story: Story, endpoint: Endpoint) -> Cause | None:
    """The message from which the sender knows an address that a gateway wrote."""
    journey = trouble.journey
    assert journey is not None
    if journey.is_signalling and journey.label[:1].isdigit():
        request = story.request_of(journey)
        return changed(request, "Via") if request is not None and _touches(request, "Via") else None
    for token in _written_as(endpoint, media=trouble.media):
        found = story.who_wrote(token, journey.path[0], journey.order, media=trouble.media)
        if found is not None:
            pair = next((p for p in aligned(sent(found), seen(found)) if _has(p, token)), None)
            deeper = _replaced(pair, found, story) if pair is not None and not trouble.media else None
            if deeper is not None:
                return deeper
            if trouble.media:
                return _session(changed(found, "SDP"))
            return changed(found, _part_of(pair) if pair is not None else "")
    return None


def _session(cause: Cause) -> Cause:
    """The lines that say where media go come first: ``m=`` has the port, ``c=`` the address."""
    order = ("SDP m=", "SDP c=")
    lines = sorted(
        cause.lines, key=lambda pair: order.index(p) if (p := _part_of(pair)) in order else len(order)
    )
    return replace(cause, lines=tuple(lines))


def _replaced(pair: LinePair, journey: Journey, story: Story) -> Cause | None:
    """The source of the address that a line had before. A gateway may have written that one, too."""
    before = pair.before.text if pair.before is not None else b""
    for host in uris(before):
        token = str(Endpoint(host.host.decode("latin-1"), 5060 if host.port is None else host.port)).encode()
        if story.network.addresses.get(token.rpartition(b":")[0].decode()) == journey.path[0]:
            continue  # the node's own address
        found = story.who_wrote(token, journey.path[0], journey.order)
        if found is not None:
            other = next((p for p in aligned(sent(found), seen(found)) if _has(p, token)), None)
            return changed(found, _part_of(other) if other is not None else "")
    return None


def _written_as(endpoint: Endpoint, *, media: bool) -> list[bytes]:
    """The ways in which a message may write an endpoint, the surest first."""
    if media:
        return [b" %d " % endpoint.port, endpoint.ip.encode()]
    forms = [str(endpoint).encode()]
    return [*forms, endpoint.ip.encode()] if endpoint.port == 5060 else forms


def _has(pair: LinePair, token: bytes) -> bool:
    return pair.after is not None and token in pair.after.text


def _damaged(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    return Cause(
        CauseKind.DAMAGED, journey, next((n for n in journey.path if n in story.network.gateways), "")
    )


def _lost(trouble: Trouble, story: Story) -> Cause:
    return Cause(CauseKind.LOST if trouble.kind is TroubleKind.LOST else CauseKind.NOT_SENT, trouble.journey)


def _timed_out(trouble: Trouble, story: Story) -> Cause:
    """A refresh did not come, because a gateway changed an agreed time."""
    for each in reversed(story.before(trouble.order)):
        for part in changed_parts(each):
            if part not in _EXPIRY:
                continue
            cause = changed(each, part)
            if any(_numbers(pair) for pair in cause.lines):
                return cause
    return Cause(CauseKind.UNCHANGED, None)


def _numbers(pair: LinePair) -> bool:
    """Whether a time was changed, and not only an address."""
    form = re.compile(rb"(?:expires[=:]\s*)(\d+)", re.IGNORECASE)
    before = form.findall(pair.before.text) if pair.before is not None else []
    after = form.findall(pair.after.text) if pair.after is not None else []
    return before != after


_CAUSES: Final = {
    TroubleKind.REFUSED: _refused,
    TroubleKind.DROPPED: _by_router,
    TroubleKind.ANSWERED: _by_router,
    TroubleKind.BLOCKED: _blocked,
    TroubleKind.UNDELIVERED: _undelivered,
    TroubleKind.DAMAGED: _damaged,
    TroubleKind.LOST: _lost,
    TroubleKind.TIMED_OUT: _timed_out,
    TroubleKind.NOT_SENT: _lost,
}
