"""Where programs are looked for: in PATH, and where Debian has those of administrators.

``ip`` and ``iptables-nft-restore`` lie in ``/usr/sbin``, which an ordinary user's PATH does not name.
"""

from __future__ import annotations

import os
import shutil
from typing import Final

SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def search_path() -> str:
    """PATH, and behind it the system's folders that it lacks."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*folders, *(each for each in SYSTEM_FOLDERS if each not in folders)])


def find(program: str) -> str | None:
    """The path of a program; ``None`` where there is none that can be run."""
    return shutil.which(program, path=search_path())
