"""The phone behind the router registers and calls a phone on the internet.

The call lasts 40 s, past the 32 s after which a callee that never got its ACK hangs up
(RFC 3261 section 13.3.1.4). Then the caller hangs up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from siplab.experiments.scenarios.call_checks import check_call
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class OutgoingCall:
    """``duration``: how long the call lasts before the caller hangs up, in seconds.

    ``account``: without one the phone does not register; its From names the address that it has itself, and
    the server asks for no password.
    """

    duration: Annotated[float, Gt(0)] = 40.0
    account: bool = True

    def run(self, stage: Stage) -> None:
        if self.account:
            phone, far = sign_in(stage)
        else:
            stage.with_phone(domain=stage.host("phone")[1])
            stage.with_server(challenge_invite=False)
            phone, far = stage.phone, stage.far_phone
            stage.do(far, far.register)
            stage.idle(1.0)
        check_call(stage, caller=phone, callee=far, target="bob@lab.test", duration=self.duration)


ITEM = Item(
    "outgoing-call", "The phone calls somebody on the internet and hangs up after 40 s.", OutgoingCall()
)
