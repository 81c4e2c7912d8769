"""Which of a router's doings a trouble comes from.

The rules of this file:

- What the endpoint says of the message is the best witness: the values that it names are looked for, and the
  message is blamed on whose way a gateway wrote them.
- An address that a message was sent to came from an earlier message: it is followed back to the one on whose
  way a gateway wrote it. If none did, no ALG is to blame, and the cause says so.
- A syntax rule that a message broke only behind the gateway, and that its receiver names, goes before all
  that.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Final

from siplab.experiments.explain.story import Story, changed_parts, parsed, seen, sent
from siplab.experiments.explain.troubles import Trouble
from siplab.experiments.output.changes import LinePair, aligned, broken
from siplab.experiments.output.journeys import Journey
from siplab.lab.gateway.fate import Fate
from siplab.lab.wire.headers import tag_of, uris
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.syntax import Violation, spelled

# Words of what endpoints note, and the part of the message that they are about.
_ABOUT: Final = (
    (re.compile(r"Via sent-by|no Via|has branch|`rport`"), "Via"),
    (re.compile(r"Call-ID"), "Call-ID"),
    (re.compile(r"From tag"), "From"),
    (re.compile(r"CSeq"), "CSeq"),
    (re.compile(r"is not a domain|\b404 to|\b400 to .*digest|can't be forwarded|no route"), "start line"),
    (re.compile(r"contact|Contact"), "Contact"),
    (re.compile(r"481 to"), "Call-ID"),
    (re.compile(r"media|488 to"), "SDP"),
)
_EXPIRY: Final = ("Expires", "Contact", "Min-Expires", "Session-Expires")
_TOKEN: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.@:\-]{3,}")
_PRIVATE: Final = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
_STAYS: Final = 20.0  # seconds: no NAT that means well forgets a binding that soon


@dataclass(frozen=True)
class Cause:
    """What the trouble comes from.

    ``journey``: the message that a gateway ``wrote`` something into, or did something else to. ``parts``:
    what it changed there. ``kind``: ``changed``, ``unfitted`` (its body, but not Content-Length), ``kept``
    (not changed back), ``dropped``, ``answered``, ``misled`` (delivered elsewhere), ``damaged``,
    ``forgotten`` (the binding was gone), ``closed``, ``filtered``, ``untranslated`` (a private address that
    it let pass), ``lost``, ``untouched``.
    """

    kind: str
    journey: Journey | None
    gateway: str = ""
    parts: tuple[str, ...] = ()
    lines: tuple[LinePair, ...] = ()
    violation: Violation | None = None
    endpoint: Endpoint | None = None
    idle: float | None = None  # seconds since the binding was last used


def cause_of(trouble: Trouble, story: Story) -> Cause:
    """Where a trouble comes from."""
    return _CAUSES[trouble.kind](trouble, story)


def changed(
    journey: Journey, part: str = "", violation: Violation | None = None, kind: str = "changed"
) -> Cause:
    """That a gateway changed this message; ``part``: where it matters, empty for everywhere."""
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
    """The name of a line's part, as ``siplab.lab.wire.compare`` has it."""
    line = (pair.before or pair.after).text if pair.before or pair.after else b""  # type: ignore[union-attr]
    if line[1:2] == b"=":
        return f"SDP {line[:1].decode('latin-1')}="
    message = parsed(b"X\r\n" + line)
    if message.fields and b":" in line and not re.match(rb"[A-Z]+ \S+ SIP/2\.0|SIP/2\.0 ", line):
        return spelled(message.fields[0].name)
    return "start line"


# -- an endpoint would not have it -----------------------------------------------------------------------


