"""The claims of the articles that this laboratory began with, each with what measures it.

There is one YAML file (``schema.py``) per subject. ``measuring.py`` runs the trials of its claims and says
whether they come out as each claim's answer needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from siplab.experiments.claims.schema import Claim, Claims
from siplab.lab import documents, specs

_FOLDER: Final = Path(__file__).parent
# In the order of presentation.
_SUBJECTS: Final = ("symptoms", "mechanisms", "faults", "remedies", "security", "questions")


def subjects() -> list[Claims]:
    """All claims, by subject."""
    return [documents.read(_FOLDER / f"{each}.yaml", Claims) for each in _SUBJECTS]


def every() -> dict[str, Claim]:
    """All claims by id."""
    return {claim.id: claim for subject in subjects() for claim in subject.claims}


def find(words: list[str]) -> list[Claim]:
    """The claim with that id, else all claims whose text has every word. Raises ``UsageError`` for none."""
    known = every()
    if len(words) == 1 and words[0] in known:
        return [known[words[0]]]
    wanted = [word.casefold() for word in words]
    found = [
        claim
        for claim in known.values()
        if all(
            word in f"{claim.id} {claim.says} {claim.question} {claim.learn}".casefold() for word in wanted
        )
    ]
    if not found:
        raise specs.unknown("claim", " ".join(words), list(known))
    return found
