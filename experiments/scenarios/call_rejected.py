"""The called phone is busy, or its owner declines: the caller hears so at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.experiments.scenarios.call_checks import connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.call import CallState
from siplab.lab.phone.phone import Phone


@dataclass(frozen=True)
class Refused:
    """``how``: ``busy`` (486: the callee talks to somebody) or ``declined`` (603).

    ``callee``: who is called, the phone behind the router or the far one.
    """

    how: Literal["busy", "declined"] = "busy"
    callee: Literal["phone", "far-phone"] = "far-phone"

    def run(self, stage: Stage) -> None:
        if self.how == "declined":
            stage.with_phone(ring_time=None)
            stage.with_far_phone(ring_time=None)
        phone, far = sign_in(stage)
        caller, callee, target = (phone, far, "bob@lab.test")
        if self.callee == "phone":
            caller, callee, target = (far, phone, "alice@lab.test")
        talk = None
        if self.how == "busy":
            other = stage.third_phone
            stage.do(other, other.register)
            stage.idle(1.0)
            talk = connect(stage, caller=other, callee=callee, target=target, name="first call ")
            if talk is None:
                return
        stage.do(caller, lambda now: caller.call(target, now))
        outgoing = caller.calls[-1]
        stage.idle(2.0)
        if self.how == "declined":
            _decline(stage, callee)
        stage.until(lambda: outgoing.over, 35.0)
        wanted = 486 if self.how == "busy" else 603
        stage.check(
            f"hears that it is {self.how}",
            outgoing.over and outgoing.status == wanted,
            "The caller hears ringing or nothing instead of the busy tone.",
            f"status {outgoing.status or 'none'}",
        )
        if talk is not None:
            hang_up(stage, talk, name="first call hangs up")


def _decline(stage: Stage, callee: Phone) -> None:
    if callee.calls and callee.calls[-1].state is CallState.RINGING:
        stage.do(callee, lambda now: callee.hang_up(now, callee.calls[-1]))


ITEM = Item("call-rejected", "The called phone is busy, or declines.", Refused())
