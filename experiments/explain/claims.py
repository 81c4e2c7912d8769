"""Says in words what a cure means: what the router would have to do, or not to do, for a check to pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from siplab.experiments.explain.proof import Proof
from siplab.experiments.trial.counterfactual.actions import ActionKind, GatewayAction
from siplab.experiments.trial.counterfactual.search import Cure
from siplab.lab.counting import number_of

_WAYS: Final = {"out": " going out", "in": " coming in", "": ""}


def claim(proof: Proof) -> str:
    """A sentence or two on what running the trial again showed; empty if it was not run again."""
    runs = number_of(proof.runs, "run")
    if proof.obstacle:
        return f"Not run again, so not proven: {proof.obstacle}."
    if proof.cure is None:
        if not proof.undone:
            return "Not an ALG's: no router here did anything that could be undone."
        return f"Not the ALG's: with all that it did undone the check fails too ({runs})."
    cure = proof.cure
    alone = "undone alone" if len(cure.classes) == 1 else "nothing of it can be left out"
    sentence = f"Passes if {_listed(cure.actions, cure)} ({alone}; {runs})."
    if cure.also:
        sentence += f" It passes too, without that, if {_listed(cure.also, cure)}."
    return sentence


def _listed(actions: Sequence[GatewayAction], cure: Cure) -> str:
    """All actions as a list that names each router once."""
    phrases: list[str] = []
    for gateway in dict.fromkeys(each.gateway for each in actions):
        verbs = list(dict.fromkeys(_verb(each, cure) for each in actions if each.gateway == gateway))
        phrases.append(f"the {gateway} {_joined(verbs)}")
    return _joined(phrases)


def _verb(action: GatewayAction, cure: Cure) -> str:
    alike = [each for each in cure.done if action.covers(each)]
    match action.kind:
        case ActionKind.PART:
            what = f"{action.part} of {_message(action)}"
            if not cure.reference or (alike and all(each.before == each.instead for each in alike)):
                return f"leaves {what} as it was"
            if alike and all(each.is_omission for each in alike):
                return f"translates {what}"
            return f"writes {what} as a correct ALG does"
        case ActionKind.DROP:
            return f"does not drop {_message(action)}"
        case ActionKind.ANSWER:
            return f"passes {_message(action)} on and does not answer in the peer's name"
        case ActionKind.DELIVERY:
            return f"delivers {_message(action)} to the endpoint that its binding is for"
        case ActionKind.MAPPING:
            return f"leaves the sender of {_message(action)} its public endpoint"
        case ActionKind.STATE:
            who = "a correct ALG" if cure.reference else "a router without an ALG"
            return f"does with {_message(action)}, its pinholes too, what {who} does"
    setting = "NAT setting" if action.kind is ActionKind.NAT else "setting"
    values = next((f": {each.instead}, not {each.after}" for each in alike), "")
    return f"has the usual {setting} '{action.part}'{values}"


def _message(action: GatewayAction) -> str:
    label = action.label.removesuffix(" with SDP")
    if not label:
        return f"every message{_WAYS[action.direction]}"
    if not action.nth:
        return f"each {label}{_WAYS[action.direction]}"
    if action.nth == 1:
        return f"the {label}"
    return f"the {_ordinal(action.nth)} {label}{_WAYS[action.direction]}"


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