def _refused(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    for violation in broken(sent(journey), seen(journey)) if journey.changes else ():
        if violation.sentence.rstrip(".") in trouble.why or violation.severity == "fatal":
            if violation.header == "Content-Length" and not _touches(journey, "Content-Length"):
                cause = changed(journey, "SDP", violation, "unfitted")
                return replace(cause, parts=("Content-Length", *cause.parts))
            return changed(journey, violation.header, violation)
    about = next((part for form, part in _ABOUT if form.search(trouble.why)), "")
    if about == "Call-ID" and "Call-ID" not in trouble.why:  # 481: no dialog has what identifies this one
        return _no_dialog(story, journey)
    found = _by_value(trouble, story, journey)
    if found is None and about:
        found = _by_part(about, story, journey)
    if found is not None:
        part = about if _touches(found, about) else ""
        other = journey.is_signalling and found is not journey
        return changed(found, part, kind="kept" if other else "changed")
    if journey.changes and (not about or _touches(journey, about)):
        return changed(journey, about)
    return Cause("untouched", journey)


def _no_dialog(story: Story, journey: Journey) -> Cause:
    """An endpoint knows no dialog with the message's Call-ID and tags: somebody wrote one of these."""
    message = parsed(seen(journey))
    for part in ("Call-ID", "From", "To"):
        value = message.value(part.lower().encode())
        token = value if part == "Call-ID" else tag_of(value)
        found = story.written_on(token, journey.order, first=True) if token else None
        if found is not None:
            return changed(found, part, kind="changed" if found is journey else "kept")
    return changed(journey) if journey.changes else Cause("untouched", journey)


def _touches(journey: Journey, part: str) -> bool:
    return bool(part) and any(
        each == part or (part == "SDP" and each.startswith("SDP")) for each in changed_parts(journey)
    )


def _by_value(trouble: Trouble, story: Story, journey: Journey) -> Journey | None:
    """The message on whose way a gateway wrote a value that the endpoint names."""
    after, before = seen(journey), sent(journey)
    for token in _TOKEN.findall(trouble.why.partition(" is not ")[0].encode()):
        if token not in after or token in (b"REGISTER", b"INVITE", b"branch", b"method"):
            continue
        if token not in before:
            return journey if journey.changes else None
        found = story.written_on(token, journey.order)
        if found is not None:
            return found
    return None


def _by_part(part: str, story: Story, journey: Journey) -> Journey | None:
    """The request of a response, or the message itself, if a gateway changed that part of it."""
    request = story.request_of(journey) if journey.label[:1].isdigit() else None
    for each in (request, journey):
        if each is not None and _touches(each, part):
            return each
    # A request within a dialog: whatever made the dialog.
    for each in reversed(story.before(journey.order)):
        if _touches(each, part) and part == "Call-ID":
            return each
    return None


# -- a router let it go no further -----------------------------------------------------------------------


def _by_router(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    kind = "answered" if trouble.kind == "answered" else "dropped"
    return Cause(kind, journey, journey.path[-1])


def _stopped(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    assert journey.left is not None
    assert journey.ending is not None
    endpoint, gateway = journey.left.destination, journey.path[-1]
    idle = None
    if journey.ending.fate is Fate.NO_BINDING:
        last = story.last_use(endpoint, journey.order)
        if last is not None:
            idle = journey.now - last
            kind = "forgotten" if idle >= _STAYS else "closed"
            return Cause(kind, journey, gateway, endpoint=endpoint, idle=idle)
    found = _address(trouble, story, endpoint)
    if found is not None:
        return found
    kind = "filtered" if journey.ending.fate is Fate.FILTERED else "untouched"
    return Cause(kind, journey, gateway, endpoint=endpoint)


def _astray(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    assert journey.left is not None
    assert journey.sent is not None
    if journey.left.destination != journey.sent.destination and not _is_ours(journey, story):
        # It was translated, to where nobody listens.
        gateway = next((each for each in reversed(journey.path) if each in story.network.gateways), "")
        return Cause("misled", journey, gateway, endpoint=journey.left.destination)
    endpoint = journey.sent.destination
    found = _address(trouble, story, endpoint)
    if found is not None:
        return found
    if _is_private(endpoint.ip):
        for token in _written_as(endpoint, media=trouble.media):
            source = story.known_from(token, journey.path[0], journey.order, media=trouble.media)
            if source is not None:
                return Cause("untranslated", source, endpoint=endpoint)
    return Cause("untouched", journey, endpoint=endpoint)


def _is_private(address: str) -> bool:
    return any(ipaddress.ip_address(address) in each for each in _PRIVATE)


def _is_ours(journey: Journey, story: Story) -> bool:
    """Whether the packet came to an endpoint that has itself sent something before: its user has gone."""
    assert journey.left is not None
    return any(
        each.sent is not None and each.sent.source == journey.left.destination
        for each in story.journeys
        if each.order < journey.order
    )


def _address(trouble: Trouble, story: Story, endpoint: Endpoint) -> Cause | None:
    """The message from which the sender has an address that a gateway wrote."""
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
    """What says where media go first: ``m=`` has the port, ``c=`` the address."""
    order = ("SDP m=", "SDP c=")
    lines = sorted(
        cause.lines, key=lambda pair: order.index(p) if (p := _part_of(pair)) in order else len(order)
    )
    return replace(cause, lines=tuple(lines))


def _replaced(pair: LinePair, journey: Journey, story: Story) -> Cause | None:
    """Where the address comes from that stood in a line before: a gateway may have written that one too."""
    before = pair.before.text if pair.before is not None else b""
    for host in uris(before):
        token = str(Endpoint(host.host.decode("latin-1"), 5060 if host.port is None else host.port)).encode()
        if story.network.addresses.get(token.rpartition(b":")[0].decode()) == journey.path[0]:
            continue  # its own address
        found = story.who_wrote(token, journey.path[0], journey.order)
        if found is not None:
            other = next((p for p in aligned(sent(found), seen(found)) if _has(p, token)), None)
            return changed(found, _part_of(other) if other is not None else "")
    return None


def _written_as(endpoint: Endpoint, *, media: bool) -> list[bytes]:
    """How an endpoint may be written in a message, the surest first."""
    if media:
        return [b" %d " % endpoint.port, endpoint.ip.encode()]
    forms = [str(endpoint).encode()]
    return [*forms, endpoint.ip.encode()] if endpoint.port == 5060 else forms


def _has(pair: LinePair, token: bytes) -> bool:
    return pair.after is not None and token in pair.after.text


def _damaged(trouble: Trouble, story: Story) -> Cause:
    journey = trouble.journey
    assert journey is not None
    return Cause("damaged", journey, next((n for n in journey.path if n in story.network.gateways), ""))


def _lost(trouble: Trouble, story: Story) -> Cause:
    return Cause(trouble.kind, trouble.journey)


def _lapsed(trouble: Trouble, story: Story) -> Cause:
    """For want of a refresh: because a gateway changed what was agreed about times, or dropped something."""
    for each in reversed(story.before(trouble.order)):
        for part in changed_parts(each):
            if part not in _EXPIRY:
                continue
            cause = changed(each, part)
            if any(_numbers(pair) for pair in cause.lines):
                return cause
    return Cause("untouched", None)


def _numbers(pair: LinePair) -> bool:
    """Whether a time was changed, not only an address."""
    form = re.compile(rb"(?:expires[=:]\s*)(\d+)", re.IGNORECASE)
    before = form.findall(pair.before.text) if pair.before is not None else []
    after = form.findall(pair.after.text) if pair.after is not None else []
    return before != after


_CAUSES: Final = {
    "refused": _refused,
    "dropped": _by_router,
    "answered": _by_router,
    "stopped": _stopped,
    "astray": _astray,
    "damaged": _damaged,
    "lost": _lost,
    "lapsed": _lapsed,
    "unsent": _lost,
}
