"""How good `siplab diagnose` is: models in scenarios, from captures of both sides and of one side."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from siplab.experiments.captures.comparison import Verdict
from siplab.experiments.diagnosis.diagnosing import diagnose
from siplab.experiments.diagnosis.in_the_lab import harms
from siplab.experiments.diagnosis.one_side import Family
from siplab.experiments.learning.candidates import distance
from siplab.experiments.learning.files import as_captures
from siplab.experiments.learning.observations import from_trace
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.worlds.pair import Pair
from siplab.lab.worlds.trace import looks_like_sip

SCENARIOS: Final = ("register", "outgoing-call", "incoming-call", "hold")
_PRIVATE: Final = b"192.168."


class Told(NamedTuple):
    """The diagnosis of a model in a scenario.

    ``right``: the verdict is "ALG" if the model changes something, else "clean". ``named``: the true model is
    among the equally good candidates; ``None`` if the fault changed nothing here. ``cures``: the remedies are
    those of the true model; ``None``: nothing was learnt. ``family``: how many of the two one-sided captures
    give the right family. ``model_told``: whether a one-sided capture led to a model.
    """

    truth: str
    scenario: str
    right: bool
    named: bool | None
    cures: bool | None
    family: int
    model_told: bool


def chosen(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Pairs of a model and a scenario at random."""
    rng = random.Random(seed)
    known = [each.id for each in trial.models().runnable()]
    for each in rng.sample(known, min(count, len(known))):
        yield each, rng.choice(SCENARIOS)


def measured(truth: str, scenario: str) -> Told:
    """Diagnose a model from captures of one scenario."""
    pair = from_trace(trial.run(TrialSpec("home", truth, scenario=scenario))[1])[0]
    sides = as_captures(pair, Path("capture.pcap"))
    found = diagnose(sides)
    changes = _family(pair) is not Family.UNTOUCHED
    named = cures = None
    if found.learnt is not None:
        named = truth in {each.id for each in found.learnt.found.tie}
        is_quiet = not distance(found.learnt.observed, trial.models().get(truth), 0.0)
        if found.learnt.found.model.card.kind == "control" and not found.learnt.found.distance and is_quiet:
            named = None
        true = replace(found.learnt, model=trial.models().get(truth), rules=None)
        wanted = {(each.scenario, each.check): each.cures for each in harms(true)} if not named else None
        mine = {(each.scenario, each.check): each.cures for each in found.harms}
        cures = named or mine == wanted
    alone = [diagnose([each]) for each in sides]
    families = [each.one_sided.family for each in alone if each.one_sided is not None]
    return Told(
        truth,
        scenario,
        (found.verdict is Verdict.ALG) == changes,
        named,
        cures,
        sum(each is _family(pair) for each in families),
        any(each.learnt is not None for each in alone),
    )


def _family(pair: Pair) -> Family:
    """What a router did to SIP."""
    changed = swallowed = private = False
    for each, left in zip(pair.crossings, pair.arrivals, strict=True):
        payload = ip.parse(each.packet).payload
        if not looks_like_sip(payload):
            continue
        swallowed = swallowed or not left
        changed = changed or any(row.payload != payload for row in left)
        private = private or (
            each.side is Side.INSIDE and any(_PRIVATE in _addresses(row.payload) for row in left)
        )
    if swallowed:
        return Family.SWALLOWS
    if not changed:
        return Family.UNTOUCHED
    return Family.HALF_TRANSLATES if private else Family.TRANSLATES


def _addresses(message: bytes) -> bytes:
    """The lines of a message where addresses matter: Via, Contact and c=."""
    names = (b"via:", b"v:", b"contact:", b"m:", b"c=")
    return b"\n".join(line for line in message.splitlines() if line.lower().startswith(names))


def table(rows: list[Told]) -> list[list[str]]:
    """The table's cells: subject, goal, result."""

    def share(part: int, total: int) -> str:
        return f"{part} of {total}" + (f" ({100 * part / total:.0f} %)" if total else "")

    named = [each.named for each in rows if each.named is not None]
    cured = [each.cures for each in rows if each.cures is not None]
    return [
        ["diagnoses of two sides: right class", "95 %", share(sum(each.right for each in rows), len(rows))],
        ["the true model in the tie", "100 %", share(sum(named), len(named))],
        ["cures as the true model's", "90 %", share(sum(cured), len(cured))],
        ["one side: a model was named", "never", str(sum(each.model_told for each in rows))],
        ["family right", "80 %", share(sum(each.family for each in rows), 2 * len(rows))],
    ]


def missed(rows: list[Told]) -> list[str]:
    """A sentence for each wrong diagnosis."""
    wrong = [f"`{each.truth}` in {each.scenario}" for each in rows if not each.right]
    unnamed = [f"`{each.truth}` in {each.scenario}" for each in rows if each.named is False]
    return [
        f"Diagnoses of the wrong class: {', '.join(wrong) or 'none'}.",
        "",
        f"Not in the tie: {', '.join(unnamed) or 'none'}.",
        "",
    ]
