"""Lamps: message waiting (RFC 3842) and a colleague's busy lamp (RFC 4235), by SUBSCRIBE and NOTIFY.

The NOTIFY comes from outside some time after the SUBSCRIBE went out: through the same binding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from siplab.experiments.scenarios.call_checks import connect, hang_up
from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.counting import number_of
from siplab.lab.sip.base import Action


@dataclass(frozen=True)
class Subscribe:
    """``idle``: seconds between the subscription and what it is about."""

    idle: Annotated[float, Ge(0)] = 10.0

    def run(self, stage: Stage) -> None:
        phone, far, third, server = stage.phone, stage.far_phone, stage.third_phone, stage.server
        for each in (far, third):
            stage.do(each, each.register)
        stage.idle(1.0)
        register(stage)
        stage.do(phone, lambda now: phone.subscribe("message-summary", "alice@lab.test", now))
        stage.do(phone, lambda now: phone.subscribe("dialog", "bob@lab.test", now))
        mailbox, lamp = phone.subscriptions
        stage.until(lambda: bool(mailbox.notifications and lamp.notifications), 35.0)
        stage.check(
            "is subscribed",
            mailbox.status == lamp.status == 200 and bool(mailbox.notifications and lamp.notifications),
            "The lamps of the phone stay dark.",
            f"status {mailbox.status} and {lamp.status}",
        )
        stage.idle(self.idle)
        seen = len(mailbox.notifications)

        def voicemail(now: float) -> list[Action]:
            server.notifier.set_waiting("alice", 3, now)
            return server.layer.flush()

        stage.do(server, voicemail)
        stage.until(lambda: len(mailbox.notifications) > seen, 35.0)
        stage.check(
            "message lamp goes on",
            b"Voice-Message: 3/0" in b"".join(mailbox.notifications[seen:]),
            "The phone does not show that there is a message in the mailbox.",
        )
        seen = len(lamp.notifications)
        talk = connect(stage, caller=third, callee=far, target="bob@lab.test", name="colleague's call ")
        if talk is None:
            return
        stage.idle(2.0)
        stage.check(
            "busy lamp follows the colleague",
            b"confirmed" in b"".join(lamp.notifications[seen:]),
            "The colleague's lamp shows the wrong state.",
            number_of(len(lamp.notifications) - seen, "notification"),
        )
        hang_up(stage, talk, name="colleague hangs up")


ITEM = Item("subscribe", "Message-waiting and busy lamps by SUBSCRIBE and NOTIFY.", Subscribe())
