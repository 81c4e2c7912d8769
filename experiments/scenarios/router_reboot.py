"""The router restarts and forgets all bindings, while the phone is registered or during a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up, stays_up
from siplab.experiments.scenarios.register import sign_in, still_registered
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class RouterReboot:
    """``during``: what is going on; ``expires``: the registration's lifetime in seconds.

    The phone is reachable again when it has refreshed its registration.
    """

    during: Literal["registration", "call"] = "registration"
    expires: Annotated[int, Ge(60)] = 120

    def run(self, stage: Stage) -> None:
        stage.with_phone(expires=self.expires)
        phone, far = sign_in(stage)
        talk = None
        if self.during == "call":
            talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
            if talk is None:
                return
            both_hear(stage, talk, name="before")
        for gateway in stage.world.gateways:
            stage.world.reboot(gateway)
        if talk is not None:
            both_hear(stage, talk, name="after")
            stays_up(stage, talk, self.expires)
            hang_up(stage, talk)
        stage.idle(self.expires)
        still_registered(stage, phone)
        back = connect(stage, caller=far, callee=phone, target="alice@lab.test", name="new call ")
        if back is not None:
            hang_up(stage, back, name="new call hangs up")


ITEM = Item("router-reboot", "The router forgets everything, while registered or in a call.", RouterReboot())
