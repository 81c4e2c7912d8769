"""Compares what the trace suggests with what running the trial again shows; makes causes of the latter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from siplab.experiments.explain.blame import Cause, CauseKind, changed
from siplab.experiments.explain.story import Story
from siplab.experiments.output.journeys import Journey
from siplab.experiments.trial.counterfactual.actions import ActionKind, GatewayAction
from siplab.lab.gateway.fate import Fate
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.network import Network

# Causes that the trace may suggest for each kind of action.
_TOLD: Final = {
    ActionKind.DROP: {CauseKind.DROPPED},
    ActionKind.ANSWER: {CauseKind.ANSWERED, CauseKind.DROPPED},
    ActionKind.DELIVERY: {CauseKind.MISDELIVERED},
    ActionKind.PART: {
        CauseKind.CHANGED,
        CauseKind.STALE_LENGTH,
        CauseKind.UNTRANSLATED,
        CauseKind.NOT_RESTORED,
    },
}
_EXPIRED: Final = {CauseKind.BINDING_EXPIRED}
# The same for settings, by their names.
_OF_SETTING: Final = {
    "checksum": {CauseKind.DAMAGED},
    "dscp": {CauseKind.REMARKED},
    "non_sip": _EXPIRED,
    "refresh": _EXPIRED,
    "udp_timeout": _EXPIRED,
    "tcp_timeout": _EXPIRED,
    "signalling_timeout": _EXPIRED,
}
# How a router drops packets if this setting makes its ALG do so.
_DROPS: Final = {
    "fragments": Fate.FRAGMENT_DROPPED,
    "growth": Fate.OUTGREW_MTU,
    "hairpinning": Fate.NO_HAIRPINNING,
}
# Causes in which no ALG has a part.
NOT_OF_ALGS: Final = frozenset(
    {
        *(CauseKind.BINDING_EXPIRED, CauseKind.FILTERED, CauseKind.FIREWALL, CauseKind.UNTRANSLATED),
        *(CauseKind.UNCHANGED, CauseKind.LOST, CauseKind.NOT_SENT),
    }
)


def confirmed(cause: Cause, done: Iterable[GatewayAction], *, media: bool) -> Cause | None:
    """The cause, without parts that were not undone; ``None`` if it is no action that was undone.

    ``media``: whether the trouble is about media that did not arrive.
    """
    alike = [each for each in done if _told(cause, each, media=media)]
    if not alike:
        return None
    parts = {each.part for each in alike if each.kind is ActionKind.PART}
    if not parts or set(cause.parts) <= parts or cause.kind is CauseKind.STALE_LENGTH:
        return cause
    assert cause.journey is not None
    chosen = [each for each in cause.parts if each in parts]
    one = changed(cause.journey, chosen[0], cause.violation, cause.kind)
    return replace(one, parts=tuple(chosen))


def _told(cause: Cause, action: GatewayAction, *, media: bool) -> bool:
    if cause.gateway not in ("", action.gateway) or cause.journey is None:
        return False
    if action.kind.is_setting:
        end = cause.journey.ending
        if action.part in _DROPS:
            return end is not None and end.fate is _DROPS[action.part]
        return cause.kind in _OF_SETTING.get(action.part, ())
    if cause.kind not in _TOLD.get(action.kind, ()):
        return False
    if cause.kind is CauseKind.UNTRANSLATED:
        assert cause.endpoint is not None
        if action.part.startswith("SDP") != media or cause.journey.label != action.label:
            return False  # SDP says where media go, header fields say where messages go
        return action.is_omission and cause.endpoint.ip in action.before
    if cause.kind is CauseKind.NOT_RESTORED:  # the undone change is in another message
        return action.part in cause.parts
    if cause.journey.label != action.label:
        return False
    return action.kind is not ActionKind.PART or not cause.parts or action.part in cause.parts


def shown(done: Sequence[GatewayAction], story: Story) -> Cause:
    """The first action that was undone, as a cause."""
    action = done[0]
    journey = _journey(action, story)
    gateway = action.gateway
    match action.kind:
        case ActionKind.PART if journey is not None and not action.is_omission:
            parts = tuple(dict.fromkeys(each.part for each in done if _place(each) == _place(action)))
            return replace(changed(journey, action.part), gateway=gateway, parts=parts, action=action)
        case ActionKind.PART:
            return Cause(CauseKind.UNTRANSLATED, journey, gateway, (action.part,), action=action)
        case ActionKind.DROP:
            return Cause(CauseKind.DROPPED, journey, gateway, action=action)
        case ActionKind.ANSWER:
            return Cause(CauseKind.ANSWERED, journey, gateway, action=action)
        case ActionKind.DELIVERY:
            where, _, port = action.after.rpartition(":")
            endpoint = Endpoint(where, int(port))
            return Cause(CauseKind.MISDELIVERED, journey, gateway, endpoint=endpoint, action=action)
        case ActionKind.MAPPING:
            return Cause(CauseKind.REMAPPED, journey, gateway, action=action)
        case ActionKind.STATE:
            return Cause(CauseKind.REMEMBERED, journey, gateway, action=action)
    return Cause(CauseKind.SETTING, None, gateway, (action.part,), action=action)


def _place(action: GatewayAction) -> tuple[object, ...]:
    return action.kind, action.gateway, action.direction, action.label, action.nth


def _journey(action: GatewayAction, story: Story) -> Journey | None:
    """The message of the first undone action. Up to there the new run is the same as the failed one."""
    ended = action.kind in (ActionKind.DROP, ActionKind.ANSWER)
    for each in reversed(story.signalling):
        there = each.path[-1:] if ended else each.path[1:]
        if (
            each.label == action.label
            and each.now <= action.now + 1e-5
            and action.gateway in there
            and _goes_out(each, action.gateway, story.network) == (action.direction == "out")
        ):
            return each
    return None


def _goes_out(journey: Journey, gateway: str, network: Network) -> bool:
    """Whether a message comes to a gateway from a network behind it."""
    node = journey.path[journey.path.index(gateway, 1) - 1]
    behind = set(network.topology.gateways[gateway].inside)
    return bool(behind & set(network.node_addresses.get(node, ())))
