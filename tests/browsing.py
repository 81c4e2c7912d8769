"""Scripts of ``tests/browser``, which use pages as people do, in a browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

BROWSER: Final = Path(__file__).parent / "browser"


def lacking() -> str:
    """What the browser tests lack here."""
    for program in ("node", "chromium"):
        if shutil.which(program) is None:
            return f"no {program}"
    if not (BROWSER / "node_modules" / "playwright-core").is_dir():
        return "no playwright-core in tests/browser"
    return ""


def found_by(script: str, *arguments: str | Path, timeout: float) -> Any:
    """What a script prints, as data. ``timeout`` in seconds."""
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
    """Copy the screenshots in a folder to where SIPLAB_SCREENSHOTS says, if it does."""
    if place := os.environ.get("SIPLAB_SCREENSHOTS"):
        for each in folder.glob("*.png"):
            shutil.copy(each, place)
