"""Where programs are looked for: in PATH, and in Debian's folders for administrators' programs.

``ip`` and ``iptables-nft-restore`` are in ``/usr/sbin``, which an ordinary user's PATH does not have.
"""

from __future__ import annotations

import os
import shutil
from typing import Final

SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def search_path() -> str:
    """PATH, followed by the system's folders that it lacks."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*folders, *(each for each in SYSTEM_FOLDERS if each not in folders)])


def find(program: str) -> str | None:
    """The path of a program; ``None`` when no executable one is found."""
    return shutil.which(program, path=search_path())
