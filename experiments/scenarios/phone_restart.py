"""The phone loses power and comes back on another port: it registers anew, and must be reachable there.

The router and the registrar still know the old port; what they make of it decides where calls go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

from annotated_types import Ge, Le

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage

_PATIENCE: Final = 35.0  # timer F (RFC 3261 section 17.1.2.2) and a little


@dataclass(frozen=True)
class PhoneRestart:
    """``port``: the phone's SIP port after the restart.

    ``monitored``: while it is off the provider's monitoring asks for it (OPTIONS, RFC 3261 section 11).
    """

    port: Annotated[int, Ge(1024), Le(65535)] = 5066
    monitored: bool = False

    def run(self, stage: Stage) -> None:
        old, far = stage.phone, stage.far_phone
        stage.do(far, far.register)
        stage.idle(1.0)
        register(stage)
        stage.idle(5.0)
        stage.world.remove(old)
        if self.monitored:
            self._missed(stage)
        stage.idle(5.0)
        config = replace(old.config, sip_port=self.port)
        new = stage.place(stage.host("phone")[0], config, "alice after the restart")
        register(stage, new, "after the restart ")
        talk = connect(stage, caller=far, callee=new, target="alice@lab.test")
        if talk is not None:
            both_hear(stage, talk)
            hang_up(stage, talk)

    def _missed(self, stage: Stage) -> None:
        server, heard = stage.server, list[int]()
        stage.do(server, lambda now: server.ask("alice", now, lambda status, then: heard.append(status)))
        stage.until(lambda: bool(heard), _PATIENCE)
        stage.check(
            "is missed while it is off",
            heard[:1] != [200],
            "The provider's monitoring shows a phone as reachable that is switched off: nobody looks for it.",
            f"status {heard[0] if heard else 'none'}",
        )


ITEM = Item("phone-restart", "The phone restarts on another port and is called.", PhoneRestart())
