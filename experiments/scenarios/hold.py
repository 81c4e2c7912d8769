"""A call is held and resumed: as RFC 3264 8.4 has it, the old way (``c=IN IP4 0.0.0.0``), or by port 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from siplab.experiments.scenarios.call_checks import (
    both_hear,
    connect,
    hang_up,
    hears,
    hold,
    is_silent,
    stays_up,
)
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class Hold:
    """``how`` it is held, ``by`` whom, and for how long (``pause``, in seconds).

    ``music``: whoever is held must hear the other side meanwhile, so ``how`` has to be ``sendonly``, or
    ``zero-session``, whose c= of the session is overruled by that of the stream.
    """

    how: Literal["sendonly", "inactive", "zero-address", "zero-session", "zero-port"] = "sendonly"
    by: Literal["phone", "far-phone"] = "phone"
    pause: Annotated[float, Ge(2)] = 20.0
    music: bool = False

    def run(self, stage: Stage) -> None:
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        both_hear(stage, talk, name="before")
        by, holder, held = talk.caller, talk.outgoing, talk.incoming
        if self.by == "far-phone":
            by, holder, held = talk.callee, held, holder
        if not hold(stage, by, holder, self.how, "is held"):
            return
        stage.idle(1.0)
        begin = stage.now
        stays_up(stage, talk, self.pause, "stays up on hold", "The call drops while it is on hold.")
        name = "is silent on hold"
        is_silent(
            stage, holder, begin, stage.now, name, "A held call is not silent: who was put on hold is heard."
        )
        if self.music:
            hears(stage, held, begin, stage.now, "held side", "on hold")
        if hold(stage, by, holder, "", "is resumed"):
            both_hear(stage, talk, name="after")
        hang_up(stage, talk)


ITEM = Item("hold", "A call is held for 20 s and resumed.", Hold())
