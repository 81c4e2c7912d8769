"""The words of explanations: what the router did, what followed, the rule, and what a user notices."""

from __future__ import annotations

from typing import Final

from siplab.experiments.explain import settings
from siplab.experiments.explain.blame import Cause, CauseKind
from siplab.experiments.explain.story import parsed, sent
from siplab.experiments.explain.troubles import Trouble, TroubleKind
from siplab.experiments.output import fates
from siplab.experiments.output.changes import LinePair
from siplab.experiments.output.journeys import Journey
from siplab.experiments.trial.counterfactual.actions import GatewayAction
from siplab.experiments.trial.stage import Check
from siplab.lab.counting import number_of
from siplab.lab.gateway.fate import Fate
from siplab.lab.sip.events import EventKind
from siplab.lab.wire.labels import show

_LONG: Final = 120  # characters of a line that are shown
# The rules on what a router must not do to a part of a message, beyond syntax. Two: for requests, for
# responses.
_RULES: Final = {
    "Via": ("RFC 3581 4", "RFC 3261 18.1.2"),
    "Call-ID": "RFC 3261 8.1.1.4",
    "From": "RFC 3261 8.1.1.3",
    "To": "RFC 3261 8.1.1.2",
    "CSeq": "RFC 3261 8.1.1.5",
    "Contact": ("RFC 3261 8.1.1.8", "RFC 3261 12.1.2"),
    "Record-Route": "RFC 3261 16.6",
    "Route": "RFC 3261 16.12",
    "Max-Forwards": "RFC 3261 16.3",
    "start line": "RFC 3261 16.6",
    "body": "RFC 3261 16.6",
    "Expires": "RFC 3261 10.2.4",
    "Content-Length": "RFC 3261 20.14",
}
# The same for its other actions.
_OF_KIND: Final = {
    CauseKind.BINDING_EXPIRED: "RFC 4787 4.3",
    CauseKind.DAMAGED: "RFC 768",
    CauseKind.ANSWERED: "RFC 3261 8.1.2",
    CauseKind.MISDELIVERED: "RFC 4787 4.1",
}
# The same for its settings.
_OF_SETTING: Final = {
    "checksum": "RFC 768",
    "fragments": "RFC 4787 11",
    "hairpinning": "RFC 4787 6",
    "refresh": "RFC 4787 4.3",
    "udp_timeout": "RFC 4787 4.3",
}
_REQUIRED_IDLE: Final = 120.0  # seconds that a UDP binding must last without a packet (RFC 4787 section 4.3)


def rule_of(cause: Cause, trouble: Trouble | None) -> str:
    """The broken rule, as RFC and section; empty if none is known."""
    if cause.violation is not None:
        return cause.violation.reference
    if cause.kind is CauseKind.BINDING_EXPIRED and cause.idle is not None and cause.idle >= _REQUIRED_IDLE:
        return ""
    if cause.kind in _OF_KIND:
        return _OF_KIND[cause.kind]
    if cause.kind is CauseKind.SETTING and cause.action is not None:
        return _OF_SETTING.get(cause.action.part, "")
    if cause.kind is CauseKind.DROPPED and trouble is not None:
        return _dropped(trouble)
    if trouble is not None and trouble.facts.reference:
        return trouble.facts.reference
    if trouble is not None and trouble.kind is TroubleKind.TIMED_OUT:
        return "RFC 3261 10.2.4"
    # The part that the endpoint complains of comes before other changed parts.
    for part in sorted(cause.parts, key=lambda part: trouble is None or part != trouble.facts.part):
        if part in _RULES:
            rule = _RULES[part]
            return rule if isinstance(rule, str) else rule[_in_response(cause)]
        if part.startswith("SDP"):
            return "RFC 3264 5.1"
    return ""


def _in_response(cause: Cause) -> bool:
    """Whether the wrong part is in a response. A value that was not changed back came in one."""
    if cause.kind is CauseKind.NOT_RESTORED:
        return True
    return cause.journey is not None and parsed(sent(cause.journey)).is_response


_OF_FATE: Final = {Fate.FRAGMENT_DROPPED: "RFC 4787 11", Fate.NO_HAIRPINNING: "RFC 4787 6"}


def _dropped(trouble: Trouble) -> str:
    journey = trouble.journey
    if journey is not None and journey.ending is not None and journey.ending.fate in _OF_FATE:
        return _OF_FATE[journey.ending.fate]
    if journey is not None and parsed(sent(journey)).method == b"ACK":
        return "RFC 3261 13.3.1.4"  # without it the callee must end the call
    return "RFC 3261 16.3"


