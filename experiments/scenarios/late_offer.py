"""An INVITE without an offer: that is in the 200, and the answer in the ACK (RFC 3261 13.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class LateOffer:
    """``caller``: who calls without an offer."""

    caller: Literal["phone", "far-phone"] = "far-phone"

    def run(self, stage: Stage) -> None:
        if self.caller == "phone":
            stage.with_phone(late_offer=True)
        else:
            stage.with_far_phone(late_offer=True)
        phone, far = sign_in(stage)
        if self.caller == "phone":
            talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        else:
            talk = connect(stage, caller=far, callee=phone, target="alice@lab.test")
        if talk is not None:
            both_hear(stage, talk)
            hang_up(stage, talk)


ITEM = Item("late-offer", "A call whose offer comes in the 200 and the answer in the ACK.", LateOffer())
