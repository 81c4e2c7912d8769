"""Sound before the answer: an announcement or a ring-back tone in a 183, acknowledged by PRACK (RFC 3262)."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.scenarios.call_checks import Talk, answered, both_hear, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.counting import number_of
from siplab.lab.phone.call import CallState


@dataclass(frozen=True)
class EarlyMedia:
    """``reliable``: with 100rel and PRACK, or without."""

    reliable: bool = True

    def run(self, stage: Stage) -> None:
        extensions = ("100rel",) if self.reliable else ()
        stage.with_phone(extensions=extensions)
        stage.with_far_phone(extensions=extensions, early_media=True, ring_time=4.0)
        phone, far = sign_in(stage)
        stage.do(phone, lambda now: phone.call("bob@lab.test", now))
        outgoing = phone.calls[-1]
        stage.until(lambda: outgoing.over or outgoing.state is CallState.ESTABLISHED, 40.0)
        talk: Talk | None = answered(stage, phone, outgoing, far, 0)
        stage.check(
            "hears the announcement",
            outgoing.early_rtp_received > 100,
            "The caller hears nothing until the call is answered: announcements get lost.",
            f"{number_of(outgoing.early_rtp_received, 'packet')} before the answer",
            "media",
        )
        if talk is None:
            return
        both_hear(stage, talk)
        hang_up(stage, talk)


ITEM = Item("early-media", "An announcement before the call is answered.", EarlyMedia())
