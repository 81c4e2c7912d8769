"""Starts the lab's own agents beside a user's program, and the STUN and TURN relays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from siplab.experiments.programs import kinds
from siplab.experiments.trial.spec import is_program
from siplab.experiments.trial.stage import Stage
from siplab.lab.errors import UsageError

AGENTS: Final = ("server", "far-phone", "mirror")


def check(names: Sequence[str], where: str) -> None:
    """Raises ``UsageError`` if these can't be started together. ``where``: as for ``start``."""
    for name in names:
        if is_program(name):
            kinds.get(name, "relay").require()
        elif name not in AGENTS:
            raise UsageError(f"{where} {name}: the lab has {', '.join(AGENTS)}")
    if "mirror" in names and len(names) > 1:
        raise UsageError(f"{where} mirror takes the server's place: leave the others out")


def start(stage: Stage, names: Sequence[str], where: str = "agents") -> None:
    """Start agents by name, or relays by ``program:NAME``. ``where``: the field or option that named them.

    Raises ``UsageError`` for an unknown name.
    """
    check(names, where)
    if "mirror" in names:
        stage.mirror()
    if "server" in names or "far-phone" in names:
        _ = stage.server
    if "far-phone" in names:
        stage.do(stage.far_phone, stage.far_phone.register)
    for name in filter(is_program, names):
        stage.start_relay(name)
