"""What this machine can do: each ability that the emulated world needs, tried for real.

Checking version numbers would not be enough: distributions disable namespaces in different ways, and some let
a process make namespaces but do nothing in them.
"""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import NamedTuple

from siplab.lab.errors import CapabilityError
from siplab.lab.worlds.emulated import fabric, tools


class Ability(NamedTuple):
    """One thing that the machine can or can't do.

    ``needed``: the emulated world needs it. ``fix``: how to get it.
    """

    name: str
    present: bool
    needed: bool
    detail: str = ""
    fix: str = ""


# Programs that some experiments and tests use, and the Debian packages that have them.
OPTIONAL_TOOLS = {"sipp": "sip-tester", "tshark": "tshark"}


@cache
def obstacle() -> str | None:
    """Why this machine can't run the emulated world, in one line with the fix; ``None`` if it can."""
    for ability in abilities():
        if ability.needed and not ability.present:
            return f"{ability.name}: {ability.fix}"
    return None


@cache
def abilities() -> tuple[Ability, ...]:
    """All abilities, tried once per process."""
    rows = [
        Ability(
            "Python 3.11 or later",
            sys.version_info >= (3, 11),
            True,
            platform.python_version(),
            "install Python 3.11 or later",
        ),
        Ability(
            "Linux", sys.platform == "linux", True, platform.release(), "use Linux, or --world simulated"
        ),
    ]
    if sys.platform != "linux":
        return tuple(rows)
    for module, fix in (
        ("mininet", "pip install 'siplab[emulated]'"),
        ("netfilterqueue", "pip install 'siplab[emulated]'"),
    ):
        rows.append(Ability(f"Python package {module}", find_spec(module) is not None, True, "", fix))
    for tool, package in fabric.TOOLS.items():
        path = tools.find(tool)
        rows.append(Ability(tool, path is not None, True, path or "", f"apt-get install {package}"))
    rows.append(_try_bubble(all(row.present for row in rows)))
    for tool, package in OPTIONAL_TOOLS.items():
        path = tools.find(tool)
        rows.append(Ability(tool, path is not None, False, path or "", f"apt-get install {package}"))
    return tuple(rows)


@cache
def kernel_obstacle() -> str | None:
    """Why no router here can use the kernel's own SIP ALG, with the fix; ``None`` if one can."""
    ability = kernel_ability()
    return None if ability.present else f"{ability.name}: {ability.fix}"


@cache
def kernel_ability() -> Ability:
    """Whether a router can use the kernel's own SIP ALG; tried once per process."""
    name = "a router with the kernel's own SIP ALG"
    obstructed = obstacle()
    if obstructed is not None:
        return Ability(name, False, False, "not tried", obstructed)
    from siplab.lab.worlds.emulated.bubble import Bubble

    try:
        with Bubble("siplab.lab.worlds.emulated.capability:probe_kernel") as bubble:
            complaint = bubble.result()
    except (CapabilityError, EOFError) as error:
        complaint = str(error) or "the test network's process died"
    return Ability(name, complaint is None, False, platform.release(), complaint or "")


def probe_kernel(connection: Connection) -> None:
    """Task of a bubble: build a router whose kernel translates, and clear its connection table."""
    from siplab.lab.worlds.emulated import trialrun

    try:
        trialrun.build_kernel()
    except Exception as error:
        connection.send(
            str(error) if isinstance(error, CapabilityError) else f"{type(error).__name__}: {error}"
        )
    else:
        connection.send(None)


def _try_bubble(worth_trying: bool) -> Ability:
    who = "root" if os.getuid() == 0 else "an ordinary user"
    name = "a network with a netfilter queue in namespaces"
    if not worth_trying:
        return Ability(name, False, True, "not tried", "first fix what is missing above")
    from siplab.lab.worlds.emulated.bubble import Bubble

    try:
        with Bubble("siplab.lab.worlds.emulated.capability:probe") as bubble:
            complaint = bubble.result()
    except CapabilityError as error:
        return Ability(name, False, True, f"tried as {who}", str(error))
    except EOFError:
        complaint = "the test network's process died"
    return Ability(name, complaint is None, True, f"tried as {who}", complaint or "")


def probe(connection: Connection) -> None:
    """Task of a bubble: build a router between two hosts, send a datagram through its queue."""
    from siplab.lab.worlds.emulated import trialrun

    try:
        trialrun.run()
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
    else:
        connection.send(None)
