"""A second call comes in during the first: it rings, the first is held, the second answered, and back."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up, hears, hold
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.call import CallState


@dataclass(frozen=True)
class CallWaiting:
    """The phone behind the router has two lines."""

    def run(self, stage: Stage) -> None:
        stage.with_phone(lines=2)
        phone, far = sign_in(stage, stage.third_phone)
        third = stage.third_phone
        first = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if first is None:
            return
        both_hear(stage, first, 2.0)
        if not hold(stage, phone, first.outgoing, "sendonly", "first call is held"):
            return
        stage.idle(1.0)
        second = connect(stage, caller=third, callee=phone, target="alice@lab.test", name="second call ")
        if second is None:
            return
        both_hear(stage, second, name="in the second call")
        hang_up(stage, second, name="second call hangs up")
        hold(stage, phone, first.outgoing, "", "first call is resumed")
        stage.idle(1.0)
        begin = stage.now
        stage.idle(4.0)
        stage.check(
            "first call is still there",
            first.outgoing.state is CallState.ESTABLISHED,
            "The held call is lost when the second one ends.",
            first.outgoing.reason,
        )
        for who, listener, _ in first.ends:
            hears(stage, listener, begin, stage.now, who, "again")
        hang_up(stage, first)


ITEM = Item("call-waiting", "A second call comes in during the first.", CallWaiting())
