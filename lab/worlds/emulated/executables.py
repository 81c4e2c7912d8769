"""Programs of this machine that are to run on a host of the lab: whether they exist."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Final

from siplab.lab.errors import UsageError

# Debian packages of programs that people run in the lab, for the error when one is missing.
_PACKAGES: Final = {
    "sipp": "sip-tester",
    "sipsak": "sipsak",
    "kamailio": "kamailio",
    "baresip": "baresip-core",
    "rtpengine": "rtpengine-daemon",
    "linphonec": "linphone-cli",
    "turnserver": "coturn",
}


def require(program: str, where: str = "") -> None:
    """Raises ``UsageError`` if a program, by name or path, is missing or not executable.

    ``where``: the place that names the program, for the error's text.
    """
    if "\0" not in program and shutil.which(program) is not None:
        return
    named = f"{where}: " if where else ""
    if "/" in program and "\0" not in program and Path(program).is_file():
        raise UsageError(f"{named}'{program}' is not executable: chmod +x {shlex.quote(program)}")
    package = _PACKAGES.get(Path(program).name)
    raise UsageError(
        f"{named}no program '{program}' here" + (f": apt-get install {package}" if package else "")
    )
