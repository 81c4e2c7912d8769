"""What every model and variant comes to, as text that a reviewer can read in a diff.

``python -m tools.matrix`` prints it, ``--write`` puts it into ``tests/golden/matrix.txt``, which a
test compares: a model that stops breaking what it did, or starts to break more, shows. What is shipped with
the models of that (``Card.breaks``) is made from the golden file.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from siplab.alg_models import catalogue
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from tools import trials

GOLDEN: Final = Path(__file__).parents[1] / "tests" / "golden" / "matrix.txt"
# The one that asks the least and the one that asks everything; the scoreboard has the others.
DETECTORS: Final = ("mirror", "combined")
_HEAD: Final = """\
# Each model in the topology home, with the ordinary endpoints: what detectors say, and of each scenario that
# fails the first check that does. Scenarios that are not named pass. python -m tools.matrix --write
"""


def models() -> list[str]:
    """The models and variants that have a row, in order."""
    return [model.id for model in trial.models().runnable()]


def specs(model: str) -> list[TrialSpec]:
    """The trials of one model's row: the detectors first."""
    detectors = [TrialSpec("home", model, detector=each) for each in DETECTORS]
    return detectors + [TrialSpec("home", model, item.id) for item in registry.scenarios()]


def results(model: str) -> list[TrialResult]:
    """The outcomes of these trials."""
    return [trials.result(spec) for spec in specs(model)]


def row(results: Sequence[TrialResult]) -> str:
    """The text about one model."""
    cells = [(each.spec.played, _outcome(each)) for each in results]
    seen, played = cells[: len(DETECTORS)], cells[len(DETECTORS) :]
    failed = [cell for cell in played if cell[1] != "pass"]
    passed = [name for name, outcome in played if outcome == "pass"]
    if len(passed) <= 1 and len({outcome for _, outcome in failed}) == 1:
        failed = [(f"all but {passed[0]}" if passed else "all", failed[0][1])]
    lines = [f"    {name:16} {outcome}\n" for name, outcome in (*seen, *failed)]
    return "".join([f"{results[0].spec.model}\n", *lines])


def golden() -> dict[str, str]:
    """The rows of the golden file, by model."""
    return _rows(GOLDEN.read_text(encoding="utf-8"))


def breaks(text: str) -> str:
    """What each model of this project breaks, of a whole matrix: JSON as the package ships it."""
    found: dict[str, list[str]] = {}
    own = {model.id for model in catalogue.load(plugins=False)}
    for model, lines in _rows(text).items():
        failed = re.findall(r"^ +(?:(all) but )?(\S+)", lines, re.MULTILINE)[len(DETECTORS) :]
        if failed and model in own:
            found[model] = [
                word for every, name in failed for word in ([every, f"-{name}"] if every else [name])
            ]
    return json.dumps(found, indent=1) + "\n"


def _rows(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            name = line.strip()
        found[name] = found.get(name, "") + line
    return found


def _outcome(result: TrialResult) -> str:
    if result.errors:
        return f"error: {result.errors[0]}"
    if result.first_failure is not None:
        return result.first_failure.name
    if result.finding is not None and result.finding.changed and result.spec.detector == "mirror":
        return f"{result.outcome}: {', '.join(result.finding.changed)}"
    return result.outcome


def main() -> int:
    """Print the matrix, or write the golden file."""
    rows = [specs(model) for model in models()]
    flat = runner.run_all([each for row in rows for each in row], world="simulated", jobs=os.cpu_count() or 1)
    found = iter(flat)
    text = _HEAD + "".join(row([next(found) for _ in each]) for each in rows)
    if "--write" in sys.argv[1:]:
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
        catalogue.BREAKS.write_text(breaks(text), encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
