"""Screenshots of pages for docs/pictures; the browser tests make them while they use the pages.

python -m tools.screenshots     runs these tests and writes the pictures again
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tools.pictures import FOLDER, ROOT
from tools.small_png import small

# The picture's name in docs/pictures, and the test's name for it.
PICTURES: Final = {
    "report": "report",
    "message": "message",
    "sound": "sound",
    "compatibility": "matrix",
    "sandbox": "sandbox",
    "exercise": "exercise",
    "live": "live",
}
LARGEST: Final = 150_000  # bytes of one picture
_TESTS: Final = (
    "tests/experiments/output/test_page.py::test_in_a_browser",
    "tests/experiments/sandbox/test_sandbox.py::test_in_a_browser[chromium]",
    "tests/experiments/commands/test_live_page.py::test_in_a_browser",
)


def main() -> int:
    """Entry point of the command."""
    with tempfile.TemporaryDirectory() as made:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_TESTS]
        environment = {**os.environ, "SIPLAB_SCREENSHOTS": made, "CI": "true"}
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if status:
            return status
        for name, source in PICTURES.items():
            data = small((Path(made) / f"{source}.png").read_bytes())
            if len(data) > LARGEST:
                print(f"screenshots: {name}.png has {len(data)} bytes, more than {LARGEST}", file=sys.stderr)
                return 1
            (FOLDER / f"{name}.png").write_bytes(data)
            print(f"{FOLDER / name}.png: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
