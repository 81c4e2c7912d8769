"""Proves why checks failed, by running the trial again: which actions of routers have to be undone?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from siplab.experiments.trial.counterfactual import replay
from siplab.experiments.trial.counterfactual.replay import Replayer
from siplab.experiments.trial.counterfactual.search import Cure, cure_of, same_class
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Check


@dataclass(frozen=True)
class Proof:
    """What running the trial ``runs`` times again shows about a failed check.

    ``cure``: what has to be undone. If it is ``None`` and there is no ``obstacle``, nothing that the routers'
    ALGs did matters; ``undone``: they did something. ``obstacle``: why the trial can't be run again; then
    nothing is known.
    """

    cure: Cure | None = None
    runs: int = 0
    undone: bool = False
    obstacle: str = ""


def prove(spec: TrialSpec, checks: Sequence[Check]) -> dict[str, Proof]:
    """The proof for each failed check, by its name. Checks that one cure fixes share a proof."""
    names = [each.name for each in checks]
    failed = [each.name for each in checks if not each.passed]
    if why := replay.obstacle(spec):
        return dict.fromkeys(failed, Proof(obstacle=why))
    found: dict[str, Proof] = {}
    replayer = Replayer(spec)
    for number, name in enumerate(failed):
        if names.count(name) > 1:
            found[name] = Proof(obstacle="several checks have this name")
            continue
        cured = (each for each in found.values() if each.cure is not None and name in each.cure.cures)
        found[name] = next(cured, None) or _search(replayer, name, failed[number + 1 :], found.values())
    return found


def _search(replayer: Replayer, check: str, others: Sequence[str], known: Iterable[Proof]) -> Proof:
    begin = replayer.runs
    cures = {each.cure.classes: each.cure for each in known if each.cure is not None}
    tried = (same_class(replayer, check, others, each) for each in cures.values())
    cure = next((each for each in tried if each is not None), None) or cure_of(replayer, check, others)
    return Proof(cure, replayer.runs - begin, replayer.undone)
