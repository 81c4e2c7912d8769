"""A call that lasts longer than every timer that could end it: 32 s, the session timer, an hour.

The phones refresh the session (RFC 4028), by re-INVITE or by UPDATE, and talk all the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from siplab.experiments.scenarios.call_checks import connect, hang_up, hears, stays_up, whole
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class LongCall:
    """``duration`` and ``session_expires`` in seconds; how and by whom it is refreshed."""

    duration: Annotated[float, Gt(0)] = 3700.0
    session_expires: Annotated[int, Ge(90)] = 600
    refresh: Literal["INVITE", "UPDATE"] = "UPDATE"
    refresher: Literal["phone", "far-phone"] = "phone"

    def run(self, stage: Stage) -> None:
        settings = {
            "extensions": ("timer",),
            "session_expires": self.session_expires,
            "refresh_method": self.refresh,
            "refresher": "uas" if self.refresher == "far-phone" else "uac",  # the phone calls
        }
        stage.with_phone(**settings)
        stage.with_far_phone(**settings)
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        begin = stage.now + 1.0
        stays_up(stage, talk, min(40.0, self.duration), "survives 32 s")
        if self.duration > 40.0 and not talk.outgoing.over:
            stays_up(stage, talk, self.duration - 40.0)
        expected = int(self.duration // (self.session_expires / 2))
        end = talk.incoming if self.refresher == "far-phone" else talk.outgoing
        refreshes = end.renegotiation.done
        if expected:
            stage.check(
                "is refreshed",
                refreshes >= expected,
                "The session timer runs out: the call drops after a fixed time.",
                f"{refreshes} of {expected} refreshes",
            )
        for who, listener, _ in talk.ends:
            hears(stage, listener, begin, stage.now, who)
            whole(stage, listener, who)
        hang_up(stage, talk)


ITEM = Item("long-call", "A call of an hour, kept alive by session timers.", LongCall())
