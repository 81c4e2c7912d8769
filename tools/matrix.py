"""What every model and variant comes to, as text that a reviewer can read in a diff.

``python -m tools.matrix`` prints it, ``--write`` puts it into ``tests/golden/matrix.txt``, which a
test compares: a model that stops breaking what it documents, or starts to break more, shows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from experiments import registry, runner, trial
from experiments.trial import TrialResult, TrialSpec

GOLDEN: Final = Path(__file__).parents[1] / "tests" / "golden" / "matrix.txt"
# The one that asks the least and the one that asks everything; the others are compared in the scoreboard.
DETECTORS: Final = ("mirror", "combined")
_HEAD: Final = """\
# Each model in the topology home, with the ordinary endpoints: what detectors say, and of each scenario that
# fails the first check that does. Scenarios that are not named pass. python -m tools.matrix --write
"""


def specs() -> list[TrialSpec]:
    """The trials of all the rows: model by model, the detectors first."""
    scenarios = [item.id for item in registry.scenarios()]
    return [
        trial_spec
        for model in trial.models().runnable()
        for trial_spec in (
            *(TrialSpec("home", model.id, detector=each) for each in DETECTORS),
            *(TrialSpec("home", model.id, each) for each in scenarios),
        )
    ]


def matrix(results: Sequence[TrialResult]) -> str:
    """The text, of the results of ``specs``."""
    lines = [_HEAD]
    per_model = len(DETECTORS) + len(list(registry.scenarios()))
    for at in range(0, len(results), per_model):
        rows = results[at : at + per_model]
        lines.append(f"{rows[0].spec.model}\n")
        cells = [(each.spec.played, _outcome(each)) for each in rows]
        failed = [cell for cell in cells[len(DETECTORS) :] if cell[1] != "pass"]
        outcomes = {outcome for _, outcome in failed}
        if len(outcomes) == 1 and len(failed) == per_model - len(DETECTORS):
            failed = [("every scenario", outcomes.pop())]
        lines += [f"    {name:16} {outcome}\n" for name, outcome in (*cells[: len(DETECTORS)], *failed)]
    return "".join(lines)


def _outcome(result: TrialResult) -> str:
    if result.outcome == "fail" and result.first_failure is not None:
        return result.first_failure.name
    if result.errors:
        return f"error: {result.errors[0]}"
    if result.finding is not None and result.finding.changed and result.spec.detector == "mirror":
        return f"{result.outcome}: {', '.join(result.finding.changed)}"
    return result.outcome


def run(jobs: int = 1) -> str:
    """Run the trials and give the text."""
    return matrix(runner.run_all(specs(), world="simulated", jobs=jobs))


def main() -> int:
    """Print the matrix, or write the golden file."""
    text = run(jobs=os.cpu_count() or 1)
    if "--write" in sys.argv[1:]:
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
