"""A fax: a call that begins with audio and is changed to T.38 by a re-INVITE (ITU-T T.38 annex D)."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.scenarios.call_checks import connect, hang_up, hears
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.sip.base import Action


@dataclass(frozen=True)
class Fax:
    """The called side changes the call to fax, as gateways do when they hear its tone."""

    def run(self, stage: Stage) -> None:
        for settings in (stage.with_phone, stage.with_far_phone):
            settings(streams=("audio", "image"))
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        stage.idle(2.0)
        outcome: list[int] = []

        def change(now: float) -> list[Action]:
            talk.incoming.modify(now, kinds=("image",), outcome=lambda status, later: outcome.append(status))
            return far.layer.flush()

        stage.do(far, change)
        stage.until(lambda: bool(outcome) or talk.incoming.over, 35.0)
        if not stage.check(
            "changes to fax",
            outcome == [200],
            "The fax machines do not come to terms: the page is never sent.",
            f"status {outcome[0] if outcome else 'none'}",
        ):
            return
        stage.idle(1.0)
        begin = stage.now
        stage.idle(5.0)
        for who, listener, _ in talk.ends:
            hears(stage, listener, begin, stage.now, who, kind="image")
        hang_up(stage, talk)


ITEM = Item("fax", "A call that changes to T.38 fax.", Fax())
