"""A video call: a second stream in the description, with ports of its own."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up, hears
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class Video:
    """Audio and video in both directions.

    ``camera``: without one the phone behind the router is called with video, and refuses that stream: port 0
    (RFC 3264 section 6).
    """

    camera: bool = True

    def run(self, stage: Stage) -> None:
        stage.with_far_phone(streams=("audio", "video"))
        if not self.camera:
            self._refused(stage)
            return
        stage.with_phone(streams=("audio", "video"))
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

    def _refused(self, stage: Stage) -> None:
        phone, far = sign_in(stage)
        talk = connect(stage, caller=far, callee=phone, target="alice@lab.test")
        if talk is None:
            return
        both_hear(stage, talk)
        picture = talk.outgoing.session.stream("video")
        stage.check(
            "sends no picture",
            picture is None,
            "The caller's camera stays on for somebody who sees nothing; the caller's screen stays black.",
            "" if picture is None else f"sends to {picture.remote}",
            "media",
        )
        hang_up(stage, talk)


ITEM = Item("video", "A call with sound and picture.", Video())
