"""What determines results, and where and when they were made. The two are kept apart.

``determinants`` are the same for the same experiment on any machine; the results contain them. ``provenance``
says who made the results, and on which machine; it is in a separate file.
"""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from siplab import lab, topologies
from siplab.alg_models import profiles
from siplab.experiments.output.keys import room_digest
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.lab.version import __version__

NAME: Final = "provenance.json"


def determinants(results: Iterable[TrialResult]) -> dict[str, Any]:
    """Version, digest of the catalogue, and the content of every topology that a trial names."""
    named = sorted({each.spec.topology for each in results})
    return {
        "siplab": __version__,
        "catalogue": room_digest("alg_models"),
        "topologies": {each: topologies.load(each).model_dump(mode="json", by_alias=True) for each in named},
    }


def vendors(result: TrialResult) -> dict[str, dict[str, str]]:
    """For each vendor in a trial: which model runs, how well it is known, and for which products."""
    known = trial.models(result.spec.model_paths)
    found = {spec: profiles.about(known.get(spec)) for spec in result.models.values()}
    return {spec: told for spec, told in found.items() if told}


def provenance() -> dict[str, Any]:
    """Commit, kernel, Python, machine and date. Unknown values are ``null``."""
    return {
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


@cache
def _commit() -> str | None:
    """The commit of this checkout, followed by ``+`` if files differ from it."""
    folder = Path(lab.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
