"""Running the scripts of ``tests/browser``, which use pages in a browser as people do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

BROWSER: Final = Path(__file__).parent / "browser"


def lacking() -> str:
    """What is missing here for the browser tests; empty if nothing."""
    for program in ("node", "chromium"):
        if shutil.which(program) is None:
            return f"no {program}"
    if not (BROWSER / "node_modules" / "playwright-core").is_dir():
        return "no playwright-core in tests/browser"
    return ""


def found_by(script: str, *arguments: str | Path, timeout: float) -> Any:
    """The output of a script, as data. ``timeout`` in seconds."""
    done = subprocess.run(
        ["node", BROWSER / script, *arguments],
        cwd=BROWSER,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def keep_pictures(folder: Path) -> None:
    """Copy the screenshots in a folder to the folder in SIPLAB_SCREENSHOTS, if it is set."""
    if place := os.environ.get("SIPLAB_SCREENSHOTS"):
        for each in folder.glob("*.png"):
            shutil.copy(each, place)
