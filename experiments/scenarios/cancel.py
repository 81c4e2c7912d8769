"""The caller gives up before anybody answers: the called phone must stop ringing.

phone -> server   INVITE     server -> far phone   INVITE
phone <- server   180        server <- far phone   180
phone -> server   CANCEL     server -> far phone   CANCEL
phone <- server   200, 487   server <- far phone   200, 487
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.call import CallState


@dataclass(frozen=True)
class Cancel:
    """``caller``: who calls and gives up, the phone behind the router or the far one."""

    caller: Literal["phone", "far-phone"] = "phone"

    def run(self, stage: Stage) -> None:
        stage.with_phone(ring_time=None)
        stage.with_far_phone(ring_time=None)
        phone, far = sign_in(stage)
        caller, callee, target = (phone, far, "bob@lab.test")
        if self.caller == "far-phone":
            caller, callee, target = (far, phone, "alice@lab.test")
        stage.do(caller, lambda now: caller.call(target, now))
        outgoing = caller.calls[-1]
        stage.until(lambda: outgoing.over or outgoing.state is CallState.RINGING, 10.0)
        if not stage.check(
            "rings",
            bool(callee.calls) and callee.calls[-1].ringing_at is not None,
            "The called phone does not ring; the caller reaches voicemail.",
            outgoing.reason,
        ):
            return
        stage.idle(3.0)
        stage.do(caller, lambda now: caller.hang_up(now, outgoing))
        stage.until(lambda: outgoing.over and callee.calls[-1].over, 35.0)
        stage.check(
            "stops ringing",
            callee.calls[-1].over,
            "The called phone rings on after the caller has given up.",
            callee.calls[-1].reason,
        )
        stage.check(
            "is released",
            outgoing.over and outgoing.status == 487,
            "The caller's phone hangs in a call that is over.",
            f"status {outgoing.status}",
        )


ITEM = Item("cancel", "The caller gives up while the phone rings.", Cancel())