def paragraph(check: Check, trouble: Trouble | None, cause: Cause, rule: str) -> str:
    """The whole explanation in a few sentences."""
    sentences = [
        _action(trouble, cause),
        _outcome(trouble, cause),
        _rule(cause, trouble, rule),
        check.symptom,
    ]
    return " ".join(each for each in sentences if each)


# -- what was done ---------------------------------------------------------------------------------------


def _action(trouble: Trouble | None, cause: Cause) -> str:
    journey = cause.journey
    if cause.kind is CauseKind.SETTING:
        assert cause.action is not None
        words = settings.said(cause.action)
        return f"The {cause.gateway} {words}." if words else ""
    if journey is None:
        return "Every message passed the routers as it would without an ALG." if trouble is None else ""
    router, message, when = f"the {cause.gateway}", _message(journey), f"At {journey.now:.3f} s"
    match cause.kind:
        case CauseKind.CHANGED:
            words = f"{when} {router} changed the {_listed(cause.parts)} of the {message}"
            if cause.unnoticed:
                words = (
                    "No endpoint complained of a message. The first that a router without a fault would have "
                    f"sent differently was the {message} at {journey.now:.3f} s: {router} changed the "
                    f"{_listed(cause.parts)}"
                )
            return f"{words}{_lines(cause.lines)}."
        case CauseKind.STALE_LENGTH:
            words = f"{when} {router} changed the body of the {message} ({_listed(cause.parts[1:])})"
            return f"{words}{_lines(cause.lines)}, and left Content-Length as it was."
        case CauseKind.NOT_RESTORED:
            part = _listed(cause.parts)
            return (
                f"{when} {router} changed the {part} of the {message}{_lines(cause.lines)}, "
                "and did not change it back in what came the other way."
            )
        case CauseKind.DROPPED:
            end = journey.ending
            why = "" if end is None else end.detail if end.fate is Fate.DROPPED_BY_MODEL else fates.words(end)
            return f"{when} {router} dropped the {message}{f': {why}' if why else ''}."
        case CauseKind.ANSWERED:
            return f"{when} {router} answered the {message} itself, and the {journey.aim} never saw it."
        case CauseKind.BINDING_EXPIRED:
            return (
                f"{when} the {message} came to {cause.endpoint}, and {router} had no binding for it any "
                f"more: nothing had left by it for {cause.idle:.0f} s."
            )
        case CauseKind.BINDING_CLOSED:
            return (
                f"{when} the {message} came to {cause.endpoint}, and {router} had closed that binding, "
                f"used {cause.idle:.0f} s before."
            )
        case CauseKind.MISDELIVERED:
            return f"{when} {router} delivered the {message} to {cause.endpoint}."
        case CauseKind.DAMAGED:
            return f"{when} {router} passed on the {message} with a wrong checksum."
        case CauseKind.FILTERED:
            assert journey.sent is not None
            return (
                f"{when} {router} did not let the {message} in: nothing had been sent from {cause.endpoint} "
                f"to {journey.sent.source} before, which its filtering asks for."
            )
        case CauseKind.FIREWALL:
            assert journey.ending is not None
            return (
                f"{when} {router} stopped the {message} by a rule of its firewall, '{journey.ending.detail}'."
            )
        case CauseKind.REMAPPED:
            assert cause.action is not None
            return (
                f"{when} {router} gave the sender of the {message} another public endpoint in the place of "
                f"{cause.action.before}."
            )
        case CauseKind.REMEMBERED:
            assert cause.action is not None
            return f"{when}, by the {message}, {router} {_pinholes(cause.action)}."
        case CauseKind.UNTRANSLATED if cause.endpoint is None:
            return f"{when} {router} left the {_listed(cause.parts)} of the {message} as it was."
        case CauseKind.UNTRANSLATED:
            assert cause.endpoint is not None
            what = "SDP of the" if trouble is not None and trouble.media else "head of the"
            return (
                f"The {what} {message} at {journey.now:.3f} s names {cause.endpoint.ip}, an address that "
                "exists behind a router only, and no router on the way translated it."
            )
        case CauseKind.REMARKED:
            assert cause.marks is not None
            before, after = cause.marks
            words = f"{router} gave the {message} DSCP {after} in the place of {before}"
            if cause.unnoticed:
                return (
                    "Every message passed the routers as it would without an ALG, but not every mark did: at "
                    f"{journey.now:.3f} s {words}."
                )
            return f"{when} {words}."
        case CauseKind.DEVIATED:
            return (
                f"No endpoint complained of a message. The first that {router} treated differently from one "
                f"without a fault was the {message} at {journey.now:.3f} s."
            )
        case CauseKind.LOST:
            return f"{when} the {message} was lost on the way."
    return _unchanged(cause, journey)


