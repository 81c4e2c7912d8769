"""How much CPU a trial costs in the sandbox, in Chromium: the first, with all it loads, and later ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from siplab.experiments.sandbox import parts
from siplab.experiments.sandbox.page import page
from tools.bench.parts import ROUNDS, Part, Row, show, spread

LIMIT: Final = 0.5
"""CPU seconds that a trial after the first one may take."""
_BROWSER: Final = Path(__file__).parents[2] / "tests" / "browser"


def obstacle() -> str | None:
    """Why it can't be measured here: the browser or its driver is missing; else ``None``."""
    missing = [each for each in ("node", "chromium") if shutil.which(each) is None]
    if not (_BROWSER / "node_modules" / "playwright-core").is_dir():
        missing.append("playwright-core")
    return f"{', '.join(missing)} missing" if missing else None


def measure() -> dict[str, Any]:
    """CPU seconds of all browser processes. Raises ``UsageError`` if the sandbox can't be built."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sandbox.html"
        path.write_text(page(parts.fetch()), encoding="utf-8")
        done = subprocess.run(
            ["node", _BROWSER / "bench.mjs", path, str(ROUNDS)], capture_output=True, text=True, check=True
        )
    found = json.loads(done.stdout)
    return {"first": round(found["first"], 2), "further": spread(found["further"])}


def rows(found: dict[str, Any]) -> Iterator[Row]:
    yield Row(
        "sandbox in Chromium: a trial, all processes of the browser",
        show(found["further"], "s CPU"),
        f"at most {LIMIT} s; the first one, with Python: {found['first']} s",
    )


PART: Final = Part("sandbox", measure, rows, obstacle)
