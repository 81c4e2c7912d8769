"""``python -m tools.reliability``: writes the table of docs/reliability.md: what tests try, and what held.

It runs the tests of each area. A test says by ``record_property("tried", n)`` how many things it tries;
without that it counts as one. ``--check`` writes nothing and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tools.pages import DOCS, MadePart

ROOT: Final = Path(__file__).parents[1]
_PLUGINS: Final = "tests/experiments/trial/test_plugins.py"
_RESUME: Final = "tests/experiments/trial/test_resume.py"
_CONFINED: Final = "tests/experiments/programs/test_confinement.py"
_CONTAINERS: Final = "tests/experiments/programs/test_containers.py"
_BUBBLE: Final = "tests/lab/worlds/test_bubble.py"

# Each area with its tests: files, and prefixes of test names in them (empty: all tests).
AREAS: Final = (
    ("Models that raise, end Python or the process, hang, print", _PLUGINS, ("test_a_model_cannot",)),
    ("What detectors return or raise", _PLUGINS, ("test_a_detector_may", "test_what_is_right")),
    ("What scenarios check or raise", _PLUGINS, ("test_a_scenario_may",)),
    ("Modules that are none, or end Python", _PLUGINS, ("test_a_module", "test_an_item", "test_the_command")),
    ("Plug-ins that are not the same twice", "tests/experiments/trial/test_determinism_check.py", ()),
    ("Programs that change hosts, files, processes", _CONFINED, ()),
    ("Containers that do", _CONTAINERS, ("test_no_container", "test_a_container_that_is_killed")),
    (
        "Programs that hang, crash, flood",
        "tests/experiments/programs/test_programs.py",
        ("test_bad_programs",),
    ),
    (
        "Runs that are interrupted, killed or gone on with",
        _RESUME,
        ("test_ctrl_c", "test_a_run_that", "test_scores"),
    ),
    (
        "What a stored result depends on",
        _RESUME,
        (
            "test_a_model_that",
            "test_a_program_that",
            "test_programs_whose",
            "test_another",
            "test_an_installed",
        ),
    ),
    (
        "Damaged journals, full disks, outputs that can't be written",
        _RESUME,
        (
            "test_damaged",
            "test_a_line",
            "test_a_full",
            "test_an_output",
            "test_outputs",
            "test_a_former",
            "test_a_folder",
            "test_a_reader",
        ),
    ),
    (
        "Labs whose processes are killed or stopped",
        _BUBBLE,
        (
            "test_sigkill",
            "test_an_end",
            "test_the_death",
            "test_the_end",
            "test_a_bubble",
            "test_a_trial_whose",
        ),
    ),
    ("Runs with all of that by chance (chaos)", "tests/experiments/trial/test_chaos.py", ()),
)


def played() -> dict[tuple[str, str], list[tuple[int, bool]]]:
    """Run the tests; returns by file and test how many things each case tries, and whether it passed."""
    files = sorted({file for _, file, _ in AREAS})
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", f"--junit-xml={report}", *files],
            cwd=ROOT,
            check=False,
        )
        cases = ElementTree.parse(report).getroot().iter("testcase")  # noqa: S314 - pytest wrote it
        found: dict[tuple[str, str], list[tuple[int, bool]]] = {}
        for case in cases:
            file = case.get("classname", "").replace(".", "/") + ".py"
            name = case.get("name", "").partition("[")[0]
            tried = [
                int(each.get("value", "1")) for each in case.iter("property") if each.get("name") == "tried"
            ]
            held = not any(case.find(each) is not None for each in ("failure", "error", "skipped"))
            found.setdefault((file, name), []).append((tried[0] if tried else 1, held))
    return found


def table() -> str:
    """A row per area, in Markdown."""
    results = played()
    lines = ["| area | tried | held |", "|---|---|---|"]
    total: Counter[str] = Counter()
    for area, file, beginnings in AREAS:
        rows = [
            row
            for (where, name), each in results.items()
            if where == file and (not beginnings or name.startswith(beginnings))
            for row in each
        ]
        tried, held = sum(n for n, _ in rows), sum(n for n, held in rows if held)
        total.update(tried=tried, held=held)
        lines.append(f"| {area} | {tried} | {held} |")
    return "\n".join([*lines, f"| together | {total['tried']} | {total['held']} |", ""])


PART: Final = MadePart(DOCS / "reliability.md", "reliability", table)

if __name__ == "__main__":
    sys.exit(PART.main())
