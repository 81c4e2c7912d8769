"""A video call: a second stream in the description, with ports of its own."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.scenarios.call_checks import connect, hang_up, hears
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class Video:
    """Audio and video in both directions."""

    def run(self, stage: Stage) -> None:
        for settings in (stage.with_phone, stage.with_far_phone):
            settings(streams=("audio", "video"))
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        stage.idle(1.0)
        begin = stage.now
        stage.idle(5.0)
        for who, listener, _ in talk.ends:
            hears(stage, listener, begin, stage.now, who)
            hears(stage, listener, begin, stage.now, who, kind="video")
        hang_up(stage, talk)


ITEM = Item("video", "A call with sound and picture.", Video())
