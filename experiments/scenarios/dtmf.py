"""Keys pressed during a call: telephone events in the media (RFC 4733), or INFO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.experiments.scenarios.call_checks import connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.sip.base import Action

_DIGITS = "4711#"


@dataclass(frozen=True)
class Digits:
    """``how`` the digits are sent."""

    how: Literal["events", "info"] = "events"

    def run(self, stage: Stage) -> None:
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        stage.idle(1.0)

        def press(now: float) -> list[Action]:
            if self.how == "events":
                return phone.dial(talk.outgoing, _DIGITS, now)
            for digit in _DIGITS:
                talk.outgoing.info(digit, now)
            return phone.layer.flush()

        stage.do(phone, press)
        stage.idle(3.0)
        heard = "".join(talk.incoming.digits)
        stage.check(
            "digits arrive",
            heard == _DIGITS,
            "Voice menus and mailboxes do not react to the keys.",
            heard or "none",
            "media" if self.how == "events" else "signalling",
        )
        hang_up(stage, talk)


ITEM = Item("dtmf", "Keys pressed during a call reach the other side.", Digits())
