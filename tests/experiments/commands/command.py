"""Running the command ``siplab`` as users do, and taking a program away from it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.conftest import ROOT


def siplab(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command; ``path``: the PATH in which it finds programs."""
    return subprocess.run(
        [sys.executable, "-m", "siplab", *arguments],
        env={**os.environ, "PATH": path or os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def path_without(program: str, folder: Path) -> str:
    """A PATH, made in ``folder``, with all programs of this machine but one."""
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        with suppress(OSError):  # not there, or not for this user
            for each in Path(place).iterdir():
                link = folder / each.name
                if each.name != program and not link.is_symlink():
                    link.symlink_to(each)
    return str(folder)
