"""``python -m tools.claims``: what the founding articles claim, and what the lab measures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

from siplab.experiments import claims
from siplab.experiments.claims import measuring
from siplab.experiments.claims.measuring import Measured
from siplab.experiments.claims.schema import Answer
from siplab.experiments.output import commands
from tools.pages import DOCS, MadePart

PAGE = DOCS / "claims.md"


def make() -> str:
    """All claims, by subject. Raises ``SystemExit`` if one does not measure as it says."""
    lines: list[str] = []
    for subject in claims.subjects():
        lines += [f"## {subject.title}", ""]
        for claim in subject.claims:
            # The steps of cases have their own tests: tests/experiments/cases.
            measured = replace(measuring.measure(claim.model_copy(update={"cases": []})), claim=claim)
            if not measured.holds:
                raise SystemExit(f"claim '{claim.id}' is not as it says: siplab claims {claim.id}")
            lines += [*_told(measured), ""]
    return "\n".join(lines)


def _told(measured: Measured) -> Iterator[str]:
    claim = measured.claim
    articles = ", ".join(claim.articles)
    yield f"### `{claim.id}`"
    yield ""
    if claim.question:
        yield f"*{claim.question}*"
        yield ""
    yield f"{claim.says} ({articles})"
    yield ""
    yield f"**{claim.answer.value}**{claim.beside_the_answer}"
    if claim.answer is Answer.NOT_MEASURED:
        yield ""
        yield claim.reason
    seen = list(_seen(measured))
    if seen:
        yield ""
        yield from seen
    if claim.learn:
        yield ""
        yield claim.learn


def _seen(measured: Measured) -> Iterator[str]:
    for each in measured.verdicts:
        result = f"fails at {', '.join(f'`{name}`' for name in each.noticed)}"
        if each.measured == "works":
            result = "works"
        elif each.measured == "varies":
            result = f"{each.working} of {each.trials} work"
        command = commands.call(each.step.trials()[0])
        yield f"- {measuring.speaks(each.step)}: {each.step.claim}: {result}. `{command}`"
    for name in measured.claim.cases:
        yield f"- for: the story `{name}`, every step of it ([cases.md](cases.md)). `siplab case {name}`"
    for count in measured.counts:
        what = "the ALG comes as" if count.asked.field == "default" else "switching it off is"
        values = " or ".join(f"`{each}`" for each in count.asked.of)
        yield f"- {count.asked.speaks}: {count.found} of {count.cards} vendors' cards: {what} {values}."


PART = MadePart(PAGE, "claims", make, "list")

if __name__ == "__main__":
    sys.exit(PART.main())
