"""The lab's own agents beside a user's program, and the relays of STUN and TURN that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from siplab.experiments.trial.spec import is_program
from siplab.experiments.trial.stage import Stage
from siplab.lab.errors import UsageError

AGENTS: Final = ("server", "far-phone", "mirror")


def start(stage: Stage, names: Sequence[str], where: str = "agents") -> None:
    """Start agents by name, or relays by ``program:NAME``. ``where``: the field or option that named them.

    Raises ``UsageError``.
    """
    for name in names:
        if name not in AGENTS and not is_program(name):
            raise UsageError(f"{where} {name}: the lab has {', '.join(AGENTS)}")
    if "mirror" in names and len(names) > 1:
        raise UsageError(f"{where} mirror takes the server's place: leave the others out")
    if "mirror" in names:
        stage.mirror()
    if "server" in names or "far-phone" in names:
        _ = stage.server
    if "far-phone" in names:
        stage.do(stage.far_phone, stage.far_phone.register)
    for name in filter(is_program, names):
        stage.start_relay(name)
