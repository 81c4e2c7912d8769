"""Nobody speaks for five minutes: with silence suppression no packet keeps the router's state alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from siplab.experiments.scenarios.call_checks import Talk, both_hear, connect, hang_up, stays_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class MediaSilence:
    """``pause``: seconds without media."""

    pause: Annotated[float, Ge(1)] = 300.0

    def run(self, stage: Stage) -> None:
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        both_hear(stage, talk, name="before")
        for call in (talk.outgoing, talk.incoming):
            call.mute(stage.now)
        stays_up(stage, talk, self.pause, "stays up in silence", "The call drops while nobody speaks.")
        _speak(stage, talk)
        both_hear(stage, talk, name="after the silence")
        hang_up(stage, talk)


def _speak(stage: Stage, talk: Talk) -> None:
    for call in (talk.outgoing, talk.incoming):
        call.unmute(stage.now)


ITEM = Item("media-silence", "Five minutes of silence in a call, then both speak again.", MediaSilence())
