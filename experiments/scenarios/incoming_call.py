"""A phone on the internet calls the phone behind the router, some time after that registered.

With ``idle`` longer than the router keeps a UDP binding, and nobody sending keep-alives, the
call can't get in: the caller lands in voicemail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge, Gt

from siplab.experiments.scenarios.call_checks import check_call
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.call_in import IncomingCall as Incoming

_NUMBER: Final = "+15550100"


@dataclass(frozen=True)
class IncomingCall:
    """``idle``: seconds between registration and call; ``duration``: of the call, in seconds.

    ``caller_id``: the provider tells the caller's number, as it knows it (P-Asserted-Identity, RFC 3325), and
    the phone shows it.
    """

    idle: Annotated[float, Ge(0)] = 1.0
    duration: Annotated[float, Gt(0)] = 40.0
    caller_id: bool = False

    def run(self, stage: Stage) -> None:
        if self.caller_id:
            stage.with_server(numbers={"bob": _NUMBER})
        phone, far = sign_in(stage)
        stage.idle(self.idle)
        check_call(stage, caller=far, callee=phone, target="alice@lab.test", duration=self.duration)
        if self.caller_id:
            shown = next((each.caller for each in phone.calls if isinstance(each, Incoming)), "nothing")
            stage.check(
                "shows who calls",
                shown == _NUMBER,
                "The phone shows a wrong caller, or none.",
                f"shows {shown}, the caller is {_NUMBER}",
            )


ITEM = Item(
    "incoming-call", "Somebody on the internet calls the phone and hangs up after 40 s.", IncomingCall()
)
