"""An INVITE that is larger than an Ethernet frame: its datagram comes in fragments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class LargeInvite:
    """``padding``: bytes that a header adds; ``caller``: who sends the large INVITE."""

    padding: Annotated[int, Ge(0), Le(20000)] = 1400
    caller: Literal["phone", "far-phone"] = "phone"

    def run(self, stage: Stage) -> None:
        if self.caller == "phone":
            stage.with_phone(padding=self.padding)
        else:
            stage.with_far_phone(padding=self.padding)
        phone, far = sign_in(stage)
        if self.caller == "phone":
            talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        else:
            talk = connect(stage, caller=far, callee=phone, target="alice@lab.test")
        if talk is not None:
            both_hear(stage, talk)
            hang_up(stage, talk)


ITEM = Item("large-invite", "A call whose INVITE is larger than the MTU.", LargeInvite())
