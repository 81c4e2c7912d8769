"""``python -m tools.score_endpoints``: detectors whose answer depends on endpoints (docs/scoreboard.md)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import DEFAULT, STRICT
from siplab.experiments.trial.spec import TrialSpec
from tools import trials
from tools.pages import DOCS, MadePart

# The lab's detectors that use the trial's endpoints; the others have their own messages and server.
DETECTORS: Final = ("passive", "received", "registration-readback")


class Row(NamedTuple):
    """What one detector says about one router, with the default endpoints and with the strict ones."""

    router: str
    detector: str
    default: str
    strict: str


def answers() -> Iterator[Row]:
    """All answers about the catalogue's models."""
    for model in trial.models().select(["all"]):
        for detector in DETECTORS:
            spec = TrialSpec("home", model.id, detector=detector)
            said = (trials.result(spec.between(pair)).outcome for pair in (DEFAULT, STRICT))
            yield Row(model.id, detector, *said)


def table() -> str:
    """The number of answers, and a list of those that differ, in Markdown."""
    rows = list(answers())
    other = [each for each in rows if each.default != each.strict]
    lines = [f"{len(other)} of {len(rows)} answers differ.", ""]
    lines += ["| router | detector | default endpoints | strict endpoints |", "|---|---|---|---|"]
    lines += [
        f"| `{each.router}` | `{each.detector}` | `{each.default}` | `{each.strict}` |" for each in other
    ]
    return "\n".join([*lines, ""])


PART: Final = MadePart(DOCS / "scoreboard.md", "score_endpoints", table)

if __name__ == "__main__":
    sys.exit(PART.main())
