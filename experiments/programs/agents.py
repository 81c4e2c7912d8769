"""The lab's own agents beside a user's program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from siplab.experiments.trial.stage import Stage
from siplab.lab.errors import UsageError

AGENTS: Final = ("server", "far-phone", "mirror")


def start(stage: Stage, names: Sequence[str], where: str = "agents") -> None:
    """Start agents by name. Raises ``UsageError``; ``where`` is the field or option that named them."""
    for name in names:
        if name not in AGENTS:
            raise UsageError(f"{where} {name}: the lab has {', '.join(AGENTS)}")
    if "mirror" in names and len(names) > 1:
        raise UsageError(f"{where} mirror takes the server's place: leave the others out")
    if "mirror" in names:
        stage.mirror()
    if "server" in names or "far-phone" in names:
        _ = stage.server
    if "far-phone" in names:
        stage.do(stage.far_phone, stage.far_phone.register)
