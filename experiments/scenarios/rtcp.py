"""A call whose phones report to each other how well they hear: RTCP (RFC 3550 section 6).

Reports go from the port above the media's to the one that the other side names in ``a=rtcp`` (RFC 3605), or
on the media's own port (RFC 5761). Some phones hang up when none come for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from siplab.experiments.scenarios.call_checks import Talk, both_hear, connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.counting import number_of


@dataclass(frozen=True)
class Rtcp:
    """``port``: where reports are wanted: at the next port, at the one that is announced (the same), or
    multiplexed with the media. ``duration``: of the call, in seconds.
    """

    port: Literal["next-port", "announced", "mux"] = "announced"
    duration: Annotated[float, Ge(20)] = 40.0

    def run(self, stage: Stage) -> None:
        for settings in (stage.with_phone, stage.with_far_phone):
            settings(rtcp=self.port)
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        both_hear(stage, talk, self.duration)
        _reports(stage, talk)
        hang_up(stage, talk)


def _reports(stage: Stage, talk: Talk) -> None:
    for who, end, _ in talk.ends:
        reporter = end.media.reporters["audio"]
        block = reporter.reported
        told = (
            "none on what it sends"
            if block is None
            else f"the latest: {number_of(block.lost, 'packet')} lost"
        )
        stage.check(
            f"{who} gets reports",
            block is not None,
            f"The {who}'s phone learns nothing of how well it is heard; some phones hang up then.",
            f"{reporter.received} reports, {told}",
            "media",
        )


ITEM = Item("rtcp", "A call in which both phones report on the quality to each other.", Rtcp())
