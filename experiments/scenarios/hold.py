"""A call is held and resumed, in the new way (RFC 3264 8.4) or the old one (``c=IN IP4 0.0.0.0``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from experiments.registry import Item
from experiments.scenarios.call_checks import both_hear, connect, hang_up, hears, is_silent, stays_up
from experiments.scenarios.register import sign_in
from experiments.stage import Stage
from lab.agents.call import Call
from lab.agents.session import Hold as Way


@dataclass(frozen=True)
class Hold:
    """``how`` it is held, ``by`` whom, and for how long (``pause``, in seconds).

    ``music``: whoever is held must hear the other side meanwhile, so ``how`` has to be ``sendonly``.
    """

    how: Literal["sendonly", "inactive", "zero-address"] = "sendonly"
    by: Literal["phone", "far-phone"] = "phone"
    pause: Annotated[float, Ge(2)] = 20.0
    music: bool = False

    def run(self, stage: Stage) -> None:
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        both_hear(stage, talk, name="before")
        holder, held = talk.outgoing, talk.incoming
        if self.by == "far-phone":
            holder, held = held, holder
        if not self._change(stage, holder, self.how, "is held", "The hold key has no effect."):
            return
        stage.idle(1.0)
        begin = stage.now
        stays_up(stage, talk, self.pause, "stays up on hold")
        name = "is silent on hold"
        is_silent(
            stage, holder, begin, stage.now, name, "A held call is not silent: who was put on hold is heard."
        )
        if self.music:
            hears(stage, held, begin, stage.now, "held side", "on hold")
        symptom = "A held call does not come back."
        if self._change(stage, holder, "", "is resumed", symptom):
            both_hear(stage, talk, name="after")
        hang_up(stage, talk)

    def _change(self, stage: Stage, call: Call, how: Way, name: str, symptom: str) -> bool:
        outcome: list[int] = []

        def command(now: float) -> list[object]:
            call.hold(now, how, lambda status, later: outcome.append(status))
            return [*call.phone.layer.flush()]

        stage.do(call.phone, command)  # type: ignore[arg-type]
        stage.until(lambda: bool(outcome) or call.over, 35.0)
        return stage.check(name, outcome == [200], symptom, f"status {outcome[0] if outcome else 'none'}")


ITEM = Item("hold", "A call is held for 20 s and resumed.", Hold())
