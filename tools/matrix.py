"""The matrix of model x scenario x outcome, as text that a reviewer can read in a diff.

``python -m tools.matrix`` prints it, ``--write`` puts it into ``tests/golden/matrix.txt``, which a
test compares: a model that stops breaking what it documents, or starts to break more, shows.
"""

from __future__ import annotations

import sys
from pathlib import Path

from experiments import registry, trial
from experiments.trial import TrialResult, TrialSpec

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "matrix.txt"


def matrix() -> str:
    """One line per model and variant: what each scenario and detector came to."""
    columns = [("scenario", item.id) for item in registry.scenarios()]
    columns += [("detector", item.id) for item in registry.detectors()]
    models = trial.models().runnable()
    width = max(len(model.id) for model in models)
    lines = ["# model: scenario=outcome; python -m tools.matrix --write"]
    for model in models:
        cells = []
        for kind, name in columns:
            spec = TrialSpec("home", model.id, **{kind: name})
            cells.append(f"{name}={_outcome(trial.run(spec)[0])}")
        lines.append(f"{model.id:{width}}  {'  '.join(cells)}")
    return "\n".join(lines) + "\n"


def _outcome(result: TrialResult) -> str:
    failed = [check.name.replace(" ", "-") for check in result.checks if not check.passed]
    if result.outcome == "fail":
        return f"fail({','.join(failed)})"
    if result.finding is not None and result.finding.changed:
        return f"{result.outcome}({','.join(part.replace(' ', '-') for part in result.finding.changed)})"
    return result.outcome


def main() -> int:
    """Print the matrix, or write the golden file."""
    text = matrix()
    if "--write" in sys.argv[1:]:
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
