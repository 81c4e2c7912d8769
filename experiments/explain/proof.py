"""Why checks failed, by running the trial again: which actions of routers have to be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.trial.counterfactual import replay
from siplab.experiments.trial.counterfactual.replay import Replayer
from siplab.experiments.trial.counterfactual.search import Cure, cure_of
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Check


@dataclass(frozen=True)
class Proof:
    """What running the trial ``runs`` times again says of a failed check.

    ``cure``: what has to be undone; ``None``: nothing that the routers' ALGs did matters, or, with an
    ``obstacle``, that the trial can't be run again and nothing is known.
    """

    cure: Cure | None = None
    runs: int = 0
    obstacle: str = ""


def prove(spec: TrialSpec, checks: Sequence[Check]) -> dict[str, Proof]:
    """The proof for each failed check, by its name. Those that one cure cures share it."""
    failed = [each.name for each in checks if not each.passed]
    if why := replay.obstacle(spec):
        return dict.fromkeys(failed, Proof(obstacle=why))
    found: dict[str, Proof] = {}
    replayer = Replayer(spec)
    for number, name in enumerate(failed):
        known = (each for each in found.values() if each.cure is not None and name in each.cure.cures)
        proof = next(known, None)
        if proof is None:
            begin = replayer.runs
            cure = cure_of(replayer, name, failed[number + 1 :])
            proof = Proof(cure, replayer.runs - begin)
        found[name] = proof
    return found