def _unchanged(cause: Cause, journey: Journey) -> str:
    where = f" to {cause.endpoint}" if cause.endpoint is not None else ""
    return f"At {journey.now:.3f} s the {_message(journey)} was sent{where}; no router had changed it."


def _message(journey: Journey) -> str:
    label = journey.label.replace(" with SDP", "")
    words = f"{label} from the {journey.path[0]}"
    target = journey.path[-1] if journey.received else journey.aim
    if (
        not target
        or target == journey.path[0]
        or target in journey.path[1:-1]
        or not _is_host(journey, target)
    ):
        return words
    return f"{words} to the {target}"


def _is_host(journey: Journey, node: str) -> bool:
    """Whether a node is the message's destination. A router that dropped the message is not."""
    return journey.received or node != journey.path[-1] or not journey.fell_short


def _label(journey: Journey) -> str:
    return journey.label if journey.label == "RTP" else f"a {journey.label.replace(' with SDP', '')}"


def _lines(lines: tuple[LinePair, ...]) -> str:
    """The lines before and after, two at most."""
    shown = []
    for pair in lines[:2]:
        before = f"`{_short(pair.before.text)}`" if pair.before is not None else ""
        after = f"`{_short(pair.after.text)}`" if pair.after is not None else ""
        if before and after:
            shown.append(f"{before} became {after}")
        else:
            shown.append(f"{before} was removed" if before else f"{after} was added")
    return f": {', '.join(shown)}" if shown else ""


def _pinholes(action: GatewayAction) -> str:
    """What happened to the pinholes, and what would have happened."""
    did, right = action.after.splitlines(), action.instead.splitlines()
    said = _few([each for each in did if each not in right])
    missed = _few([each for each in right if each not in did])
    words = said or ("did nothing else to its pinholes" if did else "did nothing to its pinholes")
    return f"{words}; done right, it would have {missed}" if missed else words


def _few(lines: list[str]) -> str:
    """Two lines at most."""
    more = f" and {len(lines) - 2} more" if len(lines) > 2 else ""
    return " and ".join(lines[:2]) + more


def _short(line: bytes) -> str:
    text = show(line.rstrip(b"\r\n"))
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


def _listed(parts: tuple[str, ...]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    if len(parts) > 4:
        return f"{', '.join(parts[:4])} and {number_of(len(parts) - 4, 'more part')}"
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


# -- what came of it -------------------------------------------------------------------------------------


def _outcome(trouble: Trouble | None, cause: Cause) -> str:
    if trouble is None:
        return ""
    times = f", {trouble.times} times in all" if trouble.times > 1 else ""
    journey = trouble.journey
    match trouble.kind:
        case TroubleKind.REFUSED:
            noted = "" if trouble.event in (EventKind.DISCARDED, EventKind.REJECTED) else "noted: "
            return f"The {trouble.host} {noted}{trouble.why.rstrip('.')}{times}."
        case TroubleKind.LOST:
            return f"{trouble.times} packets were lost in all." if trouble.times > 1 else ""
        case TroubleKind.NOT_SENT:
            return f"At {trouble.now:.3f} s the {trouble.host} could not send: {trouble.why}."
        case TroubleKind.TIMED_OUT:
            return f"At {trouble.now:.3f} s the {trouble.host} noted: {trouble.why}."
        case TroubleKind.BLOCKED | TroubleKind.UNDELIVERED if (
            journey is not cause.journey and journey is not None
        ):
            return f"So the {_message(journey)} at {journey.now:.3f} s got nowhere: {trouble.why}{times}."
        case TroubleKind.BLOCKED:
            return f"It was dropped ({trouble.why}){times}."
        case TroubleKind.UNDELIVERED | TroubleKind.DAMAGED:
            return f"It came to nobody: {trouble.why}{times}."
        case _:
            return f"It was sent {trouble.times} times." if trouble.times > 1 else ""


def _rule(cause: Cause, trouble: Trouble | None, rule: str) -> str:
    if cause.violation is not None:
        return f"That breaks {cause.violation.reference}: {cause.violation.sentence}"
    if not rule or (trouble is not None and rule == trouble.facts.reference):
        return ""
    return f"The rule is in {rule}."
