"""The option of commands that may run their trials in both worlds, to compare."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from siplab.experiments.trial import runner

Choice = Literal["auto", "both", "simulated", "emulated"]
Worlds = Annotated[
    Choice, typer.Option("--world", help="Where trials run. auto: in both worlds where this machine can.")
]


def worlds_of(choice: Choice) -> tuple[list[str], str]:
    """The worlds, and why. Raises ``CapabilityError``."""
    if choice == "simulated" or choice == "emulated":
        return [runner.choose_world(choice)[0]], "asked for"
    kind, why = runner.choose_world("emulated" if choice == "both" else "auto")
    if kind == "simulated":
        return ["simulated"], why
    return ["simulated", "emulated"], "asked for" if choice == "both" else "this machine can both"
