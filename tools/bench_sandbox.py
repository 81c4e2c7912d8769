"""How much CPU a trial costs in the sandbox, in Chromium: the first, with all that it loads, and others."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from siplab.experiments.sandbox import parts
from siplab.experiments.sandbox.page import page

LIMIT: Final = 0.5
"""CPU seconds that a trial behind the first one may take."""
_BROWSER: Final = Path(__file__).parents[1] / "tests" / "browser"


def can_be_measured() -> bool:
    """Whether a browser and what drives it are here."""
    programs = all(shutil.which(each) for each in ("node", "chromium"))
    return programs and (_BROWSER / "node_modules" / "playwright-core").is_dir()


def sandbox_bench(spread: Callable[[list[float]], dict[str, float]], rounds: int) -> dict[str, Any]:
    """CPU seconds of all processes of the browser. Raises ``UsageError`` where the sandbox can't be made."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sandbox.html"
        path.write_text(page(parts.fetch()), encoding="utf-8")
        done = subprocess.run(
            ["node", _BROWSER / "bench.mjs", path, str(rounds)], capture_output=True, text=True, check=True
        )
    found = json.loads(done.stdout)
    return {"first": round(found["first"], 2), "further": spread(found["further"])}
