"""The phone loses power and comes back on another port: it registers anew, and must be reachable there.

The router and the registrar still know the old port; what they make of it decides where calls go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Ge, Le

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.phone import Phone


@dataclass(frozen=True)
class PhoneRestart:
    """``port``: the phone's SIP port after the restart."""

    port: Annotated[int, Ge(1024), Le(65535)] = 5066

    def run(self, stage: Stage) -> None:
        old, far = stage.phone, stage.far_phone
        stage.do(far, far.register)
        stage.idle(1.0)
        register(stage)
        stage.idle(5.0)
        stage.world.remove(old)
        stage.idle(5.0)
        new = Phone(replace(old.config, sip_port=self.port), stage.rng("alice after the restart"))
        stage.world.add(stage.host("phone")[0], new)
        register(stage, new, "after the restart ")
        talk = connect(stage, caller=far, callee=new, target="alice@lab.test")
        if talk is not None:
            both_hear(stage, talk)
            hang_up(stage, talk)


ITEM = Item("phone-restart", "The phone restarts on another port and is called.", PhoneRestart())
