"""Why a machine forbids namespaces, and how to allow them for this program alone.

Each system forbids them in another place: Ubuntu by AppArmor, Debian and hardened kernels by settings, a
container by a filter of system calls. The message names the file that shows the cause.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_APPARMOR: Final = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_CLONE: Final = "/proc/sys/kernel/unprivileged_userns_clone"
_MOST: Final = "/proc/sys/user/max_user_namespaces"
_CONTAINERS: Final = ("/.dockerenv", "/run/.containerenv")

Reader = Callable[[str], str | None]


def read(path: str) -> str | None:
    """The text of a small file, ``None`` when there is none."""
    with suppress(OSError, UnicodeDecodeError):
        return Path(path).read_text(encoding="utf-8").strip()
    return None


def reason(*, root: bool, reader: Reader = read, python: str = "") -> str:
    """What forbids namespaces here and what to do, in one line; if unknown, the usual advice.

    ``python``: the path of this interpreter, with links resolved.
    """
    python = python or os.path.realpath(sys.executable)
    if any(reader(each) is not None for each in _CONTAINERS):
        return (
            "this is a container that may not make namespaces; start it with --privileged, or with "
            "--cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined"
        )
    if root:
        return "root may not make namespaces here (a container without CAP_SYS_ADMIN?)"
    if reader(_APPARMOR) == "1":
        return _apparmor(python)
    if reader(_CLONE) == "0":
        return (
            f"this kernel lets only root make user namespaces ({_CLONE} is 0); run as root, which allows it "
            "for this program alone, or for everybody: sudo sysctl kernel.unprivileged_userns_clone=1"
        )
    if reader(_MOST) == "0":
        return (
            f"this machine allows no user namespaces ({_MOST} is 0); run as root, or: "
            "sudo sysctl user.max_user_namespaces=1000"
        )
    version = reader("/proc/version") or ""
    if "microsoft" in version.lower():
        return (
            "this is WSL; its version 1 has no namespaces (wsl --set-version DISTRIBUTION 2), and an old "
            "kernel may lack the netfilter queue (wsl --update)"
        )
    return "this user may not make namespaces here; run as root"


def _apparmor(python: str) -> str:
    text = (
        f"AppArmor lets only programs with a profile make user namespaces ({_APPARMOR} is 1, as on Ubuntu "
        "24.04); run as root, or allow it for this program alone: "
    )
    if python.startswith("/usr/"):
        # A profile belongs to a file, and this file is the Python of everybody on the machine.
        return (
            f"{text}make an environment that has its own {python}, python3 -m venv --copies .venv, install "
            "siplab there, and see its 'doctor'"
        )
    profile = (
        f"abi <abi/4.0>, include <tunables/global> profile siplab {python} flags=(unconfined) {{ userns, }}"
    )
    return (
        f"{text}echo '{profile}' | sudo tee /etc/apparmor.d/siplab && "
        "sudo apparmor_parser -r /etc/apparmor.d/siplab"
    )
