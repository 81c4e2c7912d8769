"""The claims of the articles that this laboratory began with, each with what measures it.

A YAML file (``schema.py``) has those of one subject. ``measuring.py`` runs their trials and says whether they
come out as the claim's answer needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from siplab.experiments.claims.schema import Claim, Claims
from siplab.lab import documents, specs

_FOLDER: Final = Path(__file__).parent
# In the order in which they are told.
_SUBJECTS: Final = ("symptoms", "mechanisms", "faults", "remedies", "security", "questions")


def subjects() -> list[Claims]:
    """All claims, by subject."""
    return [documents.read(_FOLDER / f"{each}.yaml", Claims) for each in _SUBJECTS]


def every() -> dict[str, Claim]:
    """All claims by id."""
    return {claim.id: claim for subject in subjects() for claim in subject.claims}


def find(words: list[str]) -> list[Claim]:
    """The claim with that id, else those in whose text every word stands. Raises ``UsageError`` for none."""
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
